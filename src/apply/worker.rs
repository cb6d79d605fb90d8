//! A worker: one connection with packets in flight. It sends what the coordinator orders, in that order, and settles the
//! answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::bail;
use crate::control::Control;
use crate::error::Result;
use crate::failpoint;
use crate::observe::{Committed, Counted, Observer, Stage};
use crate::progress::{Fence, Frontier, RowFence, Seq, Tables};
use crate::transaction::Piece;

use super::buffers::Buffers;
use super::desk::SharedDesk;
use super::pipeline::{Load, Outcome, Pipeline, Took};
use super::preserve::Behind;
use super::send::changes;
use super::tally::Tally;
use super::traffic::Traffic;
use super::{Batch, BatchLimits, Gtids, Job, Ownership, Session, Share};

/// What workers are told at their start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bridge's tables.
    pub tables: Tables,
    /// How large a batch may be.
    pub limits: BatchLimits,
    /// Full batches in flight, on each connection.
    pub depth: usize,
    /// Whether a batch carries the net effect of its transactions.
    pub merge: bool,
    /// Whose GTIDs the target's transactions have.
    pub gtids: Gtids,
    /// Bytes that prepared XA transactions may hold.
    pub prepared: usize,
    /// What an operator has ordered.
    pub control: Arc<Control>,
}

/// Everything that is applied, as all workers of a process know it.
#[derive(Debug, Clone)]
pub(super) struct Applied(Arc<Mutex<Frontier>>);

impl Applied {
    pub(super) fn new(frontier: Frontier) -> Self {
        Self(Arc::new(Mutex::new(frontier)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Frontier> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Commit these.
    Batch(Batch),
    /// Send a part of a large transaction ahead; nothing else is in flight.
    Piece(Piece, Option<Share>),
    /// Send the rest of that transaction, and commit it.
    End(Box<Job>),
    /// That transaction broke off.
    Abandon,
    /// The frontier's place moved without a transaction.
    Place,
}

impl Order {
    /// How long ago the reader handed the oldest of it over. What ends a DDL statement waited for that statement.
    fn age(&self) -> Option<Duration> {
        let share = match self {
            Self::Batch(batch) if !batch.ends_ddl => batch.jobs.first()?.share.as_ref(),
            Self::Piece(_, share) => share.as_ref(),
            Self::End(job) => job.share.as_ref(),
            Self::Batch(_) | Self::Abandon | Self::Place => None,
        };
        share.map(Share::age)
    }
}

/// What a worker tells the coordinator.
#[derive(Debug)]
pub(super) enum Report {
    /// It committed a batch.
    Committed {
        worker: usize,
        /// Transactions in it.
        jobs: usize,
        /// How long it had the connection to itself.
        took: Duration,
    },
    /// Its batch met others' locks, and will be tried again.
    Met,
}

/// One worker.
pub(super) struct Worker {
    pub(super) pipeline: Pipeline,
    pub(super) desk: SharedDesk,
    pub(super) settings: Settings,
    pub(super) observer: Arc<Observer>,
    pub(super) id: u32,
    pub(super) fence: Fence,
    pub(super) row_fence: Option<RowFence>,
    pub(super) applied: Applied,
    /// The `seq` that the next guard must find.
    pub(super) last_sent: Seq,
    /// The `seq` that its row is known to have.
    pub(super) last_durable: Seq,
    /// The last transaction that this worker has committed.
    pub(super) newest: Seq,
    pub(super) behind: Behind,
    /// Not sent yet, or taken back.
    pub(super) queue: VecDeque<Batch>,
    pub(super) lock_conflicts: u32,
    /// The large transaction whose pieces are being sent.
    pub(super) streaming: Option<super::stream::Streaming>,
    pub(super) reports: mpsc::Sender<Report>,
    _present: Counted,
    /// While it has something to do.
    busy: Option<Counted>,
}

impl Worker {
    /// A worker that goes on where its row says.
    ///
    /// # Errors
    /// `BB9002` if the row is not there.
    pub(super) fn new(
        id: u32,
        session: Session,
        (desk, settings): (SharedDesk, Settings),
        ownership: &Ownership,
        (applied, buffers, traffic): (Applied, Buffers, Traffic),
        (observer, reports): (Arc<Observer>, mpsc::Sender<Report>),
    ) -> Result<Self> {
        let fence = ownership.fences.iter().find(|(worker, _)| *worker == id).map(|(_, fence)| *fence);
        let last = ownership.recovered.last.iter().find(|(worker, _)| *worker == id).map(|(_, seq)| *seq);
        let (Some(fence), Some(last)) = (fence, last) else {
            bail!(Invariant, "worker {id} has no progress row")
        };
        Ok(Self {
            pipeline: Pipeline::new(session, buffers, traffic),
            desk,
            settings,
            _present: observer.worker(),
            busy: None,
            observer,
            id,
            fence,
            row_fence: ownership.row_fence.clone(),
            applied,
            last_sent: last,
            last_durable: last,
            newest: last,
            behind: Behind::default(),
            queue: VecDeque::new(),
            lock_conflicts: 0,
            streaming: None,
            reports,
        })
    }

    /// Works until no more orders come and everything is committed, or until an error.
    ///
    /// # Errors
    /// Transient ones mean: connect anew and go on from the progress rows. Definite ones name transaction and table.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Result<()> {
        loop {
            self.send_ready().await?;
            if self.pipeline.in_flight() == 0 && self.queue.is_empty() {
                self.busy = None;
            }
            // Not inside a large transaction.
            let due = self.behind.due().filter(|_| self.streaming.is_none());
            tokio::select! {
                biased;
                // Answers make room, and an error must be known at once.
                outcome = self.pipeline.answer(), if self.pipeline.in_flight() > 0 => self.settle(outcome?).await?,
                order = orders.recv(), if self.queue.is_empty() => {
                    let Some(order) = order else { break };
                    self.busy.get_or_insert_with(|| self.observer.busy());
                    self.take(order).await?;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.record().await?,
            }
        }
        self.abandon_stream().await?;
        self.flush().await?;
        self.record_behind().await?;
        self.flush().await
    }

    async fn take(&mut self, order: Order) -> Result<()> {
        if let Some(age) = order.age() {
            self.observer.stage(Stage::Queue, age);
        }
        match order {
            Order::Batch(batch) => {
                self.queue.push_back(batch);
                Ok(())
            }
            Order::Piece(piece, share) => {
                // Its further pieces follow without waiting for the answers.
                if piece.index == 0 {
                    self.flush().await?;
                }
                self.stream_piece(piece, share).await
            }
            Order::End(job) => self.stream_end(*job).await,
            Order::Abandon => self.abandon_stream().await,
            Order::Place => self.record().await,
        }
    }

    pub(super) async fn settle(&mut self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Pending | Outcome::Done(Load::Prelude, _) => Ok(()),
            Outcome::Done(Load::Part, took) => {
                self.observer.stage(Stage::Apply, took.total());
                Ok(())
            }
            Outcome::Done(Load::Row(seq), _) => {
                self.last_durable = seq;
                // Told under the lock, as commits are: another worker's would be taken back.
                let applied = self.applied.lock();
                self.observer.place_recorded(applied.low().at.as_ref());
                Ok(())
            }
            Outcome::Done(Load::Batch(batch), took) => {
                failpoint::hit("apply.after_reply");
                self.committed(batch, took).await
            }
            Outcome::Failed(load, server) => Box::pin(self.failed(load, server)).await,
        }
    }

    async fn committed(&mut self, batch: Batch, took: Took) -> Result<()> {
        let Some(last) = batch.last() else { return Ok(()) };
        let report = {
            let mut applied = self.applied.lock();
            let before = applied.low().seq.0;
            for done in batch.jobs.iter().flat_map(Job::done) {
                applied.complete(done)?;
            }
            let committed_us: Vec<u64> =
                batch.jobs.iter().filter_map(|job| job.transaction.committed_us).collect();
            let skipped = self
                .settings
                .control
                .settle(|seq| batch.jobs.iter().flat_map(Job::done).any(|done| done.seq.0 == seq));
            // Of a large transaction, the pieces before this packet.
            let ahead = self.streaming.as_ref().map(|streaming| streaming.tally).unwrap_or_default();
            let report = report((&batch, ahead), (before, &applied), skipped, &committed_us);
            self.observer.committed(&report);
            self.observer.skipped(skipped as u64);
            Report::Committed { worker: self.index(), jobs: batch.jobs.len(), took: took.total() }
        };
        self.newest = last;
        if !self.keeps_gtid(&batch) {
            self.last_durable = last;
        }
        self.lock_conflicts = 0;
        self.observer.stage(Stage::Apply, took.apply);
        self.observer.stage(Stage::Commit, took.commit);
        // Gives back its share of the memory bound before more is asked for.
        drop(batch);
        // A coordinator that is gone ends this worker by itself.
        let _ = self.reports.send(report).await;
        Ok(())
    }

    fn index(&self) -> usize {
        usize::try_from(self.id).unwrap_or(usize::MAX)
    }

    /// Sends everything queued and waits for every answer.
    pub(super) async fn flush(&mut self) -> Result<()> {
        loop {
            self.send_ready().await?;
            if self.pipeline.in_flight() == 0 {
                return Ok(());
            }
            let outcome = self.pipeline.answer().await?;
            self.settle(outcome).await?;
        }
    }

    pub(super) async fn settle_all(&mut self) -> Result<()> {
        while self.pipeline.in_flight() > 0 {
            let outcome = self.pipeline.answer().await?;
            self.settle(outcome).await?;
        }
        Ok(())
    }
}

/// `tally` is of what went ahead of the batch, `before` is where the frontier stood, `skipped` of the transactions were
/// named by an operator.
fn report<'a>(
    (batch, mut tally): (&Batch, Tally),
    (before, applied): (u64, &Frontier),
    skipped: usize,
    committed_us: &'a [u64],
) -> Committed<'a> {
    tally.add(batch.jobs.iter().flat_map(|job| changes(&job.transaction.body)), batch.bytes);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let empty = |job: &&Job| !job.transaction.streamed && changes(&job.transaction.body).next().is_none();
    let low = applied.low();
    let empty = batch.jobs.iter().filter(empty).count();
    Committed {
        at: low.at.clone(),
        seq: low.seq.0,
        passed: low.seq.0.saturating_sub(before),
        transactions: count(batch.jobs.len() - empty),
        filtered: count(empty.saturating_sub(skipped)),
        rows: tally.rows,
        statements: tally.statements,
        bytes: count(tally.bytes),
        newest_committed_us: applied.committed_us(),
        committed_us,
    }
}
