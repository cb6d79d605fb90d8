//! Hash tables of what the current segments hold. Segments end all the time: what an ended one held is not removed but
//! no longer counts, by the number of its segment.

/// Number of a group of tables.
pub(super) type Group = u32;
/// Number of a segment; never used twice, greater than 0.
pub(super) type SegmentId = u32;

/// A table of more slots is given up, not emptied, if few of them were used: small batches would go on paying for the one
/// large one before them.
const MOST_KEPT: usize = 1 << 12;

/// Whether a table is worth emptying. One that grew for what it held is: the next batch is likely to be as large.
fn is_kept(slots: usize, used: usize) -> bool {
    slots <= MOST_KEPT || used.saturating_mul(16) >= slots
}

/// Values by hash and group, each belonging to a segment.
#[derive(Debug)]
pub(super) struct Held<T> {
    slots: Vec<Slot<T>>,
    used: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot<T> {
    hash: u64,
    group: Group,
    /// 0: empty.
    segment: SegmentId,
    value: T,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), used: 0 }
    }
}

impl<T: Copy + Default> Held<T> {
    /// What the segment holds under this hash.
    pub(super) fn find(&self, hash: u64, group: Group, segment: SegmentId) -> Option<T> {
        let slot = self.slots.get(self.place(hash, group)?)?;
        (slot.segment == segment).then_some(slot.value)
    }

    /// The same, to be changed; the default if there is nothing yet.
    pub(super) fn entry(&mut self, hash: u64, group: Group, segment: SegmentId) -> Option<&mut T> {
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let at = self.place(hash, group)?;
        let slot = self.slots.get_mut(at)?;
        self.used += usize::from(slot.segment == 0);
        if slot.segment != segment {
            *slot = Slot { hash, group, segment, value: T::default() };
        }
        Some(&mut slot.value)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        if !is_kept(self.slots.len(), self.used) {
            *self = Self::default();
        } else if self.used > 0 {
            self.slots.fill(Slot::default());
            self.used = 0;
        }
    }

    /// Where this hash stands, or the empty slot where it would. There is always one.
    fn place(&self, hash: u64, group: Group) -> Option<usize> {
        probe(self.slots.len(), hash).find(|at| {
            self.slots
                .get(*at)
                .is_some_and(|slot| slot.segment == 0 || (slot.hash == hash && slot.group == group))
        })
    }

    fn grow(&mut self) {
        let larger = vec![Slot::default(); (self.slots.len() * 2).max(64)];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.segment != 0
                && let Some(at) = self.place(slot.hash, slot.group)
                && let Some(into) = self.slots.get_mut(at)
            {
                *into = slot;
            }
        }
    }
}

/// Numbers of entries by hash; the caller knows what the entries are.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The hash's lower half, which is all that places it, and number + 1; 0: empty. The table is read all over: what is
    /// half as large is half as often not in the cache.
    slots: Vec<(u32, u32)>,
    used: usize,
}

impl Index {
    /// The number put in last under this hash that is the one meant.
    pub(super) fn find(&self, hash: u64, meant: impl Fn(u32) -> bool) -> Option<u32> {
        self.slots.get(self.place(half(hash), meant)?).and_then(|(_, number)| number.checked_sub(1))
    }

    /// Puts a number in, in the place of the one meant if there is one.
    pub(super) fn put(&mut self, hash: u64, number: u32, meant: impl Fn(u32) -> bool) {
        if (self.used + 1) * 2 > self.slots.len() {
            let larger = vec![(0, 0); (self.slots.len() * 2).max(64)];
            for slot in std::mem::replace(&mut self.slots, larger) {
                if slot.1 != 0
                    && let Some(at) = self.place(slot.0, |_| false)
                    && let Some(into) = self.slots.get_mut(at)
                {
                    *into = slot;
                }
            }
        }
        let half = half(hash);
        if let Some(at) = self.place(half, meant)
            && let Some(into) = self.slots.get_mut(at)
        {
            self.used += usize::from(into.1 == 0);
            *into = (half, number + 1);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        if !is_kept(self.slots.len(), self.used) {
            *self = Self::default();
        } else if self.used > 0 {
            self.slots.fill((0, 0));
            self.used = 0;
        }
    }

    fn place(&self, half: u32, meant: impl Fn(u32) -> bool) -> Option<usize> {
        probe(self.slots.len(), u64::from(half)).find(|at| {
            self.slots.get(*at).is_some_and(|(other, number)| {
                number.checked_sub(1).is_none_or(|number| *other == half && meant(number))
            })
        })
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn half(hash: u64) -> u32 {
    hash as u32
}

/// The slots to try, in order. The number of slots is a power of two.
fn probe(slots: usize, hash: u64) -> impl Iterator<Item = usize> {
    let mask = slots.wrapping_sub(1);
    let start = usize::try_from(hash & (u64::MAX >> 1)).unwrap_or_default();
    (0..slots).map(move |step| start.wrapping_add(step) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_belong_to_their_group_and_segment() {
        let mut held = Held::<u32>::default();
        assert_eq!(held.find(7, 0, 1), None);
        for hash in 0..1000 {
            *held.entry(hash % 10 * (1 << 32) + hash, 0, 1).unwrap() = u32::try_from(hash).unwrap();
        }
        *held.entry(5 * (1 << 32) + 5, 1, 2).unwrap() = 77;
        assert_eq!(held.find(5 * (1 << 32) + 5, 0, 1), Some(5));
        assert_eq!(held.find(5 * (1 << 32) + 5, 1, 2), Some(77));
        assert_eq!(held.find(5 * (1 << 32) + 5, 1, 3), None);
        assert_eq!(*held.entry(5 * (1 << 32) + 5, 0, 3).unwrap(), 0);
        held.clear();
        assert_eq!(held.find(5 * (1 << 32) + 5, 1, 2), None);
    }

    #[test]
    fn two_keys_of_one_hash_are_kept_apart() {
        let keys = ["a", "b", "a"];
        let mut index = Index::default();
        for (number, key) in (0..).zip(keys) {
            index.put(9, number, |other| keys[other as usize] == key);
        }
        assert_eq!(index.find(9, |other| keys[other as usize] == "a"), Some(2));
        assert_eq!(index.find(9, |other| keys[other as usize] == "b"), Some(1));
        assert_eq!(index.find(8, |_| true), None);
    }

    #[test]
    fn a_large_table_is_emptied_after_large_batches_and_given_up_after_a_small_one() {
        let (mut index, mut held) = (Index::default(), Held::<u32>::default());
        let mut batch = |rows: u32| {
            index.clear();
            held.clear();
            for row in 0..rows {
                let hash = u64::from(row.wrapping_mul(0x9E37_79B9));
                assert_eq!(index.find(hash, |_| true), None);
                assert_eq!(held.find(hash, 0, 1), None);
                index.put(hash, row, |_| true);
                *held.entry(hash, 0, 1).unwrap() = row;
            }
            (index.slots.len(), held.slots.len())
        };
        let large = batch(100_000);
        assert_eq!(batch(90_000), large);
        assert_eq!(batch(10), large);
        assert_eq!(batch(10), (64, 64));
    }
}
