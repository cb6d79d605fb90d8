//! What all workers of a bridge have under way: a worker whose batch met another's locks waits until a batch has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    batches: AtomicUsize,
    ended: Notify,
}

impl Traffic {
    /// A batch was sent.
    pub(super) fn begun(&self) {
        self.0.batches.fetch_add(1, Ordering::SeqCst);
    }

    /// A batch was committed or rolled back.
    pub(super) fn ended(&self) {
        self.0.batches.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_waiters();
    }

    /// Waits until one of the batches that are under way now has ended, if there are any, but no longer than this.
    pub(super) async fn until_one_ends(&self, most: Duration) {
        // Hears what ends after this line, also before it is waited for.
        let ended = self.0.ended.notified();
        if self.0.batches.load(Ordering::SeqCst) > 0 {
            // Nothing ended: then it is tried all the same.
            let _ = timeout(most, ended).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn who_waits_hears_the_first_end_and_waits_for_nobody_who_is_not_there() {
        let traffic = Traffic::default();
        traffic.until_one_ends(LONG).await;
        traffic.begun();
        traffic.begun();
        let other = traffic.clone();
        tokio::join!(traffic.until_one_ends(LONG), async { other.ended() });
        // The second does not end.
        traffic.until_one_ends(Duration::from_millis(1)).await;
        traffic.ended();
        traffic.until_one_ends(LONG).await;
    }
}
