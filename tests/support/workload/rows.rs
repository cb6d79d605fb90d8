//! Clients that change rows: multi-table transactions, keys that move, savepoints, statements whose meaning depends on
//! their context.

use std::fmt::Write as _;
use std::time::Duration;

use super::Author;

/// A client that changes rows.
pub(super) struct Rows {
    client: u32,
    n: u64,
    rng: fastrand::Rng,
}

/// One way to change something.
type Change = fn(&mut Rows) -> String;

/// With how often each is picked.
const CHANGES: [(u32, Change); 20] = [
    (8, Rows::order),
    (6, Rows::orders_change),
    (6, Rows::word),
    (4, Rows::word_key),
    (4, Rows::no_key),
    (4, Rows::user),
    (6, Rows::users_swap),
    (3, Rows::user_key),
    (5, Rows::family),
    (3, Rows::family_key),
    (6, Rows::kind),
    (4, Rows::kind_change),
    (2, Rows::big),
    (1, Rows::big_change),
    (4, Rows::japanese),
    (4, Rows::branch),
    (4, Rows::variables),
    (3, Rows::random),
    (3, Rows::select),
    (2, Rows::replace),
];

impl Author for Rows {
    fn next(&mut self) -> String {
        self.n += 1;
        let mut sql = self.context().to_owned();
        sql += "BEGIN;\n";
        for number in 0..self.rng.u32(1..6) {
            if self.rng.u8(..12) == 0 {
                let inner = [self.change(), self.change()].concat();
                let back = if self.rng.bool() { "ROLLBACK TO" } else { "RELEASE SAVEPOINT" };
                let _ = write!(sql, "SAVEPOINT s{number};\n{inner}{back} s{number};\n");
            } else {
                sql += &self.change();
            }
        }
        sql += &counted(self.client, self.n);
        sql += if self.rng.u8(..15) == 0 { "ROLLBACK;\n" } else { "COMMIT;\n" };
        sql
    }

    fn greeting(&self) -> String {
        // Each client logs its rows in another way.
        let images = match self.client {
            1 => "SET binlog_row_image = 'FULL'",
            2 => "SET binlog_row_image = 'MINIMAL'",
            _ => "SET binlog_row_image = 'NOBLOB', binlog_row_value_options = 'PARTIAL_JSON'",
        };
        format!("{images}; USE Shop; SET NAMES utf8mb4")
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(18)
    }
}

/// The proof that a transaction arrived, and once.
pub(super) fn counted(client: u32, n: u64) -> String {
    format!(
        "INSERT INTO Shop.Commits VALUES ({client}, {n}); INSERT INTO Shop.Journal VALUES ({client}, {n});\n\
         UPDATE Shop.Ticks SET n = n + 1 WHERE client = {client};\n"
    )
}

impl Rows {
    pub(super) fn new(client: u32, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed.wrapping_mul(1000) + u64::from(client));
        Self { client, n: 0, rng }
    }

    /// What differs of the session from transaction to transaction.
    fn context(&mut self) -> &'static str {
        match self.rng.u8(..24) {
            0 => "USE Shop; SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT';\n",
            1 => "USE Shop; SET time_zone = '+09:00', sql_mode = DEFAULT;\n",
            2 => "USE Shop; SET time_zone = 'SYSTEM', sql_mode = '';\n",
            3 => "USE Shop; SET NAMES latin1;\n",
            4 => "USE Shop; SET NAMES utf8mb4 COLLATE utf8mb4_bin; SET lc_time_names = 'ja_JP';\n",
            5 => "USE Shop; SET auto_increment_increment = 3, auto_increment_offset = 2;\n",
            6 => "USE Shop; SET auto_increment_increment = 1, auto_increment_offset = 1;\n",
            7 => "USE Shop; SET unique_checks = 0;\n",
            8 => "USE Shop; SET unique_checks = 1, foreign_key_checks = 1;\n",
            9..=12 => "USE Shop;\n",
            _ => "USE Shop; SET NAMES utf8mb4;\n",
        }
    }

    fn change(&mut self) -> String {
        let all: u32 = CHANGES.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.u32(..all);
        for (weight, change) in CHANGES {
            if at < weight {
                return change(self) + ";\n";
            }
            at -= weight;
        }
        String::new()
    }

    fn key(&mut self, most: u32) -> u32 {
        self.rng.u32(1..=most)
    }

    fn text(&mut self, length: usize) -> String {
        std::iter::repeat_with(|| self.rng.alphanumeric()).take(length).collect()
    }

    fn order(&mut self) -> String {
        let mut rows = Vec::new();
        for _ in 0..self.rng.usize(1..6) {
            let (length, qty) = (self.rng.usize(0..50), self.key(90));
            rows.push(format!("('{}', {qty}, {qty}.5)", self.text(length)));
        }
        format!("INSERT INTO Orders (name, qty, price) VALUES {}", rows.join(", "))
    }

    fn orders_change(&mut self) -> String {
        let (modulus, rest) = (self.rng.u32(20..90), self.rng.u32(..20));
        match self.rng.u8(..5) {
            0 => format!("DELETE FROM Orders WHERE id % {modulus} = {rest}"),
            1 => "DELETE FROM Orders ORDER BY id LIMIT 5".to_owned(),
            2 => format!(
                "UPDATE Orders SET at = NOW(6), name = CONCAT(DATE_FORMAT(NOW(), '%M '), LEFT(name, 30)) WHERE id % {modulus} = {rest}"
            ),
            3 => format!("UPDATE Orders SET price = price * 1.01 + RAND(7) WHERE id % {modulus} = {rest}"),
            _ => format!("UPDATE Orders SET qty = qty + 1 WHERE id % {modulus} = {rest}"),
        }
    }

    fn spelled(&mut self) -> String {
        let words = [
            "strasse",
            "Straße",
            "STRASSE",
            "resume",
            "résumé",
            "Ångström",
            "angstrom",
            "かな",
            "カナ",
            "ｶﾅ",
            "naïve",
        ];
        format!("{}{}", words[self.rng.usize(..words.len())], self.rng.u8(..6))
    }

    fn word(&mut self) -> String {
        let (word, length) = (self.spelled(), self.rng.usize(..200));
        let note = self.text(length);
        let lang = ["de", "DE", "ja"][self.rng.usize(..3)];
        match self.rng.u8(..4) {
            0 => format!("DELETE FROM Words WHERE lang = '{lang}' AND word = '{word}'"),
            1 => format!("INSERT INTO Words VALUES ('{lang}', '{word}', 1, '{note}')"),
            _ => format!(
                "INSERT INTO Words VALUES ('{lang}', '{word}', 1, '{note}') ON DUPLICATE KEY UPDATE n = n + 1, note = '{note}'"
            ),
        }
    }

    fn word_key(&mut self) -> String {
        let (word, other) = (self.spelled(), self.spelled());
        match self.rng.u8(..3) {
            0 => format!("UPDATE Words SET word = UPPER(word) WHERE word = '{word}'"),
            1 => format!(
                "UPDATE Words SET lang = 'xx' WHERE word = '{word}' AND lang = 'de'; UPDATE Words SET lang = 'ja' WHERE lang = 'xx'"
            ),
            _ => format!("UPDATE Words SET word = '{other}' WHERE word = '{word}' AND lang = 'ja'"),
        }
    }

    fn no_key(&mut self) -> String {
        let n = self.key(12);
        match self.rng.u8(..6) {
            0 => format!("DELETE FROM NoKey WHERE n = {n}"),
            1 => format!("DELETE FROM NoKey WHERE n = {n} LIMIT 1"),
            2 => format!("UPDATE NoKey SET line = CONCAT('u', LEFT(line, 40)), x = x / 3 WHERE n = {n}"),
            3 => format!("INSERT INTO NoKey SELECT line, n + 1, x FROM NoKey WHERE n = {n} LIMIT 3"),
            _ => {
                format!("INSERT INTO NoKey VALUES ('same', {n}, 0.1), ('same', {n}, 0.1), (NULL, {n}, NULL)")
            }
        }
    }

    fn user(&mut self) -> String {
        let (a, b) = (self.key(40), self.key(40));
        match self.rng.u8(..5) {
            0 => format!("DELETE FROM Users WHERE email = 'u{a}@example.com'"),
            1 => format!(
                "DELETE FROM Users WHERE phone = X'{a:08X}'; INSERT INTO Users (email, phone, score) VALUES ('n{b}@example.com', X'{a:08X}', 1.1)"
            ),
            2 => format!(
                "INSERT INTO Users (email, phone, token) VALUES ('u{a}@example.com', X'{b:08X}', UUID()) ON DUPLICATE KEY UPDATE score = IFNULL(score, 0) + 0.1"
            ),
            _ => format!(
                "INSERT INTO Users (email, phone, token) VALUES ('u{a}@example.com', X'{b:08X}', UUID())"
            ),
        }
    }

    /// Unique values go from one row to another, which only works in order.
    fn users_swap(&mut self) -> String {
        let (a, b, client) = (self.key(40), self.key(40), self.client);
        format!(
            "UPDATE Users SET email = 'swap{client}' WHERE email = 'u{a}@example.com';\n\
             UPDATE Users SET email = 'u{a}@example.com' WHERE email = 'u{b}@example.com';\n\
             UPDATE Users SET email = 'u{b}@example.com' WHERE email = 'swap{client}'"
        )
    }

    fn user_key(&mut self) -> String {
        let (a, b) = (self.key(40), self.key(400));
        match self.rng.u8(..3) {
            0 => format!("UPDATE Users SET id = id + 1000 WHERE email = 'u{a}@example.com'"),
            1 => "UPDATE Users SET id = id - 1000 WHERE id > 1010 ORDER BY id LIMIT 2".to_owned(),
            _ => format!("UPDATE Users SET id = {b} WHERE email = 'u{a}@example.com'"),
        }
    }

    /// Not by REPLACE: on MySQL 9.7 the children of a replaced parent stay on the source, and are deleted on replicas,
    /// its own included.
    fn family(&mut self) -> String {
        let id = self.key(30);
        match self.rng.u8(..4) {
            0 => format!("DELETE FROM Parents WHERE id = {id}"),
            1 => format!("UPDATE Children SET v = v + 1, parent = {id} WHERE parent = {}", self.key(30)),
            2 => format!("INSERT INTO Children (parent, v) VALUES ({id}, 1), (NULL, 2)"),
            _ => format!(
                "INSERT INTO Parents VALUES ({id}, 'p') ON DUPLICATE KEY UPDATE name = 'q'; INSERT INTO Children (parent, v) VALUES ({id}, 1), ({id}, 2), ({id}, 3)"
            ),
        }
    }

    fn family_key(&mut self) -> String {
        let (a, b) = (self.key(30), self.key(30));
        match self.rng.u8(..3) {
            0 => format!(
                "SET foreign_key_checks = 0; INSERT INTO Children (parent, v) VALUES ({}, 7); SET foreign_key_checks = 1",
                a + 500
            ),
            1 => format!("DELETE FROM Children WHERE parent = {a} OR parent IS NULL"),
            _ => format!("UPDATE Parents SET id = {b} WHERE id = {a}"),
        }
    }

    fn kind(&mut self) -> String {
        let (id, length) = (self.key(60), self.rng.usize(..400));
        let text = self.text(length);
        let seconds = self.rng.u32(..86400);
        format!(
            "REPLACE INTO Kinds (id, j, d, da, ti, dt, ye, bl, e, s, b, f, p, l) VALUES ({id}, '{{\"a\": [1, 2, {{\"b\": \"{text}\"}}], \"n\": {seconds}, \"f\": 1.5}}', \
             {seconds}.{id:010}, '2024-02-29' + INTERVAL {id} DAY, SEC_TO_TIME({seconds} - 40000.125), '1999-12-31 23:59:59.123456' + INTERVAL {seconds} SECOND, \
             1901 + {id}, UNHEX(SHA2('{text}', 256)), 1 + {id} % 3, {id} % 8, {seconds} % 1024, {seconds} / 7, ST_GeomFromText('POINT({id} {seconds})'), 'ä{id}')"
        )
    }

    fn kind_change(&mut self) -> String {
        let (id, n) = (self.key(60), self.key(1000));
        match self.rng.u8(..6) {
            0 => format!("DELETE FROM Kinds WHERE id = {id}"),
            1 => format!("UPDATE Kinds SET j = JSON_SET(j, '$.n', {n}) WHERE id BETWEEN {id} AND {id} + 5"),
            2 => format!(
                "UPDATE Kinds SET j = JSON_REMOVE(JSON_REPLACE(j, '$.a[0]', {n}), '$.f') WHERE id = {id}"
            ),
            3 => format!(
                "UPDATE Kinds SET d = -d / 3, ti = -ti, e = NULL, bl = REPEAT(X'00FF', {n}) WHERE id = {id}"
            ),
            4 => format!(
                "UPDATE Kinds SET id = id + 60 WHERE id = {id}; UPDATE IGNORE Kinds SET id = id - 60 WHERE id = {id} + 60"
            ),
            _ => format!(
                "UPDATE Kinds SET dt = NOW(6), da = CURDATE(), s = 'a,c' WHERE id > {id} ORDER BY id LIMIT 3"
            ),
        }
    }

    /// Larger than the least size from which a transaction goes ahead in pieces.
    fn big(&mut self) -> String {
        let body = self.text(700);
        let rows = self.rng.usize(60..260);
        let rows: Vec<String> = (0..rows).map(|n| format!("('{n}{body}', {n})")).collect();
        format!("INSERT INTO Big (body, n) VALUES {}", rows.join(", "))
    }

    fn big_change(&mut self) -> String {
        let rest = self.rng.u8(..4);
        match self.rng.u8(..4) {
            0 => format!(
                "UPDATE Big SET body = CONCAT('{rest}', LEFT(body, 700)), n = n + 1 WHERE id % 4 = {rest}"
            ),
            1 => "DELETE FROM Big ORDER BY id LIMIT 300".to_owned(),
            2 => "DELETE FROM Big".to_owned(),
            _ => format!("DELETE FROM Big WHERE id % 4 = {rest}"),
        }
    }

    fn japanese(&mut self) -> String {
        let (id, n) = (self.key(40), self.key(9));
        match self.rng.u8(..4) {
            0 => format!("DELETE FROM `注文` WHERE `番号` = {id}"),
            1 => format!(
                "UPDATE `注文` SET `数量` = `数量` + {n}, `備考` = CONCAT('変更', `番号`) WHERE `番号` > {id} AND `数量` < 50"
            ),
            _ => format!(
                "INSERT INTO `注文` VALUES ({id}, '林檎''{n}', {n}, REPEAT('あ', {n})) ON DUPLICATE KEY UPDATE `数量` = `数量` + 1"
            ),
        }
    }

    /// Another default database.
    fn branch(&mut self) -> String {
        let n = self.key(30);
        match self.rng.u8(..3) {
            0 => format!("USE `支店`; DELETE FROM `在庫` WHERE `品名` = '品{n}'; USE Shop"),
            1 => format!(
                "USE side; UPDATE `支店`.`在庫` SET `数` = `数` + 1, `更新` = NOW(6) WHERE `品名` LIKE '品%{n}'; USE Shop"
            ),
            _ => format!("USE `支店`; REPLACE INTO `在庫` VALUES ('品{n}', {n}, NOW(6)); USE Shop"),
        }
    }

    fn variables(&mut self) -> String {
        let (n, client) = (self.key(30), self.client);
        match self.rng.u8(..4) {
            0 => format!("SET @v := {n}, @w := 'wört{n}'; INSERT INTO NoKey VALUES (@w, @v % 12, @v / 7)"),
            1 => format!(
                "SET @big := 18446744073709551615, @d := 12.340; UPDATE Orders SET price = @d, name = CONCAT(@big, @unset IS NULL) WHERE id % 40 = {n}"
            ),
            2 => format!(
                "INSERT INTO Users (email, phone) VALUES ('l{client}', NULL); UPDATE Users SET email = CONCAT('v', LAST_INSERT_ID()), phone = NULL WHERE id = LAST_INSERT_ID()"
            ),
            _ => format!(
                "SET @`変数` := X'00FF41', @f := 0.1e0 * {n}; INSERT INTO NoKey VALUES (HEX(@`変数`), {n} % 12, @f)"
            ),
        }
    }

    fn random(&mut self) -> String {
        let n = self.key(12);
        match self.rng.u8(..3) {
            0 => format!("INSERT INTO NoKey VALUES ('random', {n}, RAND())"),
            1 => format!("UPDATE Orders SET qty = FLOOR(RAND() * 100) WHERE id % 50 = {n} ORDER BY id"),
            _ => format!(
                "INSERT INTO Orders (name, qty) VALUES (UUID(), RAND() * {n}), (CONCAT(NOW(), UNIX_TIMESTAMP()), CONNECTION_ID() > 0)"
            ),
        }
    }

    fn select(&mut self) -> String {
        let n = self.key(30);
        match self.rng.u8(..3) {
            0 => format!(
                "INSERT INTO Orders (name, qty, price) SELECT CONCAT('copy ', LEFT(name, 20)), qty, price FROM Orders WHERE id % 60 = {n}"
            ),
            1 => format!("INSERT INTO Trash (v) SELECT qty FROM Orders WHERE id % 60 = {n} ORDER BY id"),
            _ => format!(
                "CREATE TEMPORARY TABLE IF NOT EXISTS aside (v INT); INSERT INTO aside VALUES ({n}); INSERT INTO NoKey SELECT 'aside', v % 12, 0 FROM aside; DELETE FROM aside"
            ),
        }
    }

    fn replace(&mut self) -> String {
        let (a, b) = (self.key(40), self.key(40));
        match self.rng.u8(..3) {
            0 => {
                format!("REPLACE INTO Users (id, email, phone) VALUES ({a}, 'u{b}@example.com', X'{a:08X}')")
            }
            1 => format!(
                "INSERT IGNORE INTO Users (email, phone) VALUES ('u{a}@example.com', X'{b:08X}'), ('r{a}@example.com', X'{b:06X}')"
            ),
            _ => format!("DELETE o, u FROM Orders o JOIN Users u ON u.id = o.id WHERE o.id % 40 = {a}"),
        }
    }
}
