//! QUERY: a statement and the context it ran in.

use bytes::Bytes;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{le_u8, le_u16, le_u24, le_u32, le_u64};

use super::parse::{Input, Parsed, short_bytes, until_nul};
use crate::error::Result;

/// Bytes of the fixed part.
pub(super) const POST_HEADER: usize = 13;
/// "More databases than are worth listing" (`OVER_MAX_DBS_IN_EVENT_MTS`).
const TOO_MANY_DATABASES: u8 = 254;

/// A statement as it was logged. Text is bytes: its character set is the client's, see [`StatusVars::charset`].
#[derive(Debug, Clone)]
pub struct QueryEvent {
    /// The source's connection id.
    pub thread_id: u32,
    /// Seconds the statement took.
    pub execution_time: u32,
    /// The error with which it ended on the source; 0 for none.
    pub error_code: u16,
    /// The session variables it depends on.
    pub status: StatusVars,
    /// The default database; empty for none.
    pub database: Bytes,
    /// The statement.
    pub sql: Bytes,
}

/// The status variables of a statement (`Query_event_status_vars` in `statement_events.h`). What was not logged is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusVars {
    /// `OPTION_*` bits: 0x4000 `auto_is_null`, 0x80000 not autocommit, 0x4000000 no foreign key checks, 0x8000000 relaxed unique.
    pub flags2: Option<u32>,
    /// `sql_mode` bits.
    pub sql_mode: Option<u64>,
    /// The catalog, always `std`.
    pub catalog: Option<Bytes>,
    /// `auto_increment_increment` and `auto_increment_offset`.
    pub auto_increment: Option<(u16, u16)>,
    /// Collation ids of `character_set_client`, `collation_connection`, `collation_server`.
    pub charset: Option<(u16, u16, u16)>,
    /// `time_zone`.
    pub time_zone: Option<Bytes>,
    /// Number of `lc_time_names`.
    pub lc_time_names: Option<u16>,
    /// Collation id of `collation_database`.
    pub collation_database: Option<u16>,
    /// Bitmap of the tables that a multi-table UPDATE changes.
    pub table_map_for_update: Option<u64>,
    /// Size of the event on the first source.
    pub source_data_written: Option<u32>,
    /// User and host of the invoker (`CURRENT_USER()` in account statements and definers).
    pub invoker: Option<(Bytes, Bytes)>,
    /// The databases the statement touches.
    pub updated_databases: Option<UpdatedDatabases>,
    /// Fraction of the timestamp.
    pub microseconds: Option<u32>,
    /// `explicit_defaults_for_timestamp`.
    pub explicit_defaults_for_timestamp: Option<bool>,
    /// Transaction number of an atomic DDL.
    pub ddl_xid: Option<u64>,
    /// Collation id of `default_collation_for_utf8mb4`.
    pub default_collation_for_utf8mb4: Option<u16>,
    /// `sql_require_primary_key`.
    pub sql_require_primary_key: Option<u8>,
    /// `default_table_encryption`.
    pub default_table_encryption: Option<u8>,
    /// `enable_cascade_triggers` (9.7).
    pub enable_cascade_triggers: Option<bool>,
    /// The code at which reading stopped because it is not known; whatever followed it was not read.
    pub unknown: Option<u8>,
}

/// The databases a statement touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdatedDatabases {
    /// These.
    Names(Vec<Bytes>),
    /// More than the source cared to list: any.
    Many,
}

impl QueryEvent {
    pub(super) fn parse(input: Input<'_>, post_header: usize) -> Result<Self> {
        let (rest, fixed) = input.settle(Fixed::parse(input.body()))?;
        let (rest, _) = input.settle(take(post_header.saturating_sub(POST_HEADER)).parse(rest))?;
        Self::variable_part(input, &fixed, rest)
    }

    /// What follows the fixed part, the same in `EXECUTE_LOAD_QUERY`.
    pub(super) fn variable_part(input: Input<'_>, fixed: &Fixed, rest: &[u8]) -> Result<Self> {
        let (sql, (status, database, _)) = input
            .settle((take(fixed.status_length), take(fixed.database_length), take(1_usize)).parse(rest))?;
        let mut vars = StatusVars::default();
        let mut at = status;
        while !at.is_empty() && vars.unknown.is_none() {
            (at, ()) = input.settle(vars.variable(input.event, at))?;
        }
        Ok(Self {
            thread_id: fixed.thread_id,
            execution_time: fixed.execution_time,
            error_code: fixed.error_code,
            status: vars,
            database: input.share(database),
            sql: input.share(sql),
        })
    }
}

/// The fixed part.
pub(super) struct Fixed {
    thread_id: u32,
    execution_time: u32,
    database_length: u8,
    error_code: u16,
    status_length: u16,
}

impl Fixed {
    pub(super) fn parse(input: &[u8]) -> Parsed<'_, Self> {
        let fields = (le_u32, le_u32, le_u8, le_u16, le_u16);
        let (rest, (thread_id, execution_time, database_length, error_code, status_length)) =
            { fields }.parse(input)?;
        Ok((rest, Self { thread_id, execution_time, database_length, error_code, status_length }))
    }
}

impl StatusVars {
    fn variable<'a>(&mut self, event: &Bytes, input: &'a [u8]) -> Parsed<'a, ()> {
        let (rest, code) = le_u8(input)?;
        let share = |part: &[u8]| event.slice_ref(part);
        let rest = match code {
            0 => set(&mut self.flags2, le_u32(rest)?),
            1 => set(&mut self.sql_mode, le_u64(rest)?),
            2 => {
                set(&mut self.catalog, (short_bytes, take(1_usize)).map(|(text, _)| share(text)).parse(rest)?)
            }
            3 => set(&mut self.auto_increment, (le_u16, le_u16).parse(rest)?),
            4 => set(&mut self.charset, (le_u16, le_u16, le_u16).parse(rest)?),
            5 => set(&mut self.time_zone, short_bytes.map(share).parse(rest)?),
            6 => set(&mut self.catalog, short_bytes.map(share).parse(rest)?),
            7 => set(&mut self.lc_time_names, le_u16(rest)?),
            8 => set(&mut self.collation_database, le_u16(rest)?),
            9 => set(&mut self.table_map_for_update, le_u64(rest)?),
            10 => set(&mut self.source_data_written, le_u32(rest)?),
            11 => set(&mut self.invoker, (short_bytes.map(share), short_bytes.map(share)).parse(rest)?),
            12 => set(&mut self.updated_databases, databases(event, rest)?),
            13 => set(&mut self.microseconds, le_u24(rest)?),
            16 => set(&mut self.explicit_defaults_for_timestamp, le_u8.map(|byte| byte != 0).parse(rest)?),
            17 => set(&mut self.ddl_xid, le_u64(rest)?),
            18 => set(&mut self.default_collation_for_utf8mb4, le_u16(rest)?),
            19 => set(&mut self.sql_require_primary_key, le_u8(rest)?),
            20 => set(&mut self.default_table_encryption, le_u8(rest)?),
            21 => set(&mut self.enable_cascade_triggers, le_u8.map(|byte| byte != 0).parse(rest)?),
            _ => {
                self.unknown = Some(code);
                &[]
            }
        };
        Ok((rest, ()))
    }
}

fn set<'a, T>(slot: &mut Option<T>, (rest, value): (&'a [u8], T)) -> &'a [u8] {
    *slot = Some(value);
    rest
}

fn databases<'a>(event: &Bytes, input: &'a [u8]) -> Parsed<'a, UpdatedDatabases> {
    let (mut rest, count) = le_u8(input)?;
    if count == TOO_MANY_DATABASES {
        return Ok((rest, UpdatedDatabases::Many));
    }
    let mut names = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (after, name) = until_nul(rest)?;
        names.push(event.slice_ref(name));
        rest = after;
    }
    Ok((rest, UpdatedDatabases::Names(names)))
}
