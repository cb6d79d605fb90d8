//! From the commit on the source to the commit on the target, transaction by transaction.
//!
//! Both contenders meet the same load, one after the other, and are measured in the same way: see [`crate::commits`].

use std::collections::HashMap;
use std::time::Duration;

use crate::commits::commits;
use crate::contender::{self, Contender};
use crate::load;
use crate::report::{Measurement, quantile};
use crate::settings::Settings;
use crate::stage::Stage;
use crate::support::compare;
use crate::sysbench::SCHEMA;
use crate::workload::{self, Paced};

/// Not counted: the first transactions meet cold caches on both ends.
const WARM_UP: Duration = Duration::from_secs(3);

pub(crate) fn run(settings: &Settings) -> Vec<Measurement> {
    let stage = Stage::build(settings, false);
    let mut measurements = Vec::new();
    for paced in settings.chosen(&workload::LATENCY, |paced| paced.name) {
        for contender in settings.chosen(&contender::LATENCY, |contender| contender.name) {
            measurements.push(measure(settings, &stage, paced, contender));
        }
    }
    rate(&mut measurements);
    measurements
}

fn measure(settings: &Settings, stage: &Stage, paced: &Paced, contender: &Contender) -> Measurement {
    let start = stage.fresh_source(paced.workload.format);
    stage.fresh_target();
    let target_start = stage.target.coordinates();
    let mut running = contender.start(stage, &start, settings);
    running.wait_caught_up();
    let written = load::run_paced(&stage.source, settings.rows, paced, WARM_UP + settings.duration);
    let took = running.wait_caught_up();
    drop(running);
    let equal = compare(&stage.source, &stage.target, &[SCHEMA]);
    let warm_up = u64::from(paced.rate) * WARM_UP.as_secs();
    let transactions = written - warm_up;
    let mut markers = commits(&stage.source, &start);
    markers.retain(|marker, _| *marker >= warm_up);
    let latencies = latencies(&markers, &commits(&stage.target, &target_start));
    assert_eq!(u64::try_from(latencies.len()), Ok(transactions), "every marker is in both logs");
    let part = |part: f64| quantile(latencies.iter().copied(), part);
    println!("{}: {} {:.1} ms, 99 % within {:.1} ms", paced.name, contender.name, part(0.5), part(0.99));
    Measurement {
        workload: paced.name.to_owned(),
        contender: contender.name.to_owned(),
        rtt_ms: contender.rtt_ms(),
        seconds: settings.duration.as_secs_f64(),
        transactions,
        ratio: None,
        target_cpu_s: took.target_cpu_s,
        own_cpu_s: took.own_cpu_s,
        peak_rss_mib: took.peak_rss_mib,
        equal: equal.is_ok(),
        p50_ms: Some(part(0.5)),
        p99_ms: Some(part(0.99)),
    }
}

/// In milliseconds.
#[allow(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
fn latencies(source: &HashMap<u64, u64>, target: &HashMap<u64, u64>) -> Vec<f64> {
    let pairs = source.iter().filter_map(|(marker, at)| Some((at, target.get(marker)?)));
    pairs.map(|(source, target)| (*target as f64 - *source as f64) / 1000.0).collect()
}

/// The ratio of medians: MySQL's own by the contender's.
fn rate(measurements: &mut [Measurement]) {
    let native: HashMap<String, f64> = measurements
        .iter()
        .filter(|measured| measured.own_cpu_s.is_none())
        .filter_map(|measured| Some((measured.workload.clone(), measured.p50_ms?)))
        .collect();
    for measured in measurements {
        measured.ratio =
            native.get(&measured.workload).zip(measured.p50_ms).map(|(native, own)| native / own);
    }
}
