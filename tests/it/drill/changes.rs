//! Changes of who applies: asked for in any state, in any order, and broken off.

use std::process::Output;
use std::time::Duration;

use super::stage::{Drill, Failure, LIMIT, Way, said};
use crate::readme::grants;
use crate::support::{AZADMIN, Account, Bridge, free_port, wait_caught_up, wait_until};

const BY_POSITION: Way = Way { by_gtid: false, workers: 8, ordered: true };
const BY_GTID: Way = Way { by_gtid: true, workers: 8, ordered: true };

/// The account of the README's runbook.
const RUNBOOK: Account = Account { user: "binbridge", password: "choose-One-2" };

/// Nothing happens by itself.
fn by_command(way: Way) -> Drill {
    Drill::with(way, |options, _| {
        options.set("native.auto_takeover", "false").set("bridge.lease", "\"6s\"");
    })
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    let text = said(output);
    assert!(output.status.code() == Some(code) && text.contains(words), "{:?} {text}", output.status);
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

/// The row's request.
fn wanted(drill: &Drill) -> String {
    drill.target.sql("SELECT wanted FROM binbridge.native")
}

/// The target's own GTIDs: every change that is not the source's makes one more.
fn end(drill: &Drill) -> String {
    // In this order: the source's heartbeat goes on, and the channel with it.
    let executed = drill.target.sql("SELECT @@global.gtid_executed").replace("\\n", "");
    drill.source.sql(&format!("SELECT GTID_SUBTRACT('{executed}', @@global.gtid_executed)"))
}

fn is_ready(bridge: &Bridge) -> bool {
    bridge.get("/readyz").is_some_and(|text| text.starts_with("ready\n"))
}

#[test]
fn a_dry_run_prints_every_statement_and_runs_none() {
    let mut drill = by_command(BY_GTID);
    drill.end_load();
    wait_caught_up(&drill.target, &drill.source, LIMIT);
    drill.bridge.stop();
    let before = (end(&drill), drill.phase(), drill.target.replica_status()["Replica_SQL_Running"].clone());
    let takeover = done(&drill.bridge.output(&["takeover", "--dry-run"]));
    for statement in
        ["CALL mysql.az_replication_stop;", "'taking_over'", "INSERT INTO `binbridge`.progress", "COMMIT;"]
    {
        assert!(takeover.contains(statement), "{statement} is not in {takeover}");
    }
    refused(&drill.bridge.output(&["handback", "--dry-run"]), 65, "nothing to hand back");
    let after = (end(&drill), drill.phase(), drill.target.replica_status()["Replica_SQL_Running"].clone());
    assert_eq!(before, after);
    // From a healthy channel, too.
    drill.bridge.run();
    done(&drill.bridge.output(&["takeover"]));
    drill.source.sql("INSERT INTO app.beat (n) VALUES (1); UPDATE app.sum SET n = n + 1 WHERE id = 1");
    drill.bridge.wait_caught_up(&drill.source, LIMIT);
    drill.bridge.stop();
    let before = (end(&drill), drill.phase());
    let handback = done(&drill.bridge.output(&["handback", "--dry-run"]));
    for statement in
        ["SET gtid_next", "az_replication_change_master_with_gtid(", "az_replication_start;", "'standby'"]
    {
        assert!(handback.contains(statement), "{statement} is not in {handback}");
    }
    refused(&drill.bridge.output(&["takeover", "--dry-run"]), 65, "nothing to take over");
    assert_eq!(before, (end(&drill), drill.phase()));
    drill.bridge.run();
    drill.hand_back();
    drill.require_equal();
}

#[test]
fn a_bridge_with_workers_and_with_the_sources_gtids_hands_back_even_while_it_is_paused() {
    let mut drill = Drill::with(BY_GTID, |options, _| {
        options.set("apply.workers", "4").set("apply.gtid", "\"preserve\"");
    });
    drill.take_over_from(Failure::Stopped);
    drill.hand_back();
    drill.take_over_from(Failure::Stopped);
    done(&drill.bridge.output(&["pause"]));
    drill.hand_back();
    done(&drill.bridge.output(&["resume"]));
    drill.require_equal();
}

#[test]
fn the_account_of_the_runbook_may_take_over_and_hand_back() {
    let mut drill = Drill::with(BY_POSITION, |options, target| {
        for name in ["target", "native"] {
            target.sql_as(AZADMIN, &grants(name).replace("`shop`", "`app`")).unwrap();
        }
        options.end("target", target.port(), RUNBOOK, Some(target));
    });
    drill.take_over_from(Failure::Applier);
    drill.hand_back();
    drill.require_equal();
}

#[test]
fn what_workers_had_applied_ahead_is_passed_again_before_a_hand_back() {
    let mut drill = Drill::with(BY_POSITION, |options, _| {
        options.set("apply.workers", "4");
    });
    for _ in 0..2 {
        drill.take_over_from(Failure::Stopped);
        // Each worker knows of its own commits only.
        drill.bridge.kill();
        drill.bridge.run();
        drill.hand_back();
    }
    drill.require_equal();
}

#[test]
fn what_cannot_be_is_refused_with_its_reason_and_who_applies_goes_on() {
    let mut drill = by_command(BY_POSITION);
    refused(&drill.bridge.output(&["handback"]), 65, "nothing to hand back");
    refused(&drill.bridge.output(&["takeover", "--by-gtid"]), 65, "take over by position");
    assert_eq!((drill.phase().as_str(), wanted(&drill).as_str()), ("standby", "NULL"));
    wait_caught_up(&drill.target, &drill.source, LIMIT);
    done(&drill.bridge.output(&["takeover"]));
    refused(&drill.bridge.output(&["takeover"]), 65, "nothing to take over");
    refused(&drill.bridge.output(&["handback", "--by-gtid"]), 65, "hand back by position");
    drill.bridge.wait_caught_up(&drill.source, LIMIT);
    // What the cloud's procedure refuses leaves the bridge at work, too.
    drill.target.sql("DROP PROCEDURE mysql.az_replication_change_master");
    refused(&drill.bridge.output(&["handback"]), 65, "not handed back");
    drill.bridge.wait_caught_up(&drill.source, LIMIT);
    drill.target.sql(
        "CREATE DEFINER=azure_superuser@localhost PROCEDURE mysql.az_replication_change_master(host VARCHAR(255), \
         user VARCHAR(255), password VARCHAR(255), port INT, file VARCHAR(255), pos BIGINT, ca TEXT) \
         CALL mysql.__az_change(host, user, password, port, ca, \
         CONCAT('SOURCE_AUTO_POSITION=0, SOURCE_LOG_FILE=', QUOTE(file), ', SOURCE_LOG_POS=', pos))",
    );
    drill.hand_back();
    drill.require_equal();
}

#[test]
fn what_is_wanted_while_no_bridge_runs_is_recorded_and_can_be_taken_back() {
    let mut drill = by_command(BY_POSITION);
    drill.bridge.stop();
    let takeover = ["takeover", "--wait", "1"];
    refused(&drill.bridge.output(&takeover), 69, "no instance of the bridge works");
    assert_eq!(wanted(&drill), "takeover");
    assert!(done(&drill.bridge.output(&["handback"])).contains("withdrawn"));
    assert_eq!(wanted(&drill), "NULL");
    refused(&drill.bridge.output(&takeover), 69, "stays recorded");
    drill.bridge.run();
    drill.wait_phase("active");
    drill.bridge.stop();
    refused(&drill.bridge.output(&["handback", "--wait", "1"]), 69, "no instance of the bridge works");
    drill.bridge.run();
    drill.wait_phase("standby");
    drill.require_equal();
}

#[test]
fn a_source_that_has_purged_what_the_target_lacks_is_not_taken_over_to() {
    let mut drill = by_command(BY_GTID);
    drill.fail(Failure::Stopped);
    std::thread::sleep(Duration::from_millis(200));
    drill.source.sql("FLUSH BINARY LOGS");
    let logs = drill.source.sql("SHOW BINARY LOGS");
    let last = logs.lines().last().and_then(|line| line.split('\t').next()).unwrap().to_owned();
    drill.source.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
    refused(&drill.bridge.output(&["takeover"]), 65, "BB3101");
    assert_eq!((drill.phase().as_str(), wanted(&drill).as_str()), ("standby", "NULL"));
    assert!(drill.bridge.ended().is_none(), "it stands by: {}", drill.bridge.log());
}

#[test]
fn a_change_that_takes_long_keeps_the_lease_and_ends_at_once_when_told_to() {
    let mut drill = by_command(BY_POSITION);
    let mut options = drill.bridge.options().clone();
    options.set("admin.listen", &format!("\"127.0.0.1:{}\"", free_port()));
    let mut second = Bridge::new(options);
    second.run();
    second.wait_log("another instance", LIMIT);
    // Standing by it is ready, and shows how the channel does.
    assert!(is_ready(&drill.bridge));
    wait_until("the second is ready", LIMIT, || is_ready(&second));
    let metrics = drill.bridge.get("/metrics").unwrap();
    assert!(metrics.contains("binbridge_native_running{thread=\"applier\",bridge=\"main\"} 1"), "{metrics}");
    assert!(metrics.contains("binbridge_lifecycle_state{state=\"standby\",bridge=\"main\"} 1"), "{metrics}");
    // The native applier cannot stop before this lets it finish its transaction.
    let mut holder = drill.target.session().unwrap();
    holder.run("BEGIN; SELECT * FROM app.sum WHERE id = 1 FOR UPDATE").unwrap();
    let mut asking = drill.bridge.command(&["takeover"]).spawn().unwrap();
    drill.wait_phase("taking_over");
    // Longer than the lease.
    std::thread::sleep(Duration::from_secs(9));
    assert!(!second.log().contains("taking over from the native channel"), "{}", second.log());
    assert_eq!(drill.bridge.stop().code(), Some(0), "{}", drill.bridge.log());
    holder.run("ROLLBACK").unwrap();
    second.wait_log("taking over from the native channel", LIMIT);
    assert!(asking.wait().unwrap().success(), "{}", second.log());
    drill.bridge = second;
    drill.hand_back();
    drill.require_equal();
}

#[test]
#[ignore = "one more of its kind: make drill"]
fn a_refused_take_over_is_given_up_by_command() {
    let mut drill = Drill::new(Way { ordered: false, ..BY_POSITION });
    drill.leave_gaps();
    assert_eq!(drill.bridge.wait_ended(LIMIT).code(), Some(65), "{}", drill.bridge.log());
    assert_eq!(drill.phase(), "taking_over");
    drill.delete_conflict();
    refused(&drill.bridge.output(&["handback", "--wait", "1"]), 69, "no instance of the bridge works");
    drill.bridge.run();
    drill.wait_phase("standby");
    wait_caught_up(&drill.target, &drill.source, LIMIT);
    drill.require_equal();
}

#[test]
#[ignore = "one more of its kind: make drill"]
fn a_channel_that_falls_behind_the_limit_is_taken_over_from() {
    let mut drill = Drill::with(BY_POSITION, |options, _| {
        options.set("native.lag_limit", "\"1s\"");
    });
    let mut holder = drill.target.session().unwrap();
    holder.run("BEGIN; SELECT * FROM app.sum WHERE id = 1 FOR UPDATE").unwrap();
    drill.wait_phase("taking_over");
    assert!(drill.target.sql("SELECT reason FROM binbridge.native").contains("s behind"));
    holder.run("ROLLBACK").unwrap();
    drill.wait_phase("active");
    drill.bridge.wait_caught_up(&drill.source, LIMIT);
    wait_until("it is in step", LIMIT, || {
        drill.bridge.status().is_some_and(|status| status["state"]["name"] == "streaming")
    });
    drill.hand_back();
    drill.require_equal();
}
