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
#[expect(clippy::large_enum_variant, reason = "nearly always the large one, and moved at once")]
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

    /// The next unit, once it may pass. Cancel-safe. `settled`: everything that has passed is committed; before that nobody
    /// is told that the place to stop at is reached, for who is told goes and looks at the target.
    pub(super) async fn next(&mut self, deliveries: &mut mpsc::Receiver<Delivery>, settled: bool) -> Passed {
        loop {
            self.look();
            if let Some(until) = self.reached() {
                if self.orders.exit {
                    info!(%until, "reached the place to end at");
                    return Passed::Finished;
                }
                if !settled {
                    // The next commit asks again.
                    self.rest(LOOK).await;
                    continue;
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

    /// Empties a transaction that is to be passed over: as if nothing in it were for the target. Says whether it did.
    pub(super) fn skip(&self, transaction: &mut Transaction) -> bool {
        let empty = is_empty(transaction);
        if !self.skips(transaction.seq.0, transaction.gtid.as_ref(), &transaction.start, empty) {
            return false;
        }
        transaction.streamed = false;
        let body = std::mem::replace(&mut transaction.body, Body::Changes(Vec::new()));
        match body {
            // As if rolled back at once: nothing is held, and the frontier does not wait for an end that may never come.
            Body::Prepare(xid, _) | Body::Resolve(xid, _) => transaction.body = Body::Resolve(xid, false),
            Body::Changes(_) | Body::Ddl(_) | Body::CreateSelect(..) => {}
        }
        warn!(
            position = %transaction.start,
            end = %transaction.end,
            gtid = transaction.gtid.as_ref().map(tracing::field::display),
            "skipped a transaction, as ordered: nothing of it is applied"
        );
        true
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Cause, Target};
    use crate::progress::Seq;
    use crate::transaction::{Clock, Format, Xid};

    fn at(seq: u64) -> Coordinates {
        Coordinates::new("b.000001", seq * 100)
    }

    /// Something that is for the target.
    fn change() -> Body {
        Body::Resolve(Xid { format_id: 1, gtrid: "a".into(), bqual: "".into() }, true)
    }

    fn whole(seq: u64, streamed: bool) -> Delivery {
        let transaction = Transaction {
            seq: Seq(seq),
            gtid: None,
            start: at(seq),
            end: at(seq + 1),
            committed_us: Some(seq * 1_000_000),
            clock: Clock::default(),
            body: change(),
            bytes: 10,
            streamed,
            format: Arc::new(Format(bytes::Bytes::new())),
        };
        Delivery { unit: Unit::Whole(transaction), share: None }
    }

    fn piece(seq: u64, index: u32) -> Delivery {
        let piece = Piece {
            seq: Seq(seq),
            gtid: None,
            start: at(seq),
            committed_us: Some(seq * 1_000_000),
            index,
            create: None,
            changes: Vec::new(),
            bytes: 10,
            format: Arc::new(Format(bytes::Bytes::new())),
        };
        Delivery { unit: Unit::Piece(piece), share: None }
    }

    struct Road {
        control: Arc<Control>,
        gate: Gate,
        sender: Option<mpsc::Sender<Delivery>>,
        deliveries: mpsc::Receiver<Delivery>,
    }

    /// A gate that `deliveries` stand before.
    fn road(orders: Orders, deliveries: Vec<Delivery>) -> Road {
        let control = Arc::new(Control::new(orders));
        let low = Mark { seq: Seq(0), at: Some(at(1)), gtids: None };
        let gate = Gate::new(Arc::clone(&control), Observer::new("main"), &low);
        let (sender, receiver) = mpsc::channel(16);
        for delivery in deliveries {
            sender.try_send(delivery).unwrap();
        }
        Road { control, gate, sender: Some(sender), deliveries: receiver }
    }

    impl Road {
        /// How many pass now.
        fn pass(&mut self) -> usize {
            std::iter::from_fn(|| self.gate.try_next(&mut self.deliveries)).count()
        }

        fn next(&mut self) -> Passed {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(self.gate.next(&mut self.deliveries, true))
        }
    }

    #[test]
    fn a_shut_gate_lets_nothing_through_but_the_rest_of_a_large_transaction_that_has_begun() {
        let units = vec![piece(1, 0), piece(1, 1), whole(1, true), whole(2, false), whole(3, false)];
        let mut road = road(Orders::default(), units);
        assert!(road.gate.try_next(&mut road.deliveries).is_some());
        road.control.pause(Cause::Operator, "wait");
        assert_eq!(road.pass(), 2);
        assert_eq!(road.pass(), 0);
        road.control.resume();
        assert_eq!(road.pass(), 2);
    }

    #[test]
    fn a_reader_that_is_gone_is_heard_of_through_a_shut_gate() {
        let mut road = road(Orders::default(), vec![whole(1, false)]);
        road.control.pause(Cause::Operator, "wait");
        road.sender = None;
        assert!(matches!(road.next(), Passed::NoMore));
    }

    #[test]
    fn the_gate_shuts_or_ends_behind_the_last_transaction_before_a_place() {
        for (until, passes) in
            [("b.000001:300", 2), ("b.000001:350", 2), ("b.000001:100", 0), ("1970-01-01T00:00:02Z", 2)]
        {
            let until: Until = until.parse().unwrap();
            let units = || (1..=4).map(|seq| whole(seq, false)).collect();
            let orders = Orders { until: Some(until.clone()), exit: true, ..Orders::default() };
            let mut ending = road(orders.clone(), units());
            assert_eq!(ending.pass(), passes, "{until}");
            assert!(matches!(ending.next(), Passed::Finished), "{until}");
            let mut pausing = road(Orders { exit: false, ..orders }, units());
            assert_eq!(pausing.pass(), passes, "{until}");
            pausing.sender = None;
            assert!(matches!(pausing.next(), Passed::NoMore), "{until}");
            let paused = pausing.control.orders().paused.unwrap();
            assert_eq!((paused.by, paused.reason), (Cause::Until, format!("reached until {until}")));
            pausing.control.resume();
            assert_eq!(pausing.pass(), 4 - passes, "{until}");
        }
    }

    #[test]
    fn a_place_is_not_told_as_reached_before_what_has_passed_is_committed() {
        let until = Some("b.000001:200".parse().unwrap());
        let mut road = road(Orders { until, ..Orders::default() }, vec![whole(1, false)]);
        assert_eq!(road.pass(), 1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for settled in [false, true] {
            let waits = runtime.block_on(async {
                tokio::time::timeout(Duration::from_millis(20), road.gate.next(&mut road.deliveries, settled))
                    .await
            });
            assert!(waits.is_err());
            assert_eq!(road.control.orders().paused.is_some(), settled);
        }
    }

    #[test]
    fn a_place_inside_a_transaction_too_large_to_be_held_is_reached_behind_it() {
        let until = Some("b.000001:150".parse().unwrap());
        let units = vec![piece(1, 0), whole(1, true), piece(2, 0), whole(2, true)];
        let mut road = road(Orders { until, ..Orders::default() }, units);
        assert_eq!(road.pass(), 2);
    }

    #[test]
    fn what_is_skipped_changes_nothing() {
        let mut road = road(Orders::default(), Vec::new());
        road.control.skip(Target::At(at(2))).unwrap();
        road.gate.look();
        for (seq, skipped) in [(1, false), (2, true), (3, false)] {
            let Delivery { unit: Unit::Whole(mut transaction), .. } = whole(seq, false) else { panic!() };
            road.gate.skip(&mut transaction);
            assert_eq!(matches!(transaction.body, Body::Resolve(_, false)), skipped, "{seq}");
        }
        assert_eq!(road.control.settle(|seq| seq == 2), 1);
    }

    #[test]
    fn a_limit_lets_one_pass_and_then_waits() {
        let limits = Limits { transactions: 1, bytes: 0 };
        let units = (1..=3).map(|seq| whole(seq, false)).collect();
        let mut road = road(Orders { limits, ..Orders::default() }, units);
        assert_eq!(road.pass(), 1);
        assert!(matches!(road.gate.verdict(), Verdict::Wait(time) if time <= Duration::from_secs(1)));
        road.control.limit(Limits::default());
        assert_eq!(road.pass(), 2);
    }
}
