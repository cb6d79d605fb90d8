//! From pending transactions to packets: how many go at once, and how they are cut to what the target takes.

use std::sync::Arc;
use std::time::Duration;

use crate::bail;
use crate::clock::now_us;
use crate::error::{Code, Error, Result};
use crate::failpoint;
use crate::transaction::{Body, Change, Format};

use super::failure::at;
use super::pipeline::Load;
use super::worker::changes;
use super::{Batch, Job, Packet, Worker};

/// Small batches in flight at most: enough to hide a long way to the target, few enough to let batches form.
const MOST_SMALL: usize = 16;
/// One more small batch in flight per this much of round-trip time.
const SMALL_PER: Duration = Duration::from_millis(3);
/// What progress row and commit add to a packet, with a long list of GTIDs.
const RECORD_ROOM: usize = 64 << 10;

impl Worker {
    /// Sends pending transactions as far as the pipeline has room for them: full batches up to the depth; smaller ones
    /// only while few are on their way, so that batches form when the target is the slower side.
    pub(super) async fn send_ready(&mut self) -> Result<()> {
        while !self.pending.is_empty() {
            let full = self.pace.is_full(&self.pending);
            let room = if full { self.settings.depth } else { self.small_depth() };
            if !self.may_send(room) {
                break;
            }
            self.send_pending().await?;
        }
        Ok(())
    }

    /// Whether pending transactions may be sent now. A format that is new to the session waits until nothing is in
    /// flight, see [`Session::prelude`].
    pub(super) fn may_send(&self, room: usize) -> bool {
        let in_flight = self.pipeline.in_flight();
        let known =
            self.pending.jobs.first().is_none_or(|job| self.pipeline.session.knows(&job.transaction.format));
        in_flight < room && (known || in_flight == 0)
    }

    fn small_depth(&self) -> usize {
        let per_trip = self.pipeline.session.round_trip.as_micros() / SMALL_PER.as_micros();
        usize::try_from(per_trip).unwrap_or(MOST_SMALL).saturating_add(1).min(MOST_SMALL)
    }

    pub(super) async fn send_pending(&mut self) -> Result<()> {
        let size = self.one_format().min(self.pace.transactions());
        let rest = self.pending.jobs.split_off(size);
        let mut batch = std::mem::take(&mut self.pending);
        for job in rest {
            batch.bytes -= job.transaction.bytes;
            self.pending.push(job);
        }
        self.send_batch(batch, &[]).await
    }

    /// How many pending transactions come from a binlog of the same format as the first.
    fn one_format(&self) -> usize {
        let jobs = &self.pending.jobs;
        let Some(first) = jobs.first().map(|job| &job.transaction.format) else { return 0 };
        let same =
            |job: &&Job| Arc::ptr_eq(&job.transaction.format, first) || *job.transaction.format == **first;
        jobs.iter().take_while(same).count()
    }

    /// Sends one guarded packet that carries the batch; several, each with a part of it, if one would be larger than the
    /// target takes.
    ///
    /// # Errors
    /// `BB4001`, `BB3205` for the first transaction that cannot be sent: those before it are committed then.
    pub(super) async fn send_batch(&mut self, mut batch: Batch, extra: &[String]) -> Result<()> {
        if let Some(error) = self.cut_misfit(&mut batch).await? {
            if !batch.is_empty() {
                Box::pin(self.send_batch(batch, extra)).await?;
            }
            self.settle_all().await?;
            return Err(error);
        }
        if let Some(job) = batch.jobs.first() {
            self.show_format(&job.transaction.format.clone()).await?;
        }
        let mut packet = self.pipeline.packet();
        packet.push(&self.settings.tables.guard(self.id, self.fence, self.last_sent));
        self.encode(&batch, &mut packet).await?;
        let most = self.max_packet();
        if packet.sql.len() + RECORD_ROOM.min(most / 8) > most {
            return Box::pin(self.send_in_parts(batch, extra, packet.sql.len())).await;
        }
        self.end_packet(&batch, extra, &mut packet)?;
        failpoint::hit("apply.before_send");
        self.pipeline.send(packet, Load::Batch(batch)).await?;
        failpoint::hit("apply.after_send");
        Ok(())
    }

    /// Cuts a batch before the first transaction that does not fit the target's tables, and says why.
    async fn cut_misfit(&mut self, batch: &mut Batch) -> Result<Option<Error>> {
        for (index, job) in batch.jobs.iter_mut().enumerate() {
            let statements = changes_mut(&mut job.transaction.body);
            self.schema.settle_databases(self.ddl.connection(), statements).await?;
            let tables = changes(&job.transaction.body).filter_map(Change::table);
            match self.schema.require(self.ddl.connection(), tables).await {
                Ok(()) => {}
                Err(error) if error.code() == Code::SchemaMismatch => {
                    let error = at(error, job);
                    batch.jobs.truncate(index);
                    return Ok(Some(error));
                }
                Err(error) => return Err(at(error, job)),
            }
        }
        Ok(None)
    }

    async fn send_in_parts(&mut self, mut batch: Batch, extra: &[String], size: usize) -> Result<()> {
        // What was encoded is thrown away, with all that it says of the session's variables.
        self.pipeline.session.encoder.context.forget();
        if let [job] = batch.jobs.as_slice() {
            let error = at(self.pipeline.session.too_large(size), job);
            self.settle_all().await?;
            return Err(error);
        }
        let mut second = Batch::default();
        batch.jobs.split_off(batch.jobs.len() / 2).into_iter().for_each(|job| second.push(job));
        batch.bytes -= second.bytes;
        self.send_batch(batch, extra).await?;
        self.send_batch(second, extra).await
    }

    /// Progress row and commit.
    pub(super) fn end_packet(&mut self, batch: &Batch, extra: &[String], packet: &mut Packet) -> Result<()> {
        for done in batch.jobs.iter().flat_map(Job::done) {
            self.sent.complete(done)?;
        }
        let Some(last) = batch.jobs.last() else { bail!(Invariant, "a batch without transactions") };
        for statement in extra {
            packet.push(statement);
        }
        let committed = last.transaction.committed_us;
        packet.push(&self.settings.tables.record(
            self.id,
            last.transaction.seq,
            &self.sent,
            committed,
            now_us(),
        ));
        packet.push("COMMIT");
        self.last_sent = last.transaction.seq;
        Ok(())
    }

    pub(super) async fn show_format(&mut self, format: &Arc<Format>) -> Result<()> {
        match self.pipeline.session.prelude(format) {
            Some(prelude) => self.pipeline.send(prelude, Load::Prelude).await,
            None => Ok(()),
        }
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
