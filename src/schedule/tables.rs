//! The tables of a batch: which foreign keys lie between them, and so which must be kept in step.

use std::collections::HashMap;
use std::sync::Arc;

use crate::binlog::RowsEvent;
use crate::transaction::{Change, Routed};

use super::foreign::{Relation, Side, Standing};
use super::hash::ByHash;
use super::layout::Layout;
use super::{Rule, TableKeys, TableName};

/// A table map of the batch.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    pub(super) routed: &'a Arc<Routed>,
    pub(super) layout: Arc<Layout>,
    /// Tables that foreign keys tie together.
    pub(super) group: u32,
    /// Its place among all tables where parents come first, and where children do.
    pub(super) places: [u32; 2],
    /// Foreign keys that lie within the batch.
    pub(super) relations: Vec<Tie>,
    /// Number of its first unique key among those of the batch.
    pub(super) first_key: u32,
    /// The server changes rows of other tables when rows of this one go, or change their key.
    pub(super) cascades: [bool; 2],
    /// The batch has the same table under another map, whose rows are encoded differently: nothing is merged.
    pub(super) mixed: bool,
    /// It refers to itself.
    pub(super) own_parent: bool,
    /// Flags of rows events that mean something for this table.
    pub(super) flags: u16,
}

/// A table's part in a foreign key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tie {
    /// Number of the relation.
    pub(super) relation: u32,
    pub(super) side: Side,
    /// Which of the layout's parents or children.
    pub(super) plan: usize,
    /// The claims of the two sides cannot be compared.
    pub(super) opaque: bool,
}

/// All tables of a batch.
#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    pub(super) slots: Vec<Slot<'a>>,
    pub(super) relations: Vec<Relation>,
    /// For each group, whether foreign keys touch it.
    pub(super) groups: Vec<bool>,
    /// How many unique keys there are.
    pub(super) keys: usize,
    by_address: ByHash<usize, u32>,
}

/// What is known of a table for one of its maps.
pub(super) type Known = (Arc<TableKeys>, Arc<Layout>);

impl<'a> Tables<'a> {
    /// Sets the tables of a batch up. `None` if the keys of one are not known.
    pub(super) fn new(
        changes: impl Iterator<Item = &'a Change>,
        mut known: impl FnMut(&Arc<Routed>) -> Option<Known>,
    ) -> Result<Self, &'a Arc<Routed>> {
        let mut tables = Self::default();
        let mut keys: Vec<Arc<TableKeys>> = Vec::new();
        let mut by_name: HashMap<TableName, Vec<usize>> = HashMap::new();
        for routed in changes.filter_map(Change::table) {
            let address = Arc::as_ptr(routed).addr();
            if tables.by_address.contains_key(&address) {
                continue;
            }
            let (known, layout) = known(routed).ok_or(routed)?;
            let namesakes = by_name.entry(known.name.clone()).or_default();
            let same_columns = |number: &usize| {
                tables.slots.get(*number).is_some_and(|slot| slot.routed.map.same_columns(&routed.map))
            };
            let number = if let Some(equal) = namesakes.iter().copied().find(same_columns) {
                equal
            } else {
                namesakes.push(tables.slots.len());
                tables.add(routed, &known, &layout, namesakes);
                keys.push(known);
                tables.slots.len() - 1
            };
            tables.by_address.insert(address, number_of(number));
        }
        tables.tie(&keys);
        Ok(tables)
    }

    /// The slot of a table map of this batch.
    pub(super) fn slot_of(&self, routed: &Arc<Routed>) -> Option<u32> {
        self.by_address.get(&Arc::as_ptr(routed).addr()).copied()
    }

    /// `namesakes` are the slots of this table, the new one included.
    fn add(&mut self, routed: &'a Arc<Routed>, keys: &TableKeys, layout: &Arc<Layout>, namesakes: &[usize]) {
        let mut flags = RowsEvent::COMPLETE_ROWS;
        if keys.has_foreign_keys() {
            flags |= RowsEvent::NO_FOREIGN_KEY_CHECKS | RowsEvent::USE_SQL_FOREIGN_KEY;
        }
        if !keys.unique.is_empty() {
            flags |= RowsEvent::RELAXED_UNIQUE;
        }
        let cascades =
            |rule: fn(&super::ForeignKey) -> Rule| keys.children.iter().any(|key| rule(key) == Rule::Cascade);
        self.slots.push(Slot {
            routed,
            group: 0,
            places: [0; 2],
            relations: Vec::new(),
            first_key: number_of(self.keys),
            cascades: [cascades(|key| key.on_delete), cascades(|key| key.on_update)],
            mixed: false,
            own_parent: keys.parents.iter().any(|key| key.parent == key.child),
            flags,
            layout: Arc::clone(layout),
        });
        self.keys += layout.unique.len();
        if namesakes.len() > 1 {
            for number in namesakes {
                self.slots.get_mut(*number).into_iter().for_each(|slot| slot.mixed = true);
            }
        }
    }

    /// Groups, ranks and relations.
    fn tie(&mut self, keys: &[Arc<TableKeys>]) {
        let edges = edges(keys);
        let groups = groups(keys, &edges);
        let ranks = ranks(keys.len(), &edges);
        let count = groups.iter().max().map_or(0, |group| group + 1);
        self.groups = vec![false; count];
        for ((slot, keys), group) in self.slots.iter_mut().zip(keys).zip(&groups) {
            slot.group = number_of(*group);
            if let Some(touched) = self.groups.get_mut(*group) {
                *touched |= keys.has_foreign_keys();
            }
        }
        for edge in &edges {
            let own =
                keys.get(edge.parent.0).zip(keys.get(edge.child.0)).is_some_and(|(p, c)| p.name == c.name);
            self.relate(edge, own, &ranks);
        }
        self.line_up(&ranks);
    }

    /// By rank, those of one rank as they came.
    fn line_up(&mut self, ranks: &[u32]) {
        let mut line: Vec<(u32, usize)> = ranks.iter().copied().zip(0..).collect();
        for direction in 0..2 {
            line.sort_unstable();
            for (place, (_, slot)) in (0..).zip(&line) {
                if let Some(slot) = self.slots.get_mut(*slot) {
                    slot.places[direction] = place;
                }
            }
            for (rank, _) in &mut line {
                *rank = u32::MAX - *rank;
            }
        }
    }

    fn relate(&mut self, edge: &Edge, own: bool, ranks: &[u32]) {
        let (Some(parent), Some(child)) = (self.slots.get(edge.parent.0), self.slots.get(edge.child.0))
        else {
            return;
        };
        let plans = (parent.layout.children.get(edge.parent.1), child.layout.parents.get(edge.child.1));
        let opaque = match plans {
            (Some(one), Some(other)) => !one.is_comparable(other),
            _ => true,
        };
        let standing = match (ranks.get(edge.parent.0), ranks.get(edge.child.0)) {
            _ if own => Standing::Own,
            (Some(parent), Some(child)) if parent < child => Standing::Served,
            _ => Standing::Against,
        };
        let relation = number_of(self.relations.len());
        self.relations.push(Relation::new(standing));
        for (side, (slot, plan)) in [(Side::Parent, edge.parent), (Side::Child, edge.child)] {
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.relations.push(Tie { relation, side, plan, opaque });
            }
        }
    }
}

/// A foreign key between two slots, each with the number of the key among its table's.
#[derive(Debug, Clone, Copy)]
struct Edge {
    parent: (usize, usize),
    child: (usize, usize),
}

/// A table under two maps has its foreign keys twice: a claim is then noted in both.
fn edges(keys: &[Arc<TableKeys>]) -> Vec<Edge> {
    let mut by_name: HashMap<&TableName, Vec<usize>> = HashMap::new();
    for (slot, table) in keys.iter().enumerate() {
        by_name.entry(&table.name).or_default().push(slot);
    }
    let mut edges = Vec::new();
    for (child, table) in keys.iter().enumerate() {
        for (from, key) in table.parents.iter().enumerate() {
            for parent in by_name.get(&key.parent).into_iter().flatten().copied() {
                let same = |other: &super::ForeignKey| other.name == key.name && other.child == key.child;
                let to = keys.get(parent).and_then(|keys| keys.children.iter().position(same));
                // A number that no key has makes the claims opaque.
                edges.push(Edge { parent: (parent, to.unwrap_or(usize::MAX)), child: (child, from) });
            }
        }
    }
    edges
}

/// For each slot the number of its group.
fn groups(keys: &[Arc<TableKeys>], edges: &[Edge]) -> Vec<usize> {
    let mut leader: Vec<usize> = (0..keys.len()).collect();
    let mut first: HashMap<&TableName, usize> = HashMap::new();
    let same_name: Vec<(usize, usize)> = keys
        .iter()
        .enumerate()
        .map(|(slot, table)| (slot, *first.entry(&table.name).or_insert(slot)))
        .collect();
    let pairs = edges.iter().map(|edge| (edge.parent.0, edge.child.0)).chain(same_name);
    for (one, other) in pairs {
        let (one, other) = (lead(&leader, one), lead(&leader, other));
        if let Some(of) = leader.get_mut(one.max(other)) {
            *of = one.min(other);
        }
    }
    let mut numbers = HashMap::new();
    (0..keys.len())
        .map(|slot| {
            let next = numbers.len();
            *numbers.entry(lead(&leader, slot)).or_insert(next)
        })
        .collect()
}

fn lead(leader: &[usize], mut slot: usize) -> usize {
    while let Some(of) = leader.get(slot).copied().filter(|of| *of != slot) {
        slot = of;
    }
    slot
}

/// The length of the longest way down to each slot; tables on a circle keep what they have when it closes.
fn ranks(count: usize, edges: &[Edge]) -> Vec<u32> {
    let mut ranks = vec![0_u32; count];
    let mut open: Vec<usize> = vec![0; count];
    let away: Vec<&Edge> = edges.iter().filter(|edge| edge.parent.0 != edge.child.0).collect();
    for edge in &away {
        if let Some(open) = open.get_mut(edge.child.0) {
            *open += 1;
        }
    }
    let mut ready: Vec<usize> = (0..count).filter(|slot| open.get(*slot) == Some(&0)).collect();
    while let Some(slot) = ready.pop() {
        let rank = ranks.get(slot).copied().unwrap_or_default();
        for edge in away.iter().filter(|edge| edge.parent.0 == slot) {
            if let (Some(of), Some(open)) = (ranks.get_mut(edge.child.0), open.get_mut(edge.child.0)) {
                *of = (*of).max(rank + 1);
                *open -= 1;
                if *open == 0 {
                    ready.push(edge.child.0);
                }
            }
        }
    }
    ranks
}

/// Batches are far smaller than four thousand million of anything.
pub(super) fn number_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
