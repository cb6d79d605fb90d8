//! What is known at one moment, as `/status` tells it: the field names here are the JSON's and part of the interface.
//!
//! Positions are text (`file:offset`). `null` always means "not known", never 0. Times end in `_ms` (milliseconds since
//! 1970) or `_seconds`.

use super::NativeChannel;
use super::history::Sample;
use serde::{Deserialize, Serialize};

/// Everything that is told about a bridge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The bridge's name.
    pub bridge: String,
    /// The version of binbridge.
    pub version: String,
    /// When the process started.
    pub started_ms: u64,
    /// When this was taken.
    pub now_ms: u64,
    /// What the bridge is doing.
    pub state: State,
    /// What an operator has ordered.
    #[serde(default)]
    pub orders: OrdersStatus,
    /// Whether it is ready, and what is missing.
    pub ready: Ready,
    /// The source.
    pub source: EndStatus,
    /// The target.
    pub target: EndStatus,
    /// Where it is in the source's log.
    pub position: Position,
    /// How far behind it is.
    pub lag: LagStatus,
    /// Averages of the last five seconds; `null` in the first.
    pub rates: Option<Sample>,
    /// The newest second, as a point of `/history`; `null` in the first.
    pub second: Option<Sample>,
    /// When `second` was taken.
    pub second_ms: u64,
    /// Latency from commit to commit in the last minute.
    pub latency: Latency,
    /// Counts since the process started.
    pub totals: Totals,
    /// The newest commit on the target.
    pub last_commit: Option<LastCommit>,
    /// Queues between the stages.
    pub queues: Vec<Queue>,
    /// The source's clock minus ours.
    pub clock_offset_seconds: Option<f64>,
    /// What the source would purge before it comes to our position.
    pub purge_margin: Option<Margin>,
    /// The newest error.
    pub last_error: Option<LastError>,
    /// The target's own replication channel.
    #[serde(default)]
    pub native: Option<NativeChannel>,
}

/// What the bridge is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// `starting`, `standby`, `taking_over`, `handing_back`, `catching_up`, `streaming`, `paused`, `retrying`, `draining`,
    /// `stopped` or `failed`.
    pub name: String,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since_ms: u64,
}

/// What an operator has ordered and what is still in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrdersStatus {
    /// Nothing new is applied.
    pub paused: Option<PausedStatus>,
    /// The place at which it will pause.
    pub until: Option<String>,
    /// Transactions that will be passed over, as they were named.
    pub skips: Vec<String>,
    /// Source transactions per second, at most.
    pub max_transactions_per_second: Option<u64>,
    /// Bytes of events per second, at most.
    pub max_bytes_per_second: Option<u64>,
}

/// A pause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedStatus {
    /// `operator`, `until` or `start`.
    pub by: String,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since_ms: u64,
}

/// The latches of `/readyz`.
#[expect(clippy::struct_excessive_bools, reason = "latches that are set independently, named in the JSON")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// All of the others.
    pub ready: bool,
    /// The stream from the source is open.
    pub source_connected: bool,
    /// The target can be written to.
    pub target_connected: bool,
    /// The start position was read from the target.
    pub position_loaded: bool,
}

/// One of the two servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndStatus {
    /// Host and port.
    pub address: String,
    /// Version and what else is known of the server; empty before the first connection.
    pub server: String,
    /// Connected now.
    pub connected: bool,
    /// Connections made anew since start.
    pub reconnects: u64,
}

/// Positions in the source's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Read up to here.
    pub received: Option<String>,
    /// Committed on the target up to here; a restart continues here.
    pub applied: Option<String>,
    /// The source's end of log when last asked.
    pub source_end: Option<String>,
    /// The 1-based number, since the start position, of the newest applied transaction.
    pub seq: u64,
}

/// How far behind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LagStatus {
    /// Age of the oldest source commit that was not read.
    pub received_seconds: Option<f64>,
    /// Age of the oldest source commit that is not on the target.
    pub applied_seconds: Option<f64>,
    /// The same: changes and progress share a commit.
    pub durable_seconds: Option<f64>,
    /// Why the lag of what is applied is not known, if it is not.
    pub unknown_because: Option<String>,
    /// Received and not yet applied.
    pub transactions: u64,
    /// Bytes of binlog from the applied position to the source's end.
    pub bytes: Option<u64>,
    /// When nothing was missing, the last time.
    pub caught_up_ms: Option<u64>,
    /// Seconds until it catches up; withheld until there is a steady trend.
    pub eta_seconds: Option<f64>,
}

/// Latency of a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Transactions with a commit time.
    pub transactions: u64,
    /// Median, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile, in milliseconds.
    pub p99_ms: Option<f64>,
}

/// Counts since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Transactions received; those read again after a reconnect count again.
    pub received: u64,
    /// Transactions applied.
    pub applied: u64,
    /// Transactions passed because nothing in them is for the target.
    pub filtered: u64,
    /// Transactions passed because an operator named them.
    pub skipped: u64,
    /// Row changes applied.
    pub rows: u64,
    /// Statements applied.
    pub statements: u64,
    /// DDL statements run.
    pub ddl: u64,
    /// Commits on the target.
    pub commits: u64,
    /// Bytes of binlog received.
    pub bytes: u64,
    /// Commits tried again.
    pub retries: u64,
    /// Errors, transient ones too.
    pub errors: u64,
}

/// A commit on the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCommit {
    /// When.
    pub at_ms: u64,
    /// Source transactions in it.
    pub transactions: u64,
    /// Bytes sent for it.
    pub bytes: u64,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Items in it.
    pub depth: usize,
    /// Items it may hold.
    #[serde(default)]
    pub capacity: usize,
    /// Bytes in it.
    pub bytes: usize,
    /// Bytes it may hold.
    pub capacity_bytes: usize,
}

/// What the source keeps before our position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Margin {
    /// Older files; -1 if ours is gone.
    pub files: i64,
    /// Their bytes.
    pub bytes: u64,
}

/// An error that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// The stable code.
    pub code: String,
    /// What happened, and where.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
    /// When.
    pub at_ms: u64,
    /// Transient: the bridge tries again by itself.
    pub transient: bool,
}
