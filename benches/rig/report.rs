//! What was measured: a table for people, JSON for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

/// One contender under one workload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) workload: String,
    pub(crate) contender: String,
    /// Round-trip time added between contender and target.
    pub(crate) rtt_ms: u64,
    /// The median of all runs, as is everything else.
    pub(crate) seconds: f64,
    pub(crate) transactions: u64,
    /// How many times as fast as MySQL's own replication at its best in the same run.
    pub(crate) ratio: Option<f64>,
    pub(crate) target_cpu_s: f64,
    /// None for MySQL's own replication: it runs in the target.
    pub(crate) own_cpu_s: Option<f64>,
    pub(crate) peak_rss_mib: Option<f64>,
    /// Whether source and target held the same rows after each run.
    pub(crate) equal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_ms: Option<f64>,
}

/// The middle of several runs; of an even number, the upper one of the two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value that this part of all values lies below; 0 of none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index into a list that fits in memory"
)]
pub(crate) fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * part) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// Aligned columns.
pub(crate) fn table(name: &str, measurements: &[Measurement]) -> String {
    let head =
        ["workload", "contender", "rtt ms", "seconds", "trx", "trx/s", "ratio", "target cpu s", "own cpu s"];
    let tail = ["peak MiB", "p50 ms", "p99 ms", "equal"];
    let mut rows = vec![head.iter().chain(&tail).map(|&text| text.to_owned()).collect::<Vec<_>>()];
    rows.extend(measurements.iter().map(cells));
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|i| rows.iter().map(|row| row[i].len()).max().unwrap_or(0)).collect();
    let mut text = format!("{name}\n");
    for row in rows {
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if i < 2 { write!(text, "{cell:<width$}  ") } else { write!(text, "{cell:>width$}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[allow(clippy::cast_precision_loss, reason = "transactions are counted in thousands")]
fn cells(measured: &Measurement) -> Vec<String> {
    let optional =
        |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    vec![
        measured.workload.clone(),
        measured.contender.clone(),
        measured.rtt_ms.to_string(),
        format!("{:.2}", measured.seconds),
        measured.transactions.to_string(),
        format!("{:.0}", measured.transactions as f64 / measured.seconds.max(0.001)),
        optional(measured.ratio, 2),
        format!("{:.1}", measured.target_cpu_s),
        optional(measured.own_cpu_s, 1),
        optional(measured.peak_rss_mib, 1),
        optional(measured.p50_ms, 1),
        optional(measured.p99_ms, 1),
        if measured.equal { "yes" } else { "NO" }.to_owned(),
    ]
}

/// Writes `target/bench/<name>.json` and says where that is.
pub(crate) fn write(name: &str, measurements: &[Measurement]) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("bench");
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let file = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(measurements).expect("numbers and texts are JSON");
    fs::write(&file, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    file
}
