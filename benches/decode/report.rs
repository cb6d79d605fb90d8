//! What was measured: a table for people, JSON for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

/// One reader's stage over one file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) workload: &'static str,
    pub(crate) reader: &'static str,
    pub(crate) stage: &'static str,
    /// The median of all samples: seconds of CPU time.
    pub(crate) cpu_s: f64,
    /// Bytes of binlog that went through.
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) gb_per_s: f64,
    pub(crate) rows_per_s: f64,
    /// The stage of binbridge that does the same, and how many times as fast it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) like: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) binbridge_times: Option<f64>,
}

/// Says how many times as fast binbridge is.
pub(crate) fn compare(measurements: &mut [Measurement]) {
    let ours: Vec<Measurement> =
        measurements.iter().filter(|measured| measured.reader == "binbridge").cloned().collect();
    for measured in measurements {
        let like =
            ours.iter().find(|own| own.workload == measured.workload && Some(own.stage) == measured.like);
        measured.binbridge_times = like.map(|own| own.gb_per_s / measured.gb_per_s);
    }
}

/// Aligned columns.
pub(crate) fn table(measurements: &[Measurement]) -> String {
    let head = ["workload", "reader", "stage", "GB/s", "M rows/s", "binbridge is"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(measurements.iter().map(|measured| {
        let times = measured.like.zip(measured.binbridge_times);
        [
            measured.workload.to_owned(),
            measured.reader.to_owned(),
            measured.stage.to_owned(),
            format!("{:.3}", measured.gb_per_s),
            format!("{:.2}", measured.rows_per_s / 1e6),
            times.map_or(String::new(), |(like, times)| format!("{times:.1} times as fast ({like})")),
        ]
    }));
    let widths: [usize; 6] =
        std::array::from_fn(|i| rows.iter().map(|row| row[i].len()).max().unwrap_or_default());
    let mut text = String::new();
    for row in &rows {
        for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
            let number = (3..5).contains(&i);
            let _ = if number { write!(text, "{cell:>width$}  ") } else { write!(text, "{cell:<width$}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// Writes the figures.
pub(crate) fn write(measurements: &[Measurement], file: &Path) {
    let text = serde_json::to_string_pretty(measurements).expect("numbers and texts are JSON");
    fs::write(file, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
