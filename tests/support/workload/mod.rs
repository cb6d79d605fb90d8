//! A generated write load: several clients, each with its own seed, until it is told to stop.
//!
//! What each client says is the same for the same seed; how their transactions interleave is the server's affair.
//! Statements may fail (a duplicate, a deadlock, a column that is gone): what the server committed is what counts.

mod definition;
mod rows;
mod tables;
mod xa;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::rds::RdsLike;
use super::session::Session;
use definition::Definitions;
use rows::Rows;
use xa::Distributed;

/// The schemas that the workload writes to.
pub const SCHEMAS: [&str; 3] = ["Shop", "支店", "side"];

/// Who writes: each is one connection.
trait Author: Send {
    /// The next thing to do, as statements parted by `;`.
    fn next(&mut self) -> String;

    /// What is needed at the beginning of each connection.
    fn greeting(&self) -> String {
        String::new()
    }

    /// Statements that leave nothing open.
    fn farewell(&mut self) -> String {
        "ROLLBACK".to_owned()
    }

    /// The rest between two of its transactions.
    fn pause(&self) -> Duration;
}

/// What the clients hear and say.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    done: AtomicU64,
    /// How many times the rest between transactions is lengthened.
    slowed: AtomicU32,
}

/// A running workload.
pub struct Workload {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Workload {
    /// Makes the tables, then starts the clients.
    pub fn start(source: &Arc<RdsLike>, seed: u64) -> Self {
        source.sql(tables::CREATE);
        let authors: Vec<Box<dyn Author>> = vec![
            Box::new(Rows::new(1, seed)),
            Box::new(Rows::new(2, seed)),
            Box::new(Rows::new(3, seed)),
            Box::new(Definitions::new(seed)),
            Box::new(Distributed::new(seed)),
        ];
        let shared = Arc::<Shared>::default();
        let clients = authors.into_iter().map(|author| {
            let (source, shared) = (Arc::clone(source), Arc::clone(&shared));
            std::thread::spawn(move || write(author, &source, &shared))
        });
        let clients = clients.collect();
        Self { shared, clients }
    }

    /// What the clients have done so far.
    pub fn transactions(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// From now on the clients rest so many times longer between two transactions; 0 as at the start.
    pub fn slow_down(&self, times: u32) {
        self.shared.slowed.store(times, Ordering::Relaxed);
    }

    /// Tells the clients to end, and does not wait for them.
    pub fn abandon(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Lets each client finish what it is at; nothing is open or prepared afterwards.
    pub fn stop(self, source: &RdsLike) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let patience = Instant::now() + Duration::from_secs(30);
        for client in self.clients {
            while !client.is_finished() && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(20));
            }
            // One whose server went away may wait for an answer that will not come; it writes nothing any more.
            if client.is_finished() {
                client.join().expect("a client of the workload");
            }
        }
        xa::resolve_all(source);
    }
}

fn write(mut author: Box<dyn Author>, source: &RdsLike, shared: &Shared) {
    let mut session: Option<Session> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let Some(open) = session.as_mut() else {
            // The source may be down for a while.
            session = source.session().ok();
            if let Some(open) = session.as_mut() {
                let _ = open.run(&format!(
                    "SET innodb_lock_wait_timeout = 1, lock_wait_timeout = 1; {}",
                    author.greeting()
                ));
            } else {
                std::thread::sleep(Duration::from_millis(50));
            }
            continue;
        };
        let failure = open.run(&author.next()).err();
        // What failed half way is ended; a client that is gone is replaced.
        let failure = failure.filter(|error| {
            is_gone(error) || open.run(&author.farewell()).is_err_and(|error| is_gone(&error))
        });
        if failure.is_some() {
            session = None;
        }
        shared.done.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(author.pause() * (1 + shared.slowed.load(Ordering::Relaxed)));
    }
    if let Some(open) = session.as_mut() {
        let _ = open.run(&author.farewell());
    }
}

/// The server's own errors are below 2000 or above 2999; the client's say that it lost the server.
fn is_gone(error: &str) -> bool {
    !error.starts_with("ERROR ") || error.starts_with("ERROR 2") || error.starts_with("ERROR 4031")
}
