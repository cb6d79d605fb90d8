//! `FORMAT_DESCRIPTION`: the first event of each file.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{le_u8, le_u16, le_u32};

use super::checksum::{self, Checksum};
use super::parse::{Input, Parsed, bad};
use super::{Header, kind};
use crate::error::Result;

/// Bytes of the server version, padded with NUL.
const VERSION_LEN: usize = 50;
/// Offset of the creation time within the event.
const CREATED_AT: usize = Header::LEN + 2 + VERSION_LEN;

/// The versions and the checksum algorithm of a file.
#[derive(Debug, Clone)]
pub struct FormatDescription {
    /// Always 4.
    pub binlog_version: u16,
    /// The server's version text, such as `8.0.39`.
    pub server_version: Arc<str>,
    /// When the server started, if this is the first file since; else 0.
    pub created: u32,
    /// The length of the fixed part of each event type, at index type - 1.
    pub post_header_lengths: Bytes,
    /// What stands at the end of the events that follow.
    pub checksum: Checksum,
    event: Bytes,
}

impl FormatDescription {
    /// Splits `raw` into content and checksum and verifies it where the algorithm asks for one.
    ///
    /// From 5.6.1 (`MariaDB` 5.3) on, the event ends in an algorithm byte and four bytes of CRC32, which are there even if
    /// the algorithm is "off"; then the dump thread does not keep them right and nobody verifies them.
    pub(super) fn strip(raw: &Bytes) -> Result<Bytes> {
        let version = raw.get(Header::LEN + 2..CREATED_AT).ok_or_else(|| too_short(raw.len()))?;
        if !knows_checksums(version_text(version)) {
            return Ok(raw.clone());
        }
        let (content, found) = checksum::split(raw).ok_or_else(|| too_short(raw.len()))?;
        let algorithm = content.last().copied().unwrap_or_default();
        let wanted = checksum::crc32_of_format_description(content);
        if Checksum::from_wire(algorithm) == Some(Checksum::Crc32) && wanted != found {
            return Err(bad(kind::FORMAT_DESCRIPTION, content.len(), "its checksum is wrong"));
        }
        Ok(raw.slice(..content.len()))
    }

    pub(super) fn parse(input: Input<'_>) -> Result<Self> {
        let (rest, (binlog_version, version, created, header_length)) = input.settle(fixed(input.body()))?;
        if binlog_version != 4 {
            return Err(input.bad(Header::LEN, format!("binlog version {binlog_version} is not 4")));
        }
        if usize::from(header_length) != Header::LEN {
            return Err(input.bad(CREATED_AT + 4, format!("headers of {header_length} bytes are not known")));
        }
        let server_version = version_text(version);
        let (lengths, checksum) = if knows_checksums(server_version) {
            let (algorithm, lengths) = rest.split_last().ok_or_else(|| too_short(input.event.len()))?;
            let checksum = Checksum::from_wire(*algorithm).ok_or_else(|| {
                input.bad(input.event.len(), format!("checksum algorithm {algorithm} is not known"))
            })?;
            (lengths, checksum)
        } else {
            (rest, Checksum::None)
        };
        Ok(Self {
            binlog_version,
            server_version: Arc::from(server_version),
            created,
            post_header_lengths: input.share(lengths),
            checksum,
            event: input.event.clone(),
        })
    }

    /// The length of the fixed part of an event type, or `None` where the server does not know the type.
    pub fn post_header_length(&self, kind: u8) -> Option<usize> {
        let index = usize::from(kind).checked_sub(1)?;
        self.post_header_lengths.get(index).map(|length| usize::from(*length))
    }

    /// Whether the source is a `MariaDB` server.
    pub fn is_mariadb(&self) -> bool {
        self.server_version.contains("MariaDB")
    }

    /// The first three numbers of the server's version.
    pub fn version(&self) -> (u32, u32, u32) {
        version_numbers(&self.server_version)
    }

    /// A whole event that says the same but for "events that follow have no checksum": what `BINLOG` wants to hear first.
    ///
    /// The version text stays the source's (it decides how the target reads old formats); creation time, end position and
    /// flags are cleared, for they speak of the source's file.
    pub fn without_checksum(&self) -> Bytes {
        let mut content = BytesMut::from(&*self.event);
        if let Some(created) = content.get_mut(CREATED_AT..CREATED_AT + 4) {
            created.fill(0);
        }
        let has_checksum = knows_checksums(&self.server_version);
        if has_checksum && let Some(algorithm) = content.last_mut() {
            *algorithm = 0;
        }
        let size = content.len() + if has_checksum { Checksum::LEN } else { 0 };
        let mut header = Header::parse(&content).unwrap_or(BLANK);
        header.event_size = u32::try_from(size).unwrap_or(u32::MAX);
        header.end_position = 0;
        header.flags = 0;
        if let Some(front) = content.first_chunk_mut::<{ Header::LEN }>() {
            *front = header.encode();
        }
        if has_checksum {
            let checksum = checksum::crc32(&content);
            content.put_u32_le(checksum);
        }
        content.freeze()
    }
}

const BLANK: Header = Header {
    timestamp: 0,
    kind: kind::FORMAT_DESCRIPTION,
    server_id: 0,
    event_size: 0,
    end_position: 0,
    flags: 0,
};

type Fixed<'a> = (u16, &'a [u8], u32, u8);

fn fixed(input: &[u8]) -> Parsed<'_, Fixed<'_>> {
    (le_u16, take(VERSION_LEN), le_u32, le_u8).parse(input)
}

fn too_short(len: usize) -> crate::error::Error {
    bad(kind::FORMAT_DESCRIPTION, len, "ends too early")
}

fn version_text(padded: &[u8]) -> &str {
    let end = padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len());
    padded.get(..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

fn version_numbers(text: &str) -> (u32, u32, u32) {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0))
        .chain(std::iter::repeat(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

fn knows_checksums(version: &str) -> bool {
    let first = if version.contains("MariaDB") { (5, 3, 0) } else { (5, 6, 1) };
    version_numbers(version) >= first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_distributions_append() {
        assert_eq!(version_numbers("8.0.39-0ubuntu0.24.04.2"), (8, 0, 39));
        assert_eq!(version_numbers("5.7.44-log"), (5, 7, 44));
        assert_eq!(version_numbers("9.7"), (9, 7, 0));
        assert_eq!(version_numbers(""), (0, 0, 0));
    }

    #[test]
    fn checksums_are_known_from_5_6_1_and_mariadb_5_3_on() {
        assert!(!knows_checksums("5.5.30-log"));
        assert!(!knows_checksums("5.6.0-m4"));
        assert!(knows_checksums("5.6.1-m5"));
        assert!(knows_checksums("5.3.12-MariaDB"));
        assert!(knows_checksums("9.7.0"));
    }
}
