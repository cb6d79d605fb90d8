//! From pending transactions to packets: how many go at once, and how they are cut to what the target takes.

use std::sync::Arc;

use crate::bail;
use crate::binlog::RowUpdate;
use crate::clock::now_us;
use crate::error::Result;
use crate::failpoint;
use crate::progress::{Frontier, Seq};
use crate::transaction::{Body, Change, Format};

use super::failure::at;
use super::pipeline::Load;
use super::{Batch, Job, Packet, Worker};

/// What progress row and commit add to a packet, with a long list of GTIDs.
const RECORD_ROOM: usize = 64 << 10;
/// Packets in flight at most. The coordinator orders far fewer batches at once; with preserved GTIDs each transaction is
/// a packet.
const MOST_IN_FLIGHT: usize = 128;

impl Worker {
    /// Sends what is queued as far as the pipeline takes it.
    pub(super) async fn send_ready(&mut self) -> Result<()> {
        while let Some(mut batch) = self.queue.pop_front() {
            if !self.may_send(&batch) {
                self.queue.push_front(batch);
                break;
            }
            let size = one_format(&batch);
            if size < batch.jobs.len() {
                self.queue.push_front(batch.split_off(size));
            }
            if self.preserves() {
                self.send_one(batch).await?;
            } else {
                self.send_batch(batch).await?;
            }
        }
        Ok(())
    }

    /// Whether a batch may be sent now. A format that is new to the session waits until nothing is in flight, see
    /// [`Session::prelude`](super::Session::prelude).
    fn may_send(&self, batch: &Batch) -> bool {
        let in_flight = self.pipeline.in_flight();
        let known = batch.jobs.first().is_none_or(|job| self.pipeline.session.knows(&job.transaction.format));
        in_flight < MOST_IN_FLIGHT && (known || in_flight == 0)
    }

    /// Sends one guarded packet that carries the batch; several, each with a part of it, if one would be larger than the
    /// target takes.
    ///
    /// # Errors
    /// `BB4001`, `BB3205` for the first transaction that cannot be sent: those before it are committed then.
    pub(super) async fn send_batch(&mut self, batch: Batch) -> Result<()> {
        if let Some(job) = batch.jobs.first() {
            self.show_format(&job.transaction.format.clone()).await?;
        }
        let mut packet = self.pipeline.packet();
        let (record, last) = self.record_by_row(&batch)?.unzip();
        if record.is_none() {
            self.open_packet(None, &mut packet);
        }
        self.encode(&batch, record.as_ref(), &mut packet).await?;
        if !self.fits(&packet) {
            return Box::pin(self.send_in_parts(batch, packet.sql.len())).await;
        }
        match last {
            None => self.end_packet(&batch, &mut packet)?,
            Some(last) => {
                packet.push("COMMIT");
                self.last_sent = last;
            }
        }
        failpoint::hit("apply.before_send");
        self.pipeline.send(packet, Load::Batch(batch)).await?;
        failpoint::hit("apply.after_send");
        Ok(())
    }

    /// Guard and record as a row event, and the number recorded, for a batch that is row events alone; none if they must be
    /// SQL.
    fn record_by_row(&self, batch: &Batch) -> Result<Option<(RowUpdate, Seq)>> {
        let Some(row_fence) = self.row_fence.as_ref().filter(|_| !batch.ends_ddl && !self.preserves()) else {
            return Ok(None);
        };
        let mut all = batch.jobs.iter().flat_map(|job| changes(&job.transaction.body));
        let (Some(Change::Rows(first)), Some(last)) = (all.next(), batch.last()) else { return Ok(None) };
        if !all.all(|change| matches!(change, Change::Rows(_))) {
            return Ok(None);
        }
        let frontier = self.frontier_with(batch)?;
        let row = (self.id, self.fence, self.last_sent);
        Ok(Some((row_fence.record(&first.bytes, row, last, (&frontier, now_us())), last)))
    }

    async fn send_in_parts(&mut self, mut batch: Batch, size: usize) -> Result<()> {
        // What was encoded is thrown away, with all that it says of the session's variables.
        self.pipeline.session.encoder.context.forget();
        if batch.jobs.len() == 1 {
            return self.too_large_for_one(&batch, size).await;
        }
        let mut second = batch.split_off(batch.jobs.len() / 2);
        second.ends_ddl = std::mem::take(&mut batch.ends_ddl);
        second.gtid_used = std::mem::take(&mut batch.gtid_used);
        self.send_batch(batch).await?;
        self.send_batch(second).await
    }

    /// Whether a packet, with the progress row, is not larger than the target takes.
    pub(super) fn fits(&self, packet: &Packet) -> bool {
        let most = self.pipeline.session.max_packet;
        packet.sql.len() + RECORD_ROOM.min(most / 8) <= most
    }

    /// Why a transaction cannot be sent, once everything before it is committed.
    pub(super) async fn too_large_for_one(&mut self, batch: &Batch, size: usize) -> Result<()> {
        let error = self.pipeline.session.too_large(size);
        self.settle_all().await?;
        Err(batch.jobs.first().map_or(error.clone(), |job| at(error, job)))
    }

    /// Progress row and commit.
    pub(super) fn end_packet(&mut self, batch: &Batch, packet: &mut Packet) -> Result<()> {
        let Some(last) = batch.last() else { bail!(Invariant, "a batch without transactions") };
        if batch.ends_ddl {
            packet.push(&self.settings.tables.forget_ddl());
        }
        if self.keeps_gtid(batch) {
            packet.push("COMMIT");
            self.behind.add(batch.jobs.len());
            return Ok(());
        }
        let frontier = self.frontier_with(batch)?;
        let row = (self.id, self.fence, self.last_sent);
        packet.push(&self.settings.tables.record(row, last, &frontier, now_us()));
        packet.push("COMMIT");
        self.last_sent = last;
        Ok(())
    }

    /// The frontier once this batch is committed. What is in flight on this connection is committed if this batch is; what
    /// others have in flight may not be.
    fn frontier_with(&self, batch: &Batch) -> Result<Frontier> {
        let mut frontier = self.applied.lock().clone();
        for done in self.pipeline.batches().chain([batch]).flat_map(|batch| &batch.jobs).flat_map(Job::done) {
            frontier.complete(done)?;
        }
        Ok(frontier)
    }

    pub(super) async fn show_format(&mut self, format: &Arc<Format>) -> Result<()> {
        match self.pipeline.session.prelude(format) {
            Some(prelude) => self.pipeline.send(prelude, Load::Prelude).await,
            None => Ok(()),
        }
    }
}

/// How many transactions of a batch come from a binlog of the same format as the first.
fn one_format(batch: &Batch) -> usize {
    let Some(first) = batch.jobs.first().map(|job| &job.transaction.format) else { return 0 };
    let same = |job: &&Job| Arc::ptr_eq(&job.transaction.format, first) || *job.transaction.format == **first;
    batch.jobs.iter().take_while(same).count()
}

/// The changes of a body that go into a batch.
pub(super) fn changes(body: &Body) -> impl Iterator<Item = &Change> + Clone {
    match body {
        Body::Changes(changes) | Body::CreateSelect(_, changes) | Body::Prepare(_, changes) => changes.iter(),
        Body::Ddl(_) | Body::Resolve(..) => [].iter(),
    }
}

/// The changes of a body, to be settled before they are sent.
pub(super) fn changes_mut(body: &mut Body) -> impl Iterator<Item = &mut Change> {
    match body {
        Body::Changes(changes) | Body::CreateSelect(_, changes) | Body::Prepare(_, changes) => {
            changes.iter_mut()
        }
        Body::Ddl(_) | Body::Resolve(..) => [].iter_mut(),
    }
}
