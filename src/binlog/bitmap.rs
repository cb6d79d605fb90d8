//! Which columns an image holds.

use bytes::Bytes;

/// A bitmap of columns, least significant bit first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bitmap {
    bits: Bits,
    len: usize,
}

/// Most tables have few columns: their bits are copied, which costs less than to share the event once more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Bits {
    Few([u8; FEW]),
    Many(Bytes),
}

const FEW: usize = 8;

impl Bitmap {
    /// A bitmap of `len` bits over `bits`, which are a part of `event`; `None` if there are too few bytes.
    pub(super) fn new(bits: &[u8], len: usize, event: &Bytes) -> Option<Self> {
        let bits = bits.get(..len.div_ceil(8))?;
        let mut few = [0; FEW];
        let bits = match few.get_mut(..bits.len()) {
            Some(into) => {
                into.copy_from_slice(bits);
                Bits::Few(few)
            }
            None => Bits::Many(event.slice_ref(bits)),
        };
        Some(Self { bits, len })
    }

    /// A bitmap of `len` bits, in which these are set; those beyond `len` are not.
    pub fn of(len: usize, set: impl Iterator<Item = usize>) -> Self {
        let mut bits = vec![0; len.div_ceil(8)];
        for i in set.filter(|i| *i < len) {
            if let Some(byte) = bits.get_mut(i >> 3) {
                *byte |= 1 << (i & 7);
            }
        }
        Self { bits: Bits::Many(bits.into()), len }
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
        i < self.len && bit(self.all(), i)
    }

    /// How many bits are set.
    pub fn count_ones(&self) -> usize {
        let (whole, rest) = self.all().split_at_checked(self.len >> 3).unwrap_or_default();
        let last = rest.first().map_or(0, |byte| byte & ((1 << (self.len & 7)) - 1));
        whole.iter().chain(&[last]).map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether every bit is set.
    pub fn is_full(&self) -> bool {
        self.count_ones() == self.len
    }

    /// The bytes as they stand in the event.
    pub fn as_bytes(&self) -> &[u8] {
        let all = self.all();
        all.get(..self.len.div_ceil(8)).unwrap_or(all)
    }

    /// The bytes, and perhaps zeros after them.
    fn all(&self) -> &[u8] {
        match &self.bits {
            Bits::Few(few) => few,
            Bits::Many(many) => many,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(bits: &[u8], len: usize) -> Option<Bitmap> {
        let event = Bytes::copy_from_slice(bits);
        Bitmap::new(&event, len, &event)
    }

    #[test]
    fn bits_beyond_the_last_column_do_not_count() {
        let mut many = [0xFF; 20];
        many[9] = 0b0101_0110;
        for (bits, len, ones) in [
            (&[0xFF, 0xFF][..], 16, 16),
            (&[0xFF, 0xFF], 11, 11),
            (&[0xFF, 0xFF], 8, 8),
            (&[0b1010_0001, 0b0110], 10, 4),
            (&[0xFF], 0, 0),
            (&[], 0, 0),
            (&many, 64, 64),
            (&many, 65, 65),
            (&many, 75, 74),
            (&many, 160, 156),
        ] {
            let bitmap = bitmap(bits, len).unwrap();
            assert_eq!(bitmap.count_ones(), ones, "{bits:?}, {len} columns");
            assert_eq!((0..200).filter(|i| bitmap.contains(*i)).count(), ones);
            assert_eq!(bitmap.is_full(), ones == len);
            assert_eq!(bitmap.as_bytes(), &bits[..len.div_ceil(8)]);
        }
    }

    #[test]
    fn too_few_bytes_are_no_bitmap() {
        assert_eq!(bitmap(&[0xFF], 9), None);
        assert_eq!(bitmap(&[0xFF; 9], 73), None);
    }
}
