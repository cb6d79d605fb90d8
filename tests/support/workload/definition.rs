//! A client that changes what tables look like, and what they are called.

use std::time::Duration;

use super::Author;
use super::rows::counted;

pub(super) struct Definitions {
    n: u64,
    rng: fastrand::Rng,
    /// Columns added to `Orders`.
    columns: Vec<u64>,
    /// Tables made.
    tables: Vec<String>,
}

const CLIENT: u32 = 4;
/// More tables than this are not kept.
const MOST_TABLES: usize = 4;

impl Author for Definitions {
    fn next(&mut self) -> String {
        self.n += 1;
        let change = self.change();
        format!("USE Shop;\n{change};\nBEGIN;\n{}COMMIT;\n", counted(CLIENT, self.n))
    }

    fn greeting(&self) -> String {
        "USE Shop".to_owned()
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(200)
    }
}

impl Definitions {
    pub(super) fn new(seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed.wrapping_mul(1000) + u64::from(CLIENT));
        Self { n: 0, rng, columns: Vec::new(), tables: Vec::new() }
    }

    fn change(&mut self) -> String {
        let n = self.n;
        match self.rng.u8(..14) {
            0 => self.add_column(),
            1 => match self.columns.pop() {
                Some(column) => format!("ALTER TABLE Orders DROP COLUMN x{column}"),
                None => self.add_column(),
            },
            2 | 3 => self.create(),
            4 => self.create_select(),
            5 => match self.tables.pop() {
                Some(table) => format!("DROP TABLE {table}"),
                None => self.create(),
            },
            6..=8 => self.swap(),
            9 => format!(
                "INSERT INTO Trash (v) VALUES ({n}), ({n}); TRUNCATE TABLE Trash; INSERT INTO Trash (v) VALUES ({n})"
            ),
            10 => format!(
                "CREATE INDEX by_qty ON Orders (qty); ALTER TABLE Orders DROP INDEX by_qty, COMMENT = '{n}'"
            ),
            11 => format!(
                "CREATE DATABASE `一時{n}`; CREATE TABLE `一時{n}`.`表` (id INT PRIMARY KEY) SELECT {n} AS id; DROP DATABASE `一時{n}`"
            ),
            12 => "FLUSH BINARY LOGS".to_owned(),
            _ => match self.tables.first() {
                Some(table) => format!(
                    "RENAME TABLE {table} TO side.moved{n}; INSERT INTO side.moved{n} (v) VALUES ('moved'); RENAME TABLE side.moved{n} TO {table}"
                ),
                None => self.create(),
            },
        }
    }

    fn add_column(&mut self) -> String {
        let n = self.n;
        self.columns.push(n);
        let kind = [
            "INT DEFAULT 7",
            "VARCHAR(20) DEFAULT 'ü' AFTER name",
            "JSON",
            "DATETIME(3) NOT NULL DEFAULT NOW(3) FIRST",
        ];
        format!("ALTER TABLE Orders ADD COLUMN x{n} {}", kind[self.rng.usize(..kind.len())])
    }

    fn create(&mut self) -> String {
        let table = format!("`作{}`", self.n);
        let sql = format!(
            "CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(30) DEFAULT 'd', at TIMESTAMP DEFAULT NOW());\n\
             INSERT INTO {table} (v) VALUES ('new'), (DEFAULT), (NOW())"
        );
        self.keep(table, sql)
    }

    fn create_select(&mut self) -> String {
        let table = format!("Copy{}", self.n);
        let sql = match self.rng.u8(..3) {
            0 => format!("CREATE TABLE {table} SELECT id, LEFT(body, 30) AS v FROM Big"),
            1 => format!("CREATE TABLE {table} LIKE SwapA; INSERT INTO {table} SELECT * FROM SwapA"),
            // More than goes in one piece.
            _ => format!(
                "CREATE TABLE {table} (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(900)) SELECT LEFT(body, 900) AS v FROM Big ORDER BY id LIMIT 200"
            ),
        };
        self.keep(table, sql)
    }

    fn keep(&mut self, table: String, sql: String) -> String {
        self.tables.push(table);
        if self.tables.len() > MOST_TABLES {
            let oldest = self.tables.remove(0);
            return format!("{sql}; DROP TABLE IF EXISTS {oldest}");
        }
        sql
    }

    /// Run twice, it would do nothing at all.
    fn swap(&mut self) -> String {
        let n = self.n;
        format!(
            "RENAME TABLE SwapA TO SwapT, SwapB TO SwapA, SwapT TO SwapB; INSERT INTO SwapA VALUES ({n} + 10, 'to a')"
        )
    }
}
