//! Instances that are stopped in the middle of their work and go on when another has their place: what the target's binlog
//! says of who committed what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::load::{Load, create_tables, require_counted};
use super::stage::LIMIT;
use crate::support::{
    Bridge, BridgeOptions, RdsLike, Server, azure_options, compare, free_port, rds_like, wait_until,
};

/// What of a binlog tells the instances apart.
#[derive(Default)]
struct History {
    /// Of every change of a progress row, in the order of their commits.
    epochs: Vec<u64>,
    /// The connection and the number of every DDL statement of the test.
    ddl: Vec<(u64, u32)>,
}

/// A target whose binlog has whole rows.
fn target() -> Server {
    Server::start(azure_options("target").line("binlog_row_image=FULL"))
}

fn history(target: &Server) -> History {
    let mut reader = target.mysql().mysqlbinlog();
    reader.args(["--no-defaults", "--base64-output=decode-rows", "-v"]);
    let logs = target.sql("SHOW BINARY LOGS");
    reader.args(
        logs.lines().filter_map(|line| line.split('\t').next()).map(|file| target.data_folder().join(file)),
    );
    let output = reader.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut history = History::default();
    let (mut of_progress, mut after_image, mut connection) = (false, false, 0);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(row) = line.strip_prefix("### ") {
            if !row.starts_with(' ') {
                after_image = row == "SET";
                of_progress = (after_image || row == "WHERE") && of_progress
                    || row.ends_with("`binbridge`.`progress`") && !row.starts_with("DELETE");
            } else if let (true, true, Some(epoch)) =
                (of_progress, after_image, row.trim().strip_prefix("@3="))
            {
                history.epochs.push(epoch.parse().unwrap());
            }
        } else if let Some((_, rest)) = line.split_once("\tthread_id=") {
            connection = rest.split('\t').next().unwrap().parse().unwrap();
        } else if let Some((_, rest)) = line.split_once("COMMENT 'ddl ") {
            history.ddl.push((connection, rest.split('\'').next().unwrap().parse().unwrap()));
        }
    }
    history
}

impl History {
    /// Once another has committed, who was there before commits nothing, and runs no DDL.
    #[track_caller]
    fn require_one_after_the_other(&self, least: usize, statements: u32) {
        assert!(self.epochs.is_sorted(), "an older epoch committed after a newer one: {:?}", self.epochs);
        let mut owners = self.epochs.clone();
        owners.dedup();
        assert!(owners.len() >= least, "{owners:?}");
        let numbers: Vec<u32> = self.ddl.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, (1..=statements).collect::<Vec<_>>(), "each once and in order");
        assert!(self.ddl.is_sorted(), "an older connection ran DDL after a newer one: {:?}", self.ddl);
    }
}

fn state(bridge: &Bridge) -> String {
    bridge
        .status()
        .map(|status| status["state"]["name"].as_str().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

fn instances(source: &RdsLike, target: &Server, count: usize) -> Vec<Bridge> {
    let mut options = BridgeOptions::new(source, target);
    options.set("bridge.lease", "\"4s\"").set("apply.workers", "2");
    let start = source.coordinates();
    let mut bridges: Vec<Bridge> = Vec::new();
    for _ in 0..count {
        options.set("admin.listen", &format!("\"127.0.0.1:{}\"", free_port()));
        let bridge = Bridge::new(options.clone());
        if bridges.is_empty() {
            bridge.store(&start);
        }
        bridges.push(bridge);
    }
    bridges
}

#[test]
fn of_three_instances_only_one_ever_commits_whoever_is_stopped_and_goes_on() {
    let (source, target) = (Arc::new(rds_like("source", "ROW")), target());
    let mut bridges = instances(&source, &target, 3);
    create_tables(&source);
    bridges.iter_mut().for_each(Bridge::run);
    let load = Load::start(&source);
    let (over, statements) = (AtomicBool::new(false), AtomicU32::new(0));
    let applied = || {
        target
            .try_sql("SELECT COALESCE(MAX(epoch), 0), COALESCE(SUM(seq), 0) FROM binbridge.progress")
            .unwrap_or_default()
    };
    let epoch = || applied().split('\t').next().unwrap_or_default().to_owned();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let number = statements.fetch_add(1, Ordering::Relaxed) + 1;
                source.sql(&format!("ALTER TABLE app.conflict COMMENT 'ddl {number}'"));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let mut stopped: Option<usize> = None;
        for _ in 0..4 {
            let mut working = None;
            wait_until("one works", LIMIT, || {
                working = bridges.iter().position(|bridge| {
                    stopped.is_none_or(|one| bridges[one].pid() != bridge.pid())
                        && ["catching_up", "streaming"].contains(&state(bridge).as_str())
                });
                working.is_some()
            });
            let working = working.unwrap();
            let before = applied();
            wait_until("it commits", LIMIT, || applied() != before);
            let old = epoch();
            bridges[working].signal("STOP");
            wait_until("another takes its place", LIMIT, || epoch() != old);
            let before = applied();
            wait_until("it commits", LIMIT, || applied() != before);
            // The one of the round before sleeps through this one's whole life.
            if let Some(one) = stopped.replace(working) {
                go_on(&mut bridges[one]);
            }
        }
        go_on(&mut bridges[stopped.unwrap()]);
        over.store(true, Ordering::Relaxed);
    });
    drop(load);
    let mut working = None;
    wait_until("one works", LIMIT, || {
        working =
            bridges.iter().position(|bridge| ["catching_up", "streaming"].contains(&state(bridge).as_str()));
        working.is_some()
    });
    bridges[working.unwrap()].wait_caught_up(&source, LIMIT);
    compare(&source, &target, &["app"]).unwrap();
    require_counted(&target);
    history(&target).require_one_after_the_other(5, statements.into_inner());
}

/// What was stopped finds that it is too late, and is started anew.
#[track_caller]
fn go_on(bridge: &mut Bridge) {
    bridge.signal("CONT");
    let status = bridge.wait_ended(LIMIT);
    assert_eq!(status.code(), Some(69), "{}", bridge.log());
    assert!(bridge.log().contains("BB4008"), "{}", bridge.log());
    bridge.run();
}

#[test]
fn an_instance_that_was_stopped_at_a_ddl_statement_runs_none_when_it_goes_on() {
    let (source, target) = (rds_like("source", "ROW"), target());
    let mut bridges = instances(&source, &target, 2);
    source.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
    let [first, second] = &mut bridges[..] else { panic!("two") };
    first.run();
    first.wait_caught_up(&source, LIMIT);
    // The statement waits on the target for a reader's end.
    let mut reader = target.session().unwrap();
    reader.run("BEGIN; SELECT * FROM app.t").unwrap();
    source.sql("ALTER TABLE app.t ADD COLUMN a INT, COMMENT 'ddl 1'; ALTER TABLE app.t ADD COLUMN b INT, COMMENT 'ddl 2'");
    let waiting =
        || target.sql("SELECT GROUP_CONCAT(id) FROM information_schema.processlist WHERE info LIKE 'ALTER%'");
    wait_until("the statement waits", LIMIT, || waiting() != "NULL");
    let of_first = waiting();
    first.signal("STOP");
    second.run();
    wait_until("the other waits in its place", LIMIT, || {
        ![of_first.as_str(), "NULL"].contains(&waiting().as_str())
    });
    reader.run("ROLLBACK").unwrap();
    second.wait_caught_up(&source, LIMIT);
    first.signal("CONT");
    let status = first.wait_ended(LIMIT);
    assert_eq!(status.code(), Some(69), "{}", first.log());
    source.sql("ALTER TABLE app.t ADD COLUMN c INT, COMMENT 'ddl 3'");
    second.wait_caught_up(&source, LIMIT);
    compare(&source, &target, &["app"]).unwrap();
    history(&target).require_one_after_the_other(2, 3);
}
