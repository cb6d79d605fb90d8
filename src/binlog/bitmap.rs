//! Which columns an image holds.

use bytes::Bytes;

/// A bitmap of columns, least significant bit first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bitmap {
    bits: Bytes,
    len: usize,
}

impl Bitmap {
    /// A bitmap of `len` bits over `bits`; `None` if there are too few bytes.
    pub(super) fn new(bits: Bytes, len: usize) -> Option<Self> {
        (bits.len() >= len.div_ceil(8)).then_some(Self { bits, len })
    }

    /// Number of columns it speaks of.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it speaks of no column.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bit `i`; false beyond the end.
    pub fn contains(&self, i: usize) -> bool {
        i < self.len && bit(&self.bits, i)
    }

    /// How many bits are set.
    pub fn count_ones(&self) -> usize {
        (0..self.len).filter(|i| bit(&self.bits, *i)).count()
    }

    /// Whether every bit is set.
    pub fn is_full(&self) -> bool {
        self.count_ones() == self.len
    }

    /// The bytes as they stand in the event.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bits
    }
}

/// Bit `i` of `bits`, least significant first; false beyond the end.
pub(super) fn bit(bits: &[u8], i: usize) -> bool {
    bits.get(i >> 3).is_some_and(|byte| byte & (1 << (i & 7)) != 0)
}

/// Bit `i` of `bits`, most significant first (signedness and visibility metadata); false beyond the end.
pub(super) fn bit_msb_first(bits: &[u8], i: usize) -> bool {
    bits.get(i >> 3).is_some_and(|byte| byte & (0x80 >> (i & 7)) != 0)
}
