//! Columns as a table map describes them, and how wide their cells are.

use std::sync::Arc;

use bytes::Bytes;

use super::parse::Input;
use crate::error::{Code, Error, Result};

/// The type of a column as rows events encode it (`enum_field_types`; ENUM and SET, which hide in STRING, resolved).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// No bytes at all.
    Null,
    /// 1 byte.
    TinyInt,
    /// 2 bytes, little-endian.
    SmallInt,
    /// 3 bytes, little-endian.
    MediumInt,
    /// 4 bytes, little-endian.
    Int,
    /// 8 bytes, little-endian.
    BigInt,
    /// f32, little-endian.
    Float,
    /// f64, little-endian.
    Double,
    /// NEWDECIMAL: packed decimal digits; precision in the high byte of the metadata, scale in the low.
    Decimal,
    /// 1 byte: 0, or the year less 1900.
    Year,
    /// 3 bytes: day 5 bits, month 4, year.
    Date,
    /// TIME before 5.6: 3 bytes.
    Time,
    /// TIME with fraction: 3 bytes and the fraction, big-endian; digits in the metadata.
    Time2,
    /// DATETIME before 5.6: 8 bytes.
    DateTime,
    /// DATETIME with fraction: 5 bytes and the fraction, big-endian; digits in the metadata.
    DateTime2,
    /// TIMESTAMP before 5.6: 4 bytes.
    Timestamp,
    /// TIMESTAMP with fraction: 4 bytes and the fraction, big-endian; digits in the metadata.
    Timestamp2,
    /// Big-endian bits; `bytes * 8 + bits` in the metadata's high and low byte.
    Bit,
    /// 1 or 2 bytes, little-endian: index of the label, from 1; 0 is the empty error value.
    Enum,
    /// 1 to 8 bytes, little-endian: one bit per label.
    Set,
    /// CHAR and BINARY: length (1 or 2 bytes) and the value without its padding.
    Char,
    /// VARCHAR and VARBINARY: length (1 or 2 bytes) and value.
    VarChar,
    /// All BLOBs and TEXTs: length (as many bytes as the metadata says) and value.
    Blob,
    /// Length (4 bytes) and the server's binary JSON.
    Json,
    /// Length (4 bytes), SRID, WKB.
    Geometry,
    /// Length (4 bytes) and f32s, little-endian.
    Vector,
    /// The hidden column of a multi-valued index: length (4 bytes) and binary JSON.
    TypedArray,
}

/// A column of a table map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its type.
    pub kind: ColumnType,
    /// The type's metadata as in the event; two-byte metadata of CHAR, ENUM, SET and DECIMAL with its first byte high.
    pub meta: u16,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether a number is unsigned; only meaningful if the table map says so, see `TableMap::signedness_known`.
    pub unsigned: bool,
    /// False for INVISIBLE columns, where the source says so.
    pub visible: bool,
    /// Collation id of character, ENUM and SET columns, where the source says so.
    pub charset: Option<u32>,
    /// Its name (`binlog_row_metadata=FULL`).
    pub name: Option<Arc<str>>,
    /// Labels of ENUM and SET (`binlog_row_metadata=FULL`), in the column's character set.
    pub labels: Option<Vec<Bytes>>,
    /// Geometry type number, where the source says so.
    pub geometry: Option<u32>,
    /// Dimensions of a VECTOR, where the source says so.
    pub vector_dimensions: Option<u32>,
}

impl Column {
    /// Whether the column has an entry in the signedness bits.
    pub(super) const fn is_numeric(&self) -> bool {
        matches!(
            self.kind,
            ColumnType::TinyInt
                | ColumnType::SmallInt
                | ColumnType::MediumInt
                | ColumnType::Int
                | ColumnType::BigInt
                | ColumnType::Float
                | ColumnType::Double
                | ColumnType::Decimal
                | ColumnType::Year
        )
    }

    /// Whether the column has an entry in the character set lists.
    pub(super) const fn is_character(&self) -> bool {
        matches!(self.kind, ColumnType::Char | ColumnType::VarChar | ColumnType::Blob)
    }

    /// Whether the column has an entry in the label lists.
    pub(super) const fn is_labelled(&self) -> bool {
        matches!(self.kind, ColumnType::Enum | ColumnType::Set)
    }

    /// The longest value of a CHAR in bytes: two bits of it are hidden, inverted, in the type byte.
    pub(super) const fn char_length(meta: u16) -> u16 {
        (meta & 0xFF) | (((meta >> 4) & 0x300) ^ 0x300)
    }
}

/// How a cell ends: all types are either of fixed width or begin with a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// That many bytes.
    Fixed(u8),
    /// A length of one byte, then the value.
    Length1,
    /// A length of two bytes.
    Length2,
    /// A length of three bytes.
    Length3,
    /// A length of four bytes.
    Length4,
}

/// The same for stepping over cells: so many bytes, and as many more as the number says that they begin with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) bytes: u8,
    /// Which bits of the next four bytes, little-endian, are a length; none where the width is fixed.
    pub(super) length: u32,
}

impl Step {
    pub(super) const fn of(width: Width) -> Self {
        match width {
            Width::Fixed(bytes) => Self { bytes, length: 0 },
            Width::Length1 => Self { bytes: 1, length: 0xFF },
            Width::Length2 => Self { bytes: 2, length: 0xFFFF },
            Width::Length3 => Self { bytes: 3, length: 0xFF_FFFF },
            Width::Length4 => Self { bytes: 4, length: u32::MAX },
        }
    }
}

/// Reads a column's metadata: its resolved type, metadata, width; the rest of the metadata is left.
pub(super) fn describe<'a>(
    input: Input<'_>,
    wire_type: u8,
    meta: &'a [u8],
) -> Result<(ColumnType, u16, Width, &'a [u8])> {
    let fixed = |kind, width| Ok((kind, 0, Width::Fixed(width), meta));
    match wire_type {
        1 => fixed(ColumnType::TinyInt, 1),
        2 => fixed(ColumnType::SmallInt, 2),
        3 => fixed(ColumnType::Int, 4),
        6 => fixed(ColumnType::Null, 0),
        7 => fixed(ColumnType::Timestamp, 4),
        8 => fixed(ColumnType::BigInt, 8),
        9 => fixed(ColumnType::MediumInt, 3),
        10 | 14 => fixed(ColumnType::Date, 3),
        11 => fixed(ColumnType::Time, 3),
        12 => fixed(ColumnType::DateTime, 8),
        13 => fixed(ColumnType::Year, 1),
        4 | 5 | 17..=19 | 242 | 245 | 249..=252 | 255 => one_byte(input, wire_type, meta),
        15 | 16 | 246..=248 | 254 => two_bytes(input, wire_type, meta),
        20 => typed_array(input, meta),
        140 | 141 => Err(unknown(input, wire_type, "MariaDB's compressed columns are not understood")),
        0 => Err(unknown(
            input,
            wire_type,
            "DECIMAL from before MySQL 5.0 is not understood: rebuild the table",
        )),
        _ => Err(unknown(input, wire_type, "the type is not known")),
    }
}

type Described<'a> = Result<(ColumnType, u16, Width, &'a [u8])>;

fn one_byte<'a>(input: Input<'_>, wire_type: u8, meta: &'a [u8]) -> Described<'a> {
    let (&byte, rest) = meta.split_first().ok_or_else(|| missing(input))?;
    let fraction = |base: u8| (byte <= 6).then(|| Width::Fixed(base.saturating_add(byte.div_ceil(2))));
    let (kind, width) = match wire_type {
        4 => (ColumnType::Float, (byte == 4).then_some(Width::Fixed(4))),
        5 => (ColumnType::Double, (byte == 8).then_some(Width::Fixed(8))),
        17 => (ColumnType::Timestamp2, fraction(4)),
        18 => (ColumnType::DateTime2, fraction(5)),
        19 => (ColumnType::Time2, fraction(3)),
        242 => (ColumnType::Vector, length_width(byte)),
        245 => (ColumnType::Json, length_width(byte)),
        255 => (ColumnType::Geometry, length_width(byte)),
        _ => (ColumnType::Blob, length_width(byte)),
    };
    width.map(|width| (kind, u16::from(byte), width, rest)).ok_or_else(|| refused(input, wire_type))
}

fn two_bytes<'a>(input: Input<'_>, wire_type: u8, meta: &'a [u8]) -> Described<'a> {
    let (&[first, second], rest) = meta.split_first_chunk().ok_or_else(|| missing(input))?;
    let high_first = u16::from_be_bytes([first, second]);
    let low_first = u16::from_le_bytes([first, second]);
    let (kind, meta, width) = match wire_type {
        15 => (ColumnType::VarChar, low_first, Some(text_width(low_first))),
        16 => (ColumnType::Bit, low_first, bit_width(first, second)),
        246 => (ColumnType::Decimal, high_first, decimal_width(first, second)),
        247 => (ColumnType::Enum, high_first, (1..=2).contains(&second).then_some(Width::Fixed(second))),
        248 => (ColumnType::Set, high_first, (1..=8).contains(&second).then_some(Width::Fixed(second))),
        // STRING: the real type is in the first byte.
        _ if first == 247 || first == 248 => return two_bytes(input, first, meta),
        _ if first | 0x30 == 254 => {
            (ColumnType::Char, high_first, Some(text_width(Column::char_length(high_first))))
        }
        _ => (ColumnType::Char, high_first, None),
    };
    width.map(|width| (kind, meta, width, rest)).ok_or_else(|| refused(input, wire_type))
}

/// The element's type and its metadata (VARCHAR's in three bytes), skipped: the cells are binary JSON whatever it is.
fn typed_array<'a>(input: Input<'_>, meta: &'a [u8]) -> Described<'a> {
    let (&element, rest) = meta.split_first().ok_or_else(|| missing(input))?;
    let rest = match element {
        15 => rest.get(3..).ok_or_else(|| missing(input))?,
        20 => return Err(refused(input, 20)),
        _ => describe(input, element, rest)?.3,
    };
    Ok((ColumnType::TypedArray, u16::from(element), Width::Length4, rest))
}

fn text_width(max: u16) -> Width {
    if max > 255 { Width::Length2 } else { Width::Length1 }
}

fn length_width(bytes: u8) -> Option<Width> {
    match bytes {
        1 => Some(Width::Length1),
        2 => Some(Width::Length2),
        3 => Some(Width::Length3),
        4 => Some(Width::Length4),
        _ => None,
    }
}

fn bit_width(bits: u8, bytes: u8) -> Option<Width> {
    (bits < 8 && bytes <= 8).then(|| Width::Fixed(bytes.saturating_add(u8::from(bits > 0))))
}

/// Nine digits take four bytes, what is left over as in this table (`decimal_bin_size`).
fn decimal_width(precision: u8, scale: u8) -> Option<Width> {
    const LEFT_OVER: [u8; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
    if precision > 65 || scale > 30 {
        return None;
    }
    let bytes = |digits: u8| {
        let left_over = LEFT_OVER.get(usize::from(digits % 9)).copied().unwrap_or_default();
        (digits / 9).saturating_mul(4).saturating_add(left_over)
    };
    let whole = precision.checked_sub(scale)?;
    Some(Width::Fixed(bytes(whole).saturating_add(bytes(scale))))
}

fn missing(input: Input<'_>) -> Error {
    input.bad(input.event.len(), "holds too little metadata for its columns")
}

fn refused(input: Input<'_>, wire_type: u8) -> Error {
    input.bad(input.event.len(), format!("holds metadata that column type {wire_type} cannot have"))
}

fn unknown(input: Input<'_>, wire_type: u8, why: &str) -> Error {
    let offset = input.event.len();
    input.bad(offset, format!("a column has type {wire_type}: {why}")).with_code(Code::UnknownEvent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_the_bytes_that_the_server_packs_them_into() {
        for (precision, scale, bytes) in
            [(10, 0, 5), (10, 2, 5), (65, 30, 30), (1, 0, 1), (65, 0, 29), (18, 9, 8), (30, 30, 14)]
        {
            assert_eq!(decimal_width(precision, scale), Some(Width::Fixed(bytes)), "({precision},{scale})");
        }
        assert_eq!(decimal_width(66, 0), None);
        assert_eq!(decimal_width(3, 4), None);
    }

    #[test]
    fn long_chars_hide_two_bits_of_their_length_in_the_type_byte() {
        assert_eq!(Column::char_length(0xFE_0A), 10);
        assert_eq!(Column::char_length(0xEE_FC), 508); // CHAR(127) in utf8mb4
        assert_eq!(Column::char_length(0xCE_FC), 1020); // CHAR(255) in utf8mb4
    }
}
