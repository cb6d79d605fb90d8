//! The target's own replication, beside which the bridge lives: what it is called, how it does, what it is told.
//!
//! One of two applies at any time: the native channel or the bridge. [`Phase`] says which, in a row on the target, so that a
//! bridge that was killed in the middle of a change goes on with it.
//!
//! ```text
//! Standby --(unhealthy, or by command)--> TakingOver --> Active --(by command)--> HandingBack --> Standby
//!    ^                                     |               ^                              |
//!    +---------(given up by command)-------+               +---(refused, not started)-----+
//! ```

mod channel;
mod gaps;
mod health;
mod room;
mod words;

pub use channel::{ChannelSource, channel};
pub use gaps::{Applied, applied};
pub use health::{Cause, Health, Patience, Policy};
pub use room::{Phase, Room, Wanted};
pub use words::{Cloud, HIDDEN, Words};
