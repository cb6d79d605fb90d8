//! Wiring and lifecycle: builds the stages sink first, watches them, starts them anew after what passes.
//!
//! | edge                | bound                                             |
//! |---------------------|---------------------------------------------------|
//! | reader -> worker    | `apply.memory` bytes of events, 4,096 units       |
//! | worker -> target    | `apply.depth` full batches, 16 small ones         |
//! | source -> reader    | the socket's buffer                               |

mod asking;
mod backoff;
mod fill;
mod handback;
mod lifecycle;
mod phases;
mod poller;
mod preflight;
mod reader;
mod seed;
mod supervisor;
mod takeover;

pub use asking::{ask, describe};
pub use backoff::Backoff;
pub use lifecycle::{Bridge, Plan};
pub use preflight::preflight;
pub use seed::{Asked, Checked, ask_replica, check, decide_ddl, store};
pub use supervisor::{Native, Supervisor};
