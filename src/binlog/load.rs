//! LOAD DATA in statement format: the file in blocks, then the statement.

use bytes::Bytes;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{le_u8, le_u32};

use super::Header;
use super::parse::{Input, Parsed};
use super::query::{self, QueryEvent};
use crate::error::Result;

/// Bytes of `EXECUTE_LOAD_QUERY`'s fixed part.
pub(super) const POST_HEADER: usize = query::POST_HEADER + 13;

/// A block of a file that LOAD DATA reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBlock {
    /// Number of the file.
    pub file_id: u32,
    /// The bytes.
    pub block: Bytes,
}

/// What LOAD DATA does about duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadDuplicates {
    /// Stops.
    Error,
    /// Keeps the old row.
    Ignore,
    /// Takes the new row.
    Replace,
}

/// A LOAD DATA statement whose file came before it in blocks.
#[derive(Debug, Clone)]
pub struct ExecuteLoadQuery {
    /// Number of the file.
    pub file_id: u32,
    /// Where the part of the statement starts that names file and duplicates (from `LOCAL` or `INFILE` on).
    pub file_name_start: u32,
    /// Where it ends: `LOCAL INFILE '<name>' [REPLACE | IGNORE] INTO` stands for what is between.
    pub file_name_end: u32,
    /// What is done about duplicates.
    pub duplicates: LoadDuplicates,
    /// The statement and its context.
    pub query: QueryEvent,
}

impl FileBlock {
    pub(super) fn parse(input: Input<'_>) -> Result<Self> {
        let (block, file_id) = input.settle(le_u32(input.body()))?;
        Ok(Self { file_id, block: input.share(block) })
    }
}

pub(super) fn file_id(input: Input<'_>) -> Result<u32> {
    input.run(le_u32)
}

impl ExecuteLoadQuery {
    pub(super) fn parse(input: Input<'_>, post_header: usize) -> Result<Self> {
        let (rest, (fixed, file_id, start, end, duplicates)) = input.settle(fixed_part(input.body()))?;
        let (rest, _) = input.settle(take(post_header.saturating_sub(POST_HEADER)).parse(rest))?;
        let query = QueryEvent::variable_part(input, &fixed, rest)?;
        let span = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        if span.is_none_or(|(start, end)| query.sql.get(start..end).is_none()) {
            return Err(input.bad(Header::LEN + query::POST_HEADER + 4, "names a span beyond its statement"));
        }
        let duplicates = match duplicates {
            0 => LoadDuplicates::Error,
            1 => LoadDuplicates::Ignore,
            2 => LoadDuplicates::Replace,
            _ => return Err(input.bad(Header::LEN + POST_HEADER, "holds a value that cannot be")),
        };
        Ok(Self { file_id, file_name_start: start, file_name_end: end, duplicates, query })
    }
}

fn fixed_part(input: &[u8]) -> Parsed<'_, (query::Fixed, u32, u32, u32, u8)> {
    (query::Fixed::parse, le_u32, le_u32, le_u32, le_u8).parse(input)
}
