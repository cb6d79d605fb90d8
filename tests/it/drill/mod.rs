//! The drill: the bridge beside the target's own replication, which fails, is taken over from, and is handed back to.

mod changes;
mod fence;
mod load;
mod stage;
mod standby;
mod times;

use binbridge::failpoint::TRANSITIONS;

use crate::support::compare;

use stage::{Drill, Failure, Way};

const FAILURES: [Failure; 3] = [Failure::Applier, Failure::Receiver, Failure::Stopped];

/// Every failure, by policy there and by command back.
fn every_failure(drill: &mut Drill) {
    for failure in FAILURES {
        drill.take_over_from(failure);
        drill.hand_back();
    }
    drill.require_equal();
}

#[test]
fn the_bridge_takes_over_and_hands_back_by_position() {
    every_failure(&mut Drill::new(Way { by_gtid: false, workers: 1, ordered: true }));
}

#[test]
fn the_bridge_takes_over_and_hands_back_by_gtid_from_workers_that_leave_gaps() {
    every_failure(&mut Drill::new(Way { by_gtid: true, workers: 8, ordered: false }));
}

#[test]
#[ignore = "takes minutes: make drill"]
fn the_bridge_takes_over_and_hands_back_whatever_the_way_and_the_failure() {
    for by_gtid in [false, true] {
        for workers in [1, 8] {
            for ordered in [true, false] {
                let way = Way { by_gtid, workers, ordered };
                eprintln!("{way:?}");
                every_failure(&mut Drill::new(way));
            }
        }
    }
}

/// A round for each; in the short form half of them by position, half by GTID.
fn every_death(by_gtid: bool) {
    let whole = std::env::var_os("DRILL_WHOLE").is_some();
    let mine = |transition: &str| -> Vec<&'static str> {
        let points = TRANSITIONS.iter().filter(|point| point.starts_with(transition)).enumerate();
        points.filter(|(i, _)| whole || (i % 2 == 1) == by_gtid).map(|(_, point)| *point).collect()
    };
    let mut drill = Drill::new(Way { by_gtid, workers: 8, ordered: true });
    for point in mine("takeover.") {
        drill.dies_at = Some(point);
        drill.take_over_from(Failure::Stopped);
        drill.hand_back();
    }
    for point in mine("handback.") {
        drill.take_over_from(Failure::Stopped);
        drill.dies_at = Some(point);
        drill.hand_back();
    }
    drill.require_equal();
}

#[test]
fn killed_at_any_step_of_both_transitions_a_new_start_goes_on_by_position() {
    every_death(false);
}

#[test]
fn killed_at_any_step_of_both_transitions_a_new_start_goes_on_by_gtid() {
    every_death(true);
}

#[test]
fn gaps_that_nothing_tells_are_refused_and_named() {
    let mut drill = Drill::new(Way { by_gtid: false, workers: 8, ordered: false });
    drill.leave_gaps();
    drill.after_refusal();
    drill.wait_phase("active");
    drill.end_load();
    drill.bridge.wait_caught_up(&drill.source, stage::LIMIT);
    compare(&drill.source, &drill.target, &["app"]).unwrap();
}
