//! Where protocol frames begin and end in a stream of chunks: MySQL packets, or TLS records once a connection has
//! switched to TLS.

/// A frame that begins in the chunk at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// Where in the chunk it begins; 0 if a part of its header was in the chunk before.
    pub(super) start: usize,
    /// Its length without header.
    pub(super) size: usize,
    /// Where it ends, if in this chunk.
    pub(super) end: Option<usize>,
}

/// What one chunk holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Where the frame that began in an earlier chunk ends.
    pub(super) carried_end: Option<usize>,
    pub(super) begun: Vec<Begun>,
    /// Whether the client's request for TLS is in this chunk: the next frame is a TLS record.
    pub(super) tls_requested: bool,
}

/// Reads one direction of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameReader {
    header: Vec<u8>,
    /// Bytes of the frame at hand that are still to come.
    left: usize,
    tls: bool,
    frames: u64,
}

const PACKET_HEADER: usize = 4;
const RECORD_HEADER: usize = 5;
/// The payload of `SSLRequest` (protocol 4.1): capabilities, packet size, character set, filler.
const TLS_REQUEST: usize = 32;

impl FrameReader {
    /// Frames that have begun so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Takes in `chunk`. `tls`: the client has asked for TLS, so from the next frame on these are records.
    pub(super) fn feed(&mut self, chunk: &[u8], tls: bool) -> Marks {
        let mut marks = Marks::default();
        let mut at = 0;
        if self.left > 0 {
            at = self.left.min(chunk.len());
            self.left -= at;
            marks.carried_end = (self.left == 0).then_some(at);
        }
        while at < chunk.len() {
            // In the middle of a header nothing switches.
            self.tls |= tls && self.header.is_empty();
            let start = if self.header.is_empty() { at } else { 0 };
            let wanted = if self.tls { RECORD_HEADER } else { PACKET_HEADER };
            let taken = (wanted - self.header.len()).min(chunk.len() - at);
            self.header.extend_from_slice(&chunk[at..at + taken]);
            at += taken;
            if self.header.len() < wanted {
                break;
            }
            let size = self.size();
            let sequence = self.header[3];
            self.header.clear();
            let here = size.min(chunk.len() - at);
            at += here;
            self.left = size - here;
            marks.begun.push(Begun { start, size, end: (self.left == 0).then_some(at) });
            if !self.tls && self.frames == 0 && sequence == 1 && size == TLS_REQUEST {
                marks.tls_requested = true;
                self.tls = true;
            }
            self.frames += 1;
        }
        marks
    }

    fn size(&self) -> usize {
        match *self.header.as_slice() {
            [_, _, _, high, low] => usize::from(high) << 8 | usize::from(low),
            [low, middle, high, _] => usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16,
            _ => 0,
        }
    }
}
