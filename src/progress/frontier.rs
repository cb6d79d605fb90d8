//! The frontier: up to where everything is applied, and what is applied above it.

use std::collections::BTreeMap;
use std::fmt;

use crate::bail;
use crate::error::Result;
use crate::position::{Coordinates, Gtid, GtidSet};

use super::Ranges;

/// The 1-based number of a source transaction since the start position, in stream order. Filtered transactions have
/// one too, so a changed filter never renumbers anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// The number of the transaction that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point of the stream between two transactions: everything up to `seq` lies before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The last transaction before the mark; 0 at the start position.
    pub seq: Seq,
    /// Where the stream goes on; unknown when the start was given as a GTID set and nothing has been applied yet.
    pub at: Option<Coordinates>,
    /// The GTIDs before the mark; only where the start was given as a GTID set.
    pub gtids: Option<GtidSet>,
}

/// One transaction that is applied: the delta of the frontier.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its number.
    pub seq: Seq,
    /// Where it ends in the source's binlog.
    pub end: Coordinates,
    /// Its GTID, if it has one.
    pub gtid: Option<Gtid>,
    /// When the source committed it, in microseconds since 1970.
    pub committed_us: Option<u64>,
}

/// A run of transactions applied above the frontier.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Run {
    last: Seq,
    end: Coordinates,
    gtids: GtidSet,
    committed_us: Option<u64>,
}

impl Run {
    /// Takes the run that follows this one in.
    fn join(&mut self, next: Self) {
        self.last = next.last;
        self.end = next.end;
        self.gtids.union(&next.gtids);
        self.committed_us = next.committed_us.or(self.committed_us);
    }
}

/// Everything up to `low` is applied, and so are the runs above it.
///
/// | completed       | effect                                        |
/// |-----------------|-----------------------------------------------|
/// | `low + 1`       | `low` moves, over the runs that now touch it  |
/// | above that      | a run above the frontier                      |
/// | `<= low`, again | refused: something was applied twice          |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frontier {
    low: Mark,
    above: BTreeMap<Seq, Run>,
    /// What an earlier process applied above the frontier; its transactions come again in the stream and are skipped.
    earlier: Ranges,
    /// When the source committed the newest transaction that `low` passed.
    committed_us: Option<u64>,
}

impl Frontier {
    /// A frontier at `low`, with what is known to be applied above it.
    pub fn new(low: Mark, mut earlier: Ranges) -> Self {
        earlier.forget_through(low.seq.0);
        Self { low, above: BTreeMap::new(), earlier, committed_us: None }
    }

    /// Up to where everything is applied.
    pub fn low(&self) -> &Mark {
        &self.low
    }

    /// When the source committed the newest transaction below the frontier that this process saw, in microseconds since
    /// 1970.
    pub fn committed_us(&self) -> Option<u64> {
        self.committed_us
    }

    /// Whether an earlier process applied this transaction already, so that it must not be applied again.
    pub fn applied_earlier(&self, seq: Seq) -> bool {
        self.earlier.contains(seq.0)
    }

    /// What is applied above `low`.
    pub fn done(&self) -> Ranges {
        let mut done = self.earlier.clone();
        for (first, run) in &self.above {
            done.insert_run(first.0, run.last.0);
        }
        done
    }

    /// Records that a transaction is applied (or, for one that [`applied_earlier`](Self::applied_earlier), passed).
    ///
    /// # Errors
    /// `BB9002` if it was recorded before: nothing is changed then.
    pub fn complete(&mut self, done: Done) -> Result<()> {
        if done.seq <= self.low.seq || self.covering(done.seq) {
            bail!(Invariant, "transaction {} was applied twice (frontier {})", done.seq, self.low.seq);
        }
        // A set, so that a long wait above the frontier costs intervals and not transactions.
        let mut gtids = GtidSet::default();
        if let (Some(gtid), true) = (&done.gtid, self.low.gtids.is_some()) {
            gtids.add(gtid);
        }
        if done.seq == self.low.seq.next() {
            self.advance(Run { last: done.seq, end: done.end, gtids, committed_us: done.committed_us });
            while let Some((first, run)) = self.above.pop_first() {
                if first != self.low.seq.next() {
                    self.above.insert(first, run);
                    break;
                }
                self.advance(run);
            }
            self.earlier.forget_through(self.low.seq.0);
        } else {
            self.add_above(done, gtids);
        }
        Ok(())
    }

    /// Moves the place where the stream goes on, between two transactions: nothing may be applied above the frontier.
    /// Returns whether it moved.
    pub fn move_place(&mut self, at: &Coordinates) -> bool {
        let free = self.above.is_empty() && self.earlier.is_empty();
        if free {
            self.low.at = Some(at.clone());
        }
        free
    }

    fn covering(&self, seq: Seq) -> bool {
        self.above.range(..=seq).next_back().is_some_and(|(_, run)| seq <= run.last)
    }

    fn advance(&mut self, run: Run) {
        self.low.seq = run.last;
        self.low.at = Some(run.end);
        self.committed_us = run.committed_us.or(self.committed_us);
        if let Some(set) = &mut self.low.gtids {
            set.union(&run.gtids);
        }
    }

    fn add_above(&mut self, done: Done, gtids: GtidSet) {
        let next = self.above.remove(&done.seq.next());
        let mut new = Run { last: done.seq, end: done.end, gtids, committed_us: done.committed_us };
        if let Some(next) = next {
            new.join(next);
        }
        match self.above.range_mut(..done.seq).next_back() {
            Some((_, run)) if run.last.next() == done.seq => run.join(new),
            _ => {
                self.above.insert(done.seq, new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seq: u64) -> Coordinates {
        Coordinates { file: "b.000001".into(), offset: seq * 10 }
    }

    fn start() -> Frontier {
        Frontier::new(Mark { seq: Seq(0), at: Some(at(0)), gtids: None }, Ranges::default())
    }

    fn done(seq: u64) -> Done {
        Done { seq: Seq(seq), end: at(seq), gtid: None, committed_us: None }
    }

    proptest! {
        #[test]
        fn any_order_of_completion_ends_at_the_same_frontier(order in Just((1u64..40).collect::<Vec<_>>()).prop_shuffle()) {
            let mut frontier = start();
            let mut seen = std::collections::BTreeSet::new();
            for seq in order {
                frontier.complete(done(seq)).unwrap();
                seen.insert(seq);
                let low = (1..=40).take_while(|next| seen.contains(next)).last().unwrap_or(0);
                prop_assert_eq!(frontier.low().seq, Seq(low));
                prop_assert_eq!(frontier.low().at.clone(), Some(at(low)));
                for other in 1..41 {
                    prop_assert_eq!(frontier.done().contains(other), other > low && seen.contains(&other));
                }
            }
        }
    }

    #[test]
    fn a_transaction_completed_twice_is_refused_and_changes_nothing() {
        let mut frontier = start();
        frontier.complete(done(1)).unwrap();
        frontier.complete(done(3)).unwrap();
        assert!(frontier.complete(done(1)).is_err());
        assert!(frontier.complete(done(3)).is_err());
        assert_eq!(frontier.low().seq, Seq(1));
        frontier.complete(done(2)).unwrap();
        assert_eq!(frontier.low().seq, Seq(3));
    }

    #[test]
    fn what_an_earlier_process_applied_is_skipped_until_the_frontier_has_passed_it() {
        let mut frontier =
            Frontier::new(Mark { seq: Seq(4), at: Some(at(4)), gtids: None }, "3-4,6-7".parse().unwrap());
        assert!(frontier.applied_earlier(Seq(6)) && !frontier.applied_earlier(Seq(5)));
        assert_eq!(frontier.done().to_string(), "6-7");
        for seq in [5, 6, 7] {
            frontier.complete(done(seq)).unwrap();
        }
        assert_eq!(frontier.low().seq, Seq(7));
        assert!(frontier.done().is_empty());
    }
}
