//! How large the benches are: the sizes that count, and the variables that make them smaller or larger.

use std::time::Duration;

/// What the environment says.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `BENCH_TRANSACTIONS`: how many the source commits before a catch-up.
    pub(crate) transactions: u64,
    /// `BENCH_REPEAT`: runs of each contender; medians are reported.
    pub(crate) repeat: u64,
    /// `BENCH_ROWS`: rows in each of the [`crate::sysbench::TABLES`] tables.
    pub(crate) rows: u64,
    /// `BENCH_SECONDS`: how long a paced load goes on.
    pub(crate) duration: Duration,
    /// `BENCH_TRANSACTION_MIB`: size of the large transaction.
    pub(crate) transaction_mib: u64,
    /// `BENCH_ONLY`: words parted by commas; a workload or a contender is left out if its kind is named there and it
    /// is not (`BENCH_ONLY=hot-row,binbridge`).
    only: Vec<String>,
    /// `BENCH_SET`: keys of binbridge's configuration, as in `apply.depth=2,apply.batch_transactions=5000`.
    pub(crate) keys: Vec<(String, String)>,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        let list = |name: &str| -> Vec<String> {
            let text = std::env::var(name).unwrap_or_default();
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let keys = list("BENCH_SET").into_iter().map(|pair| {
            let (key, value) = pair.split_once('=').expect("BENCH_SET is key=value,...");
            (key.to_owned(), value.to_owned())
        });
        Self {
            transactions: number("BENCH_TRANSACTIONS", 40_000),
            repeat: number("BENCH_REPEAT", 3).max(1),
            rows: number("BENCH_ROWS", 100_000),
            duration: Duration::from_secs(number("BENCH_SECONDS", 20)),
            transaction_mib: number("BENCH_TRANSACTION_MIB", 1024),
            only: list("BENCH_ONLY"),
            keys: keys.collect(),
        }
    }

    /// Those of `all` that are to run.
    pub(crate) fn chosen<'a, T>(&self, all: &'a [T], name: impl Fn(&T) -> &str) -> Vec<&'a T> {
        let named = |item: &T| self.only.iter().any(|word| word == name(item));
        let any = all.iter().any(named);
        all.iter().filter(|item| !any || named(item)).collect()
    }
}

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{text}`")),
        Err(_) => default,
    }
}
