//! Integration tests, against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what tests are made of fails loudly too; only #[test] functions are exempt by configuration"
)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod basics;
mod check;
mod collations;
#[cfg(feature = "failpoints")]
mod drill;
mod fence;
mod fidelity;
#[cfg(feature = "failpoints")]
mod kill;
mod lag;
mod large;
mod mirrors;
mod net;
mod network;
mod operator;
mod preserve;
mod readme;
mod servers;
mod tidy;
mod xa;
