//! The coordinator: takes transactions in source order, makes batches, orders workers to commit them, and hears of it.
//!
//! One worker commits in source order. Several share a window of transactions as far as its conflicts allow; what must
//! stand alone (DDL, large transactions) waits until nothing else is under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bail;
use crate::error::Result;
use crate::observe::{Observer, Stage};
use crate::position::{Coordinates, Gtid, GtidSet};
use crate::progress::{Fence, Mark, Seq};
use crate::transaction::{Body, Transaction, Unit};

use super::buffers::Buffers;
use super::desk::{Desk, SharedDesk};
use super::gate::{Gate, Passed};
use super::lane::{HeldBack, Lane, UnderWay, Whole};
use super::split::Splitter;
use super::traffic::Traffic;
use super::worker::{Applied, Order, Report, Settings, Worker};
use super::{
    Admission, Batch, BatchLimits, DdlSession, Delivery, Gtids, Job, Ownership, Pace, Session, Share,
    preserve,
};

/// Why the coordinator stopped without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, or the place to end at is reached; what it had is committed.
    Drained,
    /// The reader is gone.
    NoMore,
}

/// Orders that wait for a worker at most: above every limit on what is under way.
const ORDERS: usize = 256;
/// Small batches in flight at most: enough to hide a long way to the target, few enough to let batches form.
const MOST_SMALL: usize = 16;
/// With so much under way, what is not a full batch waits for all of it: a backlog is soonest done in few large batches.
const SMALL_BYTES: usize = 2 << 20;
/// Windows of single transactions that a worker may have or wait for.
const MOST_SINGLE: usize = 32;
/// One more small batch in flight per this much of round-trip time.
const SMALL_PER: Duration = Duration::from_millis(3);

/// See the module.
pub struct Coordinator {
    pub(super) gate: Gate,
    pub(super) desk: SharedDesk,
    pub(super) settings: Settings,
    pub(super) observer: Arc<Observer>,
    applied: Applied,
    admission: Admission,
    pace: Pace,
    pending: Batch,
    pub(super) lanes: Vec<Lane>,
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) tasks: JoinSet<Result<()>>,
    pub(super) splitter: Option<Splitter>,
    /// The large transaction that is under way, and whether it is passed over.
    pub(super) streaming: Option<(Seq, bool)>,
    fence: Fence,
    max_packet: usize,
    round_trip: Duration,
}

impl Coordinator {
    /// Workers that go on where their rows say, one for each session.
    ///
    /// # Errors
    /// `BB9002` if a row is not there.
    pub fn new(
        sessions: Vec<Session>,
        ddl: DdlSession,
        settings: Settings,
        ownership: &Ownership,
        observer: Arc<Observer>,
    ) -> Result<Self> {
        let Some(fence) = ownership.fences.first().map(|(_, fence)| *fence) else {
            bail!(Invariant, "there are no progress rows")
        };
        let max_packet = sessions.iter().map(|session| session.max_packet).min().unwrap_or_default();
        let round_trip = sessions.iter().map(|session| session.round_trip).min().unwrap_or_default();
        let wants_keys = settings.merge || sessions.len() > 1;
        let desk: SharedDesk = Arc::new(Mutex::new(Desk::new(ddl, wants_keys)));
        let applied = Applied::new(ownership.recovered.frontier.clone());
        let gate = Gate::new(Arc::clone(&settings.control), Arc::clone(&observer), applied.lock().low());
        let (reporting, reports) = mpsc::channel(ORDERS);
        let (mut lanes, buffers, traffic) = (Vec::new(), Buffers::default(), Traffic::default());
        let mut tasks = JoinSet::new();
        for (id, session) in (0..).zip(sessions) {
            let hears = (Arc::clone(&observer), reporting.clone());
            let (desk, settings) = (Arc::clone(&desk), settings.clone());
            let shared = (applied.clone(), buffers.clone(), traffic.clone());
            let worker = Worker::new(id, session, (desk, settings), ownership, shared, hears)?;
            let (orders, taken) = mpsc::channel(ORDERS);
            tasks.spawn(worker.run(taken));
            lanes.push(Lane { orders, under_way: VecDeque::new(), held_back: VecDeque::new() });
        }
        let bytes = settings.limits.bytes.min(largest_events(max_packet));
        let limits = BatchLimits { bytes, ..settings.limits };
        Ok(Self {
            gate,
            desk,
            splitter: (lanes.len() > 1).then(Splitter::default),
            admission: Admission::new(settings.prepared),
            pace: Pace::new(limits),
            settings,
            observer,
            applied,
            pending: Batch::default(),
            lanes,
            reports,
            tasks,
            streaming: None,
            fence,
            max_packet,
            round_trip,
        })
    }

    /// From now on passes over source transactions whose GTIDs the target has executed already.
    pub fn pass_over(&mut self, executed: GtidSet) {
        self.admission.pass_over(executed);
    }

    /// Up to where everything is committed.
    pub fn durable(&self) -> Mark {
        self.applied.lock().low().clone()
    }

    /// The most bytes of one text for the target.
    pub fn max_packet(&self) -> usize {
        self.max_packet
    }

    /// # Errors
    /// `BB4008` if another bridge of the same name has taken over.
    pub async fn check_owner(&self) -> Result<()> {
        self.desk.lock().await.check_owner(&self.settings.tables, self.fence).await
    }

    /// Works until told to stop, the reader ends, or an error.
    ///
    /// # Errors
    /// Transient ones mean: connect anew and go on from the progress rows. Definite ones name transaction and table.
    pub async fn run(
        &mut self,
        deliveries: &mut mpsc::Receiver<Delivery>,
        stop: &CancellationToken,
    ) -> Result<Ended> {
        let ended = self.work(deliveries, stop).await;
        if let Err(error) = &ended {
            self.note_lost(error);
        }
        ended
    }

    async fn work(
        &mut self,
        deliveries: &mut mpsc::Receiver<Delivery>,
        stop: &CancellationToken,
    ) -> Result<Ended> {
        loop {
            self.dispatch(self.small_room()).await?;
            let room = !self.has_enough();
            let settled = self.is_settled();
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => self.heard(&report)?,
                Some(ended) = self.tasks.join_next() => return Err(self.failed(ended).await),
                () = stop.cancelled() => return self.drain().await.map(|()| Ended::Drained),
                passed = self.gate.next(deliveries, settled), if room => match passed {
                    Passed::Delivery(delivery) => self.take(delivery, deliveries).await?,
                    Passed::NoMore => return self.drain().await.map(|()| Ended::NoMore),
                    Passed::Finished => return self.drain().await.map(|()| Ended::Drained),
                },
            }
        }
    }

    /// Takes what is there, up to a full batch, without waiting.
    async fn take(&mut self, first: Delivery, deliveries: &mut mpsc::Receiver<Delivery>) -> Result<()> {
        self.accept(first).await?;
        while !self.has_enough() {
            let Some(delivery) = self.gate.try_next(deliveries) else { break };
            self.accept(delivery).await?;
        }
        Ok(())
    }

    async fn accept(&mut self, delivery: Delivery) -> Result<()> {
        let Delivery { unit, share } = delivery;
        match unit {
            Unit::Piece(piece) => self.piece(piece, share).await,
            Unit::Abandoned(_) => match self.streaming.take() {
                Some((_, false)) => self.first(Order::Abandon).await,
                _ => Ok(()),
            },
            Unit::Place(place) => self.move_place(place).await,
            Unit::Whole(transaction) => self.whole(transaction, share).await,
        }
    }

    async fn whole(&mut self, mut transaction: Transaction, share: Option<Share>) -> Result<()> {
        self.require_gtid(transaction.gtid.as_ref(), &transaction.start).await?;
        let begun = if transaction.streamed { self.streaming.take() } else { None };
        let known = self.is_known(transaction.seq, transaction.gtid.as_ref());
        if !known && self.gate.skip(&mut transaction) && matches!(begun, Some((_, false))) {
            // Its earlier parts are in the target's open transaction: they must not be committed with the record.
            self.first(Order::Abandon).await?;
        }
        let Some(mut job) = self.admit(transaction)? else { return Ok(()) };
        job.share = share;
        if job.transaction.streamed {
            self.one_under_way();
            self.first(Order::End(Box::new(job))).await?;
            return self.flush().await;
        }
        if matches!(job.transaction.body, Body::Ddl(_) | Body::CreateSelect(..)) {
            self.flush().await?;
            return self.run_ddl(job).await;
        }
        self.pending.push(job);
        Ok(())
    }

    /// What there is to do. Where that is nothing, no commit will tell how far everything is applied.
    fn admit(&mut self, transaction: Transaction) -> Result<Option<Job>> {
        let mut applied = self.applied.lock();
        let before = applied.low().seq.0;
        let job = self.admission.admit(transaction, &mut applied)?;
        let low = applied.low();
        if let (true, Some(at)) = (low.seq.0 > before, &low.at) {
            self.observer.found_applied(at, low.seq.0, low.seq.0 - before);
        }
        Ok(job)
    }

    /// Whether the target has it already.
    pub(super) fn is_known(&self, seq: Seq, gtid: Option<&Gtid>) -> bool {
        self.applied.lock().applied_earlier(seq) || self.admission.has_executed(gtid)
    }

    /// What comes before a transaction that cannot keep its GTID is committed.
    pub(super) async fn require_gtid(&mut self, gtid: Option<&Gtid>, start: &Coordinates) -> Result<()> {
        if self.settings.gtids == Gtids::Preserve
            && let Err(error) = preserve::require_gtid(gtid, start)
        {
            self.flush().await?;
            return Err(error);
        }
        Ok(())
    }

    /// A new binlog file began: with nothing under way, the frontier's place moves there. With work under way, the next
    /// transaction will say it. What is prepared must come again after a crash: the place stays before it.
    async fn move_place(&mut self, place: Coordinates) -> Result<()> {
        let idle = self.is_settled() && self.admission.prepared() == 0;
        if !idle || !self.applied.lock().move_place(&place) {
            return Ok(());
        }
        self.first(Order::Place).await
    }

    /// Orders what is pending as far as there is room: full batches up to the depth; smaller ones only while few are on
    /// their way, so that batches form when the target is the slower side.
    async fn dispatch(&mut self, small_room: usize) -> Result<()> {
        self.release().await?;
        while !self.pending.is_empty() {
            let full = self.pace.is_full(&self.pending);
            let room = match self.shared_singly() {
                true => MOST_SINGLE,
                false if full => self.settings.depth,
                false => small_room,
            };
            let alike = full || self.shared_singly();
            let has_enough = |lane: &Lane| {
                let room = if alike || lane.load() < SMALL_BYTES { room } else { room.min(1) };
                lane.under_way.len() + lane.held_back.len() >= room
            };
            if self.lanes.iter().any(has_enough) {
                break;
            }
            self.order_window().await?;
        }
        Ok(())
    }

    fn small_room(&self) -> usize {
        let per_trip = self.round_trip.as_micros() / SMALL_PER.as_micros();
        usize::try_from(per_trip).unwrap_or(MOST_SMALL).saturating_add(1).min(MOST_SMALL)
    }

    /// Whether more than what is pending would not be ordered together.
    fn has_enough(&self) -> bool {
        self.pace.is_full(&self.pending)
            || self.shared_singly() && self.pending.jobs.len() >= 4 * self.lanes.len()
    }

    /// Where each transaction is a commit of its own, small windows let workers commit together: of a large one with few
    /// hot rows, one worker would have nearly everything.
    fn shared_singly(&self) -> bool {
        self.settings.gtids == Gtids::Preserve && self.lanes.len() > 1
    }

    /// Orders as much of what is pending as one commit may carry.
    async fn order_window(&mut self) -> Result<()> {
        let most = if self.shared_singly() { self.lanes.len() } else { usize::MAX };
        let size = self.pace.size(&self.pending).min(most);
        let rest = self.pending.split_off(size);
        let mut window = std::mem::replace(&mut self.pending, rest);
        let began = Instant::now();
        let (fitting, misfit) = self.desk.lock().await.fit(&mut window.jobs).await?;
        if misfit.is_some() {
            drop(window.split_off(fitting));
        }
        if !window.is_empty() {
            let shares = self.split(window).await?;
            self.observer.stage(Stage::Schedule, began.elapsed());
            for (lane, share) in shares {
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.held_back.push_back(share);
                }
            }
            self.release().await?;
        }
        match misfit {
            None => Ok(()),
            Some(error) => {
                self.pending = Batch::default();
                Box::pin(self.flush()).await?;
                Err(error)
            }
        }
    }

    /// Gives the window to workers.
    async fn split(&mut self, window: Batch) -> Result<Vec<(usize, HeldBack)>> {
        let of = Whole { transactions: window.jobs.len(), bytes: window.bytes };
        let Some(splitter) = &mut self.splitter else {
            return Ok(vec![(0, HeldBack { batch: window, window: 0, of, after: Vec::new() })]);
        };
        splitter.split(window, &self.desk, &self.lanes).await
    }

    /// Orders what no longer has to wait for others.
    async fn release(&mut self) -> Result<()> {
        loop {
            let ready = self.lanes.iter().position(|lane| {
                lane.held_back.front().is_some_and(|held| held.after.iter().all(|at| self.is_committed(*at)))
            });
            let Some(ready) = ready else { return Ok(()) };
            let Some(lane) = self.lanes.get_mut(ready) else { return Ok(()) };
            let Some(HeldBack { batch, window, of, .. }) = lane.held_back.pop_front() else { return Ok(()) };
            lane.under_way.push_back(UnderWay { left: batch.jobs.len(), bytes: batch.bytes, window, of });
            self.order(ready, Order::Batch(batch)).await?;
        }
    }

    /// Whether a worker has nothing left of a window.
    fn is_committed(&self, (window, lane): (u64, usize)) -> bool {
        self.lanes.get(lane).is_none_or(|lane| !lane.has(window))
    }

    /// Whether everything that was taken is committed.
    fn is_settled(&self) -> bool {
        self.pending.is_empty()
            && self.lanes.iter().all(|lane| lane.under_way.is_empty() && lane.held_back.is_empty())
    }

    /// To the first worker, which alone does what must stand alone.
    pub(super) async fn first(&mut self, order: Order) -> Result<()> {
        self.order(0, order).await
    }

    pub(super) fn one_under_way(&mut self) {
        if let Some(lane) = self.lanes.first_mut() {
            lane.under_way.push_back(UnderWay {
                left: 1,
                bytes: 0,
                window: 0,
                of: Whole { transactions: 1, bytes: 0 },
            });
        }
    }

    pub(super) async fn order(&mut self, lane: usize, order: Order) -> Result<()> {
        let Some(lane) = self.lanes.get(lane) else { bail!(Invariant, "there is no worker {lane}") };
        let orders = lane.orders.clone();
        let room = loop {
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => self.heard(&report)?,
                Some(ended) = self.tasks.join_next() => return Err(self.failed(ended).await),
                Ok(room) = orders.reserve() => break room,
            }
        };
        room.send(order);
        Ok(())
    }

    /// Notes a commit, or that two workers met.
    pub(super) fn heard(&mut self, report: &Report) -> Result<()> {
        let Report::Committed { worker, jobs, took } = *report else {
            // A single transaction is soon done again.
            if !self.shared_singly() {
                self.splitter.iter_mut().for_each(Splitter::met);
            }
            return Ok(());
        };
        let mut left = jobs;
        let Some(lane) = self.lanes.get_mut(worker) else { bail!(Invariant, "there is no worker {worker}") };
        while left > 0 {
            let Some(first) = lane.under_way.front_mut() else {
                bail!(Invariant, "worker {worker} committed what it was not ordered to")
            };
            let part = left.min(first.left);
            left -= part;
            first.left -= part;
            self.pace.note(first.of.transactions, first.of.bytes, took);
            if first.left == 0 {
                let window = first.window;
                lane.under_way.pop_front();
                if let Some(splitter) = &mut self.splitter {
                    splitter.committed(window, worker);
                }
            }
        }
        Ok(())
    }

    /// Waits for the next commit.
    async fn hear(&mut self) -> Result<()> {
        tokio::select! {
            biased;
            Some(report) = self.reports.recv() => self.heard(&report),
            Some(ended) = self.tasks.join_next() => Err(self.failed(ended).await),
            else => bail!(Invariant, "there are no workers"),
        }
    }

    /// Orders everything pending and waits until all of it is committed.
    pub(super) async fn flush(&mut self) -> Result<()> {
        loop {
            self.dispatch(self.settings.depth).await?;
            if self.is_settled() {
                return Ok(());
            }
            self.hear().await?;
        }
    }
}

/// Base64 makes four bytes of three, and a limit is passed by up to one event before it is noticed: half is on the safe
/// side for all but single rows larger than that.
fn largest_events(max_packet: usize) -> usize {
    (max_packet / 2).max(1)
}
