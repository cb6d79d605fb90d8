//! The nom vocabulary of the cold parsers, and how their failures become errors that name event and offset.

use std::sync::Arc;

use bytes::Bytes;
use nom::bytes::complete::take;
use nom::error::{ErrorKind, ParseError};
use nom::number::complete::{le_u8, le_u16, le_u24, le_u64};
use nom::{IResult, Parser};

use super::{Header, kind};
use crate::error::{Code, Error, Result};

/// What a cold parser returns: the rest and a value.
pub(super) type Parsed<'a, T> = IResult<&'a [u8], T>;

/// A body under parsing, with what an error must say about it.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    /// Type code of the event.
    pub kind: u8,
    /// Header and body, without checksum.
    pub event: &'a Bytes,
}

impl<'a> Input<'a> {
    /// The bytes after the common header.
    pub(super) fn body(&self) -> &'a [u8] {
        self.event.get(Header::LEN..).unwrap_or_default()
    }

    /// Runs a parser over the whole body; what it leaves is not an error (newer servers append fields).
    pub(super) fn run<T>(&self, parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>) -> Result<T> {
        self.settle(parser(self.body())).map(|(_, value)| value)
    }

    /// Turns a parser's failure into an error that names event and offset.
    pub(super) fn settle<'b, T>(&self, parsed: Parsed<'b, T>) -> Result<(&'b [u8], T)> {
        parsed.map_err(|failure| match failure {
            nom::Err::Incomplete(_) => self.bad(self.event.len(), "ends too early"),
            nom::Err::Error(inner) | nom::Err::Failure(inner) => {
                let offset = self.event.len().saturating_sub(inner.input.len());
                let what = match inner.code {
                    ErrorKind::Eof => "ends too early",
                    ErrorKind::TooLarge => "holds a length beyond its end",
                    _ => "holds a value that cannot be",
                };
                self.bad(offset, what)
            }
        })
    }

    /// An error about this event at an offset from its first byte.
    pub(super) fn bad(&self, offset: usize, what: impl std::fmt::Display) -> Error {
        bad(self.kind, offset, what)
    }

    /// A slice of the event as shared bytes; `part` comes from a parser over this input.
    pub(super) fn share(&self, part: &[u8]) -> Bytes {
        self.event.slice_ref(part)
    }

    /// A name that must be UTF-8 (all names in events are in the server's `utf8mb3`).
    pub(super) fn text(&self, part: &[u8], what: &str) -> Result<Arc<str>> {
        std::str::from_utf8(part)
            .map(Arc::from)
            .map_err(|_| self.bad(Header::LEN, format!("its {what} is not UTF-8")))
    }
}

/// The error of a malformed event.
pub(super) fn bad(kind: u8, offset: usize, what: impl std::fmt::Display) -> Error {
    Error::new(Code::BadEvent, format!("{} event (type {kind}), offset {offset}: {what}", kind::name(kind)))
}

/// A parse failure for a value that cannot be, at `input`.
pub(super) fn refuse<T>(input: &[u8]) -> Parsed<'_, T> {
    Err(nom::Err::Failure(nom::error::Error::from_error_kind(input, ErrorKind::Verify)))
}

/// The protocol's length-encoded integer: one byte, or 0xFC/0xFD/0xFE and 2/3/8 bytes.
pub(super) fn lenenc(input: &[u8]) -> Parsed<'_, u64> {
    let (rest, first) = le_u8(input)?;
    match first {
        0..=0xFA => Ok((rest, u64::from(first))),
        0xFC => le_u16.map(u64::from).parse(rest),
        0xFD => le_u24.map(u64::from).parse(rest),
        0xFE => le_u64(rest),
        _ => refuse(input),
    }
}

/// A length-encoded integer that counts bytes or items still to come, each at least one byte long.
pub(super) fn lenenc_length(input: &[u8]) -> Parsed<'_, usize> {
    let (rest, length) = lenenc(input)?;
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => Ok((rest, length)),
        _ => Err(nom::Err::Failure(nom::error::Error::from_error_kind(input, ErrorKind::TooLarge))),
    }
}

/// Bytes after their length-encoded length.
pub(super) fn lenenc_bytes(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = lenenc_length(input)?;
    take(length).parse(rest)
}

/// Bytes after a one-byte length.
pub(super) fn short_bytes(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = le_u8(input)?;
    take(length).parse(rest)
}

/// Six bytes, little-endian: a table id.
pub(super) fn le_u48(input: &[u8]) -> Parsed<'_, u64> {
    let (rest, bytes) = take(6_usize).parse(input)?;
    Ok((rest, bytes.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte))))
}

/// Bytes up to a NUL, which is stepped over.
pub(super) fn until_nul(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, text) = nom::bytes::complete::take_while(|byte| byte != 0).parse(input)?;
    let (rest, _) = take(1_usize).parse(rest)?;
    Ok((rest, text))
}
