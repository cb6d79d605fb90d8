//! What one target commit carries, and how much that may be.

use std::time::Duration;

use crate::progress::Seq;

use super::Job;

/// The source transactions that one target commit carries, whole and in order.
#[derive(Debug, Default)]
pub struct Batch {
    /// In source order.
    pub jobs: Vec<Job>,
    /// Bytes of events.
    pub bytes: usize,
    /// Its commit also takes the intent of the DDL statement away that its transaction is.
    pub ends_ddl: bool,
    /// That statement has used up the GTID of its transaction.
    pub gtid_used: bool,
    /// Its changes go as they came, whatever the settings say: their net effect was refused.
    pub plain: bool,
}

impl Batch {
    /// Adds the next transaction.
    pub fn push(&mut self, job: Job) {
        self.bytes += job.transaction.bytes;
        self.jobs.push(job);
    }

    /// Takes the transactions from `at` on off.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let mut rest = Self::default();
        self.jobs.split_off(at).into_iter().for_each(|job| rest.push(job));
        self.bytes -= rest.bytes;
        rest
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The last transaction's number.
    pub fn last(&self) -> Option<Seq> {
        self.jobs.last().map(|job| job.transaction.seq)
    }
}

/// Whose GTIDs the target's transactions have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gtids {
    /// The target gives its own, one to each batch.
    #[default]
    Automatic,
    /// Each source transaction keeps its own: one commit for each.
    Preserve,
}

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Source transactions in one target commit.
    pub transactions: usize,
    /// Bytes of events in one target commit; a single larger transaction is still one.
    pub bytes: usize,
    /// How long one target commit should take at most.
    pub time: Duration,
}

/// The limit on transactions that keeps a commit within its time: halved when one took too long, doubled when a full
/// one took less than half.
#[derive(Debug, Clone)]
pub struct Pace {
    limits: BatchLimits,
    transactions: usize,
    bytes: usize,
}

const LEAST: usize = 16;
const LEAST_BYTES: usize = 64 << 10;

impl Pace {
    /// Starts at the full size: the first slow commit corrects it.
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, transactions: limits.transactions, bytes: limits.bytes }
    }

    /// Whether a batch should not grow further.
    pub fn is_full(&self, batch: &Batch) -> bool {
        batch.jobs.len() >= self.transactions || batch.bytes >= self.bytes
    }

    /// A batch of `transactions`, which were `bytes` of events, kept the target busy for `took`.
    pub fn note(&mut self, transactions: usize, bytes: usize, took: Duration) {
        let Self { limits, .. } = *self;
        if took > limits.time {
            self.transactions = (transactions.min(self.transactions) / 2).max(LEAST).min(limits.transactions);
            self.bytes = (bytes.min(self.bytes) / 2).max(LEAST_BYTES).min(limits.bytes);
        } else if took < limits.time / 2 {
            if transactions >= self.transactions {
                self.transactions = (self.transactions * 2).min(limits.transactions);
            }
            if bytes >= self.bytes {
                self.bytes = (self.bytes * 2).min(limits.bytes);
            }
        }
    }

    /// How many of these, one at least, one commit may carry now.
    pub fn size(&self, batch: &Batch) -> usize {
        let mut bytes = 0;
        let fits = |job: &&Job| {
            bytes += job.transaction.bytes;
            bytes <= self.bytes
        };
        batch.jobs.iter().take(self.transactions).take_while(fits).count().max(1)
    }

    /// The limits now: transactions and bytes.
    pub fn limits(&self) -> (usize, usize) {
        (self.transactions, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> BatchLimits {
        BatchLimits { transactions: 1000, bytes: 1 << 20, time: Duration::from_secs(1) }
    }

    #[test]
    fn slow_commits_shrink_batches_and_quick_full_ones_grow_them_again() {
        let (mib, second) = (1 << 20, Duration::from_secs(1));
        let mut pace = Pace::new(limits());
        pace.note(1000, mib, 3 * second);
        assert_eq!(pace.limits(), (500, mib / 2));
        pace.note(10, 100, second / 1000);
        assert_eq!(pace.limits(), (500, mib / 2));
        pace.note(500, 1000, second / 10);
        assert_eq!(pace.limits(), (1000, mib / 2));
        pace.note(5, mib / 2, second / 10);
        assert_eq!(pace.limits(), (1000, mib));
        for _ in 0..20 {
            pace.note(1, 1, 3 * second);
        }
        assert_eq!(pace.limits(), (LEAST, LEAST_BYTES));
    }
}
