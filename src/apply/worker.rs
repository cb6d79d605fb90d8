//! The worker: takes transactions in order, makes batches, keeps packets in flight, and settles their answers.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bail;
use crate::clock::now_us;
use crate::error::Result;
use crate::failpoint;
use crate::observe::{Committed, Observer};
use crate::position::Coordinates;
use crate::progress::{Fence, Frontier, Mark, Seq, Tables};
use crate::transaction::{Body, Change, StatementChange, Transaction, Unit};
use std::sync::Arc;

use super::pipeline::{Load, Outcome, Pipeline};
use super::{Admission, Batch, BatchLimits, DdlSession, Delivery, Job, Ownership, Pace, Schema, Session};

/// What a worker is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bridge's tables.
    pub tables: Tables,
    /// How large a batch may be.
    pub limits: BatchLimits,
    /// Full batches in flight.
    pub depth: usize,
    /// Whether a batch carries the net effect of its transactions.
    pub merge: bool,
    /// Bytes that prepared XA transactions may hold.
    pub prepared: usize,
}

/// Why a worker stopped without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, and what it had is committed.
    Drained,
    /// The reader is gone.
    NoMore,
}

/// One worker: the sessions it writes through, and what it knows.
pub struct Worker {
    pub(super) pipeline: Pipeline,
    pub(super) ddl: DdlSession,
    pub(super) schema: Schema,
    pub(super) settings: Settings,
    pub(super) observer: Arc<Observer>,
    pub(super) id: u32,
    pub(super) fence: Fence,
    /// With everything sent.
    pub(super) sent: Frontier,
    /// With everything committed.
    pub(super) durable: Frontier,
    /// The `seq` that the next guard must find.
    pub(super) last_sent: Seq,
    pub(super) last_durable: Seq,
    pub(super) admission: Admission,
    pub(super) pace: Pace,
    pub(super) pending: Batch,
    pub(super) lock_conflicts: u32,
    /// The large transaction whose pieces are being sent.
    pub(super) streaming: Option<super::stream::Streaming>,
}

impl Worker {
    /// A worker that goes on where its row says.
    ///
    /// # Errors
    /// `BB9002` if the row is not there.
    pub fn new(
        session: Session,
        ddl: DdlSession,
        settings: Settings,
        ownership: &Ownership,
        observer: Arc<Observer>,
    ) -> Result<Self> {
        let id = 0;
        let fence = ownership.fences.iter().find(|(worker, _)| *worker == id).map(|(_, fence)| *fence);
        let last = ownership.recovered.last.iter().find(|(worker, _)| *worker == id).map(|(_, seq)| *seq);
        let (Some(fence), Some(last)) = (fence, last) else {
            bail!(Invariant, "worker {id} has no progress row")
        };
        let frontier = ownership.recovered.frontier.clone();
        let largest = largest_events(session.max_packet);
        let limits = BatchLimits { bytes: settings.limits.bytes.min(largest), ..settings.limits };
        Ok(Self {
            pipeline: Pipeline::new(session),
            ddl,
            schema: Schema::default(),
            observer,
            id,
            fence,
            sent: frontier.clone(),
            durable: frontier,
            last_sent: last,
            last_durable: last,
            admission: Admission::new(settings.prepared),
            pace: Pace::new(limits),
            settings,
            pending: Batch::default(),
            lock_conflicts: 0,
            streaming: None,
        })
    }

    /// Bytes of events that fit one packet to the target.
    pub fn largest_packet(&self) -> usize {
        largest_events(self.pipeline.session.max_packet)
    }

    /// Up to where everything is committed.
    pub fn durable(&self) -> &Mark {
        self.durable.low()
    }

    /// The most bytes of one text for the target.
    pub fn max_packet(&self) -> usize {
        self.pipeline.session.max_packet
    }

    /// Works until told to stop, the reader ends, or an error.
    ///
    /// # Errors
    /// Transient ones mean: connect anew and go on from the progress row. Definite ones name transaction and table.
    pub async fn run(
        &mut self,
        deliveries: &mut mpsc::Receiver<Delivery>,
        stop: &CancellationToken,
    ) -> Result<Ended> {
        loop {
            self.send_ready().await?;
            let room = !self.pace.is_full(&self.pending);
            tokio::select! {
                biased;
                // 1. answers: they make room, and an error must be known at once
                outcome = self.pipeline.answer(), if self.pipeline.in_flight() > 0 => self.settle(outcome?).await?,
                // 2. the end
                () = stop.cancelled() => return self.drain().await.map(|()| Ended::Drained),
                // 3. more work
                delivery = deliveries.recv(), if room => match delivery {
                    Some(delivery) => self.take(delivery, deliveries).await?,
                    None => return self.drain().await.map(|()| Ended::NoMore),
                },
            }
        }
    }

    /// Takes what is there, up to a full batch, without waiting.
    async fn take(&mut self, first: Delivery, deliveries: &mut mpsc::Receiver<Delivery>) -> Result<()> {
        self.accept(first).await?;
        while !self.pace.is_full(&self.pending) {
            let Ok(delivery) = deliveries.try_recv() else { break };
            self.accept(delivery).await?;
        }
        Ok(())
    }

    async fn accept(&mut self, delivery: Delivery) -> Result<()> {
        let Delivery { unit, share } = delivery;
        match unit {
            Unit::Piece(piece) => {
                // Its further pieces follow without waiting for the answers.
                if piece.index == 0 {
                    self.flush().await?;
                }
                self.stream_piece(piece, share).await
            }
            Unit::Abandoned(_) => self.abandon_stream().await,
            Unit::Place(place) => self.move_place(place).await,
            Unit::Whole(transaction) => {
                let streamed = transaction.streamed;
                let admitted = self.admission.admit(transaction, [&mut self.durable, &mut self.sent])?;
                let Some(mut job) = admitted else {
                    if streamed {
                        self.streaming = None;
                    }
                    return Ok(());
                };
                job.share = share;
                if streamed {
                    return self.stream_end(job).await;
                }
                if matches!(job.transaction.body, Body::Ddl(_) | Body::CreateSelect(..)) {
                    self.flush().await?;
                    return self.run_ddl(job).await;
                }
                self.pending.push(job);
                Ok(())
            }
        }
    }

    pub(super) async fn settle(&mut self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Pending | Outcome::Done(Load::Prelude | Load::Part | Load::Place, _) => Ok(()),
            Outcome::Done(Load::Batch(batch), took) => {
                failpoint::hit("apply.after_reply");
                self.committed(&batch, took)
            }
            Outcome::Failed(load, server) => Box::pin(self.failed(load, server)).await,
        }
    }

    fn committed(&mut self, batch: &Batch, took: Duration) -> Result<()> {
        for done in batch.jobs.iter().flat_map(Job::done) {
            self.durable.complete(done)?;
        }
        let Some(last) = batch.jobs.last() else { return Ok(()) };
        self.last_durable = last.transaction.seq;
        self.pace.note(batch.jobs.len(), took);
        self.lock_conflicts = 0;
        self.observer.stage("commit", took);
        let committed_us: Vec<u64> =
            batch.jobs.iter().filter_map(|job| job.transaction.committed_us).collect();
        self.observer.committed(&report(batch, &last.transaction, &committed_us));
        Ok(())
    }

    /// Sends everything pending and waits for every answer.
    pub(super) async fn flush(&mut self) -> Result<()> {
        while !self.pending.is_empty() || self.pipeline.in_flight() > 0 {
            if !self.pending.is_empty() && self.may_send(self.settings.depth) {
                self.send_pending().await?;
            } else {
                let outcome = self.pipeline.answer().await?;
                self.settle(outcome).await?;
            }
        }
        Ok(())
    }

    /// A new binlog file began and nothing is under way: the progress row names it, or the old file might be purged
    /// while the source is idle. With work under way, the next transaction will. What is prepared must come again after
    /// a crash: the place stays before it.
    async fn move_place(&mut self, place: Coordinates) -> Result<()> {
        let under_way =
            !self.pending.is_empty() || self.pipeline.in_flight() > 0 || self.admission.prepared() > 0;
        if under_way || !self.sent.move_place(&place) {
            return Ok(());
        }
        self.durable.move_place(&place);
        let mut packet = self.pipeline.packet();
        packet.push(&self.settings.tables.guard(self.id, self.fence, self.last_sent));
        packet.push(&self.settings.tables.record(self.id, self.last_sent, &self.sent, None, now_us()));
        packet.push("COMMIT");
        self.pipeline.send(packet, Load::Place).await
    }

    pub(super) async fn settle_all(&mut self) -> Result<()> {
        while self.pipeline.in_flight() > 0 {
            let outcome = self.pipeline.answer().await?;
            self.settle(outcome).await?;
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<()> {
        self.abandon_stream().await?;
        self.flush().await
    }

    /// Runs a statement that commits by itself, then records its end like a batch (with the rows of a
    /// `CREATE TABLE ... SELECT`).
    async fn run_ddl(&mut self, mut job: Job) -> Result<()> {
        let body = std::mem::replace(&mut job.transaction.body, Body::Changes(Vec::new()));
        let (statement, rows) = match body {
            Body::Ddl(statement) => (statement, Vec::new()),
            Body::CreateSelect(statement, rows) => (statement, rows),
            _ => bail!(Invariant, "not a DDL statement"),
        };
        self.run_statement_once(job.transaction.seq, &job.transaction.start, &statement).await?;
        job.transaction.body = Body::Changes(rows);
        let mut batch = Batch::default();
        batch.push(job);
        let forget = self.ddl.forget();
        self.send_batch(batch, &[forget]).await?;
        self.flush().await?;
        failpoint::hit("ddl.after_end");
        Ok(())
    }

    pub(super) async fn run_statement_once(
        &mut self,
        seq: Seq,
        start: &Coordinates,
        statement: &StatementChange,
    ) -> Result<()> {
        let place = format!("transaction {seq} at {start}");
        self.ddl.run_once(seq, start, statement).await.map_err(|error| error.context(place))?;
        self.schema.forget();
        self.observer.ddl();
        Ok(())
    }
}

/// Base64 makes four bytes of three, and a limit is passed by up to one event before it is noticed: half is on the safe
/// side for all but single rows larger than that.
fn largest_events(max_packet: usize) -> usize {
    (max_packet / 2).max(1)
}

/// The changes of a body that go into a batch.
pub(super) fn changes(body: &Body) -> impl Iterator<Item = &Change> + Clone {
    match body {
        Body::Changes(changes) | Body::CreateSelect(_, changes) | Body::Prepare(_, changes) => changes.iter(),
        Body::Ddl(_) | Body::Resolve(..) => [].iter(),
    }
}

fn report<'a>(batch: &Batch, last: &Transaction, committed_us: &'a [u64]) -> Committed<'a> {
    let bodies = || batch.jobs.iter().flat_map(|job| changes(&job.transaction.body));
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let empty = |job: &&Job| changes(&job.transaction.body).next().is_none();
    Committed {
        at: last.end.clone(),
        seq: last.seq.0,
        transactions: count(batch.jobs.len()),
        filtered: count(batch.jobs.iter().filter(empty).count()),
        rows: bodies().map(Change::rows).sum(),
        statements: count(bodies().filter(|change| matches!(change, Change::Statement(_))).count()),
        bytes: count(batch.bytes),
        newest_committed_us: last.committed_us,
        committed_us,
    }
}
