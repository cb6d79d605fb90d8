//! Runs the workload on the source.

use std::future::Future;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use binbridge::error::{Code, Error};
use binbridge::wire::{Connection, Endpoint, Redacted, Secret, SslMode, Timeouts, Tls};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::shapes::Writer;
use crate::support::{APP, Server};
use crate::sysbench::{Generator, SCHEMA, TABLES, fill};
use crate::workload::{Keys, Paced, Shape};

/// Sessions that write at once where speed is all that counts.
const CONNECTIONS: u64 = 8;

/// Fills the tables.
pub(crate) fn fill_tables(source: &Server, rows: u64) {
    let endpoint = endpoint(source);
    each(1..=TABLES, move |table| {
        let endpoint = endpoint.clone();
        async move {
            let mut connection = Connection::connect(&endpoint).await.expect("the source takes sessions");
            for statement in fill(table, rows) {
                connection.execute(&statement).await.expect("the source takes rows");
            }
        }
    });
}

/// Commits `count` transactions as fast as it goes.
pub(crate) fn run(source: &Server, rows: u64, shape: Shape, count: u64) {
    let endpoint = endpoint(source);
    let _altering = (shape == Shape::WithDdl).then(|| Altering::start(source));
    each(0..CONNECTIONS, move |session| {
        let endpoint = endpoint.clone();
        let commits = count / CONNECTIONS + u64::from(session < count % CONNECTIONS);
        async move {
            let mut connection = Connection::connect(&endpoint).await.expect("the source takes sessions");
            let mut writer = Writer::new(shape, session, CONNECTIONS, rows);
            for _ in 0..commits {
                commit(&mut connection, &writer.transaction()).await;
            }
        }
    });
}

/// A session that alters a table every second, until dropped.
struct Altering {
    over: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Altering {
    fn start(source: &Server) -> Self {
        let mut session = source.session_as(APP).expect("the source takes sessions");
        let (over, is_over) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut added = false;
            while is_over.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let change = if added { "DROP COLUMN extra" } else { "ADD COLUMN extra INT NULL" };
                added = !added;
                session.run(&format!("ALTER TABLE {SCHEMA}.sbtest1 {change}")).expect("the table changes");
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Altering {
    fn drop(&mut self) {
        let _ = self.over.send(());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the session that alters a table has failed");
        }
    }
}

/// Commits transactions at a rate, each with a marker of its own, for `duration`. Returns how many.
pub(crate) fn run_paced(source: &Server, rows: u64, paced: &Paced, duration: Duration) -> u64 {
    let endpoint = endpoint(source);
    let period = Duration::from_secs(1) / paced.rate;
    let count = u64::from(paced.rate) * duration.as_secs();
    let connections = u64::from(paced.connections);
    each(0..connections, move |session| {
        let endpoint = endpoint.clone();
        async move {
            let mut connection = Connection::connect(&endpoint).await.expect("the source takes sessions");
            let mut generator = Generator::new(2000 + session, rows, Keys::Hot);
            let begin = Instant::now();
            for number in (session..count).step_by(usize::try_from(connections).unwrap_or(1)) {
                sleep_until(begin + period * u32::try_from(number).expect("a small number")).await;
                commit(&mut connection, &generator.transaction(Some(number))).await;
            }
        }
    });
    count
}

/// Commits as fast as it goes for `duration`. Returns how many.
pub(crate) fn run_for(source: &Server, rows: u64, duration: Duration) -> u64 {
    let endpoint = endpoint(source);
    let counts = each(0..CONNECTIONS, move |session| {
        let endpoint = endpoint.clone();
        async move {
            let mut connection = Connection::connect(&endpoint).await.expect("the source takes sessions");
            let mut generator = Generator::new(3000 + session, rows, Keys::Hot);
            let until = Instant::now() + duration;
            let mut count: u64 = 0;
            while Instant::now() < until {
                commit(&mut connection, &generator.transaction(None)).await;
                count += 1;
            }
            count
        }
    });
    counts.iter().sum()
}

async fn commit(connection: &mut Connection, transaction: &str) {
    loop {
        match connection.execute(transaction).await {
            Ok(_) => return,
            // A deadlock rolls all of it back; like sysbench, again.
            Err(error) if is_deadlock(&error) => {}
            Err(error) => panic!("the source refuses the workload: {error}"),
        }
    }
}

fn is_deadlock(error: &Error) -> bool {
    error.code() == Code::LockConflict
}

fn endpoint(source: &Server) -> Endpoint {
    Endpoint {
        host: "127.0.0.1".to_owned(),
        port: source.port(),
        user: APP.user.to_owned(),
        secret: Secret::Text(Redacted::new(APP.password)),
        tls: Tls { mode: SslMode::Preferred, ..Tls::default() },
        timeouts: Timeouts::default(),
        program: "rig",
    }
}

fn each<N, F, T>(numbers: impl Iterator<Item = N>, work: impl Fn(N) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in numbers {
            tasks.spawn(work(number));
        }
        tasks.join_all().await
    })
}
