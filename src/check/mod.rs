//! What would keep a bridge from doing its work, looked for before it starts: nothing here changes anything.
//!
//! What shows at once by itself (a login, a certificate, a purged position) is left to the connection that meets it. Here
//! is what would show only later: at the first row event, at the next purge, at the hand-back.

mod findings;
mod procedures;
mod retention;
mod schemas;
mod source;
mod target;

pub use findings::{Findings, OVERRULED};
pub use schemas::schemas;
pub use source::{SourceFacts, source};
pub use target::{Demands, target};
