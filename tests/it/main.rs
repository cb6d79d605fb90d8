//! Integration tests, against real servers.

#[path = "../support/mod.rs"]
mod support;

mod basics;
mod mirrors;
mod network;
mod servers;
