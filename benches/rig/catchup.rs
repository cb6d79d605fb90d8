//! How long a target takes to catch up with what a source has written.

use crate::contender::{self, Contender, Took};
use crate::load;
use crate::report::{Measurement, median};
use crate::settings::Settings;
use crate::stage::Stage;
use crate::support::compare;
use crate::sysbench::SCHEMA;
use crate::workload::{self, Workload};

struct Runs<'a> {
    contender: &'a Contender,
    took: Vec<Took>,
    equal: bool,
}

pub(crate) fn run(settings: &Settings) -> Vec<Measurement> {
    race(settings, &Stage::build(settings, false), &workload::CATCH_UP, &contender::CATCH_UP)
}

/// Every workload, everyone.
pub(crate) fn all(settings: &Settings) -> Vec<Measurement> {
    race(settings, &Stage::build(settings, true), &workload::ALL, &contender::ALL)
}

fn race(
    settings: &Settings,
    stage: &Stage,
    workloads: &[Workload],
    contenders: &[Contender],
) -> Vec<Measurement> {
    let workloads = settings.chosen(workloads, |workload| workload.name);
    let contenders = settings.chosen(contenders, |contender| contender.name);
    workloads.into_iter().flat_map(|workload| run_workload(settings, stage, workload, &contenders)).collect()
}

/// The source writes once; then every contender brings the same target in step with it, one after the other, and all of
/// that again, so that a change of the machine's pace meets all of them.
fn run_workload(
    settings: &Settings,
    stage: &Stage,
    workload: &Workload,
    contenders: &[&Contender],
) -> Vec<Measurement> {
    let start = stage.fresh_source(workload.format);
    let count = workload.count(settings.transactions);
    println!("{}: the source writes {count} transactions", workload.name);
    load::run(&stage.source, settings.rows, workload.shape, count);
    let mut all: Vec<Runs<'_>> =
        contenders.iter().map(|contender| Runs { contender, took: Vec::new(), equal: true }).collect();
    for _ in 0..settings.repeat {
        for runs in &mut all {
            stage.fresh_target();
            let mut running = runs.contender.start(stage, &start, settings);
            let took = running.wait_caught_up();
            drop(running);
            let difference = compare(&stage.source, &stage.target, &[SCHEMA]);
            println!("{}: {} took {:.2} s", workload.name, runs.contender.name, took.seconds);
            if let Err(difference) = difference {
                println!("{difference}");
                runs.equal = false;
            }
            runs.took.push(took);
        }
    }
    measurements(settings, workload, &all)
}

fn measurements(settings: &Settings, workload: &Workload, all: &[Runs<'_>]) -> Vec<Measurement> {
    let seconds = |runs: &Runs<'_>| median(runs.took.iter().map(|took| took.seconds));
    let best = all.iter().filter(|runs| runs.contender.is_native()).map(seconds).min_by(f64::total_cmp);
    let optional = |runs: &Runs<'_>, value: fn(&Took) -> Option<f64>| {
        let values: Option<Vec<f64>> = runs.took.iter().map(value).collect();
        values.map(median)
    };
    let measured = |runs: &Runs<'_>| Measurement {
        workload: workload.name.to_owned(),
        contender: runs.contender.name.to_owned(),
        rtt_ms: runs.contender.rtt_ms(),
        seconds: seconds(runs),
        transactions: workload.count(settings.transactions),
        ratio: best.map(|best| best / seconds(runs)),
        target_cpu_s: median(runs.took.iter().map(|took| took.target_cpu_s)),
        own_cpu_s: optional(runs, |took| took.own_cpu_s),
        peak_rss_mib: optional(runs, |took| took.peak_rss_mib),
        equal: runs.equal,
        p50_ms: None,
        p99_ms: None,
    };
    all.iter().map(measured).collect()
}
