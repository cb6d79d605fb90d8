//! sysbench's `oltp_write_only`: its tables and its transactions, by a generator of our own.
//!
//! After `oltp_common.lua` and `sb_rand.c` of sysbench 1.0: each transaction is an update of an indexed column, an
//! update of another, and a delete and insert of one row, each in a table drawn anew.

use std::fmt::Write as _;

use fastrand::Rng;

use crate::workload::Keys;

/// The schema that everything is in.
pub(crate) const SCHEMA: &str = "sbtest";
/// How many tables there are.
pub(crate) const TABLES: u32 = 8;
/// Rows in one statement of the load.
const ROWS_AT_ONCE: u64 = 1000;

/// The tables, empty; one for [`crate::commits`] and one for the large transaction beside sysbench's own.
pub(crate) fn schema() -> String {
    let mut sql = format!(
        "CREATE DATABASE {SCHEMA}; USE {SCHEMA}; CREATE TABLE beat (id BIGINT NOT NULL PRIMARY KEY);\n"
    );
    sql += "CREATE TABLE big (id INT NOT NULL PRIMARY KEY, c VARCHAR(8000) NOT NULL) CHARACTER SET latin1;\n";
    for table in 1..=TABLES {
        let _ = writeln!(
            sql,
            "CREATE TABLE sbtest{table} (id INTEGER NOT NULL AUTO_INCREMENT, k INTEGER DEFAULT '0' NOT NULL, \
             c CHAR(120) DEFAULT '' NOT NULL, pad CHAR(60) DEFAULT '' NOT NULL, PRIMARY KEY (id), \
             KEY k_{table} (k)) ENGINE=InnoDB;"
        );
    }
    sql
}

/// The statements that fill one table.
pub(crate) fn fill(table: u32, rows: u64) -> impl Iterator<Item = String> {
    let mut generator = Generator::new(u64::from(table), rows, Keys::Hot);
    (0..rows).step_by(usize::try_from(ROWS_AT_ONCE).unwrap_or(1)).map(move |first| {
        let mut sql = format!("INSERT INTO {SCHEMA}.sbtest{table} (id, k, c, pad) VALUES ");
        for id in first + 1..=(first + ROWS_AT_ONCE).min(rows) {
            if id > first + 1 {
                sql.push(',');
            }
            generator.row(id, &mut sql);
        }
        sql
    })
}

/// Draws transactions; the same seed draws the same.
pub(crate) struct Generator {
    random: Rng,
    rows: u64,
    keys: Keys,
}

impl Generator {
    pub(crate) fn new(seed: u64, rows: u64, keys: Keys) -> Self {
        Self { random: Rng::with_seed(seed), rows, keys }
    }

    /// One transaction as one text of statements; `marker` goes into the table `beat`.
    pub(crate) fn transaction(&mut self, marker: Option<u64>) -> String {
        let mut sql = format!("BEGIN;{};{};", self.update_index(), self.update_non_index());
        let (table, id) = (self.table(), self.id());
        let _ = write!(
            sql,
            "DELETE FROM {SCHEMA}.sbtest{table} WHERE id={id};\
             INSERT INTO {SCHEMA}.sbtest{table} (id, k, c, pad) VALUES "
        );
        self.row(id, &mut sql);
        sql.push(';');
        if let Some(marker) = marker {
            let _ = write!(sql, "INSERT INTO {SCHEMA}.beat VALUES ({marker});");
        }
        sql + "COMMIT"
    }

    pub(crate) fn update_index(&mut self) -> String {
        let (table, id) = (self.table(), self.id());
        format!("UPDATE {SCHEMA}.sbtest{table} SET k=k+1 WHERE id={id}")
    }

    pub(crate) fn update_non_index(&mut self) -> String {
        let (table, id) = (self.table(), self.id());
        let mut sql = format!("UPDATE {SCHEMA}.sbtest{table} SET c='");
        self.digits(10, &mut sql);
        let _ = write!(sql, "' WHERE id={id}");
        sql
    }

    /// The values of one row, in parentheses.
    pub(crate) fn row(&mut self, id: u64, sql: &mut String) {
        let _ = write!(sql, "({id}, {}, '", self.id());
        self.digits(10, sql);
        sql.push_str("', '");
        self.digits(5, sql);
        sql.push_str("')");
    }

    fn table(&mut self) -> u32 {
        self.random.u32(1..=TABLES)
    }

    fn id(&mut self) -> u64 {
        match self.keys {
            Keys::Uniform => self.random.u64(1..=self.rows),
            Keys::Hot => self.special(),
        }
    }

    /// `sb_rand_special` with its defaults: 12 iterations, 1 % special values, 75 % of the draws.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "draws lie between 0 and the number of rows"
    )]
    fn special(&mut self) -> u64 {
        let rows = self.rows;
        let drawn = self.random.u64(0..rows * 4);
        if drawn < rows {
            let sum: f64 = (0..12).map(|_| self.random.f64()).sum();
            return 1 + ((sum * rows as f64 / 12.0) as u64).min(rows - 1);
        }
        let special = (rows / 100).max(1);
        1 + drawn % special + rows / 2 - rows / 200
    }

    /// Groups of eleven digits.
    pub(crate) fn digits(&mut self, groups: usize, sql: &mut String) {
        for group in 0..groups {
            let number = self.random.u64(0..100_000_000_000);
            let _ = write!(sql, "{}{number:011}", if group == 0 { "" } else { "-" });
        }
    }
}
