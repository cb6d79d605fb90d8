//! The stages that are measured, and how.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use binbridge::binlog::RowsEvent;
use binbridge::schedule::Footprint;
use binbridge::transaction::Transaction;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

use crate::report::Measurement;
use crate::written::Written;
use crate::{Workload, contenders, reader};

/// Whose time counts.
#[derive(Clone, Copy, Debug)]
enum Clock {
    Thread,
    Children,
}

/// A stage that criterion has measured.
#[derive(Debug)]
pub(crate) struct Stage {
    workload: &'static str,
    reader: &'static str,
    stage: &'static str,
    like: Option<&'static str>,
    bytes: u64,
    rows: u64,
}

const EVENTS: &str = "checksums, events";
const VALUES: &str = "checksums, events, rows, values";

/// Measures everything over one workload.
pub(crate) fn run(workload: &Workload, folder: &Path, criterion: &mut Criterion, done: &mut Vec<Stage>) {
    let mut bench = Bench { workload, criterion, done };
    bench.decoding();
    bench.scheduling();
    let Written { bytes, .. } = &workload.large;
    bench.own("all: bytes to net batches", || reader::whole(bytes));
    bench.contenders(folder);
}

struct Bench<'b> {
    workload: &'b Workload,
    criterion: &'b mut Criterion,
    done: &'b mut Vec<Stage>,
}

impl Bench<'_> {
    fn decoding(&mut self) {
        let file = &self.workload.large.bytes;
        self.own("CRC32 alone", || {
            reader::raw_events(file).fold(0, |sum, event| sum ^ crc32fast::hash(&event[..event.len() - 4]))
        });
        self.own(EVENTS, || reader::events(file).count());
        let events: Vec<RowsEvent> = reader::rows_events(file).collect();
        self.own("rows", || events.iter().map(reader::walk).sum::<u64>());
        self.own("rows, values", || events.iter().map(reader::cells).sum::<usize>());
        self.own("checksums, events, rows", || {
            reader::rows_events(file).map(|rows| reader::walk(&rows)).sum::<u64>()
        });
        self.own(VALUES, || reader::rows_events(file).map(|rows| reader::cells(&rows)).sum::<usize>());
        self.own("checksums, events, rows, transactions", || {
            reader::transactions(reader::events(file)).count()
        });
    }

    fn scheduling(&mut self) {
        let file = &self.workload.large.bytes;
        let batches: Vec<Vec<Transaction>> =
            reader::batches(reader::transactions(reader::events(file))).collect();
        let mut scheduler = reader::Scheduler::new();
        self.own("claims", || {
            for transaction in batches.iter().flatten() {
                black_box(scheduler.claims(transaction));
            }
        });
        let footprints: Vec<Vec<Footprint>> = batches
            .iter()
            .map(|batch| batch.iter().map(|transaction| scheduler.claims(transaction)).collect())
            .collect();
        self.own("windows", || footprints.iter().map(|batch| reader::window(batch)).sum::<usize>());
        self.own("merge", || batches.iter().map(|batch| scheduler.merge(batch)).sum::<usize>());
        self.own("merge, encode", || batches.iter().map(|batch| scheduler.encode(batch)).sum::<usize>());
    }

    fn contenders(&mut self, folder: &Path) {
        let Workload { large, short, .. } = self.workload;
        self.stage(("mysql_common", "events without checksums"), Some(EVENTS), large, Clock::Thread, || {
            contenders::mysql_common_events(&large.bytes)
        });
        self.stage(
            ("mysql_common", "events without checksums, rows, values"),
            Some(VALUES),
            short,
            Clock::Thread,
            || contenders::mysql_common_rows(&short.bytes),
        );
        let paths = [folder.join("large"), folder.join("short")];
        contenders::store(&large.bytes, &paths[0]);
        contenders::store(&short.bytes, &paths[1]);
        self.stage(("mysqlbinlog", "FILE"), Some(EVENTS), large, Clock::Children, || {
            contenders::mysqlbinlog(&paths[0], &[]);
        });
        self.stage(("mysqlbinlog", "-v FILE"), Some(VALUES), short, Clock::Children, || {
            contenders::mysqlbinlog(&paths[1], &["-v"]);
        });
    }

    fn own<T>(&mut self, stage: &'static str, run: impl FnMut() -> T) {
        let Workload { large, .. } = self.workload;
        self.stage(("binbridge", stage), None, large, Clock::Thread, run);
    }

    fn stage<T>(
        &mut self,
        (reader, stage): (&'static str, &'static str),
        like: Option<&'static str>,
        written: &Written,
        clock: Clock,
        mut run: impl FnMut() -> T,
    ) {
        let stage = Stage {
            workload: self.workload.name,
            reader,
            stage,
            like,
            bytes: written.bytes.len() as u64,
            rows: written.rows,
        };
        let mut ran = false;
        let mut group = self.criterion.benchmark_group(stage.workload);
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(stage.bytes));
        group.bench_function(BenchmarkId::from_parameter(stage.name()), |bencher| {
            ran = true;
            bencher.iter_custom(|times| {
                let began = clock.now();
                for _ in 0..times {
                    black_box(run());
                }
                clock.now().saturating_sub(began)
            });
        });
        group.finish();
        if ran {
            self.done.push(stage);
        }
    }
}

impl Stage {
    fn name(&self) -> String {
        format!("{}-{}", self.reader, self.stage).replace([' ', ',', ':'], "")
    }

    /// What criterion says of it; `None` if it was only tried.
    #[allow(clippy::cast_precision_loss, reason = "millions")]
    pub(crate) fn measured(self, folder: &Path) -> Option<Measurement> {
        let file = folder.join(self.workload).join(self.name()).join("new/estimates.json");
        let estimates: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let cpu_s = estimates.get("median")?.get("point_estimate")?.as_f64()? / 1e9;
        Some(Measurement {
            workload: self.workload,
            reader: self.reader,
            stage: self.stage,
            cpu_s,
            bytes: self.bytes,
            rows: self.rows,
            gb_per_s: self.bytes as f64 / cpu_s / 1e9,
            rows_per_s: self.rows as f64 / cpu_s,
            like: self.like,
            binbridge_times: None,
        })
    }
}

impl Clock {
    /// CPU time so far.
    fn now(self) -> Duration {
        match self {
            Self::Thread => clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into(),
            Self::Children => {
                let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
                let micros = |time: nix::sys::time::TimeVal| {
                    Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or_default())
                        + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or_default())
                };
                micros(usage.user_time()) + micros(usage.system_time())
            }
        }
    }
}
