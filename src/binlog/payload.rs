//! `TRANSACTION_PAYLOAD`: the events of a transaction, compressed.

use std::io::{Cursor, Read};

use bytes::Bytes;

use super::parse::{Input, bad, lenenc, lenenc_bytes};
use super::{Header, kind};
use crate::error::{Code, Error, Result};

/// The most that a decompressor may keep: what the server's highest level makes.
pub(super) const WINDOW_LOG_MAX: u32 = 27;
/// What is reserved at once for an event, whatever size it claims.
const RESERVED_MAX: usize = 64 * 1024;

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard.
    Zstd,
    /// Not at all.
    None,
}

/// A whole transaction but for its GTID event.
#[derive(Debug, Clone)]
pub struct TransactionPayload {
    /// How `payload` is compressed.
    pub compression: Compression,
    /// Bytes of the events in it.
    pub uncompressed_size: u64,
    /// The compressed events.
    pub payload: Bytes,
}

/// What stands before the compressed bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) compression: Compression,
    /// Bytes of the events, decompressed.
    pub(super) uncompressed_size: u64,
    /// Bytes that are compressed.
    pub(super) size: u64,
    /// Bytes of the fields themselves.
    pub(super) len: usize,
}

/// The fields that are known take a third of this.
pub(super) const MAX_PAYLOAD_FIELDS: usize = 128;

impl Fields {
    /// Of the first bytes of an event.
    pub(super) fn parse(header: &Header, head: &Bytes) -> Result<Self> {
        Self::read(Input { kind: header.kind, event: head })
    }

    /// Fields of type, length, value (1 size, 2 algorithm, 3 size uncompressed, 0 the end).
    fn read(input: Input<'_>) -> Result<Self> {
        let (mut size, mut algorithm, mut uncompressed, mut rest) = (None, None, None, input.body());
        loop {
            let (after, field) = input.settle(lenenc(rest))?;
            if field == 0 {
                rest = after;
                break;
            }
            let (after, value) = input.settle(lenenc_bytes(after))?;
            match field {
                1 => size = Some(input.settle(lenenc(value))?.1),
                2 => algorithm = Some(input.settle(lenenc(value))?.1),
                3 => uncompressed = Some(input.settle(lenenc(value))?.1),
                _ => {}
            }
            rest = after;
        }
        let compression = match algorithm {
            Some(0) => Compression::Zstd,
            Some(255) => Compression::None,
            Some(other) => return Err(unknown_algorithm(input, other)),
            None => return Err(input.bad(Header::LEN, "names no compression algorithm")),
        };
        let size = size.ok_or_else(|| input.bad(Header::LEN, "holds a length beyond its end"))?;
        let uncompressed_size = match (uncompressed, compression) {
            (Some(size), _) => size,
            (None, Compression::None) => size,
            (None, Compression::Zstd) => return Err(input.bad(Header::LEN, "names no uncompressed size")),
        };
        Ok(Self { compression, uncompressed_size, size, len: input.body().len() - rest.len() })
    }

    /// # Errors
    /// `TooLarge` if the transaction is larger than `cap` bytes.
    pub(super) fn check(&self, cap: u64) -> Result<()> {
        if self.uncompressed_size > cap {
            let what = format!(
                "a compressed transaction of {} bytes is over the limit of {cap}",
                self.uncompressed_size
            );
            return Err(Error::new(Code::TooLarge, what));
        }
        Ok(())
    }
}

impl TransactionPayload {
    pub(super) fn parse(input: Input<'_>) -> Result<Self> {
        let fields = Fields::read(input)?;
        let rest = input.body().get(fields.len..).unwrap_or_default();
        let payload = usize::try_from(fields.size).ok().and_then(|size| rest.get(..size));
        let payload = payload.ok_or_else(|| input.bad(Header::LEN, "holds a length beyond its end"))?;
        Ok(Self {
            compression: fields.compression,
            uncompressed_size: fields.uncompressed_size,
            payload: input.share(payload),
        })
    }

    /// The events in it, one at a time; in memory are the compressed bytes, one event and the decompressor's window.
    ///
    /// # Errors
    /// `TooLarge` if the transaction is larger than `cap` bytes, `BadEvent` if the decompressor refuses to start.
    pub fn events(&self, cap: u64) -> Result<PayloadReader> {
        let fields = Fields {
            compression: self.compression,
            uncompressed_size: self.uncompressed_size,
            size: self.payload.len() as u64,
            len: 0,
        };
        fields.check(cap)?;
        let input = Cursor::new(self.payload.clone());
        let source = match self.compression {
            Compression::None => Source::Plain(input),
            Compression::Zstd => {
                let started = zstd::Decoder::with_buffer(input).and_then(|mut decoder| {
                    decoder.window_log_max(WINDOW_LOG_MAX)?;
                    Ok(decoder)
                });
                Source::Zstd(Box::new(started.map_err(|_| damaged(0, "cannot be decompressed"))?))
            }
        };
        Ok(PayloadReader { source, produced: 0, total: self.uncompressed_size, failed: false })
    }
}

fn unknown_algorithm(input: Input<'_>, algorithm: u64) -> Error {
    input
        .bad(Header::LEN, format!("compression algorithm {algorithm} is not known"))
        .with_code(Code::UnknownEvent)
}

/// Reads the events of a payload.
pub struct PayloadReader {
    source: Source,
    produced: u64,
    total: u64,
    failed: bool,
}

enum Source {
    Zstd(Box<zstd::Decoder<'static, Cursor<Bytes>>>),
    Plain(Cursor<Bytes>),
}

impl std::fmt::Debug for PayloadReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadReader")
            .field("produced", &self.produced)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Plain(bytes) => bytes.read(buffer),
        }
    }
}

impl PayloadReader {
    /// The next event, header and body (these have no checksums); `None` at the end. After an error there is none.
    ///
    /// # Errors
    /// `BadEvent` if the bytes do not decompress, do not hold whole events, or are not as many as announced.
    pub fn next_event(&mut self) -> Result<Option<Bytes>> {
        if self.failed {
            return Ok(None);
        }
        let event = self.read_event();
        self.failed = event.is_err();
        event
    }

    fn read_event(&mut self) -> Result<Option<Bytes>> {
        let mut event = Vec::new();
        self.read_up_to(Header::LEN, &mut event)?;
        if event.is_empty() {
            return if self.produced == self.total {
                Ok(None)
            } else {
                Err(self.bad("ends before its announced size"))
            };
        }
        let header = Header::parse(&event).map_err(|_| self.bad("ends within an event"))?;
        let size = u64::from(header.event_size);
        let body = size.checked_sub(Header::LEN as u64).and_then(|body| usize::try_from(body).ok());
        let Some(body) = body.filter(|_| size <= self.total.saturating_sub(self.produced)) else {
            return Err(self.bad("holds an event larger than it announced"));
        };
        event.reserve_exact(body.min(RESERVED_MAX));
        self.read_up_to(body, &mut event)?;
        if event.len() as u64 != size {
            return Err(self.bad("ends within an event"));
        }
        self.produced = self.produced.saturating_add(size);
        Ok(Some(Bytes::from(event)))
    }

    fn read_up_to(&mut self, bytes: usize, into: &mut Vec<u8>) -> Result<()> {
        let read = self.source.by_ref().take(bytes as u64).read_to_end(into);
        read.map(drop).map_err(|_| self.bad("does not decompress"))
    }

    fn bad(&self, what: &str) -> Error {
        damaged(self.produced, what)
    }
}

fn damaged(produced: u64, what: &str) -> Error {
    bad(kind::TRANSACTION_PAYLOAD, Header::LEN, what).context(format!("after {produced} uncompressed bytes"))
}
