//! Rate limits.

use std::time::Duration;

/// Time that was not used counts for this much at most: a source that commits in bursts is not slowed below its limit.
const BURST: Duration = Duration::from_millis(100);

/// Limits of what is applied. 0 stands for no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Source transactions per second.
    pub transactions: u64,
    /// Bytes of events per second.
    pub bytes: u64,
}

/// A token bucket, kept as the time from which it is open again. What is larger than a bucket passes once and closes it
/// for as long as that is worth, so that every transaction passes in the end and the rate holds.
///
/// Times are durations since one beginning, the caller's.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Per second; 0 for no limit.
    rate: u64,
    open_from: Duration,
}

impl Bucket {
    /// A bucket that is open at `now`.
    pub fn new(rate: u64, now: Duration) -> Self {
        Self { rate, open_from: now }
    }

    /// How long it stays closed; zero if it is open.
    pub fn closed_for(&self, now: Duration) -> Duration {
        if self.rate == 0 { Duration::ZERO } else { self.open_from.saturating_sub(now) }
    }

    /// Takes `count` out of it.
    pub fn take(&mut self, count: u64, now: Duration) {
        if self.rate == 0 {
            return;
        }
        let nanos = u128::from(count) * 1_000_000_000 / u128::from(self.rate);
        let worth = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.open_from = self.open_from.max(now.saturating_sub(BURST)).saturating_add(worth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes in `length` if something of `size` always waits.
    fn passed(rate: u64, size: u64, length: Duration) -> u64 {
        let mut bucket = Bucket::new(rate, Duration::ZERO);
        let (mut now, mut passed) = (Duration::ZERO, 0);
        while now < length {
            match bucket.closed_for(now) {
                Duration::ZERO => {
                    bucket.take(size, now);
                    passed += size;
                }
                wait => now += wait,
            }
        }
        passed
    }

    #[test]
    fn over_time_the_rate_passes_and_no_more() {
        for (rate, size) in [(1, 1), (100, 1), (1000, 1), (1 << 20, 4096), (7, 3)] {
            let passed = passed(rate, size, Duration::from_secs(60));
            assert!(passed >= rate * 60, "{passed} at {rate}");
            assert!(passed <= rate * 60 + rate / 10 + size, "{passed} at {rate}");
        }
    }

    #[test]
    fn what_is_larger_than_a_second_s_worth_passes_and_is_paid_for() {
        let mut bucket = Bucket::new(10, Duration::ZERO);
        bucket.take(50, Duration::ZERO);
        assert_eq!(bucket.closed_for(Duration::ZERO), Duration::from_secs(5));
        assert_eq!(bucket.closed_for(Duration::from_secs(6)), Duration::ZERO);
    }

    #[test]
    fn a_long_rest_is_not_saved_up() {
        let mut bucket = Bucket::new(10, Duration::ZERO);
        let later = Duration::from_secs(3600);
        bucket.take(1, later);
        assert_eq!(bucket.closed_for(later), Duration::ZERO);
        bucket.take(1, later);
        assert_eq!(bucket.closed_for(later), Duration::from_millis(100));
    }

    #[test]
    fn without_a_limit_it_is_always_open() {
        let mut bucket = Bucket::new(0, Duration::ZERO);
        bucket.take(u64::MAX, Duration::ZERO);
        assert_eq!(bucket.closed_for(Duration::ZERO), Duration::ZERO);
    }
}
