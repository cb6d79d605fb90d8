//! MySQL's own replication: what binbridge is compared with, and what a read replica runs.

use std::time::{Duration, Instant};

use super::accounts::REPL;
use super::options::ServerOptions;
use super::server::{Coordinates, Server};

/// Where replication starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// At the first binlog that the source still has.
    Beginning,
    /// At these coordinates.
    At(Coordinates),
    /// Behind the transactions that the replica has (GTIDs on both ends).
    AutoPosition,
}

impl Start {
    /// `Beginning` resolved to coordinates of `source`.
    pub(super) fn of(&self, source: &Server) -> Self {
        let Self::Beginning = self else { return self.clone() };
        let logs = source.sql("SHOW BINARY LOGS");
        let first = logs.split(['\t', '\n']).next().unwrap_or_default().to_owned();
        Self::At(Coordinates { file: first, offset: 4 })
    }
}

/// How a native replica is run.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// The server itself.
    pub server: ServerOptions,
    /// `replica_parallel_workers`.
    pub workers: u32,
    /// `replica_preserve_commit_order`.
    pub preserve_commit_order: bool,
}

impl ReplicaOptions {
    /// A vanilla server with `workers` workers that keeps the source's commit order, as is MySQL's default. It leaves
    /// out the `mysql` schema, as both clouds' filters do.
    pub fn new(name: &str, workers: u32) -> Self {
        let server = ServerOptions::new(name).line("replicate_wild_ignore_table=mysql.%");
        Self { server, workers, preserve_commit_order: true }
    }
}

/// Starts a server that replicates natively from `source`.
pub fn native_replica(source: &Server, options: ReplicaOptions, start: &Start) -> Server {
    let order = if options.preserve_commit_order { "ON" } else { "OFF" };
    let server = options
        .server
        .line(&format!("replica_parallel_workers={}", options.workers))
        .line(&format!("replica_preserve_commit_order={order}"));
    let replica = Server::start(server);
    replicate(&replica, source.port(), &start.of(source));
    replica
}

/// Makes `replica` replicate from the server (or the proxy) on `port`, as `REPL` over TLS. `Start::Beginning` needs
/// the source's first binlog and is for [`native_replica`].
pub fn replicate(replica: &Server, port: u16, start: &Start) {
    let from = match start {
        Start::Beginning => panic!("the beginning is known to the source only"),
        Start::At(at) => {
            format!("SOURCE_AUTO_POSITION=0, SOURCE_LOG_FILE='{}', SOURCE_LOG_POS={}", at.file, at.offset)
        }
        Start::AutoPosition => "SOURCE_AUTO_POSITION=1".to_owned(),
    };
    replica.sql(&format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='{}', \
         SOURCE_PASSWORD='{}', SOURCE_SSL=1, SOURCE_SSL_CA='{}', SOURCE_CONNECT_RETRY=1, {from}; START REPLICA",
        REPL.user,
        REPL.password,
        replica.ca_path().display(),
    ));
}

/// Waits until `replica` has applied all that `source` had committed when this was called; panics with the
/// replica's error, or after `limit`.
pub fn wait_caught_up(replica: &Server, source: &Server, limit: Duration) {
    let end = source.coordinates();
    let start = Instant::now();
    loop {
        let reached = replica.sql(&format!("SELECT SOURCE_POS_WAIT('{}', {}, 1)", end.file, end.offset));
        // NULL: the applier does not run (yet). -1: the second is over.
        if reached.parse::<i64>().is_ok_and(|events| events >= 0) {
            return;
        }
        let status = replica.replica_status();
        let errors =
            ["Last_SQL_Error", "Last_IO_Error"].map(|name| status.get(name).cloned().unwrap_or_default());
        let [applier, receiver] = &errors;
        assert!(applier.is_empty(), "{} stopped: {applier}", replica.name());
        assert!(
            start.elapsed() < limit,
            "{} has not reached {end} of {} in {limit:?}: {receiver} {status:?}",
            replica.name(),
            source.name(),
        );
        if reached == "NULL" {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
