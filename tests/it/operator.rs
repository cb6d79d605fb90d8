//! What an operator tells a running bridge: pause, resume, until, skip, limit.

use std::time::{Duration, Instant};

use crate::support::{
    Bridge, BridgeOptions, RdsLike, Server, ServerOptions, azure_like, compare, program, rds_options,
    wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);

struct Pair {
    source: RdsLike,
    target: Server,
    bridge: Bridge,
}

/// Level with the source, with an empty table.
fn pair(set: &[(&str, &str)]) -> Pair {
    let mut source = RdsLike::start(ServerOptions { gtid: true, ..rds_options("source", "ROW") });
    // Its transactions would lie between those of the tests.
    source.stop_heartbeat();
    let target = azure_like("target");
    let mut options = BridgeOptions::new(&source, &target);
    for (key, value) in set {
        options.set(key, value);
    }
    let mut bridge = Bridge::started(options, &source.coordinates());
    source.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(2000))");
    bridge.wait_caught_up(&source, LIMIT);
    Pair { source, target, bridge }
}

impl Pair {
    /// One transaction to each row.
    fn insert(&self, ids: std::ops::RangeInclusive<u32>) {
        let inserts: Vec<_> = ids.map(|id| format!("INSERT INTO shop.t VALUES ({id}, 'x')")).collect();
        self.source.sql(&inserts.join(";"));
    }

    fn rows(&self) -> String {
        self.target.sql("SELECT COUNT(*) FROM shop.t")
    }

    /// Runs an operator's command, which must be followed.
    #[track_caller]
    fn tell(&self, args: &[&str]) -> String {
        let output = self.bridge.output(args);
        let (said, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {error}{}", self.bridge.log());
        said.into_owned()
    }

    fn wait_received(&self) {
        let end = self.source.coordinates().to_string();
        wait_until("everything is read", LIMIT, || {
            self.bridge.status().is_some_and(|status| status["position"]["received"] == end.as_str())
        });
    }

    fn wait_paused(&self, reason: &str) {
        wait_until(&format!("paused: {reason}"), LIMIT, || {
            self.bridge.status().is_some_and(|status| {
                status["state"]["name"] == "paused" && status["state"]["reason"] == reason
            })
        });
    }

    fn applied(&self) -> String {
        let status = self.bridge.status().unwrap();
        status["position"]["applied"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn finish(mut self) {
        self.bridge.wait_caught_up(&self.source, LIMIT);
        compare(&self.source, &self.target, &["shop"]).unwrap();
        assert_eq!(self.bridge.stop().code(), Some(0), "{}", self.bridge.log());
    }
}

#[test]
fn a_paused_bridge_applies_nothing_says_why_and_goes_on_when_told() {
    let mut pair = pair(&[]);
    pair.insert(1..=3);
    pair.bridge.wait_caught_up(&pair.source, LIMIT);
    assert!(pair.tell(&["pause", "--reason", "the target is upgraded"]).starts_with("paused, "));
    pair.insert(4..=9);
    pair.wait_received();
    pair.wait_paused("the target is upgraded");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(pair.rows(), "3");
    wait_until("a lag that grows", LIMIT, || {
        pair.bridge.status().is_some_and(|status| {
            status["lag"]["transactions"] == 6
                && status["lag"]["applied_seconds"].as_f64().is_some_and(|lag| lag > 0.5)
        })
    });
    assert!(
        pair.bridge
            .get("/metrics")
            .unwrap()
            .contains("binbridge_paused{reason=\"operator\",bridge=\"main\"} 1")
    );

    // It stops at once when told so, and starts paused when told so.
    assert_eq!(pair.bridge.stop().code(), Some(0), "{}", pair.bridge.log());
    pair.bridge.run_with(&["--paused"]);
    wait_until("it reads", LIMIT, || {
        pair.bridge.status().is_some_and(|status| status["lag"]["transactions"] == 6)
    });
    pair.wait_paused("started with --paused");
    assert_eq!(pair.rows(), "3");

    // The next one is passed over, by name; the others are not.
    pair.tell(&["skip", "current"]);
    assert_eq!(pair.tell(&["resume"]), "resumed\n");
    pair.bridge.wait_caught_up(&pair.source, LIMIT);
    assert_eq!(pair.target.sql("SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.t"), "1,2,3,5,6,7,8,9");
    pair.insert(10..=10);
    pair.target.sql("INSERT INTO shop.t VALUES (4, 'x')");
    pair.finish();
}

#[test]
fn a_bridge_stops_exactly_at_a_place_and_goes_on_from_it() {
    let mut pair = pair(&[("apply.workers", "4")]);
    pair.tell(&["pause"]);
    pair.insert(1..=5);
    let place = pair.source.coordinates().to_string();
    pair.insert(6..=8);
    pair.wait_received();
    let said = pair.tell(&["until", &place]);
    assert!(said.contains(&place), "{said}");
    pair.tell(&["resume"]);
    pair.wait_paused(&format!("reached until {place}"));
    assert_eq!((pair.rows(), pair.applied()), ("5".to_owned(), place.clone()));
    assert!(
        pair.bridge.get("/metrics").unwrap().contains("binbridge_paused{reason=\"until\",bridge=\"main\"} 1")
    );

    // By GTID.
    pair.insert(9..=9);
    let executed = pair.source.sql("SELECT @@global.gtid_executed");
    let (uuid, numbers) = executed.trim().split_once(':').unwrap();
    let gtid = format!("{uuid}:{}", numbers.rsplit(['-', ':']).next().unwrap());
    pair.insert(10..=11);
    pair.tell(&["until", &gtid]);
    pair.tell(&["resume"]);
    pair.wait_paused(&format!("reached until {gtid}"));
    assert_eq!(pair.rows(), "9");

    // By time: idle past it, or before the first that is later.
    let ended = pair.bridge.stop().code();
    assert_eq!(ended, Some(0), "{}", pair.bridge.log());
    std::thread::sleep(Duration::from_millis(1100));
    let time = pair.source.sql("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ')");
    std::thread::sleep(Duration::from_millis(1100));
    pair.insert(12..=13);
    pair.bridge.run_with(&["--until", time.trim(), "--exit"]);
    assert_eq!(pair.bridge.wait_ended(LIMIT).code(), Some(0), "{}", pair.bridge.log());
    assert_eq!(pair.rows(), "11");

    // Where it is already.
    let place = pair.source.coordinates().to_string();
    for _ in 0..2 {
        pair.bridge.run_with(&["--until", &place, "--exit"]);
        assert_eq!(pair.bridge.wait_ended(LIMIT).code(), Some(0), "{}", pair.bridge.log());
        assert_eq!(pair.rows(), "13");
    }
    pair.bridge.run();
    pair.finish();
}

/// Where the transaction begins that the bridge stopped at, from the end of its log.
fn failed_at(log: &str) -> String {
    let (_, rest) = log.rsplit_once("transaction ").expect("the error names its transaction");
    let (_, place) = rest.split_once(" at ").expect("the error names the position");
    place.split([';', '"', '\n', ' ']).next().unwrap_or_default().to_owned()
}

#[test]
fn a_transaction_that_the_target_refuses_is_skipped_by_its_position_once() {
    let mut pair = pair(&[("apply.large_transaction", "\"64 KiB\""), ("log.format", "\"logfmt\"")]);
    pair.target.sql("CREATE TABLE shop.there (id INT)");
    let large = "INSERT INTO shop.t
        WITH RECURSIVE s (n) AS (SELECT 50 UNION ALL SELECT n + 1 FROM s WHERE n < 350) SELECT n, REPEAT('y', 1000) FROM s";
    let xa = "XA START 'a'; INSERT INTO shop.t VALUES (50, 'x'); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a'";
    let refused = [
        ("INSERT INTO shop.t VALUES (50, 'x')", "BB4003"),
        (large, "BB4003"),
        ("CREATE TABLE shop.there (id INT)", "BB4001"),
        (xa, "BB4003"),
        ("SET binlog_format = 'STATEMENT'; CREATE TEMPORARY TABLE shop.tmp (id INT)", "BB3204"),
    ];
    for (number, (sql, code)) in (1..).zip(refused) {
        pair.target.sql("INSERT INTO shop.t VALUES (50, 'is in the way')");
        pair.source.sql(sql);
        pair.insert(number..=number);
        let ended = pair.bridge.wait_ended(LIMIT);
        let log = pair.bridge.log();
        assert!(ended.code() == Some(65) && log.contains(code), "{sql}: {ended}, {log}");
        pair.bridge.run_with(&["--skip", &failed_at(&log)]);
        pair.bridge.wait_caught_up(&pair.source, LIMIT);
        let status = pair.bridge.status().unwrap();
        assert_eq!(status["totals"]["skipped"], 1, "{sql}: {status}");
        assert_eq!(status["orders"]["skips"].as_array().map(Vec::len), Some(0), "{sql}: {status}");
        let metric = "binbridge_skipped_transactions_total{bridge=\"main\"} 1";
        assert!(pair.bridge.get("/metrics").unwrap().contains(metric), "{sql}");
        assert_eq!(pair.target.sql("SELECT COUNT(*) FROM shop.t WHERE id >= 50"), "1", "{sql}");
        // Neither has what was skipped.
        pair.target.sql("DELETE FROM shop.t WHERE id >= 50");
        pair.source.sql("SET sql_log_bin = 0; DELETE FROM shop.t WHERE id >= 50");
    }
    pair.finish();
}

#[test]
fn a_large_transaction_that_is_skipped_when_parts_of_it_are_on_the_target_leaves_none_of_them() {
    let mut pair = pair(&[
        ("apply.large_transaction", "\"64 KiB\""),
        ("apply.max_bytes_per_second", "\"96 KiB\""),
        ("apply.workers", "2"),
    ]);
    let begins = pair.source.coordinates().to_string();
    pair.source.sql(
        "SET cte_max_recursion_depth = 9000; INSERT INTO shop.t
         WITH RECURSIVE s (n) AS (SELECT 1001 UNION ALL SELECT n + 1 FROM s WHERE n < 9000) SELECT n, REPEAT('y', 100) FROM s",
    );
    pair.insert(1..=1);
    let mut session = pair.target.session().unwrap();
    session.run("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED").unwrap();
    let open = "SELECT COUNT(*) > 500 FROM shop.t";
    wait_until("parts of it are on the target", LIMIT, || session.run(open).unwrap().trim() == "1");
    pair.tell(&["skip", &begins]);
    pair.tell(&["limit", "--none"]);
    pair.bridge.wait_caught_up(&pair.source, LIMIT);
    assert_eq!(pair.rows(), "1", "{}", pair.bridge.log());
    assert_eq!(pair.bridge.status().unwrap()["totals"]["skipped"], 1);
    pair.source.sql("SET sql_log_bin = 0; DELETE FROM shop.t WHERE id > 1000");
    pair.insert(2..=3);
    pair.finish();
}

#[test]
fn a_rate_limit_holds_and_is_lifted() {
    let mut pair = pair(&[("apply.max_transactions_per_second", "20")]);
    pair.tell(&["pause"]);
    pair.insert(1..=61);
    pair.wait_received();
    let began = Instant::now();
    pair.tell(&["resume"]);
    pair.bridge.wait_caught_up(&pair.source, LIMIT);
    // However slow the machine, it cannot have been sooner: 60 at 20 a second, less what a tenth of a second saves up.
    assert!(began.elapsed() > Duration::from_millis(2800), "{:?}", began.elapsed());
    assert_eq!(
        pair.tell(&["limit", "--bytes", "1 MiB/s"]),
        "at most 20 transactions/s and 1048576 bytes/s\n"
    );
    assert_eq!(pair.tell(&["limit", "--none"]), "no limit\n");
    pair.insert(62..=80);
    pair.finish();
}

#[test]
fn where_others_reach_it_the_command_needs_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-long-token\n").unwrap();
    let mut pair = pair(&[("admin.token_file", &format!("{:?}", token.display().to_string()))]);
    let address = pair.bridge.options().keys["admin.listen"].trim_matches('"').to_owned();
    let tell = |more: &[&str]| {
        let mut command = std::process::Command::new(program());
        command.args(["pause", "--admin", &address]).args(more).current_dir(folder.path());
        command.env_remove("BINBRIDGE_CONFIG").output().unwrap()
    };
    let refused = tell(&[]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(77) && error.contains("BB1007"), "{error}");
    let other = folder.path().join("other");
    std::fs::write(&other, "guess").unwrap();
    assert_eq!(tell(&["--token-file", &other.display().to_string()]).status.code(), Some(77));
    assert!(pair.bridge.status().is_some_and(|status| status["orders"]["paused"].is_null()));
    assert_eq!(tell(&["--token-file", &token.display().to_string()]).status.code(), Some(0));
    pair.wait_paused("by an operator");
    pair.tell(&["resume"]);
    pair.insert(1..=2);
    pair.finish();
}
