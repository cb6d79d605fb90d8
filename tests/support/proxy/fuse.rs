//! What makes a proxy act: something seen in the stream, once.

use std::collections::HashMap;

use super::frames::Marks;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What is looked for, counted from when it was armed, over all connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// The n-th (from 1) occurrence of these bytes. TLS hides them.
    Pattern(Vec<u8>, u64),
    /// This many bytes.
    Bytes(u64),
    /// The n-th (from 1) frame of at least so many bytes without its header: a MySQL packet, or a TLS record on a
    /// connection that uses TLS (the server sends each answer as a record of its own).
    Frame {
        /// The least size that counts.
        at_least: usize,
        /// Which one, from 1.
        nth: u64,
    },
}

/// On which side of the match the proxy acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Nothing of the match is forwarded (but for what an earlier read had of it).
    Before,
    /// The whole match is forwarded first.
    After,
}

/// What the proxy does to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Closes both sockets; what is on the way in the proxy is lost.
    Cut,
    /// Closes the client's socket only: see [`super::Proxy::sever_clients`].
    SeverClient,
    /// Holds a direction of this connection.
    Hold(Direction),
}

#[derive(Clone, Debug)]
pub(super) struct Fuse {
    pub(super) direction: Direction,
    pub(super) action: Action,
    what: Match,
    edge: Edge,
    seen: u64,
    /// For each connection: the last bytes, in which a pattern may have begun.
    tails: HashMap<u64, Vec<u8>>,
    /// The connection on which the frame looked for has begun; it ends in a later chunk.
    awaits_end: Option<u64>,
}

impl Fuse {
    pub(super) fn new(direction: Direction, what: Match, edge: Edge, action: Action) -> Self {
        Self { direction, action, what, edge, seen: 0, tails: HashMap::new(), awaits_end: None }
    }

    /// Looks at a chunk of a connection; returns how many bytes of it go through before the action, if it is time.
    pub(super) fn look(&mut self, connection: u64, chunk: &[u8], marks: &Marks) -> Option<usize> {
        match self.what.clone() {
            Match::Bytes(count) => {
                let missing = usize::try_from(count - self.seen).unwrap_or(usize::MAX);
                self.seen += chunk.len() as u64;
                (chunk.len() >= missing).then_some(missing)
            }
            Match::Pattern(pattern, nth) => self.look_for(&pattern, nth, connection, chunk),
            Match::Frame { at_least, nth } => self.look_at_frames(at_least, nth, connection, marks),
        }
    }

    fn look_for(&mut self, pattern: &[u8], nth: u64, connection: u64, chunk: &[u8]) -> Option<usize> {
        let tail = self.tails.entry(connection).or_default();
        let earlier = tail.len();
        tail.extend_from_slice(chunk);
        // The tail is shorter than the pattern, so that each match ends in this chunk.
        let starts = tail.windows(pattern.len()).enumerate().filter(|(_, window)| *window == pattern);
        for (start, _) in starts {
            self.seen += 1;
            if self.seen == nth {
                let at = if self.edge == Edge::Before { start } else { start + pattern.len() };
                return Some(at.saturating_sub(earlier));
            }
        }
        let kept = tail.len().min(pattern.len() - 1);
        tail.drain(..tail.len() - kept);
        None
    }

    fn look_at_frames(&mut self, at_least: usize, nth: u64, connection: u64, marks: &Marks) -> Option<usize> {
        if self.awaits_end == Some(connection) {
            return marks.carried_end;
        }
        for frame in marks.begun.iter().filter(|frame| frame.size >= at_least) {
            self.seen += 1;
            if self.seen == nth {
                return match (self.edge, frame.end) {
                    (Edge::Before, _) => Some(frame.start),
                    (Edge::After, Some(end)) => Some(end),
                    (Edge::After, None) => {
                        self.awaits_end = Some(connection);
                        None
                    }
                };
            }
        }
        None
    }
}
