//! The making of a plan: each row's change joins what the segment has of its row, or ends the segment.

use crate::binlog::{Cell, Image, Row, RowsEvent, RowsKind};
use crate::error::Result;
use crate::transaction::{Change, RowsChange};

use super::super::claims::{Claim, KeyPlan};
use super::super::foreign::{
    COMES_INSERTED, COMES_LATE, COMES_UPDATED, LEAVES_DELETED, LEAVES_UPDATED, Phases, Side,
};
use super::super::hash::Hash;
use super::super::held::Index;
use super::super::merge::{Entry, Merged, Shape, merge};
use super::super::segment::{Demand, Order, Segments};
use super::super::tables::{Slot, number_of};
use super::{Item, Plan, SPECIAL};

/// Memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    segments: Segments,
    index: Index,
    arena: Vec<u8>,
    demands: Vec<Demand>,
}

/// A plan in the making.
pub(super) struct Build<'a, 's> {
    plan: Plan<'a>,
    scratch: &'s mut Scratch,
    /// The shape used last for each slot.
    last_shapes: Vec<u32>,
    /// Cells that count, of the row at hand.
    cells: [Vec<Cell<'a>>; 2],
    /// Rows of tables with foreign keys that are settled.
    settled: Vec<u32>,
    started: usize,
    next_order: u32,
}

/// The change at hand.
#[derive(Clone, Copy)]
struct Coming<'a> {
    slot: u32,
    shape: u32,
    kind: RowsKind,
    flags: u16,
    row: Row<'a>,
    change: &'a RowsChange,
}

impl<'a, 's> Build<'a, 's> {
    pub(super) fn new(mut plan: Plan<'a>, scratch: &'s mut Scratch) -> Self {
        scratch.segments.begin(&mut plan.tables);
        scratch.index.clear();
        scratch.arena.clear();
        let last_shapes = vec![u32::MAX; plan.tables.slots.len()];
        let (cells, settled) = ([Vec::new(), Vec::new()], Vec::new());
        Self { plan, scratch, last_shapes, cells, settled, started: 0, next_order: 0 }
    }

    pub(super) fn run(mut self, changes: impl Iterator<Item = &'a Change>) -> Result<Plan<'a>> {
        for change in changes {
            match change {
                Change::Rows(rows) => self.event(rows)?,
                Change::Statement(statement) => {
                    self.settle();
                    self.plan.items.push(Item::Statement(statement));
                }
            }
        }
        self.settle();
        Ok(self.plan)
    }

    /// Ends everything: what comes next does not pass what came before.
    fn settle(&mut self) {
        for group in 0..number_of(self.plan.tables.groups.len()) {
            self.end_segment(group);
            if !self.touched(group) {
                self.scratch.segments.take(group, &mut self.plan.order);
            }
        }
        // Rows without foreign keys first: they have other flags.
        self.settle_foreign();
        self.plan.order.append(&mut self.settled);
        if self.plan.order.len() > self.started {
            self.plan.items.push(Item::Rows(self.started..self.plan.order.len()));
            self.started = self.plan.order.len();
        }
    }

    /// Ends the segments that a cascade may reach: all whose tables have foreign keys.
    fn settle_foreign(&mut self) {
        for group in 0..number_of(self.plan.tables.groups.len()) {
            if self.touched(group) {
                self.end_segment(group);
                self.scratch.segments.take(group, &mut self.settled);
            }
        }
    }

    fn touched(&self, group: u32) -> bool {
        at(&self.plan.tables.groups, group) == Some(&true)
    }

    fn end_segment(&mut self, group: u32) {
        let order = Order { rows: &self.plan.rows, tables: &self.plan.tables, arena: &self.scratch.arena };
        self.scratch.segments.end(group, &order);
    }

    fn event(&mut self, change: &'a RowsChange) -> Result<()> {
        let Some(number) = self.plan.tables.slot_of(&change.table) else { return Ok(()) };
        let Some(slot) = at(&self.plan.tables.slots, number) else { return Ok(()) };
        let event = &change.event;
        let flags = event.flags & slot.flags;
        let merges = event.kind != RowsKind::PartialUpdate
            && !slot.mixed
            && slot.layout.primary.is_some()
            && flags & SPECIAL == 0;
        let shape = self.shape(Shape::new(number, &event.before, &event.after));
        let mut begins = true;
        for row in event.rows() {
            let coming = Coming { slot: number, shape, kind: event.kind, flags, row: row?, change };
            self.pick(&coming);
            if self.cascades(&coming) {
                self.cascade(&coming, begins);
            } else if !merges || !self.merged(&coming) {
                self.alone(&coming, begins);
            }
            begins = false;
        }
        Ok(())
    }

    /// The number of a shape.
    fn shape(&mut self, shape: Shape<'a>) -> u32 {
        let last = at(&self.last_shapes, shape.slot).copied().unwrap_or(u32::MAX);
        if at(&self.plan.shapes, last).is_some_and(|last| last.is(&shape)) {
            return last;
        }
        let known = self.plan.shapes.iter().position(|known| known.is(&shape));
        let number = number_of(known.unwrap_or(self.plan.shapes.len()));
        if known.is_none() {
            self.plan.shapes.push(shape);
        }
        if let Some(last) = at_mut(&mut self.last_shapes, shape.slot) {
            *last = number;
        }
        number
    }

    fn pick(&mut self, coming: &Coming<'a>) {
        let Some(slot) = at(&self.plan.tables.slots, coming.slot) else { return };
        for (image, cells) in [coming.row.before, coming.row.after].iter().zip(&mut self.cells) {
            match image {
                Some(image) => slot.layout.pick(image, cells),
                None => cells.clear(),
            }
        }
    }

    /// Whether the server may change rows of other tables along with this one.
    fn cascades(&self, coming: &Coming<'a>) -> bool {
        let Some(slot) = at(&self.plan.tables.slots, coming.slot) else { return false };
        if coming.flags & RowsEvent::NO_FOREIGN_KEY_CHECKS != 0 {
            return false;
        }
        let [before, after] = &self.cells;
        let key_changes = || slot.layout.children.iter().any(|key| !key.unchanged(before, after));
        match coming.kind {
            RowsKind::Insert => false,
            RowsKind::Delete => slot.cascades[0],
            RowsKind::Update | RowsKind::PartialUpdate => slot.cascades[1] && key_changes(),
        }
    }

    /// A row that takes others with it stands between everything before and after it.
    fn cascade(&mut self, coming: &Coming<'a>, begins: bool) {
        self.settle_foreign();
        self.alone(coming, begins);
        self.settle_foreign();
    }

    /// A row that keeps its place.
    fn alone(&mut self, coming: &Coming<'a>, begins: bool) {
        let Some(slot) = at(&self.plan.tables.slots, coming.slot) else { return };
        let group = slot.group;
        // Inserts look for nothing, and rows with a primary key are looked for one by one.
        let begins = begins && coming.kind != RowsKind::Insert && slot.layout.primary.is_none();
        self.end_segment(group);
        let entry = Entry { begins, ..self.entry(coming) };
        self.scratch.segments.append(group, number_of(self.plan.rows.len()));
        self.plan.rows.push(entry);
    }

    fn entry(&mut self, coming: &Coming<'a>) -> Entry<'a> {
        self.next_order += 1;
        Entry {
            slot: coming.slot,
            shape: coming.shape,
            kind: Some(coming.kind),
            before: coming.row.before.map_or(&[], |image| image.bytes()),
            after: coming.row.after.map_or(&[], |image| image.bytes()),
            key: (0, 0),
            prefix: 0,
            segment: 0,
            order: self.next_order,
            flags: coming.flags,
            begins: false,
            event: &coming.change.bytes,
        }
    }

    /// Merges a row's change into the current segment. False if it has to keep its place.
    fn merged(&mut self, coming: &Coming<'a>) -> bool {
        let Some(slot) = at(&self.plan.tables.slots, coming.slot) else { return false };
        let [before, after] = &self.cells;
        let update = coming.kind == RowsKind::Update;
        if update && slot.layout.moves(before, after) {
            return false;
        }
        let from = self.scratch.arena.len();
        let cells = if coming.kind == RowsKind::Insert { after } else { before };
        if !slot.layout.primary_bytes(cells, &mut self.scratch.arena) {
            self.scratch.arena.truncate(from);
            return false;
        }
        let group = slot.group;
        let key = self.scratch.arena.get(from..).unwrap_or_default();
        let (prefix, hash) = (prefix(key), key_hash(coming.slot, key));
        let known = self.find(coming.slot, hash, key).filter(|row| {
            at(&self.plan.rows, *row).is_some_and(|row| row.segment == self.scratch.segments.current(group))
        });
        if let Some(row) = known
            && self.join(coming, group, row)
        {
            self.scratch.arena.truncate(from);
            return true;
        }
        self.add(coming, group, known.is_some(), (from, prefix, hash));
        true
    }

    fn find(&self, slot: u32, hash: u64, key: &[u8]) -> Option<u32> {
        let arena = &self.scratch.arena;
        self.scratch.index.find(hash, |row| {
            at(&self.plan.rows, row).is_some_and(|row| row.slot == slot && key_of(row, arena) == key)
        })
    }

    /// Merges a change into what the segment has of its row, if nothing is against it.
    fn join(&mut self, coming: &Coming<'a>, group: u32, row: u32) -> bool {
        let Some(known) = at(&self.plan.rows, row).copied() else { return false };
        let (Some(old), Some(new)) =
            (at(&self.plan.shapes, known.shape).copied(), at(&self.plan.shapes, coming.shape).copied())
        else {
            return false;
        };
        let Some(merged) = merge(known.kind, coming.kind, &old, &new) else { return false };
        self.demand(coming, Some((&known, &old, merged)));
        let Scratch { segments, demands, .. } = &mut *self.scratch;
        if !segments.admits(group, row, coming.flags, demands, &self.plan.rows) {
            return false;
        }
        segments.join(group, row, coming.flags, demands, false);
        let before = if merged.first_before { old.before } else { new.before };
        let shape = match merged.kind {
            Some(RowsKind::Insert) => Shape::new(coming.slot, new.after, new.after),
            Some(RowsKind::Delete) => Shape::new(coming.slot, before, before),
            _ => Shape::new(coming.slot, before, new.after),
        };
        let shape = self.shape(shape);
        let fresh = self.entry(coming);
        let inserts = merged.kind == Some(RowsKind::Insert);
        if let Some(entry) = at_mut(&mut self.plan.rows, row) {
            entry.kind = merged.kind;
            entry.shape = shape;
            entry.event = fresh.event;
            entry.after = fresh.after;
            if inserts {
                entry.before = &[];
            } else if !merged.first_before {
                entry.before = fresh.before;
            }
            if merged.renewed {
                entry.order = fresh.order;
            }
        }
        true
    }

    /// Adds a row that the segment does not have, or not so that the change could join it.
    fn add(&mut self, coming: &Coming<'a>, group: u32, apart: bool, (from, prefix, hash): (usize, u64, u64)) {
        let row = number_of(self.plan.rows.len());
        self.demand(coming, None);
        let Scratch { segments, demands, .. } = &*self.scratch;
        if apart || !segments.admits(group, row, coming.flags, demands, &self.plan.rows) {
            self.end_segment(group);
        }
        let segment = self.scratch.segments.current(group);
        let key = (number_of(from), number_of(self.scratch.arena.len()));
        let entry = Entry { key, prefix, segment, ..self.entry(coming) };
        self.plan.rows.push(entry);
        let Scratch { segments, demands, index, arena } = &mut *self.scratch;
        segments.join(group, row, coming.flags, demands, true);
        let rows = &self.plan.rows;
        let key = key_of(&entry, arena);
        index.put(hash, row, |other| {
            at(rows, other).is_some_and(|other| other.slot == entry.slot && key_of(other, arena) == key)
        });
    }

    /// Collects what the change claims, given what it is merged into.
    fn demand(&mut self, coming: &Coming<'a>, known: Option<(&Entry<'a>, &Shape<'a>, Merged)>) {
        let demands = &mut self.scratch.demands;
        demands.clear();
        let Some(slot) = at(&self.plan.tables.slots, coming.slot) else { return };
        let [before, after] = &self.cells;
        for (number, key) in (slot.first_key..).zip(&slot.layout.unique) {
            let mut claim = |cells: &[Cell<'_>], fallback: &[Cell<'_>]| match key.claim(
                u64::from(number),
                cells,
                fallback,
            ) {
                Claim::Nothing => {}
                claim => demands.push(Demand::Unique(number, claim)),
            };
            match coming.kind {
                RowsKind::Insert => claim(after, &[]),
                RowsKind::Delete => claim(before, &[]),
                _ if key.unchanged(before, after) => {}
                _ => {
                    claim(before, &[]);
                    claim(after, before);
                }
            }
        }
        if !slot.relations.is_empty() {
            let net = Net::of(coming, known, slot, &self.cells);
            net.demand(slot, demands);
        }
    }
}

/// What a row's change comes to, as foreign keys see it.
struct Net<'c, 'a> {
    kind: Option<RowsKind>,
    /// The change only alters a row that the segment inserts.
    late: bool,
    before: Cells<'c, 'a>,
    after: &'c [Cell<'a>],
}

/// Borrowed where they are the change's own.
enum Cells<'c, 'a> {
    Own(&'c [Cell<'a>]),
    Earlier(Vec<Cell<'a>>),
}

impl<'c, 'a> Net<'c, 'a> {
    fn of(
        coming: &Coming<'a>,
        known: Option<(&Entry<'a>, &Shape<'a>, Merged)>,
        slot: &Slot<'a>,
        [before, after]: &'c [Vec<Cell<'a>>; 2],
    ) -> Self {
        let own = Self { kind: Some(coming.kind), late: false, before: Cells::Own(before), after };
        let Some((entry, shape, merged)) = known else { return own };
        let late = merged.kind == Some(RowsKind::Insert) && coming.kind == RowsKind::Update;
        let mut net = Self { kind: merged.kind, late, ..own };
        // The row leaves what it had when the segment began, in another step than was noted.
        if merged.first_before && merged.renewed {
            let image = Image::of(entry.before, &slot.routed.map, shape.before);
            let mut cells = Vec::new();
            slot.layout.pick(&image, &mut cells);
            net.before = Cells::Earlier(cells);
        }
        net
    }

    fn before(&self) -> &[Cell<'a>] {
        match &self.before {
            Cells::Own(cells) => cells,
            Cells::Earlier(cells) => cells,
        }
    }

    fn demand(&self, slot: &Slot<'a>, demands: &mut Vec<Demand>) {
        let Some(kind) = self.kind else { return };
        for tie in &slot.relations {
            let plan = match tie.side {
                Side::Parent => slot.layout.children.get(tie.plan),
                Side::Child => slot.layout.parents.get(tie.plan),
            };
            let own = slot.own_parent;
            let mut push = |phase: Phases, cells: &[Cell<'_>], fallback: &[Cell<'_>]| {
                let claim = plan.map_or(Claim::Whole, |plan: &KeyPlan| {
                    plan.claim(u64::from(tie.relation) | 1 << 32, cells, fallback)
                });
                let claim = match claim {
                    Claim::Value(_) if tie.opaque => Claim::Whole,
                    claim => claim,
                };
                if claim != Claim::Nothing {
                    demands.push(Demand::Foreign(tie.relation, tie.side, phase, claim));
                }
            };
            let unchanged = || plan.is_some_and(|plan| plan.unchanged(self.before(), self.after));
            match kind {
                RowsKind::Insert if self.late && unchanged() => {}
                RowsKind::Insert if self.late && own => push(COMES_LATE, self.after, self.before()),
                RowsKind::Insert => push(COMES_INSERTED, self.after, self.before()),
                RowsKind::Delete => push(LEAVES_DELETED, self.before(), &[]),
                _ if unchanged() => {}
                _ => {
                    push(LEAVES_UPDATED, self.before(), &[]);
                    push(COMES_UPDATED, self.after, self.before());
                }
            }
        }
    }
}

fn at<T>(items: &[T], number: u32) -> Option<&T> {
    items.get(usize::try_from(number).ok()?)
}

fn at_mut<T>(items: &mut [T], number: u32) -> Option<&mut T> {
    items.get_mut(usize::try_from(number).ok()?)
}

fn key_of<'k>(entry: &Entry<'_>, arena: &'k [u8]) -> &'k [u8] {
    let (from, to) = (usize::try_from(entry.key.0), usize::try_from(entry.key.1));
    from.ok().zip(to.ok()).and_then(|(from, to)| arena.get(from..to)).unwrap_or_default()
}

fn key_hash(slot: u32, key: &[u8]) -> u64 {
    let mut hash = Hash::new(u64::from(slot));
    hash.bytes(key);
    hash.finish()
}

/// The first eight bytes, as a number that sorts like them.
fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    for (into, byte) in first.iter_mut().zip(key) {
        *into = *byte;
    }
    u64::from_be_bytes(first)
}
