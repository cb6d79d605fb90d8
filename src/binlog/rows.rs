//! Rows events: which table, which columns, and the images.

use std::sync::Arc;

use bytes::Bytes;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::le_u16;

use super::parse::{Input, Parsed, le_u48, lenenc};
use super::walk::Ends;
use super::{Bitmap, RowCursor, TableMap, kind};
use crate::error::Result;

/// Table id of the rows event that only ends a statement.
pub(super) const NO_TABLE: u64 = 0xFF_FFFF;

/// What happens to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowsKind {
    /// After images.
    Insert,
    /// Pairs of before and after image.
    Update,
    /// Before images.
    Delete,
    /// Pairs of before image and an after image that may hold parts of JSON values.
    PartialUpdate,
}

impl RowsKind {
    /// The kind of a rows event's type code.
    pub(super) const fn of(kind: u8) -> Option<Self> {
        match kind {
            kind::WRITE_ROWS_V1 | kind::WRITE_ROWS => Some(Self::Insert),
            kind::UPDATE_ROWS_V1 | kind::UPDATE_ROWS => Some(Self::Update),
            kind::DELETE_ROWS_V1 | kind::DELETE_ROWS => Some(Self::Delete),
            kind::PARTIAL_UPDATE_ROWS => Some(Self::PartialUpdate),
            _ => None,
        }
    }

    /// Whether rows have a before image.
    pub const fn has_before(self) -> bool {
        !matches!(self, Self::Insert)
    }

    /// Whether rows have an after image.
    pub const fn has_after(self) -> bool {
        !matches!(self, Self::Delete)
    }
}

/// Changed rows of one table.
#[derive(Debug, Clone)]
pub struct RowsEvent {
    /// What happens to the rows.
    pub kind: RowsKind,
    /// The table.
    pub table: Arc<TableMap>,
    /// `STMT_END` and the others.
    pub flags: u16,
    /// Chunks of type, value between the fixed part and the bitmaps: partition ids. Without its length; empty in version 1.
    pub extra: Bytes,
    /// Columns that before images hold; in inserts, the after images'.
    pub before: Bitmap,
    /// Columns that after images hold; in deletes, the before images'.
    pub after: Bitmap,
    /// The row images, one after the other.
    pub data: Bytes,
    /// Offset of `data` in the event.
    pub header_len: usize,
    pub(super) ends: Ends,
}

impl RowsEvent {
    /// Flag: the last rows event of the statement; its table maps end.
    pub const STMT_END: u16 = 0x01;
    /// Flag: `foreign_key_checks=0`.
    pub const NO_FOREIGN_KEY_CHECKS: u16 = 0x02;
    /// Flag: `unique_checks=0`.
    pub const RELAXED_UNIQUE: u16 = 0x04;
    /// Flag: rows hold all columns of the source's table.
    pub const COMPLETE_ROWS: u16 = 0x08;
    /// Flag: cascades of foreign keys are in the log (9.6 on).
    pub const USE_SQL_FOREIGN_KEY: u16 = 0x10;

    /// The rows, in order.
    pub fn rows(&self) -> RowCursor<'_> {
        RowCursor::new(self)
    }

    /// Whether this is the last rows event of its statement.
    pub const fn ends_statement(&self) -> bool {
        self.flags & Self::STMT_END != 0
    }

    pub(super) fn parse(input: Input<'_>, kind: RowsKind, table: Arc<TableMap>) -> Result<Self> {
        let (rest, (_, flags)) = input.settle((le_u48, le_u16).parse(input.body()))?;
        let (rest, extra) =
            if is_version_1(input.kind) { (rest, &[][..]) } else { input.settle(extra(rest))? };
        let counted_at = input.event.len().saturating_sub(rest.len());
        let (rest, columns) = input.settle(lenenc(rest))?;
        if usize::try_from(columns) != Ok(table.columns.len()) {
            let what = format!("has {columns} columns, its table map {}", table.columns.len());
            return Err(input.bad(counted_at, what));
        }
        let columns = table.columns.len();
        let bitmap = |rest| take(columns.div_ceil(8)).parse(rest) as Parsed<'_, &[u8]>;
        let (rest, before) = input.settle(bitmap(rest))?;
        let two = matches!(kind, RowsKind::Update | RowsKind::PartialUpdate);
        let (rest, after) = if two { input.settle(bitmap(rest))? } else { (rest, before) };
        let held = |bits| {
            Bitmap::new(bits, columns, input.event).ok_or_else(|| input.bad(counted_at, "ends too early"))
        };
        Ok(Self {
            kind,
            table,
            flags,
            extra: input.share(extra),
            before: held(before)?,
            after: held(after)?,
            data: input.share(rest),
            header_len: input.event.len().saturating_sub(rest.len()),
            ends: Ends::default(),
        })
    }
}

/// Table id and flags of a rows event.
pub(super) fn head(input: Input<'_>) -> Result<(u64, u16)> {
    input.run(|body| (le_u48, le_u16).parse(body))
}

fn is_version_1(kind: u8) -> bool {
    kind < kind::INCIDENT
}

/// The length counts itself.
fn extra(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = le_u16(input)?;
    match length.checked_sub(2) {
        Some(length) => take(length).parse(rest),
        None => super::parse::refuse(input),
    }
}
