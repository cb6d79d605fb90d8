//! A set of sequence numbers as ranges.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::bail;
use crate::error::Error;

/// A set of sequence numbers, kept as disjoint ranges that do not touch. Text form: `5-9,12`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Ranges {
    /// First number of a range to its last, both inclusive.
    runs: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds one number; false if it was there.
    pub fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let mut first = number;
        let mut last = number;
        if let Some((&start, &end)) = self.runs.range(..number).next_back()
            && end + 1 == number
        {
            first = start;
        }
        if let Some(end) = number.checked_add(1).and_then(|next| self.runs.remove(&next)) {
            last = end;
        }
        self.runs.insert(first, last);
        true
    }

    /// Adds every number of another set.
    pub fn union(&mut self, other: &Self) {
        for (&first, &last) in &other.runs {
            self.insert_run(first, last);
        }
    }

    /// Adds every number from `first` to `last`, both inclusive.
    pub(super) fn insert_run(&mut self, mut first: u64, mut last: u64) {
        while let Some((&start, &end)) = self.runs.range(..=last.saturating_add(1)).next_back() {
            if end.saturating_add(1) < first {
                break;
            }
            self.runs.remove(&start);
            first = first.min(start);
            last = last.max(end);
        }
        self.runs.insert(first, last);
    }

    /// Whether the number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, &last)| number <= last)
    }

    /// Forgets every number up to and including `limit`.
    pub fn forget_through(&mut self, limit: u64) {
        while let Some((&first, &last)) = self.runs.first_key_value() {
            if first > limit {
                return;
            }
            self.runs.remove(&first);
            if last > limit {
                self.runs.insert(limit + 1, last);
            }
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many ranges it takes to say it.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The greatest number in the set.
    pub fn last(&self) -> Option<u64> {
        self.runs.last_key_value().map(|(_, &last)| last)
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.runs.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

impl FromStr for Ranges {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut ranges = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.parse::<u64>(), last.parse::<u64>()) {
                (Ok(first), Ok(last)) if 0 < first && first <= last => ranges.insert_run(first, last),
                _ => bail!(Progress, "progress row: `{part}` is not a range of sequence numbers"),
            }
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_behave_like_a_set(numbers in prop::collection::vec(1u64..60, 0..80), other in prop::collection::vec(1u64..60, 0..20), limit in 0u64..60) {
            let mut ranges = Ranges::default();
            let mut model = BTreeSet::new();
            for &number in &numbers {
                prop_assert_eq!(ranges.insert(number), model.insert(number));
            }
            let mut more = Ranges::default();
            for &number in &other {
                more.insert(number);
            }
            ranges.union(&more);
            model.extend(other);
            ranges.forget_through(limit);
            model.retain(|&number| number > limit);
            for number in 0..62 {
                prop_assert_eq!(ranges.contains(number), model.contains(&number));
            }
            prop_assert_eq!(ranges.to_string().parse::<Ranges>().unwrap(), ranges);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["x", "5-3", "0", "1-", "-4", "1,,x"] {
            assert!(text.parse::<Ranges>().is_err(), "{text}");
        }
    }
}
