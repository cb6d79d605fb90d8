//! Integration tests, against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail loudly; only #[test] functions are exempt by configuration"
)]

#[path = "../support/mod.rs"]
mod support;

mod basics;
#[cfg(feature = "failpoints")]
mod kill;
mod mirrors;
mod network;
mod servers;
