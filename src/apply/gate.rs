//! The gate before the batches: what an operator has ordered is followed here, transaction by transaction.
//!
//! What has passed is committed, whatever is ordered then. A large transaction that has begun passes whole: its target
//! transaction holds locks. While the gate is shut the reader is held by its memory bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::control::{Ahead, Bucket, Control, Limits, Named, Orders, Until};
use crate::observe::Observer;
use crate::position::{Coordinates, Gtid, GtidSet};
use crate::progress::Mark;
use crate::transaction::{Body, Piece, Transaction, Unit};

use super::Delivery;

/// How often to look at what no message tells: a reader that is gone, a source that is idle past the time to stop at.
const LOOK: Duration = Duration::from_secs(1);
/// A commit is in the log a little after the time that it says.
const LATE: Duration = Duration::from_secs(1);

/// What comes through.
pub(super) enum Passed {
    /// The next unit.
    Delivery(Delivery),
    /// The reader is gone.
    NoMore,
    /// The place to end at is reached.
    Finished,
}

/// What is to be done with the unit before the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Wait(Duration),
    Reached,
}

/// See the module.
pub(super) struct Gate {
    control: Arc<Control>,
    watch: watch::Receiver<Orders>,
    observer: Arc<Observer>,
    /// As last seen in `watch`.
    orders: Orders,
    /// Before the gate.
    held: Option<Delivery>,
    /// Parts of a large transaction have passed, its end has not.
    inside: bool,
    /// Where what has passed ends.
    last: Option<Coordinates>,
    last_gtid: Option<Gtid>,
    /// What lay before the start, where the start was given by GTIDs.
    before: Option<GtidSet>,
    began: Instant,
    transactions: Bucket,
    bytes: Bucket,
}

impl Gate {
    /// A gate before what follows `low`.
    pub(super) fn new(control: Arc<Control>, observer: Arc<Observer>, low: &Mark) -> Self {
        let settled = control.settle(|seq| seq <= low.seq.0);
        observer.skipped(settled as u64);
        let watch = control.watch();
        let orders = control.orders();
        let Limits { transactions, bytes } = orders.limits;
        Self {
            control,
            watch,
            observer,
            orders,
            held: None,
            inside: false,
            last: low.at.clone(),
            last_gtid: None,
            before: low.gtids.clone(),
            began: Instant::now(),
            transactions: Bucket::new(transactions, Duration::ZERO),
            bytes: Bucket::new(bytes, Duration::ZERO),
        }
    }

    /// The next unit, once it may pass. Cancel-safe.
    pub(super) async fn next(&mut self, deliveries: &mut mpsc::Receiver<Delivery>) -> Passed {
        loop {
            self.look();
            if let Some(until) = self.reached() {
                if self.orders.exit {
                    info!(%until, "reached the place to end at");
                    return Passed::Finished;
                }
                warn!(%until, "reached the place to stop at: paused until it is told to resume");
                self.control.reached(&until);
                continue;
            }
            if self.is_shut() {
                // Its error ends the bridge, now as at any time.
                if deliveries.is_closed() {
                    return Passed::NoMore;
                }
                self.rest(LOOK).await;
                continue;
            }
            if self.held.is_none() {
                tokio::select! {
                    biased;
                    () = changed(&mut self.watch) => {}
                    delivery = deliveries.recv() => match delivery {
                        Some(delivery) => self.held = Some(delivery),
                        None => return Passed::NoMore,
                    },
                    () = sleep(LOOK), if matches!(self.orders.until, Some(Until::Time(_))) => {}
                }
                continue;
            }
            match self.verdict() {
                Verdict::Wait(time) => self.rest(time).await,
                _ => {
                    if let Some(delivery) = self.pass() {
                        return Passed::Delivery(delivery);
                    }
                }
            }
        }
    }

    /// The next unit, if it is there and may pass now.
    pub(super) fn try_next(&mut self, deliveries: &mut mpsc::Receiver<Delivery>) -> Option<Delivery> {
        self.look();
        if self.is_shut() || self.reached().is_some() {
            return None;
        }
        if self.held.is_none() {
            self.held = Some(deliveries.try_recv().ok()?);
        }
        if self.verdict() == Verdict::Pass { self.pass() } else { None }
    }

    /// Whether a transaction is to be passed over, which is told here.
    pub(super) fn skips_piece(&self, piece: &Piece) -> bool {
        self.skips(piece.seq.0, piece.gtid.as_ref(), &piece.start, false)
    }

    /// Empties a transaction that is to be passed over: as if nothing in it were for the target.
    pub(super) fn skip(&self, transaction: &mut Transaction) {
        let empty = is_empty(transaction);
        if !self.skips(transaction.seq.0, transaction.gtid.as_ref(), &transaction.start, empty) {
            return;
        }
        transaction.streamed = false;
        let body = std::mem::replace(&mut transaction.body, Body::Changes(Vec::new()));
        match body {
            Body::Prepare(xid, _) => transaction.body = Body::Prepare(xid, Vec::new()),
            Body::Resolve(xid, _) => transaction.body = Body::Resolve(xid, false),
            Body::Changes(_) | Body::Ddl(_) | Body::CreateSelect(..) => {}
        }
        warn!(
            position = %transaction.start,
            end = %transaction.end,
            gtid = transaction.gtid.as_ref().map(tracing::field::display),
            "skipped a transaction, as ordered: nothing of it is applied"
        );
    }

    fn skips(&self, seq: u64, gtid: Option<&Gtid>, start: &Coordinates, empty: bool) -> bool {
        !self.orders.skips.is_empty() && self.control.takes(Named { seq, gtid, start, empty })
    }

    /// Takes note of new orders.
    fn look(&mut self) {
        if !self.watch.has_changed().unwrap_or(false) {
            return;
        }
        let limits = self.orders.limits;
        self.orders = self.watch.borrow_and_update().clone();
        if self.orders.limits != limits {
            let now = self.began.elapsed();
            self.transactions = Bucket::new(self.orders.limits.transactions, now);
            self.bytes = Bucket::new(self.orders.limits.bytes, now);
        }
    }

    fn is_shut(&self) -> bool {
        self.orders.paused.is_some() && !self.inside
    }

    /// Waits for new orders, for this long at most.
    async fn rest(&mut self, time: Duration) {
        tokio::select! {
            () = changed(&mut self.watch) => {}
            () = sleep(time) => {}
        }
    }

    /// The place to stop at, if nothing may pass any more because of it.
    fn reached(&self) -> Option<Until> {
        let until = self.orders.until.as_ref().filter(|_| !self.inside)?;
        let there = match until {
            Until::Gtid(gtid) if self.before.as_ref().is_some_and(|before| before.contains(gtid)) => true,
            _ => self.last.as_ref().is_some_and(|last| until.is_reached(last, self.last_gtid.as_ref())),
        };
        let stops = || match &self.held {
            Some(_) => self.verdict() == Verdict::Reached,
            None => self.is_level_after(until),
        };
        (there || stops()).then(|| until.clone())
    }

    /// An idle source says nothing of the time: everything up to a later one is on the target.
    fn is_level_after(&self, until: &Until) -> bool {
        let Until::Time(us) = until else { return false };
        let now = self.observer.progress();
        let level = now.lag.caught_up_ms.and_then(|ms| i64::try_from(ms).ok());
        let Some(ahead_ms) = now.clock_offset_seconds.map(|seconds| whole(seconds * 1e3)) else {
            return false;
        };
        let late = i64::try_from(LATE.as_millis()).unwrap_or(0);
        level.is_some_and(|ms| i64::try_from(us / 1000).is_ok_and(|until| ms + ahead_ms > until + late))
    }

    /// What is to be done with what is held.
    fn verdict(&self) -> Verdict {
        let Some(held) = &self.held else { return Verdict::Pass };
        if let (Some(until), false, Some(next)) = (&self.orders.until, self.inside, ahead(&held.unit))
            && until.is_before(next)
        {
            return Verdict::Reached;
        }
        if self.orders.limits == Limits::default() {
            return Verdict::Pass;
        }
        let now = self.began.elapsed();
        match self.transactions.closed_for(now).max(self.bytes.closed_for(now)) {
            Duration::ZERO => Verdict::Pass,
            time => Verdict::Wait(time),
        }
    }

    fn pass(&mut self) -> Option<Delivery> {
        let delivery = self.held.take()?;
        match &delivery.unit {
            Unit::Piece(_) => self.inside = true,
            Unit::Abandoned(_) => self.inside = false,
            Unit::Place(place) => self.last = Some(place.clone()),
            Unit::Whole(transaction) => {
                self.inside = false;
                self.last = Some(transaction.end.clone());
                self.last_gtid.clone_from(&transaction.gtid);
            }
        }
        if self.orders.limits != Limits::default() {
            let now = self.began.elapsed();
            self.bytes.take(delivery.unit.bytes() as u64, now);
            self.transactions.take(weight(&delivery.unit), now);
        }
        Some(delivery)
    }
}

/// Waits for new orders, which [`Gate::look`] is still to take note of.
async fn changed(watch: &mut watch::Receiver<Orders>) {
    // The gate itself keeps the other end alive.
    let _ = watch.changed().await;
    watch.mark_changed();
}

/// Transactions that a unit counts for. What is filtered costs the target nothing.
fn weight(unit: &Unit) -> u64 {
    match unit {
        Unit::Whole(transaction) => u64::from(!is_empty(transaction)),
        _ => 0,
    }
}

/// Nothing in it is for the target.
fn is_empty(transaction: &Transaction) -> bool {
    !transaction.streamed && matches!(&transaction.body, Body::Changes(changes) if changes.is_empty())
}

/// What a place to stop at may lie before.
fn ahead(unit: &Unit) -> Option<Ahead<'_>> {
    match unit {
        Unit::Whole(transaction) => Some(Ahead {
            start: &transaction.start,
            end: Some(&transaction.end),
            committed_us: transaction.committed_us,
        }),
        Unit::Piece(piece) => {
            Some(Ahead { start: &piece.start, end: None, committed_us: piece.committed_us })
        }
        Unit::Abandoned(_) | Unit::Place(_) => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clocks are not that far apart")]
fn whole(value: f64) -> i64 {
    value as i64
}
