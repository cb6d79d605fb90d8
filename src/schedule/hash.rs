//! A fast hash of 64 bits. What collides is taken for the same thing, which costs time and nothing else.

pub(super) use crate::binlog::ByNumber as ByHash;

/// The hash of what was added so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(u64);

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
const FINAL: u64 = 0xD6E8_FEB8_6659_FD93;

impl Hash {
    /// Different for different seeds.
    pub(super) fn new(seed: u64) -> Self {
        Self(fold(seed ^ FINAL, MULTIPLIER))
    }

    pub(super) fn word(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, MULTIPLIER).wrapping_add(FINAL);
    }

    /// Adds bytes and how many they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.mapped(bytes, |byte| byte);
    }

    /// Adds bytes, each as `map` has it.
    pub(super) fn mapped(&mut self, bytes: &[u8], map: impl Fn(u8) -> u8) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(word.map(&map)));
        }
        let mut last = [0; 8];
        for (into, byte) in last.iter_mut().zip(rest) {
            *into = map(*byte);
        }
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }

    /// Adds a text, capitals as small letters: the same as [`mapped`](Self::mapped). False if not all of it is printable
    /// ASCII.
    pub(super) fn folded(&mut self, text: &[u8]) -> bool {
        let mut odd = 0;
        let (words, rest) = text.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word);
            odd |= not_printable(word);
            self.word(small(word));
        }
        let mut last = [b' '; 8];
        last.iter_mut().zip(rest).for_each(|(into, byte)| *into = *byte);
        odd |= not_printable(u64::from_le_bytes(last));
        last.get_mut(rest.len()..).into_iter().flatten().for_each(|padding| *padding = 0);
        self.word(small(u64::from_le_bytes(last)));
        self.word(text.len() as u64);
        odd == 0
    }

    pub(super) fn finish(self) -> u64 {
        fold(self.0, FINAL)
    }
}

/// Each of eight bytes.
const EACH: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = EACH << 7;

/// The top bits of those of eight bytes that are not printable ASCII, or of others beside them; 0 if all are.
fn not_printable(word: u64) -> u64 {
    let below_space = !((word | TOP_BITS) - EACH * 0x20);
    let above_tilde = (word & !TOP_BITS) + EACH;
    (word | below_space | above_tilde) & TOP_BITS
}

/// Eight ASCII characters, capitals made small.
fn small(word: u64) -> u64 {
    let seven = word & !TOP_BITS;
    let from_a = seven + EACH * (0x80 - 0x41);
    let beyond_z = seven + EACH * (0x80 - 0x5B);
    word | ((from_a & !beyond_z & !word & TOP_BITS) >> 2)
}

/// Adds bytes one by one: the same as [`Hash::bytes`] of all of them.
pub(super) struct Stream<'h> {
    hash: &'h mut Hash,
    word: u64,
    bytes: u64,
}

impl<'h> Stream<'h> {
    pub(super) fn new(hash: &'h mut Hash) -> Self {
        Self { hash, word: 0, bytes: 0 }
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.word |= u64::from(byte) << (self.bytes % 8 * 8);
        self.bytes += 1;
        if self.bytes.is_multiple_of(8) {
            self.hash.word(std::mem::take(&mut self.word));
        }
    }

    pub(super) fn finish(self) {
        self.hash.word(self.word);
        self.hash.word(self.bytes);
    }
}

/// Both halves of the product.
#[allow(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn hash(parts: &[&[u8]]) -> u64 {
        let mut hash = Hash::new(1);
        for part in parts {
            hash.bytes(part);
        }
        hash.finish()
    }

    #[test]
    fn a_stream_of_bytes_is_those_bytes() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..bytes.len() {
            let mut streamed = Hash::new(1);
            let mut stream = Stream::new(&mut streamed);
            for byte in &bytes[..length] {
                stream.push(*byte);
            }
            stream.finish();
            assert_eq!(streamed.finish(), hash(&[&bytes[..length]]));
        }
    }

    #[test]
    fn eight_characters_at_once_are_folded_as_one_by_one() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = *b"Az [`{@Z~a09~ mMxXyY";
                    text[at] = byte;
                    let text = &text[..length];
                    let (mut one, mut other) = (Hash::new(1), Hash::new(1));
                    let printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
                    assert_eq!(one.folded(text), printable, "{text:?}");
                    other.mapped(text, |byte| byte.to_ascii_lowercase());
                    assert_eq!(one.finish(), other.finish(), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn neighbours_zeros_and_other_splits_differ() {
        let mut seen: HashSet<u64> = (0..100_000_u32).map(|number| hash(&[&number.to_le_bytes()])).collect();
        seen.extend((0..64).map(|length| hash(&[&[0; 64][..length]])));
        seen.extend([hash(&[b"a", b"bc"]), hash(&[b"ab", b"c"]), hash(&[b"abc", b""])]);
        // Four zero bytes are the number 0.
        assert_eq!(seen.len(), 100_000 + 64 - 1 + 3);
    }
}
