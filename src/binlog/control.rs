//! The small events: ROTATE, HEARTBEAT, INCIDENT, XID, `XA_PREPARE`, INTVAR, RAND, `USER_VAR`.

use bytes::Bytes;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{le_i32, le_u8, le_u16, le_u32, le_u64};

use super::parse::{Input, Parsed, lenenc, lenenc_bytes, refuse, short_bytes};
use super::{Body, Header};
use crate::error::{Code, Error, Result};

/// An XA transaction's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Xid {
    /// The format id; -1 is none.
    pub format_id: i32,
    /// Global part, at most 64 bytes.
    pub gtrid: Bytes,
    /// Branch qualifier, at most 64 bytes.
    pub bqual: Bytes,
}

/// The end of an XA group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XaPrepare {
    /// `XA COMMIT .. ONE PHASE`: the transaction is committed, not prepared.
    pub one_phase: bool,
    /// Whose.
    pub xid: Xid,
}

/// What an INTVAR event sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntVarKind {
    /// `LAST_INSERT_ID()` as the statement sees it.
    LastInsertId,
    /// The first `AUTO_INCREMENT` value the statement takes.
    InsertId,
}

/// A user variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserVar {
    /// Its name, without `@`.
    pub name: Bytes,
    /// Its value; `None` is NULL.
    pub value: Option<UserValue>,
}

/// The value of a user variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserValue {
    /// How `bytes` is to be read.
    pub kind: UserValueKind,
    /// Collation id of a string.
    pub charset: u32,
    /// Whether an integer is unsigned.
    pub unsigned: bool,
    /// String: as is. Real: f64, little-endian. Int: 8 bytes, little-endian. Decimal: precision, scale, packed digits.
    pub bytes: Bytes,
}

/// Type of a user variable's value (`Item_result`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserValueKind {
    /// `STRING_RESULT`.
    String,
    /// `REAL_RESULT`.
    Real,
    /// `INT_RESULT`.
    Int,
    /// `DECIMAL_RESULT`.
    Decimal,
}

/// Events are missing on the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// 1: lost events.
    pub number: u16,
    /// The source's words.
    pub message: String,
}

impl Incident {
    /// The error to stop with.
    pub fn error(&self) -> Error {
        Error::new(Code::Incident, format!("the source logged incident {}: {}", self.number, self.message))
    }
}

pub(super) fn rotate(input: Input<'_>, header: &Header) -> Result<Body> {
    let (file, offset) = input.settle(le_u64(input.body()))?;
    let file = input.text(file, "file name")?;
    Ok(Body::Rotate { file, offset, artificial: header.is_artificial() })
}

pub(super) fn heartbeat(input: Input<'_>, header: &Header) -> Result<Body> {
    let file = input.text(input.body(), "file name")?;
    Ok(Body::Heartbeat { file, offset: u64::from(header.end_position) })
}

/// Type-length-value fields: 1 file name, 2 position, 0 the end.
pub(super) fn heartbeat_v2(input: Input<'_>) -> Result<Body> {
    let (mut file, mut offset, mut rest) = (None, None, input.body());
    while !rest.is_empty() {
        let (after, field) = input.settle(lenenc(rest))?;
        if field == 0 {
            break;
        }
        let (after, value) = input.settle(lenenc_bytes(after))?;
        match field {
            1 => file = Some(input.text(value, "file name")?),
            2 => offset = Some(input.settle(lenenc(value))?.1),
            _ => {}
        }
        rest = after;
    }
    match (file, offset) {
        (Some(file), Some(offset)) => Ok(Body::Heartbeat { file, offset }),
        _ => Err(input.bad(Header::LEN, "names no file or no position")),
    }
}

pub(super) fn incident(input: Input<'_>) -> Result<Body> {
    let (number, message) = input.run(|body| (le_u16, short_bytes).parse(body))?;
    Ok(Body::Incident(Incident { number, message: String::from_utf8_lossy(message).into_owned() }))
}

pub(super) fn xid(input: Input<'_>) -> Result<Body> {
    input.run(le_u64).map(Body::Xid)
}

pub(super) fn xa_prepare(input: Input<'_>) -> Result<Body> {
    const PART_MAX: u32 = 64;
    let head = |body| (le_u8, le_i32, le_u32, le_u32).parse(body) as Parsed<'_, (u8, i32, u32, u32)>;
    let (rest, (one_phase, format_id, gtrid, bqual)) = input.settle(head(input.body()))?;
    if gtrid > PART_MAX || bqual > PART_MAX {
        return Err(input.bad(Header::LEN + 5, "holds an XID longer than an XID can be"));
    }
    let (_, (gtrid, bqual)) = input.settle((take(gtrid), take(bqual)).parse(rest))?;
    let xid = Xid { format_id, gtrid: input.share(gtrid), bqual: input.share(bqual) };
    Ok(Body::XaPrepare(XaPrepare { one_phase: one_phase != 0, xid }))
}

pub(super) fn int_var(input: Input<'_>) -> Result<Body> {
    let (kind, value) = input.run(|body| (le_u8, le_u64).parse(body))?;
    let kind = match kind {
        1 => IntVarKind::LastInsertId,
        2 => IntVarKind::InsertId,
        _ => return Err(input.bad(Header::LEN, format!("variable {kind} is not known"))),
    };
    Ok(Body::IntVar { kind, value })
}

pub(super) fn rand(input: Input<'_>) -> Result<Body> {
    let (seed1, seed2) = input.run(|body| (le_u64, le_u64).parse(body))?;
    Ok(Body::Rand { seed1, seed2 })
}

pub(super) fn user_var(input: Input<'_>) -> Result<Body> {
    let name_parser = |body| {
        let (rest, length) = le_u32(body)?;
        take(length).and(le_u8).parse(rest)
    };
    let parsed: Parsed<'_, (&[u8], u8)> = name_parser(input.body());
    let (rest, (name, is_null)) = input.settle(parsed)?;
    let value = if is_null == 0 { Some(user_value(input, rest)?) } else { None };
    Ok(Body::UserVar(UserVar { name: input.share(name), value }))
}

fn user_value(input: Input<'_>, rest: &[u8]) -> Result<UserValue> {
    let (rest, (kind, charset, length)) = input.settle((user_value_kind, le_u32, le_u32).parse(rest))?;
    let (rest, value) = input.settle(take(length).parse(rest))?;
    let fits = match kind {
        UserValueKind::Real | UserValueKind::Int => value.len() == 8,
        UserValueKind::Decimal => value.len() >= 2,
        UserValueKind::String => true,
    };
    if !fits {
        return Err(input.bad(Header::LEN, "holds a value that does not fit its type"));
    }
    // Flags came later than the rest: absent means signed.
    let unsigned = rest.first().is_some_and(|flags| flags & 1 != 0);
    Ok(UserValue { kind, charset, unsigned, bytes: input.share(value) })
}

fn user_value_kind(input: &[u8]) -> Parsed<'_, UserValueKind> {
    let (rest, kind) = le_u8(input)?;
    match kind {
        0 => Ok((rest, UserValueKind::String)),
        1 => Ok((rest, UserValueKind::Real)),
        2 => Ok((rest, UserValueKind::Int)),
        4 => Ok((rest, UserValueKind::Decimal)),
        _ => refuse(input),
    }
}
