//! What the stages have told, kept together under one lock. The clock is a parameter: all of it is pure.

use super::backlog::Backlog;
use super::history::History;
use super::lag::{self, Lag, PurgeMargin, Reach, Waiting};
use super::latency::Latencies;
use super::snapshot::{EndStatus, LastCommit, LastError, Queue, Totals};
use super::{Committed, Lifecycle, NativeChannel};
use crate::position::Coordinates;
use std::cmp::Ordering;
use std::time::Duration;

/// How often a heartbeat or a poll is expected, unless told otherwise.
const PERIOD: Duration = Duration::from_secs(5);
/// After so many periods without one, the source's end of log is not known any more.
const PATIENCE: u64 = 3;

/// The state of a bridge.
#[derive(Debug)]
pub(super) struct State {
    pub(super) lifecycle: Lifecycle,
    pub(super) reason: String,
    pub(super) since_us: u64,
    pub(super) source: EndStatus,
    pub(super) target: EndStatus,
    pub(super) loaded: bool,
    /// The end of the newest received transaction, or of what came after it without being one.
    pub(super) read: Option<Coordinates>,
    pub(super) applied: Option<Coordinates>,
    pub(super) seq: u64,
    /// Source clock.
    pub(super) newest_received_us: Option<u64>,
    /// Source clock.
    pub(super) newest_applied_us: Option<u64>,
    pub(super) backlog: Backlog,
    /// The source's end of log and when it was learned.
    pub(super) end: Option<(Coordinates, u64)>,
    pub(super) heartbeat_us: Option<u64>,
    /// When everything was read, the last time.
    pub(super) reached_us: Option<u64>,
    /// When everything was applied, the last time.
    pub(super) caught_up_us: Option<u64>,
    pub(super) logs: Vec<(String, u64)>,
    /// Source clock minus ours.
    pub(super) offset_us: Option<i64>,
    pub(super) period: Duration,
    pub(super) queues: Vec<(&'static str, Queue)>,
    pub(super) totals: Totals,
    pub(super) latencies: Latencies,
    pub(super) history: History,
    pub(super) last_commit: Option<LastCommit>,
    /// When a progress row was last committed.
    pub(super) recorded_us: Option<u64>,
    pub(super) last_error: Option<LastError>,
    pub(super) native: Option<NativeChannel>,
}

impl State {
    pub(super) fn new(now_us: u64) -> Self {
        Self {
            lifecycle: Lifecycle::Starting,
            reason: "the process has just started".to_owned(),
            since_us: now_us,
            source: EndStatus::default(),
            target: EndStatus::default(),
            loaded: false,
            read: None,
            applied: None,
            seq: 0,
            newest_received_us: None,
            newest_applied_us: None,
            backlog: Backlog::default(),
            end: None,
            heartbeat_us: None,
            reached_us: None,
            caught_up_us: None,
            logs: Vec::new(),
            offset_us: None,
            period: PERIOD,
            queues: Vec::new(),
            totals: Totals::default(),
            latencies: Latencies::new(),
            history: History::default(),
            last_commit: None,
            recorded_us: None,
            last_error: None,
            native: None,
        }
    }

    /// The stream starts at `at`: nothing is waiting.
    pub(super) fn start(&mut self, at: &Coordinates) {
        self.backlog.clear();
        self.read = Some(at.clone());
        self.applied = Some(at.clone());
        self.loaded = true;
    }

    pub(super) fn received(
        &mut self,
        now_us: u64,
        at: &Coordinates,
        committed_us: Option<u64>,
        transactions: u64,
    ) {
        self.totals.received = self.totals.received.saturating_add(transactions);
        self.newest_received_us = committed_us.or(self.newest_received_us);
        self.backlog.push(at, Waiting { committed_us, arrived_us: now_us }, transactions);
        self.read_to(now_us, at);
    }

    /// The log was read up to `at`.
    pub(super) fn read_to(&mut self, now_us: u64, at: &Coordinates) {
        match &mut self.read {
            Some(read) if read.file == at.file => read.offset = at.offset,
            read => *read = Some(at.clone()),
        }
        self.note_reached(now_us);
    }

    pub(super) fn heartbeat(&mut self, now_us: u64, at: &Coordinates) {
        self.heartbeat_us = Some(now_us);
        self.end = Some((at.clone(), now_us));
        self.read_to(now_us, at);
    }

    pub(super) fn source_end(&mut self, now_us: u64, end: &Coordinates, logs: &[(String, u64)]) {
        self.end = Some((end.clone(), now_us));
        if !logs.is_empty() {
            self.logs.clear();
            self.logs.extend_from_slice(logs);
        }
        self.note_reached(now_us);
    }

    pub(super) fn source_lost(&mut self) {
        self.end = None;
    }

    pub(super) fn committed(&mut self, now_us: u64, batch: &Committed<'_>) {
        if let Some(at) = &batch.at {
            self.backlog.applied(at, batch.passed);
            self.applied = Some(at.clone());
        }
        self.seq = batch.seq;
        self.newest_applied_us = batch.newest_committed_us.or(self.newest_applied_us);
        self.totals.applied = self.totals.applied.saturating_add(batch.transactions);
        self.totals.filtered = self.totals.filtered.saturating_add(batch.filtered);
        self.totals.rows = self.totals.rows.saturating_add(batch.rows.total());
        self.totals.statements = self.totals.statements.saturating_add(batch.statements);
        self.totals.commits = self.totals.commits.saturating_add(1);
        self.last_commit =
            Some(LastCommit { at_ms: now_us / 1000, transactions: batch.transactions, bytes: batch.bytes });
        self.recorded_us = Some(now_us);
        self.note_reached(now_us);
    }

    /// Everything up to `at`, `passed` transactions more, turned out to be applied already.
    pub(super) fn found_applied(&mut self, now_us: u64, at: &Coordinates, seq: u64, passed: u64) {
        self.backlog.applied(at, passed);
        self.applied = Some(at.clone());
        self.seq = seq;
        self.note_reached(now_us);
    }

    /// One second is over. `bytes` is counted elsewhere, without the lock.
    pub(super) fn tick(&mut self, now_us: u64) {
        self.note_reached(now_us);
        let p99 =
            self.latencies.of_this_second(&[0.99]).and_then(|all| all.first().copied()).map(milliseconds);
        self.latencies.tick();
        let lag = self.lag_applied(now_us).seconds();
        let totals = super::history::Totals {
            received: self.totals.received,
            applied: self.totals.applied,
            rows: self.totals.rows,
            bytes: self.totals.bytes,
        };
        self.history.tick(now_us, totals, lag, p99);
    }

    /// Lag of what was read: a pure function of the state and the clock, see [`lag::lag`].
    pub(super) fn lag_received(&self, now_us: u64) -> Lag {
        lag::lag(now_us, None, self.reach(now_us))
    }

    /// Lag of what is on the target.
    pub(super) fn lag_applied(&self, now_us: u64) -> Lag {
        let waiting = self.backlog.oldest().map(|oldest| Waiting {
            committed_us: oldest.committed_us.map(|us| self.here(us)),
            arrived_us: oldest.arrived_us,
        });
        lag::lag(now_us, waiting, self.reach(now_us))
    }

    /// Bytes from the applied position to the source's end, while that is known.
    pub(super) fn lag_bytes(&self, now_us: u64) -> Option<u64> {
        let (end, applied) = (self.fresh_end(now_us)?, self.applied.as_ref()?);
        let furthest = match &self.read {
            Some(read) if lag::compare(read, end)? == Ordering::Greater => read,
            _ => end,
        };
        if self.backlog.transactions() == 0 && matches!(self.reach(now_us), Reach::Reached) {
            // What is between is not transactions: rotations, filtered events.
            return Some(0);
        }
        lag::bytes_between(applied, furthest, &self.logs)
    }

    pub(super) fn purge_margin(&self) -> Option<PurgeMargin> {
        lag::purge_margin(self.applied.as_ref()?, &self.logs)
    }

    /// A time by the source's clock, by ours.
    pub(super) fn here(&self, source_us: u64) -> u64 {
        source_us.saturating_add_signed(self.offset_us.unwrap_or(0).saturating_neg())
    }

    fn fresh_end(&self, now_us: u64) -> Option<&Coordinates> {
        let patience = u64::try_from(self.period.as_micros()).unwrap_or(u64::MAX).saturating_mul(PATIENCE);
        let (end, learned_us) = self.end.as_ref()?;
        (now_us.saturating_sub(*learned_us) <= patience).then_some(end)
    }

    fn reach(&self, now_us: u64) -> Reach {
        let (Some(end), Some(read)) = (self.fresh_end(now_us), self.read.as_ref()) else {
            return Reach::Unknown;
        };
        match lag::compare(read, end) {
            None => Reach::Unknown,
            Some(Ordering::Less) => {
                let newest = self.newest_received_us.map(|us| self.here(us).min(now_us));
                Reach::Beyond { since_us: newest.max(self.reached_us) }
            }
            Some(Ordering::Equal | Ordering::Greater) => Reach::Reached,
        }
    }

    /// The end that counts is the one as it was when learned: reaching it later says nothing of what came since.
    fn note_reached(&mut self, now_us: u64) {
        if self.reach(now_us) != Reach::Reached {
            return;
        }
        let learned_us = self.end.as_ref().map(|(_, learned_us)| *learned_us);
        self.reached_us = self.reached_us.max(learned_us);
        if self.backlog.transactions() == 0 {
            self.caught_up_us = self.caught_up_us.max(learned_us);
        }
    }
}

/// Milliseconds with three decimals.
#[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 us")]
pub(super) fn milliseconds(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Rows;

    const SECOND: u64 = 1_000_000;

    fn at(offset: u64) -> Coordinates {
        Coordinates { file: "b.000001".into(), offset }
    }

    fn batch(offset: u64, transactions: u64) -> Committed<'static> {
        Committed {
            at: Some(at(offset)),
            seq: 0,
            passed: transactions,
            transactions,
            filtered: 0,
            rows: Rows::default(),
            statements: 0,
            bytes: 0,
            newest_committed_us: None,
            committed_us: &[],
        }
    }

    fn started() -> State {
        let mut state = State::new(0);
        state.start(&at(4));
        state
    }

    #[test]
    fn before_the_source_has_said_anything_the_lag_is_unknown() {
        let state = started();
        assert!(matches!(state.lag_applied(SECOND), Lag::Unknown(_)));
        assert!(matches!(state.lag_received(SECOND), Lag::Unknown(_)));
        assert_eq!(state.lag_bytes(SECOND), None);
    }

    #[test]
    fn an_idle_source_that_beats_is_no_lag_and_one_that_falls_silent_is_unknown() {
        let mut state = started();
        state.heartbeat(10 * SECOND, &at(4));
        assert_eq!(state.lag_applied(25 * SECOND), Lag::Known(0));
        assert!(matches!(state.lag_applied(25 * SECOND + 1), Lag::Unknown(_)));
    }

    #[test]
    fn a_received_transaction_ages_until_it_is_committed_here() {
        let mut state = started();
        state.heartbeat(SECOND, &at(4));
        state.received(11 * SECOND, &at(100), Some(10 * SECOND), 1);
        assert_eq!(state.lag_applied(12 * SECOND), Lag::Known(2 * SECOND));
        assert_eq!(
            state.lag_applied(500 * SECOND),
            Lag::Known(490 * SECOND),
            "even while the source is silent"
        );
        assert_eq!(state.lag_received(12 * SECOND), Lag::Known(0), "it was read");
        state.source_end(13 * SECOND, &at(100), &[]);
        state.committed(13 * SECOND, &batch(100, 1));
        assert_eq!(state.lag_applied(14 * SECOND), Lag::Known(0));
    }

    #[test]
    fn a_source_that_has_more_than_was_read_is_behind_since_it_was_last_reached() {
        let mut state = started();
        state.heartbeat(10 * SECOND, &at(4));
        state.source_end(60 * SECOND, &at(900), &[]);
        assert_eq!(state.lag_applied(61 * SECOND), Lag::Known(51 * SECOND));
        state.received(61 * SECOND, &at(500), Some(59 * SECOND), 1);
        state.committed(61 * SECOND, &batch(500, 1));
        assert_eq!(state.lag_applied(62 * SECOND), Lag::Known(3 * SECOND));
        assert_eq!(state.lag_bytes(62 * SECOND), Some(400));
    }

    #[test]
    fn a_lost_source_takes_the_zero_away_at_once() {
        let mut state = started();
        state.heartbeat(SECOND, &at(4));
        assert_eq!(state.lag_applied(2 * SECOND), Lag::Known(0));
        state.source_lost();
        assert!(matches!(state.lag_applied(2 * SECOND), Lag::Unknown(_)));
    }

    #[test]
    fn the_clock_offset_is_subtracted() {
        let mut state = started();
        state.offset_us = Some(-3_600_000_000);
        state.received(4_000 * SECOND, &at(9), Some(399 * SECOND), 1);
        assert_eq!(state.lag_applied(4_000 * SECOND), Lag::Known(SECOND));
    }

    #[test]
    fn reaching_an_old_end_does_not_claim_to_have_caught_up_now() {
        let mut state = started();
        state.source_end(10 * SECOND, &at(100), &[]);
        state.received(20 * SECOND, &at(100), Some(9 * SECOND), 1);
        state.committed(20 * SECOND, &batch(100, 1));
        assert_eq!(state.caught_up_us, Some(10 * SECOND));
    }

    #[test]
    fn a_rotation_without_transactions_is_not_lag() {
        let mut state = started();
        let next = Coordinates { file: "b.000002".into(), offset: 157 };
        let logs = [("b.000001".to_owned(), 300), ("b.000002".to_owned(), 157)];
        state.heartbeat(SECOND, &at(256));
        state.source_end(2 * SECOND, &next, &logs);
        assert_eq!(state.lag_applied(3 * SECOND), Lag::Known(2 * SECOND));
        state.read_to(3 * SECOND, &next);
        assert_eq!(state.lag_applied(3 * SECOND), Lag::Known(0));
        assert_eq!(state.lag_bytes(3 * SECOND), Some(0));
    }
}
