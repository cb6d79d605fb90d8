//! What was received and is not applied yet: enough of it to know the age of the oldest, in bounded memory.

use super::lag::{Waiting, compare};
use crate::position::Coordinates;
use std::cmp::Ordering;
use std::collections::VecDeque;

/// Groups kept before neighbours are joined. A group is about 64 bytes.
const GROUPS: usize = 2048;

/// Transactions in a row that are told apart no further: the age is that of the oldest, so it is never too small.
#[derive(Debug)]
struct Group {
    /// Where the newest ends.
    end: Coordinates,
    /// The oldest's times; the commit time by the source's clock.
    oldest: Waiting,
    transactions: u64,
}

/// The groups, oldest first.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    groups: VecDeque<Group>,
    transactions: u64,
}

impl Backlog {
    /// Transactions end at `end`. What was noted at or after it is being read again: it is forgotten first.
    pub(super) fn push(&mut self, end: &Coordinates, oldest: Waiting, transactions: u64) {
        while let Some(last) = self.groups.back() {
            if compare(&last.end, end) == Some(Ordering::Less) {
                break;
            }
            self.transactions = self.transactions.saturating_sub(last.transactions);
            self.groups.pop_back();
        }
        if self.groups.len() >= GROUPS {
            self.join_neighbours();
        }
        self.transactions = self.transactions.saturating_add(transactions);
        self.groups.push_back(Group { end: end.clone(), oldest, transactions });
    }

    /// Everything up to `at` is applied, which were so many transactions.
    pub(super) fn applied(&mut self, at: &Coordinates, transactions: u64) {
        let mut left = transactions;
        while let Some(first) = self.groups.front() {
            if !matches!(compare(&first.end, at), Some(Ordering::Less | Ordering::Equal)) {
                break;
            }
            left = left.saturating_sub(first.transactions);
            self.transactions = self.transactions.saturating_sub(first.transactions);
            self.groups.pop_front();
        }
        // A part of a joined group: at least one of it is still waiting.
        if let Some(first) = self.groups.front_mut() {
            let part = left.min(first.transactions.saturating_sub(1));
            first.transactions -= part;
            self.transactions = self.transactions.saturating_sub(part);
        }
    }

    /// The oldest that waits.
    pub(super) fn oldest(&self) -> Option<Waiting> {
        self.groups.front().map(|group| group.oldest)
    }

    /// How many wait.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Forgets everything: the stream starts anew.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn join_neighbours(&mut self) {
        let mut joined = VecDeque::with_capacity(GROUPS);
        while let Some(mut first) = self.groups.pop_front() {
            if let Some(second) = self.groups.pop_front() {
                first.end = second.end;
                first.transactions += second.transactions;
            }
            joined.push_back(first);
        }
        self.groups = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Coordinates {
        Coordinates { file: "b.000001".into(), offset }
    }

    fn waiting(us: u64) -> Waiting {
        Waiting { committed_us: Some(us), arrived_us: us }
    }

    #[test]
    fn the_oldest_is_the_first_that_is_not_applied() {
        let mut backlog = Backlog::default();
        for offset in 1..=5 {
            backlog.push(&at(offset), waiting(offset), 1);
        }
        backlog.applied(&at(3), 3);
        assert_eq!(backlog.oldest(), Some(waiting(4)));
        assert_eq!(backlog.transactions(), 2);
        backlog.applied(&at(5), 2);
        assert_eq!(backlog.oldest(), None);
        assert_eq!(backlog.transactions(), 0);
    }

    #[test]
    fn what_is_read_again_after_a_reconnect_counts_once() {
        let mut backlog = Backlog::default();
        for offset in [1, 2, 3, 2, 3, 4] {
            backlog.push(&at(offset), waiting(offset), 1);
        }
        assert_eq!(backlog.transactions(), 4);
        assert_eq!(backlog.oldest(), Some(waiting(1)));
    }

    #[test]
    fn a_long_backlog_stays_bounded_and_its_age_is_never_too_small() {
        let mut backlog = Backlog::default();
        for offset in 1..=1_000_000 {
            backlog.push(&at(offset), waiting(offset), 1);
        }
        assert!(backlog.groups.len() <= GROUPS);
        assert_eq!(backlog.transactions(), 1_000_000);
        for offset in (1000..1_000_000).step_by(1000) {
            backlog.applied(&at(offset), 1000);
            assert!(backlog.oldest().unwrap().arrived_us <= offset + 1);
            assert_eq!(backlog.transactions(), 1_000_000 - offset);
        }
        backlog.applied(&at(1_000_000), 1000);
        assert_eq!((backlog.transactions(), backlog.oldest()), (0, None));
    }
}
