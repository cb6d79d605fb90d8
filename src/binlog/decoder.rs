//! The decoder: what must be remembered from event to event.

use std::sync::Arc;

use bytes::Bytes;

use super::checksum::{self, Checksum};
use super::numbers::ByNumber;
use super::parse::{Input, bad};
use super::rows::{self, RowsKind};
use super::{
    Body, Event, ExecuteLoadQuery, FileBlock, FormatDescription, GtidEvent, Header, QueryEvent, RowsEvent,
    TableMap, TransactionPayload, control, kind, load, query, table_map,
};
use crate::error::{Code, Error, Result};
use crate::position::GtidSet;

/// More tables than a statement can have open.
const OPEN_TABLES_MAX: usize = 16_384;
/// Compiled table maps that are remembered.
const KNOWN_TABLES_MAX: usize = 1024;

/// Decodes the events of one stream, in order.
#[derive(Debug, Clone)]
pub struct Decoder {
    checksum_wanted: Checksum,
    /// The format description has not come: only ROTATE and itself are understood.
    format: Option<FormatDescription>,
    /// What ends the events now: what was asked for, then what the last format description says.
    checksum: Checksum,
    /// Tables of the running statement by id.
    open: ByNumber<u64, Arc<TableMap>>,
    /// The table map last seen under each id: an equal one is not compiled again.
    known: ByNumber<u64, Arc<TableMap>>,
}

impl Decoder {
    /// A decoder for a stream for which checksums were asked for (`@source_binlog_checksum`) or not.
    pub fn new(checksum_wanted: bool) -> Self {
        let checksum_wanted = if checksum_wanted { Checksum::Crc32 } else { Checksum::None };
        Self {
            checksum_wanted,
            format: None,
            checksum: checksum_wanted,
            open: ByNumber::default(),
            known: ByNumber::default(),
        }
    }

    /// Forgets the stream: a new connection begins.
    pub fn reset(&mut self) {
        *self = Self::new(self.checksum_wanted == Checksum::Crc32);
    }

    /// The last format description.
    pub fn format(&self) -> Option<&FormatDescription> {
        self.format.as_ref()
    }

    /// Decodes an event: header, body, and the checksum where the stream has them.
    ///
    /// # Errors
    /// `BadEvent` for a wrong length or checksum and for bytes that do not parse; `UnknownEvent` for a type that must not
    /// be ignored and is not known.
    pub fn decode(&mut self, raw: Bytes) -> Result<Event> {
        let header = checked_header(&raw)?;
        let bytes = self.strip(&header, raw)?;
        if self.format.is_none() && !matches!(header.kind, kind::FORMAT_DESCRIPTION | kind::ROTATE) {
            return Err(bad(header.kind, 0, "comes before the format description"));
        }
        let body = self.body(&header, &bytes)?;
        Ok(Event { header, body, bytes })
    }

    /// What stands at the end of each event of the stream.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Decodes an event out of a transaction payload: these have no checksum.
    ///
    /// # Errors
    /// As [`Self::decode`]; `BadEvent` also for types that have no place in a payload.
    pub fn decode_inner(&mut self, raw: Bytes) -> Result<Event> {
        let header = checked_header(&raw)?;
        let no_place = matches!(
            header.kind,
            kind::FORMAT_DESCRIPTION
                | kind::ROTATE
                | kind::STOP
                | kind::TRANSACTION_PAYLOAD
                | kind::GTID
                | kind::ANONYMOUS_GTID
                | kind::GTID_TAGGED
                | kind::PREVIOUS_GTIDS
                | kind::HEARTBEAT
                | kind::HEARTBEAT_V2
        );
        if no_place {
            return Err(bad(header.kind, 0, "has no place in a transaction payload"));
        }
        let body = self.body(&header, &raw)?;
        Ok(Event { header, body, bytes: raw })
    }

    /// Verifies and takes off the checksum.
    fn strip(&self, header: &Header, mut raw: Bytes) -> Result<Bytes> {
        if header.kind == kind::FORMAT_DESCRIPTION {
            return FormatDescription::strip(&raw);
        }
        if header.kind == kind::ROTATE && header.is_artificial() {
            return strip_artificial_rotate(self.checksum, raw);
        }
        if self.checksum == Checksum::None {
            return Ok(raw);
        }
        let Some((content, found)) = checksum::split(&raw) else {
            return Err(bad(header.kind, raw.len(), "ends before its checksum"));
        };
        if checksum::crc32(content) != found {
            return Err(bad(header.kind, content.len(), "its checksum is wrong"));
        }
        let end = content.len();
        raw.truncate(end);
        Ok(raw)
    }

    fn body(&mut self, header: &Header, bytes: &Bytes) -> Result<Body> {
        let input = input(header, bytes);
        match header.kind {
            kind::FORMAT_DESCRIPTION => self.format_description(input),
            kind::ROTATE => {
                self.open.clear();
                control::rotate(input, header)
            }
            kind::TABLE_MAP => self.table_map(input),
            kind::TRANSACTION_PAYLOAD => TransactionPayload::parse(input).map(Body::Payload),
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED => {
                self.open.clear();
                GtidEvent::parse(input).map(Body::Gtid)
            }
            kind::QUERY => {
                let post_header = self.post_header(header.kind, query::POST_HEADER);
                QueryEvent::parse(input, post_header).map(|query| Body::Query(Box::new(query)))
            }
            kind::EXECUTE_LOAD_QUERY => {
                let post_header = self.post_header(header.kind, load::POST_HEADER);
                ExecuteLoadQuery::parse(input, post_header).map(|load| Body::ExecuteLoadQuery(Box::new(load)))
            }
            other => match RowsKind::of(other) {
                Some(kind) => self.rows(input, kind),
                None => stateless(input, header),
            },
        }
    }

    fn format_description(&mut self, input: Input<'_>) -> Result<Body> {
        let format = FormatDescription::parse(input)?;
        self.checksum = format.checksum;
        self.open.clear();
        self.format = Some(format.clone());
        Ok(Body::FormatDescription(format))
    }

    fn post_header(&self, kind: u8, least: usize) -> usize {
        self.format.as_ref().and_then(|format| format.post_header_length(kind)).unwrap_or(least)
    }

    fn table_map(&mut self, input: Input<'_>) -> Result<Body> {
        let id = table_map::table_id(input)?;
        let table = match self.known.get(&id) {
            Some(known) if known.body() == input.body() => Arc::clone(known),
            _ => self.compile(input, id)?,
        };
        if self.open.len() >= OPEN_TABLES_MAX {
            return Err(input.bad(0, format!("a statement opens more than {OPEN_TABLES_MAX} tables")));
        }
        self.open.insert(id, Arc::clone(&table));
        Ok(Body::TableMap(table))
    }

    fn compile(&mut self, input: Input<'_>, id: u64) -> Result<Arc<TableMap>> {
        let table = Arc::new(TableMap::parse(input)?);
        let mariadb = self.format.as_ref().is_some_and(FormatDescription::is_mariadb);
        if let Some(column) = table.column_without_precision().filter(|_| mariadb) {
            let what = format!(
                "column {} of {}.{} is a time in MariaDB's old format, which cannot be decoded without the schema",
                column.saturating_add(1),
                table.schema,
                table.table
            );
            return Err(input.bad(Header::LEN, what).with_code(Code::UnknownEvent));
        }
        if self.known.len() >= KNOWN_TABLES_MAX {
            self.known.clear();
        }
        self.known.insert(id, Arc::clone(&table));
        Ok(table)
    }

    fn rows(&mut self, input: Input<'_>, kind: RowsKind) -> Result<Body> {
        let (id, flags) = rows::head(input)?;
        let ends = flags & RowsEvent::STMT_END != 0;
        if id == rows::NO_TABLE && ends {
            self.open.clear();
            return Ok(Body::RowsEnd);
        }
        let Some(table) = self.open.get(&id) else {
            return Err(input.bad(Header::LEN, format!("refers to table id {id}, which has no table map")));
        };
        let event = RowsEvent::parse(input, kind, Arc::clone(table))?;
        if ends {
            self.open.clear();
        }
        Ok(Body::Rows(event))
    }
}

fn input<'a>(header: &Header, bytes: &'a Bytes) -> Input<'a> {
    Input { kind: header.kind, event: bytes }
}

fn checked_header(raw: &Bytes) -> Result<Header> {
    let header = Header::parse(raw)?;
    if usize::try_from(header.event_size) != Ok(raw.len()) {
        let what = format!("says that it has {} bytes and has {}", header.event_size, raw.len());
        return Err(bad(header.kind, 9, what));
    }
    Ok(header)
}

/// Artificial ROTATEs follow what was asked for until the format description comes, but not all servers keep to it: a right
/// checksum is one, and a file name's digits are none.
fn strip_artificial_rotate(wanted: Checksum, raw: Bytes) -> Result<Bytes> {
    let Some((content, found)) = checksum::split(&raw) else { return Ok(raw) };
    if checksum::crc32(content) == found {
        return Ok(raw.slice(..content.len()));
    }
    let digits = found.to_le_bytes().iter().all(u8::is_ascii_digit);
    if wanted == Checksum::None || digits {
        return Ok(raw);
    }
    Err(bad(kind::ROTATE, content.len(), "its checksum is wrong"))
}

/// Events that need nothing remembered.
fn stateless(input: Input<'_>, header: &Header) -> Result<Body> {
    match header.kind {
        kind::STOP => Ok(Body::Stop),
        kind::XID => control::xid(input),
        kind::XA_PREPARE => control::xa_prepare(input),
        kind::INTVAR => control::int_var(input),
        kind::RAND => control::rand(input),
        kind::USER_VAR => control::user_var(input),
        kind::INCIDENT => control::incident(input),
        kind::HEARTBEAT => control::heartbeat(input, header),
        kind::HEARTBEAT_V2 => control::heartbeat_v2(input),
        kind::PREVIOUS_GTIDS => GtidSet::decode(input.body())
            .map(Body::PreviousGtids)
            .map_err(|error| input.bad(Header::LEN, error.message())),
        // The first byte is a length that says nothing about texts over 255 bytes: the text ends with the event.
        kind::ROWS_QUERY => Ok(Body::RowsQuery(input.share(input.body().get(1..).unwrap_or_default()))),
        kind::BEGIN_LOAD_QUERY => FileBlock::parse(input).map(Body::BeginLoadQuery),
        kind::APPEND_BLOCK => FileBlock::parse(input).map(Body::AppendBlock),
        kind::DELETE_FILE => load::file_id(input).map(|file_id| Body::DeleteFile { file_id }),
        // Group replication's bookkeeping: changes no data, and a replica outside the group does nothing with it.
        kind::IGNORABLE | kind::TRANSACTION_CONTEXT | kind::VIEW_CHANGE => {
            Ok(Body::Ignorable { kind: header.kind })
        }
        kind if header.flags & Header::IGNORABLE != 0 => Ok(Body::Ignorable { kind }),
        kind => Err(unknown(kind)),
    }
}

fn unknown(kind: u8) -> Error {
    let name = kind::name(kind);
    let why = match kind {
        _ if kind::is_mariadb(kind) => "MariaDB's own events are not understood",
        kind::START_V3..=kind::PRE_GA_DELETE_ROWS => "it is from a server older than MySQL 5.6",
        _ => "it is not marked as ignorable",
    };
    Error::new(Code::UnknownEvent, format!("event type {kind} ({name}) is unknown: {why}"))
}
