//! A TCP proxy on loopback that stands in for the network between two clouds: it delays, holds, cuts and refuses.
//!
//! Plain MySQL traffic can be cut at a byte pattern such as COMMIT; under TLS at the n-th record of some size.

mod connection;
mod frames;
mod fuse;

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use fuse::{Action, Direction, Edge, Match};

use super::server::free_port;
use super::wait::wait_until;
use connection::Connection;
use fuse::Fuse;

/// A proxy to one server; all its connections are cut when it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    port: u16,
    target: u16,
    control: Mutex<Control>,
    changed: Condvar,
    fuses: Mutex<Vec<Fuse>>,
    fired: AtomicU64,
    cuts: AtomicU64,
    /// For each direction: bytes forwarded, and frames of the latest connection.
    counters: [(AtomicU64, AtomicU64); 2],
}

#[derive(Default)]
struct Control {
    delay: Duration,
    /// For connections to come, as for those that are there.
    held: [bool; 2],
    connections: Vec<Arc<Connection>>,
    accepted: u64,
    refusing: bool,
    /// Whether the listening socket is open.
    listening: bool,
    stopping: bool,
}

impl Proxy {
    /// Starts a proxy to 127.0.0.1:`target`, without delay.
    pub fn start(target: u16) -> Self {
        let (port, listener) = listen_somewhere();
        let shared = Arc::new(Shared {
            port,
            target,
            control: Mutex::new(Control { listening: true, ..Control::default() }),
            changed: Condvar::new(),
            fuses: Mutex::new(Vec::new()),
            fired: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            counters: Default::default(),
        });
        let its = Arc::clone(&shared);
        let acceptor = std::thread::Builder::new().name("proxy".into()).spawn(move || its.accept(listener));
        Self { port, shared, acceptor: Some(acceptor.expect("a thread for the proxy")) }
    }

    /// Where clients connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Delays what is read from now on, each way.
    pub fn set_delay(&self, each_way: Duration) {
        self.shared.control().delay = each_way;
    }

    /// Cuts all connections: both sockets are closed, what is on the way in the proxy is lost.
    pub fn cut_now(&self) {
        for connection in self.shared.connections() {
            self.shared.cut(&connection);
        }
    }

    /// Closes the clients' sockets and keeps the servers' open, as when a firewall forgets a connection: the server
    /// still gets what is on the way to it (held bytes when [`Proxy::release_severed`] says so) and knows of nothing.
    pub fn sever_clients(&self) {
        for connection in self.shared.connections() {
            connection.sever_client();
        }
    }

    /// Lets the servers of severed connections have what was held.
    pub fn release_severed(&self) {
        for connection in self.shared.connections().iter().filter(|connection| connection.is_severed()) {
            connection.set_held(Direction::ToServer, false);
            connection.set_held(Direction::ToClient, false);
        }
    }

    /// Closes the servers' sockets of severed connections.
    pub fn close_severed(&self) {
        for connection in self.shared.connections().iter().filter(|connection| connection.is_severed()) {
            connection.cut(|| ());
        }
    }

    /// Forwards nothing more in `direction`, on connections to come too; bytes queue up in the proxy.
    pub fn hold(&self, direction: Direction) {
        self.set_held(direction, true);
    }

    /// Ends [`Proxy::hold`], and a hold by a fuse, except for severed connections.
    pub fn release(&self, direction: Direction) {
        self.set_held(direction, false);
    }

    /// Bytes of all connections that are in the proxy on their way in `direction`.
    pub fn waiting(&self, direction: Direction) -> usize {
        self.shared.connections().iter().map(|connection| connection.waiting(direction)).sum()
    }

    /// Cuts the connection on which the `nth` (from 1) occurrence of `pattern` from now on passes in `direction`.
    pub fn cut_when(&self, direction: Direction, pattern: &[u8], nth: u64, edge: Edge) {
        self.arm(direction, Match::Pattern(pattern.to_vec(), nth), edge, Action::Cut);
    }

    /// Does `action` once, to the connection on which `what` is seen.
    pub fn arm(&self, direction: Direction, what: Match, edge: Edge, action: Action) {
        assert!(
            !matches!(&what, Match::Pattern(pattern, _) if pattern.is_empty()),
            "an empty pattern is everywhere"
        );
        self.shared.fuses().push(Fuse::new(direction, what, edge, action));
    }

    /// Forgets what was armed and has not been seen.
    pub fn disarm(&self) {
        self.shared.fuses().clear();
    }

    /// How many of the things armed have been seen.
    pub fn fired(&self) -> u64 {
        self.shared.fired.load(Ordering::SeqCst)
    }

    /// Waits until `count` of the things armed have been seen.
    #[track_caller]
    pub fn wait_fired(&self, count: u64, limit: Duration) {
        wait_until(&format!("{count} fuses fire"), limit, || self.fired() >= count);
    }

    /// Closes the listening socket (clients get ECONNREFUSED) or opens it again; connections stay.
    pub fn refuse(&self, refusing: bool) {
        let mut control = self.shared.control();
        control.refusing = refusing;
        self.shared.changed.notify_all();
        if refusing && control.listening {
            // The acceptor sits in accept().
            let _ = TcpStream::connect(("127.0.0.1", self.port));
        }
        while control.listening == refusing {
            control = self.shared.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.control().accepted
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> usize {
        self.shared.connections().len()
    }

    /// Connections cut so far, at once or by a fuse.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Bytes forwarded in `direction`, over all connections.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.shared.counters(direction).0.load(Ordering::Relaxed)
    }

    /// Frames (packets, or TLS records) forwarded in `direction` on the connection that was last active.
    pub fn frames(&self, direction: Direction) -> u64 {
        self.shared.counters(direction).1.load(Ordering::Relaxed)
    }

    fn set_held(&self, direction: Direction, held: bool) {
        let mut control = self.shared.control();
        control.held[usize::from(direction == Direction::ToClient)] = held;
        for connection in control.connections.iter().filter(|connection| !connection.is_severed()) {
            connection.set_held(direction, held);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.control().stopping = true;
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for connection in self.shared.connections() {
            connection.cut(|| ());
        }
    }
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fuses(&self) -> MutexGuard<'_, Vec<Fuse>> {
        self.fuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delay(&self) -> Duration {
        self.control().delay
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        let mut control = self.control();
        control.connections.retain(|connection| !connection.is_over());
        control.connections.clone()
    }

    fn counters(&self, direction: Direction) -> &(AtomicU64, AtomicU64) {
        &self.counters[usize::from(direction == Direction::ToClient)]
    }

    fn cut(&self, connection: &Connection) {
        connection.cut(|| {
            self.cuts.fetch_add(1, Ordering::SeqCst);
        });
    }

    fn fuse_fired(&self) {
        self.fired.fetch_add(1, Ordering::SeqCst);
    }

    fn accept(self: Arc<Self>, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            let accepted = listener.as_ref().and_then(|listener| listener.accept().ok());
            let mut control = self.control();
            if control.stopping {
                return;
            }
            if control.refusing {
                drop((accepted, listener.take()));
                control.listening = false;
                self.changed.notify_all();
                while control.refusing && !control.stopping {
                    control = self.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
                }
                if control.stopping {
                    return;
                }
                let again = TcpListener::bind(("127.0.0.1", self.port));
                listener = Some(again.unwrap_or_else(|error| panic!("port {} again: {error}", self.port)));
                control.listening = true;
                self.changed.notify_all();
                continue;
            }
            drop(control);
            if let Some((client, _)) = accepted {
                self.connect(client);
            }
        }
    }

    /// A client whose server is down sees its connection closed at once.
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.target)) else { return };
        let mut control = self.control();
        control.accepted += 1;
        let connection = Connection::new(control.accepted, client, server);
        for direction in [Direction::ToServer, Direction::ToClient] {
            connection.set_held(direction, control.held[usize::from(direction == Direction::ToClient)]);
        }
        control.connections.retain(|connection| !connection.is_over());
        control.connections.push(Arc::clone(&connection));
        drop(control);
        connection.run(self);
    }
}

fn listen_somewhere() -> (u16, TcpListener) {
    loop {
        let port = free_port();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return (port, listener);
        }
    }
}
