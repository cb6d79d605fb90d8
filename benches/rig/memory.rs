//! How much memory binbridge holds: under a load as large as the source can make, and in a transaction larger than that.

use std::time::Duration;

use crate::contender::{self, Applier, Contender, Took};
use crate::load;
use crate::process::sampled_rss_mib;
use crate::report::Measurement;
use crate::settings::Settings;
use crate::stage::Stage;
use crate::support::compare;
use crate::sysbench::{SCHEMA, TABLES};
use crate::workload::{self, Kind, Pressure};

/// Until then buffers fill.
const WARM_UP: Duration = Duration::from_secs(3);
const SAMPLES_PER_SECOND: usize = 10;

pub(crate) fn run(settings: &Settings) -> Vec<Measurement> {
    let stage = Stage::build(settings, false);
    let pressures = settings.chosen(&workload::MEMORY, |pressure| pressure.name);
    pressures
        .into_iter()
        .map(|pressure| match pressure.kind {
            Kind::Steady => steady(settings, &stage, pressure),
            Kind::Large => large(settings, &stage, pressure),
        })
        .collect()
}

fn steady(settings: &Settings, stage: &Stage, pressure: &Pressure) -> Measurement {
    let (took, samples, transactions) =
        watched(settings, stage, pressure, || load::run_for(&stage.source, settings.rows, settings.duration));
    let warm_up = usize::try_from(WARM_UP.as_secs()).unwrap_or(0) * SAMPLES_PER_SECOND;
    let held = samples.iter().skip(warm_up).copied().fold(0.0, f64::max);
    println!("{}: {held:.1} MiB while {transactions} transactions were written", pressure.name);
    measurement(stage, pressure, transactions, took, held)
}

fn large(settings: &Settings, stage: &Stage, pressure: &Pressure) -> Measurement {
    let (took, samples, ()) = watched(settings, stage, pressure, || write_large(settings, stage));
    let peak = took.peak_rss_mib.unwrap_or_else(|| samples.iter().copied().fold(0.0, f64::max));
    println!("{}: {peak:.1} MiB at most, {} MiB written", pressure.name, settings.transaction_mib);
    measurement(stage, pressure, 1, took, peak)
}

/// Runs `write` on the source while a bridge runs, and the bridge until it has all of that.
fn watched<T>(
    settings: &Settings,
    stage: &Stage,
    pressure: &Pressure,
    write: impl FnOnce() -> T,
) -> (Took, Vec<f64>, T) {
    let start = stage.fresh_source(pressure.format);
    stage.fresh_target();
    let contender =
        Contender { applier: Applier::Binbridge { keys: pressure.keys }, ..contender::CATCH_UP[3] };
    let mut running = contender.start(stage, &start, settings);
    running.wait_caught_up();
    let pid = running.pid().expect("a bridge has a process");
    let ((took, value), samples) = sampled_rss_mib(pid, || {
        let value = write();
        (running.wait_caught_up(), value)
    });
    (took, samples, value)
}

/// One transaction of many rows.
fn write_large(settings: &Settings, stage: &Stage) {
    let rows = settings.rows * u64::from(TABLES);
    let width = settings.transaction_mib * 1024 * 1024 / rows;
    let copies = width / 120 + 1;
    let inserts: Vec<String> = (1..=TABLES)
        .map(|table| {
            let before = u64::from(table - 1) * settings.rows;
            format!(
                "INSERT INTO {SCHEMA}.big SELECT id + {before}, LEFT(REPEAT(c, {copies}), {width}) FROM {SCHEMA}.sbtest{table}"
            )
        })
        .collect();
    stage.source.sql(&format!("BEGIN; {}; COMMIT", inserts.join("; ")));
}

fn measurement(stage: &Stage, pressure: &Pressure, transactions: u64, took: Took, mib: f64) -> Measurement {
    let difference = compare(&stage.source, &stage.target, &[SCHEMA]);
    if let Err(difference) = &difference {
        println!("{difference}");
    }
    Measurement {
        workload: pressure.name.to_owned(),
        contender: "binbridge".to_owned(),
        rtt_ms: 0,
        seconds: took.seconds,
        transactions,
        ratio: None,
        target_cpu_s: took.target_cpu_s,
        own_cpu_s: took.own_cpu_s,
        peak_rss_mib: Some(mib),
        equal: difference.is_ok(),
        p50_ms: None,
        p99_ms: None,
    }
}
