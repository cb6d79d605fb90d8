//! Batches into the target: encodings, the guarded pipeline, DDL.
//!
//! A batch is one packet of statements that the server runs in turn and stops at the first error: guard, changes,
//! progress row, `COMMIT`. The guard fails unless the progress row is what the batch before left, so any number of
//! packets may be on their way without an answer: if one fails, those behind it do nothing.

mod admit;
mod alone;
mod batch;
mod buffers;
mod context;
mod coordinator;
mod ddl;
mod definer;
mod desk;
mod encode;
mod ending;
mod failure;
mod fingerprint;
mod gate;
mod keys;
mod lane;
mod lease;
mod net;
mod owner;
mod pipeline;
mod preserve;
mod schema;
mod send;
mod session;
mod split;
mod stream;
mod tally;
mod traffic;
mod worker;

pub use admit::{Admission, Delivery, Job, Share};
pub use batch::{Batch, BatchLimits, Gtids, Pace};
pub use context::SessionContext;
pub use coordinator::{Coordinator, Ended};
pub use ddl::DdlSession;
pub use encode::{Encoder, Packet};
pub use lease::Lease;
pub use owner::{Owner, Ownership};
pub use schema::{Schema, TargetColumn, TargetTable};
pub use session::Session;
pub use worker::Settings;

use worker::Worker;
