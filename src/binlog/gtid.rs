//! GTID, `ANONYMOUS_GTID` and `GTID_TAGGED`: the start of a transaction.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{le_i64, le_u8, le_u32, le_u64};
use uuid::Uuid;

use super::parse::{Input, Parsed, lenenc};
use super::{Header, kind};
use crate::error::Result;
use crate::position::{Gtid, Sid};

/// "The transaction may hold statements" (`FLAG_MAY_HAVE_SBR`).
const MAY_HAVE_SBR: u8 = 1;
/// The logical clock follows (`LOGICAL_TIMESTAMP_TYPECODE`).
const LOGICAL_CLOCK: u8 = 2;
/// The original commit timestamp follows the immediate one.
const ORIGINAL_TIMESTAMP_FOLLOWS: u64 = 1 << 55;
/// The original server version follows the immediate one.
const ORIGINAL_VERSION_FOLLOWS: u32 = 1 << 31;

/// The start of a transaction. What the source's version did not yet write is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GtidEvent {
    /// The transaction's GTID; `None` in anonymous ones.
    pub gtid: Option<Gtid>,
    /// Sequence number of the last transaction that had committed when this one was prepared; 0 without a clock.
    pub last_committed: i64,
    /// Number of this transaction in its file; 0 without a clock.
    pub sequence_number: i64,
    /// Microseconds since the epoch at the commit on the server where the transaction began (5.7 has none).
    pub original_commit_timestamp_us: Option<u64>,
    /// Microseconds since the epoch at the commit on the server that we read from.
    pub immediate_commit_timestamp_us: Option<u64>,
    /// Bytes of the transaction in the source's file, this event included.
    pub transaction_length: Option<u64>,
    /// Whether the transaction may hold statements.
    pub may_have_sbr: bool,
    /// Version of the server where the transaction began, such as `80_039`.
    pub original_server_version: Option<u32>,
    /// Version of the server that we read from.
    pub immediate_server_version: Option<u32>,
    /// The ticket of the source's commit group, where it orders commits by tickets.
    pub commit_group_ticket: Option<u64>,
}

impl GtidEvent {
    pub(super) fn parse(input: Input<'_>) -> Result<Self> {
        if input.kind == kind::GTID_TAGGED {
            return super::tagged::parse(input);
        }
        let (rest, (flags, uuid, gno)) = input.settle(identity(input.body()))?;
        let gtid = match (input.kind, u64::try_from(gno)) {
            (kind::ANONYMOUS_GTID, _) => None,
            (_, Ok(gno)) if gno > 0 => Some(Gtid { sid: Sid { uuid, tag: None }, gno }),
            _ => return Err(input.bad(Header::LEN + 17, "holds a number that is no GTID's")),
        };
        let mut event = Self { gtid, may_have_sbr: flags & MAY_HAVE_SBR != 0, ..Self::empty() };
        input.settle(event.tail(rest))?;
        Ok(event)
    }

    pub(super) const fn empty() -> Self {
        Self {
            gtid: None,
            last_committed: 0,
            sequence_number: 0,
            original_commit_timestamp_us: None,
            immediate_commit_timestamp_us: None,
            transaction_length: None,
            may_have_sbr: false,
            original_server_version: None,
            immediate_server_version: None,
            commit_group_ticket: None,
        }
    }

    /// The part that grew from version to version: each field is there if there are bytes left for it
    /// (`Gtid_event::Gtid_event` in `control_events.cpp`).
    fn tail<'a>(&mut self, rest: &'a [u8]) -> Parsed<'a, ()> {
        let Some((&LOGICAL_CLOCK, rest)) = rest.split_first() else { return Ok((rest, ())) };
        let (rest, (last_committed, sequence_number)) = (le_i64, le_i64).parse(rest)?;
        (self.last_committed, self.sequence_number) = (last_committed, sequence_number);
        if rest.len() < 7 {
            return Ok((rest, ()));
        }
        let (rest, immediate) = le_u56(rest)?;
        let (rest, original) =
            if immediate & ORIGINAL_TIMESTAMP_FOLLOWS == 0 { (rest, immediate) } else { le_u56(rest)? };
        self.immediate_commit_timestamp_us = Some(immediate & !ORIGINAL_TIMESTAMP_FOLLOWS);
        self.original_commit_timestamp_us = Some(original & !ORIGINAL_TIMESTAMP_FOLLOWS);
        if rest.is_empty() {
            return Ok((rest, ()));
        }
        let (rest, length) = lenenc(rest)?;
        self.transaction_length = Some(length);
        if rest.len() < 4 {
            return Ok((rest, ()));
        }
        let (rest, immediate) = le_u32(rest)?;
        let (rest, original) =
            if immediate & ORIGINAL_VERSION_FOLLOWS == 0 { (rest, immediate) } else { le_u32(rest)? };
        self.immediate_server_version = Some(immediate & !ORIGINAL_VERSION_FOLLOWS);
        self.original_server_version = Some(original & !ORIGINAL_VERSION_FOLLOWS);
        if rest.len() < 8 {
            return Ok((rest, ()));
        }
        let (rest, ticket) = le_u64(rest)?;
        self.commit_group_ticket = Some(ticket);
        Ok((rest, ()))
    }
}

fn identity(input: &[u8]) -> Parsed<'_, (u8, Uuid, i64)> {
    (le_u8, uuid, le_i64).parse(input)
}

fn uuid(input: &[u8]) -> Parsed<'_, Uuid> {
    let (rest, bytes) = take(16_usize).parse(input)?;
    Ok((rest, Uuid::from_slice(bytes).unwrap_or_default()))
}

fn le_u56(input: &[u8]) -> Parsed<'_, u64> {
    let (rest, bytes) = take(7_usize).parse(input)?;
    Ok((rest, bytes.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte))))
}
