//! How a coordinator ends: as it was told, or because a worker failed.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::error::{Code, Error, Result};

use super::Coordinator;
use super::worker::Order;

/// How long the other workers may take to commit what they have, after one has failed.
const LAST_COMMITS: Duration = Duration::from_secs(10);

impl Coordinator {
    /// Commits what has been admitted, and ends the workers.
    pub(super) async fn drain(&mut self) -> Result<()> {
        if let Some((_, false)) = self.streaming.take() {
            self.first(Order::Abandon).await?;
        }
        self.flush().await?;
        // Without orders to come, workers end.
        self.lanes.iter_mut().for_each(|lane| lane.orders = mpsc::channel(1).0);
        while let Some(ended) = self.tasks.join_next().await {
            if !matches!(ended, Ok(Ok(()))) {
                return Err(self.failed(ended).await);
            }
        }
        Ok(())
    }

    /// A worker ended: the reason, once the others have committed what they have.
    pub(super) async fn failed(
        &mut self,
        ended: std::result::Result<Result<()>, tokio::task::JoinError>,
    ) -> Error {
        let error = match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) => return invariant("a worker ended before it was told to".to_owned()),
            Err(panic) => return invariant(format!("a worker panicked: {panic}")),
        };
        if !error.is_transient() {
            self.lanes.iter_mut().for_each(|lane| lane.orders = mpsc::channel(1).0);
            let deadline = Instant::now() + LAST_COMMITS;
            loop {
                // Their own errors come second.
                tokio::select! {
                    report = timeout_at(deadline, self.reports.recv()) => if report.is_err() { break },
                    ended = self.tasks.join_next() => if ended.is_none() { break },
                }
            }
        }
        error
    }

    /// A passing error ends this coordinator: what is under way comes again from the next one, but for what turns out to
    /// be committed.
    pub(super) fn note_lost(&mut self, error: &Error) {
        // The worker that met a lock conflict has counted it.
        if !error.is_transient() || error.code() == Code::LockConflict {
            return;
        }
        while let Ok(report) = self.reports.try_recv() {
            if self.heard(&report).is_err() {
                break;
            }
        }
        let batches: usize = self.lanes.iter().map(|lane| lane.under_way.len()).sum();
        let pieces = matches!(self.streaming, Some((_, false)));
        let lost = batches + usize::from(pieces);
        if lost > 0 {
            self.observer.retry("connection", u64::try_from(lost).unwrap_or(u64::MAX));
        }
    }
}

fn invariant(what: String) -> Error {
    Error::new(Code::Invariant, what)
}
