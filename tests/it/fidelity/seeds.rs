//! Where a bridge can start: everything that people have of a stopped replica leads to the same place, and from there
//! nothing is lost or doubled.

use std::process::Command;

use super::*;
use crate::support::{
    ADMIN, APP, AZADMIN, Coordinates, RdsLike, azure_like, dump_restore, rds_options, read_replica_with,
};

/// Each commit counts itself.
fn write(source: &Server, count: u32) {
    let commit =
        |n| format!("BEGIN; INSERT INTO app.t (v) VALUES ('{n}'); UPDATE app.c SET n = n + 1; COMMIT;");
    let sql = (0..count).map(commit).collect::<Vec<_>>().concat();
    source.sql_as(APP, &sql).unwrap();
}

fn stored(target: &Server, name: &str) -> String {
    target.sql(&format!("SELECT CONCAT_WS(' ', low_file, low_pos, low_gtid_set) FROM binbridge.progress WHERE bridge = '{name}'"))
}

#[track_caller]
fn position(bridge: &Bridge, args: &[&str]) -> String {
    let output = bridge.output(&[&["position"], args].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn options(source: &Server, target: &Server, name: &str) -> BridgeOptions {
    let mut options = BridgeOptions::new(source, target);
    options.set("bridge.name", &format!("\"{name}\""));
    options
}

/// The head of a dump, up to the first table.
fn dump_head(of: &Server, arguments: &[&str]) -> String {
    let mut dump: Command = of.mysql().mysqldump();
    dump.args(["--no-defaults", "-uroot", "-S"])
        .arg(of.socket())
        .args(arguments)
        .args(["--databases", "app"]);
    let output = dump.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn whatever_is_known_of_a_stopped_replica_leads_to_the_same_start() {
    let source = RdsLike::start(with_gtids("source"));
    let replica = read_replica_with(&source, with_gtids("replica"));
    let target = azure_like("target");
    source.sql_as(APP, "CREATE DATABASE app; CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(99)); CREATE TABLE app.c (n INT PRIMARY KEY); INSERT INTO app.c VALUES (0)").unwrap();
    write(&source, 20);
    source.sql("SET gtid_next = 'AUTOMATIC:migration'; INSERT INTO app.t (v) VALUES ('tagged'); INSERT INTO app.t (v) VALUES ('tagged')");
    wait_caught_up(&replica, &source, LIMIT);
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.txt");
    let text = |text: &str| {
        std::fs::write(&saved, text).unwrap();
        saved.to_str().unwrap().to_owned()
    };
    let address = format!("127.0.0.1:{}", replica.port());

    of_a_running_replica(&source, &replica, &target, &saved);
    replica.sql_as(ADMIN, "CALL mysql.rds_stop_replication").unwrap();
    let status = replica.replica_status();
    let start = Coordinates {
        file: status["Relay_Source_Log_File"].clone(),
        offset: status["Exec_Source_Log_Pos"].parse().unwrap(),
    };
    let place = format!("{} {}", start.file, start.offset);
    let executed = replica.sql("SELECT REPLACE(@@gtid_executed, '\n', '')");
    assert!(executed.contains(":migration:1-2"), "{executed}");
    write(&source, 20);

    let by_file = |name: &str, args: &[&str]| {
        let bridge = Bridge::new(options(&source, &target, name));
        position(&bridge, args);
        assert_eq!(stored(&target, name), place, "{name}");
    };
    by_file("replica", &["--replica", &address]);
    by_file("status", &[&text(&replica_status(&replica))]);
    let old = replica_status(&replica)
        .replace("Source_", "Master_")
        .replace("Replica_", "Slave_")
        .replace("_Source", "_Master");
    by_file("slave-status", &[&text(&old)]);
    of_another_server(&source, &replica, &target, &address, &text(&replica_status(&replica)));
    let by_gtid = |name: &str, args: &[&str]| {
        let bridge = Bridge::new(options(&source, &target, name));
        position(&bridge, args);
        stored(&target, name)
    };
    for (name, args) in [
        ("set", &["--gtid-set", &executed][..]),
        ("replica-gtid", &["--replica", &address, "--by-gtid"]),
        ("status-gtid", &["--by-gtid", &text(&replica_status(&replica))]),
    ] {
        let set = by_gtid(name, args);
        assert_eq!(
            replica.sql(&format!(
                "SELECT GTID_SUBSET('{set}', @@gtid_executed) AND GTID_SUBSET(@@gtid_executed, '{set}')"
            )),
            "1",
            "{name}: {set}"
        );
    }

    runs_from(&source, &replica, &target, &options(&source, &target, "replica"));
    runs_from(&source, &replica, &target, &options(&source, &target, "set"));
    from_the_replicas_own_log(
        &source,
        &replica,
        &target,
        &address,
        &text(&dump_head(&replica, &["--source-data=2", "--single-transaction", "--set-gtid-purged=OFF"])),
    );
}

/// Of a replica that runs nothing can be taken, but by a dump that stops it.
fn of_a_running_replica(source: &Server, replica: &Server, target: &Server, saved: &std::path::Path) {
    let text = |text: &str| {
        std::fs::write(saved, text).unwrap();
        saved.to_str().unwrap().to_owned()
    };
    let address = format!("127.0.0.1:{}", replica.port());
    let bridge = Bridge::new(options(source, target, "early"));
    let output = bridge.output(&["position", "--replica", &address]);
    assert_eq!(output.status.code(), Some(65));
    let running = replica_status(replica);
    assert_eq!(bridge.output(&["position", &text(&running)]).status.code(), Some(65));

    // mysqldump stops the applier for its time, and starts it again.
    let dump = dump_head(replica, &["--dump-replica=2", "--single-transaction", "--set-gtid-purged=OFF"]);
    let said = position(&bridge, &["--dry-run", &text(&dump)]);
    let told = dump.lines().find(|line| line.contains("SOURCE_LOG_FILE")).unwrap();
    let digits =
        |text: &str| text.rsplit('=').next().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).to_owned();
    assert!(said.contains(&digits(told)) && said.contains("stored:   nothing"), "{told}\n{said}");
}

/// Places in another server's binlog are refused, whatever its files are called.
fn of_another_server(source: &Server, replica: &Server, target: &Server, address: &str, status: &str) {
    for (from, args) in [
        (replica, &["position", "--dry-run", status][..]),
        (source, &["position", "--dry-run", "--replica", address, "--own-binlog"]),
    ] {
        let output = Bridge::new(options(from, target, "elsewhere")).output(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(said.contains("BB1004") && said.contains("make that server the source"), "{said}");
    }
}

/// With GTIDs; the replica writes rows, the source what RDS does before 8.4.
fn with_gtids(name: &str) -> ServerOptions {
    let format = if name == "replica" { "ROW" } else { "MIXED" };
    ServerOptions { gtid: true, ..rds_options(name, format) }
}

fn replica_status(replica: &Server) -> String {
    let output = replica.cli().args(["-E", "-e", "SHOW REPLICA STATUS"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The copy of the stopped replica, and the source's log from there on.
fn runs_from(source: &RdsLike, replica: &Server, target: &Server, options: &BridgeOptions) {
    target.sql_as(AZADMIN, "DROP DATABASE IF EXISTS app").unwrap();
    dump_restore(replica, target, &["app"]);
    let mut bridge = Bridge::new(options.clone());
    bridge.run();
    bridge.wait_caught_up(source, LIMIT);
    write(source, 5);
    bridge.wait_caught_up(source, LIMIT);
    compare(source, target, &["app"]).unwrap();
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    // And again from where it stopped.
    write(source, 5);
    bridge.run();
    bridge.wait_caught_up(source, LIMIT);
    compare(source, target, &["app"]).unwrap();
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    assert!(!bridge.log().contains("level=warn"), "{}", bridge.log());
}

/// The replica as the bridge's source: rows, although its own source writes statements.
fn from_the_replicas_own_log(source: &RdsLike, replica: &Server, target: &Server, address: &str, dump: &str) {
    target.sql_as(AZADMIN, "DROP DATABASE IF EXISTS app").unwrap();
    dump_restore(replica, target, &["app"]);
    let own = replica.coordinates();
    let mut bridge = Bridge::new(options(replica, target, "own"));
    position(&bridge, &["--replica", address, "--own-binlog"]);
    assert_eq!(stored(target, "own"), format!("{} {}", own.file, own.offset));
    let other = Bridge::new(options(replica, target, "own-dump"));
    position(&other, &[dump, "--whose", "itself"]);
    assert_eq!(stored(target, "own-dump"), format!("{} {}", own.file, own.offset));

    replica.sql_as(ADMIN, "CALL mysql.rds_start_replication").unwrap();
    bridge.run();
    write(source, 5);
    wait_caught_up(replica, source, LIMIT);
    bridge.wait_caught_up(replica, LIMIT);
    compare(source, target, &["app"]).unwrap();
    let status = bridge.status().unwrap().to_string();
    assert!(!bridge.log().contains("level=warn"), "{status}\n{}", bridge.log());
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
}
