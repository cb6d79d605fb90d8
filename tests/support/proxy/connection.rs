//! One proxied connection: for each direction a delay line, that is a thread that reads and one that writes later.
//!
//! Reading goes on while the writer waits, so a delay costs time but no bandwidth.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Shared;
use super::frames::FrameReader;
use super::fuse::{Action, Direction};

const CHUNK: usize = 64 * 1024;
/// What a direction may have on the way; then reading waits, and the sender feels it.
const LIMIT: usize = 64 * 1024 * 1024;

pub(super) struct Connection {
    pub(super) id: u64,
    client: TcpStream,
    server: TcpStream,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: [Line; 2],
    /// Both sockets are closed, nothing goes on.
    closed: bool,
    /// The client's socket is closed, the server's is not.
    severed: bool,
    tls: bool,
}

#[derive(Default)]
struct Line {
    queue: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    ended: bool,
    done: bool,
    held: bool,
}

fn index(direction: Direction) -> usize {
    usize::from(direction == Direction::ToClient)
}

impl Connection {
    pub(super) fn new(id: u64, client: TcpStream, server: TcpStream) -> Arc<Self> {
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let state = Mutex::new(State::default());
        Arc::new(Self { id, client, server, state, changed: Condvar::new() })
    }

    /// Starts forwarding.
    pub(super) fn run(self: Arc<Self>, shared: &Arc<Shared>) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let (own, its) = (Arc::clone(&self), Arc::clone(shared));
            std::thread::spawn(move || own.read(&its, direction));
            let (own, its) = (Arc::clone(&self), Arc::clone(shared));
            std::thread::spawn(move || own.write(&its, direction));
        }
    }

    /// Closes both ends; what is on the way is lost. `note` is called if there is something to close, before anyone
    /// can see that it is.
    pub(super) fn cut(&self, note: impl FnOnce()) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.closed, true) {
            note();
        }
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
        self.changed.notify_all();
    }

    /// Closes the client's end; the server's stays open and still gets what is on the way to it.
    pub(super) fn sever_client(&self) {
        self.state().severed = true;
        let _ = self.client.shutdown(Shutdown::Both);
        self.changed.notify_all();
    }

    pub(super) fn set_held(&self, direction: Direction, held: bool) {
        self.state().lines[index(direction)].held = held;
        self.changed.notify_all();
    }

    pub(super) fn is_severed(&self) -> bool {
        self.state().severed
    }

    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.closed || state.lines.iter().all(|line| line.done)
    }

    /// Bytes that were read and not yet written on.
    pub(super) fn waiting(&self, direction: Direction) -> usize {
        self.state().lines[index(direction)].bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::ToServer => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        }
    }

    fn read(&self, shared: &Shared, direction: Direction) {
        let mut from = self.ends(direction).0;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            let due = Instant::now() + shared.delay();
            let mut state = self.state();
            while state.lines[index(direction)].bytes > LIMIT && !state.closed {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let line = &mut state.lines[index(direction)];
            if count == 0 {
                line.ended = true;
                // The end takes its time too.
                line.queue.push_back((due, Vec::new()));
            } else {
                line.bytes += count;
                line.queue.push_back((due, buffer[..count].to_vec()));
            }
            self.changed.notify_all();
            if count == 0 || state.closed {
                return;
            }
        }
    }

    fn write(&self, shared: &Shared, direction: Direction) {
        let mut frames = FrameReader::default();
        while let Some(chunk) = self.next(direction) {
            if !self.pass(shared, direction, &mut frames, &chunk) {
                break;
            }
        }
        // A severed client's silence must not reach the server as an end.
        let severed = self.state().severed;
        if !severed {
            let _ = self.ends(direction).1.shutdown(Shutdown::Write);
        }
        self.state().lines[index(direction)].done = !severed;
    }

    /// The next bytes whose time has come; None at the end of the stream or of the connection.
    fn next(&self, direction: Direction) -> Option<Vec<u8>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            let line = &mut state.lines[index(direction)];
            let wait = match line.queue.front() {
                _ if line.held => None,
                Some((due, _)) => Some(due.saturating_duration_since(Instant::now())),
                None => None,
            };
            state = match wait {
                Some(wait) if wait.is_zero() => {
                    let (_, chunk) = line.queue.pop_front()?;
                    line.bytes -= chunk.len();
                    self.changed.notify_all();
                    return (!chunk.is_empty()).then_some(chunk);
                }
                Some(wait) => {
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Writes a chunk on, acting where a fuse says so. False when this direction is over.
    fn pass(&self, shared: &Shared, direction: Direction, frames: &mut FrameReader, chunk: &[u8]) -> bool {
        let mut rest = chunk;
        while !rest.is_empty() {
            let (count, action) = self.look(shared, direction, frames, rest);
            let (now, later) = rest.split_at(count);
            rest = later;
            let mut to = self.ends(direction).1;
            if to.write_all(now).is_err() && !self.state().severed {
                self.cut(|| ());
                return false;
            }
            shared.counters(direction).0.fetch_add(now.len() as u64, Ordering::Relaxed);
            match action {
                None => {}
                Some(Action::Cut) => {
                    shared.fuse_fired();
                    shared.cut(self);
                    return false;
                }
                Some(Action::SeverClient) => {
                    shared.fuse_fired();
                    self.sever_client();
                }
                Some(Action::Hold(held)) => {
                    self.set_held(held, true);
                    self.put_back(direction, rest);
                    shared.fuse_fired();
                    return true;
                }
            }
        }
        true
    }

    /// How much of `chunk` to write, and what to do then. What was looked at and not written is looked at again.
    fn look(
        &self,
        shared: &Shared,
        direction: Direction,
        frames: &mut FrameReader,
        chunk: &[u8],
    ) -> (usize, Option<Action>) {
        let tls = self.state().tls;
        let mut fuses = shared.fuses();
        let before = (frames.clone(), fuses.clone());
        let marks = frames.feed(chunk, tls);
        let fired = fuses
            .iter_mut()
            .enumerate()
            .filter(|(_, fuse)| fuse.direction == direction)
            .filter_map(|(n, fuse)| Some((fuse.look(self.id, chunk, &marks)?, n)))
            .min();
        let (count, action) = match fired {
            None => (chunk.len(), None),
            Some((count, n)) => {
                // The others have seen the chunk up to here only.
                (*frames, *fuses) = before;
                let action = fuses.remove(n).action;
                let seen = &chunk[..count];
                let marks = frames.feed(seen, tls);
                for fuse in fuses.iter_mut().filter(|fuse| fuse.direction == direction) {
                    fuse.look(self.id, seen, &marks);
                }
                (count, Some(action))
            }
        };
        drop(fuses);
        if marks.tls_requested {
            self.state().tls = true;
        }
        shared.counters(direction).1.store(frames.frames(), Ordering::Relaxed);
        (count, action)
    }

    /// What is left of a chunk waits in the queue like all that comes after it.
    fn put_back(&self, direction: Direction, rest: &[u8]) {
        if !rest.is_empty() {
            let mut state = self.state();
            let line = &mut state.lines[index(direction)];
            line.bytes += rest.len();
            line.queue.push_front((Instant::now(), rest.to_vec()));
        }
    }
}
