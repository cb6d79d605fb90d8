//! What the bridge tells: metrics, lag, the admin server with its status page, logs and the status line.
//!
//! Stages hold an [`Observer`] and tell it what happened; nobody asks a stage. What an operator says to the admin server
//! goes into a [`Control`](crate::control::Control). Lag is a pure function of what was told
//! and of the clock, so that it grows while nothing happens.

mod admin;
pub mod assets;
mod backlog;
mod command;
mod event;
mod gauges;
mod history;
mod instruments;
pub mod lag;
mod latency;
mod line;
pub mod log;
pub mod metrics;
mod observer;
mod orders;
pub mod snapshot;
mod state;
mod thread;
mod token;

pub use event::{Committed, End, Lifecycle, NativeChannel, Rows, Stage};
pub use history::{Sample, Series};
pub use line::line;
pub use observer::{Counted, Observer};
pub use snapshot::Snapshot;
pub use thread::{Options, Running, line_interval, serve};

/// The commit this was built from, where the build says so.
const REVISION: &str = match option_env!("BINBRIDGE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The compiler this was built by, as `build.rs` says it.
const RUSTC: &str = env!("BINBRIDGE_RUSTC");
