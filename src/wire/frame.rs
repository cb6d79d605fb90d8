//! Packets in a stream of bytes (MySQL internals manual, "MySQL Packets"): three bytes of length, one of sequence, and a
//! payload; a payload of 16 MiB - 1 or more goes as several pieces, the last of them shorter, be it empty.
//!
//! No input or output here: [`Inbox`] says where the next bytes are to be put and hands out what is complete.

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::bail;
use crate::error::Result;

/// Length and sequence number before each piece.
pub(super) const HEADER: usize = 4;
/// A piece of this length is followed by another one.
pub(super) const FULL_PIECE: usize = 0xFF_FFFF;
/// How much is read at once.
const READ: usize = 256 * 1024;
/// After a payload beyond this the memory is given back.
const KEEP: usize = 1 << 20;

/// Received bytes, and the payload being joined from pieces.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Bytes as they came. A payload of one piece is split off without a copy, so that a payload which is kept pins
    /// the block of bytes it came in.
    buffer: BytesMut,
    /// The payload so far, while its pieces arrive.
    joined: Vec<u8>,
    state: State,
    max_packet: usize,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The header of a payload's first piece. Set when a payload was handed out.
    Start,
    /// `missing` more bytes of a piece that goes to `joined`; another piece follows it if `more`. `sequence` is the next
    /// piece's. Set by a full piece's header.
    Piece { missing: usize, more: bool, sequence: u8 },
    /// The header of a further piece. Set when a full piece is complete.
    NextPiece { sequence: u8 },
    /// `missing` more bytes of a piece that is handed out as it comes; another piece follows it if `more`. Set by
    /// [`Inbox::enter_chunks`].
    Chunks { missing: usize, more: bool, sequence: u8 },
}

/// What is known of the payload that comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// More bytes must come first.
    Unknown,
    /// It is not long.
    Short,
    /// It is; its first bytes.
    Long(Bytes),
}

/// A part of a long payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// The next bytes.
    Bytes(Bytes),
    /// There are no more; the sequence number of the last piece.
    End(u8),
}

/// Where the next bytes go.
pub(super) enum Room<'a> {
    /// Into the buffer.
    Buffer(Limit<&'a mut BytesMut>),
    /// Straight to their place in a long payload.
    Joined(Limit<&'a mut Vec<u8>>),
}

impl Inbox {
    pub(super) fn new(max_packet: usize) -> Self {
        Self { buffer: BytesMut::new(), joined: Vec::new(), state: State::Start, max_packet }
    }

    pub(super) fn set_max_packet(&mut self, bytes: usize) {
        self.max_packet = bytes;
    }

    /// Whether nothing is held that was not handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.state == State::Start
    }

    /// The next whole payload and the sequence number of its last piece; `None` until more bytes are there.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Bytes)>> {
        loop {
            match self.state {
                State::Start => {
                    let Some((len, sequence)) = self.header() else { return Ok(None) };
                    self.check(len)?;
                    if len < FULL_PIECE {
                        return Ok(self.whole(len).map(|payload| (sequence, payload)));
                    }
                    self.enter_piece(len, sequence);
                }
                State::NextPiece { sequence } => {
                    let Some((len, got)) = self.header() else { return Ok(None) };
                    if got != sequence {
                        bail!(Protocol, "piece {got} of a packet arrived where {sequence} was due");
                    }
                    self.check(self.joined.len() + len)?;
                    self.enter_piece(len, sequence);
                }
                State::Piece { missing, more, sequence } => {
                    let arrived = missing.min(self.buffer.len());
                    self.joined.extend_from_slice(&self.buffer[..arrived]);
                    self.buffer.advance(arrived);
                    if arrived < missing {
                        self.state = State::Piece { missing: missing - arrived, more, sequence };
                        return Ok(None);
                    }
                    if !more {
                        self.state = State::Start;
                        let payload = Bytes::from(std::mem::take(&mut self.joined));
                        return Ok(Some((sequence.wrapping_sub(1), payload)));
                    }
                    self.state = State::NextPiece { sequence };
                }
                State::Chunks { .. } => bail!(Protocol, "the rest of a long packet was not asked for"),
            }
        }
    }

    /// The first `count` bytes of a payload that is longer than `limit`, as far as its first piece says.
    pub(super) fn long_head(&mut self, limit: usize, count: usize) -> Result<Head> {
        if self.state != State::Start {
            return Ok(Head::Short);
        }
        let Some((len, _)) = self.header() else { return Ok(Head::Unknown) };
        self.check(len)?;
        if len <= limit.max(count) {
            return Ok(Head::Short);
        }
        let head = self.buffer.get(HEADER..HEADER + count);
        Ok(head.map_or(Head::Unknown, |head| Head::Long(Bytes::copy_from_slice(head))))
    }

    /// Hands the payload that comes next out in chunks.
    pub(super) fn enter_chunks(&mut self) {
        if let (State::Start, Some((len, sequence))) = (self.state, self.header()) {
            self.buffer.advance(HEADER);
            self.state =
                State::Chunks { missing: len, more: len == FULL_PIECE, sequence: sequence.wrapping_add(1) };
        }
    }

    /// The next part of the payload; `None` until more bytes are there.
    pub(super) fn chunk(&mut self) -> Result<Option<Chunk>> {
        let State::Chunks { missing, more, sequence } = self.state else {
            bail!(Protocol, "no long packet is being read")
        };
        if missing > 0 {
            let arrived = missing.min(self.buffer.len());
            self.state = State::Chunks { missing: missing - arrived, more, sequence };
            return Ok((arrived > 0).then(|| Chunk::Bytes(self.buffer.split_to(arrived).freeze())));
        }
        if !more {
            self.state = State::Start;
            return Ok(Some(Chunk::End(sequence.wrapping_sub(1))));
        }
        let Some((len, got)) = self.header() else { return Ok(None) };
        if got != sequence {
            bail!(Protocol, "piece {got} of a packet arrived where {sequence} was due");
        }
        self.buffer.advance(HEADER);
        self.state =
            State::Chunks { missing: len, more: len == FULL_PIECE, sequence: sequence.wrapping_add(1) };
        self.chunk()
    }

    /// Room for the next read, and never much more than what is announced and half of what has arrived.
    pub(super) fn room(&mut self) -> Room<'_> {
        if let State::Piece { missing, .. } = self.state {
            let step = missing.min(self.joined.len().clamp(READ, FULL_PIECE));
            if self.joined.capacity() - self.joined.len() < step {
                self.joined.reserve_exact(step);
            }
            return Room::Joined((&mut self.joined).limit(step));
        }
        let in_chunks = matches!(self.state, State::Chunks { .. });
        let announced = self.header().filter(|_| !in_chunks).map_or(0, |(len, _)| HEADER + len);
        let missing = announced.saturating_sub(self.buffer.len());
        // A long packet is read to its end and not beyond, so that its memory can be given back.
        let step = if missing > READ { missing.min(self.buffer.len().max(READ)) } else { READ };
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
            self.buffer = BytesMut::new();
        }
        // What is left of the block is used up first: a new block per read would be mostly empty.
        if self.buffer.capacity() - self.buffer.len() < step.min(READ / 4) {
            self.buffer.reserve(step);
        }
        Room::Buffer((&mut self.buffer).limit(step))
    }

    /// Takes note of `count` bytes that were read to where [`Inbox::room`] said.
    pub(super) fn received(&mut self, count: usize) {
        if let State::Piece { missing, more, sequence } = self.state {
            self.state = State::Piece { missing: missing - count, more, sequence };
        }
    }

    fn header(&self) -> Option<(usize, u8)> {
        let header = self.buffer.get(..HEADER)?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        Some((len as usize, header[3]))
    }

    fn check(&self, len: usize) -> Result<()> {
        if len > self.max_packet {
            bail!(Protocol, "a packet of {len} bytes is announced, at most {} are expected", self.max_packet);
        }
        Ok(())
    }

    fn whole(&mut self, len: usize) -> Option<Bytes> {
        if self.buffer.len() < HEADER + len {
            return None;
        }
        self.buffer.advance(HEADER);
        let payload = self.buffer.split_to(len).freeze();
        if len > KEEP {
            let rest = std::mem::take(&mut self.buffer);
            self.buffer.extend_from_slice(&rest);
        }
        Some(payload)
    }

    fn enter_piece(&mut self, len: usize, sequence: u8) {
        self.buffer.advance(HEADER);
        self.state =
            State::Piece { missing: len, more: len == FULL_PIECE, sequence: sequence.wrapping_add(1) };
    }
}

/// A payload to send: its parts with the pieces' headers between them.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    slices: Vec<Slice<'a>>,
    /// The sequence number that the next packet has.
    pub(super) next_sequence: u8,
}

#[derive(Debug)]
enum Slice<'a> {
    Header([u8; HEADER]),
    Part(&'a [u8]),
}

impl<'a> Pieces<'a> {
    /// Cuts the payload, which is `parts` one after the other.
    pub(super) fn cut(parts: &[&'a [u8]], first_sequence: u8) -> Self {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut pieces = Self { slices: Vec::with_capacity(parts.len() + 2), next_sequence: first_sequence };
        let mut piece_left = pieces.open(total);
        let mut left = total;
        for mut part in parts.iter().copied() {
            while !part.is_empty() {
                let (head, tail) = part.split_at(piece_left.min(part.len()));
                pieces.slices.push(Slice::Part(head));
                part = tail;
                left -= head.len();
                piece_left -= head.len();
                // Only a full piece ends here before the payload does; after it another one must follow, be it empty.
                if piece_left == 0 && (left > 0 || total.is_multiple_of(FULL_PIECE)) {
                    piece_left = pieces.open(left);
                }
            }
        }
        pieces
    }

    /// Begins the piece that carries the next of `left` bytes; says how many it takes.
    fn open(&mut self, left: usize) -> usize {
        let len = left.min(FULL_PIECE);
        let [low, middle, high, ..] = len.to_le_bytes();
        self.slices.push(Slice::Header([low, middle, high, self.next_sequence]));
        self.next_sequence = self.next_sequence.wrapping_add(1);
        len
    }

    /// Headers and parts in the order of the wire.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.slices.iter().map(|slice| match slice {
            Slice::Header(header) => header.as_slice(),
            Slice::Part(part) => part,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    const MAX: usize = 1 << 30;

    /// What the other side would see.
    fn wire(payload: &[u8]) -> Vec<u8> {
        Pieces::cut(&[payload], 0).slices().collect::<Vec<_>>().concat()
    }

    fn pour(inbox: &mut Inbox, mut bytes: &[u8], at_once: usize) -> Vec<Bytes> {
        let mut payloads = Vec::new();
        loop {
            while let Some((_, payload)) = inbox.next().unwrap() {
                payloads.push(payload);
            }
            if bytes.is_empty() {
                return payloads;
            }
            let count = match inbox.room() {
                Room::Buffer(mut room) => put(&mut room, bytes, at_once),
                Room::Joined(mut room) => put(&mut room, bytes, at_once),
            };
            inbox.received(count);
            bytes = &bytes[count..];
        }
    }

    fn put(room: &mut impl BufMut, bytes: &[u8], at_once: usize) -> usize {
        let count = bytes.len().min(at_once).min(room.remaining_mut());
        room.put_slice(&bytes[..count]);
        count
    }

    #[test]
    fn packets_are_found_however_the_bytes_arrive() {
        let stream = [wire(b"one"), wire(b""), wire(&vec![7; 300_000]), wire(b"four")].concat();
        for at_once in [1, 3, 4, 5, 65_536, usize::MAX] {
            let payloads = pour(&mut Inbox::new(MAX), &stream, at_once);
            let lengths: Vec<_> = payloads.iter().map(Bytes::len).collect();
            assert_eq!(lengths, [3, 0, 300_000, 4], "{at_once} at once");
        }
    }

    #[test]
    fn pieces_are_cut_and_joined_at_sixteen_mebibytes() {
        for len in [FULL_PIECE - 1, FULL_PIECE, FULL_PIECE + 1, 2 * FULL_PIECE, 2 * FULL_PIECE + 5] {
            let payload: Vec<u8> = (0..251).cycle().take(len).collect();
            let stream = [wire(&payload), wire(b"after")].concat();
            let pieces = len / FULL_PIECE + 1;
            assert_eq!(stream.len(), len + pieces * HEADER + HEADER + 5);
            let payloads = pour(&mut Inbox::new(MAX), &stream, 1 << 20);
            assert!(payloads[0] == payload, "{len}");
            assert_eq!(payloads[1].as_ref(), b"after");
        }
    }

    #[test]
    fn parts_are_joined_on_the_wire_as_if_they_were_one() {
        let big = vec![1; FULL_PIECE];
        let parts: &[&[u8]] = &[b"", b"ab", &big, b"", b"cd"];
        let cut: Vec<u8> = Pieces::cut(parts, 0).slices().collect::<Vec<_>>().concat();
        assert!(cut == wire(&parts.concat()));
        assert_eq!(Pieces::cut(parts, 0).next_sequence, 2);
    }

    #[test]
    fn memory_never_runs_far_ahead_of_what_has_arrived() {
        let mut inbox = Inbox::new(MAX);
        assert!(pour(&mut inbox, b"\xFE\xFF\xFF\x00", 4).is_empty());
        let _ = inbox.room();
        assert!(inbox.buffer.capacity() <= 2 * READ, "{}", inbox.buffer.capacity());
        let mut inbox = Inbox::new(MAX);
        assert!(pour(&mut inbox, b"\xFF\xFF\xFF\x00", 4).is_empty());
        let _ = inbox.room();
        assert!(inbox.joined.capacity() <= 2 * READ, "{}", inbox.joined.capacity());
    }

    #[test]
    fn a_long_packet_leaves_no_memory_behind() {
        let mut inbox = Inbox::new(MAX);
        let payloads = pour(&mut inbox, &[wire(&vec![0; 8 << 20]), wire(b"next")].concat(), usize::MAX);
        assert_eq!(payloads.len(), 2);
        drop(payloads);
        let _ = inbox.room();
        assert!(inbox.buffer.capacity() <= 2 * READ, "{}", inbox.buffer.capacity());
    }

    #[test]
    fn a_packet_beyond_the_limit_is_refused_at_its_header() {
        let mut inbox = Inbox::new(1000);
        inbox.buffer.extend_from_slice(b"\xE9\x03\x00\x00");
        assert_eq!(inbox.next().unwrap_err().code(), Code::Protocol);
        let mut inbox = Inbox::new(FULL_PIECE + 10);
        inbox.buffer.extend_from_slice(&wire(&vec![0; FULL_PIECE + 11]));
        assert_eq!(inbox.next().unwrap_err().code(), Code::Protocol);
    }

    #[test]
    fn a_piece_out_of_order_is_refused() {
        let mut stream = wire(&vec![0; FULL_PIECE + 1]);
        stream[HEADER + FULL_PIECE + 3] = 9;
        let mut inbox = Inbox::new(MAX);
        inbox.buffer.extend_from_slice(&stream);
        assert_eq!(inbox.next().unwrap_err().code(), Code::Protocol);
    }
}
