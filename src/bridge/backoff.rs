//! Waiting before the next try.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Code, Error};

/// Doubling waits with jitter, so that many bridges do not come back at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The wait before the next try: between half and the whole of the present step.
    pub fn wait(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        step.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// A try has succeeded.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How long a login that has worked before may be refused: servers say so while they come up again (Azure Database for
/// MySQL, 1045 right after a restart), and passwords are changed on one end first.
const REFUSED: Duration = Duration::from_secs(300);

/// When a server was last worked with.
#[derive(Debug, Clone, Default)]
pub(super) struct Met(Arc<Mutex<Option<Instant>>>);

impl Met {
    /// It answers now.
    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it ever has: from then on it may be away for any time.
    pub(super) fn ever(&self) -> bool {
        self.last().is_some()
    }

    /// Whether an error of its may pass by itself.
    pub(super) fn may_pass(&self, error: &Error) -> bool {
        let refused = error.code() == Code::AccessDenied;
        error.is_transient() || refused && self.last().is_some_and(|last| last.elapsed() < REFUSED)
    }

    fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_refused_for_good_only_where_it_never_worked() {
        let (met, refused) = (Met::default(), Error::new(Code::AccessDenied, "1045"));
        assert!(!met.ever() && !met.may_pass(&refused));
        met.note();
        assert!(met.ever() && met.may_pass(&refused));
        assert!(!met.may_pass(&Error::new(Code::Privilege, "1227")));
    }

    #[test]
    fn waits_grow_to_a_limit_and_begin_anew_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.wait()).collect();
        assert!(waits.iter().all(|wait| (FIRST / 2..=LONGEST).contains(wait)));
        assert!(waits[19] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
