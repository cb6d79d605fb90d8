//! The end: the shop closes, the bridge drains, everything is compared.

use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::shop::{self, Business, SCHEMA};
use crate::stage::{Stage, count, padded, time};
use crate::support::compare;
use crate::{LIMIT, Servers};

/// What the comparison found.
pub struct Result {
    commits: u64,
    missing: u64,
    twice: u64,
    tables: u64,
    rows: u64,
    differences: Option<String>,
    drained: bool,
}

/// Closes the shop, drains the bridge, compares.
pub fn drain_and_compare(
    stage: &Stage,
    servers: &Servers,
    bridge: &mut Daemon,
    business: Business,
) -> Result {
    stage.step("Cut over: the shop stops writing, the bridge reaches the source's end and is stopped");
    let commits = business.close();
    let end = servers.source.coordinates();
    stage.note(&format!("source ends at {end} after {} commits", count(commits.iter().sum())));
    let begin = Instant::now();
    while bridge.status().applied().is_none_or(|applied| applied < end) {
        assert!(begin.elapsed() < LIMIT, "the end was not reached in {LIMIT:?}:\n{}", bridge.log_tail());
        std::thread::sleep(Duration::from_millis(20));
    }
    stage.note(&format!("reached {} later", time(begin.elapsed())));
    let last = bridge.status();
    stage.prompt("$", "kill -TERM %1");
    let (status, took) = bridge.stop();
    stage.note(&format!(
        "{} after {}; it made {} target commits, ran {} DDL, met {} errors",
        if status.success() { "ended with 0".to_owned() } else { status.to_string() },
        time(took),
        count(last.total("commits")),
        last.total("ddl"),
        last.total("errors"),
    ));

    stage.step("Compare every table");
    let differences = compare(&servers.source, &servers.target, &[SCHEMA]).err();
    let (tables, rows) = list(stage, servers);
    let (missing, twice) = shop::audit(&servers.target, &commits);
    let commits = commits.iter().sum();
    Result { commits, missing, twice, tables, rows, differences, drained: status.success() }
}

/// The tables with their rows on both sides.
fn list(stage: &Stage, servers: &Servers) -> (u64, u64) {
    let names = servers.source.sql(&format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = '{SCHEMA}' ORDER BY table_name"
    ));
    let (mut tables, mut all) = (0, 0);
    for name in names.lines() {
        let folded = name.to_lowercase();
        let on_source = servers.source.sql(&format!("SELECT COUNT(*) FROM `{SCHEMA}`.`{name}`"));
        let on_target = servers.target.try_sql(&format!("SELECT COUNT(*) FROM shop.`{folded}`"));
        let rows = on_source.parse().unwrap_or(0);
        let there = on_target.map_or("none".to_owned(), |rows| count(rows.parse().unwrap_or(0)));
        let (left, right) = (padded(&format!("{SCHEMA}.{name}"), 18), padded(&format!("shop.{folded}"), 18));
        stage.note(&format!("{left} {:>9} rows   {right} {there:>9} rows", count(rows)));
        tables += 1;
        all += rows;
    }
    (tables, all)
}

/// The last words, and whether all is well.
pub fn verdict(stage: &Stage, result: &Result, copied: u64, saved: &str, took: Duration) -> bool {
    let exact = result.missing == 0 && result.twice == 0;
    let good = exact && result.drained && result.differences.is_none();
    stage.note(&format!(
        "{} commits counted by the ledger: {} in the dump, {} through the bridge from {saved} on; {} missing, {} twice",
        count(result.commits),
        count(copied),
        count(result.commits.saturating_sub(copied)),
        result.missing,
        result.twice,
    ));
    if let Some(differences) = &result.differences {
        stage.note(differences);
    }
    let words = if good {
        format!(
            "EQUAL: {} tables, {} rows, every commit exactly once; the source was written to the whole time ({})",
            result.tables,
            count(result.rows),
            time(took)
        )
    } else if !exact {
        format!("DIFFERENT: {} commits are missing, {} are there twice", result.missing, result.twice)
    } else if result.differences.is_some() {
        "DIFFERENT: the tables named above are not equal".to_owned()
    } else {
        "the bridge did not drain in order: see above".to_owned()
    };
    stage.verdict(good, &words);
    good
}
