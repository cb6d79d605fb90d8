//! What the targets share: building events around bytes, and consuming whatever comes out.

use binbridge::binlog::{Body, Decoder, Event, Header, with_position};
use bytes::Bytes;

/// A recorded format description without checksums, so that mutations are not stopped by one.
pub fn format() -> Bytes {
    const FILE: &[u8] = include_bytes!("../../../proto-fixtures/types.binlog");
    let size = Header::parse(&FILE[4..]).unwrap().event_size as usize;
    let event = Decoder::new(true).decode(Bytes::from_static(&FILE[4..4 + size])).unwrap();
    match event.body {
        Body::FormatDescription(format) => format.without_checksum(),
        _ => unreachable!("a file begins with its format description"),
    }
}

/// An event around a body.
#[allow(dead_code, reason = "not every target builds events")]
pub fn event(kind: u8, flags: u16, body: &[u8]) -> Bytes {
    let header = Header { timestamp: 1, kind, server_id: 1, event_size: 0, end_position: 1, flags };
    with_position(&[&header.encode()[..], body].concat().into(), 1)
}

/// Looks at everything in an event.
pub fn consume(decoder: &mut Decoder, event: &Event) {
    match &event.body {
        Body::Rows(rows) => {
            for row in rows.rows().map_while(Result::ok) {
                for image in row.before.iter().chain(&row.after) {
                    assert_eq!(image.cells().count(), rows.table.columns.len());
                }
            }
        }
        Body::TableMap(map) => drop(map.renamed("schema", "table", 7)),
        Body::FormatDescription(format) => drop(format.without_checksum()),
        Body::Payload(payload) => {
            let Ok(mut reader) = payload.events(1 << 22) else { return };
            while let Ok(Some(raw)) = reader.next_event() {
                if let Ok(inner) = decoder.decode_inner(raw) {
                    consume(decoder, &inner);
                }
            }
        }
        _ => {}
    }
}
