//! Real MySQL servers, and the trouble between them, for the tests, the demo and the benches.
//!
//! [`mysqld`] finds or fetches MySQL; [`Server`] runs one instance on loopback in a temporary folder; [`rds_like`],
//! [`read_replica`] and [`azure_like`] dress such instances as the clouds they stand in for; [`native_replica`] is
//! what binbridge is measured against; [`dump_restore`] seeds a target and [`compare`] says whether it is equal;
//! [`Proxy`] delays and cuts connections; [`Workload`] writes. Whatever fails here panics with what to do about it: a test that needs a
//! server and finds none fails.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each binary that includes this module uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "test code: to fail loudly is the point, and only #[test] functions are exempt by configuration"
)]
#![allow(clippy::missing_panics_doc, reason = "everything here panics on failure, see above")]

mod accounts;
mod azure;
mod bridge;
mod certificates;
mod compare;
mod dump;
mod folder;
mod install;
mod kept;
mod launch;
mod options;
mod proxy;
mod rds;
mod replica;
mod server;
mod session;
mod template;
mod wait;
mod workload;

pub use accounts::{ADMIN, APP, AZADMIN, Account, REPL};
pub use azure::{azure_like, azure_options};
pub use bridge::{Bridge, BridgeOptions, peak_rss_mib, program};
pub use certificates::{Certificates, Identity, certificates};
pub use compare::compare;
pub use dump::dump_restore;
pub use install::{Installation, archive_mirrors, must_fetch, mysqld};
pub use options::ServerOptions;
pub use proxy::{Action, Direction, Edge, Match, Proxy};
pub use rds::{RdsLike, rds_like, rds_options, read_replica, read_replica_with};
pub use replica::{ReplicaOptions, Start, native_replica, replicate, wait_caught_up};
pub use server::{Coordinates, Server, free_port};
pub use session::Session;
pub use wait::wait_until;
pub use workload::{SCHEMAS, Workload};
