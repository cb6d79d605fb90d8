//! How fast the reader is: bytes of binlog to events, rows, claims and net batches, per core and stage by stage, beside
//! mysql_common's event reader and beside `mysqlbinlog`.
//!
//! `make bench-decode`. The time taken is CPU time, of the thread or of the child: other work on the machine costs less than by
//! the clock. Prints a table and writes `decode.json` to the folder `BENCH_OUT`; arguments are criterion's.

#[allow(dead_code, unreachable_pub, unused_imports, reason = "the package's tests use all of it")]
#[path = "../../tests/support/install/mod.rs"]
mod install;

mod contenders;
mod reader;
mod report;
mod stages;
mod written;

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::Criterion;

use report::Measurement;
use written::{Shape, Written};

/// Larger than any cache.
const LARGE: usize = 64 << 20;
/// For readers that would take minutes.
const SHORT: usize = 8 << 20;

/// A file under a name.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) large: Written,
    pub(crate) short: Written,
}

fn main() {
    let out = std::env::var_os("BENCH_OUT").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .output_directory(&out.join("criterion"))
        .configure_from_args();
    let mut measurements = Vec::new();
    for (name, shape) in [("oltp", Shape::Oltp), ("bulk", Shape::Bulk), ("wide", Shape::Wide)] {
        let workload =
            Workload { name, large: written::write(shape, LARGE), short: written::write(shape, SHORT) };
        check(&workload, folder.path());
        stages::run(&workload, folder.path(), &mut criterion, &mut measurements);
    }
    let mut measurements: Vec<Measurement> =
        measurements.into_iter().filter_map(|stage| stage.measured(&out.join("criterion"))).collect();
    report::compare(&mut measurements);
    println!("\n{}", report::table(&measurements));
    let file = out.join("decode.json");
    report::write(&measurements, &file);
    println!("{}", file.display());
}

/// All readers find the same rows.
fn check(workload: &Workload, folder: &Path) {
    let Written { bytes, rows } = &workload.short;
    let file = folder.join("check");
    contenders::store(bytes, &file);
    assert_eq!(reader::rows_events(bytes).map(|rows| reader::walk(&rows)).sum::<u64>(), *rows);
    assert_eq!(contenders::mysql_common_rows(bytes), *rows);
    assert_eq!(contenders::rows_by_mysqlbinlog(&file), *rows);
}
