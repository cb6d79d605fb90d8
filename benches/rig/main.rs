//! What binbridge is measured with: the same workload, the same target, MySQL's own replication beside it.
//!
//! `cargo bench --bench rig -- catchup` (`latency`, `memory`, `all`; several, or none for each of them). Each prints a table and writes
//! `target/bench/<name>.json`. [`settings`] has the environment variables that scale it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program for people: it prints, and what goes wrong ends it"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod catchup;
mod commits;
mod contender;
mod latency;
mod load;
mod memory;
mod process;
mod report;
mod settings;
mod shapes;
mod stage;
mod sysbench;
mod workload;

use std::process::ExitCode;

use report::Measurement;
use settings::Settings;

type Bench = fn(&Settings) -> Vec<Measurement>;

const BENCHES: [(&str, Bench); 4] =
    [("catchup", catchup::run), ("latency", latency::run), ("memory", memory::run), ("all", catchup::all)];

fn main() -> ExitCode {
    // Cargo adds an argument of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let known = |name: &String| BENCHES.iter().any(|(bench, _)| bench == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        eprintln!("no bench is called {unknown}; there are {}", BENCHES.map(|(name, _)| name).join(", "));
        return ExitCode::from(2);
    }
    let settings = Settings::from_environment();
    let mut equal = true;
    for (name, bench) in
        BENCHES.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|n| n == name))
    {
        let measurements = bench(&settings);
        equal &= measurements.iter().all(|measurement| measurement.equal);
        println!("\n{}", report::table(name, &measurements));
        println!("{}", report::write(name, &measurements).display());
    }
    if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
