//! From the changes of a batch to their net effect, in the order in which it goes out.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::binlog::{Bitmap, RowsEvent, RowsKind};
use crate::error::{Code, Error, Result};
use crate::transaction::{Change, Routed, StatementChange};

use super::TableKeys;
use super::hash::ByHash;
use super::layout::Layout;
use super::merge::{Entry, Shape};
use super::tables::{Known, Tables};

mod build;

/// Makes plans. Remembers what it compiled of tables, and keeps its memory.
#[derive(Debug, Default)]
pub struct Planner {
    /// By the address of the table map; each entry keeps its map alive, so the address stays its own.
    compiled: ByHash<usize, (Arc<Routed>, Known)>,
    scratch: build::Scratch,
}

/// The net effect of a batch. Images are slices of the batch's events.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    tables: Tables<'a>,
    shapes: Vec<Shape<'a>>,
    rows: Vec<Entry<'a>>,
    order: Vec<u32>,
    items: Vec<Item<'a>>,
}

/// A step of a plan.
#[derive(Debug, Clone)]
pub enum Item<'a> {
    /// Rows, by their places in the plan's order; see [`Plan::statements`].
    Rows(Range<usize>),
    /// A statement; what comes before it and after it does not pass it.
    Statement(&'a StatementChange),
}

/// Rows that the server may take as one statement: it opens the tables once, and takes the flags of the first event.
#[derive(Debug, Clone)]
pub struct Statement<'p, 'a> {
    /// Flags of each rows event, without `STMT_END`.
    pub flags: u16,
    /// The numbers of the tables it touches, each once; see [`Plan::table`].
    pub tables: Vec<u32>,
    plan: &'p Plan<'a>,
    order: &'p [u32],
}

/// Rows of one table, kind and shape that follow one another.
#[derive(Debug, Clone, Copy)]
pub struct Run<'p, 'a> {
    /// The table's number.
    pub table: u32,
    /// What happens to the rows.
    pub kind: RowsKind,
    /// Columns that before images hold.
    pub before: &'a Bitmap,
    /// Columns that after images hold.
    pub after: &'a Bitmap,
    /// A source's event that went into the first row: whose time and server it has.
    pub event: &'a Bytes,
    plan: &'p Plan<'a>,
    order: &'p [u32],
}

/// More compiled table maps than this at once are compiled anew.
const MOST_COMPILED: usize = 4096;
/// Tables of one statement: the server has all of them open at once.
const MOST_TABLES: usize = 256;

impl Planner {
    /// The net effect of changes in order. `keys` knows the keys of every table among them.
    ///
    /// # Errors
    /// `BB9002` for a table whose keys are not known; `BB3101` for an event whose rows cannot be walked.
    pub fn plan<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change> + Clone,
        keys: impl Fn(&Arc<Routed>) -> Option<Arc<TableKeys>>,
    ) -> Result<Plan<'a>> {
        let tables = Tables::new(changes.clone(), |routed| self.known(routed, &keys)).map_err(|routed| {
            let what = format!("the keys of table {}.{} are not known", routed.schema, routed.table);
            Error::new(Code::Invariant, what)
        })?;
        let plan = Plan { tables, ..Plan::default() };
        build::Build::new(plan, &mut self.scratch).run(changes)
    }

    /// Forgets the tables: their keys may be others now.
    pub fn forget(&mut self) {
        self.compiled.clear();
    }

    fn known(
        &mut self,
        routed: &Arc<Routed>,
        keys: impl Fn(&Arc<Routed>) -> Option<Arc<TableKeys>>,
    ) -> Option<Known> {
        let address = Arc::as_ptr(routed).addr();
        let keys = keys(routed)?;
        if let Some((_, known)) = self.compiled.get(&address)
            && Arc::ptr_eq(&known.0, &keys)
        {
            return Some(known.clone());
        }
        if self.compiled.len() >= MOST_COMPILED {
            self.compiled.clear();
        }
        let layout = Arc::new(Layout::new(&routed.map, &keys));
        self.compiled.insert(address, (Arc::clone(routed), (Arc::clone(&keys), Arc::clone(&layout))));
        Some((keys, layout))
    }
}

impl<'a> Plan<'a> {
    /// Rows and statements in their order.
    pub fn items(&self) -> &[Item<'a>] {
        &self.items
    }

    /// How many rows it changes.
    pub fn rows(&self) -> usize {
        self.order.len()
    }

    /// A table by its number.
    pub fn table(&self, number: u32) -> Option<&'a Arc<Routed>> {
        Some(self.tables.slots.get(usize::try_from(number).ok()?)?.routed)
    }

    /// Rows, cut into statements.
    pub fn statements(&self, rows: Range<usize>) -> Vec<Statement<'_, 'a>> {
        let order = self.order.get(rows).unwrap_or_default();
        let mut statements: Vec<Statement<'_, 'a>> = Vec::new();
        let mut seen = vec![usize::MAX; self.tables.slots.len()];
        let mut from = 0;
        for (at, row) in order.iter().enumerate() {
            let Some(row) = self.row(*row) else { continue };
            let slot = usize::try_from(row.slot).unwrap_or(usize::MAX);
            let fits = statements.last().is_some_and(|last| {
                let new = seen.get(slot) != Some(&statements.len());
                last.flags == row.flags && !(new && (self.is_mixed(slot) || last.tables.len() >= MOST_TABLES))
            });
            if !fits {
                Self::close(&mut statements, order, from..at);
                from = at;
                statements.push(Statement { flags: row.flags, tables: Vec::new(), plan: self, order: &[] });
            }
            let number = statements.len();
            if let (Some(last), Some(seen)) = (statements.last_mut(), seen.get_mut(slot))
                && *seen != number
            {
                *seen = number;
                last.tables.push(row.slot);
            }
        }
        Self::close(&mut statements, order, from..order.len());
        statements
    }

    fn close<'p>(statements: &mut [Statement<'p, 'a>], order: &'p [u32], rows: Range<usize>) {
        if let Some(last) = statements.last_mut() {
            last.order = order.get(rows).unwrap_or_default();
        }
    }

    /// A table under two maps: a statement has one of them.
    fn is_mixed(&self, slot: usize) -> bool {
        self.tables.slots.get(slot).is_some_and(|slot| slot.mixed)
    }

    fn row(&self, number: u32) -> Option<&Entry<'a>> {
        self.rows.get(usize::try_from(number).ok()?)
    }

    fn shape(&self, number: u32) -> Option<&Shape<'a>> {
        self.shapes.get(usize::try_from(number).ok()?)
    }
}

impl<'p, 'a> Statement<'p, 'a> {
    /// A table by its number.
    pub fn table(&self, number: u32) -> Option<&'a Arc<Routed>> {
        self.plan.table(number)
    }

    /// The rows, in order.
    pub fn runs(&self) -> impl Iterator<Item = Run<'p, 'a>> + use<'p, 'a> {
        let (plan, mut rest) = (self.plan, self.order);
        std::iter::from_fn(move || {
            let first = plan.row(*rest.first()?)?;
            let shape = plan.shape(first.shape)?;
            let alike = |row: &u32| {
                plan.row(*row).is_some_and(|row| {
                    row.slot == first.slot
                        && row.shape == first.shape
                        && row.kind == first.kind
                        && !row.begins
                })
            };
            let more = rest.iter().skip(1).take_while(|row| alike(row)).count();
            let (order, after) = rest.split_at_checked(more + 1)?;
            rest = after;
            Some(Run {
                table: first.slot,
                kind: first.kind?,
                before: shape.before,
                after: shape.after,
                event: first.event,
                plan,
                order,
            })
        })
    }
}

impl<'p, 'a> Run<'p, 'a> {
    /// The rows' images: before and after, each empty where the kind has none.
    pub fn rows(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'p, 'a> {
        let plan = self.plan;
        self.order.iter().filter_map(move |row| plan.row(*row).map(|row| (row.before, row.after)))
    }

    /// The table.
    pub fn routed(&self) -> Option<&'a Arc<Routed>> {
        self.plan.table(self.table)
    }
}

/// Flags that forbid merging where they mean something.
const SPECIAL: u16 = RowsEvent::NO_FOREIGN_KEY_CHECKS | RowsEvent::RELAXED_UNIQUE;
