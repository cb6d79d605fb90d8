//! The handle that stages tell what they do.

use super::instruments::{Instruments, severity};
use super::lag::{Lag, PurgeMargin};
use super::metrics::stage;
use super::orders;
use super::snapshot::{LagStatus, LastError, Latency, Margin, Position, Queue, Ready, Snapshot};
use super::state::{State, milliseconds};
use super::{Committed, End, Lifecycle, NativeChannel, Series, Stage};
use crate::control::Control;
use crate::error::{Code, Error, Policy};
use crate::position::Coordinates;
use prometheus::IntGauge;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Takes what the stages tell, gives what people and Prometheus ask. Cheap, never blocks on anything but its own short
/// lock, never fails.
pub struct Observer {
    bridge: String,
    started_us: u64,
    pub(super) instruments: Instruments,
    state: Mutex<State>,
    pub(super) control: Arc<Control>,
}

/// Counts while it lives.
#[derive(Debug)]
pub struct Counted(IntGauge);

impl Counted {
    fn in_gauge(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Observer {
    /// A new observer of the bridge of this name, which no operator tells anything.
    pub fn new(bridge: &str) -> Arc<Self> {
        Self::with_control(bridge, Arc::default())
    }

    /// A new observer of the bridge of this name, which also shows what an operator has ordered.
    pub fn with_control(bridge: &str, control: Arc<Control>) -> Arc<Self> {
        let now_us = now_us();
        let observer = Self {
            bridge: bridge.to_owned(),
            started_us: now_us,
            instruments: Instruments::new(bridge),
            state: Mutex::new(State::new(now_us)),
            control,
        };
        Arc::new(observer)
    }

    /// The orders that the admin server takes.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Names a server: its `host:port` and, once known, its version. Never with a user or a secret.
    pub fn describe(&self, end: End, address: &str, server: &str) {
        let mut state = self.state();
        let status = match end {
            End::Source => &mut state.source,
            End::Target => &mut state.target,
        };
        address.clone_into(&mut status.address);
        server.clone_into(&mut status.server);
    }

    /// A heartbeat or a poll of the source's end of log is to be expected this often; three missed: it is unknown.
    pub fn expect_every(&self, period: Duration) {
        self.state().period = period;
    }

    /// The bridge is now in this state, for this reason.
    pub fn lifecycle(&self, lifecycle: Lifecycle, reason: &str) {
        let mut state = self.state();
        if state.lifecycle != lifecycle {
            state.since_us = now_us();
        }
        if matches!(lifecycle, Lifecycle::Stopped | Lifecycle::Failed) {
            state.source_lost();
        }
        state.lifecycle = lifecycle;
        reason.clone_into(&mut state.reason);
    }

    /// A connection is there, or is not any more.
    pub fn connected(&self, end: End, yes: bool) {
        let mut state = self.state();
        match end {
            End::Source => state.source.connected = yes,
            End::Target => state.target.connected = yes,
        }
        if end == End::Source && !yes {
            state.source_lost();
        }
    }

    /// A connection is made anew after the one before ended with this code.
    pub fn reconnect(&self, end: End, code: Code) {
        let (counters, mut state) = match end {
            End::Source => (&self.instruments.source_reconnects, self.state()),
            End::Target => (&self.instruments.target_reconnects, self.state()),
        };
        counters.with_label_values(&[code.as_str()]).inc();
        match end {
            End::Source => state.source.reconnects += 1,
            End::Target => state.target.reconnects += 1,
        }
    }

    /// The start position is known: nothing before it is missing on the target, nothing after it was applied.
    /// Also to be called when the whole stream starts again from the durable position.
    pub fn loaded(&self, at: &Coordinates) {
        self.state().start(at);
    }

    /// An event of this binlog type code was received.
    pub fn event(&self, kind: u8, bytes: usize) {
        if let Some(counter) = self.instruments.event(kind) {
            counter.inc();
        }
        self.instruments.source_bytes.inc_by(bytes as u64);
    }

    /// `transactions` (usually 1) more were received whole, the last of them ends at `at`; the oldest was committed at
    /// `committed_us` by the source's clock.
    pub fn received(&self, at: &Coordinates, committed_us: Option<u64>, transactions: u64) {
        self.instruments.received.inc_by(transactions);
        self.state().received(now_us(), at, committed_us, transactions);
    }

    /// The log was read up to `at`, and what was read there was no transaction: a rotation, a format description.
    pub fn passed(&self, at: &Coordinates) {
        self.state().read_to(now_us(), at);
    }

    /// The source is idle: everything up to `at` was sent.
    pub fn heartbeat(&self, at: &Coordinates) {
        self.state().heartbeat(now_us(), at);
    }

    /// A commit on the target succeeded.
    pub fn committed(&self, batch: &Committed<'_>) {
        let now_us = now_us();
        let instruments = &self.instruments;
        instruments.committed.inc_by(batch.transactions);
        instruments.filtered.inc_by(batch.filtered);
        instruments.rows(batch.rows);
        instruments.statements.inc_by(batch.statements);
        instruments.commits.inc();
        instruments.batch_transactions.observe(float(batch.transactions));
        instruments.batch_bytes.observe(float(batch.bytes));
        let mut state = self.state();
        for committed_us in batch.committed_us {
            // Clocks are never that equal.
            let latency_us = now_us.saturating_sub(state.here(*committed_us)).max(1);
            instruments.latency.observe(float(latency_us) / 1e6);
            state.latencies.record(latency_us);
        }
        state.committed(now_us, batch);
    }

    /// Everything up to `at` is applied: the last `passed` transactions by an earlier process. `seq` is the newest.
    pub fn found_applied(&self, at: &Coordinates, seq: u64, passed: u64) {
        self.state().found_applied(now_us(), at, seq, passed);
    }

    /// A DDL statement ran on the target.
    pub fn ddl(&self) {
        self.instruments.ddl.inc();
        self.state().totals.ddl += 1;
    }

    /// The progress row says a new place, without a transaction: everything up to `at` is applied.
    pub fn place_recorded(&self, at: Option<&Coordinates>) {
        let mut state = self.state();
        state.recorded_us = Some(now_us());
        if let Some(at) = at {
            let seq = state.seq;
            state.found_applied(now_us(), at, seq, 0);
        }
    }

    /// Batches are tried again: `deadlock`, `lock_wait` or `connection`.
    pub fn retry(&self, reason: &'static str, batches: u64) {
        self.instruments.retries.with_label_values(&[reason]).inc_by(batches);
        self.state().totals.retries += batches;
    }

    /// An operator named these transactions to be passed; their position still advances through [`Self::committed`].
    pub fn skipped(&self, transactions: u64) {
        self.instruments.skipped.inc_by(transactions);
        self.instruments.skipped_alone.inc_by(transactions);
        self.state().totals.skipped += transactions;
    }

    /// An error happened. Where its words are known, [`Self::failure`] says more.
    pub fn error(&self, code: Code) {
        self.note_error(code, code.remedy().to_owned());
    }

    /// An error happened: counted, and shown with its remedy.
    pub fn failure(&self, error: &Error) {
        let text = error.to_string();
        let words = text
            .strip_prefix(error.code().as_str())
            .map_or(text.as_str(), |rest| rest.trim_start_matches(": "));
        self.note_error(error.code(), words.to_owned());
    }

    /// What a queue holds now, and may hold; by its name.
    pub fn queue(&self, name: &'static str, mut queue: Queue) {
        name.clone_into(&mut queue.name);
        let mut state = self.state();
        match state.queues.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = queue,
            None => state.queues.push((name, queue)),
        }
    }

    /// A stage took this long for one unit of its work.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.instruments.stage.with_label_values(&[stage.as_str()]).observe(took.as_secs_f64());
    }

    /// The reader waited for so long for room.
    pub fn backpressure(&self, waited: Duration) {
        self.instruments.backpressure.with_label_values(&[stage::READ]).inc_by(waited.as_secs_f64());
    }

    /// There is one worker more.
    pub fn worker(&self) -> Counted {
        Counted::in_gauge(&self.instruments.workers)
    }

    /// One worker more has something to do.
    pub fn busy(&self) -> Counted {
        Counted::in_gauge(&self.instruments.workers_busy)
    }

    /// A poll of the source's end of log: its end and its files with their sizes, oldest first. `None`: not known this
    /// time; what is known then goes stale by itself.
    pub fn source_end(&self, end: Option<&Coordinates>, logs: &[(String, u64)]) {
        if let Some(end) = end {
            self.state().source_end(now_us(), end, logs);
        }
    }

    /// What the target's own replication channel does; `None`: there is none.
    pub fn native(&self, channel: Option<NativeChannel>) {
        self.state().native = channel;
    }

    /// From now on another applies than before: one of [`applier::ALL`](super::metrics::applier::ALL).
    pub fn applier(&self, now: &str) {
        self.instruments.native_changes.with_label_values(&[now]).inc();
    }

    /// The source's clock minus ours, in microseconds; `None`: not measured.
    pub fn clock_offset(&self, source_minus_us: Option<i64>) {
        self.state().offset_us = source_minus_us;
    }

    /// One second is over: takes a sample for the history. Called by the observer's own thread.
    pub fn tick(&self) {
        let mut state = self.state();
        state.totals.bytes = self.instruments.source_bytes.get();
        state.tick(now_us());
    }

    /// The samples of the last quarter of an hour.
    pub fn history(&self) -> Series {
        self.state().history.series()
    }

    /// Everything, as of now.
    pub fn progress(&self) -> Snapshot {
        let now_us = now_us();
        let ordered = self.control.orders();
        let state = self.state();
        let (minute, quantiles) = state.latencies.of_this_minute(&[0.5, 0.99]);
        let quantile =
            |index: usize| quantiles.as_ref().and_then(|all| all.get(index)).copied().map(milliseconds);
        let mut totals = state.totals;
        totals.bytes = self.instruments.source_bytes.get();
        Snapshot {
            bridge: self.bridge.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_us / 1000,
            now_ms: now_us / 1000,
            state: orders::shown(&state, &ordered).1,
            orders: orders::status(&ordered),
            ready: ready(&state),
            source: state.source.clone(),
            target: state.target.clone(),
            position: position(&state),
            lag: lag_status(&state, now_us),
            rates: state.history.smooth(),
            second: state.history.newest(),
            second_ms: state.history.newest_us() / 1000,
            latency: Latency { transactions: minute, p50_ms: quantile(0), p99_ms: quantile(1) },
            totals,
            last_commit: state.last_commit,
            queues: state.queues.iter().map(|(_, queue)| queue.clone()).collect(),
            clock_offset_seconds: state.offset_us.map(seconds),
            purge_margin: margin(&state),
            last_error: state.last_error.clone(),
            native: state.native.clone(),
        }
    }

    /// The metrics in the text exposition format.
    pub fn metrics(&self) -> String {
        self.set_gauges(&self.state(), now_us());
        self.instruments.encode()
    }

    fn note_error(&self, code: Code, message: String) {
        self.instruments.errors.with_label_values(&[code.as_str(), severity(code)]).inc();
        if code == Code::Invariant {
            self.instruments.invariants.inc();
        }
        let mut state = self.state();
        state.totals.errors += 1;
        state.last_error = Some(LastError {
            code: code.as_str().to_owned(),
            message,
            remedy: code.remedy().to_owned(),
            at_ms: now_us() / 1000,
            transient: code.policy() == Policy::Retry,
        });
    }

    /// A panic elsewhere leaves numbers behind that are still worth showing.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready(state: &State) -> Ready {
    let (source, target, loaded) = (state.source.connected, state.target.connected, state.loaded);
    // Who stands by needs no source.
    let stands_by = state.lifecycle == Lifecycle::Standby;
    Ready {
        ready: target && (stands_by || (source && loaded)),
        source_connected: source,
        target_connected: target,
        position_loaded: loaded,
    }
}

fn position(state: &State) -> Position {
    Position {
        received: state.read.as_ref().map(ToString::to_string),
        applied: state.applied.as_ref().map(ToString::to_string),
        source_end: state.end.as_ref().map(|(end, _)| end.to_string()),
        seq: state.seq,
    }
}

fn lag_status(state: &State, now_us: u64) -> LagStatus {
    let applied = state.lag_applied(now_us);
    LagStatus {
        received_seconds: state.lag_received(now_us).seconds(),
        applied_seconds: applied.seconds(),
        durable_seconds: applied.seconds(),
        unknown_because: match applied {
            Lag::Known(_) => None,
            Lag::Unknown(why) => Some(why.to_owned()),
        },
        transactions: state.backlog.transactions(),
        bytes: state.lag_bytes(now_us),
        caught_up_ms: state.caught_up_us.map(|us| us / 1000),
        eta_seconds: state.history.remaining_seconds(),
    }
}

fn margin(state: &State) -> Option<Margin> {
    Some(match state.purge_margin()? {
        PurgeMargin::Gone => Margin { files: -1, bytes: 0 },
        PurgeMargin::Kept { files, bytes } => {
            Margin { files: i64::try_from(files).unwrap_or(i64::MAX), bytes }
        }
    })
}

/// Now, in microseconds since 1970.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "clock offsets are far below 2^52 us")]
pub(super) fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests;
