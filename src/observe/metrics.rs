//! Every metric's name, labels and help. Nothing outside this file spells a metric name.
//!
//! Names are part of the interface: dashboards, alerts and the README are tested against [`ALL`]. Every series also
//! carries the constant label `bridge`. Label values are bounded: error codes, states, stage and queue names.

/// What kind of instrument it is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows.
    Counter,
    /// A distribution.
    Histogram(&'static [f64]),
}

/// One metric of the contract.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name in full, with prefix and unit.
    pub name: &'static str,
    /// The kind of instrument.
    pub kind: Kind,
    /// The labels beside `bridge`.
    pub labels: &'static [&'static str],
    /// The help text.
    pub help: &'static str,
}

/// 50 microseconds to 100 seconds: a step of the way.
const STEP: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 100.0,
];
/// A millisecond to a day: from commit to commit.
const LATENCY: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
    7200.0, 86400.0,
];
const TRANSACTIONS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 2.5e4, 1e5];
const BYTES: &[f64] = &[
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

macro_rules! metrics {
    ($( $id:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal; )*) => {
        $( #[doc = $help] #[allow(clippy::doc_markdown, reason = "help texts are for people")] pub const $id: Metric = Metric { name: $name, kind: $kind, labels: &[$($label),*], help: $help }; )*
        /// Every metric, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    BUILD_INFO = "binbridge_build_info", Kind::Gauge, ["version", "revision", "rustc"],
        "Always 1; what was built, and by which compiler.";
    LIFECYCLE_STATE = "binbridge_lifecycle_state", Kind::Gauge, ["state"],
        "1 for the state the bridge is in, 0 for the others.";
    PAUSED = "binbridge_paused", Kind::Gauge, ["reason"],
        "1 while nothing new is applied, because an operator said so (operator), the place to stop at was reached (until) \
         or it was started so (start); 0 otherwise.";
    SOURCE_CONNECTED = "binbridge_source_connected", Kind::Gauge, [],
        "1 while the stream from the source is open.";
    TARGET_CONNECTED = "binbridge_target_connected", Kind::Gauge, [],
        "1 while the target can be written to.";
    SOURCE_RECONNECTS_TOTAL = "binbridge_source_reconnects_total", Kind::Counter, ["reason"],
        "Connections to the source made anew, by the error code that ended the one before.";
    TARGET_RECONNECTS_TOTAL = "binbridge_target_reconnects_total", Kind::Counter, ["reason"],
        "Connections to the target made anew, by the error code that ended the one before.";
    LAG_SECONDS = "binbridge_lag_seconds", Kind::Gauge, ["stage"],
        "Age of the oldest source commit that is not yet past the stage; 0 only while the source's end of log is known \
         to be past it; NaN while unknown. A target commit makes changes and progress durable together, so applied and \
         durable are the same.";
    LAG_KNOWN = "binbridge_lag_known", Kind::Gauge, ["stage"],
        "1 while the lag of the stage is known, 0 while it is not (then binbridge_lag_seconds is NaN).";
    LAG_TRANSACTIONS = "binbridge_lag_transactions", Kind::Gauge, [],
        "Source transactions received and not yet committed on the target.";
    LAG_BYTES = "binbridge_lag_bytes", Kind::Gauge, [],
        "Bytes of source binlog between the applied position and the source's end of log; NaN while unknown.";
    LAST_TRANSACTION_TIMESTAMP_SECONDS = "binbridge_last_transaction_timestamp_seconds", Kind::Gauge, ["stage"],
        "When the newest transaction past the stage was committed on the source, by the source's clock; NaN before the first.";
    CAUGHT_UP_TIMESTAMP_SECONDS = "binbridge_caught_up_timestamp_seconds", Kind::Gauge, [],
        "When it was last known that every commit of the source was on the target; NaN if never since start.";
    SOURCE_HEARTBEAT_TIMESTAMP_SECONDS = "binbridge_source_heartbeat_timestamp_seconds", Kind::Gauge, [],
        "When the source's last heartbeat arrived; a source with traffic sends none. NaN before the first.";
    SOURCE_END_TIMESTAMP_SECONDS = "binbridge_source_end_timestamp_seconds", Kind::Gauge, [],
        "When the source's end of log was last learned, from a poll or a heartbeat; NaN before the first.";
    SOURCE_CLOCK_OFFSET_SECONDS = "binbridge_source_clock_offset_seconds", Kind::Gauge, [],
        "The source's clock minus this machine's; NaN until measured. Latency and lag are corrected by it.";
    PURGE_MARGIN_FILES = "binbridge_purge_margin_files", Kind::Gauge, [],
        "Binlog files the source keeps that are older than the one to be applied next: 0 means ours is the next to be \
         purged, -1 that it is gone; NaN while unknown.";
    PURGE_MARGIN_BYTES = "binbridge_purge_margin_bytes", Kind::Gauge, [],
        "Bytes of the files counted by binbridge_purge_margin_files; NaN while unknown or gone.";
    EVENTS_TOTAL = "binbridge_events_total", Kind::Counter, ["type"],
        "Binlog events received, by type.";
    SOURCE_BYTES_TOTAL = "binbridge_source_bytes_total", Kind::Counter, [],
        "Bytes of binlog events received.";
    TRANSACTIONS_TOTAL = "binbridge_transactions_total", Kind::Counter, ["stage", "outcome"],
        "Source transactions past a stage. Received counts again what is read again after a reconnect; applied counts \
         each once, as committed, filtered (nothing to apply) or skipped (named by an operator).";
    SKIPPED_TRANSACTIONS_TOTAL = "binbridge_skipped_transactions_total", Kind::Counter, [],
        "Source transactions passed over because an operator named them: the target lacks what they changed.";
    ROWS_TOTAL = "binbridge_rows_total", Kind::Counter, ["op"],
        "Row changes of the source that are committed on the target: insert, update, delete. Where a batch carries the net \
         effect of its transactions, the target ran fewer.";
    STATEMENTS_TOTAL = "binbridge_statements_total", Kind::Counter, [],
        "Statement events committed on the target.";
    COMMITS_TOTAL = "binbridge_commits_total", Kind::Counter, [],
        "Commits of transactions on the target, each with the progress row.";
    CHECKPOINT_LAST_TIMESTAMP_SECONDS = "binbridge_checkpoint_last_timestamp_seconds", Kind::Gauge, [],
        "When a progress row was last committed on the target, by this machine's clock; NaN before the first since start. It \
         stands still while the source is idle.";
    DDL_TOTAL = "binbridge_ddl_total", Kind::Counter, [],
        "DDL statements run on the target.";
    BATCH_TRANSACTIONS = "binbridge_batch_transactions", Kind::Histogram(TRANSACTIONS), [],
        "Source transactions that one target commit carries.";
    BATCH_BYTES = "binbridge_batch_bytes", Kind::Histogram(BYTES), [],
        "Bytes of events that one target commit carries.";
    COMMIT_LATENCY_SECONDS = "binbridge_commit_latency_seconds", Kind::Histogram(LATENCY), [],
        "From the commit on the source to the commit on the target, per transaction, clock offset subtracted.";
    STAGE_DURATION_SECONDS = "binbridge_stage_duration_seconds", Kind::Histogram(STEP), ["stage"],
        "Time spent in a stage, per unit of its work. decode, assemble: one event, measured at each 61st. queue: from the \
         reader's hand-over until a worker takes it, of the oldest transaction of a batch; pauses and limits count. schedule: \
         one window of transactions checked against the target's tables and shared out. encode: one batch made into its \
         packet. apply: the packet's changes and progress row on the target, from when nothing was before it on its \
         connection, a round trip included where none was. commit: its COMMIT. Both as its answers arrive here.";
    QUEUE_DEPTH = "binbridge_queue_depth", Kind::Gauge, ["queue"],
        "Items waiting in a queue.";
    QUEUE_CAPACITY = "binbridge_queue_capacity", Kind::Gauge, ["queue"],
        "Items a queue may hold.";
    QUEUE_BYTES = "binbridge_queue_bytes", Kind::Gauge, ["queue"],
        "Bytes waiting in a queue or taken from it and not committed yet.";
    QUEUE_CAPACITY_BYTES = "binbridge_queue_capacity_bytes", Kind::Gauge, ["queue"],
        "What binbridge_queue_bytes may be.";
    BACKPRESSURE_SECONDS_TOTAL = "binbridge_backpressure_seconds_total", Kind::Counter, ["stage"],
        "Time a stage waited for room behind it: read, for memory or a place in the queue. A pause fills both.";
    WORKERS = "binbridge_workers", Kind::Gauge, [],
        "Connections that apply; 0 while the bridge applies nothing at all.";
    WORKERS_BUSY = "binbridge_workers_busy", Kind::Gauge, [],
        "Those of them that encode a batch or wait for the target.";
    NATIVE_RUNNING = "binbridge_native_running", Kind::Gauge, ["thread"],
        "Of the target's own replication channel: 1 while its receiver is connected, its applier runs; NaN without a channel.";
    NATIVE_LAG_SECONDS = "binbridge_native_lag_seconds", Kind::Gauge, [],
        "The lag that the target's own replication channel reports (Seconds_Behind_Source); NaN while it reports none.";
    NATIVE_CHANGES_TOTAL = "binbridge_native_changes_total", Kind::Counter, ["to"],
        "Changes of who applies: take-overs from the target's own replication channel (bridge), hand-backs to it (native).";
    NATIVE_WELL = "binbridge_native_well", Kind::Gauge, [],
        "1 while the target's own replication channel is well by the rules for taking over, 0 while it is not; NaN without a \
         channel.";
    APPLY_RETRIES_TOTAL = "binbridge_apply_retries_total", Kind::Counter, ["reason"],
        "Batches tried again: deadlock, lock_wait, or connection, for those under way when it was lost (one that turns out \
         to be committed is not applied again).";
    ERRORS_TOTAL = "binbridge_errors_total", Kind::Counter, ["code", "severity"],
        "Errors by code; transient ones are retried, definite ones stop the bridge.";
    INVARIANT_VIOLATIONS_TOTAL = "binbridge_invariant_violations_total", Kind::Counter, [],
        "Broken invariants of the program. Must stay 0; the log says which.";
}

/// The values of the label `to`: who applies from now on.
pub mod applier {
    /// The bridge.
    pub const BRIDGE: &str = "bridge";
    /// The target's own replication.
    pub const NATIVE: &str = "native";
    /// Both.
    pub const ALL: [&str; 2] = [BRIDGE, NATIVE];
}

/// Values of the label `stage`; those of durations are [`Stage`](super::Stage)'s.
pub mod stage {
    /// Reading from the source.
    pub const READ: &str = "read";
    /// Read from the source.
    pub const RECEIVED: &str = "received";
    /// Committed on the target.
    pub const APPLIED: &str = "applied";
    /// Committed on the target and recorded in the progress row: the same commit.
    pub const DURABLE: &str = "durable";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_prefixed_and_explained() {
        let names: HashSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert!(metric.name.starts_with("binbridge_"), "{}", metric.name);
            assert!(metric.help.ends_with('.') || metric.help.ends_with(')'), "{}", metric.name);
            assert!(metric.labels.iter().all(|label| *label != "bridge"), "{}", metric.name);
        }
    }

    #[test]
    fn counters_and_only_counters_end_in_total() {
        for metric in ALL {
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        }
    }

    #[test]
    fn buckets_ascend() {
        for metric in ALL {
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(buckets.is_sorted(), "{}", metric.name);
            }
        }
    }
}
