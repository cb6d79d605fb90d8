//! What events weigh, how many rows they hold, and when two formats are one.

use bytes::Bytes;

use crate::binlog::{Header, QueryEvent, RowsEvent};
use crate::error::{Code, Error, Result};

use super::{Change, StatementChange};

/// A format description without the times at which its file and its server began, so that those of one server are equal.
pub(super) fn timeless(event: &[u8]) -> Bytes {
    let mut event = event.to_vec();
    // The header's timestamp, and `created` after binlog version (2) and server version (50).
    for at in [0, Header::LEN + 52] {
        if let Some(field) = event.get_mut(at..at + 4) {
            field.fill(0);
        }
    }
    event.into()
}

/// Events before and after a transaction's changes (GTID, `BEGIN`, XID): a change that is held holds the whole block of
/// bytes that it was received in, and these stand there too.
pub(super) const ENVELOPE: usize = 256;
/// What is kept of each row while its net effect is found, beside the row: its place in the event, its key and the lists that
/// it stands in. Of narrow rows that is most of it.
pub(super) const PER_ROW: usize = 128;
/// Header, fixed part, status variables and checksum of a statement event, about.
const AROUND_STATEMENT: usize = 128;

/// The memory that a statement takes: for short ones, what is known of it is larger than its text.
pub(super) fn statement_size(query: &QueryEvent) -> usize {
    query.sql.len() + AROUND_STATEMENT + size_of::<StatementChange>() + size_of::<Change>()
}

/// Walks every row, so that a rows event that does not delimit is found before any of it is applied.
pub(super) fn count_rows(rows: &mut RowsEvent, ends: &mut Vec<u32>) -> Result<u64> {
    let count = rows
        .delimit(ends)
        .map_err(|error: Error| error.context(format!("table {}.{}", rows.table.schema, rows.table.table)))?;
    if count == 0 {
        return Err(Error::new(Code::BadEvent, "a rows event without rows"));
    }
    Ok(count)
}
