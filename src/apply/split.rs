//! A window of transactions for several workers.

use std::sync::Arc;

use crate::error::Result;
use crate::schedule::{Footprint, Footprints, Windows};
use crate::transaction::{Change, Routed};

use super::desk::SharedDesk;
use super::lane::{HeldBack, Lane, Whole};
use super::send::changes;
use super::{Batch, Job};

/// Shares windows out by what their transactions claim.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    footprints: Footprints,
    windows: Windows,
}

impl Splitter {
    /// Who gets what of a window whose tables are known to fit.
    pub(super) async fn split(
        &mut self,
        window: Batch,
        desk: &SharedDesk,
        lanes: &[Lane],
    ) -> Result<Vec<(usize, HeldBack)>> {
        let tables = window.jobs.iter().flat_map(|job| changes(&job.transaction.body));
        let keys = desk.lock().await.keys(tables.filter_map(Change::table)).await?;
        let known = |table: &Arc<Routed>| keys.get(&Arc::as_ptr(table).addr()).cloned();
        let mut footprints = Vec::with_capacity(window.jobs.len());
        for job in &window.jobs {
            let Job { transaction, .. } = job;
            let file = Arc::clone(&transaction.end.file);
            let mut footprint = Footprint::new(transaction.clock, file, transaction.bytes);
            self.footprints.add(changes(&transaction.body), known, &mut footprint)?;
            footprints.push(footprint);
        }
        let loads: Vec<usize> = lanes.iter().map(Lane::load).collect();
        let (number, shares) = self.windows.split(&footprints, &loads);
        let of = Whole { transactions: window.jobs.len(), bytes: window.bytes };
        let mut jobs: Vec<Option<Job>> = window.jobs.into_iter().map(Some).collect();
        let mut ordered = Vec::with_capacity(shares.len());
        for share in shares {
            let mut batch = Batch::default();
            for member in share.members {
                jobs.get_mut(member).and_then(Option::take).into_iter().for_each(|job| batch.push(job));
            }
            ordered.push((share.worker, HeldBack { batch, window: number, of, after: share.after }));
        }
        Ok(ordered)
    }

    /// A worker has committed all it had of a window.
    pub(super) fn committed(&mut self, window: u64, worker: usize) {
        self.windows.committed(window, worker);
    }

    /// A DDL statement ran: nothing is under way, and keys may be others.
    pub(super) fn forget(&mut self) {
        self.footprints.forget();
    }
}
