//! The workloads, as data.

/// Which rows transactions hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// sysbench's default (`special`): three quarters of the hits on the one percent of ids in the middle.
    Hot,
    /// Every id alike.
    Uniform,
}

/// sysbench's `oltp_write_only`, with its variations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// `binlog_format` of the source.
    pub(crate) format: &'static str,
    pub(crate) keys: Keys,
}

/// What a target catches up with.
pub(crate) const CATCH_UP: [Workload; 3] = [
    Workload { name: "hot-row", format: "ROW", keys: Keys::Hot },
    Workload { name: "uniform-row", format: "ROW", keys: Keys::Uniform },
    Workload { name: "hot-mixed", format: "MIXED", keys: Keys::Hot },
];

/// A load that a target keeps up with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paced {
    pub(crate) name: &'static str,
    pub(crate) workload: Workload,
    /// Transactions per second.
    pub(crate) rate: u32,
    pub(crate) connections: u32,
}

/// What commit-to-commit latency is measured under.
pub(crate) const LATENCY: [Paced; 2] = [
    Paced { name: "idle-5", workload: CATCH_UP[0], rate: 5, connections: 1 },
    Paced { name: "busy-150", workload: CATCH_UP[0], rate: 150, connections: 4 },
];

/// What memory is watched under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pressure {
    pub(crate) name: &'static str,
    /// `binlog_format` of the source.
    pub(crate) format: &'static str,
    pub(crate) shape: Shape,
}

/// What presses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// As many transactions as the source can commit.
    Steady,
    /// One transaction of `BENCH_TRANSACTION_MIB`.
    Large,
}

/// The pressures.
pub(crate) const MEMORY: [Pressure; 3] = [
    Pressure { name: "steady-row", format: "ROW", shape: Shape::Steady },
    Pressure { name: "steady-mixed", format: "MIXED", shape: Shape::Steady },
    Pressure { name: "large-transaction", format: "ROW", shape: Shape::Large },
];
