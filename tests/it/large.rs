//! Transactions far larger than what the bridge may hold, plain and compressed.

use std::time::Duration;

use crate::support::{
    Bridge, BridgeOptions, Server, ServerOptions, azure_options, compare, peak_rss_mib, wait_until,
};

const LIMIT: Duration = Duration::from_secs(120);
/// Of a process that may hold 8 MiB of events, in a debug build, while 64 MiB pass through it.
const MOST_MIB: f64 = 64.0;

#[test]
fn a_large_transaction_passes_at_bounded_memory_and_is_resumed_from_its_start() {
    let source = Server::start(
        ServerOptions::new("source").line("max_allowed_packet=1G").line("max_binlog_cache_size=4G"),
    );
    let target = Server::start(azure_options("target").line("max_allowed_packet=64M"));
    source.sql(
        "CREATE DATABASE big; CREATE TABLE big.n (n INT PRIMARY KEY) AS WITH RECURSIVE n AS \
         (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < 1000) SELECT n FROM n; \
         CREATE TABLE big.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARBINARY(1100)); \
         CREATE TABLE big.m (id INT PRIMARY KEY)",
    );
    let mut options = BridgeOptions::new(&source, &target);
    options.set("apply.memory", "\"8 MiB\"").set("apply.large_transaction", "\"512 KiB\"");
    options.set("apply.batch_bytes", "\"1 MiB\"").set("apply.workers", "2");
    let mut bridge = Bridge::started(options, &first(&source));
    bridge.wait_caught_up(&source, LIMIT);
    for compression in ["OFF", "ON"] {
        source.sql(&format!(
            "SET SESSION binlog_transaction_compression = {compression}; BEGIN; INSERT IGNORE INTO big.m VALUES (1); \
             INSERT INTO big.t (v) SELECT RANDOM_BYTES(1000) FROM big.n AS a CROSS JOIN (SELECT n FROM big.n LIMIT 64) AS b; \
             REPLACE INTO big.m VALUES (2); COMMIT; DELETE FROM big.m WHERE id = 2"
        ));
        // In the middle of it, or before, or after: the target decides.
        let begun =
            || target.sql("SELECT trx_rows_modified > 1000 FROM information_schema.innodb_trx").contains('1');
        wait_until("rows of it arrive", LIMIT, || begun() || rows(&target) > 0);
        bridge.kill();
        bridge.run();
        bridge.wait_caught_up(&source, LIMIT);
        compare(&source, &target, &["big"]).unwrap();
        let peak = peak_rss_mib(bridge.pid().unwrap());
        assert!(peak < MOST_MIB, "{peak} MiB with compression {compression}");
        source.sql("TRUNCATE TABLE big.t");
        bridge.wait_caught_up(&source, LIMIT);
    }
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
}

fn rows(target: &Server) -> u64 {
    target.try_sql("SELECT COUNT(*) FROM big.t").ok().and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn first(source: &Server) -> crate::support::Coordinates {
    let logs = source.sql("SHOW BINARY LOGS");
    let file = logs.split(['\t', '\n']).next().unwrap_or_default().to_owned();
    crate::support::Coordinates { file, offset: 4 }
}
