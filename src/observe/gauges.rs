//! Gauges, which are set when somebody asks.

use super::lag::PurgeMargin;
use super::metrics::stage;
use super::observer::{Observer, float, seconds};
use super::state::State;
use super::{Lifecycle, orders};
use crate::control::Cause;

impl Observer {
    /// Before they are asked for.
    pub(super) fn set_gauges(&self, state: &State, now_us: u64) {
        let instruments = &self.instruments;
        let ordered = self.control.orders();
        for cause in Cause::ALL {
            let on = ordered.paused.as_ref().is_some_and(|paused| paused.by == *cause);
            instruments.paused.with_label_values(&[cause.as_str()]).set(f64::from(u8::from(on)));
        }
        let shown = orders::shown(state, &ordered).0;
        for lifecycle in Lifecycle::ALL {
            let on = f64::from(u8::from(*lifecycle == shown));
            instruments.lifecycle.with_label_values(&[lifecycle.as_str()]).set(on);
        }
        instruments.source_connected.set(f64::from(u8::from(state.source.connected)));
        instruments.target_connected.set(f64::from(u8::from(state.target.connected)));
        let (received, applied) = (state.lag_received(now_us), state.lag_applied(now_us));
        for (stage, lag, newest_us) in [
            (stage::RECEIVED, received, state.newest_received_us),
            (stage::APPLIED, applied, state.newest_applied_us),
            (stage::DURABLE, applied, state.newest_applied_us),
        ] {
            instruments.lag.with_label_values(&[stage]).set(lag.seconds().unwrap_or(f64::NAN));
            instruments
                .lag_known
                .with_label_values(&[stage])
                .set(f64::from(u8::from(lag.seconds().is_some())));
            instruments.last_transaction.with_label_values(&[stage]).set(timestamp(newest_us));
        }
        instruments.lag_transactions.set(float(state.backlog.transactions()));
        instruments.lag_bytes.set(state.lag_bytes(now_us).map_or(f64::NAN, float));
        instruments.recorded.set(timestamp(state.recorded_us));
        instruments.caught_up.set(timestamp(state.caught_up_us));
        instruments.heartbeat.set(timestamp(state.heartbeat_us));
        instruments.source_end.set(timestamp(state.end.as_ref().map(|(_, us)| *us)));
        instruments.clock_offset.set(state.offset_us.map_or(f64::NAN, seconds));
        let (files, bytes) = match state.purge_margin() {
            None => (f64::NAN, f64::NAN),
            Some(PurgeMargin::Gone) => (-1.0, f64::NAN),
            Some(PurgeMargin::Kept { files, bytes }) => (float(files as u64), float(bytes)),
        };
        instruments.native(state.native.as_ref());
        instruments.purge_margin_files.set(files);
        instruments.purge_margin_bytes.set(bytes);
        for (name, queue) in &state.queues {
            instruments.queue_depth.with_label_values(&[name]).set(float(queue.depth as u64));
            instruments.queue_bytes.with_label_values(&[name]).set(float(queue.bytes as u64));
            instruments.queue_capacity.with_label_values(&[name]).set(float(queue.capacity as u64));
            instruments
                .queue_capacity_bytes
                .with_label_values(&[name])
                .set(float(queue.capacity_bytes as u64));
        }
    }
}

fn timestamp(us: Option<u64>) -> f64 {
    us.map_or(f64::NAN, |us| float(us) / 1e6)
}
