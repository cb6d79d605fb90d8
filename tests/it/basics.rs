//! The main path: from coordinates saved while the read replica was stopped to an equal target.

use std::time::Duration;

use crate::support::{
    ADMIN, APP, Bridge, BridgeOptions, Coordinates, Server, azure_like, compare, dump_restore, rds_like,
    read_replica, wait_caught_up,
};

const LIMIT: Duration = Duration::from_secs(60);

fn seed(target: &Server, replica: &Server) -> Coordinates {
    replica.sql_as(ADMIN, "CALL mysql.rds_stop_replication").unwrap();
    let status = replica.replica_status();
    dump_restore(replica, target, &["Shop"]);
    Coordinates {
        file: status["Relay_Source_Log_File"].clone(),
        offset: status["Exec_Source_Log_Pos"].parse().unwrap(),
    }
}

#[test]
fn a_bridge_started_at_the_stopped_replicas_position_brings_the_target_in_step() {
    for format in ["ROW", "MIXED"] {
        let source = rds_like("source", format);
        let replica = read_replica(&source);
        let target = azure_like("target");
        let app = |sql: &str| source.sql_as(APP, sql).unwrap();
        app("CREATE DATABASE Shop; CREATE TABLE Shop.Orders (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), at TIMESTAMP(6) DEFAULT NOW(6));
             CREATE TABLE Shop.`注文` (line TEXT, n INT); INSERT INTO Shop.Orders (name) VALUES ('ada'), ('grace')");
        wait_caught_up(&replica, &source, LIMIT);
        let start = seed(&target, &replica);
        app("INSERT INTO Shop.Orders (name) VALUES ('after'), (UUID()); UPDATE Shop.Orders SET name = 'Ada' WHERE id = 1;
             INSERT INTO Shop.`注文` VALUES ('こんにちは', 1), ('x', 2); DELETE FROM Shop.`注文` WHERE n = 2");
        let mut bridge = Bridge::started(BridgeOptions::new(&source, &target), &start);
        bridge.wait_caught_up(&source, LIMIT);
        app("ALTER TABLE Shop.Orders ADD COLUMN note VARCHAR(9) DEFAULT 'n';
CREATE TABLE Shop.copy AS SELECT id, name FROM Shop.Orders;
             RENAME TABLE Shop.Orders TO Shop.t, Shop.copy TO Shop.Orders, Shop.t TO Shop.copy; BEGIN; DELETE FROM Shop.Orders WHERE id = 2; INSERT INTO Shop.copy (name) VALUES ('b'); COMMIT");
        bridge.wait_caught_up(&source, LIMIT);
        compare(&source, &target, &["Shop"]).unwrap();
        assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    }
}
