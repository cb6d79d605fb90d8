//! Tests over recorded, hostile and mutated files.

mod fixtures;
mod hostile;
mod mutations;
mod payloads;
mod public;

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Body, Cell, Decoder, Event, Header, RowsEvent, RowsKind};
use crate::error::Result;

/// What every binlog file begins with.
const MAGIC: &[u8] = b"\xfebin";

/// The recorded fixtures.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures")
}

fn read(path: &Path) -> Bytes {
    Bytes::from(std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// The raw events of a file; what does not hold a whole event comes as it is.
fn split(file: &Bytes) -> Vec<Bytes> {
    let mut rest = file.slice(MAGIC.len()..);
    let mut events = Vec::new();
    while !rest.is_empty() {
        let size = Header::parse(&rest).map_or(usize::MAX, |header| header.event_size as usize);
        events.push(rest.split_to(if size < Header::LEN { rest.len() } else { size.min(rest.len()) }));
    }
    events
}

/// What is in a file, as mysqlbinlog counts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    events: usize,
    inserts: usize,
    updates: usize,
    deletes: usize,
}

impl Counts {
    fn rows(&self) -> usize {
        self.inserts + self.updates + self.deletes
    }
}

/// Decodes everything, walks every row and payload; the events outside and inside payloads go to `see`.
fn drive(
    decoder: &mut Decoder,
    raw: impl IntoIterator<Item = Bytes>,
    see: &mut dyn FnMut(&Event),
) -> Result<Counts> {
    let mut counts = Counts::default();
    for raw in raw {
        let event = decoder.decode(raw)?;
        consume(decoder, &event, &mut counts, see)?;
    }
    Ok(counts)
}

fn consume(
    decoder: &mut Decoder,
    event: &Event,
    counts: &mut Counts,
    see: &mut dyn FnMut(&Event),
) -> Result<()> {
    counts.events += 1;
    see(event);
    match &event.body {
        Body::Rows(rows) => {
            let kind = match rows.kind {
                RowsKind::Insert => &mut counts.inserts,
                RowsKind::Update | RowsKind::PartialUpdate => &mut counts.updates,
                RowsKind::Delete => &mut counts.deletes,
            };
            let mut images = 0;
            for row in rows.rows() {
                let row = row?;
                *kind += 1;
                for image in row.before.iter().chain(&row.after) {
                    images += image.bytes().len();
                    let cells: usize = image
                        .cells()
                        .map(|cell| match cell {
                            Cell::Bytes(value) | Cell::Diff(value) => value.len(),
                            Cell::Absent | Cell::Null => 0,
                        })
                        .sum();
                    assert!(cells <= image.bytes().len());
                    assert_eq!(image.cells().count(), rows.table.columns.len());
                }
            }
            assert_eq!(images, rows.data.len(), "the images are all of the data");
            assert_same_once_delimited(rows);
            assert_eq!(event.bytes.len(), rows.header_len + rows.data.len());
        }
        Body::Payload(payload) => {
            let mut reader = payload.events(1 << 26)?;
            while let Some(raw) = reader.next_event()? {
                let inner = decoder.decode_inner(raw)?;
                consume(decoder, &inner, counts, see)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Rows whose ends are known are the rows that are found by walking, and picking cells finds those that walking finds.
fn assert_same_once_delimited(rows: &RowsEvent) {
    let mut known = rows.clone();
    assert_eq!(known.delimit(&mut Vec::new()).unwrap(), rows.rows().count() as u64);
    assert_eq!(known.rows().count(), rows.rows().count());
    let wanted: Vec<bool> = (0..rows.table.columns.len()).map(|column| column % 3 != 1).collect();
    for (row, again) in rows.rows().zip(known.rows()).map(|(row, again)| (row.unwrap(), again.unwrap())) {
        for (image, again) in [(row.before, again.before), (row.after, again.after)] {
            assert_eq!(image.map(|image| image.bytes()), again.map(|image| image.bytes()));
            let (Some(image), Some(again)) = (image, again) else { continue };
            assert!(image.cells().eq(again.cells()));
            let mut picked = Vec::new();
            again.pick(&wanted, &mut picked);
            let all = image.cells().zip(&wanted);
            let expected: Vec<Cell<'_>> = all.filter(|(_, wanted)| **wanted).map(|(cell, _)| cell).collect();
            assert_eq!(picked, expected);
        }
    }
}
