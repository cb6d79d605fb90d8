//! When each marked transaction was committed, as a server's own binlog says.
//!
//! The GTID event of each transaction holds the microsecond at which this server wrote it to its log. A marker row (table
//! `beat`) says which transaction of the source it is, or carries: a bridge's commit may carry several.

use std::collections::HashMap;
use std::fs;

use binbridge::binlog::{Body, Cell, Decoder, RowsEvent, RowsKind};
use bytes::Bytes;

use crate::support::{Coordinates, Server};

const MAGIC: usize = 4;

/// Microseconds since 1970 by marker, from `start` on.
pub(crate) fn commits(server: &Server, start: &Coordinates) -> HashMap<u64, u64> {
    let base = start.file.rsplit_once('.').map_or("", |(base, _)| base);
    let names = fs::read_dir(server.data_folder()).expect("the data folder").flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // Not the index beside them.
    let is_log = |number: &str| number.bytes().all(|digit| digit.is_ascii_digit());
    names.retain(|name| {
        *name >= start.file
            && name.rsplit_once('.').is_some_and(|(own, number)| own == base && is_log(number))
    });
    names.sort();
    let mut found = HashMap::new();
    for name in names {
        let log = Bytes::from(fs::read(server.data_folder().join(&name)).expect("a binlog file"));
        read(&log, &mut found).unwrap_or_else(|error| panic!("{name} of {}: {error}", server.name()));
    }
    found
}

fn read(log: &Bytes, found: &mut HashMap<u64, u64>) -> binbridge::error::Result<()> {
    let mut decoder = Decoder::new(true);
    let mut at = MAGIC;
    let mut committed = 0;
    while let Some(size) = log.get(at + 9..at + 13) {
        let size = u32::from_le_bytes(size.try_into().expect("four bytes"));
        let end = at + usize::try_from(size).expect("an event fits in memory");
        match decoder.decode(log.slice(at..end))?.body {
            Body::Gtid(gtid) => committed = gtid.immediate_commit_timestamp_us.unwrap_or(0),
            Body::Rows(rows) if &*rows.table.table == "beat" && rows.kind == RowsKind::Insert => {
                found.extend(markers(&rows)?.into_iter().map(|marker| (marker, committed)));
            }
            _ => {}
        }
        at = end;
    }
    Ok(())
}

fn markers(rows: &RowsEvent) -> binbridge::error::Result<Vec<u64>> {
    let mut markers = Vec::new();
    for row in rows.rows() {
        if let Some(Cell::Bytes(bytes)) = row?.after.map(|image| image.cell(0)) {
            markers.push(u64::from_le_bytes(bytes.try_into().expect("a BIGINT")));
        }
    }
    Ok(markers)
}
