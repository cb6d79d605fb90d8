//! Every key there is, once: file, environment, flags, defaults, `config show` and the documentation follow this list.

use std::time::Duration;

/// What a key's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// The same, or `auto`.
    IntegerOrAuto(i64, i64),
    /// A duration such as `"5s"` or `"1m 30s"`, within bounds.
    Duration(Duration, Duration),
    /// A size such as `"4 MiB"`, or a number of bytes, within bounds.
    Size(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One text or a list; in the environment and in flags separated by commas.
    List,
    /// A table of `"from" = "to"`; in the environment and in flags `from=to`, separated by commas.
    Pairs,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Section and name, such as `source.host`.
    pub path: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// The value if none is given, in the form the environment would have; `None`: not set.
    pub default: Option<&'static str>,
    /// What it is for, in a line.
    pub help: &'static str,
}

impl Key {
    /// The section.
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    /// The name within the section.
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The environment variable, such as `BINBRIDGE_SOURCE__HOST`.
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.path.replace('.', "__").to_uppercase())
    }
}

/// What the environment's variables begin with. A section and a name are separated by two underscores.
pub const ENV_PREFIX: &str = "BINBRIDGE_";

/// The key of this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The sections, in the order of the list.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(Key::section).collect();
    sections.dedup();
    sections
}

/// The words of a choice that a file may also give as a boolean.
pub(super) const BOOLEAN: &[&str] = &["true", "false"];
const GTIDS: &[&str] = &["automatic", "preserve"];
const DIALECTS: &[&str] = &["auto", "azure", "rds", "vanilla"];
const SSL_MODES: &[&str] = &["disabled", "preferred", "required", "verify-ca", "verify-identity"];
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn seconds(from: u64, to: u64) -> Kind {
    Kind::Duration(Duration::from_secs(from), Duration::from_secs(to))
}

macro_rules! keys {
    ($( $path:literal, $kind:expr, $default:expr, $help:literal; )*) => {
        /// Every key, in the order of the documentation.
        pub const KEYS: &[Key] = &[$( Key { path: $path, kind: $kind, default: $default, help: $help } ),*];
    };
}

keys! {
    "bridge.name", Kind::Text, Some("main"), "Names this bridge and its progress rows: 1 to 64 of A-Z a-z 0-9 _ . -";
    "bridge.despite", Kind::List, None, "Codes of what is found before the start and shall not prevent it: of BB3107, BB4001";
    "bridge.lease", seconds(2, 300), Some("10s"), "How long the working instance may be silent before one that stands by takes its place";
    "bridge.schema", Kind::Text, Some("binbridge"), "Schema on the target that holds the progress tables";

    "source.host", Kind::Text, None, "Host name or address of the source; required";
    "source.port", Kind::Integer(1, 65535), Some("3306"), "TCP port of the source";
    "source.user", Kind::Text, None, "Account on the source (REPLICATION SLAVE, REPLICATION CLIENT); required";
    "source.password_file", Kind::Text, None, "File that holds the password; read again at each connect";
    "source.password_env", Kind::Text, None, "Name of an environment variable that holds the password";
    "source.password_command", Kind::Text, None, "Shell command that prints the password; run again at each connect";
    "source.token_file", Kind::Text, None, "File that holds a token (IAM, Entra), sent in clear text over TLS; read again at each connect";
    "source.token_command", Kind::Text, None, "Shell command that prints a token; run again at each connect";
    "source.ssl_mode", Kind::Choice(SSL_MODES), Some("preferred"), "As MySQL's --ssl-mode; verify-ca if ssl_ca is given";
    "source.ssl_ca", Kind::List, None, "PEM file or files with the certificates to trust";
    "source.ssl_cert", Kind::Text, None, "PEM file with the client's certificate";
    "source.ssl_key", Kind::Text, None, "PEM file with the client's key";
    "source.server_id", Kind::Integer(1, 4_294_967_295), None, "Our server id as a replica; if not set, one derived from the bridge's own UUID that is free";
    "source.heartbeat", seconds(1, 300), Some("5s"), "How often an idle source is to give a sign of life";
    "source.report_host", Kind::Text, None, "Host that the source shows for us in SHOW REPLICAS";
    "source.connect_timeout", seconds(1, 600), Some("10s"), "From name resolution to the end of the login";
    "source.read_timeout", seconds(1, 3600), Some("60s"), "Without a byte from the source while an answer is awaited (the stream itself is lost after three heartbeats); longer than two heartbeats";
    "source.accept_uuid", Kind::Text, None, "server_uuid of a source that may take the place of the one the position belongs to";

    "target.host", Kind::Text, None, "Host name or address of the target; required";
    "target.port", Kind::Integer(1, 65535), Some("3306"), "TCP port of the target";
    "target.user", Kind::Text, None, "Account on the target; required";
    "target.password_file", Kind::Text, None, "File that holds the password; read again at each connect";
    "target.password_env", Kind::Text, None, "Name of an environment variable that holds the password";
    "target.password_command", Kind::Text, None, "Shell command that prints the password; run again at each connect";
    "target.token_file", Kind::Text, None, "File that holds a token (IAM, Entra), sent in clear text over TLS; read again at each connect";
    "target.token_command", Kind::Text, None, "Shell command that prints a token; run again at each connect";
    "target.ssl_mode", Kind::Choice(SSL_MODES), Some("preferred"), "As MySQL's --ssl-mode; verify-ca if ssl_ca is given";
    "target.ssl_ca", Kind::List, None, "PEM file or files with the certificates to trust";
    "target.ssl_cert", Kind::Text, None, "PEM file with the client's certificate";
    "target.ssl_key", Kind::Text, None, "PEM file with the client's key";
    "target.connect_timeout", seconds(1, 600), Some("10s"), "From name resolution to the end of the login";
    "target.read_timeout", seconds(1, 86_400), Some("60s"), "Without a byte from the target while an answer is awaited; connections that apply are watched by TCP keepalive instead";
    "target.write_timeout", seconds(1, 3600), Some("60s"), "Without a byte taken by the network while something is to be sent";

    "filter.include", Kind::List, None, "Only these, as \"db.*\" or \"db.table\"; everything if not set";
    "filter.exclude", Kind::List, None, "Not these, as \"db.*\" or \"db.table\"; wins over include";
    "filter.rename", Kind::Pairs, None, "\"db\" = \"other\" or \"db.table\" = \"other.table\"; filters see the source's names";
    "filter.names", Kind::Choice(&["auto", "keep", "lower"]), Some("auto"), "Case of names on the target: as its lower_case_table_names wants (auto), as they are, or lower";

    "apply.workers", Kind::IntegerOrAuto(1, 64), Some("1"), "Connections that apply: 1 keeps the source's commit order, more keep it only where transactions touch the same rows";
    "apply.batch_transactions", Kind::Integer(1, 1_000_000), Some("20000"), "Source transactions that one target commit may carry";
    "apply.batch_bytes", Kind::Size(4 * KIB, 256 * MIB), Some("20 MiB"), "Bytes that one target commit may carry";
    "apply.batch_time", Kind::Duration(Duration::from_millis(1), Duration::from_secs(60)), Some("1s"), "How long one target commit may take; batches are sized by it";
    "apply.depth", Kind::Integer(1, 64), Some("4"), "Batches in flight on a connection";
    "apply.merge", Kind::Choice(BOOLEAN), Some("true"), "Whether a batch carries the net effect of its transactions instead of each change";
    "apply.gtid", Kind::Choice(GTIDS), Some("automatic"), "GTIDs of the target's transactions: its own, one to a batch, or each the source's (one commit to a transaction)";
    "apply.memory", Kind::Size(8 * MIB, 64 * GIB), Some("58 MiB"), "Bytes of events held between source and target";
    "apply.large_transaction", Kind::Size(64 * KIB, GIB), Some("4 MiB"), "A larger transaction is streamed to the target, not held";
    "apply.max_transactions_per_second", Kind::Integer(0, 10_000_000), Some("0"), "Source transactions applied per second, at most; 0: no limit";
    "apply.max_bytes_per_second", Kind::Size(0, 64 * GIB), Some("0"), "Bytes of events applied per second, at most; 0: no limit";

    "native.auto_takeover", Kind::Choice(BOOLEAN), Some("false"), "Whether the bridge takes over by itself when the target's own replication is not well";
    "native.takeover_after", Kind::Duration(Duration::ZERO, Duration::from_secs(86_400)), Some("60s"), "How long the native channel may be unwell before that";
    "native.lag_limit", seconds(1, 604_800), None, "A native channel further behind than this is unwell";
    "native.broken_now", Kind::List, Some("applier,position"), "What does not heal, so that nothing is waited for: of absent, applier, position, receiver, stopped, behind";
    "native.dialect", Kind::Choice(DIALECTS), Some("auto"), "Whose procedures move the native channel; auto looks which there are";
    "native.host", Kind::Text, None, "The source as the target sees it, for handing back; source.host if not set";
    "native.port", Kind::Integer(1, 65535), None, "The source's port as the target sees it; source.port if not set";
    "native.user", Kind::Text, None, "The native channel's account on the source; source.user and its password if not set";
    "native.password_file", Kind::Text, None, "File that holds the native channel's password";
    "native.password_env", Kind::Text, None, "Name of an environment variable that holds it";
    "native.password_command", Kind::Text, None, "Shell command that prints it";
    "native.ssl_ca", Kind::Text, None, "PEM file whose text the native channel is given as the authority to trust (Azure); without it the channel does not use TLS there";

    "admin.listen", Kind::Text, Some("127.0.0.1:9306"), "Address of the status page, metrics and probes, or off; whoever reaches it can read it";
    "admin.token_file", Kind::Text, None, "File that holds the token which operator commands need; without it they are taken on a loopback address only; read again at each command";

    "log.format", Kind::Choice(&["auto", "pretty", "logfmt", "json"]), Some("auto"), "auto: pretty on a terminal, logfmt otherwise";
    "log.level", Kind::Text, Some("info"), "A level, or a filter such as \"info,binbridge::source=debug\"";

    "shutdown.grace", seconds(0, 3600), Some("60s"), "How long a stop may take to finish what is in flight";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn paths_are_unique_and_have_a_section_and_one_name() {
        let paths: HashSet<_> = KEYS.iter().map(|key| key.path).collect();
        assert_eq!(paths.len(), KEYS.len());
        assert!(KEYS.iter().all(|key| key.path.matches('.').count() == 1 && !key.help.is_empty()));
        assert!(KEYS.iter().all(|key| !key.path.contains("__")), "two underscores separate section and name");
    }

    #[test]
    fn the_variable_follows_from_the_path() {
        assert_eq!(find("source.ssl_ca").unwrap().variable(), "BINBRIDGE_SOURCE__SSL_CA");
    }
}
