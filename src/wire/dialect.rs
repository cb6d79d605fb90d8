//! Everything said to a server whose words depend on its version, in one table.
//!
//! The old words were removed in MySQL 8.4.0 ("What Is New in MySQL 8.4 since MySQL 8.0", Features Removed), so no words
//! fit every server. MariaDB keeps the old ones throughout (its REPLICA words are aliases from 10.5.1 on: MariaDB
//! documentation, "SHOW REPLICA STATUS").

use std::fmt::Write;
use std::time::Duration;

use uuid::Uuid;

use super::server::Server;

/// Words that changed with a version of MySQL.
struct Wording {
    /// The first version that knows the new words.
    since: (u16, u16, u16),
    old: &'static str,
    new: &'static str,
}

/// MySQL 8.4 manual, "SHOW BINARY LOG STATUS Statement"; 8.2.0 release notes: new in 8.2.0.
const BINARY_LOG_STATUS: Wording =
    Wording { since: (8, 2, 0), old: "SHOW MASTER STATUS", new: "SHOW BINARY LOG STATUS" };
/// MySQL 8.0 manual, "SHOW REPLICA STATUS Statement": from 8.0.22.
const REPLICA_STATUS: Wording =
    Wording { since: (8, 0, 22), old: "SHOW SLAVE STATUS", new: "SHOW REPLICA STATUS" };
/// MySQL 8.0 manual, "SHOW REPLICAS Statement": from 8.0.22.
const REPLICAS: Wording = Wording { since: (8, 0, 22), old: "SHOW SLAVE HOSTS", new: "SHOW REPLICAS" };
/// MySQL 8.0 manual, "START REPLICA Statement": from 8.0.22.
const START_REPLICA: Wording = Wording { since: (8, 0, 22), old: "START SLAVE", new: "START REPLICA" };
/// MySQL 8.0 manual, "STOP REPLICA Statement": from 8.0.22.
const STOP_REPLICA: Wording = Wording { since: (8, 0, 22), old: "STOP SLAVE", new: "STOP REPLICA" };
/// MySQL 8.0 manual, "RESET REPLICA Statement": from 8.0.22.
const RESET_REPLICA: Wording = Wording { since: (8, 0, 22), old: "RESET SLAVE", new: "RESET REPLICA" };
/// MySQL 8.0 manual, "CHANGE REPLICATION SOURCE TO Statement": from 8.0.23.
const CHANGE_SOURCE: Wording =
    Wording { since: (8, 0, 23), old: "CHANGE MASTER TO", new: "CHANGE REPLICATION SOURCE TO" };
/// The same page: the options change their first word together with the statement.
const SOURCE_OPTION: Wording = Wording { since: (8, 0, 23), old: "MASTER", new: "SOURCE" };
/// MySQL 8.0 manual, "Server System Variables", `pseudo_replica_mode`: from 8.0.26.
const PSEUDO_REPLICA_MODE: Wording =
    Wording { since: (8, 0, 26), old: "pseudo_slave_mode", new: "pseudo_replica_mode" };
/// MySQL 8.0 manual, "Replica Server Options and Variables", `replica_skip_errors`: from 8.0.26.
const REPLICA_SKIP_ERRORS: Wording =
    Wording { since: (8, 0, 26), old: "slave_skip_errors", new: "replica_skip_errors" };
/// MySQL 8.0 manual, "Binary Logging Options and Variables", `log_replica_updates`: from 8.0.26.
const LOG_REPLICA_UPDATES: Wording =
    Wording { since: (8, 0, 26), old: "log_slave_updates", new: "log_replica_updates" };

/// MySQL 8.4 manual, "SHOW BINARY LOGS Statement": the same words from 4.1 on.
const BINARY_LOGS: &str = "SHOW BINARY LOGS";

/// What a replica tells its source in user variables. Servers from 8.0.26 on look for the first name and then for the
/// second, older ones only for the second (`sql/rpl_source.cc`, `get_user_var_from_alternatives`); to set both
/// is what works everywhere.
const CHECKSUM: [&str; 2] = ["@source_binlog_checksum", "@master_binlog_checksum"];
const HEARTBEAT: [&str; 2] = ["@source_heartbeat_period", "@master_heartbeat_period"];
const REPLICA_UUID: [&str; 2] = ["@replica_uuid", "@slave_uuid"];
/// Without it a MariaDB source rewrites its GTID events into others (MariaDB documentation, "3-Binlog Network Stream").
const MARIADB_CAPABILITY: &str = "@mariadb_slave_capability = 4";

/// How to speak to one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    version: (u16, u16, u16),
    mariadb: bool,
}

impl Dialect {
    /// The dialect of the server that answered.
    pub fn of(server: &Server) -> Self {
        Self { version: server.version, mariadb: server.mariadb }
    }

    /// Whether the server is a MySQL of this version or later.
    pub fn is_at_least(self, version: (u16, u16, u16)) -> bool {
        !self.mariadb && self.version >= version
    }

    /// The statement for the end of the binlog: columns `File`, `Position`, `Executed_Gtid_Set`.
    pub fn binary_log_status(self) -> &'static str {
        self.say(&BINARY_LOG_STATUS)
    }

    /// The statement for the binlog files: columns `Log_name`, `File_size`.
    pub fn binary_logs(self) -> &'static str {
        BINARY_LOGS
    }

    /// The statement for the replica's state, read by [`ReplicaStatus`](super::ReplicaStatus).
    pub fn replica_status(self) -> &'static str {
        self.say(&REPLICA_STATUS)
    }

    /// The statement for who is registered as replica: column `Server_Id`.
    pub fn replicas(self) -> &'static str {
        self.say(&REPLICAS)
    }

    /// Starts the replica's threads.
    pub fn start_replica(self) -> &'static str {
        self.say(&START_REPLICA)
    }

    /// Stops the replica's threads.
    pub fn stop_replica(self) -> &'static str {
        self.say(&STOP_REPLICA)
    }

    /// Forgets the replica's position and relay logs; ` ALL` may follow.
    pub fn reset_replica(self) -> &'static str {
        self.say(&RESET_REPLICA)
    }

    /// The statement that sets a replica's source; options follow, named with [`Self::source_option`].
    pub fn change_source(self) -> &'static str {
        self.say(&CHANGE_SOURCE)
    }

    /// `SOURCE` or `MASTER`, the first word of options such as `SOURCE_HOST`.
    pub fn source_option(self) -> &'static str {
        self.say(&SOURCE_OPTION)
    }

    /// The session variable that makes a session apply as a replica does.
    pub fn pseudo_replica_mode(self) -> &'static str {
        self.say(&PSEUDO_REPLICA_MODE)
    }

    /// The global variable that names the errors which a server passes over in row events.
    pub fn replica_skip_errors(self) -> &'static str {
        self.say(&REPLICA_SKIP_ERRORS)
    }

    /// The global variable that says whether a replica writes what it applies to its own binlog.
    pub fn log_replica_updates(self) -> &'static str {
        self.say(&LOG_REPLICA_UPDATES)
    }

    /// The user variables that name the checksum a replica understands.
    pub fn checksum_variables(self) -> [&'static str; 2] {
        CHECKSUM
    }

    /// The user variables for the heartbeat's period in nanoseconds.
    pub fn heartbeat_variables(self) -> [&'static str; 2] {
        HEARTBEAT
    }

    /// The user variables for the replica's UUID.
    pub fn replica_uuid_variables(self) -> [&'static str; 2] {
        REPLICA_UUID
    }

    /// One `SET` that tells a source all of it before the dump: we understand the checksum it writes (which is how a
    /// native replica words it, `sql/rpl_replica.cc`), want heartbeats, and are the replica `uuid`.
    pub fn introduce_replica(self, heartbeat: Duration, uuid: &Uuid) -> String {
        let mut statement = String::from("SET ");
        for name in CHECKSUM {
            let _ = write!(statement, "{name} = @@GLOBAL.binlog_checksum, ");
        }
        for name in HEARTBEAT {
            let _ = write!(statement, "{name} = {}, ", heartbeat.as_nanos());
        }
        let [new, old] = REPLICA_UUID;
        let _ = write!(statement, "{new} = '{uuid}', {old} = '{uuid}'");
        if self.mariadb {
            let _ = write!(statement, ", {MARIADB_CAPABILITY}");
        }
        statement
    }

    fn say(self, wording: &Wording) -> &'static str {
        if !self.mariadb && self.version >= wording.since { wording.new } else { wording.old }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(version: &str) -> Dialect {
        Dialect::of(&Server::new(version, 1))
    }

    #[test]
    fn each_version_hears_the_words_it_knows() {
        let words = |version| {
            let dialect = dialect(version);
            [
                dialect.binary_log_status(),
                dialect.replica_status(),
                dialect.replicas(),
                dialect.start_replica(),
                dialect.change_source(),
                dialect.pseudo_replica_mode(),
            ]
        };
        let oldest = [
            "SHOW MASTER STATUS",
            "SHOW SLAVE STATUS",
            "SHOW SLAVE HOSTS",
            "START SLAVE",
            "CHANGE MASTER TO",
            "pseudo_slave_mode",
        ];
        let newest = [
            "SHOW BINARY LOG STATUS",
            "SHOW REPLICA STATUS",
            "SHOW REPLICAS",
            "START REPLICA",
            "CHANGE REPLICATION SOURCE TO",
            "pseudo_replica_mode",
        ];
        let mut between = newest;
        between[0] = oldest[0];
        assert_eq!(words("5.7.44-log"), oldest);
        assert_eq!(words("8.0.21"), oldest);
        assert_eq!(words("8.0.36"), between);
        assert_eq!(words("8.1.0"), between);
        assert_eq!(words("8.2.0"), newest);
        assert_eq!(words("8.4.3"), newest);
        assert_eq!(words("9.7.4"), newest);
        assert_eq!(words("5.5.5-10.11.6-MariaDB"), oldest);
        assert_eq!(words("11.8.2-MariaDB-ubu2404"), oldest);
    }

    #[test]
    fn a_replica_introduces_itself_to_old_and_new_servers_at_once() {
        let uuid = Uuid::from_u128(7);
        let said = dialect("8.0.36").introduce_replica(Duration::from_secs(5), &uuid);
        assert_eq!(
            said,
            "SET @source_binlog_checksum = @@GLOBAL.binlog_checksum, \
             @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_heartbeat_period = 5000000000, \
             @master_heartbeat_period = 5000000000, @replica_uuid = '00000000-0000-0000-0000-000000000007', \
             @slave_uuid = '00000000-0000-0000-0000-000000000007'"
        );
        let maria = dialect("10.11.6-MariaDB").introduce_replica(Duration::from_secs(5), &uuid);
        assert!(maria.ends_with("@mariadb_slave_capability = 4"));
    }
}
