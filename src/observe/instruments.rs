//! The registered instruments behind [`super::metrics`].

use super::metrics::{self as m, Kind, Metric};
use super::{Lifecycle, NativeChannel, Rows, Stage};
use crate::control::Cause;
use crate::error::{Code, Policy};
use prometheus::{
    CounterVec, Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, Opts, Registry, TextEncoder, core::Collector,
};
use std::collections::HashMap;

/// Binlog event type codes and their label values (`Log_event_type` in `libs/mysql/binlog/event/binlog_event.h`).
const EVENT_TYPES: &[(u8, &str)] = &[
    (2, "query"),
    (3, "stop"),
    (4, "rotate"),
    (5, "intvar"),
    (9, "append_block"),
    (11, "delete_file"),
    (13, "rand"),
    (14, "user_var"),
    (15, "format_description"),
    (16, "xid"),
    (17, "begin_load_query"),
    (18, "execute_load_query"),
    (19, "table_map"),
    (23, "write_rows_v1"),
    (24, "update_rows_v1"),
    (25, "delete_rows_v1"),
    (26, "incident"),
    (27, "heartbeat"),
    (28, "ignorable"),
    (29, "rows_query"),
    (30, "write_rows"),
    (31, "update_rows"),
    (32, "delete_rows"),
    (33, "gtid"),
    (34, "anonymous_gtid"),
    (35, "previous_gtids"),
    (36, "transaction_context"),
    (37, "view_change"),
    (38, "xa_prepare"),
    (39, "partial_update_rows"),
    (40, "transaction_payload"),
    (41, "heartbeat_v2"),
    (42, "gtid_tagged"),
];

/// Every instrument, registered.
pub(super) struct Instruments {
    registry: Registry,
    /// The `process_*` metrics, whose names are everybody's: without our labels.
    process: Registry,
    events: Vec<IntCounter>,
    pub(super) lifecycle: GaugeVec,
    pub(super) paused: GaugeVec,
    pub(super) source_connected: Gauge,
    pub(super) target_connected: Gauge,
    pub(super) source_reconnects: IntCounterVec,
    pub(super) target_reconnects: IntCounterVec,
    pub(super) lag: GaugeVec,
    pub(super) lag_known: GaugeVec,
    pub(super) lag_transactions: Gauge,
    pub(super) lag_bytes: Gauge,
    pub(super) last_transaction: GaugeVec,
    pub(super) caught_up: Gauge,
    pub(super) heartbeat: Gauge,
    pub(super) source_end: Gauge,
    pub(super) clock_offset: Gauge,
    pub(super) purge_margin_files: Gauge,
    pub(super) purge_margin_bytes: Gauge,
    pub(super) source_bytes: IntCounter,
    pub(super) received: IntCounter,
    pub(super) committed: IntCounter,
    pub(super) filtered: IntCounter,
    pub(super) skipped: IntCounter,
    pub(super) skipped_alone: IntCounter,
    rows: IntCounterVec,
    pub(super) statements: IntCounter,
    pub(super) commits: IntCounter,
    pub(super) recorded: Gauge,
    pub(super) ddl: IntCounter,
    pub(super) batch_transactions: Histogram,
    pub(super) batch_bytes: Histogram,
    pub(super) latency: Histogram,
    pub(super) stage: HistogramVec,
    pub(super) queue_depth: GaugeVec,
    pub(super) queue_bytes: GaugeVec,
    pub(super) queue_capacity: GaugeVec,
    pub(super) queue_capacity_bytes: GaugeVec,
    pub(super) backpressure: CounterVec,
    pub(super) workers: IntGauge,
    pub(super) workers_busy: IntGauge,
    pub(super) native_running: GaugeVec,
    pub(super) native_lag: Gauge,
    pub(super) native_changes: IntCounterVec,
    pub(super) native_well: Gauge,
    pub(super) retries: IntCounterVec,
    pub(super) errors: IntCounterVec,
    pub(super) invariants: IntCounter,
}

impl Instruments {
    /// Registers everything, known label values at 0.
    pub(super) fn new(bridge: &str) -> Self {
        let labels = HashMap::from([("bridge".to_owned(), bridge.to_owned())]);
        let registry = built(&m::BUILD_INFO, Registry::new_custom(None, Some(labels)));
        let r = &registry;
        let transactions = counters(r, &m::TRANSACTIONS_TOTAL);
        let events = counters(r, &m::EVENTS_TOTAL);
        let this = Self {
            process: process_metrics(),
            events: by_type(&events),
            lifecycle: gauges(r, &m::LIFECYCLE_STATE),
            paused: gauges(r, &m::PAUSED),
            source_connected: gauge(r, &m::SOURCE_CONNECTED),
            target_connected: gauge(r, &m::TARGET_CONNECTED),
            source_reconnects: counters(r, &m::SOURCE_RECONNECTS_TOTAL),
            target_reconnects: counters(r, &m::TARGET_RECONNECTS_TOTAL),
            lag: gauges(r, &m::LAG_SECONDS),
            lag_known: gauges(r, &m::LAG_KNOWN),
            lag_transactions: gauge(r, &m::LAG_TRANSACTIONS),
            lag_bytes: gauge(r, &m::LAG_BYTES),
            last_transaction: gauges(r, &m::LAST_TRANSACTION_TIMESTAMP_SECONDS),
            caught_up: gauge(r, &m::CAUGHT_UP_TIMESTAMP_SECONDS),
            heartbeat: gauge(r, &m::SOURCE_HEARTBEAT_TIMESTAMP_SECONDS),
            source_end: gauge(r, &m::SOURCE_END_TIMESTAMP_SECONDS),
            clock_offset: gauge(r, &m::SOURCE_CLOCK_OFFSET_SECONDS),
            purge_margin_files: gauge(r, &m::PURGE_MARGIN_FILES),
            purge_margin_bytes: gauge(r, &m::PURGE_MARGIN_BYTES),
            source_bytes: counter(r, &m::SOURCE_BYTES_TOTAL),
            received: transactions.with_label_values(&[m::stage::RECEIVED, "committed"]),
            committed: transactions.with_label_values(&[m::stage::APPLIED, "committed"]),
            filtered: transactions.with_label_values(&[m::stage::APPLIED, "filtered"]),
            skipped: transactions.with_label_values(&[m::stage::APPLIED, "skipped"]),
            skipped_alone: counter(r, &m::SKIPPED_TRANSACTIONS_TOTAL),
            rows: counters(r, &m::ROWS_TOTAL),
            statements: counter(r, &m::STATEMENTS_TOTAL),
            commits: counter(r, &m::COMMITS_TOTAL),
            recorded: gauge(r, &m::CHECKPOINT_LAST_TIMESTAMP_SECONDS),
            ddl: counter(r, &m::DDL_TOTAL),
            batch_transactions: histogram(r, &m::BATCH_TRANSACTIONS),
            batch_bytes: histogram(r, &m::BATCH_BYTES),
            latency: histogram(r, &m::COMMIT_LATENCY_SECONDS),
            stage: histograms(r, &m::STAGE_DURATION_SECONDS),
            queue_depth: gauges(r, &m::QUEUE_DEPTH),
            queue_bytes: gauges(r, &m::QUEUE_BYTES),
            queue_capacity: gauges(r, &m::QUEUE_CAPACITY),
            queue_capacity_bytes: gauges(r, &m::QUEUE_CAPACITY_BYTES),
            backpressure: seconds(r, &m::BACKPRESSURE_SECONDS_TOTAL),
            workers: whole(r, &m::WORKERS),
            workers_busy: whole(r, &m::WORKERS_BUSY),
            native_running: gauges(r, &m::NATIVE_RUNNING),
            native_lag: gauge(r, &m::NATIVE_LAG_SECONDS),
            native_changes: counters(r, &m::NATIVE_CHANGES_TOTAL),
            native_well: gauge(r, &m::NATIVE_WELL),
            retries: counters(r, &m::APPLY_RETRIES_TOTAL),
            errors: counters(r, &m::ERRORS_TOTAL),
            invariants: counter(r, &m::INVARIANT_VIOLATIONS_TOTAL),
            registry,
        };
        this.start_values();
        this
    }

    /// The counter of an event type code; codes without a name share `other`.
    pub(super) fn event(&self, kind: u8) -> Option<&IntCounter> {
        self.events.get(usize::from(kind))
    }

    /// Row changes committed.
    pub(super) fn rows(&self, rows: Rows) {
        for (op, count) in by_op(rows) {
            self.rows.with_label_values(&[op]).inc_by(count);
        }
    }

    /// What the target's own replication channel does; NaN where there is none.
    #[allow(clippy::cast_precision_loss, reason = "seconds of lag")]
    pub(super) fn native(&self, channel: Option<&NativeChannel>) {
        let flag = |on: Option<bool>| on.map_or(f64::NAN, |on| f64::from(u8::from(on)));
        let receives = channel.map(|channel| channel.receives);
        let applies = channel.map(|channel| channel.applies);
        for (thread, on) in [("receiver", receives), ("applier", applies)] {
            self.native_running.with_label_values(&[thread]).set(flag(on));
        }
        self.native_well.set(flag(channel.map(NativeChannel::is_well)));
        let lag = channel.and_then(|channel| channel.lag_seconds);
        self.native_lag.set(lag.map_or(f64::NAN, |seconds| seconds as f64));
    }

    /// The text exposition format of everything.
    pub(super) fn encode(&self) -> String {
        let mut out = Vec::new();
        for registry in [&self.registry, &self.process] {
            if let Err(error) = TextEncoder::new().encode(&registry.gather(), &mut out) {
                tracing::warn!(%error, "metrics cannot be written");
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn start_values(&self) {
        let build = gauges(&self.registry, &m::BUILD_INFO);
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), super::REVISION, super::RUSTC]).set(1.0);
        for state in Lifecycle::ALL {
            self.lifecycle.with_label_values(&[state.as_str()]).set(0.0);
        }
        for cause in Cause::ALL {
            self.paused.with_label_values(&[cause.as_str()]).set(0.0);
        }
        self.native(None);
        for applier in m::applier::ALL {
            self.native_changes.with_label_values(&[applier]);
        }
        self.rows(Rows::default());
        for stage in Stage::ALL {
            self.stage.with_label_values(&[stage.as_str()]);
        }
        self.backpressure.with_label_values(&[m::stage::READ]);
        for code in Code::ALL {
            self.errors.with_label_values(&[code.as_str(), severity(*code)]);
        }
        for reason in ["deadlock", "lock_wait", "connection"] {
            self.retries.with_label_values(&[reason]);
        }
    }
}

/// The values of the label `op`.
fn by_op(rows: Rows) -> [(&'static str, u64); 3] {
    [("insert", rows.inserted), ("update", rows.updated), ("delete", rows.deleted)]
}

/// The label `severity` of an error code.
pub(super) fn severity(code: Code) -> &'static str {
    match code.policy() {
        Policy::Retry => "transient",
        Policy::Stop(_) => "definite",
    }
}

/// One counter per possible code, so that counting an event is an index and an atomic addition.
fn by_type(events: &IntCounterVec) -> Vec<IntCounter> {
    let other = events.with_label_values(&["other"]);
    let mut table = vec![other; 256];
    for (code, name) in EVENT_TYPES {
        if let Some(slot) = table.get_mut(usize::from(*code)) {
            *slot = events.with_label_values(&[name]);
        }
    }
    table
}

fn process_metrics() -> Registry {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    {
        let collector = prometheus::process_collector::ProcessCollector::for_self();
        if let Err(error) = registry.register(Box::new(collector)) {
            tracing::warn!(%error, "process metrics are not available");
        }
    }
    registry
}

fn gauge(registry: &Registry, metric: &Metric) -> Gauge {
    registered(registry, metric, built(metric, Gauge::with_opts(options(metric))))
}

fn gauges(registry: &Registry, metric: &Metric) -> GaugeVec {
    registered(registry, metric, built(metric, GaugeVec::new(options(metric), metric.labels)))
}

fn whole(registry: &Registry, metric: &Metric) -> IntGauge {
    registered(registry, metric, built(metric, IntGauge::with_opts(options(metric))))
}

fn seconds(registry: &Registry, metric: &Metric) -> CounterVec {
    registered(registry, metric, built(metric, CounterVec::new(options(metric), metric.labels)))
}

fn counter(registry: &Registry, metric: &Metric) -> IntCounter {
    registered(registry, metric, built(metric, IntCounter::with_opts(options(metric))))
}

fn counters(registry: &Registry, metric: &Metric) -> IntCounterVec {
    registered(registry, metric, built(metric, IntCounterVec::new(options(metric), metric.labels)))
}

fn histogram(registry: &Registry, metric: &Metric) -> Histogram {
    registered(registry, metric, built(metric, Histogram::with_opts(histogram_options(metric))))
}

fn histograms(registry: &Registry, metric: &Metric) -> HistogramVec {
    registered(registry, metric, built(metric, HistogramVec::new(histogram_options(metric), metric.labels)))
}

fn options(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn histogram_options(metric: &Metric) -> HistogramOpts {
    let buckets = match metric.kind {
        Kind::Histogram(buckets) => buckets.to_vec(),
        Kind::Gauge | Kind::Counter => Vec::new(),
    };
    HistogramOpts::new(metric.name, metric.help).buckets(buckets)
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: &Metric, collector: C) -> C {
    built(metric, registry.register(Box::new(collector.clone())));
    collector
}

/// Descriptions are constants of [`super::metrics`]: what a test has built once, cannot fail.
fn built<T>(metric: &Metric, result: prometheus::Result<T>) -> T {
    result.unwrap_or_else(|error| unreachable!("{}: {error}", metric.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_without_free_labels_is_exported_from_the_start() {
        let text = Instruments::new("main").encode();
        // Codes of errors, names of queues, and what is set when it is asked for.
        let late = ["reconnects", "queue", "lag_", "last_transaction"];
        for metric in m::ALL {
            let expected = !late.iter().any(|part| metric.name.contains(part));
            let found = text.contains(&format!("# TYPE {} ", metric.name));
            assert!(found || !expected, "{}", metric.name);
        }
    }

    #[test]
    fn the_bridge_is_a_label_of_ours_and_not_of_the_process_metrics() {
        let text = Instruments::new("main").encode();
        assert!(text.contains("binbridge_source_bytes_total{bridge=\"main\"} 0"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.lines().any(|line| line.starts_with("process_resident_memory_bytes ")), "{text}");
    }

    #[test]
    fn unnamed_event_types_count_as_other() {
        let instruments = Instruments::new("main");
        instruments.event(200).unwrap().inc();
        instruments.event(16).unwrap().inc();
        let text = instruments.encode();
        assert!(text.contains("{type=\"other\",bridge=\"main\"} 1"), "{text}");
        assert!(text.contains("{type=\"xid\",bridge=\"main\"} 1"), "{text}");
    }
}
