//! The transactions of each [`Shape`], drawn as text.

use std::fmt::Write as _;

use fastrand::Rng;

use crate::sysbench::{Generator, SCHEMA, TABLES};
use crate::workload::{Keys, Shape};

/// Rows of `counters`, `words` and `pairs`.
const COUNTERS: u64 = 4;
const WORDS: u64 = 20_000;
const PAIRS: u64 = 5_000;
/// Rows in a statement of a bulk load.
const BULK: u64 = 100;
/// Between the ids that one session makes and those of the next.
const STRIDE: u64 = 10_000_000;

/// The tables beside sysbench's, and their rows.
pub(crate) fn schema() -> String {
    let mut sql = format!(
        "USE {SCHEMA};\n\
         CREATE TABLE counters (id INT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, note VARCHAR(200) NOT NULL);\n\
         CREATE TABLE words (word VARCHAR(64) NOT NULL PRIMARY KEY, n INT NOT NULL, c CHAR(120) NOT NULL) \
         DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;\n\
         CREATE TABLE pairs (id INT NOT NULL PRIMARY KEY, place INT NULL UNIQUE, code VARCHAR(40) NOT NULL UNIQUE, \
         n INT NOT NULL);\n\
         CREATE TABLE parents (id BIGINT NOT NULL PRIMARY KEY, n INT NOT NULL);\n\
         CREATE TABLE children (id BIGINT NOT NULL PRIMARY KEY, parent BIGINT NOT NULL, c CHAR(60) NOT NULL, \
         KEY (parent), FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE);\n"
    );
    values(&mut sql, "counters", COUNTERS, |id| format!("({id}, 0, 'a counter')"));
    values(&mut sql, "pairs", PAIRS, |id| format!("({id}, {id}, 'code {id}', 0)"));
    sql
}

fn values(sql: &mut String, table: &str, rows: u64, row: impl Fn(u64) -> String) {
    let rows: Vec<String> = (1..=rows).map(row).collect();
    let _ = writeln!(sql, "INSERT INTO {SCHEMA}.{table} VALUES {};", rows.join(","));
}

/// What one session writes; the same seed draws the same.
pub(crate) struct Writer {
    shape: Shape,
    generator: Generator,
    random: Rng,
    session: u64,
    sessions: u64,
    rows: u64,
    /// Transactions so far.
    drawn: u64,
}

impl Writer {
    /// Session `session` of `sessions`.
    pub(crate) fn new(shape: Shape, session: u64, sessions: u64, rows: u64) -> Self {
        let keys = if shape == Shape::WriteOnly(Keys::Hot) { Keys::Hot } else { Keys::Uniform };
        let generator = Generator::new(1000 + session, rows, keys);
        Self { shape, generator, random: Rng::with_seed(session), session, sessions, rows, drawn: 0 }
    }

    /// The next transaction, as one text of statements.
    pub(crate) fn transaction(&mut self) -> String {
        self.drawn += 1;
        match self.shape {
            Shape::WriteOnly(_) | Shape::WithDdl => self.generator.transaction(None),
            Shape::Insert => self.insert(1),
            Shape::BulkLoad => self.insert(BULK),
            Shape::UpdateIndex => self.generator.update_index(),
            Shape::UpdateNonIndex => self.generator.update_non_index(),
            Shape::Delete => self.delete(),
            Shape::Counter => {
                format!("UPDATE {SCHEMA}.counters SET n=n+1 WHERE id={}", self.random.u64(1..=COUNTERS))
            }
            Shape::TextKeys => self.word(),
            Shape::TwoKeys => self.exchange(),
            Shape::Family => self.family(),
        }
    }

    fn insert(&mut self, rows: u64) -> String {
        let table = self.random.u32(1..=TABLES);
        let first = (self.session + 1) * STRIDE + self.drawn * rows;
        let mut sql = format!("INSERT INTO {SCHEMA}.sbtest{table} (id, k, c, pad) VALUES ");
        for id in first..first + rows {
            if id > first {
                sql.push(',');
            }
            self.generator.row(id, &mut sql);
        }
        sql
    }

    /// Each id of each table once, as long as there are any.
    fn delete(&mut self) -> String {
        let number = (self.drawn - 1) * self.sessions + self.session;
        let table = number % u64::from(TABLES) + 1;
        // A prime step meets every id once, in no order.
        let id = (number / u64::from(TABLES) * 7919) % self.rows + 1;
        format!("DELETE FROM {SCHEMA}.sbtest{table} WHERE id={id}")
    }

    fn word(&mut self) -> String {
        let word = self.random.u64(0..WORDS);
        let accent = ["e", "E", "é", "È"][self.random.usize(..4)];
        let mut sql = format!("INSERT INTO {SCHEMA}.words VALUES ('wort{accent} {word:05}', 1, '");
        self.generator.digits(10, &mut sql);
        sql + "') ON DUPLICATE KEY UPDATE n=n+1, c=VALUES(c)"
    }

    /// Rows are locked in the order of their ids.
    fn exchange(&mut self) -> String {
        let first = self.random.u64(1..PAIRS);
        let second = first + 1;
        let tag = self.session * STRIDE + self.drawn;
        format!(
            "BEGIN; SELECT place INTO @a FROM {SCHEMA}.pairs WHERE id={first} FOR UPDATE; \
             SELECT place INTO @b FROM {SCHEMA}.pairs WHERE id={second} FOR UPDATE; \
             UPDATE {SCHEMA}.pairs SET place=NULL WHERE id={first}; \
             UPDATE {SCHEMA}.pairs SET place=@a, n=n+1 WHERE id={second}; \
             UPDATE {SCHEMA}.pairs SET place=@b, code='moved {tag}' WHERE id={first}; COMMIT"
        )
    }

    fn family(&mut self) -> String {
        let base = (self.session + 1) * STRIDE;
        let own = base + self.drawn;
        let older = base + self.random.u64(1..=self.drawn);
        let child = |parent: u64, number: u64| (parent - base) * 4 + number + base * 4;
        match self.drawn % 4 {
            0 => format!("DELETE FROM {SCHEMA}.parents WHERE id={older}"),
            1 | 2 => {
                let children: Vec<String> =
                    (0..3).map(|n| format!("({}, {own}, 'child {n}')", child(own, n))).collect();
                format!(
                    "BEGIN; INSERT INTO {SCHEMA}.parents VALUES ({own}, 0); \
                     INSERT INTO {SCHEMA}.children VALUES {}; COMMIT",
                    children.join(",")
                )
            }
            _ => format!(
                "BEGIN; UPDATE {SCHEMA}.parents SET n=n+1 WHERE id={older}; \
                 UPDATE {SCHEMA}.children SET c='grown {own}' WHERE parent={older}; COMMIT"
            ),
        }
    }
}
