//! A window of transactions for several workers.

use std::sync::Arc;

use crate::error::Result;
use crate::schedule::{Footprint, Footprints, UNDIVIDED_FROM, Windows};
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
    /// Windows that go to one worker unseen.
    unseen: u32,
    /// Windows in a row that had to go to one worker.
    in_a_row: u32,
    /// Windows to go to one worker the next time that two workers meet.
    penalty: u32,
}

/// Windows that go unseen at most, after one worker got whole ones in a row, before one is looked into again.
const MOST_UNSEEN: u32 = 16;
/// And after two workers met.
const MOST_PENALTY: u32 = 64;

impl Splitter {
    /// Who gets what of a window whose tables are known to fit.
    pub(super) async fn split(
        &mut self,
        window: Batch,
        desk: &SharedDesk,
        lanes: &[Lane],
    ) -> Result<Vec<(usize, HeldBack)>> {
        let loads: Vec<usize> = lanes.iter().map(Lane::load).collect();
        let of = Whole { transactions: window.jobs.len(), bytes: window.bytes };
        if self.unseen > 0 {
            self.unseen -= 1;
            return Ok(self.whole(window, of, &loads));
        }
        self.penalty = self.penalty.saturating_sub(1);
        let footprints = self.look(&window, desk).await?;
        let (number, shares) = self.windows.split(&footprints, &loads);
        // Looking is a good part of the work of a worker that applies few hot rows.
        let in_a_row =
            if shares.len() == 1 && of.transactions >= UNDIVIDED_FROM { self.in_a_row + 1 } else { 0 };
        (self.in_a_row, self.unseen) = (in_a_row, in_a_row.saturating_sub(1).min(MOST_UNSEEN));
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

    /// What each transaction claims.
    async fn look(&mut self, window: &Batch, desk: &SharedDesk) -> Result<Vec<Footprint>> {
        let tables = window.jobs.iter().flat_map(|job| changes(&job.transaction.body));
        let keys = desk.lock().await.keys(tables.filter_map(Change::table)).await?;
        let known = |table: &Arc<Routed>| keys.get(&Arc::as_ptr(table).addr()).cloned();
        let mut footprints = Vec::with_capacity(window.jobs.len());
        for Job { transaction, .. } in &window.jobs {
            let file = Arc::clone(&transaction.end.file);
            let mut footprint = Footprint::new(transaction.clock, file, transaction.bytes);
            self.footprints.add(changes(&transaction.body), known, &mut footprint)?;
            footprints.push(footprint);
        }
        Ok(footprints)
    }

    /// To one worker, behind everything.
    fn whole(&mut self, window: Batch, of: Whole, loads: &[usize]) -> Vec<(usize, HeldBack)> {
        let Some(last) = window.jobs.last() else { return Vec::new() };
        let file = Arc::clone(&last.transaction.end.file);
        let (number, shares) = self.windows.split(&[Footprint::of_anything(file, window.bytes)], loads);
        let (worker, after) =
            shares.into_iter().next().map_or_else(Default::default, |share| (share.worker, share.after));
        vec![(worker, HeldBack { batch: window, window: number, of, after })]
    }

    /// Two workers met on the target: its locks reach further than rows and values (the gaps of unique indexes). A large
    /// batch done twice costs more than a second worker saves.
    pub(super) fn met(&mut self) {
        self.penalty = (2 * self.penalty).clamp(4, MOST_PENALTY);
        self.unseen = self.unseen.max(self.penalty);
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
