//! The workloads, as data.

/// Which rows transactions hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// sysbench's default (`special`): three quarters of the hits on the one percent of ids in the middle.
    Hot,
    /// Every id alike.
    Uniform,
}

/// What one transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// sysbench's `oltp_write_only`: two updates, a delete and an insert.
    WriteOnly(Keys),
    /// The same, while a session adds and drops a column every second.
    WithDdl,
    /// sysbench's `oltp_insert`.
    Insert,
    /// sysbench's `oltp_update_index`.
    UpdateIndex,
    /// sysbench's `oltp_update_non_index`.
    UpdateNonIndex,
    /// sysbench's `oltp_delete`: each id once.
    Delete,
    /// 100 rows in one statement.
    BulkLoad,
    /// One of four rows counts up.
    Counter,
    /// Insert or update in one table whose primary key is a text under a collation that ignores case and accents.
    TextKeys,
    /// Two rows of one table exchange the values of a unique key; the row's other unique key moves too.
    TwoKeys,
    /// A parent with three children comes, children change, a parent goes and takes its children along.
    Family,
}

/// What the source writes before a catch-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// `binlog_format` of the source.
    pub(crate) format: &'static str,
    pub(crate) shape: Shape,
}

const fn rows(name: &'static str, shape: Shape) -> Workload {
    Workload { name, format: "ROW", shape }
}

const HOT: Workload = rows("hot-row", Shape::WriteOnly(Keys::Hot));
const HOT_MIXED: Workload = Workload { name: "hot-mixed", format: "MIXED", ..HOT };

/// The three that matter most.
pub(crate) const CATCH_UP: [Workload; 3] =
    [HOT, rows("uniform-row", Shape::WriteOnly(Keys::Uniform)), HOT_MIXED];

/// All of them.
pub(crate) const ALL: [Workload; 13] = [
    CATCH_UP[0],
    CATCH_UP[1],
    rows("insert", Shape::Insert),
    rows("update-index", Shape::UpdateIndex),
    rows("update-non-index", Shape::UpdateNonIndex),
    rows("delete", Shape::Delete),
    rows("bulk-load", Shape::BulkLoad),
    rows("counter", Shape::Counter),
    rows("text-keys", Shape::TextKeys),
    rows("two-keys", Shape::TwoKeys),
    rows("family", Shape::Family),
    HOT_MIXED,
    rows("hot-with-ddl", Shape::WithDdl),
];

impl Workload {
    /// How many transactions make up the work of `transactions` small ones.
    pub(crate) fn count(&self, transactions: u64) -> u64 {
        match self.shape {
            Shape::BulkLoad => (transactions / 20).max(1),
            _ => transactions,
        }
    }
}

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
    Paced { name: "idle-5", workload: HOT, rate: 5, connections: 1 },
    Paced { name: "busy-150", workload: HOT, rate: 150, connections: 4 },
];

/// What memory is watched under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pressure {
    pub(crate) name: &'static str,
    /// `binlog_format` of the source.
    pub(crate) format: &'static str,
    pub(crate) kind: Kind,
    /// Keys of the configuration beside the defaults.
    pub(crate) keys: &'static [(&'static str, &'static str)],
}

/// What presses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// As many transactions as the source can commit.
    Steady,
    /// One transaction of `BENCH_TRANSACTION_MIB`.
    Large,
}

/// The pressures.
pub(crate) const MEMORY: [Pressure; 4] = [
    Pressure { name: "steady-row", format: "ROW", kind: Kind::Steady, keys: &[] },
    Pressure { name: "steady-row-8", format: "ROW", kind: Kind::Steady, keys: &[("apply.workers", "8")] },
    Pressure { name: "steady-mixed", format: "MIXED", kind: Kind::Steady, keys: &[] },
    Pressure { name: "large-transaction", format: "ROW", kind: Kind::Large, keys: &[("apply.workers", "8")] },
];
