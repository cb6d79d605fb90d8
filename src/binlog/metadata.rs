//! The optional metadata at the end of a table map: fields of type, length, value (`Optional_metadata_fields` in
//! `rows_event.h`). Which are there depends on the source's version and `binlog_row_metadata`.

use std::sync::Arc;

use bytes::Bytes;
use nom::Parser;
use nom::number::complete::le_u8;

use super::bitmap::bit_msb_first;
use super::parse::{Input, Parsed, lenenc, lenenc_bytes, lenenc_length, refuse};
use super::{Column, ColumnType};
use crate::error::Result;

/// A column of the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPart {
    /// Index of the column.
    pub column: usize,
    /// Characters of it that count; 0 for all.
    pub prefix: u32,
}

/// What the fields said beyond what went into the columns.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub signedness: bool,
    pub primary_key: Option<Vec<KeyPart>>,
}

pub(super) fn parse(input: Input<'_>, columns: &mut [Column], mut rest: &[u8]) -> Result<Found> {
    let mut found = Found::default();
    while !rest.is_empty() {
        let (after, (field, value)) = input.settle((le_u8, lenenc_bytes).parse(rest))?;
        input.settle(field_value(columns, &mut found, field, value))?;
        rest = after;
    }
    Ok(found)
}

fn field_value<'a>(columns: &mut [Column], found: &mut Found, field: u8, value: &'a [u8]) -> Parsed<'a, ()> {
    match field {
        1 => {
            found.signedness = true;
            for (i, column) in columns.iter_mut().filter(|column| column.is_numeric()).enumerate() {
                column.unsigned = bit_msb_first(value, i);
            }
        }
        2 => default_charset(columns.iter_mut().filter(|column| column.is_character()), value)?,
        3 => each_charset(columns.iter_mut().filter(|column| column.is_character()), value)?,
        4 => names(columns, value)?,
        5 => labels(columns.iter_mut().filter(|column| column.kind == ColumnType::Set), value)?,
        6 => labels(columns.iter_mut().filter(|column| column.kind == ColumnType::Enum), value)?,
        7 => numbers(columns, ColumnType::Geometry, value, |column, number| {
            column.geometry = Some(number);
        })?,
        8 => found.primary_key = Some(key(columns.len(), false, value)?),
        9 => found.primary_key = Some(key(columns.len(), true, value)?),
        10 => default_charset(columns.iter_mut().filter(|column| column.is_labelled()), value)?,
        11 => each_charset(columns.iter_mut().filter(|column| column.is_labelled()), value)?,
        12 => {
            for (i, column) in columns.iter_mut().enumerate() {
                column.visible = bit_msb_first(value, i);
            }
        }
        13 => numbers(columns, ColumnType::Vector, value, |column, number| {
            column.vector_dimensions = Some(number);
        })?,
        _ => {} // metadata of a newer version: nothing depends on it
    }
    Ok((&[], ()))
}

type Refused<'a> = nom::Err<nom::error::Error<&'a [u8]>>;

/// A collation id, then pairs of (index among these columns, other collation id).
fn default_charset<'a, 'c>(
    columns: impl Iterator<Item = &'c mut Column>,
    value: &'a [u8],
) -> Result<(), Refused<'a>> {
    let (mut rest, default) = number(value)?;
    let mut next = None;
    for (i, column) in columns.enumerate() {
        if next.is_none() && !rest.is_empty() {
            let (after, pair) = (lenenc, number).parse(rest)?;
            (rest, next) = (after, Some(pair));
        }
        column.charset = match next {
            Some((index, charset)) if u64::try_from(i) == Ok(index) => {
                next = None;
                Some(charset)
            }
            _ => Some(default),
        };
    }
    Ok(())
}

fn each_charset<'a, 'c>(
    columns: impl Iterator<Item = &'c mut Column>,
    mut value: &'a [u8],
) -> Result<(), Refused<'a>> {
    for column in columns {
        let (rest, charset) = number(value)?;
        (value, column.charset) = (rest, Some(charset));
    }
    Ok(())
}

fn names<'a>(columns: &mut [Column], mut value: &'a [u8]) -> Result<(), Refused<'a>> {
    for column in columns {
        let (rest, name) = lenenc_bytes(value)?;
        let Ok(name) = std::str::from_utf8(name) else { return refuse(value).map(|(_, ())| ()) };
        (value, column.name) = (rest, Some(Arc::from(name)));
    }
    Ok(())
}

fn labels<'a, 'c>(
    columns: impl Iterator<Item = &'c mut Column>,
    mut value: &'a [u8],
) -> Result<(), Refused<'a>> {
    for column in columns {
        let (mut rest, count) = lenenc_length(value)?;
        let mut labels = Vec::with_capacity(count);
        for _ in 0..count {
            let (after, label) = lenenc_bytes(rest)?;
            // A copy: a table map outlives the buffer it came in.
            labels.push(Bytes::copy_from_slice(label));
            rest = after;
        }
        (value, column.labels) = (rest, Some(labels));
    }
    Ok(())
}

fn numbers<'a>(
    columns: &mut [Column],
    kind: ColumnType,
    mut value: &'a [u8],
    store: impl Fn(&mut Column, u32),
) -> Result<(), Refused<'a>> {
    for column in columns.iter_mut().filter(|column| column.kind == kind) {
        let (rest, found) = number(value)?;
        store(column, found);
        value = rest;
    }
    Ok(())
}

fn key(columns: usize, with_prefix: bool, mut value: &[u8]) -> Result<Vec<KeyPart>, Refused<'_>> {
    let mut parts = Vec::new();
    while !value.is_empty() {
        let (rest, column) = lenenc(value)?;
        let (rest, prefix) = if with_prefix { number(rest)? } else { (rest, 0) };
        match usize::try_from(column) {
            Ok(column) if column < columns => parts.push(KeyPart { column, prefix }),
            _ => return refuse(value).map(|(_, parts)| parts),
        }
        value = rest;
    }
    Ok(parts)
}

fn number(input: &[u8]) -> Parsed<'_, u32> {
    let (rest, number) = lenenc(input)?;
    match u32::try_from(number) {
        Ok(number) => Ok((rest, number)),
        Err(_) => refuse(input),
    }
}
