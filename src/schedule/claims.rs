//! What a row image claims of a key, normalised: values that the server may take for equal have the same claim.

use std::sync::Arc;

use crate::binlog::{Cell, ColumnType};

use super::hash::Hash;
use super::weights::trimmed;
use super::{Reach, Weights};

/// A key, as the picked cells of an image show it.
#[derive(Debug, Clone)]
pub(super) struct KeyPlan {
    /// Its columns; none if [`Reach::Row`].
    pub(super) parts: Vec<Part>,
    /// What of them counts.
    pub(super) reach: Reach,
}

/// A column of a key.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its place among the picked cells.
    pub(super) cell: usize,
    /// How its values are compared.
    pub(super) texture: Texture,
    /// Its type in the images, with its metadata.
    pub(super) kind: (ColumnType, u16),
    /// What [`Texture::Weighed`] weighs by.
    pub(super) weights: Option<Arc<Weights>>,
}

/// How the values of a column are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texture {
    /// Equal bytes, equal values.
    Exact,
    /// Zero has two signs.
    Float,
    /// Packed digits; zero has two signs.
    Decimal,
    /// Bytes; spaces and zeros at the end may not count.
    Trimmed,
    /// Case and spaces at the end may not count; nothing is known of what is not printable ASCII.
    Folded,
    /// By the weights of its characters.
    Weighed,
    /// Nothing is known.
    Unknown,
}

/// What an image claims of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// A part is NULL: such rows never meet.
    Nothing,
    /// A value.
    Value(u64),
    /// Any value, as far as is known.
    Whole,
}

impl KeyPlan {
    /// Whether bytes decide over equality.
    pub(super) fn is_exact(&self) -> bool {
        self.reach == Reach::Values && self.parts.iter().all(|part| part.texture == Texture::Exact)
    }

    /// Whether equal values of both keys have equal claims.
    pub(super) fn is_comparable(&self, other: &Self) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(one, other)| {
                let text = one.texture.is_text();
                one.texture == other.texture && (text || one.kind == other.kind)
            })
    }

    /// What an image claims. `fallback` has the cells that the image does not hold.
    pub(super) fn claim(&self, seed: u64, cells: &[Cell<'_>], fallback: &[Cell<'_>]) -> Claim {
        if self.reach == Reach::Row {
            return Claim::Whole;
        }
        let mut hash = Hash::new(seed);
        let mut known = self.reach == Reach::Values;
        for part in &self.parts {
            match of(cells, fallback, part.cell) {
                Cell::Null => return Claim::Nothing,
                Cell::Bytes(bytes) => known = known && part.normalise(bytes, &mut hash),
                Cell::Absent | Cell::Diff(_) => known = false,
            }
        }
        if known { Claim::Value(hash.finish()) } else { Claim::Whole }
    }

    /// Whether an update leaves the key as it was, byte for byte.
    pub(super) fn unchanged(&self, before: &[Cell<'_>], after: &[Cell<'_>]) -> bool {
        self.reach != Reach::Row
            && self.parts.iter().all(|part| match of(after, &[], part.cell) {
                Cell::Absent => true,
                Cell::Diff(_) => false,
                cell => cell == of(before, &[], part.cell),
            })
    }
}

fn of<'a>(cells: &[Cell<'a>], fallback: &[Cell<'a>], place: usize) -> Cell<'a> {
    match cells.get(place) {
        Some(Cell::Absent) | None => fallback.get(place).copied().unwrap_or(Cell::Absent),
        Some(cell) => *cell,
    }
}

impl Texture {
    /// Whether values of different lengths of the same characters are compared alike.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Trimmed | Self::Folded | Self::Weighed)
    }
}

impl Part {
    /// Adds a value so that those which may be equal add the same. False if nothing is known.
    fn normalise(&self, bytes: &[u8], hash: &mut Hash) -> bool {
        match &self.weights {
            Some(weights) if self.texture == Texture::Weighed => weights.hash(bytes, hash),
            _ => normalise(self.texture, bytes, hash),
        }
    }
}

/// Adds a value so that those which may be equal add the same. False if nothing is known.
fn normalise(texture: Texture, bytes: &[u8], hash: &mut Hash) -> bool {
    match texture {
        Texture::Exact => hash.bytes(bytes),
        Texture::Float => {
            let negative_zero = bytes
                .split_last()
                .is_some_and(|(last, rest)| *last == 0x80 && rest.iter().all(|byte| *byte == 0));
            if negative_zero { hash.mapped(bytes, |_| 0) } else { hash.bytes(bytes) }
        }
        Texture::Decimal => {
            // Zero is 80 00 ..; with a minus sign every bit of it is turned over.
            let negative_zero = bytes
                .split_first()
                .is_some_and(|(first, rest)| *first == 0x7F && rest.iter().all(|byte| *byte == 0xFF));
            if negative_zero { hash.mapped(bytes, |byte| !byte) } else { hash.bytes(bytes) }
        }
        Texture::Trimmed => hash.bytes(trimmed(bytes, |byte| matches!(byte, 0 | b' '))),
        Texture::Folded => {
            if !hash.folded(trimmed(bytes, |byte| byte == b' ')) {
                return false;
            }
        }
        Texture::Weighed | Texture::Unknown => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(cell: usize, texture: Texture) -> Part {
        Part { cell, texture, kind: (ColumnType::VarChar, 9), weights: None }
    }

    fn claim(texture: Texture, bytes: &[u8]) -> Claim {
        let plan = KeyPlan { parts: vec![part(0, texture)], reach: Reach::Values };
        plan.claim(1, &[Cell::Bytes(bytes)], &[])
    }

    #[test]
    fn values_that_may_be_equal_have_one_claim() {
        for (texture, one, other) in [
            (Texture::Folded, &b"Ada "[..], &b"aDA"[..]),
            (Texture::Trimmed, b"a \0", b"a"),
            (Texture::Float, &(-0.0_f64).to_le_bytes(), &0.0_f64.to_le_bytes()),
            (Texture::Decimal, &[0x7F, 0xFF, 0xFF], &[0x80, 0, 0]),
        ] {
            assert_eq!(claim(texture, one), claim(texture, other), "{texture:?}");
            assert!(matches!(claim(texture, one), Claim::Value(_)));
        }
        assert_ne!(claim(Texture::Trimmed, b"A"), claim(Texture::Trimmed, b"a"));
        assert_ne!(claim(Texture::Exact, b"a "), claim(Texture::Exact, b"a"));
    }

    #[test]
    fn what_is_not_known_claims_the_whole_key() {
        for (texture, bytes) in
            [(Texture::Folded, "é".as_bytes()), (Texture::Folded, b"a\tb"), (Texture::Unknown, b"a")]
        {
            assert_eq!(claim(texture, bytes), Claim::Whole);
        }
        let parts = vec![part(0, Texture::Exact), part(1, Texture::Exact)];
        let plan = KeyPlan { parts, reach: Reach::Values };
        assert_eq!(plan.claim(1, &[Cell::Bytes(b"1"), Cell::Absent], &[]), Claim::Whole);
        assert!(matches!(
            plan.claim(1, &[Cell::Bytes(b"1"), Cell::Absent], &[Cell::Absent, Cell::Bytes(b"2")]),
            Claim::Value(_)
        ));
    }

    #[test]
    fn null_meets_nothing() {
        let parts = vec![part(0, Texture::Unknown), part(1, Texture::Unknown)];
        let plan = KeyPlan { parts, reach: Reach::Prefixes };
        assert_eq!(plan.claim(1, &[Cell::Bytes(b"1"), Cell::Null], &[]), Claim::Nothing);
    }
}
