//! What the operator wants: `binbridge.toml` < environment < flags, checked as a whole.
//!
//! ```text
//! raw (what was given, key by key) -> resolve (what it means) -> Config
//!                                  -> Effective (what is in effect, and why)
//! ```
//!
//! [`KEYS`] is the one list of keys. Unknown keys are errors, and every error is reported at once, with file, line and
//! column, or the variable, or the flag. Secrets come from files, environment or commands only; nothing here reads them.

mod effective;
mod filter;
mod keys;
mod native;
mod problem;
mod raw;
mod reader;
mod resolve;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

pub use effective::{Effective, Entry};
pub use filter::{Filter, Name, Names, Pattern, Rename};
pub use keys::{ENV_PREFIX, KEYS, Key, Kind};
pub use problem::{Problem, Problems};
pub use raw::Flag;
pub use value::size;

use crate::error::Code;
use crate::native::{ChannelSource, Cloud, Policy};
use crate::observe::log::Format;
use crate::wire::Endpoint;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Everything, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bridge itself.
    pub bridge: Bridge,
    /// Where changes come from.
    pub source: Source,
    /// Where they go.
    pub target: Target,
    /// Which of them, and under which names.
    pub filter: Filter,
    /// How they are applied.
    pub apply: Apply,
    /// The target's own replication.
    pub native: Native,
    /// The admin server.
    pub admin: Admin,
    /// Logs.
    pub log: Log,
    /// How to stop.
    pub shutdown: Shutdown,
}

/// The bridge itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Names its progress rows.
    pub name: String,
    /// The schema of the progress tables on the target.
    pub schema: String,
    /// How long the working instance may be silent before another takes its place.
    pub lease: Duration,
    /// What does not keep the bridge from starting.
    pub despite: Vec<Code>,
}

/// Where changes come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// How to reach it.
    pub endpoint: Endpoint,
    /// Our id as a replica; `None`: derived from the bridge's name.
    pub server_id: Option<u32>,
    /// How often an idle source gives a sign of life.
    pub heartbeat: Duration,
    /// What the source shows as our host.
    pub report_host: Option<String>,
    /// A source that may take the place of the one the position belongs to.
    pub accept_uuid: Option<Uuid>,
}

/// Where changes go.
#[derive(Debug, Clone)]
pub struct Target {
    /// How to reach it.
    pub endpoint: Endpoint,
}

/// How changes are applied. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apply {
    /// Connections that apply; `None`: as many as help.
    pub workers: Option<u16>,
    /// Batches in flight on a connection.
    pub depth: u16,
    /// Source transactions per target commit, at most.
    pub batch_transactions: u32,
    /// Bytes per target commit, at most.
    pub batch_bytes: usize,
    /// How long a target commit may take.
    pub batch_time: Duration,
    /// Whether a batch carries the net effect of its transactions.
    pub merge: bool,
    /// Whose GTIDs the target's transactions have.
    pub gtid: Gtid,
    /// Bytes held between source and target, at most.
    pub memory: usize,
    /// A larger transaction is streamed.
    pub large_transaction: usize,
    /// Source transactions per second, at most; 0 for no limit.
    pub max_transactions_per_second: u64,
    /// Bytes of events per second, at most; 0 for no limit.
    pub max_bytes_per_second: u64,
}

/// Whose GTIDs the target's transactions have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gtid {
    /// The target gives its own, one to each batch.
    #[default]
    Automatic,
    /// Each has the source's.
    Preserve,
}

impl std::str::FromStr for Gtid {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "automatic" => Ok(Self::Automatic),
            "preserve" => Ok(Self::Preserve),
            _ => Err(()),
        }
    }
}

/// The target's own replication, beside which the bridge lives.
#[derive(Debug, Clone)]
pub struct Native {
    /// When to take over.
    pub policy: Policy,
    /// Whose procedures; `None`: found out.
    pub cloud: Option<Cloud>,
    /// What the channel is pointed at.
    pub source: ChannelSource,
}

/// The admin server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The file that holds the token which orders need.
    pub token_file: Option<PathBuf>,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: Format,
    /// A filter that parses.
    pub level: String,
}

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// How long finishing what is in flight may take.
    pub grace: Duration,
}

/// A configuration and where each part of it comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it means.
    pub config: Config,
    /// What is in effect, and why.
    pub effective: Effective,
}

/// Reads and checks everything: the file, then `variables` (see [`environment`]), then `flags`, the later ones winning.
///
/// # Errors
/// All problems at once (a file that cannot be read is the only one); [`crate::error::Error`] is made from them with code `Config`.
pub fn load(file: Option<&Path>, variables: &[(String, String)], flags: &[Flag]) -> Result<Loaded, Problems> {
    let mut raw = raw::Raw::default();
    if let Some(path) = file {
        raw.file(path).map_err(|problem| Problems(vec![problem]))?;
    }
    finish(raw, variables, flags)
}

/// The process's variables that are ours. What is not UTF-8 is taken with replacement characters, and so refused.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(ENV_PREFIX))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}

fn finish(mut raw: raw::Raw, variables: &[(String, String)], flags: &[Flag]) -> Result<Loaded, Problems> {
    raw.environment(variables);
    raw.flags(flags);
    raw.defaults();
    let config = resolve::resolve(&mut raw)?;
    Ok(Loaded { config, effective: Effective::new(&raw) })
}
