//! The last quarter of an hour in steps of a second, so that a page opened late still shows it.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// 15 minutes.
const SECONDS: usize = 900;
/// Rates shown to people are averages over this many seconds.
const SMOOTH: usize = 5;
/// An estimate needs a trend of this many seconds.
const TREND: usize = 10;

/// What only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) received: u64,
    pub(super) applied: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// One second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Lag of what is applied, in seconds; `None`: unknown.
    pub lag_seconds: Option<f64>,
    /// Transactions received per second.
    pub received_per_second: f64,
    /// Transactions applied per second.
    pub applied_per_second: f64,
    /// Row changes applied per second.
    pub rows_per_second: f64,
    /// Bytes of binlog received per second.
    pub bytes_per_second: f64,
    /// 99th percentile of the latency from commit to commit, in milliseconds; `None` without commits.
    pub latency_p99_ms: Option<f64>,
}

/// Samples as `/history` tells them: one list per field, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Seconds from one sample to the next.
    pub interval_seconds: u64,
    /// When the newest was taken, in milliseconds since 1970.
    pub newest_ms: u64,
    /// See [`Sample::lag_seconds`].
    pub lag_seconds: Vec<Option<f64>>,
    /// See [`Sample::received_per_second`].
    pub received_per_second: Vec<f64>,
    /// See [`Sample::applied_per_second`].
    pub applied_per_second: Vec<f64>,
    /// See [`Sample::rows_per_second`].
    pub rows_per_second: Vec<f64>,
    /// See [`Sample::bytes_per_second`].
    pub bytes_per_second: Vec<f64>,
    /// See [`Sample::latency_p99_ms`].
    pub latency_p99_ms: Vec<Option<f64>>,
}

/// The ring.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    last: Option<(u64, Totals)>,
}

impl History {
    /// Takes a sample; the first call only sets the base. Seconds missed are shown as unknown lag.
    pub(super) fn tick(&mut self, now_us: u64, totals: Totals, lag: Option<f64>, p99_ms: Option<f64>) {
        let Some((before_us, before)) = self.last else {
            self.last = Some((now_us, totals));
            return;
        };
        let elapsed_us = now_us.saturating_sub(before_us);
        if elapsed_us < 100_000 {
            return;
        }
        let missed = (elapsed_us + 500_000) / 1_000_000;
        for _ in 1..missed.min(SECONDS as u64) {
            self.push(Sample::default());
        }
        let per_second = |now: u64, before: u64| rounded(ratio(now.saturating_sub(before), elapsed_us) * 1e6);
        self.push(Sample {
            lag_seconds: lag,
            received_per_second: per_second(totals.received, before.received),
            applied_per_second: per_second(totals.applied, before.applied),
            rows_per_second: per_second(totals.rows, before.rows),
            bytes_per_second: per_second(totals.bytes, before.bytes),
            latency_p99_ms: p99_ms,
        });
        self.last = Some((now_us, totals));
    }

    /// The newest sample.
    pub(super) fn newest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// When the newest sample was taken.
    pub(super) fn newest_us(&self) -> u64 {
        self.last.map_or(0, |(us, _)| us)
    }

    /// The average of the last seconds, without lag and latency.
    pub(super) fn smooth(&self) -> Option<Sample> {
        let count = self.samples.len().min(SMOOTH);
        let mean = |field: fn(&Sample) -> f64| {
            rounded(self.samples.iter().rev().take(count).map(field).sum::<f64>() / ratio(count as u64, 1))
        };
        (count > 0).then(|| Sample {
            lag_seconds: None,
            latency_p99_ms: None,
            received_per_second: mean(|sample| sample.received_per_second),
            applied_per_second: mean(|sample| sample.applied_per_second),
            rows_per_second: mean(|sample| sample.rows_per_second),
            bytes_per_second: mean(|sample| sample.bytes_per_second),
        })
    }

    /// Seconds until the lag is gone, if it shrinks steadily; `None` while that cannot be said.
    pub(super) fn remaining_seconds(&self) -> Option<f64> {
        let trend: Vec<f64> =
            self.samples.iter().rev().take(TREND).map_while(|sample| sample.lag_seconds).collect();
        let (newest, oldest) = (*trend.first()?, *trend.last()?);
        let closing = (oldest - newest) / ratio(trend.len().saturating_sub(1) as u64, 1);
        (trend.len() == TREND && newest > 2.0 && closing > 0.05).then(|| (newest / closing).ceil())
    }

    pub(super) fn series(&self) -> Series {
        Series {
            interval_seconds: 1,
            newest_ms: self.newest_us() / 1000,
            lag_seconds: self.column(|sample| sample.lag_seconds),
            received_per_second: self.column(|sample| sample.received_per_second),
            applied_per_second: self.column(|sample| sample.applied_per_second),
            rows_per_second: self.column(|sample| sample.rows_per_second),
            bytes_per_second: self.column(|sample| sample.bytes_per_second),
            latency_p99_ms: self.column(|sample| sample.latency_p99_ms),
        }
    }

    fn column<T>(&self, field: fn(&Sample) -> T) -> Vec<T> {
        self.samples.iter().map(field).collect()
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() >= SECONDS {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates need no more than 52 bits")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(applied: u64) -> Totals {
        Totals { applied, ..Totals::default() }
    }

    #[test]
    fn a_sample_is_the_difference_per_second() {
        let mut history = History::default();
        history.tick(0, totals(0), None, None);
        assert_eq!(history.newest(), None);
        history.tick(2_000_000, totals(50), Some(1.5), None);
        let newest = history.newest().unwrap();
        assert_eq!((newest.applied_per_second, newest.lag_seconds), (25.0, Some(1.5)));
        assert_eq!(
            history.series().applied_per_second,
            [0.0, 25.0],
            "the second that was missed has its place"
        );
    }

    #[test]
    fn the_ring_holds_a_quarter_of_an_hour() {
        let mut history = History::default();
        for second in 0..2000u64 {
            history.tick(second * 1_000_000, totals(second), Some(0.0), None);
        }
        assert_eq!(history.series().lag_seconds.len(), SECONDS);
        assert!((history.smooth().unwrap().applied_per_second - 1.0).abs() < 0.01);
        history.tick(u64::MAX, totals(0), None, None);
        assert_eq!(history.series().lag_seconds.len(), SECONDS);
    }

    #[test]
    fn the_estimate_waits_for_a_steady_trend() {
        let mut history = History::default();
        for second in 0..9u64 {
            history.tick(second * 1_000_000, totals(0), Some(100.0 - ratio(second, 1) * 5.0), None);
            assert_eq!(history.remaining_seconds(), None);
        }
        for second in 9..12u64 {
            history.tick(second * 1_000_000, totals(0), Some(100.0 - ratio(second, 1) * 5.0), None);
        }
        assert_eq!(history.remaining_seconds(), Some(9.0));
        history.tick(12_000_000, totals(0), None, None);
        assert_eq!(history.remaining_seconds(), None, "an unknown lag has no trend");
    }
}
