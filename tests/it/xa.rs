//! Distributed transactions: prepared at one place of the log, resolved at another.

use std::time::Duration;

use crate::support::{Bridge, BridgeOptions, azure_like, compare, rds_like, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_prepared_transaction_is_read_again_after_an_idle_source_began_a_new_file() {
    let mut source = rds_like("source", "ROW");
    // Its transactions would keep the place where it is.
    source.stop_heartbeat();
    let target = azure_like("target");
    let mut bridge = Bridge::started(BridgeOptions::new(&source, &target), &source.coordinates());
    source.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY)");
    bridge.wait_caught_up(&source, LIMIT);
    let place = || target.sql("SELECT low_file, low_pos FROM binbridge.progress");
    let before = place();
    source.sql("XA START 'a'; INSERT INTO shop.t VALUES (1); XA END 'a'; XA PREPARE 'a'; FLUSH BINARY LOGS");
    let file = source.coordinates().file;
    let received = || bridge.status()?["position"]["received"].as_str().map(str::to_owned);
    wait_until("the new file is read", LIMIT, || received().is_some_and(|at| at.starts_with(&file)));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(place(), before, "the place passed a prepared transaction");
    bridge.kill();
    source.sql("XA COMMIT 'a'; INSERT INTO shop.t VALUES (2)");
    bridge.run();
    bridge.wait_caught_up(&source, LIMIT);
    compare(&source, &target, &["shop"]).unwrap();
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
}
