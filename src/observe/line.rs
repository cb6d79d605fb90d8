//! The status line: one line, always the same fields in the same order.

use super::Snapshot;
use super::snapshot::{OrdersStatus, Queue};
use std::fmt::Write as _;

/// What is not known yet.
const UNKNOWN: &str = "unknown";

/// One line for people: state with its reason, position, lag, rates, latency, queues, the time left (`N/A` until there
/// is a trend) and the time up.
pub fn line(now: &Snapshot) -> String {
    let mut text = format!(
        "State: {}, {}; At: {}",
        now.state.name,
        now.state.reason,
        text_or(now.position.applied.as_ref())
    );
    push_orders(&mut text, &now.orders);
    if let (Some(native), "standby" | "handing_back") = (&now.native, now.state.name.as_str()) {
        let lag = native.lag_seconds.map_or_else(|| UNKNOWN.to_owned(), |seconds| format!("{seconds}s"));
        push(&mut text, format_args!("; Native channel: {}, lag {lag}", native.state));
    }
    let lag = &now.lag;
    let bytes = lag.bytes.map_or_else(|| UNKNOWN.to_owned(), size);
    let seconds = lag.applied_seconds.map_or_else(|| UNKNOWN.to_owned(), duration);
    push(&mut text, format_args!("; Lag: {seconds} ({} trx, {bytes})", lag.transactions));
    let rates = now.rates.unwrap_or_default();
    push(
        &mut text,
        format_args!(
            "; Rate: {:.0} trx/s, {:.0} rows/s, {}/s",
            rates.applied_per_second,
            rates.rows_per_second,
            size(whole(rates.bytes_per_second))
        ),
    );
    let p99 = now.latency.p99_ms.map_or_else(|| "N/A".to_owned(), |ms| duration(ms / 1e3));
    push(&mut text, format_args!("; Latency p99: {p99}"));
    for queue in &now.queues {
        push(&mut text, format_args!("; Queue {}", queue_text(queue)));
    }
    let eta = lag.eta_seconds.map_or_else(|| "N/A".to_owned(), duration);
    push(&mut text, format_args!("; ETA: {eta}"));
    let up = now.now_ms.saturating_sub(now.started_ms) / 1000;
    push(&mut text, format_args!("; Time: {}", long(up)));
    text
}

/// Orders in force; a pause is the state itself.
fn push_orders(text: &mut String, orders: &OrdersStatus) {
    if let Some(until) = &orders.until {
        push(text, format_args!("; Until: {until}"));
    }
    if !orders.skips.is_empty() {
        push(text, format_args!("; Skip: {}", orders.skips.join(", ")));
    }
    if let Some(limit) = orders.max_transactions_per_second {
        push(text, format_args!("; Limit: {limit} trx/s"));
    }
    if let Some(limit) = orders.max_bytes_per_second {
        push(text, format_args!("; Limit: {}/s", size(limit)));
    }
}

fn queue_text(queue: &Queue) -> String {
    format!(
        "{}: {} ({}/{})",
        queue.name,
        queue.depth,
        size(queue.bytes as u64),
        size(queue.capacity_bytes as u64)
    )
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = text.write_fmt(part);
}

fn text_or(value: Option<&String>) -> &str {
    value.map_or(UNKNOWN, String::as_str)
}

/// A size as people read it: `0 B`, `1.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A duration in the precision that matters: `0s`, `4ms`, `1.25s`, `2m40s`.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s <= 0.0 => "0s".to_owned(),
        s if s < 0.001 => "<1ms".to_owned(),
        s if s < 1.0 => format!("{:.0}ms", s * 1e3),
        s if s < 60.0 => format!("{s:.2}s"),
        s => long(whole(s)),
    }
}

fn long(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{s}s"),
        (0, h, m, _) => format!("{h}h{m}m"),
        (d, h, ..) => format!("{d}d{h}h"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; a saturated value is fine"
)]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::{LagStatus, Latency, Position, State};
    use crate::observe::{Observer, Sample};

    #[test]
    fn before_anything_is_known_the_line_says_unknown_and_never_zero() {
        let text = line(&Observer::new("main").progress());
        assert_eq!(
            text,
            "State: starting, the process has just started; At: unknown; Lag: unknown (0 trx, unknown); \
             Rate: 0 trx/s, 0 rows/s, 0 B/s; Latency p99: N/A; ETA: N/A; Time: 0s"
        );
    }

    #[test]
    fn a_running_bridge_fits_one_line() {
        let now = Snapshot {
            now_ms: 160_000,
            state: State { name: "catching_up".into(), reason: "behind the source".into(), since_ms: 0 },
            position: Position { applied: Some("mysql-bin.007069:622646704".into()), ..Position::default() },
            lag: LagStatus {
                applied_seconds: Some(90.5),
                transactions: 1200,
                bytes: Some(5_000_000),
                eta_seconds: Some(79.0),
                ..LagStatus::default()
            },
            rates: Some(Sample {
                applied_per_second: 4900.4,
                rows_per_second: 2e4,
                bytes_per_second: 2e6,
                ..Sample::default()
            }),
            latency: Latency { transactions: 1, p50_ms: Some(2.0), p99_ms: Some(52.0) },
            queues: vec![Queue {
                name: "apply".into(),
                depth: 3,
                capacity: 4096,
                bytes: 1_200_000,
                capacity_bytes: 33_554_432,
            }],
            ..Snapshot::default()
        };
        assert_eq!(
            line(&now),
            "State: catching_up, behind the source; At: mysql-bin.007069:622646704; Lag: 1m30s (1200 trx, 4.8 MiB); \
             Rate: 4900 trx/s, 20000 rows/s, 1.9 MiB/s; Latency p99: 52ms; Queue apply: 3 (1.1 MiB/32.0 MiB); \
             ETA: 1m19s; Time: 2m40s"
        );
    }

    #[test]
    fn orders_in_force_stand_in_the_line() {
        let orders = OrdersStatus {
            until: Some("b.000002:4".into()),
            skips: vec!["current".into(), "b.000001:400".into()],
            max_transactions_per_second: Some(50),
            max_bytes_per_second: Some(1 << 20),
            ..OrdersStatus::default()
        };
        let text = line(&Snapshot { orders, ..Snapshot::default() });
        let expected =
            "; Until: b.000002:4; Skip: current, b.000001:400; Limit: 50 trx/s; Limit: 1.0 MiB/s; Lag: ";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn durations_have_the_precision_that_matters() {
        let shown: Vec<_> = [0.0, 0.0002, 0.0042, 1.254, 61.0, 3700.0, 90_000.0].map(duration).to_vec();
        assert_eq!(shown, ["0s", "<1ms", "4ms", "1.25s", "1m1s", "1h1m", "1d1h"]);
    }
}
