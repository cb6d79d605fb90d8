//! Whether the native channel does its work, and for how long it may fail to. Pure: the clock is a parameter.

use std::fmt;
use std::time::{Duration, Instant};

use crate::wire::{ReplicaStatus, Running};

/// What the channel does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It receives and applies; its own idea of its lag, in seconds.
    Well {
        /// None where the server says NULL.
        lag: Option<u64>,
    },
    /// It does not.
    Ill(Cause),
}

/// Why a channel does not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// There is none.
    Absent,
    /// The applier stopped with an error.
    Applier(u32, String),
    /// The source no longer has what the receiver asks for.
    Position(u32, String),
    /// The receiver cannot connect, or stopped with another error.
    Receiver(u32, String),
    /// Somebody stopped it.
    Stopped,
    /// It is further behind than the limit.
    Behind(u64),
}

/// `ER_SERVER_... FATAL_ERROR_READING_BINLOG`: purged, or a place that is not there (MySQL error reference, 1236), and its
/// newer name 13114.
const POSITION_ERRORS: [u32; 2] = [1236, 13114];

impl Cause {
    /// The class that `native.broken_now` names.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Applier(..) => "applier",
            Self::Position(..) => "position",
            Self::Receiver(..) => "receiver",
            Self::Stopped => "stopped",
            Self::Behind(_) => "behind",
        }
    }

    /// Every class.
    pub const CLASSES: [&'static str; 6] = ["absent", "applier", "position", "receiver", "stopped", "behind"];
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the target has no replication channel"),
            Self::Applier(code, text) => write!(f, "its applier stopped with error {code}: {text}"),
            Self::Position(code, text) => {
                write!(f, "its position is not on the source, error {code}: {text}")
            }
            Self::Receiver(0, _) => f.write_str("its receiver is not connected"),
            Self::Receiver(code, text) => write!(f, "its receiver has error {code}: {text}"),
            Self::Stopped => f.write_str("it is stopped"),
            Self::Behind(seconds) => write!(f, "it is {seconds} s behind"),
        }
    }
}

impl Health {
    /// What a status means under a limit of lag.
    pub fn of(status: Option<&ReplicaStatus>, lag_limit: Option<Duration>) -> Self {
        let Some(status) = status else { return Self::Ill(Cause::Absent) };
        if !status.sql_running {
            return Self::Ill(match status.last_sql_errno {
                0 => Cause::Stopped,
                code => Cause::Applier(code, first_line(&status.last_sql_error)),
            });
        }
        let (code, text) = (status.last_io_errno, || first_line(&status.last_io_error));
        match status.io_running {
            Running::Yes => {}
            _ if POSITION_ERRORS.contains(&code) => return Self::Ill(Cause::Position(code, text())),
            Running::No if code == 0 => return Self::Ill(Cause::Stopped),
            Running::No | Running::Connecting => return Self::Ill(Cause::Receiver(code, text())),
        }
        match (status.seconds_behind, lag_limit) {
            (Some(lag), Some(limit)) if lag > limit.as_secs() => Self::Ill(Cause::Behind(lag)),
            (lag, _) => Self::Well { lag },
        }
    }
}

/// Servers append advice and worker lists.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

/// When the bridge takes over by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether it does at all.
    pub auto_takeover: bool,
    /// How long the channel may be ill.
    pub takeover_after: Duration,
    /// The lag from which it is.
    pub lag_limit: Option<Duration>,
    /// The classes of causes that do not heal, for which nothing is waited for.
    pub broken_now: Vec<String>,
}

/// Since when the channel is ill.
#[derive(Debug, Default)]
pub struct Patience {
    ill_since: Option<Instant>,
}

impl Patience {
    /// Whether it is time to take over, given what the channel does at `now`.
    pub fn note(&mut self, health: &Health, policy: &Policy, now: Instant) -> bool {
        let Health::Ill(cause) = health else {
            self.ill_since = None;
            return false;
        };
        let since = *self.ill_since.get_or_insert(now);
        let broken = policy.broken_now.iter().any(|class| class == cause.class());
        policy.auto_takeover && (broken || now.duration_since(since) >= policy.takeover_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> ReplicaStatus {
        ReplicaStatus {
            source_host: "db1".to_owned(),
            source_port: 3306,
            source_uuid: String::new(),
            io_running: Running::Yes,
            sql_running: true,
            relay_source_log_file: "b.000001".to_owned(),
            exec_source_log_pos: 4,
            source_log_file: "b.000001".to_owned(),
            read_source_log_pos: 4,
            last_io_errno: 0,
            last_io_error: String::new(),
            last_sql_errno: 0,
            last_sql_error: String::new(),
            seconds_behind: Some(3),
            retrieved_gtid_set: String::new(),
            executed_gtid_set: String::new(),
            auto_position: false,
            until_condition: "None".to_owned(),
            channel: String::new(),
        }
    }

    fn cause(status: &ReplicaStatus) -> &'static str {
        match Health::of(Some(status), Some(Duration::from_secs(60))) {
            Health::Well { .. } => "well",
            Health::Ill(cause) => cause.class(),
        }
    }

    fn policy() -> Policy {
        Policy {
            auto_takeover: true,
            takeover_after: Duration::from_secs(60),
            lag_limit: None,
            broken_now: vec!["applier".to_owned()],
        }
    }

    #[test]
    fn each_way_to_fail_has_its_class() {
        assert_eq!(cause(&status()), "well");
        assert_eq!(cause(&ReplicaStatus { seconds_behind: Some(61), ..status() }), "behind");
        let receiver = ReplicaStatus { io_running: Running::Connecting, last_io_errno: 2003, ..status() };
        assert_eq!(cause(&receiver), "receiver");
        assert_eq!(
            cause(&ReplicaStatus { io_running: Running::No, last_io_errno: 13114, ..status() }),
            "position"
        );
        assert_eq!(cause(&ReplicaStatus { io_running: Running::No, ..status() }), "stopped");
        let stopped = ReplicaStatus { sql_running: false, ..status() };
        assert_eq!(cause(&stopped), "stopped");
        assert_eq!(cause(&ReplicaStatus { last_sql_errno: 1062, ..stopped }), "applier");
        assert_eq!(Health::of(None, None), Health::Ill(Cause::Absent));
    }

    #[test]
    fn what_may_heal_is_waited_for_and_what_does_not_is_not() {
        let (policy, start) = (policy(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut patience = Patience::default();
        let stopped = Health::Ill(Cause::Stopped);
        assert!(!patience.note(&stopped, &policy, at(0)));
        assert!(!patience.note(&stopped, &policy, at(59)));
        assert!(patience.note(&stopped, &policy, at(60)));
        assert!(!patience.note(&Health::Well { lag: Some(0) }, &policy, at(61)));
        assert!(!patience.note(&stopped, &policy, at(62)));
        let broken = Health::Ill(Cause::Applier(1062, String::new()));
        assert!(patience.note(&broken, &policy, at(62)));
    }

    #[test]
    fn nothing_is_taken_over_without_leave() {
        let policy = Policy { auto_takeover: false, ..policy() };
        let broken = Health::Ill(Cause::Applier(1062, String::new()));
        assert!(!Patience::default().note(&broken, &policy, Instant::now()));
    }
}
