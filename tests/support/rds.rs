//! A stand-in for AWS RDS for MySQL, and for its read replica.
//!
//! What is like RDS: the accounts and what they may, names as they are, the default format MIXED before 8.4, names of
//! binlog files, heartbeats that are statements whatever the format, the `rds_*` procedures. What is not: its storage,
//! its network, and binlogs are not purged.

use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::accounts::{self, ADMIN, CLOUD_ADMINISTRATOR};
use super::certificates::Certificates;
use super::install::mysqld;
use super::options::ServerOptions;
use super::replica::{Start, replicate};
use super::server::{Server, root_cli};
use super::session::Session;

const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// An RDS-like server with its heartbeat; dereferences to the server.
pub struct RdsLike {
    // Stopped before the server it writes to.
    heartbeat: Option<Heartbeat>,
    server: Server,
}

/// An RDS-like source that writes its binlog in `format` (ROW or MIXED).
pub fn rds_like(name: &str, format: &str) -> RdsLike {
    RdsLike::start(rds_options(name, format))
}

/// What `rds_like` starts, to be changed before `RdsLike::start`.
pub fn rds_options(name: &str, format: &str) -> ServerOptions {
    ServerOptions {
        binlog_format: format.to_owned(),
        log_bin: "mysql-bin-changelog".to_owned(),
        setup,
        admin: ADMIN,
        ..ServerOptions::new(name)
    }
    .line("log_bin_trust_function_creators=ON")
}

impl RdsLike {
    /// Starts a server with `options` (made by [`rds_options`]) and its heartbeat.
    pub fn start(options: ServerOptions) -> Self {
        let server = Server::start(options);
        let heartbeat = Heartbeat::start(server.socket());
        Self { heartbeat: Some(heartbeat), server }
    }

    /// No more heartbeats: an idle source is silent from here on.
    pub fn stop_heartbeat(&mut self) {
        self.heartbeat = None;
    }
}

impl Deref for RdsLike {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// A read replica of `source`, started as it was created; it writes row events into its own binlog. Its account
/// `ADMIN` may call `mysql.rds_stop_replication` and read the replica's status.
pub fn read_replica(source: &RdsLike) -> Server {
    read_replica_with(source, rds_options("read-replica", "ROW"))
}

/// A read replica with `options` (made by [`rds_options`]); with GTIDs if it has them.
pub fn read_replica_with(source: &RdsLike, options: ServerOptions) -> Server {
    let start = if options.gtid { Start::AutoPosition } else { Start::Beginning };
    let replica = Server::start(options.line("read_only=ON"));
    replicate(&replica, source.port(), &start.of(source));
    replica
}

fn setup(_: &Certificates) -> String {
    let mut administrator = CLOUD_ADMINISTRATOR.to_owned();
    administrator += ", ROLE_ADMIN, APPLICATION_PASSWORD_ADMIN, XA_RECOVER_ADMIN";
    if mysqld().version() >= (8, 4, 0) {
        administrator += ", FLUSH_OPTIMIZER_COSTS, FLUSH_STATUS, FLUSH_TABLES, FLUSH_USER_RESOURCES, \
                          SESSION_VARIABLES_ADMIN, SET_ANY_DEFINER, SHOW_ROUTINE";
    } else {
        administrator += ", SET_USER_ID";
    }
    let grant = ADMIN.grant(&administrator).replace(';', " WITH GRANT OPTION;");
    [&accounts::common(), &ADMIN.create(), &grant, PROCEDURES].concat()
}

/// The tables and procedures as RDS has them, as far as a bridge meets them.
const PROCEDURES: &str = "
CREATE USER rdsadmin@localhost IDENTIFIED BY 'rdsadmin-Secret1';
GRANT ALL ON *.* TO rdsadmin@localhost WITH GRANT OPTION;
CREATE TABLE mysql.rds_heartbeat2 (id INT NOT NULL PRIMARY KEY, value BIGINT);
CREATE TABLE mysql.rds_configuration (name VARCHAR(100) NOT NULL PRIMARY KEY, value VARCHAR(100),
  description VARCHAR(300) NOT NULL);
INSERT INTO mysql.rds_configuration VALUES ('binlog retention hours', NULL,
  'binlog retention hours specifies the duration in hours before binary logs are automatically deleted.'),
  ('source delay', '0', 'source delay specifies replication delay in seconds between current instance and its master.');
CREATE TABLE mysql.rds_history (action_timestamp TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
  called_by_user VARCHAR(50) NOT NULL, action VARCHAR(20) NOT NULL, mysql_version VARCHAR(50) NOT NULL);
DELIMITER $$
CREATE DEFINER=rdsadmin@localhost PROCEDURE mysql.rds_stop_replication()
BEGIN
  SET @@session.sql_log_bin = OFF;
  INSERT INTO mysql.rds_history(called_by_user, action, mysql_version) VALUES (USER(), 'disable slave', VERSION());
  STOP REPLICA;
  SET @@session.sql_log_bin = ON;
  SELECT 'Slave is now down or disabled' AS Message;
END$$
CREATE DEFINER=rdsadmin@localhost PROCEDURE mysql.rds_start_replication()
BEGIN
  SET @@session.sql_log_bin = OFF;
  INSERT INTO mysql.rds_history(called_by_user, action, mysql_version) VALUES (USER(), 'enable slave', VERSION());
  START REPLICA;
  SET @@session.sql_log_bin = ON;
  SELECT 'Slave running normally.' AS Message;
END$$
CREATE DEFINER=rdsadmin@localhost PROCEDURE mysql.rds_set_configuration(IN given_name VARCHAR(30), IN given_value INT)
BEGIN
  IF given_name = 'binlog retention hours' AND (given_value < 1 OR given_value > 168) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'For binlog retention hours the value must be between 1 and 168';
  END IF;
  SET @@session.sql_log_bin = OFF;
  UPDATE mysql.rds_configuration SET value = given_value WHERE name = given_name;
  SET @@session.sql_log_bin = ON;
END$$
CREATE DEFINER=rdsadmin@localhost PROCEDURE mysql.rds_show_configuration()
BEGIN
  SELECT name, value, description FROM mysql.rds_configuration;
END$$
CREATE DEFINER=rdsadmin@localhost PROCEDURE mysql.rds_kill(IN given_id BIGINT)
BEGIN
  KILL given_id;
END$$
DELIMITER ;
";

/// The thread that writes heartbeats; it survives restarts of the server and ends when dropped.
struct Heartbeat {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    fn start(socket: PathBuf) -> Self {
        let (stop, stopped) = sync_channel(0);
        let beat = move || {
            let mut session = None;
            while stopped.recv_timeout(HEARTBEAT_EVERY) == Err(RecvTimeoutError::Timeout) {
                let written = match session.as_mut() {
                    Some(session) => write_heartbeat(session).is_ok(),
                    None => false,
                };
                if !written {
                    // The server may be down: the next beat tries again.
                    session = connect(root_cli(mysqld().mysql(), &socket)).ok();
                }
            }
        };
        let thread = std::thread::Builder::new().name("heartbeat".into()).spawn(beat);
        Self { stop: Some(stop), thread: Some(thread.expect("a thread for heartbeats")) }
    }
}

fn connect(client: Command) -> Result<Session, String> {
    let mut session = Session::start(client)?;
    session.run("SET SESSION binlog_format = STATEMENT")?;
    write_heartbeat(&mut session)?;
    Ok(session)
}

fn write_heartbeat(session: &mut Session) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    session.run(&format!(
        "INSERT INTO mysql.rds_heartbeat2(id, value) values (1,{now}) ON DUPLICATE KEY UPDATE value = {now}"
    ))
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
