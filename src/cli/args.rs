//! What can be typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::config;
use crate::control::{Target, Until};

/// Replicates one MySQL server into another by speaking the replication protocol itself.
///
/// Exit codes: 0 done or drained; 64 usage; 65 data (position, event, row, schema); 69 a server is away, read-only or
/// taken over; 70 a fault of binbridge; 74 a local address or file; 75 stopped before everything in flight was
/// finished; 77 login or privilege; 78 configuration.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the bridge from its stored position until it is stopped.
    Run(RunArgs),
    /// Look for everything that would keep the bridge from its work; changes nothing.
    Check(Settings),
    /// Find, check and store the position to start from.
    Position(PositionArgs),
    /// Show what a running bridge does.
    Status(StatusArgs),
    /// Stop the target's own replication and let the bridge go on from where it is.
    Takeover(ChangeArgs),
    /// Stop the bridge's writing and let the target's own replication go on from where it is.
    Handback(ChangeArgs),
    /// Tell a running bridge to apply nothing new; what is in flight is still committed.
    Pause(PauseArgs),
    /// Tell a paused bridge to go on.
    Resume(ResumeArgs),
    /// Tell a running bridge to pass one transaction over: nothing of it is applied.
    Skip(SkipArgs),
    /// Tell a running bridge to pause once it has come to a place.
    Until(UntilArgs),
    /// Tell a running bridge how fast it may apply.
    Limit(LimitArgs),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print files that belong to binbridge.
    #[command(subcommand)]
    Generate(Generate),
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show what is in effect and where each value comes from; secrets are never shown.
    Show(Settings),
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Generate {
    /// A configuration file with every key, its default and its meaning.
    Config,
    /// The table of all keys.
    Settings,
    /// The table of all metrics.
    Metrics,
    /// The error codes with their exit codes and remedies.
    Errors,
    /// Alerting rules for Prometheus.
    Alerts,
    /// A dashboard for Grafana.
    Dashboard,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct Settings {
    /// The configuration file; if not named, binbridge.toml here or in /etc/binbridge. The environment
    /// (BINBRIDGE_SOURCE__HOST=...) wins over it, --set over both.
    #[arg(long, short, value_name = "FILE", env = "BINBRIDGE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Set one key, such as --set source.host=db.example.com; never a secret.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

#[derive(Debug, Clone, ClapArgs)]
#[group(skip)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct PositionArgs {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// A file that holds the coordinates: saved SHOW REPLICA STATUS output, the head of a mysqldump, mydumper's
    /// metadata, MySQL Shell's @.json; `-` reads standard input.
    #[arg(value_name = "TEXT", conflicts_with_all = ["file", "gtid_set", "replica"])]
    pub(super) text: Option<PathBuf>,
    /// The binlog file on the source, together with --offset.
    #[arg(long, value_name = "BINLOG", requires = "offset")]
    pub(super) file: Option<String>,
    /// The offset in that file.
    #[arg(long, value_name = "BYTES", requires = "file")]
    pub(super) offset: Option<u64>,
    /// Start after these GTIDs.
    #[arg(long, value_name = "SET", conflicts_with = "file")]
    pub(super) gtid_set: Option<String>,
    /// Ask this stopped read replica (HOST or HOST:PORT), with the source's account and TLS settings.
    #[arg(long, value_name = "HOST", conflicts_with_all = ["file", "gtid_set"])]
    pub(super) replica: Option<String>,
    /// The account on the replica, if it is not the source's.
    #[arg(long, value_name = "USER", requires = "replica")]
    pub(super) replica_user: Option<String>,
    /// The file with that account's password.
    #[arg(long, value_name = "FILE", requires = "replica_user")]
    pub(super) replica_password_file: Option<PathBuf>,
    /// Take the replica's own binlog coordinates: the bridge will stream from the replica itself.
    #[arg(long, requires = "replica")]
    pub(super) own_binlog: bool,
    /// Which coordinates of a text that holds several.
    #[arg(long, value_enum)]
    pub(super) whose: Option<WhoseArg>,
    /// The replication channel, where the text holds several.
    #[arg(long, value_name = "NAME")]
    pub(super) channel: Option<String>,
    /// Prefer the GTID set over file and offset, where both are known.
    #[arg(long)]
    pub(super) by_gtid: bool,
    /// Check, but store nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Forget a position stored before. Only after the target was restored anew.
    #[arg(long)]
    pub(super) replace: bool,
    /// After BB4009: say whether the DDL statement of the recorded intent ran.
    #[arg(long, value_enum, conflicts_with_all = ["text", "file", "gtid_set", "replica"])]
    pub(super) ddl: Option<DdlArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WhoseArg {
    /// Those of the source of the replica that was asked or dumped.
    Source,
    /// Those of the server itself.
    Itself,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DdlArg {
    /// It ran.
    Done,
    /// It did not.
    Undone,
}

/// A change of who applies.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Print every statement that would run, and run none.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// By GTID; as the native channel does if neither is said.
    #[arg(long, conflicts_with = "by_position")]
    pub(super) by_gtid: bool,
    /// By file and offset.
    #[arg(long)]
    pub(super) by_position: bool,
    /// How long to wait for the running bridge to do it.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) wait: u64,
}

/// Which bridge is asked.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct Admin {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// The admin address, if it is not the configuration's.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) admin: Option<String>,
}

/// Which bridge is told, and by what right.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct Orders {
    #[command(flatten)]
    pub(super) admin: Admin,
    /// The file with the bridge's token, if it is not the configuration's admin.token_file.
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) admin: Admin,
    /// The whole status as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Apply nothing until told to resume.
    #[arg(long)]
    pub(super) paused: bool,
    /// Pause behind this place: file:position, a GTID, or a time such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "PLACE")]
    pub(super) until: Option<Until>,
    /// End there with exit code 0 instead of pausing.
    #[arg(long, requires = "until")]
    pub(super) exit: bool,
    /// Pass this transaction over: its GTID, or file:position where it begins, as an error names it. May be repeated.
    #[arg(long, value_name = "GTID|FILE:POS", value_parser = one_transaction)]
    pub(super) skip: Vec<Target>,
}

/// A start may be repeated; what is current then is another transaction.
fn one_transaction(text: &str) -> Result<Target, String> {
    match text.parse() {
        Ok(Target::Current) => {
            Err("at the start, name the transaction by its GTID or file:position".to_owned())
        }
        Ok(target) => Ok(target),
        Err(error) => Err(error.message().to_owned()),
    }
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    pub(super) orders: Orders,
    /// Why, for whoever looks at the status.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    pub(super) orders: Orders,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct SkipArgs {
    #[command(flatten)]
    pub(super) orders: Orders,
    /// Its GTID; or file:position where it begins, as an error names it; or `current`, the next that would change
    /// anything (of a paused bridge).
    #[arg(value_name = "GTID|FILE:POS|current")]
    pub(super) target: String,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct UntilArgs {
    #[command(flatten)]
    pub(super) orders: Orders,
    /// file:position, a GTID, or a time such as 2026-01-31T12:00:00Z; `none` takes the order back.
    #[arg(value_name = "PLACE|none")]
    pub(super) until: String,
}

#[derive(Debug, Clone, ClapArgs)]
#[group(skip)]
pub(super) struct LimitArgs {
    #[command(flatten)]
    pub(super) orders: Orders,
    /// Source transactions per second; 0 for no limit.
    #[arg(long, value_name = "N", value_parser = transactions, required_unless_present_any = ["bytes", "none"])]
    pub(super) transactions: Option<u64>,
    /// Bytes of events per second, such as "4 MiB"; 0 for no limit.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(super) bytes: Option<u64>,
    /// No limit at all.
    #[arg(long, conflicts_with_all = ["transactions", "bytes"])]
    pub(super) none: bool,
}

fn transactions(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim().parse();
    number.map_err(|_| "expected a number such as 500".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    config::size(text.strip_suffix("/s").unwrap_or(text))
}
