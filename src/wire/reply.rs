//! What a server answers to a statement, put together packet by packet.
//!
//! MySQL internals manual, "Text Resultset" and "`OK_Packet`": an answer is an OK, an ERR, or a column count, the column
//! definitions, rows and an end; the end is an EOF packet, or with `CLIENT_DEPRECATE_EOF` an OK packet whose first
//! byte is 0xFE.

use bytes::Bytes;

use crate::bail;
use crate::error::{Code, Error, Result, ServerError};

use super::cursor::Cursor;
use super::rows::{Row, Rows};

/// A result set that is read whole is refused beyond this.
const MAX_ROWS_BYTES: usize = 64 << 20;
/// What a value costs beside its bytes.
const VALUE_BYTES: usize = size_of::<Option<Bytes>>();
/// The protocol has no limit, the server has 4096 per table; far beyond is nonsense.
const MAX_COLUMNS: u64 = 65_535;

const OK: u8 = 0x00;
const LOCAL_INFILE: u8 = 0xFB;
const END: u8 = 0xFE;
const ERR: u8 = 0xFF;

/// `SERVER_MORE_RESULTS_EXISTS`: the answer to the next statement of the same text follows.
pub(super) const MORE_RESULTS: u16 = 0x0008;

/// The answer to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It ran, without a result set.
    Done(Done),
    /// It ran, with a result set.
    Rows(Rows),
    /// It failed; with several statements in one text, none after it runs and none is answered.
    Failed(ServerError),
}

/// What an OK packet says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Rows changed (not: found).
    pub affected: u64,
    /// The first generated `AUTO_INCREMENT` value; 0 if there was none.
    pub last_insert_id: u64,
    /// How many warnings `SHOW WARNINGS` has.
    pub warnings: u16,
    /// The human-readable line, such as `Records: 3  Duplicates: 0  Warnings: 0`.
    pub info: String,
    /// Status flags: in a transaction, autocommit, more results.
    pub status: u16,
}

/// Puts one answer together. Each packet moves it on; it holds all state, so that the waiting in between can be
/// given up and taken up again.
#[derive(Debug, Default)]
pub(super) enum Answer {
    /// Between answers; the next packet opens one.
    #[default]
    Opening,
    /// A column count was read: this many definitions follow.
    Columns { rows: Rows, missing: u64 },
    /// The definitions are complete and an EOF packet stands between them and the rows.
    Boundary { rows: Rows },
    /// Rows, until the end packet.
    Rows { rows: Rows, held: usize },
}

impl Answer {
    /// Takes the next packet; an answer and its status flags when it is complete.
    pub(super) fn feed(&mut self, packet: Bytes, deprecate_eof: bool) -> Result<Option<(Reply, u16)>> {
        let Some(&first) = packet.first() else {
            bail!(Protocol, "empty packet where an answer was expected");
        };
        if first == ERR {
            *self = Self::Opening;
            return Ok(Some((Reply::Failed(parse_error(packet)?), 0)));
        }
        match std::mem::take(self) {
            Self::Opening => self.open(first, packet),
            Self::Columns { mut rows, missing } => {
                rows.columns.push(column_name(packet)?);
                *self = match missing - 1 {
                    0 if deprecate_eof => Self::Rows { rows, held: 0 },
                    0 => Self::Boundary { rows },
                    missing => Self::Columns { rows, missing },
                };
                Ok(None)
            }
            Self::Boundary { rows } => {
                if first != END || packet.len() >= 9 {
                    bail!(Protocol, "no end after the column definitions");
                }
                *self = Self::Rows { rows, held: 0 };
                Ok(None)
            }
            Self::Rows { rows, held } => self.row(rows, held, packet, deprecate_eof),
        }
    }

    fn open(&mut self, first: u8, packet: Bytes) -> Result<Option<(Reply, u16)>> {
        match first {
            OK => {
                let done = parse_ok(packet)?;
                let status = done.status;
                Ok(Some((Reply::Done(done), status)))
            }
            LOCAL_INFILE => {
                bail!(Protocol, "server asks for a local file (LOAD DATA LOCAL), which is refused")
            }
            END => bail!(Protocol, "end of rows where an answer was expected"),
            _ => {
                let mut cursor = Cursor::new(packet);
                let missing = cursor.lenenc_number()?;
                if missing == 0 || missing > MAX_COLUMNS || !cursor.is_empty() {
                    bail!(Protocol, "not the start of an answer");
                }
                *self = Self::Columns { rows: Rows::default(), missing };
                Ok(None)
            }
        }
    }

    fn row(
        &mut self,
        mut rows: Rows,
        held: usize,
        packet: Bytes,
        deprecate_eof: bool,
    ) -> Result<Option<(Reply, u16)>> {
        // A row may begin with 0xFE too: the length of a first value of 16 MiB or more.
        let longest_end = if deprecate_eof { 0xFF_FFFE } else { 8 };
        if packet.first() == Some(&END) && packet.len() <= longest_end {
            let status = if deprecate_eof { parse_ok(packet)?.status } else { parse_eof(packet)? };
            return Ok(Some((Reply::Rows(rows), status)));
        }
        let held = held + packet.len() + rows.columns.len() * VALUE_BYTES;
        if held > MAX_ROWS_BYTES {
            bail!(TooLarge, "a result set exceeds {} MiB", MAX_ROWS_BYTES >> 20);
        }
        rows.rows.push(parse_row(packet, rows.columns.len())?);
        *self = Self::Rows { rows, held };
        Ok(None)
    }
}

fn parse_row(packet: Bytes, columns: usize) -> Result<Row> {
    let mut cursor = Cursor::new(packet);
    let mut values = Vec::with_capacity(columns);
    for _ in 0..columns {
        values.push(cursor.lenenc_bytes()?);
    }
    if !cursor.is_empty() {
        bail!(Protocol, "a row is longer than its {columns} columns");
    }
    Ok(Row(values))
}

/// The name of a column definition: catalog, schema, table and `org_table` stand before it.
fn column_name(packet: Bytes) -> Result<String> {
    let mut cursor = Cursor::new(packet);
    for _ in 0..4 {
        cursor.lenenc_bytes()?;
    }
    let name = cursor.lenenc_bytes()?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// An OK packet, or the end packet in its form, without session tracking.
pub(super) fn parse_ok(packet: Bytes) -> Result<Done> {
    let mut cursor = Cursor::new(packet);
    cursor.u8()?;
    let affected = cursor.lenenc_number()?;
    let last_insert_id = cursor.lenenc_number()?;
    let status = cursor.u16()?;
    let warnings = cursor.u16()?;
    let info = String::from_utf8_lossy(&cursor.rest()).into_owned();
    Ok(Done { affected, last_insert_id, warnings, info, status })
}

fn parse_eof(packet: Bytes) -> Result<u16> {
    let mut cursor = Cursor::new(packet);
    cursor.u8()?;
    cursor.u16()?;
    cursor.u16()
}

/// An ERR packet; before the login is complete it has no SQLSTATE.
pub(super) fn parse_error(packet: Bytes) -> Result<ServerError> {
    let mut cursor = Cursor::new(packet);
    if cursor.u8()? != ERR {
        return Err(Error::new(Code::Protocol, "not an error packet"));
    }
    let number = cursor.u16()?;
    let rest = cursor.rest();
    let (state, message) = match rest.as_ref() {
        [b'#', tail @ ..] if tail.len() >= 5 => tail.split_at(5),
        all => (&b""[..], all),
    };
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(ServerError { number, state: text(state), message: text(message) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(packets: &[&[u8]], deprecate_eof: bool) -> Result<Option<(Reply, u16)>> {
        let mut answer = Answer::default();
        let (last, before) = packets.split_last().unwrap();
        for packet in before {
            assert_eq!(answer.feed(Bytes::copy_from_slice(packet), deprecate_eof)?, None);
        }
        answer.feed(Bytes::copy_from_slice(last), deprecate_eof)
    }

    const COLUMN: &[u8] = b"\x03def\x00\x00\x00\x01a\x00\x0c\x2d\x00\x01\x00\x00\x00\xfd\x01\x00\x00\x00\x00";

    #[test]
    fn result_sets_are_read_with_and_without_deprecated_ends() {
        let old: &[&[u8]] = &[b"\x01", COLUMN, b"\xFE\0\0\x02\0", b"\x01x", b"\xFB", b"\xFE\0\0\x0A\0"];
        let new: &[&[u8]] = &[b"\x01", COLUMN, b"\x01x", b"\xFB", b"\xFE\0\0\x0A\0\0\0"];
        let rows = Rows {
            columns: vec!["a".to_owned()],
            rows: vec![Row(vec![Some(Bytes::from_static(b"x"))]), Row(vec![None])],
        };
        assert_eq!(answer(old, false).unwrap(), Some((Reply::Rows(rows.clone()), 0x0A)));
        assert_eq!(answer(new, true).unwrap(), Some((Reply::Rows(rows), 0x0A)));
    }

    #[test]
    fn an_ok_says_what_was_done() {
        let done = Done {
            affected: 3,
            last_insert_id: 0x100,
            warnings: 1,
            info: "Records: 3".to_owned(),
            status: 2,
        };
        let packet = b"\x00\x03\xFC\x00\x01\x02\x00\x01\x00Records: 3";
        assert_eq!(answer(&[packet], true).unwrap(), Some((Reply::Done(done), 2)));
    }

    #[test]
    fn an_error_is_an_answer_also_between_rows() {
        let failed = ServerError { number: 1062, state: "23000".to_owned(), message: "Duplicate".to_owned() };
        let packet = b"\xFF\x26\x04#23000Duplicate";
        assert_eq!(answer(&[packet], true).unwrap(), Some((Reply::Failed(failed.clone()), 0)));
        let between: &[&[u8]] = &[b"\x01", COLUMN, b"\x01x", packet];
        assert_eq!(answer(between, true).unwrap(), Some((Reply::Failed(failed), 0)));
    }

    #[test]
    fn an_error_without_sqlstate_is_read_as_before_the_login() {
        let error = parse_error(Bytes::from_static(b"\xFF\x10\x04Too many connections")).unwrap();
        assert_eq!((error.number, error.state.as_str()), (1040, ""));
        assert_eq!(error.message, "Too many connections");
    }

    #[test]
    fn a_first_value_of_sixteen_mebibytes_is_a_row_and_no_end() {
        let mut row = vec![0xFE];
        row.extend_from_slice(&(0x0100_0000_u64).to_le_bytes());
        row.resize(row.len() + 0x0100_0000, b'x');
        let packets: &[&[u8]] = &[b"\x01", COLUMN, &row, b"\xFE\0\0\x02\0\0\0"];
        let Some((Reply::Rows(rows), _)) = answer(packets, true).unwrap() else { panic!("no rows") };
        assert_eq!(rows.rows[0].bytes(0).unwrap().len(), 0x0100_0000);
    }

    #[test]
    fn what_is_not_an_answer_is_a_protocol_error() {
        let packets: &[&[&[u8]]] = &[
            &[b""],
            &[b"\xFBpasswd"],
            &[b"\xFE\0\0\0\0"],
            &[b"\x00\x01"],
            &[b"\x01garbage"],
            &[b"\xFD\xFF\xFF\xFF"],
            &[b"\xFF"],
            &[b"\x01", b"\x03de"],
            &[b"\x01", COLUMN, b"\x02x"],
            &[b"\x01", COLUMN, b"\x01xy"],
        ];
        for packets in packets {
            assert_eq!(answer(packets, true).unwrap_err().code(), Code::Protocol, "{packets:?}");
        }
    }
}
