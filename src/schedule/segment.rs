//! The current segment of each group of tables: who claims what, and in which order its rows go out.

use std::cmp::Ordering;

use crate::binlog::RowsKind;

use super::claims::Claim;
use super::foreign::{Both, Meeting, Phases, Relation, Side};
use super::held::{Held, SegmentId};
use super::merge::Entry;
use super::tables::Tables;

/// Something a change claims.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand {
    /// A value of a unique key, by the key's number in the batch.
    Unique(u32, Claim),
    /// A value that a foreign key leads from or to.
    Foreign(u32, Side, Phases, Claim),
}

/// Rows of tables that foreign keys tie together.
#[derive(Debug, Default)]
struct Group {
    segment: SegmentId,
    flags: u16,
    /// Rows of the current segment.
    live: Vec<u32>,
    /// Rows of ended segments, in their final order.
    out: Vec<u32>,
}

/// Who claims a unique key as a whole.
#[derive(Debug, Clone, Copy, Default)]
struct Key {
    segment: SegmentId,
    /// The rows that claim any value of it.
    any: Owners,
    /// The row that claims all of it.
    whole: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Owners {
    #[default]
    None,
    One(u32),
    Many,
}

impl Owners {
    fn are_only(self, row: u32) -> bool {
        self == Self::None || self == Self::One(row)
    }

    fn add(&mut self, row: u32) {
        *self = if self.are_only(row) { Self::One(row) } else { Self::Many };
    }
}

/// The current segments of a batch.
#[derive(Debug, Default)]
pub(super) struct Segments {
    groups: Vec<Group>,
    keys: Vec<Key>,
    relations: Vec<Relation>,
    values: Held<u32>,
    references: Held<Both>,
    last: SegmentId,
    /// Memory for putting rows in order.
    places: Vec<Place>,
}

impl Segments {
    /// For the tables of a batch.
    pub(super) fn begin(&mut self, tables: &mut Tables<'_>) {
        self.values.clear();
        self.references.clear();
        self.keys.clear();
        self.keys.resize(tables.keys, Key::default());
        self.relations = std::mem::take(&mut tables.relations);
        self.groups.clear();
        self.last = 0;
        for _ in &tables.groups {
            self.last += 1;
            self.groups.push(Group { segment: self.last, ..Group::default() });
        }
    }

    /// The current segment of a group.
    pub(super) fn current(&self, group: u32) -> SegmentId {
        self.group(group).map_or(0, |group| group.segment)
    }

    fn group(&self, group: u32) -> Option<&Group> {
        self.groups.get(usize::try_from(group).ok()?)
    }

    fn group_mut(&mut self, group: u32) -> Option<&mut Group> {
        self.groups.get_mut(usize::try_from(group).ok()?)
    }

    /// Whether a row's change may join the current segment of its group.
    pub(super) fn admits(
        &self,
        group: u32,
        row: u32,
        flags: u16,
        demands: &[Demand],
        rows: &[Entry<'_>],
    ) -> bool {
        let Some(current) = self.group(group) else { return true };
        let segment = current.segment;
        (current.live.is_empty() || current.flags == flags)
            && demands.iter().all(|demand| match *demand {
                Demand::Unique(key, claim) => self.key_is_free(key, claim, row, (group, segment), rows),
                Demand::Foreign(relation, side, phase, claim) => {
                    let at = Meeting { held: &self.references, group, segment };
                    let relation = usize::try_from(relation).ok().and_then(|index| self.relations.get(index));
                    relation.is_none_or(|relation| relation.admits(at, side, phase, claim))
                }
            })
    }

    fn key_is_free(
        &self,
        key: u32,
        claim: Claim,
        row: u32,
        (group, segment): (u32, SegmentId),
        rows: &[Entry<'_>],
    ) -> bool {
        let known = usize::try_from(key).ok().and_then(|index| self.keys.get(index));
        let known = known.copied().filter(|key| key.segment == segment).unwrap_or_default();
        let mine = |owner: u32| owner == row || vanished(owner, rows);
        match claim {
            Claim::Nothing => true,
            Claim::Whole => known.any.are_only(row),
            Claim::Value(hash) => {
                known.whole.is_none_or(mine) && self.values.find(hash, group, segment).is_none_or(mine)
            }
        }
    }

    /// Notes what a row that joined claims. `new`: it was not in the segment before.
    pub(super) fn join(&mut self, group: u32, row: u32, flags: u16, demands: &[Demand], new: bool) {
        let Some(current) = self.group_mut(group) else { return };
        let segment = current.segment;
        if new {
            current.live.push(row);
            current.flags = flags;
        }
        for demand in demands {
            match *demand {
                Demand::Unique(key, claim) => self.note_key(key, claim, row, (group, segment)),
                Demand::Foreign(relation, side, phase, claim) => {
                    let relation = usize::try_from(relation).ok();
                    if let Some(relation) = relation.and_then(|index| self.relations.get_mut(index)) {
                        relation.note(&mut self.references, (group, segment), side, phase, claim);
                    }
                }
            }
        }
    }

    fn note_key(&mut self, key: u32, claim: Claim, row: u32, (group, segment): (u32, SegmentId)) {
        let key = usize::try_from(key).ok().and_then(|index| self.keys.get_mut(index));
        let (Some(key), true) = (key, claim != Claim::Nothing) else { return };
        if key.segment != segment {
            *key = Key { segment, ..Key::default() };
        }
        key.any.add(row);
        match claim {
            Claim::Whole => key.whole = Some(row),
            Claim::Value(hash) => {
                if let Some(owner) = self.values.entry(hash, group, segment) {
                    *owner = row;
                }
            }
            Claim::Nothing => {}
        }
    }

    /// Adds a row that keeps its place, after what came before it.
    pub(super) fn append(&mut self, group: u32, row: u32) {
        if let Some(group) = self.group_mut(group) {
            group.out.push(row);
        }
    }

    /// Ends the current segment of a group: its rows are put in order.
    pub(super) fn end(&mut self, group: u32, order: &Order<'_, '_>) {
        let Self { groups, places, last, .. } = self;
        let group = usize::try_from(group).ok().and_then(|group| groups.get_mut(group));
        let Some(group) = group.filter(|group| !group.live.is_empty()) else { return };
        let present = group.live.drain(..).filter(|row| !vanished(*row, order.rows));
        places.clear();
        places.extend(present.map(|row| order.place(row)));
        order.sort(places);
        group.out.extend(places.iter().map(|place| place.row));
        *last += 1;
        group.segment = *last;
    }

    /// Moves the rows of a group's ended segments on.
    pub(super) fn take(&mut self, group: u32, into: &mut Vec<u32>) {
        if let Some(group) = self.group_mut(group) {
            into.append(&mut group.out);
        }
    }
}

fn vanished(row: u32, rows: &[Entry<'_>]) -> bool {
    entry(rows, row).is_some_and(|entry| entry.kind.is_none())
}

fn entry<'r, 'a>(rows: &'r [Entry<'a>], row: u32) -> Option<&'r Entry<'a>> {
    rows.get(usize::try_from(row).ok()?)
}

/// The order within a segment.
pub(super) struct Order<'r, 'a> {
    pub(super) rows: &'r [Entry<'a>],
    pub(super) tables: &'r Tables<'a>,
    /// The bytes of all primary keys.
    pub(super) arena: &'r [u8],
}

/// What decides over a row's place, as numbers that lie together: a segment's rows are many, and lie far apart.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Step, table and shape.
    part: u64,
    /// The first bytes of the key; for a table that refers to itself, when the row became what it is.
    within: u64,
    row: u32,
}

impl Place {
    fn number(&self) -> u128 {
        u128::from(self.part) << 64 | u128::from(self.within)
    }
}

impl Order<'_, '_> {
    fn place(&self, row: u32) -> Place {
        let Some(entry) = entry(self.rows, row) else { return Place { part: 0, within: 0, row } };
        let (shape, within) =
            if self.is_own_parent(entry) { (0, u64::from(entry.order)) } else { (entry.shape, entry.prefix) };
        let (step, place) = self.step(entry);
        Place { part: step << 62 | u64::from(place) << 32 | u64::from(shape), within, row }
    }

    /// Nearly always the numbers decide.
    fn sort(&self, places: &mut [Place]) {
        places.sort_unstable_by_key(Place::number);
        for equal in places.chunk_by_mut(|one, other| one.number() == other.number()) {
            if equal.len() > 1 {
                equal.sort_unstable_by(|one, other| self.compare(one, other));
            }
        }
    }

    fn compare(&self, one: &Place, other: &Place) -> Ordering {
        match (entry(self.rows, one.row), entry(self.rows, other.row)) {
            (Some(one), Some(other)) if !self.is_own_parent(one) => self.key(one).cmp(self.key(other)),
            _ => Ordering::Equal,
        }
    }

    fn is_own_parent(&self, entry: &Entry<'_>) -> bool {
        let slot = usize::try_from(entry.slot).ok().and_then(|slot| self.tables.slots.get(slot));
        slot.is_some_and(|slot| slot.own_parent)
    }

    /// Deletes, children first; inserts, parents first; updates. The step, and the table's place in it.
    fn step(&self, entry: &Entry<'_>) -> (u64, u32) {
        let slot = usize::try_from(entry.slot).ok().and_then(|slot| self.tables.slots.get(slot));
        let [up, down] = slot.map_or([0; 2], |slot| slot.places);
        match entry.kind {
            Some(RowsKind::Delete) => (0, down),
            Some(RowsKind::Insert) => (1, up),
            _ => (2, up),
        }
    }

    fn key(&self, entry: &Entry<'_>) -> &[u8] {
        let (from, to) = (usize::try_from(entry.key.0), usize::try_from(entry.key.1));
        from.ok().zip(to.ok()).and_then(|(from, to)| self.arena.get(from..to)).unwrap_or_default()
    }
}
