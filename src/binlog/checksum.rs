//! The CRC32 at the end of events.

use super::Header;

/// What stands at the end of each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing.
    None,
    /// Four bytes of CRC32 (ISO 3309), little-endian.
    Crc32,
}

impl Checksum {
    /// Bytes of a checksum.
    pub const LEN: usize = 4;

    /// How many bytes stand at the end of an event.
    pub const fn size(self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc32 => Self::LEN,
        }
    }

    /// From the algorithm byte of a format description.
    pub(super) const fn from_wire(algorithm: u8) -> Option<Self> {
        match algorithm {
            0 => Some(Self::None),
            1 => Some(Self::Crc32),
            _ => None,
        }
    }
}

/// Splits an event into its content and the checksum found at its end; `None` if it is too short for one.
pub(super) fn split(raw: &[u8]) -> Option<(&[u8], u32)> {
    let (content, checksum) = raw.split_last_chunk::<{ Checksum::LEN }>()?;
    (content.len() >= Header::LEN).then_some((content, u32::from_le_bytes(*checksum)))
}

/// The CRC32 of an event's content.
pub(super) fn crc32(content: &[u8]) -> u32 {
    crc32fast::hash(content)
}

/// The CRC32 of a format description: computed as if the `IN_USE` flag were clear, for the flag is changed in place when
/// the file is closed (`Log_event_footer::event_checksum_test`).
pub(super) fn crc32_of_format_description(content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let (before, rest) = content.split_at(content.len().min(Header::FLAGS_AT));
    hasher.update(before);
    if let Some((flags, rest)) = rest.split_first() {
        hasher.update(&[flags & !1]);
        hasher.update(rest);
    }
    hasher.finalize()
}
