//! A random workload over tables of every shape.

use std::fmt::Write as _;

use crate::support::Session;

/// Tables of every shape that merging must know about.
pub(super) const TABLES: &str = "
CREATE TABLE plain (id INT AUTO_INCREMENT PRIMARY KEY, k INT, v VARCHAR(40), KEY (k));
CREATE TABLE moving (id INT PRIMARY KEY, a INT UNIQUE, b VARCHAR(9) COLLATE utf8mb4_bin UNIQUE, v INT);
CREATE TABLE texts (name VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, mail VARCHAR(20) COLLATE utf8mb4_general_ci UNIQUE, v INT);
CREATE TABLE exotic (word VARCHAR(20) COLLATE utf8mb4_hu_0900_ai_ci PRIMARY KEY, u VARCHAR(20) COLLATE utf8mb4_lt_0900_ai_ci UNIQUE, v INT);
CREATE TABLE pair (a VARBINARY(6), b SMALLINT UNSIGNED, c BIT(11), v TEXT, PRIMARY KEY (b, a), UNIQUE (c));
CREATE TABLE numbers (d DECIMAL(8,3), f DOUBLE, t DATETIME(3), e ENUM('x','y','z'), y YEAR, v INT, PRIMARY KEY (d, t), UNIQUE (f, e));
CREATE TABLE keyless (a INT, b VARCHAR(10));
CREATE TABLE loose (a INT NOT NULL, b INT, v INT, UNIQUE (a));
CREATE TABLE computed (id INT PRIMARY KEY, a INT, s INT GENERATED ALWAYS AS (a % 50) STORED UNIQUE, w INT GENERATED ALWAYS AS (a % 70) VIRTUAL UNIQUE, v INT);
CREATE TABLE indexed (id INT PRIMARY KEY, a VARCHAR(20), j JSON, v INT, UNIQUE ((LOWER(a))), UNIQUE p (a(3)));
CREATE TABLE many (id INT PRIMARY KEY, j JSON, v INT, UNIQUE m ((CAST(j->'$.tags' AS UNSIGNED ARRAY))));
CREATE TABLE blobs (id INT PRIMARY KEY, b MEDIUMBLOB, j JSON, v INT);
CREATE TABLE parted (id INT, r INT, v INT, PRIMARY KEY (id, r)) PARTITION BY HASH (r) PARTITIONS 3;
CREATE TABLE parent (id INT PRIMARY KEY, code VARCHAR(8) UNIQUE, v INT);
CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, code VARCHAR(8), v INT, FOREIGN KEY (parent) REFERENCES parent (id), FOREIGN KEY (code) REFERENCES parent (code));
CREATE TABLE owner (id INT PRIMARY KEY, v INT);
CREATE TABLE owned (id INT PRIMARY KEY, owner INT, v INT, FOREIGN KEY (owner) REFERENCES owner (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE below (id INT PRIMARY KEY, owned INT, v INT, FOREIGN KEY (owned) REFERENCES owned (id) ON DELETE SET NULL);
CREATE TABLE tree (id INT PRIMARY KEY, up INT, v INT, FOREIGN KEY (up) REFERENCES tree (id));
CREATE TABLE egg (id INT PRIMARY KEY, hen INT, v INT);
CREATE TABLE hen (id INT PRIMARY KEY, egg INT, v INT, FOREIGN KEY (egg) REFERENCES egg (id));
ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen (id);
SET sql_generate_invisible_primary_key = ON;
CREATE TABLE hidden (a INT, b VARCHAR(10), UNIQUE (a));
SET sql_generate_invisible_primary_key = OFF;
";

pub(super) struct Workload {
    random: fastrand::Rng,
    sql: String,
}

impl Workload {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), sql: String::new() }
    }

    fn number(&mut self, below: i32) -> i32 {
        self.random.i32(0..below)
    }

    fn word(&mut self) -> &'static str {
        const WORDS: [&str; 14] = [
            "'a'", "'A'", "'e'", "'é'", "'y'", "'i'", "'ccs'", "'cscs'", "'b '", "'b'", "'abcd'", "'abce'",
            "'ß'", "'ss'",
        ];
        self.random.choice(WORDS).unwrap()
    }

    fn maybe(&mut self, below: i32) -> String {
        if self.number(5) == 0 { "NULL".to_owned() } else { self.number(below).to_string() }
    }

    /// One statement; about half of them do something.
    fn statement(&mut self) -> String {
        if self.number(34) < 10 { self.tied() } else { self.single() }
    }

    /// On tables without foreign keys.
    fn single(&mut self) -> String {
        let (n, m, v) = (self.number(12), self.maybe(12), self.number(1000));
        let (word, other) = (self.word(), self.word());
        let insert = |table: &str, values: String| format!("INSERT INTO {table} VALUES {values}");
        match self.number(25) {
            0 => format!("INSERT INTO plain (k, v) VALUES ({v}, {word}), ({n}, 'x')"),
            1 => format!("UPDATE plain SET k = k + 1, v = CONCAT('{v}', {word}) WHERE id % 7 = {n} % 7"),
            2 => format!("DELETE FROM plain WHERE id % 13 = {n}"),
            3 => insert("moving", format!("({n}, {m}, {word}, {v})")),
            4 => format!("REPLACE INTO moving VALUES ({n}, {m}, {word}, {v})"),
            5 => format!("UPDATE moving SET a = {m}, v = {v} WHERE id = {n}"),
            6 => format!(
                "UPDATE moving SET a = NULL WHERE id = {n}; UPDATE moving SET a = a + 1 ORDER BY a DESC"
            ),
            7 => insert("texts", format!("({word}, {other}, {v})")),
            8 => format!(
                "DELETE FROM texts WHERE name = {word}; UPDATE texts SET mail = {word} WHERE name = {other}"
            ),
            9 => format!("UPDATE texts SET name = {word} WHERE name = {other}"),
            10 => format!("REPLACE INTO exotic VALUES ({word}, {other}, {v})"),
            11 => format!(
                "INSERT INTO pair VALUES ({word}, {n}, {v}, {other}) ON DUPLICATE KEY UPDATE v = {v}, c = {n}"
            ),
            12 => format!("DELETE FROM pair WHERE b = {n} LIMIT 1"),
            13 => format!(
                "REPLACE INTO numbers VALUES ({n}.{n}, {m} * -0.5e0, '2024-01-0{} 00:00:00.{n}', 'y', 2000, {v})",
                n % 9 + 1
            ),
            14 => insert("keyless", format!("({n}, {word}), ({m}, {word})")),
            15 => format!(
                "UPDATE keyless SET b = {word} WHERE a = {n}; DELETE FROM keyless WHERE a = {m} LIMIT 1"
            ),
            16 => {
                format!("REPLACE INTO loose VALUES ({n}, {m}, {v}); UPDATE loose SET v = {v} WHERE b = {m}")
            }
            17 => format!(
                "REPLACE INTO computed (id, a, v) VALUES ({n}, {v}, {v}); UPDATE computed SET v = v + 1 WHERE id = {n}"
            ),
            18 => format!(
                "UPDATE computed SET a = a + 1 WHERE id = {n}; UPDATE computed SET a = {v} WHERE id = {m}"
            ),
            19 => format!("REPLACE INTO indexed VALUES ({n}, CONCAT({word}, {n}), '{{\"k\": {v}}}', {v})"),
            20 => format!("UPDATE indexed SET j = JSON_SET(j, '$.k', {v}), a = {word} WHERE id = {n}"),
            21 => format!(
                "REPLACE INTO many VALUES ({n}, '{{\"tags\": [{n}, {v}]}}', {v}); DELETE FROM many WHERE id = {m}"
            ),
            22 => format!(
                "REPLACE INTO blobs VALUES ({n}, REPEAT({word}, {v}), '{{\"k\": [1, 2], \"long\": \"{v}{v}{v}{v}{v}\"}}', {v})"
            ),
            23 => format!(
                "UPDATE blobs SET j = JSON_SET(j, '$.k', {v}), v = {n} WHERE id = {n}; UPDATE blobs SET b = NULL WHERE id = {m}"
            ),
            _ => format!(
                "REPLACE INTO parted VALUES ({n}, {v} % 4, {v}); UPDATE parted SET r = r + 1 WHERE id = {n} AND r = 1"
            ),
        }
    }

    /// On tables with foreign keys, and on the one with a generated key.
    fn tied(&mut self) -> String {
        let (n, m, v) = (self.number(12), self.maybe(12), self.number(1000));
        let word = self.word();
        match self.number(9) {
            0 => format!("INSERT INTO parent VALUES ({n}, {word}, {v})"),
            1 => format!("INSERT INTO child (parent, code, v) VALUES ({m}, {word}, {v})"),
            2 => format!(
                "DELETE FROM child WHERE parent = {n}; DELETE FROM parent WHERE id = {n}; UPDATE parent SET v = {v} WHERE id = {m}"
            ),
            3 => format!(
                "UPDATE child SET parent = {m} WHERE id % 5 = {n}; UPDATE parent SET code = {word} WHERE id = {n}"
            ),
            4 => format!(
                "INSERT INTO owner VALUES ({n}, {v}); INSERT INTO owned VALUES ({n}, {m}, {v}); INSERT INTO below VALUES ({n}, {m}, {v})"
            ),
            5 => format!(
                "DELETE FROM owner WHERE id = {n}; UPDATE owned SET owner = {n}, v = {v} WHERE id = {m}; DELETE FROM owned WHERE id = {n}"
            ),
            6 => format!(
                "INSERT INTO tree VALUES ({n}, {m}, {v}); UPDATE tree SET up = {n} WHERE id = {m}; DELETE FROM tree WHERE id = {n}"
            ),
            7 => format!(
                "INSERT INTO egg VALUES ({n}, {m}, {v}); INSERT INTO hen VALUES ({n}, {m}, {v}); UPDATE egg SET hen = {n} WHERE id = {m}; DELETE FROM hen WHERE id = {n}"
            ),
            _ => format!(
                "INSERT INTO hidden VALUES ({m}, {word}); UPDATE hidden SET b = {word} WHERE a = {n}; DELETE FROM hidden WHERE a = {m}"
            ),
        }
    }

    /// Refused statements are part of it.
    pub(super) fn run(&mut self, session: &mut Session, transactions: usize) {
        for _ in 0..transactions {
            self.sql.clear();
            let image = ["FULL", "FULL", "FULL", "MINIMAL", "NOBLOB"][self.random.usize(0..5)];
            let partial = if self.number(3) == 0 { "PARTIAL_JSON" } else { "" };
            let checks = [u8::from(self.number(12) != 0), u8::from(self.number(12) != 0)];
            let _ = writeln!(
                self.sql,
                "SET binlog_row_image = '{image}', binlog_row_value_options = '{partial}', foreign_key_checks = {}, unique_checks = {};",
                checks[0], checks[1]
            );
            self.sql.push_str("BEGIN;\n");
            for _ in 0..=self.number(4) {
                let statement = self.statement();
                let _ = writeln!(self.sql, "{statement};");
            }
            let end = if self.number(12) == 0 { "ROLLBACK;\n" } else { "COMMIT;\n" };
            self.sql.push_str(end);
            let _ = session.run(&self.sql);
        }
    }
}
