//! Latencies of the last minute, for people: the histogram metric is for Prometheus.

use std::collections::VecDeque;

/// Steps per doubling are `2^BITS`: a quantile is at most 1/8 too large.
const BITS: u32 = 3;
const STEPS: usize = 1 << BITS;
/// Up to 2^42 microseconds, 50 days.
const SLOTS: usize = 40 * STEPS;
const SECONDS: usize = 60;

/// Counts per latency of one second, or of several.
type Counts = Vec<u32>;

/// A minute of seconds; the newest last.
#[derive(Debug)]
pub(super) struct Latencies {
    seconds: VecDeque<Counts>,
}

impl Latencies {
    pub(super) fn new() -> Self {
        Self { seconds: VecDeque::from([vec![0; SLOTS]]) }
    }

    pub(super) fn record(&mut self, us: u64) {
        if let Some(count) = self.seconds.back_mut().and_then(|counts| counts.get_mut(slot(us))) {
            *count = count.saturating_add(1);
        }
    }

    /// Ends a second.
    pub(super) fn tick(&mut self) {
        let mut counts =
            if self.seconds.len() >= SECONDS { self.seconds.pop_front() } else { None }.unwrap_or_default();
        counts.clear();
        counts.resize(SLOTS, 0);
        self.seconds.push_back(counts);
    }

    /// The quantiles of the second that runs, in microseconds; `None` without any.
    pub(super) fn of_this_second(&self, quantiles: &[f64]) -> Option<Vec<u64>> {
        of(self.seconds.back()?, quantiles)
    }

    /// How many in the last minute, and their quantiles in microseconds.
    pub(super) fn of_this_minute(&self, quantiles: &[f64]) -> (u64, Option<Vec<u64>>) {
        let mut sum = vec![0u32; SLOTS];
        for counts in &self.seconds {
            for (total, count) in sum.iter_mut().zip(counts) {
                *total = total.saturating_add(*count);
            }
        }
        (sum.iter().map(|count| u64::from(*count)).sum(), of(&sum, quantiles))
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank: a count times a quantile of 0 to 1"
)]
fn of(counts: &[u32], quantiles: &[f64]) -> Option<Vec<u64>> {
    let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    if total == 0 {
        return None;
    }
    let rank = |quantile: f64| ((total as f64 * quantile).ceil() as u64).clamp(1, total);
    Some(quantiles.iter().map(|quantile| at_rank(counts, rank(*quantile))).collect())
}

fn at_rank(counts: &[u32], rank: u64) -> u64 {
    let mut seen = 0;
    for (slot, count) in counts.iter().enumerate() {
        seen += u64::from(*count);
        if seen >= rank {
            return upper(slot);
        }
    }
    upper(SLOTS - 1)
}

/// The slot of a latency: linear up to 8 us, then 8 steps per doubling.
fn slot(us: u64) -> usize {
    let exponent = us.max(1).ilog2();
    let (group, step) =
        if exponent < BITS { (0, us) } else { (exponent - BITS + 1, (us >> (exponent - BITS)) & 7) };
    let step = usize::try_from(step).unwrap_or(STEPS - 1);
    (group as usize * STEPS + step).min(SLOTS - 1)
}

/// The largest latency of a slot.
fn upper(slot: usize) -> u64 {
    let (group, step) = (slot / STEPS, (slot % STEPS) as u64);
    match group {
        0 => step,
        _ => ((step + 9) << (group - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_holds_its_latency_and_is_at_most_an_eighth_too_large() {
        for us in (0..5000).chain([65_535, 65_536, 1_000_000, 123_456_789, 1 << 41]) {
            let top = upper(slot(us));
            assert!(top >= us && top - us <= us / 8, "{us} -> {top}");
        }
    }

    #[test]
    fn quantiles_are_of_the_last_minute_only() {
        let mut latencies = Latencies::new();
        latencies.record(1_000_000);
        for _ in 0..30 {
            latencies.tick();
        }
        for us in 1..=100 {
            latencies.record(us * 10);
        }
        let (count, quantiles) = latencies.of_this_minute(&[0.5, 1.0]);
        assert_eq!(count, 101);
        let quantiles = quantiles.unwrap();
        assert!((500..=580).contains(&quantiles[0]), "{quantiles:?}");
        assert!(quantiles[1] >= 1_000_000);
        assert!(latencies.of_this_second(&[1.0]).unwrap()[0] < 1200);
        for _ in 0..SECONDS {
            latencies.tick();
        }
        assert_eq!(latencies.of_this_minute(&[0.5]), (0, None));
    }
}
