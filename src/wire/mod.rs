//! The client side of MySQL's protocol over TCP and TLS, one implementation for source and target.
//!
//! ```text
//!  endpoint + secret -> socket -> tls -> login (greeting, auth) -> Connection
//!                                                                    |- query / execute       one statement, its answer
//!                                                                    |- send_query, read_reply  many in flight
//!                                                                    '- send_command, read_packet  the dump stream
//! ```
//!
//! Bytes move in `channel`; everything that only understands them (`frame`, `greeting`, `auth`, `reply`, `classify`,
//! `dialect`) does no input or output.

mod auth;
mod certificates;
mod channel;
mod classify;
mod connection;
mod cursor;
mod dialect;
mod endpoint;
mod frame;
mod greeting;
mod login;
mod quote;
mod replica_status;
mod reply;
mod rows;
mod rsa;
#[cfg(test)]
mod scripted;
mod secret;
mod server;
mod socket;
mod tls;
mod verifier;

pub use classify::{classify, refused};
pub use connection::Connection;
pub use dialect::Dialect;
pub use endpoint::{Endpoint, SslMode, Timeouts, Tls};
pub use quote::{hex_literal, push_hex, quote_identifier, quote_text};
pub use replica_status::{ReplicaStatus, Running};
pub use reply::{Done, Reply};
pub use rows::{Row, Rows};
pub use secret::{Redacted, Secret};
pub use server::Server;
