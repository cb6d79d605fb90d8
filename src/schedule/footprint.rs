//! What a transaction claims, so that another which claims the same does not run beside it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::binlog::{Cell, ColumnType, Image, Row, RowsEvent, RowsKind};
use crate::error::Result;
use crate::transaction::{Change, Clock, Routed, RowsChange};

use super::claims::{Claim, KeyPlan, Texture};
use super::hash::{ByHash, Hash};
use super::layout::Layout;
use super::{Reach, Rule, TableKeys, TableName};

/// How something is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Others may claim it so too: rows that refer to the same parent.
    Shared,
    /// Nobody else may.
    Exclusive,
}

/// A claim on a value of a key, or on all of the key's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) key: u32,
    /// `None`: any value.
    pub(super) value: Option<u64>,
    pub(super) mode: Mode,
}

/// Everything a transaction claims.
#[derive(Debug, Clone)]
pub struct Footprint {
    pub(super) needs: Vec<Need>,
    /// It may meet any other transaction.
    pub(super) everything: bool,
    /// It has a statement: what that touches only the source's clock tells.
    pub(super) statement: bool,
    pub(super) clock: Clock,
    /// The binlog file that the clock counts in.
    pub(super) file: Arc<str>,
    /// Bytes, to share work out.
    pub(super) weight: usize,
}

/// Makes footprints. Remembers what it compiled of tables.
#[derive(Debug, Default)]
pub struct Footprints {
    /// By the address of the table map; each entry keeps its map alive, so the address stays its own.
    compiled: ByHash<usize, (Arc<Routed>, Arc<Compiled>)>,
    ids: HashMap<KeyName, u32>,
    signatures: Vec<Signature>,
}

/// A key by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum KeyName {
    /// The rows of a table.
    Rows(TableName),
    /// One of a table's unique keys, by its number.
    Unique(TableName, usize),
    /// A foreign key, by its name and the table that refers.
    Foreign(TableName, Arc<str>),
}

/// How a key's values are encoded. Two encodings at once cannot be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Signature {
    #[default]
    None,
    One(Vec<(Texture, Option<(ColumnType, u16)>)>),
    /// Claims on a value are claims on all.
    Many,
}

/// A table for one of its table maps.
#[derive(Debug)]
struct Compiled {
    keys: Arc<TableKeys>,
    layout: Layout,
    rows: u32,
    /// Its primary key's values are compared by this key, if not byte by byte.
    primary: Option<usize>,
    unique: Vec<u32>,
    parents: Vec<u32>,
    children: Vec<u32>,
    cascades: [bool; 2],
}

/// Memory that a transaction's events use one after the other.
#[derive(Default)]
struct Scratch<'a> {
    /// Cells that count, of the row at hand.
    cells: [Vec<Cell<'a>>; 2],
    /// The bytes of its primary key.
    key: Vec<u8>,
}

/// More compiled table maps than this at once are compiled anew.
const MOST_COMPILED: usize = 4096;

impl Footprint {
    /// Of a transaction without changes.
    pub fn new(clock: Clock, file: Arc<str>, weight: usize) -> Self {
        Self { needs: Vec::new(), everything: false, statement: false, clock, file, weight }
    }

    /// Of transactions that nobody has looked into: they may meet any other.
    pub fn of_anything(file: Arc<str>, weight: usize) -> Self {
        Self { everything: true, ..Self::new(Clock::default(), file, weight) }
    }

    fn need(&mut self, key: u32, claim: Claim, mode: Mode, opaque: bool) {
        let value = match claim {
            Claim::Nothing => return,
            Claim::Value(hash) if !opaque => Some(hash),
            Claim::Value(_) | Claim::Whole => None,
        };
        let need = Need { key, value, mode };
        if self.needs.last() != Some(&need) {
            self.needs.push(need);
        }
    }
}

impl Footprints {
    /// Forgets the tables: their keys may be others now. Nothing is under way.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Adds what changes claim. `keys` knows the keys of every table among them; one that it does not know may meet
    /// anything.
    ///
    /// # Errors
    /// `BB3101` for an event whose rows cannot be walked.
    pub fn add<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
        keys: impl Fn(&Arc<Routed>) -> Option<Arc<TableKeys>>,
        into: &mut Footprint,
    ) -> Result<()> {
        let mut scratch = Scratch::default();
        for change in changes {
            match change {
                Change::Statement(_) => into.statement = true,
                Change::Rows(rows) => match keys(&rows.table) {
                    Some(keys) => {
                        let compiled = self.compiled(&rows.table, &keys);
                        self.rows(rows, &compiled, &mut scratch, into)?;
                    }
                    None => into.everything = true,
                },
            }
        }
        Ok(())
    }

    fn rows<'a>(
        &self,
        change: &'a RowsChange,
        table: &Compiled,
        scratch: &mut Scratch<'a>,
        into: &mut Footprint,
    ) -> Result<()> {
        let event = &change.event;
        // Not more than there can be: each row has a byte.
        let rows = usize::try_from(change.rows).unwrap_or(usize::MAX).min(event.data.len());
        into.needs.reserve(rows.saturating_mul(table.claims_per_row(event.kind)));
        let Scratch { cells, key } = scratch;
        for row in event.rows() {
            let Row { before, after } = row?;
            pick(&table.layout, [before, after], cells);
            let [before, after] = &*cells;
            if table.cascades(event, before, after) {
                into.everything = true;
                return Ok(());
            }
            self.row_itself(event.kind, table, (before, after), key, into);
            let update = matches!(event.kind, RowsKind::Update | RowsKind::PartialUpdate);
            let keys = |ids: &[u32], plans: &[KeyPlan], mode: Mode, into: &mut Footprint| {
                let changed = |plan: &KeyPlan| !(update && plan.unchanged(before, after));
                for (id, plan) in ids.iter().zip(plans).filter(|(_, plan)| changed(plan)) {
                    self.claim(*id, plan, (event.kind, before, after), mode, into);
                }
            };
            keys(&table.unique, &table.layout.unique, Mode::Exclusive, into);
            keys(&table.children, &table.layout.children, Mode::Exclusive, into);
            keys(&table.parents, &table.layout.parents, Mode::Shared, into);
        }
        Ok(())
    }

    /// The row that is changed: by its primary key, or else the whole table.
    fn row_itself(
        &self,
        kind: RowsKind,
        table: &Compiled,
        (before, after): (&[Cell<'_>], &[Cell<'_>]),
        key: &mut Vec<u8>,
        into: &mut Footprint,
    ) {
        if let Some(primary) = table.primary
            && let (Some(id), Some(plan)) = (table.unique.get(primary), table.layout.unique.get(primary))
        {
            self.claim(*id, plan, (kind, before, after), Mode::Exclusive, into);
            return;
        }
        let mut row = |cells: &[Cell<'_>]| {
            key.clear();
            let claim = if table.layout.primary_bytes(cells, key) {
                let mut hash = Hash::new(u64::from(table.rows));
                hash.bytes(key);
                Claim::Value(hash.finish())
            } else {
                Claim::Whole
            };
            into.need(table.rows, claim, Mode::Exclusive, self.is_opaque(table.rows));
        };
        match kind {
            RowsKind::Insert => row(after),
            RowsKind::Delete => row(before),
            RowsKind::Update | RowsKind::PartialUpdate => {
                row(before);
                if table.layout.primary.is_none() || table.layout.moves(before, after) {
                    row(after);
                }
            }
        }
    }

    fn claim(
        &self,
        id: u32,
        plan: &KeyPlan,
        (kind, before, after): (RowsKind, &[Cell<'_>], &[Cell<'_>]),
        mode: Mode,
        into: &mut Footprint,
    ) {
        let opaque = self.is_opaque(id);
        if kind != RowsKind::Insert {
            into.need(id, plan.claim(u64::from(id), before, &[]), mode, opaque);
        }
        if kind != RowsKind::Delete {
            let fallback = if kind == RowsKind::Insert { &[] } else { before };
            into.need(id, plan.claim(u64::from(id), after, fallback), mode, opaque);
        }
    }

    fn is_opaque(&self, id: u32) -> bool {
        let signature = usize::try_from(id).ok().and_then(|id| self.signatures.get(id));
        signature.is_none_or(|signature| *signature == Signature::Many)
    }

    fn compiled(&mut self, routed: &Arc<Routed>, keys: &Arc<TableKeys>) -> Arc<Compiled> {
        let address = Arc::as_ptr(routed).addr();
        if let Some((_, known)) = self.compiled.get(&address)
            && Arc::ptr_eq(&known.keys, keys)
        {
            return Arc::clone(known);
        }
        if self.compiled.len() >= MOST_COMPILED {
            self.compiled.clear();
        }
        let compiled = Arc::new(self.compile(routed, keys));
        self.compiled.insert(address, (Arc::clone(routed), Arc::clone(&compiled)));
        compiled
    }

    fn compile(&mut self, routed: &Routed, keys: &Arc<TableKeys>) -> Compiled {
        let layout = Layout::new(&routed.map, keys);
        let name = &keys.name;
        let rows = self.id(KeyName::Rows(name.clone()), layout.primary_signature(&routed.map));
        let unique = layout.unique.iter().enumerate();
        let unique = unique
            .map(|(number, plan)| self.id(KeyName::Unique(name.clone(), number), signature(plan)))
            .collect();
        let mut foreign = |all: &[super::ForeignKey], plans: &[KeyPlan]| -> Vec<u32> {
            all.iter()
                .zip(plans)
                .map(|(key, plan)| {
                    self.id(KeyName::Foreign(key.child.clone(), Arc::clone(&key.name)), signature(plan))
                })
                .collect()
        };
        let parents = foreign(&keys.parents, &layout.parents);
        let children = foreign(&keys.children, &layout.children);
        let cascades =
            |rule: fn(&super::ForeignKey) -> Rule| keys.children.iter().any(|key| rule(key) == Rule::Cascade);
        // Layout puts it last.
        let primary = layout.unique.len().checked_sub(1).filter(|last| *last >= keys.unique.len());
        Compiled {
            keys: Arc::clone(keys),
            rows,
            primary,
            unique,
            parents,
            children,
            cascades: [cascades(|key| key.on_delete), cascades(|key| key.on_update)],
            layout,
        }
    }

    /// The number of a key. Its values are comparable as long as all who use it encode them alike.
    fn id(&mut self, name: KeyName, signature: Signature) -> u32 {
        let next = u32::try_from(self.signatures.len()).unwrap_or(u32::MAX);
        let id = *self.ids.entry(name).or_insert(next);
        if id == next {
            self.signatures.push(signature);
        } else if let Some(known) = usize::try_from(id).ok().and_then(|id| self.signatures.get_mut(id))
            && *known != signature
        {
            *known = Signature::Many;
        }
        id
    }
}

impl Compiled {
    /// How many claims most rows make: updates hardly ever change a key.
    fn claims_per_row(&self, kind: RowsKind) -> usize {
        match kind {
            RowsKind::Insert | RowsKind::Delete => {
                1 + self.unique.len() + self.children.len() + self.parents.len()
            }
            RowsKind::Update | RowsKind::PartialUpdate => 1,
        }
    }

    /// Whether the server may change rows of other tables along with this one.
    fn cascades(&self, event: &RowsEvent, before: &[Cell<'_>], after: &[Cell<'_>]) -> bool {
        if event.flags & RowsEvent::NO_FOREIGN_KEY_CHECKS != 0 {
            return false;
        }
        match event.kind {
            RowsKind::Insert => false,
            RowsKind::Delete => self.cascades[0],
            RowsKind::Update | RowsKind::PartialUpdate => {
                self.cascades[1] && self.layout.children.iter().any(|key| !key.unchanged(before, after))
            }
        }
    }
}

fn pick<'a>(layout: &Layout, images: [Option<Image<'a>>; 2], cells: &mut [Vec<Cell<'a>>; 2]) {
    for (image, cells) in images.iter().zip(cells) {
        match image {
            Some(image) => layout.pick(image, cells),
            None => cells.clear(),
        }
    }
}

fn signature(plan: &KeyPlan) -> Signature {
    if plan.reach == Reach::Row {
        return Signature::Many;
    }
    let text = |texture: Texture| texture.is_text() || texture == Texture::Unknown;
    Signature::One(
        plan.parts.iter().map(|part| (part.texture, (!text(part.texture)).then_some(part.kind))).collect(),
    )
}

impl Layout {
    fn primary_signature(&self, map: &crate::binlog::TableMap) -> Signature {
        match &self.primary {
            None => Signature::One(Vec::new()),
            Some(_) => Signature::One(
                map.columns.iter().map(|column| (Texture::Exact, Some((column.kind, column.meta)))).collect(),
            ),
        }
    }
}
