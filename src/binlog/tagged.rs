//! `GTID_TAGGED`: the same as GTID in the format of the server's serialization library.
//!
//! `version size last_non_ignorable_field_id { field_id value }`, everything variable-length integers; fields that hold
//! their default are left out (`libs/mysql/serialization/readme.md`, `Gtid_event::define_fields`).

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::le_u8;
use uuid::Uuid;

use super::parse::{Input, Parsed, refuse};
use super::{GtidEvent, Header};
use crate::error::Result;
use crate::position::{Gtid, Sid, Tag};

/// The last field that this version understands.
const LAST_KNOWN_FIELD: u64 = 11;

pub(super) fn parse(input: Input<'_>) -> Result<GtidEvent> {
    let body = input.body();
    let (rest, (version, size, last_needed)) = input.settle((unsigned, unsigned, unsigned).parse(body))?;
    if version != 1 {
        return Err(input.bad(Header::LEN, format!("serialization version {version} is not known")));
    }
    let consumed = body.len().saturating_sub(rest.len());
    let size = usize::try_from(size).ok().filter(|size| (consumed..=body.len()).contains(size));
    let Some(size) = size else {
        return Err(input.bad(Header::LEN + 1, "holds a length beyond its end"));
    };
    // The field id is stored plus one; 0 says that all may be ignored.
    if last_needed > LAST_KNOWN_FIELD + 1 {
        return Err(input.bad(Header::LEN + 2, "holds a field that must be known and is not"));
    }
    let fields = rest.get(..size.saturating_sub(consumed)).unwrap_or_default();
    let (_, fields) = input.settle(Fields::parse(fields))?;
    fields.event(input)
}

struct Fields<'a> {
    event: GtidEvent,
    uuid: Uuid,
    gno: i64,
    tag: &'a [u8],
}

impl<'a> Fields<'a> {
    fn parse(mut rest: &'a [u8]) -> Parsed<'a, Self> {
        let mut fields = Fields { event: GtidEvent::empty(), uuid: Uuid::nil(), gno: 0, tag: &[] };
        let mut least = 0;
        while !rest.is_empty() {
            let (after, id) = unsigned(rest)?;
            if id > LAST_KNOWN_FIELD {
                break; // a newer, ignorable field, and so are all after it: ids ascend
            }
            if id < least {
                return refuse(rest);
            }
            least = id + 1;
            (rest, ()) = fields.field(id, after)?;
        }
        Ok((rest, fields))
    }

    fn field(&mut self, id: u64, input: &'a [u8]) -> Parsed<'a, ()> {
        let event = &mut self.event;
        let rest = match id {
            0 => keep(unsigned(input)?, |flags| event.may_have_sbr = flags & 1 != 0),
            1 => keep(uuid(input)?, |uuid| self.uuid = uuid),
            2 => keep(signed(input)?, |gno| self.gno = gno),
            3 => keep(text(input)?, |tag| self.tag = tag),
            4 => keep(signed(input)?, |number| event.last_committed = number),
            5 => keep(signed(input)?, |number| event.sequence_number = number),
            6 => keep(unsigned(input)?, |us| event.immediate_commit_timestamp_us = Some(us)),
            7 => keep(unsigned(input)?, |us| event.original_commit_timestamp_us = Some(us)),
            8 => keep(unsigned(input)?, |length| event.transaction_length = Some(length)),
            9 => keep(version(input)?, |version| event.immediate_server_version = Some(version)),
            10 => keep(version(input)?, |version| event.original_server_version = Some(version)),
            _ => keep(unsigned(input)?, |ticket| event.commit_group_ticket = Some(ticket)),
        };
        Ok((rest, ()))
    }

    fn event(self, input: Input<'_>) -> Result<GtidEvent> {
        let Self { mut event, uuid, gno, tag } = self;
        let refused = |what: &str| input.bad(Header::LEN, format!("holds a {what} that cannot be"));
        let tag = match std::str::from_utf8(tag) {
            Ok("") => None,
            Ok(tag) => Some(tag.parse::<Tag>().map_err(|_| refused("tag"))?),
            Err(_) => return Err(refused("tag")),
        };
        let gno = u64::try_from(gno).ok().filter(|gno| *gno > 0).ok_or_else(|| refused("number"))?;
        event.gtid = Some(Gtid { sid: Sid { uuid, tag }, gno });
        // Left out where they equal the immediate ones.
        event.original_commit_timestamp_us =
            event.original_commit_timestamp_us.or(event.immediate_commit_timestamp_us);
        event.original_server_version = event.original_server_version.or(event.immediate_server_version);
        Ok(event)
    }
}

fn keep<T>((rest, value): (&[u8], T), store: impl FnOnce(T)) -> &[u8] {
    store(value);
    rest
}

/// A variable-length integer: as many low one-bits in the first byte as bytes follow it, then the value.
fn unsigned(input: &[u8]) -> Parsed<'_, u64> {
    let (rest, first) = le_u8(input)?;
    let more = first.trailing_ones();
    let (rest, bytes) = take(more).parse(rest)?;
    let tail = bytes.iter().rev().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    let head = u64::from(first).checked_shr(more.saturating_add(1)).filter(|_| more < 7).unwrap_or(0);
    // The first byte carries 7 - more bits; with seven or eight bytes behind it, none.
    let value = if more >= 7 { tail } else { (tail << (7 - more)) | head };
    Ok((rest, value))
}

/// A signed integer: sign in the lowest bit ("zigzag").
fn signed(input: &[u8]) -> Parsed<'_, i64> {
    let (rest, value) = unsigned(input)?;
    Ok((rest, (value >> 1).cast_signed() ^ -(value & 1).cast_signed()))
}

fn uuid(mut input: &[u8]) -> Parsed<'_, Uuid> {
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        let (rest, value) = unsigned(input)?;
        let Ok(value) = u8::try_from(value) else { return refuse(input) };
        *byte = value;
        input = rest;
    }
    Ok((input, Uuid::from_bytes(bytes)))
}

fn text(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = unsigned(input)?;
    take(length).parse(rest)
}

fn version(input: &[u8]) -> Parsed<'_, u32> {
    let (rest, value) = unsigned(input)?;
    match u32::try_from(value) {
        Ok(value) => Ok((rest, value)),
        Err(_) => refuse(input),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(value: u64) -> Vec<u8> {
        let bits = 64 - value.leading_zeros().min(63);
        let more = ((bits - 1) / 7).min(8);
        if more == 8 {
            return [vec![0xFF], value.to_le_bytes().to_vec()].concat();
        }
        let wide = (u128::from(value) << (more + 1)) | ((1 << more) - 1);
        wide.to_le_bytes()[..=more as usize].to_vec()
    }

    #[test]
    fn variable_length_integers_of_every_width_come_back() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1_u64 << shift) - 1, u64::MAX >> shift] {
                let bytes = encode(value);
                assert_eq!(unsigned(&bytes).unwrap(), (&[][..], value), "{bytes:02x?}");
            }
        }
    }

    #[test]
    fn the_sign_is_in_the_lowest_bit() {
        for (raw, value) in [(0, 0), (1, -1), (2, 1), (3, -2), (u64::MAX, i64::MIN), (u64::MAX - 1, i64::MAX)]
        {
            assert_eq!(signed(&encode(raw)).unwrap().1, value);
        }
    }
}
