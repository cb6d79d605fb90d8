//! Errors: a flat kind with a stable code, what is to be done about it, and whose fault it is.
//!
//! A [`Code`] never changes its meaning; [`Code::policy`] is the pure table from code to what the bridge does, and
//! [`Code::remedy`] tells the operator how to mend it. An [`Error`] adds the words and the place, once, where they are
//! known. No error carries a row value or a secret.

use std::fmt;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blame {
    /// The operator's words: configuration, command line, pasted coordinates.
    Configuration,
    /// The network or a server that is away: expected to pass by itself.
    Environment,
    /// The source server or what its binlog says.
    Source,
    /// The target server or what its tables hold.
    Target,
    /// A fault of this program.
    Bug,
}

/// What the bridge does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Transient: try again with backoff, from the last durable transaction.
    Retry,
    /// Definite: stop and exit with this code (sysexits.h).
    Stop(u8),
}

const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_UNAVAILABLE: u8 = 69;
const EX_SOFTWARE: u8 = 70;
const EX_IOERR: u8 = 74;
const EX_NOPERM: u8 = 77;
const EX_CONFIG: u8 = 78;

macro_rules! codes {
    ($( $(#[$doc:meta])* $name:ident = $code:literal, $blame:ident, $policy:expr, $remedy:literal; )*) => {
        /// Stable error codes. The text of a code is part of the interface: it is in logs, metrics and the README.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $( $(#[$doc])* $name, )* }

        impl Code {
            /// Every code, in the order of the README's table.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The stable text, such as `BB3001`.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$name => $code, )* }
            }

            /// Who must act.
            pub const fn blame(self) -> Blame {
                match self { $( Self::$name => Blame::$blame, )* }
            }

            /// What the bridge does.
            pub const fn policy(self) -> Policy {
                match self { $( Self::$name => $policy, )* }
            }

            /// How to mend it, for the operator.
            pub const fn remedy(self) -> &'static str {
                match self { $( Self::$name => $remedy, )* }
            }
        }
    };
}

codes! {
    /// The command line does not parse or asks for the impossible.
    Usage = "BB1001", Configuration, Policy::Stop(EX_USAGE), "see binbridge --help";
    /// The configuration file, environment or flags hold errors.
    Config = "BB1002", Configuration, Policy::Stop(EX_CONFIG), "mend the lines named; binbridge config show prints what is in effect";
    /// A secret (password file, environment variable, command) cannot be read.
    Secret = "BB1003", Configuration, Policy::Stop(EX_CONFIG), "check that the file, variable or command named exists and that this user may read it";
    /// The coordinates given cannot be understood or must not be used.
    Position = "BB1004", Configuration, Policy::Stop(EX_DATAERR), "give the output of SHOW REPLICA STATUS of the stopped replica, or --file and --offset";
    /// No start position is stored for this bridge.
    NoPosition = "BB1005", Configuration, Policy::Stop(EX_CONFIG), "store one first: binbridge position --help";
    /// A start position is stored already and would be overwritten.
    PositionExists = "BB1006", Configuration, Policy::Stop(EX_USAGE), "the bridge has a position already; add --replace only if the target was restored anew";
    /// The admin server takes no orders from us.
    Orders = "BB1007", Configuration, Policy::Stop(EX_NOPERM), "name the file with the bridge's token: admin.token_file in the configuration, or --token-file";

    /// TCP or DNS failure.
    Connect = "BB2001", Environment, Policy::Retry, "check host, port, DNS, firewall rules and that the server runs";
    /// A connection was lost or timed out.
    ConnectionLost = "BB2002", Environment, Policy::Retry, "none needed: the bridge reconnects; if it repeats, look at the network and at the server's error log";
    /// TLS could not be agreed, or the certificate is not trusted.
    Tls = "BB2003", Environment, Policy::Stop(EX_CONFIG), "check ssl_mode and ssl_ca: the CA file must hold the root that signed the server's certificate";
    /// The server's host name cannot be found.
    UnknownHost = "BB2004", Environment, Policy::Retry, "check the spelling of host, and the DNS of this machine";
    /// The admin address cannot be bound, or a local file cannot be written.
    LocalIo = "BB2005", Environment, Policy::Stop(EX_IOERR), "choose another address or path";
    /// The server is starting, shutting down, full, or read-only for the moment.
    ServerBusy = "BB2006", Environment, Policy::Retry, "none needed: the bridge retries; see the server's own state";
    /// Nothing could be reached within the time allowed at start.
    Unavailable = "BB2007", Environment, Policy::Stop(EX_UNAVAILABLE), "start the server or mend the network, then start the bridge again";

    /// Login refused.
    AccessDenied = "BB3001", Configuration, Policy::Stop(EX_NOPERM), "check user, password and the host part of the account (user@'%')";
    /// A privilege is missing.
    Privilege = "BB3002", Configuration, Policy::Stop(EX_NOPERM), "grant the privilege named to the account";
    /// The server wants an authentication method that is not available here.
    AuthPlugin = "BB3003", Configuration, Policy::Stop(EX_NOPERM), "use caching_sha2_password, or mysql_native_password, or a token over TLS";
    /// The binlog file or GTIDs wanted are purged.
    Purged = "BB3101", Source, Policy::Stop(EX_DATAERR), "the source no longer has this binlog: copy the data again, and first raise the retention (RDS: CALL mysql.rds_set_configuration('binlog retention hours', 168))";
    /// The position is not one of the source's: beyond the end, or inside an event.
    ImpossiblePosition = "BB3102", Source, Policy::Stop(EX_DATAERR), "check the saved coordinates; after a failover without sync_binlog=1 the end of the log may be lost: copy the data again";
    /// Another replica uses our server id.
    DuplicateServerId = "BB3103", Source, Policy::Stop(EX_CONFIG), "set source.server_id to a number no other replica of the source uses";
    /// The source is another server than the position belongs to.
    SourceChanged = "BB3104", Source, Policy::Stop(EX_DATAERR), "file and offset mean nothing on another server: continue by GTID, or name the new coordinates with binbridge position --replace";
    /// The source's settings cannot work.
    SourceSettings = "BB3105", Source, Policy::Stop(EX_CONFIG), "change the source's parameter named";
    /// The source refused the dump for another reason.
    Dump = "BB3106", Source, Policy::Stop(EX_DATAERR), "see the source's message";
    /// The source will purge its binlog before it is read.
    Retention = "BB3107", Source, Policy::Stop(EX_DATAERR), "raise the retention on the source now (RDS: CALL mysql.rds_set_configuration('binlog retention hours', 168); else SET GLOBAL binlog_expire_logs_seconds), then start again; to start all the same: bridge.despite = [\"BB3107\"]";
    /// The stream holds bytes that are not an event: bad CRC, bad length, wrong type.
    BadEvent = "BB3201", Source, Policy::Stop(EX_DATAERR), "compare with mysqlbinlog --verify-binlog-checksum on the source; nothing past this position was applied";
    /// The stream holds an event that this version does not understand.
    UnknownEvent = "BB3202", Source, Policy::Stop(EX_DATAERR), "update binbridge; nothing past this position was applied";
    /// The source logged an incident: events are missing.
    Incident = "BB3203", Source, Policy::Stop(EX_DATAERR), "the source's binlog has a gap here: copy the data again";
    /// A statement that cannot be applied safely.
    UnsafeStatement = "BB3204", Source, Policy::Stop(EX_DATAERR), "set binlog_format=ROW on the source, or run the statement on the target by hand and skip it";
    /// A transaction, row or statement is larger than what can be held or sent.
    TooLarge = "BB3205", Source, Policy::Stop(EX_DATAERR), "raise what the message names: max_allowed_packet on the target (to at least the source's), or apply.memory";

    /// A table, column or schema of an event is missing on the target or does not fit.
    SchemaMismatch = "BB4001", Target, Policy::Stop(EX_DATAERR), "make the target's table like the source's at this position, or exclude the table";
    /// A row to change is not on the target (1032).
    RowMissing = "BB4002", Target, Policy::Stop(EX_DATAERR), "the target was changed by someone else, or the copy and the position are not from one point: compare the table, mend the row, start again";
    /// A row to insert is on the target already (1062).
    DuplicateKey = "BB4003", Target, Policy::Stop(EX_DATAERR), "the target was changed by someone else, or the copy and the position are not from one point: compare the table, mend the row, start again";
    /// A foreign key refused a change (1451, 1452).
    ForeignKey = "BB4004", Target, Policy::Stop(EX_DATAERR), "compare parent and child table with the source, mend the rows, start again";
    /// The target is read-only (1290, 1836).
    ReadOnly = "BB4005", Target, Policy::Stop(EX_UNAVAILABLE), "turn read_only off on the target (Azure: grow a full storage; after a failover: connect by name)";
    /// The target refused a statement for another reason.
    Apply = "BB4006", Target, Policy::Stop(EX_DATAERR), "see the server's message; nothing past this position was applied";
    /// Lock wait timeout or deadlock on the target.
    LockConflict = "BB4007", Target, Policy::Retry, "none needed: retried; if it repeats, see who else writes to the target";
    /// Another bridge has taken over.
    Fenced = "BB4008", Target, Policy::Stop(EX_UNAVAILABLE), "another binbridge of the same name runs against this target: stop one of them";
    /// After a crash it cannot be known whether a DDL statement ran.
    DdlUnknown = "BB4009", Target, Policy::Stop(EX_DATAERR), "look at the tables named, then say binbridge position --ddl done or --ddl undone";
    /// The target's settings cannot work.
    TargetSettings = "BB4010", Target, Policy::Stop(EX_CONFIG), "change the target's parameter named";
    /// The target's native replication is running.
    NativeRunning = "BB4011", Target, Policy::Stop(EX_UNAVAILABLE), "stop it first (Azure: CALL mysql.az_replication_stop)";
    /// The progress table is damaged or from another version.
    Progress = "BB4012", Target, Policy::Stop(EX_DATAERR), "do not edit binbridge.progress by hand; restore the row or copy the data again";
    /// The native channel cannot be taken over or handed back as it is.
    NativeChannel = "BB4013", Target, Policy::Stop(EX_DATAERR), "see the message: it names what the channel lacks and the statement or setting that mends it";

    /// A server said something outside the protocol.
    Protocol = "BB9001", Bug, Policy::Stop(EX_SOFTWARE), "is the port a MySQL server's? otherwise please report this with the log";
    /// An invariant of this program is broken.
    Invariant = "BB9002", Bug, Policy::Stop(EX_SOFTWARE), "please report this with the log; nothing past the position shown was applied";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error: code, words, and where it happened.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    message: String,
    context: Vec<String>,
    server: Option<ServerError>,
}

/// What a MySQL server said in its ERR packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The server's error number, such as 1062.
    pub number: u16,
    /// The five characters of SQLSTATE; empty where the server sent none.
    pub state: String,
    /// The server's text. It may hold key values: not for logs of ours.
    pub message: String,
}

impl Error {
    /// A new error; `message` is lower case, without a final period, and says what and where.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { code, message: message.into(), context: Vec::new(), server: None }))
    }

    /// Keeps what the server said beside our words.
    #[must_use]
    pub fn with_server(mut self, server: ServerError) -> Self {
        self.0.server = Some(server);
        self
    }

    /// Adds where it happened (`"table a.b"`, `"position file:pos"`), outermost last.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.context.push(context.into());
        self
    }

    /// The same error under another code, where the caller knows better.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What the bridge does about it.
    pub fn policy(&self) -> Policy {
        self.0.code.policy()
    }

    /// Transient errors are tried again.
    pub fn is_transient(&self) -> bool {
        self.policy() == Policy::Retry
    }

    /// The process's exit code if this error ends it.
    pub fn exit_code(&self) -> u8 {
        match self.policy() {
            Policy::Retry => EX_UNAVAILABLE,
            Policy::Stop(code) => code,
        }
    }

    /// What the server said, if it was the server.
    pub fn server(&self) -> Option<&ServerError> {
        self.0.server.as_ref()
    }

    /// Our words, without code and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)?;
        for context in &self.0.context {
            write!(f, "; {context}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Shorthand for `Err(Error::new(code, format!(...)))`.
#[macro_export]
macro_rules! bail {
    ($code:ident, $($format:tt)+) => {
        return Err($crate::error::Error::new($crate::error::Code::$code, format!($($format)+)))
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_is_unique_and_has_a_remedy() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| !code.remedy().is_empty()));
    }

    #[test]
    fn environment_errors_other_than_trust_and_local_files_are_tried_again() {
        for code in Code::ALL {
            let definite = matches!(code, Code::Tls | Code::LocalIo | Code::Unavailable);
            if code.blame() == Blame::Environment {
                assert_eq!(code.policy() == Policy::Retry, !definite, "{code}");
            }
        }
    }
}
