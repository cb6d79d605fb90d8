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

    pub(super) fn finish(self) -> u64 {
        fold(self.0, FINAL)
    }
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
    fn neighbours_zeros_and_other_splits_differ() {
        let mut seen: HashSet<u64> = (0..100_000_u32).map(|number| hash(&[&number.to_le_bytes()])).collect();
        seen.extend((0..64).map(|length| hash(&[&[0; 64][..length]])));
        seen.extend([hash(&[b"a", b"bc"]), hash(&[b"ab", b"c"]), hash(&[b"abc", b""])]);
        // Four zero bytes are the number 0.
        assert_eq!(seen.len(), 100_000 + 64 - 1 + 3);
    }
}
