//! A stand-in for Azure Database for MySQL, Flexible Server.
//!
//! What is like Azure: the administrator's grants (static and dynamic, the `mysql` schema read-only), TLS required,
//! generated invisible primary keys, names folded to lower case, binlog images MINIMAL, GTIDs off, the
//! `az_replication_*` procedures with their arguments. What is not: high availability, the platform's own accounts,
//! storage that turns read-only.

use std::fs;

use super::accounts::{self, AZADMIN, CLOUD_ADMINISTRATOR};
use super::certificates::Certificates;
use super::options::ServerOptions;
use super::server::Server;

/// An Azure-like target; its administrator is `AZADMIN`.
pub fn azure_like(name: &str) -> Server {
    Server::start(azure_options(name))
}

/// What `azure_like` starts, to be changed before `Server::start`: `gtid: true` for a highly available one,
/// `require_secure_transport: false` where a test reads along on the wire.
pub fn azure_options(name: &str) -> ServerOptions {
    ServerOptions {
        lower_case_table_names: 1,
        require_secure_transport: true,
        log_bin: "mysql-bin".to_owned(),
        setup,
        admin: AZADMIN,
        ..ServerOptions::new(name)
    }
    .line("sql_generate_invisible_primary_key=ON")
    .line("binlog_row_image=MINIMAL")
    .line("log_bin_trust_function_creators=ON")
    .line("partial_revokes=ON")
    .line("replicate_wild_ignore_table=mysql.%")
    .line("replicate_wild_ignore_table=information_schema.%")
    .line("replicate_wild_ignore_table=performance_schema.%")
    .line("replicate_wild_ignore_table=sys.%")
}

fn setup(certificates: &Certificates) -> String {
    let dynamic = "REPLICATION_APPLIER, ROLE_ADMIN, SESSION_VARIABLES_ADMIN, SHOW_ROUTINE, XA_RECOVER_ADMIN";
    let mut sql =
        [accounts::REPL.create(), accounts::REPL.grant("REPLICATION SLAVE, REPLICATION CLIENT")].concat();
    sql += &AZADMIN.create();
    for privileges in [CLOUD_ADMINISTRATOR, dynamic] {
        sql += &AZADMIN.grant(privileges).replace(';', " WITH GRANT OPTION;");
    }
    sql += "REVOKE INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, \
            LOCK TABLES, CREATE VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER ON mysql.* FROM azadmin@`%`;\n";
    sql + &procedures(certificates)
}

/// The procedures take the authority's certificate as text, while the server's statement takes a file: the text of
/// our authority leads to its file, any other to that of an authority that has signed nothing.
fn procedures(certificates: &Certificates) -> String {
    let ca = fs::read_to_string(certificates.ca()).unwrap_or_default();
    PROCEDURES
        .replace("{ca_text}", &ca.replace(['\r', '\n'], ""))
        .replace("{ca}", &certificates.ca().display().to_string())
        .replace("{other_ca}", &certificates.other_ca().display().to_string())
}

const PROCEDURES: &str = r"
CREATE USER azure_superuser@localhost IDENTIFIED BY 'azure-Secret1';
GRANT ALL ON *.* TO azure_superuser@localhost WITH GRANT OPTION;
DELIMITER $$
CREATE DEFINER=azure_superuser@localhost PROCEDURE mysql.az_replication_change_master(
  IN master_host VARCHAR(255), IN master_user VARCHAR(255), IN master_password VARCHAR(255), IN master_port INT,
  IN master_log_file VARCHAR(255), IN master_log_pos BIGINT, IN master_ssl_ca TEXT)
BEGIN
  CALL mysql.__az_change(master_host, master_user, master_password, master_port, master_ssl_ca,
    CONCAT('SOURCE_AUTO_POSITION=0, SOURCE_LOG_FILE=', QUOTE(master_log_file), ', SOURCE_LOG_POS=', master_log_pos));
END$$
CREATE DEFINER=azure_superuser@localhost PROCEDURE mysql.az_replication_change_master_with_gtid(
  IN master_host VARCHAR(255), IN master_user VARCHAR(255), IN master_password VARCHAR(255), IN master_port INT,
  IN master_ssl_ca TEXT)
BEGIN
  CALL mysql.__az_change(master_host, master_user, master_password, master_port, master_ssl_ca,
    'SOURCE_AUTO_POSITION=1');
END$$
CREATE DEFINER=azure_superuser@localhost PROCEDURE mysql.__az_change(
  IN host VARCHAR(255), IN user VARCHAR(255), IN password VARCHAR(255), IN port INT, IN ssl_ca TEXT, IN start TEXT)
BEGIN
  DECLARE flat TEXT DEFAULT REPLACE(REPLACE(ssl_ca, '\r', ''), '\n', '');
  DECLARE tls TEXT DEFAULT 'SOURCE_SSL=0';
  IF flat <> '' THEN
    SET tls = CONCAT('SOURCE_SSL=1, SOURCE_SSL_CA=', QUOTE(IF(INSTR(flat, '{ca_text}'), '{ca}', '{other_ca}')));
  END IF;
  SET @az_statement = CONCAT('CHANGE REPLICATION SOURCE TO SOURCE_HOST=', QUOTE(host), ', SOURCE_USER=', QUOTE(user),
    ', SOURCE_PASSWORD=', QUOTE(password), ', SOURCE_PORT=', port, ', SOURCE_CONNECT_RETRY=1',
    ', GET_SOURCE_PUBLIC_KEY=1, ', tls, ', ', start);
  PREPARE az_prepared FROM @az_statement;
  EXECUTE az_prepared;
  DEALLOCATE PREPARE az_prepared;
  SET @az_statement = NULL;
END$$
CREATE DEFINER=azure_superuser@localhost PROCEDURE mysql.az_replication_start()
BEGIN
  START REPLICA;
END$$
CREATE DEFINER=azure_superuser@localhost PROCEDURE mysql.az_replication_stop()
BEGIN
  STOP REPLICA;
END$$
CREATE DEFINER=azure_superuser@localhost PROCEDURE mysql.az_replication_remove_master()
BEGIN
  STOP REPLICA;
  RESET REPLICA ALL;
END$$
CREATE DEFINER=azure_superuser@localhost PROCEDURE mysql.az_replication_skip_counter()
BEGIN
  STOP REPLICA;
  SET GLOBAL sql_replica_skip_counter = 1;
  START REPLICA;
END$$
DELIMITER ;
";
