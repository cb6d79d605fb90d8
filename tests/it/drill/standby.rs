//! One bridge at a time, and never beside the native applier.

use std::time::Duration;

use crate::support::{
    AZADMIN, Bridge, BridgeOptions, Start, azure_like, compare, free_port, rds_like, replicate, wait_until,
};

use super::stage::LIMIT;

fn another(options: &BridgeOptions) -> Bridge {
    let mut options = options.clone();
    options.set("admin.listen", &format!("\"127.0.0.1:{}\"", free_port()));
    Bridge::new(options)
}

fn state(bridge: &Bridge) -> String {
    bridge.status().map(|status| status["state"]["name"].to_string()).unwrap_or_default()
}

#[test]
fn a_second_instance_stands_by_and_takes_the_place_of_one_that_is_gone_or_silent() {
    let source = rds_like("source", "ROW");
    let target = azure_like("target");
    let mut options = BridgeOptions::new(&source, &target);
    options.set("bridge.lease", "\"3s\"");
    let mut first = Bridge::started(options.clone(), &source.coordinates());
    source.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
    first.wait_caught_up(&source, LIMIT);
    let mut second = another(&options);
    second.run();
    second.wait_log("standing by", LIMIT);
    assert_eq!(state(&second), "\"standby\"");
    source.sql("INSERT INTO app.t VALUES (1)");
    first.wait_caught_up(&source, LIMIT);
    // Gone: at once.
    first.kill();
    second.wait_caught_up(&source, LIMIT);
    // Silent: when the lease is over, and what comes back commits nothing.
    let mut third = another(&options);
    third.run();
    third.wait_log("standing by", LIMIT);
    second.signal("STOP");
    source.sql("INSERT INTO app.t VALUES (2)");
    third.wait_caught_up(&source, LIMIT);
    let epoch = || target.sql("SELECT epoch FROM binbridge.progress");
    let before = epoch();
    second.signal("CONT");
    let status = second.wait_ended(LIMIT);
    assert_eq!(status.code(), Some(69), "{}", second.log());
    assert!(second.log().contains("BB4008"), "{}", second.log());
    assert_eq!(epoch(), before);
    source.sql("INSERT INTO app.t VALUES (3)");
    third.wait_caught_up(&source, LIMIT);
    compare(&source, &target, &["app"]).unwrap();
    // Stopped as asked: the next need not wait for the lease.
    let mut fourth = another(&options);
    fourth.run();
    fourth.wait_log("standing by", LIMIT);
    assert_eq!(third.stop().code(), Some(0), "{}", third.log());
    fourth.wait_caught_up(&source, LIMIT);
}

#[test]
fn a_native_applier_that_somebody_starts_stops_the_bridge() {
    let source = rds_like("source", "ROW");
    let target = azure_like("target");
    let mut bridge = Bridge::started(BridgeOptions::new(&source, &target), &source.coordinates());
    source.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
    bridge.wait_caught_up(&source, LIMIT);
    replicate(&target, source.port(), &Start::At(source.coordinates()));
    let status = bridge.wait_ended(LIMIT);
    assert_eq!(status.code(), Some(69), "{}", bridge.log());
    assert!(
        bridge.log().contains("BB4011") && bridge.log().contains("az_replication_stop"),
        "{}",
        bridge.log()
    );
    source.sql("INSERT INTO app.t VALUES (1)");
    wait_until("the native channel applies", LIMIT, || target.sql("SELECT COUNT(*) FROM app.t") == "1");
    // By command it comes back.
    bridge.run();
    let status = bridge.wait_ended(LIMIT);
    assert_eq!(status.code(), Some(69), "{}", bridge.log());
    target.sql_as(AZADMIN, "CALL mysql.az_replication_stop").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let at = target.replica_status();
    let (file, offset) = (at["Relay_Source_Log_File"].clone(), at["Exec_Source_Log_Pos"].clone());
    let stored = bridge.output(&["position", "--replace", "--file", &file, "--offset", &offset]);
    assert!(stored.status.success(), "{}", super::stage::said(&stored));
    bridge.run();
    source.sql("INSERT INTO app.t VALUES (2)");
    bridge.wait_caught_up(&source, LIMIT);
    compare(&source, &target, &["app"]).unwrap();
}
