//! A `TRANSACTION_PAYLOAD` event that is decompressed while its bytes arrive: it may be as large as a packet may be.

use bytes::{Buf, Bytes, BytesMut};
use zstd::stream::raw::{DParameter, Decoder as Zstd, InBuffer, Operation, OutBuffer};

use super::parse::bad;
use super::payload::{Compression, Fields, MAX_PAYLOAD_FIELDS, WINDOW_LOG_MAX};
use super::{Checksum, Header, kind};
use crate::error::{Error, Result};

/// Decompressed bytes at once.
const STEP: usize = 256 * 1024;

/// The events of a payload, out of chunks of the event. An event comes out once the next one is complete, and the last
/// one (the commit) once the checksum over everything was found right.
pub struct PayloadStream {
    header: Header,
    fields: Fields,
    checksum: Checksum,
    source: Source,
    crc: crc32fast::Hasher,
    /// Chunks that are not decompressed yet.
    input: Bytes,
    /// Compressed bytes that are still to come.
    compressed_left: usize,
    /// What of the checksum has arrived.
    found: Vec<u8>,
    /// Decompressed bytes that are not a whole event yet.
    out: BytesMut,
    produced: u64,
    /// The newest whole event.
    held: Option<Bytes>,
    ended: bool,
}

enum Source {
    Zstd(Box<Zstd<'static>>),
    Plain,
}

impl std::fmt::Debug for PayloadStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadStream").field("produced", &self.produced).finish_non_exhaustive()
    }
}

impl PayloadStream {
    /// As many bytes of an event, or all of it, are enough to begin with.
    pub const HEAD: usize = Header::LEN + MAX_PAYLOAD_FIELDS;

    /// Begins with the first bytes of an event. `cap` bounds the transaction's size.
    ///
    /// # Errors
    /// `BadEvent` for what is no such event; `TooLarge` beyond `cap`.
    pub fn begin(head: &Bytes, checksum: Checksum, cap: u64) -> Result<Self> {
        let header = Header::parse(head)?;
        if header.kind != kind::TRANSACTION_PAYLOAD {
            return Err(bad(header.kind, 0, "holds no other events"));
        }
        let len = usize::try_from(header.event_size).unwrap_or(usize::MAX);
        let fields = Fields::parse(&header, head)?;
        fields.check(cap)?;
        let room = len.checked_sub(Header::LEN + fields.len + checksum.size());
        let compressed_left = usize::try_from(fields.size).ok().filter(|size| room == Some(*size));
        let Some(compressed_left) = compressed_left else {
            return Err(bad(header.kind, Header::LEN, "holds a length beyond its end"));
        };
        let source = match fields.compression {
            Compression::None => Source::Plain,
            Compression::Zstd => {
                let started = Zstd::new().and_then(|mut decoder| {
                    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
                    Ok(decoder)
                });
                Source::Zstd(Box::new(started.map_err(|_| damaged(0, "cannot be decompressed"))?))
            }
        };
        let mut crc = crc32fast::Hasher::new();
        crc.update(head.get(..Header::LEN + fields.len).unwrap_or_default());
        Ok(Self {
            header,
            fields,
            checksum,
            source,
            crc,
            input: Bytes::new(),
            compressed_left,
            found: Vec::new(),
            out: BytesMut::new(),
            produced: 0,
            held: None,
            ended: false,
        })
    }

    /// The event's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many bytes of the head were used up: the first chunk begins after them.
    pub fn head_len(&self) -> usize {
        Header::LEN + self.fields.len
    }

    /// The next bytes of the event. What came before must be used up: [`next_event`](Self::next_event) said `None`.
    ///
    /// # Errors
    /// `BadEvent` for more bytes than were announced.
    pub fn push(&mut self, mut chunk: Bytes) -> Result<()> {
        let compressed = chunk.split_to(chunk.len().min(self.compressed_left));
        self.compressed_left -= compressed.len();
        self.crc.update(&compressed);
        self.input = compressed;
        self.found.extend_from_slice(&chunk);
        if self.found.len() > self.checksum.size() {
            return Err(self.bad("goes on beyond its end"));
        }
        Ok(())
    }

    /// Whether all bytes have been pushed.
    fn is_whole(&self) -> bool {
        self.compressed_left == 0 && self.found.len() == self.checksum.size()
    }

    /// The next event, header and body; `None` until more bytes are pushed, or at the end.
    ///
    /// # Errors
    /// `BadEvent` if the bytes do not decompress, do not hold whole events, are not as many as announced, or if the
    /// checksum is wrong.
    pub fn next_event(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(event) = self.whole_event()? {
                self.produced += event.len() as u64;
                if let Some(before) = self.held.replace(event) {
                    return Ok(Some(before));
                }
                continue;
            }
            if self.decompress()? > 0 {
                continue;
            }
            if self.is_whole() && !self.ended {
                self.end()?;
                return Ok(self.held.take());
            }
            return Ok(None);
        }
    }

    /// Whether the last event has come out.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn whole_event(&mut self) -> Result<Option<Bytes>> {
        if self.out.len() < Header::LEN {
            return Ok(None);
        }
        let header = Header::parse(&self.out).map_err(|_| self.bad("ends within an event"))?;
        let size = u64::from(header.event_size);
        if size < Header::LEN as u64 || size > self.fields.uncompressed_size.saturating_sub(self.produced) {
            return Err(self.bad("holds an event larger than it announced"));
        }
        let Some(size) = usize::try_from(size).ok().filter(|size| *size <= self.out.len()) else {
            return Ok(None);
        };
        Ok(Some(self.out.split_to(size).freeze()))
    }

    /// Makes more of the input; says how many bytes.
    fn decompress(&mut self) -> Result<usize> {
        if self.input.is_empty() && matches!(self.source, Source::Plain) {
            return Ok(0);
        }
        let before = self.out.len();
        match &mut self.source {
            Source::Plain => self.out.extend_from_slice(&std::mem::take(&mut self.input)),
            Source::Zstd(decoder) => {
                self.out.resize(before + STEP, 0);
                let room = self.out.get_mut(before..).unwrap_or_default();
                let mut input = InBuffer::around(&self.input);
                let mut output = OutBuffer::around(room);
                let outcome = decoder.run(&mut input, &mut output);
                let (read, written) = (input.pos(), output.pos());
                self.out.truncate(before + written);
                self.input.advance(read);
                if outcome.is_err() {
                    return Err(self.bad("does not decompress"));
                }
            }
        }
        let made = self.out.len() - before;
        let total = self.produced + self.out.len() as u64;
        if total > self.fields.uncompressed_size {
            return Err(self.bad("is larger than it announced"));
        }
        Ok(made)
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        if !self.input.is_empty() || !self.out.is_empty() || self.produced != self.fields.uncompressed_size {
            return Err(self.bad("ends before its announced size"));
        }
        if let Ok(found) = <[u8; Checksum::LEN]>::try_from(self.found.as_slice())
            && u32::from_le_bytes(found) != self.crc.clone().finalize()
        {
            return Err(bad(kind::TRANSACTION_PAYLOAD, Header::LEN, "its checksum is wrong"));
        }
        Ok(())
    }

    fn bad(&self, what: &str) -> Error {
        damaged(self.produced, what)
    }
}

fn damaged(produced: u64, what: &str) -> Error {
    bad(kind::TRANSACTION_PAYLOAD, Header::LEN, what).context(format!("after {produced} uncompressed bytes"))
}
