//! How the orders of an operator are shown.

use super::Lifecycle;
use super::snapshot::{OrdersStatus, PausedStatus, State as StateStatus};
use super::state::State;
use crate::control::Orders;

/// The state to show. A bridge that has an error or comes to its end says so rather than that it is paused.
pub(super) fn shown(state: &State, orders: &Orders) -> (Lifecycle, StateStatus) {
    let following = matches!(state.lifecycle, Lifecycle::CatchingUp | Lifecycle::Streaming);
    let (lifecycle, reason, since_us) = match &orders.paused {
        Some(paused) if following => (Lifecycle::Paused, &paused.reason, paused.since_us),
        _ => (state.lifecycle, &state.reason, state.since_us),
    };
    let status = StateStatus {
        name: lifecycle.as_str().to_owned(),
        reason: reason.clone(),
        since_ms: since_us / 1000,
    };
    (lifecycle, status)
}

pub(super) fn status(orders: &Orders) -> OrdersStatus {
    let limit = |limit: u64| (limit > 0).then_some(limit);
    OrdersStatus {
        paused: orders.paused.as_ref().map(|paused| PausedStatus {
            by: paused.by.as_str().to_owned(),
            reason: paused.reason.clone(),
            since_ms: paused.since_us / 1000,
        }),
        until: orders.until.as_ref().map(ToString::to_string),
        skips: orders.skips.iter().map(|skip| skip.target.to_string()).collect(),
        max_transactions_per_second: limit(orders.limits.transactions),
        max_bytes_per_second: limit(orders.limits.bytes),
    }
}
