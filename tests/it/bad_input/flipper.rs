//! A network that changes bytes, where the proxy of the test support only delays and cuts.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::Direction;

/// What is done once the pattern is seen.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Byte `at`, counted from the pattern's beginning, becomes `value` of itself. It must be in the same chunk.
    Byte { at: isize, value: fn(u8) -> u8 },
    /// Everything that the server says on this connection from then on is nonsense.
    Garble,
}

#[derive(Clone, Debug)]
struct Armed {
    direction: Direction,
    pattern: Vec<u8>,
    change: Change,
}

/// Forwards to one server.
pub(super) struct Flipper {
    pub(super) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    armed: Mutex<Option<Armed>>,
    changed: AtomicU64,
}

impl Flipper {
    pub(super) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let garbled = Arc::new(AtomicU64::new(0));
                for direction in [Direction::ToServer, Direction::ToClient] {
                    let (from, to) = match direction {
                        Direction::ToServer => (client.try_clone().unwrap(), server.try_clone().unwrap()),
                        Direction::ToClient => (server.try_clone().unwrap(), client.try_clone().unwrap()),
                    };
                    let (shared, garbled) = (Arc::clone(&its), Arc::clone(&garbled));
                    std::thread::spawn(move || forward(from, to, direction, &shared, &garbled));
                }
            }
        });
        Self { port, shared }
    }

    /// Changes what is seen next, once.
    pub(super) fn arm(&self, direction: Direction, pattern: &[u8], change: Change) {
        *self.shared.armed.lock().unwrap() = Some(Armed { direction, pattern: pattern.to_vec(), change });
    }

    /// Changes made so far.
    pub(super) fn changed(&self) -> u64 {
        self.shared.changed.load(Ordering::SeqCst)
    }
}

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    direction: Direction,
    shared: &Shared,
    garbled: &AtomicU64,
) {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        let chunk = &mut buffer[..count];
        shared.look(direction, chunk, garbled);
        if garbled.load(Ordering::SeqCst) > 0 && direction == Direction::ToClient {
            for byte in chunk.iter_mut() {
                *byte ^= 0xA5;
            }
        }
        if count == 0 || to.write_all(chunk).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
}

impl Shared {
    fn look(&self, direction: Direction, chunk: &mut [u8], garbled: &AtomicU64) {
        let mut slot = self.armed.lock().unwrap();
        let Some(armed) = slot.as_ref().filter(|armed| armed.direction == direction) else { return };
        let Some(found) = chunk.windows(armed.pattern.len()).position(|window| window == armed.pattern)
        else {
            return;
        };
        match armed.change {
            Change::Byte { at, value } => {
                let Some(byte) = found.checked_add_signed(at).and_then(|at| chunk.get_mut(at)) else {
                    return;
                };
                *byte = value(*byte);
            }
            Change::Garble => {
                garbled.fetch_add(1, Ordering::SeqCst);
            }
        }
        *slot = None;
        self.changed.fetch_add(1, Ordering::SeqCst);
    }
}
