//! The time of day, and what to time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One event of so many is timed: to read the clock at each would cost a part of what it measures. A prime, so that of
/// transactions of one length each event has its turn.
const SAMPLED: u32 = 61;

/// Chooses what is timed.
#[derive(Debug, Default)]
pub struct Sampler {
    passed: u32,
}

impl Sampler {
    /// Now, if what begins now is to be timed.
    pub fn start(&mut self) -> Option<Instant> {
        self.passed = (self.passed + 1) % SAMPLED;
        (self.passed == 0).then(Instant::now)
    }
}

/// Microseconds since 1970; 0 on a machine whose clock is before that.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_is_timed() {
        let mut sampler = Sampler::default();
        let timed = (0..10 * SAMPLED).filter(|_| sampler.start().is_some()).count();
        assert_eq!(timed, 10);
    }
}
