//! `TABLE_MAP`: a table's name and columns, compiled to a plan for walking its rows.

use std::sync::Arc;

use bytes::Bytes;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::le_u16;

use super::bitmap::bit;
use super::column::{self, Column, ColumnType, Step, Width};
use super::metadata;
use super::parse::{Input, Parsed, le_u48, lenenc_bytes};
use super::{Header, KeyPart};
use crate::error::Result;

/// The most columns a table can have.
const MAX_COLUMNS: usize = 4096;
/// More than names, labels and all can take: what is compiled is several times as large.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A table as rows events of this statement see it.
#[derive(Debug)]
pub struct TableMap {
    /// The number by which rows events refer to it; the source uses it again for other tables.
    pub table_id: u64,
    /// `TM_*_F` bits.
    pub flags: u16,
    /// The schema.
    pub schema: Arc<str>,
    /// The table.
    pub table: Arc<str>,
    /// Its columns in order, invisible and generated stored ones included.
    pub columns: Vec<Column>,
    /// Columns of the primary key, where the source says so (`binlog_row_metadata=FULL`).
    pub primary_key: Option<Vec<KeyPart>>,
    /// Whether `unsigned` of the columns says anything (from 8.0 on).
    pub signedness_known: bool,
    /// Whether the first column is a primary key that the source generated (`sql_generate_invisible_primary_key`).
    pub generated_invisible_pk: bool,
    /// The event, header included, without checksum. Of equal table maps the first is kept: timestamp and position are its.
    pub bytes: Bytes,
    pub(super) plan: Vec<Width>,
    pub(super) steps: Vec<Step>,
    pub(super) json_columns: usize,
    names_end: usize,
}

impl TableMap {
    /// The first column is a generated invisible primary key (`TM_GENERATED_INVISIBLE_PK_F`).
    const GENERATED_INVISIBLE_PK: u16 = 4;

    /// Compiles a table map. The event is copied: it outlives the buffer it came in.
    pub(super) fn parse(input: Input<'_>) -> Result<Self> {
        if input.event.len() > MAX_BYTES {
            return Err(input.bad(0, format!("has {} bytes", input.event.len())));
        }
        let bytes = Bytes::copy_from_slice(input.event);
        let input = Input { event: &bytes, ..input };
        let (rest, (table_id, flags, schema, table)) = input.settle(names(input.body()))?;
        let names_end = input.event.len().saturating_sub(rest.len());
        let (rest, types) = input.settle(lenenc_bytes(rest))?;
        if types.len() > MAX_COLUMNS {
            return Err(input.bad(names_end, format!("has {} columns", types.len())));
        }
        let (rest, meta) = input.settle(lenenc_bytes(rest))?;
        let (rest, nullable) = input.settle(take(types.len().div_ceil(8)).parse(rest))?;
        let (mut columns, plan) = columns(input, types, meta, nullable)?;
        let found = metadata::parse(input, &mut columns, rest)?;
        Ok(Self {
            table_id,
            flags,
            schema: input.text(schema, "schema name")?,
            table: input.text(table, "table name")?,
            json_columns: columns.iter().filter(|column| column.kind == ColumnType::Json).count(),
            columns,
            primary_key: found.primary_key,
            signedness_known: found.signedness,
            generated_invisible_pk: flags & Self::GENERATED_INVISIBLE_PK != 0,
            steps: plan.iter().copied().map(Step::of).collect(),
            plan,
            names_end,
            bytes: bytes.clone(),
        })
    }

    /// Whether rows of the other table map are encoded in the same way and mean the same.
    pub fn same_columns(&self, other: &Self) -> bool {
        self.flags == other.flags && self.after_names() == other.after_names()
    }

    /// What of the event follows the names: columns and metadata.
    pub(super) fn after_names(&self) -> &[u8] {
        self.bytes.get(self.names_end..).unwrap_or_default()
    }

    /// The event's body, by which equal table maps are known.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(Header::LEN..).unwrap_or_default()
    }

    /// The first column whose type `MariaDB` logs without the digits of its fraction.
    pub(super) fn column_without_precision(&self) -> Option<usize> {
        let undecidable = [ColumnType::Time, ColumnType::DateTime, ColumnType::Timestamp];
        self.columns.iter().position(|column| undecidable.contains(&column.kind))
    }
}

type Names<'a> = (u64, u16, &'a [u8], &'a [u8]);

/// Both names end in a NUL that their length does not count.
fn names(input: &[u8]) -> Parsed<'_, Names<'_>> {
    let name = |input| (lenenc_bytes, take(1_usize)).map(|(name, _)| name).parse(input);
    (le_u48, le_u16, name, name).parse(input)
}

fn columns(
    input: Input<'_>,
    types: &[u8],
    mut meta: &[u8],
    nullable: &[u8],
) -> Result<(Vec<Column>, Vec<Width>)> {
    let mut columns = Vec::with_capacity(types.len());
    let mut plan = Vec::with_capacity(types.len());
    for (i, wire_type) in types.iter().enumerate() {
        let (kind, value, width, rest) = column::describe(input, *wire_type, meta)?;
        meta = rest;
        plan.push(width);
        columns.push(Column {
            kind,
            meta: value,
            nullable: bit(nullable, i),
            unsigned: false,
            visible: true,
            charset: None,
            name: None,
            labels: None,
            geometry: None,
            vector_dimensions: None,
        });
    }
    if !meta.is_empty() {
        return Err(input.bad(input.event.len(), "holds more metadata than its columns need"));
    }
    Ok((columns, plan))
}

/// Reads only the table id.
pub(super) fn table_id(input: Input<'_>) -> Result<u64> {
    input.run(le_u48)
}
