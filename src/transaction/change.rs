//! What a source transaction is, once its events are put together.

use std::sync::Arc;

use bytes::Bytes;

use crate::binlog::{FormatDescription, QueryEvent, RowsEvent, UserVar};
use crate::position::{Coordinates, Gtid};
use crate::progress::Seq;

use super::Routed;
use super::weigh::timeless;

pub use crate::binlog::Xid;

/// The format description of the binlog that a transaction comes from, as an event without checksum: a target session
/// must be shown it before it takes the transaction's row events.
#[derive(Debug, PartialEq, Eq)]
pub struct Format(pub Bytes);

impl Format {
    /// Of a stream that begins with this event.
    pub fn of(format: &FormatDescription) -> Self {
        Self(timeless(&format.without_checksum()))
    }
}

/// One source commit.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Its number.
    pub seq: Seq,
    /// Its GTID, if the source gave it one.
    pub gtid: Option<Gtid>,
    /// Where it begins.
    pub start: Coordinates,
    /// Where it ends: the place to go on after it.
    pub end: Coordinates,
    /// When the source committed it, in microseconds since 1970: to the microsecond where the source says so.
    pub committed_us: Option<u64>,
    /// The source's logical clock.
    pub clock: Clock,
    /// What it does.
    pub body: Body,
    /// Bytes of events held, for limits.
    pub bytes: usize,
    /// Earlier parts of it went ahead as [`Piece`]s.
    pub streamed: bool,
    /// Needed to send its row events.
    pub format: Arc<Format>,
}

/// `last_committed` and `sequence_number` of a GTID event: what was prepared together is disjoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// The newest transaction this one must follow.
    pub last_committed: i64,
    /// Its own number in the source's current binlog file.
    pub sequence_number: i64,
}

/// What a transaction does.
#[derive(Debug, Clone)]
pub enum Body {
    /// Rows and statements in order; none, if all were filtered.
    Changes(Vec<Change>),
    /// A statement that commits by itself.
    Ddl(Box<StatementChange>),
    /// `CREATE TABLE ... SELECT` of an 8.0.21+ source: the table, then its rows.
    CreateSelect(Box<StatementChange>, Vec<Change>),
    /// `XA PREPARE`: the changes wait for a later transaction that resolves them.
    Prepare(Xid, Vec<Change>),
    /// `XA COMMIT` (true) or `XA ROLLBACK` of an earlier [`Body::Prepare`].
    Resolve(Xid, bool),
}

/// One change of a transaction.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are rows; boxing them would cost an allocation per event"
)]
pub enum Change {
    /// A rows event.
    Rows(RowsChange),
    /// A statement that changes rows.
    Statement(Box<StatementChange>),
}

/// A rows event and the table it goes to.
#[derive(Debug, Clone)]
pub struct RowsChange {
    /// The target's table.
    pub table: Arc<Routed>,
    /// The rows.
    pub event: RowsEvent,
    /// The event's bytes, without checksum.
    pub bytes: Bytes,
    /// How many rows it changes.
    pub rows: u64,
}

/// A statement with all that its meaning depends on.
#[derive(Debug, Clone)]
pub struct StatementChange {
    /// Seconds since 1970 at which it ran.
    pub timestamp: u32,
    /// The statement event; names are the target's already.
    pub query: QueryEvent,
    /// What the events before it said.
    pub context: Context,
}

/// What `INTVAR`, `RAND` and `USER_VAR` events say about the statement that follows them.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// `LAST_INSERT_ID()`.
    pub last_insert_id: Option<u64>,
    /// The first `AUTO_INCREMENT` value.
    pub insert_id: Option<u64>,
    /// The seeds of `RAND()`.
    pub rand: Option<(u64, u64)>,
    /// User variables that the statement reads.
    pub user_vars: Vec<UserVar>,
}

/// What the assembler hands on.
#[derive(Debug)]
pub enum Unit {
    /// A whole transaction, or the end of one that was streamed.
    Whole(Transaction),
    /// A part of a transaction that is too large to be held whole.
    Piece(Piece),
    /// The transaction whose pieces went ahead broke off; it comes again from its beginning.
    Abandoned(Seq),
    /// Between two transactions, a new binlog file began here.
    Place(Coordinates),
}

/// A part of a large transaction, sent ahead of its end.
#[derive(Debug)]
pub struct Piece {
    /// The transaction it is part of.
    pub seq: Seq,
    /// Its GTID, if the source gave it one.
    pub gtid: Option<Gtid>,
    /// Where that transaction begins.
    pub start: Coordinates,
    /// When the source committed it, if its GTID event says so.
    pub committed_us: Option<u64>,
    /// 0 for the first piece.
    pub index: u32,
    /// The table that `CREATE TABLE ... SELECT` makes; with the first piece only.
    pub create: Option<Box<StatementChange>>,
    /// The changes, in order, after those of the piece before.
    pub changes: Vec<Change>,
    /// Bytes of events held.
    pub bytes: usize,
    /// Needed to send its row events.
    pub format: Arc<Format>,
}

impl Unit {
    /// Bytes of events it holds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Whole(transaction) => transaction.bytes,
            Self::Piece(piece) => piece.bytes,
            Self::Abandoned(_) | Self::Place(_) => 0,
        }
    }
}

impl Change {
    /// The table a rows event goes to.
    pub fn table(&self) -> Option<&Arc<Routed>> {
        match self {
            Self::Rows(rows) => Some(&rows.table),
            Self::Statement(_) => None,
        }
    }

    /// Rows it changes, as far as the log says.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Rows(rows) => rows.rows,
            Self::Statement(_) => 0,
        }
    }
}
