//! How long nobody applies: from a failure to the bridge's first commit, and from `handback` to the native channel's.

use std::time::{Duration, Instant};

use super::stage::{Drill, Failure, LIMIT, Way, said};
use crate::support::{
    Bridge, BridgeOptions, RdsLike, Server, ServerOptions, Session, azure_options, compare, rds_options,
    wait_caught_up,
};

/// What the drill waits before it takes over.
const TAKEOVER_AFTER: Duration = Duration::from_secs(1);
/// Many times what is aimed at: a machine may be busy.
const GENEROUS: Duration = Duration::from_secs(30);

/// The bridge applies, and has committed since it took over.
const BRIDGE: &str = "SELECT COUNT(*) FROM binbridge.native JOIN binbridge.progress USING (bridge) \
                      WHERE phase = 'active' AND seq > 0";
/// Whether the bridge has ended, and how many beats there are.
const AT_REST: &str = "SELECT phase <> 'active', (SELECT COUNT(*) FROM app.beat) FROM binbridge.native";

/// From `began` until the target says so.
#[track_caller]
fn until(watch: &mut Session, sql: &str, began: Instant, mut so: impl FnMut(&str) -> bool) -> Duration {
    while !so(&watch.run(sql).unwrap()) {
        assert!(began.elapsed() < LIMIT, "{sql}");
        std::thread::sleep(Duration::from_millis(10));
    }
    began.elapsed()
}

fn take_over(drill: &mut Drill, failure: Failure) -> Duration {
    let mut watch = drill.target.session().unwrap();
    let mut began = Instant::now();
    drill.fail(failure);
    if failure == Failure::Applier {
        // It returns when the applier has come to the row and stopped.
        began = Instant::now();
    }
    let took = until(&mut watch, BRIDGE, began, |count| count != "0");
    drill.mend(failure);
    took.saturating_sub(TAKEOVER_AFTER)
}

fn hand_back(drill: &mut Drill) -> Duration {
    drill.bridge.wait_caught_up(&drill.source, LIMIT);
    let mut watch = drill.target.session().unwrap();
    let began = Instant::now();
    let mut asking = drill.bridge.command(&["handback"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut bridges = None;
    // What comes on top of the bridge's last is the channel's.
    let took = until(&mut watch, AT_REST, began, |seen| match (seen.split_once('\t'), &bridges) {
        (Some(("1", beats)), Some(last)) => beats != last,
        (Some(("1", beats)), None) => {
            bridges = Some(beats.to_owned());
            false
        }
        _ => false,
    });
    assert!(asking.wait().unwrap().success(), "{}", drill.bridge.log());
    wait_caught_up(&drill.target, &drill.source, LIMIT);
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn row(what: &str, times: Vec<Duration>) {
    let (rounds, longest) = (times.len(), times.iter().max().copied().unwrap_or_default());
    let median = median(times);
    println!(
        "| {what:<72} | {:>6.2} s | {:>6.2} s | {rounds:>6} |",
        median.as_secs_f64(),
        longest.as_secs_f64()
    );
    assert!(median < GENEROUS, "{what}: {median:?}");
}

fn measure(by_gtid: bool, rounds: usize) {
    let mut drill = Drill::new(Way { by_gtid, workers: 8, ordered: true });
    let by = if by_gtid { "GTID" } else { "position" };
    let mut backs = Vec::new();
    for (failure, name) in [
        (Failure::Applier, "an error stops its applier"),
        (Failure::Receiver, "its receiver is cut off"),
        (Failure::Stopped, "somebody stops it"),
    ] {
        let mut times = Vec::new();
        for _ in 0..rounds {
            times.push(take_over(&mut drill, failure));
            backs.push(hand_back(&mut drill));
        }
        row(&format!("take-over by {by}, beyond takeover_after, {name}"), times);
    }
    row(&format!("hand-back by {by}"), backs);
    drill.require_equal();
}

#[test]
#[ignore = "takes minutes: make drill"]
fn the_times_of_both_transitions_are_short() {
    let rounds = std::env::var("DRILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    println!("| {:<72} | {:>8} | {:>8} | rounds |", "what", "median", "longest");
    for by_gtid in [false, true] {
        measure(by_gtid, rounds);
    }
}

/// A bridge without a native channel hands back to a new one. The source has `count` transactions that no log tells of any
/// more, and that the target has as data, not as GTIDs.
fn hand_back_after(count: u64) -> Duration {
    let source = RdsLike::start(ServerOptions { gtid: true, ..rds_options("source", "ROW") });
    let target = Server::start(ServerOptions { gtid: true, durable: true, ..azure_options("target") });
    source.sql(&format!(
        "SET GLOBAL gtid_purged = '+3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{count}'; CREATE DATABASE app"
    ));
    let mut options = BridgeOptions::new(&source, &target);
    options.set("native.ssl_ca", &format!("{:?}", target.ca_path().display().to_string()));
    target.sql("CREATE DATABASE app");
    let mut bridge = Bridge::started(options, &source.coordinates());
    source.sql("CREATE TABLE app.t (id INT PRIMARY KEY); INSERT INTO app.t VALUES (1)");
    bridge.wait_caught_up(&source, LIMIT);
    let began = Instant::now();
    let output = bridge.output(&["handback", "--by-gtid", "--wait", "3000"]);
    let took = began.elapsed();
    assert!(output.status.success(), "{} {}", said(&output), bridge.log());
    source.sql("INSERT INTO app.t VALUES (2)");
    wait_caught_up(&target, &source, LIMIT);
    compare(&source, &target, &["app"]).unwrap();
    took
}

#[test]
fn gtids_that_no_log_tells_of_are_given_to_the_target_too() {
    hand_back_after(1000);
}

#[test]
#[ignore = "takes minutes: make drill"]
fn half_a_million_gtids_are_given_before_a_hand_back() {
    println!("hand-back after half a million GTIDs: {:.0} s", hand_back_after(500_000).as_secs_f64());
}
