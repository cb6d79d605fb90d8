//! The words in which stages tell what happened.

use crate::binlog::RowsKind;
use crate::position::Coordinates;
use serde::{Deserialize, Serialize};

/// One of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Where changes come from.
    Source,
    /// Where they go.
    Target,
}

/// What a bridge is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// From the start of the process until both ends are connected.
    Starting,
    /// Another instance of this bridge, or the native channel, does the work; this one watches.
    Standby,
    /// The native channel is being stopped, so that the bridge can go on from where it is.
    TakingOver,
    /// The native channel is being started where the bridge has stopped.
    HandingBack,
    /// Applying what was committed before now; ends when the source's end of log is reached.
    CatchingUp,
    /// Following the source as it commits.
    Streaming,
    /// Told to apply nothing new; what is read waits.
    Paused,
    /// A transient error: waiting to try again. Ends with a connection or with `Failed`.
    Retrying,
    /// Asked to stop: what is in flight is finished.
    Draining,
    /// Stopped as asked.
    Stopped,
    /// A definite error: an operator must act.
    Failed,
}

impl Lifecycle {
    /// All, in the order of a life.
    pub const ALL: &'static [Self] = &[
        Self::Starting,
        Self::Standby,
        Self::TakingOver,
        Self::HandingBack,
        Self::CatchingUp,
        Self::Streaming,
        Self::Paused,
        Self::Retrying,
        Self::Draining,
        Self::Stopped,
        Self::Failed,
    ];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::TakingOver => "taking_over",
            Self::HandingBack => "handing_back",
            Self::CatchingUp => "catching_up",
            Self::Streaming => "streaming",
            Self::Paused => "paused",
            Self::Retrying => "retrying",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// The target's own replication channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeChannel {
    /// Its receiver is connected.
    pub receives: bool,
    /// Its applier runs.
    pub applies: bool,
    /// Its own idea of its lag; none where the server says NULL.
    pub lag_seconds: Option<u64>,
    /// `well`, or what is wrong with it.
    pub state: String,
}

impl NativeChannel {
    /// Whether nothing is wrong with it.
    pub fn is_well(&self) -> bool {
        self.state == "well"
    }
}

/// Where the time goes: the values of the label `stage` of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// One event's bytes become an event. Sampled.
    Decode,
    /// One event is added to its transaction. Sampled.
    Assemble,
    /// From a unit's hand-over by the reader until a worker takes it, be it for want of a worker or of permission: the
    /// oldest of a batch, or a piece of a large transaction.
    Queue,
    /// One window of transactions is checked against the target's tables and shared out.
    Schedule,
    /// One batch becomes the text of its packet, by its net effect or as it came.
    Encode,
    /// One packet: from when the target had nothing before it, to the last answer before that to its `COMMIT`.
    Apply,
    /// The same packet's `COMMIT`.
    Commit,
}

impl Stage {
    /// All, in the order of the data's way.
    pub const ALL: &'static [Self] =
        &[Self::Decode, Self::Assemble, Self::Queue, Self::Schedule, Self::Encode, Self::Apply, Self::Commit];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Assemble => "assemble",
            Self::Queue => "queue",
            Self::Schedule => "schedule",
            Self::Encode => "encode",
            Self::Apply => "apply",
            Self::Commit => "commit",
        }
    }
}

/// Row changes by what they do, as the source made them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    /// Inserted.
    pub inserted: u64,
    /// Updated.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
}

impl Rows {
    /// Adds what a rows event changes.
    pub fn add(&mut self, kind: RowsKind, rows: u64) {
        let sum = match kind {
            RowsKind::Insert => &mut self.inserted,
            RowsKind::Update | RowsKind::PartialUpdate => &mut self.updated,
            RowsKind::Delete => &mut self.deleted,
        };
        *sum = sum.saturating_add(rows);
    }

    /// All of them.
    pub const fn total(self) -> u64 {
        self.inserted.saturating_add(self.updated).saturating_add(self.deleted)
    }
}

/// A commit on the target.
#[derive(Debug, Clone)]
pub struct Committed<'a> {
    /// The source position up to which everything is now applied; none if that is not known yet.
    pub at: Option<Coordinates>,
    /// The seq of the newest transaction up to there.
    pub seq: u64,
    /// How many transactions that position has moved over.
    pub passed: u64,
    /// Source transactions of which something was applied.
    pub transactions: u64,
    /// Source transactions passed because nothing in them is for the target; not in `transactions`.
    pub filtered: u64,
    /// Row changes.
    pub rows: Rows,
    /// Statement events.
    pub statements: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// When the source committed the newest transaction up to `at`, by its clock.
    pub newest_committed_us: Option<u64>,
    /// When the source committed each of them, by its clock, as far as it says: the latencies are measured from here.
    pub committed_us: &'a [u64],
}
