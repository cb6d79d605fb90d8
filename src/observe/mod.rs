//! Metrics, lag, admin HTTP, logs.
