//! Walking row images: cells are delimited by the table's plan, never copied; nothing is allocated per row.

use std::sync::Arc;

use super::bitmap::bit;
use super::column::{Step, Width};
use super::parse::bad;
use super::{Bitmap, ColumnType, RowsEvent, RowsKind, TableMap, kind};
use crate::error::{Error, Result};

/// Value option of a partial update: the image begins with one bit per JSON column (`PARTIAL_JSON_UPDATES`).
const PARTIAL_JSON: u64 = 1;

/// A row of a rows event.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The row as it was; absent in inserts.
    pub before: Option<Image<'a>>,
    /// The row as it is; absent in deletes.
    pub after: Option<Image<'a>>,
}

/// One image of a row.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    bytes: &'a [u8],
    table: &'a TableMap,
    present: &'a Bitmap,
    /// It holds every column.
    full: bool,
    partial: &'a [u8],
    nulls: &'a [u8],
    cells: &'a [u8],
}

/// What an image says of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing: the column is not in the image.
    Absent,
    /// NULL.
    Null,
    /// The value as encoded in the event, without its length prefix.
    Bytes(&'a [u8]),
    /// Changes to a JSON value (a list of binary diffs), without their length prefix.
    Diff(&'a [u8]),
}

impl<'a> Image<'a> {
    /// An image again from its bytes; without parts of JSON values.
    pub fn of(bytes: &'a [u8], table: &'a TableMap, present: &'a Bitmap) -> Self {
        let Shape { present: held, full } = Shape::of(present);
        let (nulls, cells) = bytes.split_at_checked(held.div_ceil(8)).unwrap_or_default();
        Self { bytes, table, present, full, partial: &[], nulls, cells }
    }

    /// The whole image as it stands in the event, null bits (and partial bits) included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The columns that the image holds.
    pub fn present(&self) -> &'a Bitmap {
        self.present
    }

    /// Column `i`, found by walking the columns before it.
    pub fn cell(&self, i: usize) -> Cell<'a> {
        self.cells().nth(i).unwrap_or(Cell::Absent)
    }

    /// Appends the cells of the columns that are wanted, in order.
    pub fn pick(&self, wanted: &[bool], into: &mut Vec<Cell<'a>>) {
        if !self.full || !self.partial.is_empty() {
            into.extend(self.cells().zip(wanted).filter(|(_, wanted)| **wanted).map(|(cell, _)| cell));
            return;
        }
        let mut rest = self.cells;
        for (column, (wanted, width)) in wanted.iter().zip(&self.table.plan).enumerate() {
            if bit(self.nulls, column) {
                if *wanted {
                    into.push(Cell::Null);
                }
                continue;
            }
            // The cursor has delimited this image: cells lie within it.
            let Some((value, after)) = cell(*width, rest) else { return };
            rest = after;
            if *wanted {
                into.push(Cell::Bytes(value));
            }
        }
    }

    /// All columns of the table in order.
    pub fn cells(&self) -> Cells<'a> {
        Cells { image: *self, column: 0, null_index: 0, json_index: 0, rest: self.cells }
    }
}

/// Iterates over the cells of an image, one per column of the table.
#[derive(Debug, Clone)]
pub struct Cells<'a> {
    image: Image<'a>,
    column: usize,
    null_index: usize,
    json_index: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let table = self.image.table;
        let width = *table.plan.get(self.column)?;
        let is_json = !self.image.partial.is_empty()
            && table.columns.get(self.column).is_some_and(|column| column.kind == ColumnType::Json);
        let is_diff = is_json && bit(self.image.partial, self.json_index);
        let present = self.image.present.contains(self.column);
        self.column += 1;
        self.json_index += usize::from(is_json);
        if !present {
            return Some(Cell::Absent);
        }
        let is_null = bit(self.image.nulls, self.null_index);
        self.null_index += 1;
        if is_null {
            return Some(Cell::Null);
        }
        // The cursor has delimited this image: cells lie within it.
        let (value, rest) = cell(width, self.rest)?;
        self.rest = rest;
        Some(if is_diff { Cell::Diff(value) } else { Cell::Bytes(value) })
    }
}

/// Where the images of a rows event end, counted from the first one's beginning.
#[derive(Debug, Clone, Default)]
pub(super) enum Ends {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// Of the only one.
    One([u32; 1]),
    /// Of the only two.
    Two([u32; 2]),
    /// Of all of them.
    Many(Arc<[u32]>),
}

impl Ends {
    fn of(ends: &[u32]) -> Self {
        match *ends {
            [] => Self::Unknown,
            [one] => Self::One([one]),
            [one, two] => Self::Two([one, two]),
            _ => Self::Many(ends.into()),
        }
    }

    /// None, if nobody has looked.
    fn known(&self) -> &[u32] {
        match self {
            Self::Unknown => &[],
            Self::One(one) => one,
            Self::Two(two) => two,
            Self::Many(many) => many,
        }
    }
}

impl RowsEvent {
    /// Walks every row and remembers where it ends: from then on [`rows`](Self::rows) need not look at every cell. `ends` is
    /// memory that is used again. The number of rows.
    ///
    /// # Errors
    /// `BadEvent` if the last row does not end where the event does.
    pub fn delimit(&mut self, ends: &mut Vec<u32>) -> Result<u64> {
        self.ends = Ends::Unknown;
        ends.clear();
        let (mut count, mut end) = (0, 0);
        for row in self.rows() {
            let Row { before, after } = row?;
            count += 1;
            for image in [before, after].into_iter().flatten() {
                end += image.bytes.len();
                // An event has less than 4 GiB.
                ends.push(u32::try_from(end).unwrap_or(u32::MAX));
            }
        }
        if u32::try_from(end).is_ok() {
            self.ends = Ends::of(ends);
        }
        Ok(count)
    }
}

/// Iterates over the rows of a rows event; ends after the first error.
#[derive(Debug, Clone)]
pub struct RowCursor<'a> {
    event: &'a RowsEvent,
    rest: &'a [u8],
    /// Where the images of `rest` end, if that is known.
    ends: std::slice::Iter<'a, u32>,
    before: Shape,
    after: Shape,
    /// Rows are still to come: without data, a row of no columns (`INSERT .. VALUES ()` with MINIMAL images).
    more: bool,
}

/// What is the same for all images of one bitmap.
#[derive(Debug, Clone, Copy)]
struct Shape {
    present: usize,
    full: bool,
}

impl Shape {
    fn of(bitmap: &Bitmap) -> Self {
        let present = bitmap.count_ones();
        Self { present, full: present == bitmap.len() }
    }
}

impl<'a> RowCursor<'a> {
    pub(super) fn new(event: &'a RowsEvent) -> Self {
        let (before, after) = (Shape::of(&event.before), Shape::of(&event.after));
        let empty_insert = event.kind == RowsKind::Insert && before.present == 0;
        let ends = event.ends.known().iter();
        Self { event, rest: &event.data, ends, before, after, more: !event.data.is_empty() || empty_insert }
    }

    fn row(&mut self) -> Option<Row<'a>> {
        let event = self.event;
        let partial = event.kind == RowsKind::PartialUpdate;
        let before =
            if event.kind.has_before() { Some(self.image(&event.before, self.before, false)?) } else { None };
        let after =
            if event.kind.has_after() { Some(self.image(&event.after, self.after, partial)?) } else { None };
        Some(Row { before, after })
    }

    /// Delimits the image at the front of what is left.
    fn image(&mut self, present: &'a Bitmap, shape: Shape, partial_update: bool) -> Option<Image<'a>> {
        let table = &*self.event.table;
        let start = self.rest;
        let (partial, rest) = if partial_update { partial_bits(table, start)? } else { (&[][..], start) };
        let (nulls, cells) = rest.split_at_checked(shape.present.div_ceil(8))?;
        let known = self.ends.next();
        let end = match known {
            Some(end) => self.event.data.get(usize::try_from(*end).ok()?..)?,
            None if shape.full => full_end(table, nulls, cells)?,
            None => sparse_end(table, present, nulls, cells)?,
        };
        let bytes = start.get(..start.len().checked_sub(end.len())?)?;
        if known.is_some() {
            stream(bytes);
        }
        let cells = cells.get(..cells.len().checked_sub(end.len())?)?;
        self.rest = end;
        Some(Image { bytes, table, present, full: shape.full, partial, nulls, cells })
    }

    fn error(&self, at: usize) -> Error {
        let event = self.event;
        let kind = match event.kind {
            RowsKind::Insert => kind::WRITE_ROWS,
            RowsKind::Update => kind::UPDATE_ROWS,
            RowsKind::Delete => kind::DELETE_ROWS,
            RowsKind::PartialUpdate => kind::PARTIAL_UPDATE_ROWS,
        };
        let offset = event.header_len.saturating_add(event.data.len().saturating_sub(at));
        bad(kind, offset, "a row does not end where the event does")
            .context(format!("table {}.{}", event.table.schema, event.table.table))
    }
}

impl<'a> Iterator for RowCursor<'a> {
    type Item = Result<Row<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.more {
            return None;
        }
        let left = self.rest.len();
        let row = self.row();
        // Rows without bytes would never end.
        let stuck = left > 0 && self.rest.len() == left;
        self.more = row.is_some() && !stuck && !self.rest.is_empty();
        Some(row.filter(|_| !stuck).ok_or_else(|| self.error(left)))
    }
}

impl std::iter::FusedIterator for RowCursor<'_> {}

/// The end of an image that holds every column: the fast road. Which cells are NULL follows no pattern, so nothing branches
/// by it.
fn full_end<'a>(table: &TableMap, nulls: &[u8], cells: &'a [u8]) -> Option<&'a [u8]> {
    let mut at = 0_usize;
    for ((eight, widths), nulls) in table.steps.chunks(8).zip(table.plan.chunks(8)).zip(nulls) {
        if *nulls == 0 {
            let mut rest = cells.get(at..)?;
            for width in widths {
                rest = skip(*width, rest)?;
            }
            at = cells.len().checked_sub(rest.len())?;
            continue;
        }
        let mut nulls = usize::from(*nulls);
        for Step { bytes, length } in eight {
            // All ones, or none of them where the cell is NULL.
            let there = (nulls & 1).wrapping_sub(1);
            nulls >>= 1;
            let mut size = usize::from(*bytes);
            if *length != 0 {
                size = size.saturating_add(leading(cells.get(at..)?, *length)?);
            }
            at = at.saturating_add(size & there);
        }
    }
    cells.get(at..)
}

/// Reads something of every cache line, as walking would: what is read in order comes from memory ahead of its use. To read
/// the keys alone is slower.
fn stream(bytes: &[u8]) {
    const LINE: usize = 64;
    std::hint::black_box(bytes.iter().step_by(LINE).fold(0, |all, byte| all | byte));
}

/// The first bytes as a number, zeros after the last one; `mask` says how many.
fn leading(bytes: &[u8], mask: u32) -> Option<usize> {
    let four = bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut four = [0; 4];
        four.iter_mut().zip(bytes).for_each(|(into, byte)| *into = *byte);
        four
    });
    usize::try_from(u32::from_le_bytes(four) & mask).ok()
}

/// The end of an image that lacks columns; null bits count only those it has.
fn sparse_end<'a>(table: &TableMap, present: &Bitmap, nulls: &[u8], mut rest: &'a [u8]) -> Option<&'a [u8]> {
    let mut null_index = 0;
    for (i, width) in table.plan.iter().enumerate() {
        if !present.contains(i) {
            continue;
        }
        if !bit(nulls, null_index) {
            rest = skip(*width, rest)?;
        }
        null_index += 1;
    }
    Some(rest)
}

/// Value options, and the bits of JSON columns that hold changes: one per JSON column of the table, present or not.
fn partial_bits<'a>(table: &TableMap, input: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (rest, options) = super::parse::lenenc(input).ok()?;
    match options {
        0 => Some((&[], rest)),
        PARTIAL_JSON => rest.split_at_checked(table.json_columns.div_ceil(8)),
        _ => None,
    }
}

fn skip(width: Width, rest: &[u8]) -> Option<&[u8]> {
    match width {
        Width::Fixed(bytes) => rest.get(usize::from(bytes)..),
        Width::Length1 => {
            let (length, rest) = rest.split_first()?;
            rest.get(usize::from(*length)..)
        }
        _ => cell(width, rest).map(|(_, rest)| rest),
    }
}

/// Splits a cell's value from what follows it.
fn cell(width: Width, rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match width {
        Width::Fixed(bytes) => (usize::from(bytes), rest),
        Width::Length1 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        Width::Length2 => {
            rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest))?
        }
        Width::Length3 => {
            let (&[a, b, c], rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes([a, b, c, 0])).ok()?, rest)
        }
        Width::Length4 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
    };
    rest.split_at_checked(length)
}
