//! The tables that hold the progress on the target, as SQL text, and what is read back from them.
//!
//! `bridge` has one row per bridge: what the sequence numbers count from. `progress` has one row per bridge and worker,
//! written in the same transaction as the changes it speaks of. `ddl` has the intent of the DDL statement that is being
//! run, because a DDL commits by itself.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::bail;
use crate::error::{Code, Error, Result};
use crate::position::{Coordinates, GtidSet};
use crate::wire::{Row as ResultRow, Rows, quote_identifier, quote_text};

use super::{Frontier, Mark, Ranges, RowFence, Seq};

/// What a writer must find in its progress row, or it must not write: `epoch` is the owner (each process start and each
/// take-over moves it), `session` the connection (each lost connection moves it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The owner.
    pub epoch: u64,
    /// The owner's connection.
    pub session: u64,
}

impl Fence {
    /// The epoch of whoever takes over: greater than any in the rows; none if there are no rows.
    pub fn next_epoch(rows: impl Iterator<Item = Self>) -> Option<u64> {
        rows.map(|fence| fence.epoch + 1).max()
    }

    /// A row's fence once `epoch` has taken over.
    pub fn taken(epoch: u64) -> Self {
        Self { epoch, session: 0 }
    }

    /// A row's fence once its owner has lost the connection: what [`Tables::bump`] makes of it.
    #[must_use]
    pub fn moved(self) -> Self {
        Self { session: self.session + 1, ..self }
    }
}

/// One worker's row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// The worker, from 0.
    pub worker: u32,
    /// The fence in force.
    pub fence: Fence,
    /// The last transaction this worker applied.
    pub seq: Seq,
    /// The frontier as this worker knew it.
    pub low: Mark,
    /// What it applied above the frontier.
    pub done: Ranges,
}

/// What the rows of all workers say together.
#[derive(Debug)]
pub struct Recovered {
    /// Where to go on.
    pub frontier: Frontier,
    /// The last transaction of each worker, which its next guard must find.
    pub last: Vec<(u32, Seq)>,
}

impl Recovered {
    /// The frontier is the greatest `low`; what is done is the union.
    ///
    /// # Errors
    /// `BB1005` if there are no rows.
    pub fn from_rows(rows: &[Row]) -> Result<Self> {
        let Some(best) = rows.iter().max_by_key(|row| row.low.seq) else {
            bail!(NoPosition, "no start position is stored for this bridge on the target");
        };
        let mut done = Ranges::default();
        for row in rows {
            done.union(&row.done);
        }
        let frontier = Frontier::new(best.low.clone(), done);
        Ok(Self { frontier, last: rows.iter().map(|row| (row.worker, row.seq)).collect() })
    }
}

/// The names of the tables of one bridge, and the SQL that reads and writes them.
///
/// Every literal is a number, ASCII in single quotes, or hexadecimal, so that the text means the same under any
/// `sql_mode` and any client character set: statement events of the source change both.
#[derive(Debug, Clone)]
pub struct Tables {
    schema: String,
    bridge: String,
    /// Both as they are, without quotes.
    schema_name: String,
    bridge_name: String,
}

/// Fails (error 1242) if its first operand is not true. In the select list of `DO`, this is the cheapest statement that
/// stops a multi-statement packet.
const REFUSE: &str = "(SELECT 1 UNION SELECT 2)";

impl Tables {
    /// The tables of the bridge `bridge` in `schema`.
    pub fn new(schema: &str, bridge: &str) -> Self {
        Self {
            schema: quote_identifier(schema),
            bridge: quote_text(bridge),
            schema_name: schema.to_owned(),
            bridge_name: bridge.to_owned(),
        }
    }

    /// Creates what is not there. Each is a statement of its own.
    pub fn create(&self) -> [String; 6] {
        let schema = &self.schema;
        [
            format!("CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            format!(
                "CREATE TABLE IF NOT EXISTS {schema}.bridge (bridge VARCHAR(64) NOT NULL PRIMARY KEY, \
                 bridge_uuid CHAR(36) NOT NULL, source_uuid CHAR(36) NOT NULL, by_gtid BOOL NOT NULL, \
                 ddl_count BIGINT UNSIGNED NOT NULL, created_us BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {schema}.progress (bridge VARCHAR(64) NOT NULL, worker INT UNSIGNED NOT NULL, \
                 epoch BIGINT UNSIGNED NOT NULL, session BIGINT UNSIGNED NOT NULL, seq BIGINT UNSIGNED NOT NULL, \
                 low_seq BIGINT UNSIGNED NOT NULL, low_file VARCHAR(512) NULL, low_pos BIGINT UNSIGNED NULL, \
                 low_gtid_set LONGTEXT NULL, done LONGTEXT NOT NULL, source_commit_us BIGINT UNSIGNED NULL, \
                 updated_us BIGINT UNSIGNED NOT NULL, PRIMARY KEY (bridge, worker, epoch, session, seq)) \
                 ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {schema}.ddl (bridge VARCHAR(64) NOT NULL PRIMARY KEY, seq BIGINT UNSIGNED NOT NULL, \
                 part INT UNSIGNED NOT NULL, gtid VARCHAR(128) NULL, statement_sha256 CHAR(64) NOT NULL, \
                 fingerprint CHAR(64) NULL, at_file VARCHAR(512) NOT NULL, at_pos BIGINT UNSIGNED NOT NULL, \
                 decided VARCHAR(8) NULL) ENGINE=InnoDB"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {schema}.lease (bridge VARCHAR(64) NOT NULL PRIMARY KEY, owner CHAR(36) NOT NULL, \
                 host VARCHAR(255) NOT NULL, expires_us BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {schema}.native (bridge VARCHAR(64) NOT NULL PRIMARY KEY, phase VARCHAR(16) NOT NULL, \
                 started BOOL NOT NULL, wanted VARCHAR(16) NULL, by_gtid BOOL NULL, at_file VARCHAR(512) NULL, \
                 at_pos BIGINT UNSIGNED NULL, at_gtid_set LONGTEXT NULL, reason TEXT NOT NULL, \
                 since_us BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
            ),
        ]
    }

    /// The bridge's name, quoted.
    pub fn name(&self) -> &str {
        &self.bridge
    }

    /// The condition that picks this bridge's rows.
    pub fn mine(&self) -> String {
        format!("bridge = {}", self.bridge)
    }

    /// A table's name, ready for SQL.
    pub fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.schema)
    }

    /// Stores a start position: the bridge's row and worker 0's. Two statements, for one transaction. The epoch starts
    /// at the time: a bridge left over from before must not find its own number again.
    pub fn start(&self, bridge_uuid: Uuid, source_uuid: &str, low: &Mark, now_us: u64) -> [String; 2] {
        let Self { schema, bridge, .. } = self;
        let by_gtid = u8::from(low.gtids.is_some());
        [
            format!(
                "INSERT INTO {schema}.bridge VALUES ({bridge}, '{bridge_uuid}', {}, {by_gtid}, 0, {now_us})",
                quote_text(source_uuid)
            ),
            self.add_worker(0, now_us, low, now_us),
        ]
    }

    /// Forgets everything stored for this bridge. Statements for one transaction.
    pub fn forget(&self) -> [String; 4] {
        ["ddl", "progress", "bridge", "native"]
            .map(|table| format!("DELETE FROM {}.{table} WHERE {}", self.schema, self.mine()))
    }

    /// Becomes the owner: moves the epoch of every row of the bridge, which must be locked. One statement.
    pub fn take(&self, epoch: u64) -> String {
        format!("UPDATE {}.progress SET epoch = {epoch}, session = 0 WHERE {}", self.schema, self.mine())
    }

    /// The statement that takes a DDL statement's intent away, for the transaction that records the statement's end.
    pub fn forget_ddl(&self) -> String {
        format!("DELETE FROM {}.ddl WHERE {}", self.schema, self.mine())
    }

    /// Adds the row of a worker that has none, owned by `epoch`.
    pub fn add_worker(&self, worker: u32, epoch: u64, low: &Mark, now_us: u64) -> String {
        let Self { schema, bridge, .. } = self;
        format!(
            "INSERT INTO {schema}.progress VALUES ({bridge}, {worker}, {epoch}, 0, {seq}, {seq}, {low}, '', NULL, {now_us})",
            seq = low.seq,
            low = mark_values(low)
        )
    }

    /// After a lost connection: moves the session, so that what the old connection still holds is refused. Affects no
    /// row if another owner has taken over.
    pub fn bump(&self, worker: u32, fence: Fence) -> String {
        format!(
            "UPDATE {}.progress SET session = session + 1 WHERE {} AND worker = {worker} AND epoch = {} AND session = {}",
            self.schema,
            self.mine(),
            fence.epoch,
            fence.session
        )
    }

    /// Reads every row of the bridge, locked until the end of the transaction.
    pub fn read(&self, lock: bool) -> String {
        format!(
            "SELECT worker, epoch, session, seq, low_seq, low_file, low_pos, low_gtid_set, done FROM {}.progress WHERE {} ORDER BY worker{}",
            self.schema,
            self.mine(),
            if lock { " FOR UPDATE" } else { "" }
        )
    }

    /// The question whose answer [`row_fence`](Self::row_fence) takes.
    pub fn ask_row_fence(&self) -> String {
        RowFence::question(&quote_text(&self.schema_name))
    }

    /// What guards batches of row events, if the table is laid out as this version creates it.
    pub fn row_fence(&self, answer: &Rows) -> Option<RowFence> {
        let first = answer.rows.first()?;
        let columns = answer.rows.iter().map(|row| [2, 3, 4, 5, 6].map(|index| row.text(index)));
        RowFence::new(&self.bridge_name, (first.text(0)?, first.text(1)?), columns)
    }

    /// Fails with error 1242 unless the worker's row is as this batch expects it.
    pub fn guard(&self, worker: u32, fence: Fence, previous: Seq) -> String {
        format!(
            "DO IFNULL((SELECT 1 FROM {}.progress WHERE {} FOR UPDATE), {REFUSE})",
            self.schema,
            self.row(worker, fence, previous)
        )
    }

    /// The condition that picks a worker's row as its guard wants it. All of the key: a change of the key that is found by
    /// a part of it costs the server a sort.
    fn row(&self, worker: u32, fence: Fence, seq: Seq) -> String {
        let Fence { epoch, session } = fence;
        format!(
            "{} AND worker = {worker} AND epoch = {epoch} AND session = {session} AND seq = {seq}",
            self.mine()
        )
    }

    /// Records what a batch applied, behind its guard.
    pub fn record(
        &self,
        (worker, fence, previous): (u32, Fence, Seq),
        seq: Seq,
        frontier: &Frontier,
        now_us: u64,
    ) -> String {
        let low = frontier.low();
        let at = low.at.as_ref().map_or(String::new(), |at| {
            format!(", low_file = {}, low_pos = {}", quote_text(&at.file), at.offset)
        });
        let gtids = low
            .gtids
            .as_ref()
            .map_or(String::new(), |set| format!(", low_gtid_set = {}", quote_text(&set.to_string())));
        let commit = frontier.committed_us().map_or(String::new(), |us| format!(", source_commit_us = {us}"));
        format!(
            "UPDATE {}.progress SET seq = {seq}, low_seq = {}{at}{gtids}, done = '{}'{commit}, updated_us = {now_us} \
             WHERE {}",
            self.schema,
            low.seq,
            frontier.done(),
            self.row(worker, fence, previous)
        )
    }
}

/// `low_seq` is written by the caller; this is `low_file, low_pos, low_gtid_set`.
fn mark_values(low: &Mark) -> String {
    let (file, offset) = low
        .at
        .as_ref()
        .map_or(("NULL".to_owned(), "NULL".to_owned()), |at| (quote_text(&at.file), at.offset.to_string()));
    let gtids = low.gtids.as_ref().map_or("NULL".to_owned(), |set| quote_text(&set.to_string()));
    format!("{file}, {offset}, {gtids}")
}

/// A packet's later parts refuse to run if the one before failed: it leaves its mark in a session variable.
pub(crate) fn part_guard(mark: &str) -> String {
    format!("DO IF(@binbridge_part <=> '{mark}', 1, {REFUSE})")
}

/// Leaves the mark that [`part_guard`] looks for.
pub(crate) fn part_mark(mark: &str) -> String {
    format!("SET @binbridge_part = '{mark}'")
}

impl Row {
    /// Whether a packet may run: what [`Tables::guard`] asks, in words of this program.
    pub fn admits(&self, fence: Fence, previous: Seq) -> bool {
        self.fence == fence && self.seq == previous
    }

    /// Understands the rows that [`Tables::read`] asks for.
    ///
    /// # Errors
    /// `BB4012` if a row does not hold what this version writes, or a worker has two: the table's key allows that.
    pub fn parse_all(rows: &Rows) -> Result<Vec<Self>> {
        let rows: Vec<Self> = rows.rows.iter().map(Self::parse).collect::<Result<_>>()?;
        let workers: BTreeSet<u32> = rows.iter().map(|row| row.worker).collect();
        if workers.len() < rows.len() {
            bail!(Progress, "a worker of this bridge has more than one progress row");
        }
        Ok(rows)
    }

    fn parse(row: &ResultRow) -> Result<Self> {
        let number = |index: usize| row.text(index).and_then(|text| text.parse::<u64>().ok());
        let damaged = |column: &str| {
            Error::new(Code::Progress, format!("progress row: column `{column}` cannot be understood"))
        };
        let at = match (row.text(5), number(6)) {
            (Some(file), Some(offset)) => Some(Coordinates { file: file.into(), offset }),
            (None, None) => None,
            _ => return Err(damaged("low_file")),
        };
        let gtids =
            row.text(7).map(str::parse::<GtidSet>).transpose().map_err(|_| damaged("low_gtid_set"))?;
        if at.is_none() && gtids.is_none() {
            return Err(damaged("low_file"));
        }
        Ok(Self {
            worker: number(0)
                .and_then(|worker| u32::try_from(worker).ok())
                .ok_or_else(|| damaged("worker"))?,
            fence: Fence {
                epoch: number(1).ok_or_else(|| damaged("epoch"))?,
                session: number(2).ok_or_else(|| damaged("session"))?,
            },
            seq: number(3).map(Seq).ok_or_else(|| damaged("seq"))?,
            low: Mark { seq: Seq(number(4).ok_or_else(|| damaged("low_seq"))?), at, gtids },
            done: row.text(8).ok_or_else(|| damaged("done"))?.parse()?,
        })
    }
}
