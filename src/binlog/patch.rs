//! Events with other names and table ids, for sending them on. None has a checksum.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Header, RowsEvent, TableMap};

/// Where the table id stands in table maps and rows events.
const TABLE_ID_AT: usize = Header::LEN;
const TABLE_ID_LEN: usize = 6;

impl TableMap {
    /// The event for a table of another name and under another id. The header's size fits the result.
    pub fn renamed(&self, schema: &str, table: &str, table_id: u64) -> Bytes {
        let rest = self.after_names();
        let mut event =
            BytesMut::with_capacity(Header::LEN + 8 + schema.len() + table.len() + 20 + rest.len());
        event.put_slice(self.bytes.get(..Header::LEN).unwrap_or_default());
        event.put_uint_le(table_id & 0xFFFF_FFFF_FFFF, TABLE_ID_LEN);
        event.put_u16_le(self.flags);
        for name in [schema, table] {
            put_lenenc(&mut event, name.len());
            event.put_slice(name.as_bytes());
            event.put_u8(0);
        }
        event.put_slice(rest);
        with_size(event)
    }
}

impl RowsEvent {
    /// A rows event of the same table and kind with these row images instead: `event` is the event that this was read from.
    pub fn with_rows(&self, event: &Bytes, table_id: u64, flags: u16, images: &[&[u8]]) -> Bytes {
        let head = event.get(..self.header_len).unwrap_or_default();
        let size = images.iter().map(|image| image.len()).sum::<usize>();
        let mut result = BytesMut::with_capacity(head.len().saturating_add(size));
        result.put_slice(head);
        put_table_id(&mut result, table_id);
        if let Some(at) = result.get_mut(TABLE_ID_AT + TABLE_ID_LEN..TABLE_ID_AT + TABLE_ID_LEN + 2) {
            at.copy_from_slice(&flags.to_le_bytes());
        }
        for image in images {
            result.put_slice(image);
        }
        with_size(result)
    }
}

/// A rows event (header and body, no checksum) under another table id, its header's size fitting.
pub fn rows_event_with_table_id(event: &Bytes, table_id: u64) -> Bytes {
    let mut result = BytesMut::from(&**event);
    put_table_id(&mut result, table_id);
    with_size(result)
}

/// An event (header and body, no checksum) whose header's size fits and that ends at `end_position`.
pub fn with_position(event: &Bytes, end_position: u32) -> Bytes {
    let mut result = BytesMut::from(&**event);
    if let Some(at) = result.get_mut(13..17) {
        at.copy_from_slice(&end_position.to_le_bytes());
    }
    with_size(result)
}

fn put_table_id(event: &mut BytesMut, table_id: u64) {
    let id = table_id.to_le_bytes();
    if let (Some(at), Some(id)) =
        (event.get_mut(TABLE_ID_AT..TABLE_ID_AT + TABLE_ID_LEN), id.get(..TABLE_ID_LEN))
    {
        at.copy_from_slice(id);
    }
}

fn with_size(mut event: BytesMut) -> Bytes {
    let size = u32::try_from(event.len()).unwrap_or(u32::MAX);
    if let Some(at) = event.get_mut(9..13) {
        at.copy_from_slice(&size.to_le_bytes());
    }
    event.freeze()
}

pub(super) fn put_lenenc(into: &mut impl BufMut, length: usize) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=0xFA), _) => into.put_u8(short),
        (_, Ok(length)) => {
            into.put_u8(0xFC);
            into.put_u16_le(length);
        }
        _ => {
            into.put_u8(0xFE);
            into.put_u64_le(length as u64);
        }
    }
}
