//! Numbers as sorted, disjoint intervals that do not touch.

use std::cmp::{max, min};

/// A set of numbers; each interval is `[start, end)`, and `start < end < next.start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Intervals(Vec<(u64, u64)>);

impl Intervals {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_slice(&self) -> &[(u64, u64)] {
        &self.0
    }

    pub(super) fn count(&self) -> u128 {
        self.0.iter().map(|(start, end)| u128::from(end - start)).sum()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|&(_, end)| number < end)
    }

    /// Adds `[start, end)`; false if all of it was there. Nearly always it extends the last interval.
    pub(super) fn insert(&mut self, start: u64, end: u64) -> bool {
        if let Some(last) = self.0.last_mut()
            && last.0 <= start
            && start <= last.1
        {
            let grows = last.1 < end;
            last.1 = max(last.1, end);
            return grows;
        }
        // The intervals that touch the new one become one with it.
        let from = self.0.partition_point(|&(_, other)| other < start);
        let to = self.0.partition_point(|&(other, _)| other <= end);
        let touching = self.0.get(from..to).unwrap_or_default();
        let (first, last) = (touching.first().copied(), touching.last().copied());
        if first.is_some_and(|(s, e)| s <= start && end <= e) {
            return false;
        }
        let joined = (first.map_or(start, |(s, _)| min(s, start)), last.map_or(end, |(_, e)| max(e, end)));
        self.0.splice(from..to, [joined]);
        true
    }

    /// Takes `[start, end)` out; false if none of it was there.
    pub(super) fn remove(&mut self, start: u64, end: u64) -> bool {
        let from = self.0.partition_point(|&(_, other)| other <= start);
        let to = self.0.partition_point(|&(other, _)| other < end);
        let hit = self.0.get(from..to).unwrap_or_default();
        let (Some(&(first, _)), Some(&(_, last))) = (hit.first(), hit.last()) else { return false };
        let left = Some((first, start)).filter(|(s, e)| s < e);
        let right = Some((end, last)).filter(|(s, e)| s < e);
        self.0.splice(from..to, left.into_iter().chain(right));
        true
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(&&(s1, e1)), Some(&&(s2, e2))) = (mine.peek(), theirs.peek()) {
            let (start, end) = (max(s1, s2), min(e1, e2));
            if start < end {
                both.push((start, end));
            }
            if e1 <= e2 {
                mine.next()
            } else {
                theirs.next()
            };
        }
        Self(both)
    }

    pub(super) fn union(&mut self, other: &Self) {
        let mut all: Vec<_> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        self.0.clear();
        for (start, end) in all {
            match self.0.last_mut() {
                Some(last) if start <= last.1 => last.1 = max(last.1, end),
                _ => self.0.push((start, end)),
            }
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        let mut theirs = other.0.iter().copied().peekable();
        let mut left = Vec::with_capacity(self.0.len());
        for &(mut start, end) in &self.0 {
            while theirs.next_if(|&(_, e)| e <= start).is_some() {}
            // One of theirs may reach into our next interval, so it is only looked at here.
            while let Some(&(s, e)) = theirs.peek()
                && s < end
            {
                if start < s {
                    left.push((start, s));
                }
                start = e;
                if e > end {
                    break;
                }
                theirs.next();
            }
            if start < end {
                left.push((start, end));
            }
        }
        self.0 = left;
    }

    pub(super) fn is_subset_of(&self, other: &Self) -> bool {
        let mut theirs = other.0.iter().copied().peekable();
        self.0.iter().all(|&(start, end)| {
            while theirs.next_if(|&(_, e)| e < end).is_some() {}
            theirs.peek().is_some_and(|&(s, _)| s <= start)
        })
    }
}
