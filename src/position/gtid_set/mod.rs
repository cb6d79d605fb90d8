//! Sets of GTIDs: what has been executed, purged, received.

mod binary;
mod intervals;
#[cfg(test)]
mod model;
mod text;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use intervals::Intervals;

use super::gtid::{Gtid, MAX_GNO, Sid};

/// A set of GTIDs, kept as intervals. No server stands in it without a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct GtidSet {
    sids: BTreeMap<Sid, Intervals>,
}

impl GtidSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one transaction; false if it was there.
    pub fn add(&mut self, gtid: &Gtid) -> bool {
        self.add_interval(&gtid.sid, gtid.gno..=gtid.gno)
    }

    /// Adds the transactions of `sid` numbered `gnos`; false if all were there.
    ///
    /// Numbers outside 1 to [`MAX_GNO`] are no GTIDs and are left out.
    pub fn add_interval(&mut self, sid: &Sid, gnos: RangeInclusive<u64>) -> bool {
        let Some((start, end)) = half_open(&gnos) else { return false };
        if let Some(intervals) = self.sids.get_mut(sid) {
            return intervals.insert(start, end);
        }
        self.sids.entry(sid.clone()).or_default().insert(start, end)
    }

    /// Takes one transaction out; false if it was not there.
    pub fn remove(&mut self, gtid: &Gtid) -> bool {
        let Some((start, end)) = half_open(&(gtid.gno..=gtid.gno)) else { return false };
        let Some(intervals) = self.sids.get_mut(&gtid.sid) else { return false };
        let removed = intervals.remove(start, end);
        if intervals.is_empty() {
            self.sids.remove(&gtid.sid);
        }
        removed
    }

    /// Whether the transaction is in the set.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.sids.get(&gtid.sid).is_some_and(|intervals| intervals.contains(gtid.gno))
    }

    /// Adds all of `other`.
    pub fn union(&mut self, other: &Self) {
        for (sid, theirs) in &other.sids {
            self.sids.entry(sid.clone()).or_default().union(theirs);
        }
    }

    /// Takes all of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        self.sids.retain(|sid, mine| {
            if let Some(theirs) = other.sids.get(sid) {
                mine.subtract(theirs);
            }
            !mine.is_empty()
        });
    }

    /// Keeps only what is in `other` too.
    pub fn intersect(&mut self, other: &Self) {
        self.sids.retain(|sid, mine| {
            *mine = other.sids.get(sid).map(|theirs| mine.intersection(theirs)).unwrap_or_default();
            !mine.is_empty()
        });
    }

    /// Whether every transaction of this set is in `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.sids
            .iter()
            .all(|(sid, mine)| other.sids.get(sid).is_some_and(|theirs| mine.is_subset_of(theirs)))
    }

    /// Whether there is no transaction in the set.
    pub fn is_empty(&self) -> bool {
        self.sids.is_empty()
    }

    /// How many transactions are in the set.
    pub fn count(&self) -> u128 {
        self.sids.values().map(Intervals::count).sum()
    }

    /// Whether a transaction of the set has a tag: servers before 8.3 do not know such sets.
    pub fn is_tagged(&self) -> bool {
        self.sids.keys().any(|sid| sid.tag.is_some())
    }

    /// Every interval, by [`Sid`] and number; both ends are in the set.
    pub fn iter(&self) -> impl Iterator<Item = (&Sid, RangeInclusive<u64>)> {
        self.sids.iter().flat_map(|(sid, intervals)| {
            intervals.as_slice().iter().map(move |&(start, end)| (sid, start..=end - 1))
        })
    }
}

/// `[start, end)` of what is a GTID number in `gnos`; `None` if nothing is.
fn half_open(gnos: &RangeInclusive<u64>) -> Option<(u64, u64)> {
    let (start, last) = ((*gnos.start()).max(1), (*gnos.end()).min(MAX_GNO));
    (start <= last).then_some((start, last + 1))
}
