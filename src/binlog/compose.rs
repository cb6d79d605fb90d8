//! Table maps and rows events made anew from images, without checksums, in one growing buffer.

use super::patch::put_lenenc;
use super::{Bitmap, Header, RowsEvent, RowsKind, kind};

/// Appends the events of one statement after another.
#[derive(Debug)]
pub struct Composer<'b> {
    events: &'b mut Vec<u8>,
    /// Where the event at the end begins.
    at: usize,
    /// Where the last rows event of the statement begins.
    rows_at: Option<usize>,
}

/// An update of one row of a table that is not the source's, to be a statement or its last part.
#[derive(Debug, Clone)]
pub struct RowUpdate {
    /// The header of an event, for time and server.
    pub like: Vec<u8>,
    /// The body of the table map, behind id and flags.
    pub table_map: Vec<u8>,
    /// Which columns the before image holds, and the image.
    pub before: (Bitmap, Vec<u8>),
    /// Which columns the after image holds, and the image.
    pub after: (Bitmap, Vec<u8>),
}

impl RowUpdate {
    /// Above every number of a source's table, which the caller counts from 1 in 32 bits.
    const TABLE_ID: u64 = 1 << 40;

    /// Appends it as a statement of its own.
    pub fn append(&self, events: &mut Vec<u8>) {
        let mut composer = Composer::new(events);
        composer.table_map_of(self);
        composer.update(self, 0);
        composer.end_statement();
    }
}

const TYPE_AT: usize = 4;
const SIZE_AT: usize = 9;
const ID_AT: usize = Header::LEN;
const FLAGS_AT: usize = ID_AT + 6;

impl<'b> Composer<'b> {
    /// Appends to these events.
    pub fn new(events: &'b mut Vec<u8>) -> Self {
        let at = events.len();
        Self { events, at, rows_at: None }
    }

    /// Appends a table map event under another id. All of a statement's come before its rows.
    pub fn table_map(&mut self, event: &[u8], id: u64) {
        self.end_event();
        self.events.extend_from_slice(event);
        self.put(ID_AT, &id.to_le_bytes()[..6]);
        self.end_event();
    }

    /// Appends the table map of a row that [`update`](Self::update) will change.
    pub fn table_map_of(&mut self, row: &RowUpdate) {
        self.end_event();
        self.events.extend_from_slice(&row.like);
        self.put(TYPE_AT, &[kind::TABLE_MAP]);
        self.events.extend_from_slice(&RowUpdate::TABLE_ID.to_le_bytes()[..6]);
        self.events.extend_from_slice(&[0; 2]);
        self.events.extend_from_slice(&row.table_map);
        self.end_event();
    }

    /// Appends the change of such a row, with the flags of the statement it is in.
    pub fn update(&mut self, row: &RowUpdate, flags: u16) {
        let [before, after] = [&row.before, &row.after];
        self.rows(&row.like, RowsKind::Update, (RowUpdate::TABLE_ID, flags), [&before.0, &after.0]);
        self.image(&before.1);
        self.image(&after.1);
    }

    /// Begins a rows event (version 2, without extra row info) with time and server of another rows event. `flags` are
    /// without `STMT_END`; the bitmaps say which columns before and after images hold.
    pub fn rows(&mut self, like: &[u8], kind: RowsKind, (id, flags): (u64, u16), columns: [&Bitmap; 2]) {
        self.end_event();
        self.rows_at = Some(self.at);
        let code = match kind {
            RowsKind::Insert => kind::WRITE_ROWS,
            RowsKind::Update => kind::UPDATE_ROWS,
            RowsKind::Delete => kind::DELETE_ROWS,
            RowsKind::PartialUpdate => kind::PARTIAL_UPDATE_ROWS,
        };
        self.events.extend_from_slice(like.get(..Header::LEN).unwrap_or(&[0; Header::LEN]));
        self.put(TYPE_AT, &[code]);
        self.events.extend_from_slice(&id.to_le_bytes()[..6]);
        self.events.extend_from_slice(&flags.to_le_bytes());
        // The length of extra row info counts itself.
        self.events.extend_from_slice(&2_u16.to_le_bytes());
        let [before, after] = columns;
        put_lenenc(self.events, before.len());
        if kind.has_before() {
            self.bitmap(before);
        }
        if kind.has_after() {
            self.bitmap(after);
        }
    }

    /// Appends an image to the rows event.
    pub fn image(&mut self, image: &[u8]) {
        self.events.extend_from_slice(image);
    }

    /// Bytes of the event at the end.
    pub fn event_len(&self) -> usize {
        self.events.len() - self.at
    }

    /// Marks the last rows event as the statement's last.
    pub fn end_statement(&mut self) {
        self.end_event();
        if let Some(at) = self.rows_at.take()
            && let Some(flags) = self.events.get_mut(at + FLAGS_AT)
        {
            *flags |= RowsEvent::STMT_END.to_le_bytes()[0];
        }
    }

    fn bitmap(&mut self, bitmap: &Bitmap) {
        let bytes = bitmap.as_bytes();
        self.events.extend_from_slice(bytes.get(..bitmap.len().div_ceil(8)).unwrap_or(bytes));
    }

    /// The header says how long the event has become.
    fn end_event(&mut self) {
        if self.event_len() > 0 {
            let size = u32::try_from(self.event_len()).unwrap_or(u32::MAX);
            self.put(SIZE_AT, &size.to_le_bytes());
            self.at = self.events.len();
        }
    }

    /// Writes into the event at the end.
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let from = self.at + offset;
        if let Some(into) = self.events.get_mut(from..from + bytes.len()) {
            into.copy_from_slice(bytes);
        }
    }
}
