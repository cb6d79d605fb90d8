//! `apply.gtid = "preserve"`: the target has the source's GTIDs, and its own replication can go on from them.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    Bridge, BridgeOptions, RdsLike, SCHEMAS, Server, ServerOptions, Start, Workload, azure_options, compare,
    rds_like, rds_options, replicate, wait_caught_up,
};

const LIMIT: Duration = Duration::from_secs(60);

fn target() -> Server {
    Server::start(ServerOptions { gtid: true, ..azure_options("target") })
}

#[test]
fn preserved_gtids_let_native_replication_go_on_by_auto_position() {
    let source = RdsLike::start(ServerOptions { gtid: true, ..rds_options("source", "ROW") });
    let source = Arc::new(source);
    let target = target();
    let before = source.sql("SELECT @@global.gtid_executed");
    let mut options = BridgeOptions::new(&source, &target);
    options.set("apply.gtid", "\"preserve\"").set("apply.workers", "4");
    let mut bridge = Bridge::started(options, &source.coordinates());
    let workload = Workload::start(&source, 7);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(700));
        bridge.kill();
        bridge.run();
    }
    workload.stop(&source);
    source.sql(
        "XA START 'p'; INSERT INTO Shop.Journal (client, n) VALUES (99, 1); XA END 'p'; XA PREPARE 'p'; XA COMMIT 'p'; \
         CREATE TABLE Shop.Chosen AS SELECT * FROM Shop.Journal",
    );
    let all = source.sql("SELECT @@global.gtid_executed");
    bridge.wait_caught_up(&source, LIMIT);
    compare(&source, &target, &SCHEMAS).unwrap();
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    let missing = target
        .sql(&format!("SELECT GTID_SUBTRACT(GTID_SUBTRACT('{all}', '{before}'), @@global.gtid_executed)"));
    assert_eq!(missing, "", "the target has every GTID");
    // The target's own replication does not know what came before the copy.
    target.sql(&format!("SET GLOBAL gtid_purged = '+{before}'"));
    replicate(&target, source.port(), &Start::AutoPosition);
    source.sql("INSERT INTO Shop.Journal (client, n) VALUES (99, 2)");
    wait_caught_up(&target, &source, LIMIT);
    compare(&source, &target, &SCHEMAS).unwrap();
}

/// The statement and the rows are two commits on the target, and one GTID on the source.
#[cfg(feature = "failpoints")]
#[test]
fn the_rows_of_a_created_table_are_not_lost_between_its_statement_and_them() {
    let source = RdsLike::start(ServerOptions { gtid: true, ..rds_options("source", "ROW") });
    let target = target();
    let mut options = BridgeOptions::new(&source, &target);
    options.set("apply.gtid", "\"preserve\"").set("apply.workers", "2").set("bridge.lease", "\"2s\"");
    options.set("apply.large_transaction", "\"64 KiB\"");
    let mut bridge = Bridge::started(options, &source.coordinates());
    source.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(2000))");
    bridge.wait_caught_up(&source, LIMIT);
    for (name, rows) in [("few", 5), ("many", 900)] {
        for point in ["ddl.after_intent", "ddl.after_run", "apply.before_send"] {
            assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
            bridge.options().env("BINBRIDGE_FAILPOINT", &format!("{point}:1"));
            bridge.run();
            source.sql(&format!(
                "CREATE TABLE shop.{name}_{} AS WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})
                 SELECT n, REPEAT('y', 500) AS v FROM s",
                point.replace('.', "_")
            ));
            let ended = bridge.wait_ended(LIMIT);
            assert_eq!(ended.code(), None, "{point}: {}", bridge.log());
            bridge.options().env.remove("BINBRIDGE_FAILPOINT");
            bridge.run();
            bridge.wait_caught_up(&source, LIMIT);
        }
    }
    compare(&source, &target, &["shop"]).unwrap();
    let executed = source.sql("SELECT @@global.gtid_executed");
    let before = source.sql("SELECT @@global.gtid_purged");
    assert_eq!(before, "");
    let uuid = source.sql("SELECT @@server_uuid");
    let last = executed.rsplit(['-', ':']).next().unwrap_or_default().to_owned();
    assert_eq!(
        target.sql(&format!("SELECT GTID_SUBSET('{uuid}:{last}', @@global.gtid_executed)")),
        "1",
        "{executed}"
    );
}

#[test]
fn a_transaction_without_a_gtid_cannot_be_preserved_and_stops_the_bridge() {
    let source = rds_like("source", "ROW");
    let target = target();
    let mut options = BridgeOptions::new(&source, &target);
    options.set("apply.gtid", "\"preserve\"");
    let mut bridge = Bridge::started(options, &source.coordinates());
    source
        .sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)");
    let status = bridge.wait_ended(LIMIT);
    assert_eq!(status.code(), Some(78), "{}", bridge.log());
    assert!(bridge.log().contains("BB3105"), "{}", bridge.log());
    assert!(target.try_sql("SELECT * FROM shop.t").is_err(), "nothing without a GTID is applied");
}
