//! What an operator tells a running bridge: pause, stop at a place, skip a transaction, go slower.
//!
//! ```text
//! command line, admin server -> Control (one value, watched) -> the gate before the batches
//! ```
//!
//! Whoever changes it does not wait, whoever reads it sees the newest. What follows from an order (is this the place? is
//! this the transaction? is there room for it now?) is decided by pure functions here.

mod bucket;
mod orders;
mod target;
mod until;

pub use bucket::{Bucket, Limits};
pub use orders::{Cause, Control, Orders, Paused, Skip};
pub use target::{Named, Target};
pub use until::{Ahead, Until};
