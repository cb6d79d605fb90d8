//! Lag is honest: never zero while something is missing, unknown when nobody knows.

use std::time::Duration;

use crate::support::{
    APP, AZADMIN, Bridge, BridgeOptions, Direction, Proxy, RdsLike, Server, azure_options, rds_like,
    wait_until,
};

const LIMIT: Duration = Duration::from_secs(30);

struct Pair {
    source: RdsLike,
    target: Server,
    proxy: Proxy,
    bridge: Bridge,
}

fn pair() -> Pair {
    let mut source = rds_like("source", "ROW");
    // An idle source is to be idle.
    source.stop_heartbeat();
    let mut options = azure_options("target");
    options.require_secure_transport = false;
    let target = Server::start(options);
    let proxy = Proxy::start(target.port());
    let start = source.coordinates();
    let mut options = BridgeOptions::new(&source, &target);
    options.end("target", proxy.port(), AZADMIN, None);
    let bridge = Bridge::started(options, &start);
    Pair { source, target, proxy, bridge }
}

fn applied_lag(bridge: &Bridge) -> Option<f64> {
    bridge.status()?["lag"]["applied_seconds"].as_f64()
}

fn metric(bridge: &Bridge, line_begins: &str) -> Option<f64> {
    let metrics = bridge.get("/metrics")?;
    metrics.lines().find(|line| line.starts_with(line_begins))?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn lag_is_zero_in_step_grows_while_the_target_hangs_and_is_unknown_without_a_source() {
    let mut pair = pair();
    let app = |sql: &str| pair.source.sql_as(APP, sql).unwrap();
    app("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)");
    pair.bridge.wait_caught_up(&pair.source, LIMIT);
    wait_until("lag 0 and ready", LIMIT, || {
        applied_lag(&pair.bridge) == Some(0.0)
            && pair.bridge.get("/readyz").is_some_and(|body| !body.contains("false"))
    });
    assert_eq!(pair.target.sql("SELECT COUNT(*) FROM shop.t"), "1");
    // Where an idle source's log ends is where the bridge says it is, in a new file too.
    pair.source.sql("FLUSH BINARY LOGS");
    pair.bridge.wait_caught_up(&pair.source, LIMIT);

    // The target answers no more: what was received and is not applied ages.
    pair.proxy.hold(Direction::ToClient);
    app("INSERT INTO shop.t VALUES (2)");
    wait_until("lag over 1 s", LIMIT, || applied_lag(&pair.bridge).is_some_and(|lag| lag > 1.0));
    pair.proxy.release(Direction::ToClient);
    wait_until("lag 0 again", LIMIT, || applied_lag(&pair.bridge) == Some(0.0));
    assert!(metric(&pair.bridge, "binbridge_commit_latency_seconds_count").is_some_and(|count| count >= 2.0));
    wait_until("state streaming", LIMIT, || {
        pair.bridge.status().is_some_and(|status| status["state"]["name"] == "streaming")
    });

    // Without the source nobody knows how much is missing.
    pair.source.kill();
    wait_until("unknown lag", LIMIT, || {
        pair.bridge.status().is_some_and(|status| status["lag"]["applied_seconds"].is_null())
    });
    let lag = metric(&pair.bridge, "binbridge_lag_seconds{");
    assert!(lag.is_none_or(f64::is_nan), "{lag:?}");
    pair.source.start_again();
    wait_until("lag 0 after the source is back", LIMIT, || applied_lag(&pair.bridge) == Some(0.0));
    assert_eq!(pair.bridge.stop().code(), Some(0), "{}", pair.bridge.log());
}

#[test]
fn the_metrics_tell_what_was_applied_where_the_time_went_and_what_was_sent_again() {
    let mut pair = pair();
    let app = |sql: &str| pair.source.sql_as(APP, sql).unwrap();
    app("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT);
         INSERT INTO shop.t VALUES (1, 1), (2, 2), (3, 3); UPDATE shop.t SET v = 0 WHERE id < 3; DELETE FROM shop.t WHERE id = 1");
    // Enough events for those that are timed.
    app(&(10..60).map(|id| format!("INSERT INTO shop.t VALUES ({id}, 0)")).collect::<Vec<_>>().join(";"));
    pair.bridge.wait_caught_up(&pair.source, LIMIT);
    let read = |series: &str| metric(&pair.bridge, series).unwrap_or(f64::NAN);
    for (op, least) in [("insert", 53.0), ("update", 2.0), ("delete", 1.0)] {
        let rows = read(&format!("binbridge_rows_total{{op=\"{op}\""));
        assert!(rows >= least && rows < least + 20.0, "{op}: {rows}");
    }
    for stage in ["decode", "assemble", "queue", "schedule", "encode", "apply", "commit"] {
        let labels = format!("{{stage=\"{stage}\"");
        assert!(read(&format!("binbridge_stage_duration_seconds_count{labels}")) >= 1.0, "{stage}");
        assert!(read(&format!("binbridge_stage_duration_seconds_sum{labels}")) > 0.0, "{stage}");
    }
    assert!(read("binbridge_workers{") >= 1.0);
    assert!(read("binbridge_checkpoint_last_timestamp_seconds{") > 1e9);
    assert!(read("binbridge_queue_capacity{") >= 1.0);
    wait_until("rest", LIMIT, || {
        read("binbridge_queue_depth{") < 0.5
            && read("binbridge_queue_bytes{") < 0.5
            && read("binbridge_workers_busy{") < 0.5
    });
    assert!(read("binbridge_apply_retries_total{reason=\"connection\"") < 0.5);

    pair.proxy.hold(Direction::ToClient);
    app("INSERT INTO shop.t VALUES (5, 5)");
    wait_until("a busy worker", LIMIT, || read("binbridge_workers_busy{") > 0.5);
    pair.proxy.cut_now();
    pair.proxy.release(Direction::ToClient);
    wait_until("a retry", LIMIT, || read("binbridge_apply_retries_total{reason=\"connection\"") > 0.5);
    pair.bridge.wait_caught_up(&pair.source, LIMIT);
    assert_eq!(pair.target.sql("SELECT v FROM shop.t WHERE id = 5"), "5");
    assert_eq!(pair.bridge.stop().code(), Some(0), "{}", pair.bridge.log());
}
