//! Integration tests, against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what tests are made of fails loudly too; only #[test] functions are exempt by configuration"
)]

#[path = "../support/mod.rs"]
mod support;

mod basics;
mod mirrors;
mod net;
mod network;
mod servers;
