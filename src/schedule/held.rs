//! Hash tables of what the current segments hold. Segments end all the time: what an ended one held is not removed but
//! no longer counts, by the number of its segment.

/// Number of a group of tables.
pub(super) type Group = u32;
/// Number of a segment; never used twice, greater than 0.
pub(super) type SegmentId = u32;

/// A table of more slots is given up, not emptied: small batches would pay for the one large one before them.
const MOST_KEPT: usize = 1 << 12;

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
        if self.slots.len() > MOST_KEPT {
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
    /// Hash and number + 1; 0: empty.
    slots: Vec<(u64, u32)>,
    used: usize,
}

impl Index {
    /// The number put in last under this hash that is the one meant.
    pub(super) fn find(&self, hash: u64, meant: impl Fn(u32) -> bool) -> Option<u32> {
        self.slots.get(self.place(hash, meant)?).and_then(|(_, number)| number.checked_sub(1))
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
        if let Some(at) = self.place(hash, meant)
            && let Some(into) = self.slots.get_mut(at)
        {
            self.used += usize::from(into.1 == 0);
            *into = (hash, number + 1);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        if self.slots.len() > MOST_KEPT {
            *self = Self::default();
        } else if self.used > 0 {
            self.slots.fill((0, 0));
            self.used = 0;
        }
    }

    fn place(&self, hash: u64, meant: impl Fn(u32) -> bool) -> Option<usize> {
        probe(self.slots.len(), hash).find(|at| {
            self.slots.get(*at).is_some_and(|(other, number)| {
                number.checked_sub(1).is_none_or(|number| *other == hash && meant(number))
            })
        })
    }
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
}
