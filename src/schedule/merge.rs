//! The changes of one row within a segment, made one.

use bytes::Bytes;

use crate::binlog::{Bitmap, RowsKind};

/// The change of one row. Images are slices of the events they came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) slot: u32,
    pub(super) shape: u32,
    /// `None`: inserted and deleted again.
    pub(super) kind: Option<RowsKind>,
    /// Empty in inserts.
    pub(super) before: &'a [u8],
    /// Empty in deletes.
    pub(super) after: &'a [u8],
    /// Where its primary key's bytes stand among those of the batch.
    pub(super) key: (u32, u32),
    /// The first bytes of the key, for quick comparing.
    pub(super) prefix: u64,
    pub(super) segment: u32,
    /// When it became what it is.
    pub(super) order: u32,
    pub(super) flags: u16,
    /// A rows event begins with it: the server looks for the rows of one event of a keyless table together.
    pub(super) begins: bool,
    /// The last event that went into it.
    pub(super) event: &'a Bytes,
}

/// The columns that the images of a rows event hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) slot: u32,
    pub(super) before: &'a Bitmap,
    pub(super) after: &'a Bitmap,
    pub(super) full_after: bool,
}

/// What two changes of a row come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged {
    /// `None`: nothing.
    pub(super) kind: Option<RowsKind>,
    /// Whose before image and bitmap count: the first change's, else the second's.
    pub(super) first_before: bool,
    /// It is, so far, a change that stands where the second one came.
    pub(super) renewed: bool,
}

/// Merges a change into what a segment has of its row; `None` if the two must stay apart.
pub(super) fn merge(
    earlier: Option<RowsKind>,
    later: RowsKind,
    earlier_shape: &Shape<'_>,
    later_shape: &Shape<'_>,
) -> Option<Merged> {
    let same_after = || earlier_shape.after == later_shape.after;
    let (kind, first_before, renewed) = match (earlier, later) {
        (None, RowsKind::Insert) => (Some(RowsKind::Insert), false, true),
        (Some(RowsKind::Insert), RowsKind::Update) if same_after() => (Some(RowsKind::Insert), false, false),
        (Some(RowsKind::Insert), RowsKind::Delete) => (None, false, true),
        (Some(RowsKind::Update), RowsKind::Update) if same_after() => (Some(RowsKind::Update), true, false),
        (Some(RowsKind::Update), RowsKind::Delete) => (Some(RowsKind::Delete), true, true),
        // Columns that the insert does not hold would keep what they had.
        (Some(RowsKind::Delete), RowsKind::Insert) if later_shape.full_after => {
            (Some(RowsKind::Update), true, true)
        }
        _ => return None,
    };
    Some(Merged { kind, first_before, renewed })
}

impl<'a> Shape<'a> {
    pub(super) fn new(slot: u32, before: &'a Bitmap, after: &'a Bitmap) -> Self {
        Self { slot, before, after, full_after: after.is_full() }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.slot == other.slot && self.before == other.before && self.after == other.after
    }
}
