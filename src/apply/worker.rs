//! The worker: takes transactions in order, makes batches, keeps packets in flight, and settles their answers.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::bail;
use crate::clock::now_us;
use crate::error::{Code, Error, Result, ServerError};
use crate::failpoint;
use crate::observe::{Committed, Observer};
use crate::position::Coordinates;
use crate::progress::{Fence, Frontier, Mark, Seq, Tables};
use crate::transaction::{Body, Change, Format, StatementChange, Transaction, Unit};
use crate::wire::classify;
use std::sync::Arc;

use super::pipeline::{Load, Outcome, Pipeline};
use super::{
    Admission, Batch, BatchLimits, DdlSession, Delivery, Job, Ownership, Pace, Packet, Schema, Session,
};

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

/// Small batches in flight at most: enough to hide a long way to the target, few enough to let batches form.
const MOST_SMALL: usize = 16;
/// One more small batch in flight per this much of round-trip time.
const SMALL_PER: Duration = Duration::from_millis(3);

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
    pace: Pace,
    pending: Batch,
    lock_conflicts: u32,
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
                self.flush().await?;
                self.stream_piece(piece, share).await
            }
            Unit::Abandoned(_) => self.abandon_stream().await,
            Unit::Whole(transaction) => {
                let streamed = transaction.streamed;
                let admitted = self.admission.admit(transaction, [&mut self.durable, &mut self.sent])?;
                let Some(mut job) = admitted else { return Ok(()) };
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

    /// Sends pending transactions as far as the pipeline has room for them: full batches up to the depth; smaller ones
    /// only while few are on their way, so that batches form when the target is the slower side.
    async fn send_ready(&mut self) -> Result<()> {
        while !self.pending.is_empty() {
            let full = self.pace.is_full(&self.pending);
            let room = if full { self.settings.depth } else { self.small_depth() };
            if self.pipeline.in_flight() >= room {
                break;
            }
            self.send_pending().await?;
        }
        Ok(())
    }

    fn small_depth(&self) -> usize {
        let per_trip = self.pipeline.session.round_trip.as_micros() / SMALL_PER.as_micros();
        usize::try_from(per_trip).unwrap_or(MOST_SMALL).saturating_add(1).min(MOST_SMALL)
    }

    async fn send_pending(&mut self) -> Result<()> {
        let size = self.pace.transactions().min(self.pending.jobs.len());
        let rest = self.pending.jobs.split_off(size);
        let mut batch = std::mem::take(&mut self.pending);
        for job in rest {
            batch.bytes -= job.transaction.bytes;
            self.pending.push(job);
        }
        self.send_batch(batch, &[]).await
    }

    /// Sends one guarded packet that carries the batch.
    pub(super) async fn send_batch(&mut self, batch: Batch, extra: &[String]) -> Result<()> {
        for job in &batch.jobs {
            let tables = changes(&job.transaction.body).filter_map(Change::table);
            self.schema.require(self.ddl.connection(), tables).await.map_err(|error| at(error, job))?;
        }
        if let Some(job) = batch.jobs.first() {
            self.show_format(&job.transaction.format.clone()).await?;
        }
        let mut packet = Packet::default();
        packet.push(&self.settings.tables.guard(self.id, self.fence, self.last_sent));
        self.encode(&batch, &mut packet).await?;
        self.end_packet(&batch, extra, &mut packet)?;
        failpoint::hit("apply.before_send");
        self.pipeline.send(&packet, Load::Batch(batch)).await?;
        failpoint::hit("apply.after_send");
        Ok(())
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
            Some(prelude) => self.pipeline.send(&prelude, Load::Prelude).await,
            None => Ok(()),
        }
    }

    pub(super) async fn settle(&mut self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Pending | Outcome::Done(Load::Prelude | Load::Part, _) => Ok(()),
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

    /// A statement failed. Everything behind it did nothing; what was in flight is taken back.
    async fn failed(&mut self, load: Load, server: ServerError) -> Result<()> {
        let mut batches = self.pipeline.drain_failed().await?;
        self.pipeline.session.roll_back().await?;
        self.sent = self.durable.clone();
        self.last_sent = self.last_durable;
        let code = classify(&server);
        if server.number == GUARD_FAILED {
            self.check_fence().await?;
        }
        let failed = match load {
            Load::Batch(batch) => batch,
            Load::Part => return Err(self.stream_failed(server)),
            // The session refuses row events as such: no transaction is at fault.
            Load::Prelude => {
                return Err(super::session::needs(
                    refused(code, server, "a format description event"),
                    "REPLICATION_APPLIER",
                ));
            }
        };
        if self.streaming.is_some() {
            return Err(self.stream_failed(server));
        }
        if code == Code::LockConflict {
            self.observer.retry(if server.number == 1213 { "deadlock" } else { "lock_wait" });
            self.lock_conflicts += 1;
            sleep(Duration::from_millis(u64::from(self.lock_conflicts.min(100)) * 20)).await;
            batches.insert(0, failed);
        } else {
            Box::pin(self.pin(failed)).await?;
        }
        self.take_back(batches);
        Ok(())
    }

    /// Puts batches that did not commit in front of what is pending.
    fn take_back(&mut self, batches: Vec<Batch>) {
        let pending = std::mem::take(&mut self.pending);
        for job in batches.into_iter().chain([pending]).flat_map(|batch| batch.jobs) {
            self.pending.push(job);
        }
    }

    /// Finds the transaction that fails in a batch: each goes alone, so all before it are applied and none after it.
    async fn pin(&mut self, batch: Batch) -> Result<()> {
        for job in batch.jobs {
            let tables: Vec<String> = touched(&job);
            let place = format!("transaction {} at {}", job.transaction.seq, job.transaction.start);
            let mut single = Batch::default();
            single.push(job);
            self.send_batch(single, &[]).await?;
            while self.pipeline.in_flight() > 0 {
                match self.pipeline.answer().await? {
                    Outcome::Failed(_, server) => {
                        self.pipeline.drain_failed().await?;
                        self.pipeline.session.roll_back().await?;
                        let code = classify(&server);
                        let what = format!(
                            "a change of {}",
                            if tables.is_empty() { "no table".to_owned() } else { tables.join(", ") }
                        );
                        return Err(refused(code, server, &what).context(place));
                    }
                    outcome => self.settle(outcome).await?,
                }
            }
        }
        Ok(())
    }

    /// A guard may have failed: someone else has taken over, or someone edited the progress row. If the row is as we
    /// left it, what failed was a subquery of a statement event.
    async fn check_fence(&mut self) -> Result<()> {
        let connection = &mut self.pipeline.session.connection;
        let rows =
            crate::progress::Row::parse_all(&connection.query(&self.settings.tables.read(false)).await?)?;
        connection.execute("ROLLBACK").await?;
        match rows.iter().find(|row| row.worker == self.id) {
            Some(row) if row.fence == self.fence && row.seq == self.last_durable => Ok(()),
            Some(row) if row.fence == self.fence => bail!(
                Progress,
                "the progress row says transaction {}, this process left it at {}",
                row.seq,
                self.last_durable
            ),
            Some(_) => bail!(
                Fenced,
                "another bridge of the same name has taken over (our epoch was {})",
                self.fence.epoch
            ),
            None => bail!(Progress, "the progress row of this bridge is gone"),
        }
    }

    /// Sends everything pending and waits for every answer.
    pub(super) async fn flush(&mut self) -> Result<()> {
        while !self.pending.is_empty() || self.pipeline.in_flight() > 0 {
            if !self.pending.is_empty() && self.pipeline.in_flight() < self.settings.depth {
                self.send_pending().await?;
            } else {
                let outcome = self.pipeline.answer().await?;
                self.settle(outcome).await?;
            }
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

/// `ER_SUBQUERY_NO_1_ROW`: how a guard refuses.
const GUARD_FAILED: u16 = 1242;

fn at(error: Error, job: &Job) -> Error {
    error.context(format!("transaction {} at {}", job.transaction.seq, job.transaction.start))
}

/// An error of the target in our words: its own may hold values of rows.
pub(super) fn refused(code: Code, server: ServerError, what: &str) -> Error {
    Error::new(code, format!("the target refused {what}: error {} ({})", server.number, server.state))
        .with_server(server)
}

/// The changes of a body that go into a batch.
pub(super) fn changes(body: &Body) -> impl Iterator<Item = &Change> + Clone {
    match body {
        Body::Changes(changes) | Body::CreateSelect(_, changes) | Body::Prepare(_, changes) => changes.iter(),
        Body::Ddl(_) | Body::Resolve(..) => [].iter(),
    }
}

fn touched(job: &Job) -> Vec<String> {
    let mut tables: Vec<String> = changes(&job.transaction.body)
        .map(|change| match change {
            Change::Rows(rows) => format!("table {}.{}", rows.table.schema, rows.table.table),
            Change::Statement(statement) => {
                format!("a statement in schema {}", String::from_utf8_lossy(&statement.query.database))
            }
        })
        .collect();
    tables.dedup();
    tables.truncate(8);
    tables
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
