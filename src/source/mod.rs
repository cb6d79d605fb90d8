//! The replica session with the source: who it is, registration, and the stream of its events.

mod commands;
mod gtids;
mod identity;
mod offset;
mod probe;
mod session;

pub use commands::needs_grants;
pub use gtids::gtids_up_to;
pub use identity::Identity;
pub use offset::Offset;
pub use probe::probe;
pub use session::{Dialed, Located, Registration, ServerId, Stream, misplaced, stable_server_id};
