use super::*;
use crate::observe::Rows;

fn at(offset: u64) -> Coordinates {
    Coordinates::new("b.000001", offset)
}

fn caught_up() -> Arc<Observer> {
    let observer = Observer::new("main");
    observer.loaded(&at(4));
    observer.heartbeat(&at(4));
    assert_eq!(observer.progress().lag.applied_seconds, Some(0.0));
    observer
}

#[test]
fn a_bridge_that_has_ended_does_not_claim_to_be_level() {
    for end in [Lifecycle::Stopped, Lifecycle::Failed] {
        let observer = caught_up();
        observer.lifecycle(end, "for a test");
        assert_eq!(observer.progress().lag.applied_seconds, None);
        assert!(observer.metrics().contains("binbridge_lag_seconds{stage=\"applied\",bridge=\"main\"} NaN"));
        assert!(observer.metrics().contains("binbridge_lag_known{stage=\"applied\",bridge=\"main\"} 0"));
    }
}

#[test]
fn a_commit_is_counted_and_its_latency_corrected_by_the_clock_offset() {
    let observer = caught_up();
    let source_us = now_us() + 3_600_000_000 - 250_000;
    observer.clock_offset(Some(3_600_000_000));
    observer.received(&at(900), Some(source_us), 2);
    assert_eq!(observer.progress().lag.transactions, 2);
    observer.committed(&Committed {
        at: Some(at(900)),
        seq: 2,
        passed: 2,
        transactions: 1,
        filtered: 1,
        rows: Rows { inserted: 4, updated: 2, deleted: 1 },
        statements: 0,
        bytes: 640,
        newest_committed_us: Some(source_us),
        committed_us: &[source_us],
    });
    let now = observer.progress();
    assert_eq!((now.totals.applied, now.totals.filtered, now.totals.rows), (1, 1, 7));
    assert_eq!((now.lag.transactions, now.position.applied.as_deref()), (0, Some("b.000001:900")));
    let p50 = now.latency.p50_ms.unwrap();
    assert!((250.0..2000.0).contains(&p50), "{p50}");
    let metrics = observer.metrics();
    for (op, rows) in [("insert", 4), ("update", 2), ("delete", 1)] {
        assert!(metrics.contains(&format!("binbridge_rows_total{{op=\"{op}\",bridge=\"main\"}} {rows}")));
    }
    assert!(metrics.contains("binbridge_commit_latency_seconds_count{bridge=\"main\"} 1"));
}

#[test]
fn the_newest_error_is_shown_with_code_words_and_remedy_apart() {
    let observer = Observer::new("main");
    observer.failure(&Error::new(Code::RowMissing, "update finds no row").context("table a.b"));
    let error = observer.progress().last_error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("BB4002", "update finds no row; table a.b"));
    assert_eq!((error.remedy.as_str(), error.transient), (Code::RowMissing.remedy(), false));
    let counted = "binbridge_errors_total{code=\"BB4002\",severity=\"definite\",bridge=\"main\"} 1";
    assert!(observer.metrics().contains(counted));
}

fn metric(observer: &Observer, series: &str) -> f64 {
    let metrics = observer.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_broken_invariant_is_counted_and_no_other_error_is() {
    let observer = Observer::new("main");
    let broken = || metric(&observer, "binbridge_invariant_violations_total{bridge=\"main\"}");
    observer.failure(&Error::new(Code::RowMissing, "update finds no row"));
    assert!(broken() < 0.5, "exported before the first, or no increase would be seen");
    observer.failure(&Error::new(Code::Invariant, "there is no worker 7"));
    assert!((broken() - 1.0).abs() < 0.5);
}

#[test]
fn workers_count_while_they_are_there() {
    let observer = Observer::new("main");
    let counts = || {
        ["binbridge_workers{bridge=\"main\"}", "binbridge_workers_busy{bridge=\"main\"}"]
            .map(|series| metric(&observer, series).to_string())
    };
    let workers = [observer.worker(), observer.worker()];
    let busy = observer.busy();
    assert_eq!(counts(), ["2", "1"]);
    drop(busy);
    assert_eq!(counts(), ["2", "0"]);
    drop(workers);
    assert_eq!(counts(), ["0", "0"]);
}

#[test]
fn progress_is_as_old_as_its_last_commit_with_or_without_a_transaction() {
    let observer = caught_up();
    let recorded = || metric(&observer, "binbridge_checkpoint_last_timestamp_seconds{bridge=\"main\"}");
    assert!(recorded().is_nan());
    observer.place_recorded(Some(&at(9)));
    assert!((recorded() - float(now_us()) / 1e6).abs() < 60.0);
}

#[test]
fn a_snapshot_survives_its_json() {
    let now = caught_up().progress();
    let text = serde_json::to_string(&now).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), now);
}
