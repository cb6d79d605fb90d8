//! The test servers themselves: they replicate, refuse and break as the clouds they stand in for.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    ADMIN, APP, AZADMIN, Action, Direction, Edge, Identity, Match, Proxy, REPL, RdsLike, ReplicaOptions,
    Server, ServerOptions, Start, azure_like, azure_options, compare, dump_restore, native_replica, rds_like,
    rds_options, read_replica, read_replica_with, replicate, wait_caught_up, wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Some tables of several shapes: with a key, without one, and with types that are awkward to compare. The FLOAT is
/// one that mysqldump, which writes six digits, carries exactly.
const SHOP: &str = "
CREATE DATABASE shop;
CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, customer VARCHAR(40) NOT NULL, total DECIMAL(10,2),
  placed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6));
CREATE TABLE shop.log (line TEXT, f FLOAT, j JSON, p POINT, b BIT(9), e ENUM('a','b'), v VARBINARY(9));
INSERT INTO shop.orders (customer, total) VALUES ('ada', 1.10), ('grace', 22.22), ('edsger', NULL);
INSERT INTO shop.log VALUES ('one', 1.5, '{\"a\": [1, 2]}', POINT(1, 2), b'100000001', 'b', X'00FF'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('twice', 0, NULL, NULL, 0, 'a', ''), ('twice', 0, NULL, NULL, 0, 'a', '');
";

const MORE: &str = "
UPDATE shop.orders SET total = total + 1;
INSERT INTO shop.orders (customer, total) SELECT CONCAT(customer, '-again'), total FROM shop.orders;
DELETE FROM shop.log WHERE line IS NULL;
INSERT INTO shop.log (line) VALUES ('more');
ALTER TABLE shop.orders ADD COLUMN note VARCHAR(20) DEFAULT 'x';
";

#[track_caller]
fn app(server: &Server, sql: &str) {
    server.sql_as(APP, sql).unwrap();
}

/// Stops a read replica as its operator would and says where it stands in its source's binlog.
fn stop_and_note(replica: &Server) -> (String, String) {
    let said = replica.sql_as(ADMIN, "CALL mysql.rds_stop_replication").unwrap();
    assert_eq!(said, "Slave is now down or disabled");
    let status = replica.replica_status();
    assert_eq!((status["Replica_SQL_Running"].as_str(), status["Last_SQL_Error"].as_str()), ("No", ""));
    (status["Relay_Source_Log_File"].clone(), status["Exec_Source_Log_Pos"].clone())
}

/// The runbook with the cloud's own replication: everything a bridge will be tested with takes part.
#[test]
fn an_azure_like_server_replicates_from_an_rds_like_one_after_a_restored_dump() {
    let source = rds_like("source", "ROW");
    let replica = read_replica(&source);
    let target = azure_like("target");
    app(&source, SHOP);
    wait_caught_up(&replica, &source, LIMIT);
    let (file, position) = stop_and_note(&replica);
    app(&source, MORE);

    dump_restore(&replica, &target, &["shop"]);
    compare(&replica, &target, &["shop"]).unwrap();
    let behind = compare(&source, &target, &["shop"]).unwrap_err();
    assert!(behind.contains("shop.orders differs") && behind.contains("shop.log differs"), "{behind}");

    let ca = std::fs::read_to_string(source.ca_path()).unwrap();
    let change = format!(
        "CALL mysql.az_replication_change_master('localhost', '{}', '{}', {}, '{file}', {position}, '{ca}'); \
         CALL mysql.az_replication_start",
        REPL.user,
        REPL.password,
        source.port(),
    );
    target.sql_as(AZADMIN, &change).unwrap();
    wait_caught_up(&target, &source, LIMIT);
    compare(&source, &target, &["shop"]).unwrap();

    assert_eq!(replica.sql_as(ADMIN, "CALL mysql.rds_start_replication").unwrap(), "Slave running normally.");
    wait_caught_up(&replica, &source, LIMIT);
    compare(&source, &replica, &["shop"]).unwrap();
    target
        .sql_as(AZADMIN, "CALL mysql.az_replication_stop; CALL mysql.az_replication_remove_master")
        .unwrap();
    assert!(target.replica_status().is_empty());
}

#[test]
fn comparing_names_each_table_that_differs() {
    let left = Server::start(ServerOptions { lower_case_table_names: 0, ..ServerOptions::new("left") });
    let right = azure_like("right");
    let tables = "CREATE DATABASE Shop; CREATE TABLE Shop.Same (a INT PRIMARY KEY); INSERT INTO Shop.Same VALUES (1);
        CREATE TABLE Shop.Keyed (a INT PRIMARY KEY, b INT); CREATE TABLE Shop.Keyless (a INT, b FLOAT);
        INSERT INTO Shop.Keyed VALUES (1, 1), (2, 2); INSERT INTO Shop.Keyless VALUES (1, 1.5), (1, 1.5), (2, 1.5);";
    app(&left, tables);
    right.sql_as(AZADMIN, tables).unwrap();
    compare(&left, &right, &["Shop"]).unwrap();

    right.sql_as(AZADMIN, "UPDATE shop.keyed SET b = NULL WHERE a = 2").unwrap();
    // The rows {1, 1, 2} and {1, 2, 2}: an XOR of hashes would be deceived by {1, 1} and {2, 2}.
    right.sql_as(AZADMIN, "UPDATE shop.keyless SET a = 2 LIMIT 2").unwrap();
    app(&left, "CREATE TABLE Shop.Alone (a INT)");
    let differences = compare(&left, &right, &["Shop"]).unwrap_err();
    let lines: Vec<&str> = differences.lines().collect();
    assert_eq!(lines.len(), 3, "{differences}");
    assert_eq!(lines[0], "shop.alone is not on right");
    assert!(lines[1].starts_with("shop.keyed differs (left: 2 rows, "), "{differences}");
    assert!(lines[2].starts_with("shop.keyless differs (left: 3 rows, "), "{differences}");
}

#[test]
fn the_azure_like_administrator_has_azures_privileges_and_no_others() {
    let target = azure_like("target");
    let grants = target.sql_as(AZADMIN, "SHOW GRANTS").unwrap();
    let dynamic = grants.lines().find(|line| line.contains("REPLICATION_APPLIER")).unwrap();
    let expected =
        "GRANT REPLICATION_APPLIER,ROLE_ADMIN,SESSION_VARIABLES_ADMIN,SHOW_ROUTINE,XA_RECOVER_ADMIN ON *.*";
    assert!(dynamic.starts_with(expected), "{grants}");
    assert!(!grants.contains("SUPER") && !grants.contains("FILE"), "{grants}");

    let allowed = "SET pseudo_replica_mode = 1; SET gtid_next = 'AUTOMATIC'; SET sql_log_bin = 0; SET sql_log_bin = 1;
        SET SESSION sql_generate_invisible_primary_key = 0; SHOW REPLICA STATUS; SELECT COUNT(*) FROM mysql.user;
        CREATE USER guest IDENTIFIED BY 'guest-Secret1'; GRANT REPLICATION_APPLIER, SELECT ON *.* TO guest";
    target.sql_as(AZADMIN, allowed).unwrap();
    for refused in ["SET GLOBAL max_connections = 10", "LOCK INSTANCE FOR BACKUP", "STOP REPLICA"] {
        let error = target.sql_as(AZADMIN, refused).unwrap_err();
        assert!(error.contains("ERROR 1227"), "{refused}: {error}");
    }
    let read_only = target.sql_as(AZADMIN, "DELETE FROM mysql.user").unwrap_err();
    assert!(read_only.contains("ERROR 1142"), "{read_only}");
    let names =
        target.sql("SELECT @@lower_case_table_names, @@sql_generate_invisible_primary_key, @@gtid_mode");
    assert_eq!(names, "1\t1\tOFF");
}

#[test]
fn the_azure_like_server_refuses_clients_without_tls() {
    let target = azure_like("target");
    let plain = |arguments: &[&str]| {
        let mut client = target.mysql().mysql();
        client.args(["--no-defaults", "--protocol=TCP", "-h127.0.0.1", "-uazadmin", "-e", "SELECT 1"]);
        client.arg(format!("-P{}", target.port())).arg(format!("-p{}", AZADMIN.password)).args(arguments);
        String::from_utf8(client.output().unwrap().stderr).unwrap()
    };
    let insecure = plain(&["--ssl-mode=DISABLED", "--get-server-public-key"]);
    assert!(insecure.contains("ERROR 3159"), "{insecure}");
    let other = format!("--ssl-ca={}", target.certificates().other_ca().display());
    let wrong = plain(&["--ssl-mode=VERIFY_CA", &other]);
    assert!(wrong.contains("ERROR 2026"), "{wrong}");
}

#[test]
fn an_authority_the_source_was_not_signed_by_keeps_azures_replication_from_connecting() {
    let source = rds_like("source", "ROW");
    let target = azure_like("target");
    let other = std::fs::read_to_string(target.certificates().other_ca()).unwrap();
    let call = format!(
        "CALL mysql.az_replication_change_master('localhost', '{}', '{}', {}, '', 4, '{other}'); \
         CALL mysql.az_replication_start",
        REPL.user,
        REPL.password,
        source.port()
    );
    target.sql_as(AZADMIN, &call).unwrap();
    wait_until("the channel reports its error", LIMIT, || {
        target.replica_status()["Last_IO_Error"].contains("SSL")
    });
}

/// The events of all of a server's binlogs: type and text.
fn events(server: &Server) -> Vec<String> {
    let logs = server.sql("SHOW BINARY LOGS");
    let names = logs.lines().filter_map(|line| line.split('\t').next());
    let shown = names.map(|name| server.sql(&format!("SHOW BINLOG EVENTS IN '{name}'")));
    shown.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn an_rds_like_source_writes_its_heartbeat_as_a_statement_even_in_row_format() {
    let source = rds_like("source", "ROW");
    app(&source, SHOP);
    wait_until("a second heartbeat", LIMIT, || {
        events(&source).iter().filter(|event| event.contains("INSERT INTO mysql.rds_heartbeat2")).count() >= 2
    });
    let events = events(&source);
    assert!(events.iter().all(|event| !event.contains("table_id") || !event.contains("rds_heartbeat2")));
    assert!(events.iter().any(|event| event.contains("Write_rows")));
    assert!(events.iter().all(|event| !event.contains("CREATE USER")), "set-up must not be binlogged");
    assert!(source.coordinates().file.starts_with("mysql-bin-changelog."));
}

#[test]
fn a_mixed_source_writes_statements_and_its_read_replica_makes_rows_of_them() {
    let mut source = rds_like("source", "MIXED");
    source.stop_heartbeat();
    let replica = read_replica(&source);
    app(&source, SHOP);
    app(&source, "UPDATE shop.orders SET total = 5 WHERE id = 1");
    wait_caught_up(&replica, &source, LIMIT);
    assert!(events(&source).iter().any(|event| event.contains("UPDATE shop.orders SET total = 5")));
    assert!(!events(&source).iter().any(|event| event.contains("Update_rows")));
    assert!(events(&replica).iter().any(|event| event.contains("Update_rows")));
    compare(&source, &replica, &["shop"]).unwrap();
}

#[test]
fn with_gtids_everything_replicates_by_auto_position() {
    let source = RdsLike::start(ServerOptions { gtid: true, ..rds_options("source", "ROW") });
    let options = ServerOptions { gtid: true, ..rds_options("replica", "ROW") };
    let replica = read_replica_with(&source, options);
    let target = Server::start(ServerOptions { gtid: true, ..azure_options("target") });
    app(&source, SHOP);
    let ca = std::fs::read_to_string(source.ca_path()).unwrap();
    let call = format!(
        "CALL mysql.az_replication_change_master_with_gtid('localhost', '{}', '{}', {}, '{ca}'); \
         CALL mysql.az_replication_start",
        REPL.user,
        REPL.password,
        source.port()
    );
    target.sql_as(AZADMIN, &call).unwrap();
    for follower in [&replica, &target] {
        wait_caught_up(follower, &source, LIMIT);
        compare(&source, follower, &["shop"]).unwrap();
    }
    assert!(target.sql("SELECT @@gtid_executed").contains(&source.sql("SELECT @@server_uuid")));
}

#[test]
fn native_replicas_keep_up_with_one_worker_and_with_four() {
    let source = rds_like("source", "ROW");
    let start = Start::At(source.coordinates());
    let one = native_replica(&source, ReplicaOptions::new("one", 1), &start);
    let unordered = ReplicaOptions { preserve_commit_order: false, ..ReplicaOptions::new("four", 4) };
    let four = native_replica(&source, unordered, &Start::Beginning);
    app(&source, SHOP);
    app(&source, MORE);
    assert_eq!(four.sql("SELECT @@replica_parallel_workers, @@replica_preserve_commit_order"), "4\t0");
    for replica in [&one, &four] {
        wait_caught_up(replica, &source, LIMIT);
        compare(&source, replica, &["shop"]).unwrap();
    }
}

#[test]
fn a_server_keeps_its_data_and_port_over_restart_and_kill_and_loses_them_at_reset() {
    let options = ServerOptions { durable: true, ..ServerOptions::new("server") };
    let server = Server::start(options);
    app(&server, SHOP);
    let counted = |server: &Server| server.sql_as(APP, "SELECT COUNT(*) FROM shop.orders");
    server.restart();
    assert_eq!(counted(&server).unwrap(), "3");
    app(&server, "INSERT INTO shop.orders (customer) VALUES ('barbara')");
    server.kill();
    assert!(counted(&server).is_err());
    server.start_again();
    assert_eq!(counted(&server).unwrap(), "4");
    server.restart_with(|options| options.lines.push("read_only=ON".to_owned()));
    let refused = server.sql_as(APP, "DELETE FROM shop.orders").unwrap_err();
    assert!(refused.contains("ERROR 1290"), "{refused}");
    server.reset();
    assert_eq!(server.sql("SHOW DATABASES LIKE 'shop'"), "");
    assert!(server.cpu_seconds() > 0.0);
}

#[test]
fn clients_trust_servers_as_far_as_their_certificates_allow() {
    for identity in [Identity::OtherName, Identity::SelfSigned, Identity::None] {
        let server = Server::start(ServerOptions { identity, ..ServerOptions::new("server") });
        let cipher = server.sql_as(APP, "SHOW STATUS LIKE 'Ssl_cipher'").unwrap();
        assert_eq!(cipher == "Ssl_cipher\t", identity == Identity::None, "{identity:?}: {cipher}");
        let mut client = server.cli_as(APP);
        let ca = format!("--ssl-ca={}", server.ca_path().display());
        let strict = client.args([&ca, "--ssl-mode=VERIFY_IDENTITY", "-e", "SELECT 1"]).output().unwrap();
        assert!(!strict.status.success(), "{identity:?} passes for localhost");
    }
}

#[test]
fn a_session_tells_errors_from_rows_and_survives_them() {
    let server = Server::start(ServerOptions::new("server").line("performance_schema=ON"));
    let mut session = server.session_as(APP).unwrap();
    assert_eq!(session.run("SELECT 1, 'two'; SELECT 3").unwrap(), "1\ttwo\n3");
    let error = session.run("SELECT nothing; DO 0").unwrap_err();
    assert!(error.starts_with("ERROR 1054 "), "{error}");
    assert_eq!(session.run("SELECT 4").unwrap(), "4");
    server.kill();
    assert!(session.run("SELECT 5").is_err());
}

#[test]
fn replication_through_a_proxy_takes_its_delay_and_survives_its_cuts() {
    let mut source = rds_like("source", "ROW");
    source.stop_heartbeat();
    let replica = Server::start(ServerOptions::new("replica"));
    let proxy = Proxy::start(source.port());
    proxy.set_delay(Duration::from_millis(20));
    replicate(&replica, proxy.port(), &Start::At(source.coordinates()));
    app(&source, SHOP);
    wait_caught_up(&replica, &source, LIMIT);
    let start = Instant::now();
    app(&source, "INSERT INTO shop.orders (customer) VALUES ('late')");
    wait_caught_up(&replica, &source, LIMIT);
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert!(proxy.bytes(Direction::ToClient) > 1000);

    proxy.cut_now();
    app(&source, MORE);
    wait_caught_up(&replica, &source, LIMIT);
    assert!(proxy.connections() >= 2 && proxy.cuts() >= 1);
    compare(&source, &replica, &["shop"]).unwrap();
}

#[test]
fn an_answer_can_be_lost_under_tls_and_its_statement_is_done_all_the_same() {
    let target = azure_like("target");
    let proxy = Proxy::start(target.port());
    target.sql_as(AZADMIN, "CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY)").unwrap();
    let mut session = target.session_through(AZADMIN, proxy.port()).unwrap();
    proxy.arm(Direction::ToClient, Match::Frame { at_least: 1, nth: 1 }, Edge::Before, Action::Cut);
    let lost = session.run("INSERT INTO d.t VALUES (1)").unwrap_err();
    assert!(lost.starts_with("ERROR 2013"), "{lost}");
    proxy.wait_fired(1, LIMIT);
    assert_eq!(target.sql("SELECT COUNT(*) FROM d.t"), "1");
}

#[test]
fn a_plain_connection_can_be_cut_before_its_commit_reaches_the_server() {
    let options = ServerOptions {
        require_secure_transport: false,
        identity: Identity::None,
        ..azure_options("target")
    };
    let target = Server::start(options);
    let proxy = Proxy::start(target.port());
    target.sql_as(AZADMIN, "CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY)").unwrap();
    let mut session = target.session_through(AZADMIN, proxy.port()).unwrap();
    proxy.cut_when(Direction::ToServer, b"COMMIT", 2, Edge::Before);
    session.run("BEGIN; INSERT INTO d.t VALUES (1); COMMIT").unwrap();
    session.run("BEGIN; INSERT INTO d.t VALUES (2); COMMIT").unwrap_err();
    wait_until("the server has given up the transaction", LIMIT, || {
        target.sql("SELECT COUNT(*) FROM information_schema.innodb_trx") == "0"
    });
    assert_eq!(target.sql("SELECT a FROM d.t"), "1");
}

#[test]
fn packets_of_a_lost_connection_can_run_after_the_next_one_is_open() {
    let options = ServerOptions { identity: Identity::None, ..ServerOptions::new("target") };
    let target = Server::start(options);
    let proxy = Proxy::start(target.port());
    app(&target, "CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY)");
    let mut old = target.session_through(APP, proxy.port()).unwrap();
    let held = Action::Hold(Direction::ToServer);
    proxy.arm(Direction::ToServer, Match::Pattern(b"INSERT".to_vec(), 1), Edge::Before, held);
    let sent = std::thread::spawn(move || old.run("INSERT INTO d.t VALUES (1)"));
    wait_until("the packet is in the proxy", LIMIT, || proxy.waiting(Direction::ToServer) > 0);
    proxy.sever_clients();
    sent.join().unwrap().unwrap_err();

    let mut new = target.session_through(APP, proxy.port()).unwrap();
    assert_eq!(new.run("SELECT COUNT(*) FROM d.t").unwrap(), "0");
    proxy.release_severed();
    wait_until("the old packet has run", LIMIT, || new.run("SELECT COUNT(*) FROM d.t").unwrap() == "1");
}

/// Data-in Replication's replacement in one line: what a bridge needs of the account.
#[test]
fn the_azure_like_administrator_may_apply_row_events() {
    let source = Server::start(ServerOptions::new("source"));
    let target = azure_like("target");
    app(&source, "CREATE DATABASE d; CREATE TABLE d.keyless (a INT, b TEXT)");
    target.sql_as(AZADMIN, "CREATE DATABASE d; CREATE TABLE d.keyless (a INT, b TEXT)").unwrap();
    let start = source.coordinates();
    app(&source, "INSERT INTO d.keyless VALUES (1, 'x'), (2, 'y'); UPDATE d.keyless SET b = 'z' WHERE a = 1");
    let mut reader = source.mysql().mysqlbinlog();
    reader.arg("--no-defaults").arg(format!("--start-position={}", start.offset));
    reader.arg(source.data_folder().join(&start.file));
    let events = String::from_utf8(reader.output().unwrap().stdout).unwrap();
    assert!(events.contains("BINLOG '"), "{events}");
    target.sql_as(AZADMIN, &events).unwrap();
    compare(&source, &target, &["d"]).unwrap();
}

/// Not a test: what the next one starts and kills.
#[test]
#[ignore = "started by another test"]
fn a_server_whose_process_is_killed() {
    let Some(file) = std::env::var_os("BINBRIDGE_PID_FILE") else { return };
    let server = Server::start(ServerOptions::new("orphan"));
    let file = Path::new(&file);
    std::fs::write(file.with_extension("new"), server.pid().to_string()).unwrap();
    std::fs::rename(file.with_extension("new"), file).unwrap();
    std::thread::sleep(LIMIT);
}

#[test]
fn no_server_outlives_a_killed_test() {
    for watchdog in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "servers::a_server_whose_process_is_killed", "--ignored"]);
        // Its own folder stays behind, so it is put where it goes with this one.
        command.env("TMPDIR", folder.path());
        command.env("BINBRIDGE_PID_FILE", &pid_file).stdout(Stdio::null()).stderr(Stdio::null());
        if watchdog {
            command.env("BINBRIDGE_WATCHDOG", "1");
        }
        let mut child = command.spawn().unwrap();
        wait_until("the server runs", LIMIT, || pid_file.exists());
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        let own = Path::new("/proc").join(pid);
        assert!(own.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until("the server is gone", LIMIT, || !alive(&own));
    }
}

/// A killed process whose parent has gone may stay as a zombie where nobody reaps.
fn alive(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}
