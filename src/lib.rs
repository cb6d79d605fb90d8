//! binbridge replicates one MySQL server into another by speaking the replication protocol itself.
//!
//! ```text
//!  source server                                                                        target server
//!    |  COM_BINLOG_DUMP[_GTID]                                                             ^
//!    v                                                                                     | guarded packets
//!  wire -> source -> binlog -> transaction -> schedule -> apply --------------------------+
//!          bytes     events     transactions   net batches      progress rows in the same commit
//!
//!    observe (metrics, lag, admin HTTP) <-- stages publish, nobody reaches back
//!    control (an operator's orders)     --> the gate before the batches
//!    native (the target's own channel), check (what would keep a bridge from its work)
//! ```
//!
//! One direction, bounded in bytes at every edge; a stage imports only what stands before it in the list below.

pub mod clock;
pub mod error;
pub mod failpoint;
pub mod hex;
pub mod position;

pub mod control;

pub mod wire;

pub mod binlog;

pub mod observe;

pub mod source;

pub mod progress;

pub mod transaction;

pub mod schedule;

pub mod apply;

pub mod native;

pub mod check;

pub mod bridge;

pub mod config;

pub mod cli;
