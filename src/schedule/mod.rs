//! What may share a target commit in another order than it came in. Pure: no IO, no clock.
//!
//! ```text
//!  changes of a batch -> Planner -> Plan: segments of rows, statements between them
//!     Layout   what of a table's rows counts for its keys, and where it stands in their images
//!     Weights  what collations make of characters, so that values which the server takes for equal are known
//!     Claims   values of keys that one row's change takes or gives up, and what foreign keys lead to
//!     merge    the changes of one row become one
//! ```
//!
//! Within a segment no two rows claim the same thing, save what the order of a segment serves: deletes (children before
//! parents), inserts (parents before children), updates. Segments follow one another; what cannot be merged stands in
//! its order between them. The worst case is the order in which the changes came.

mod claims;
mod encode;
mod footprint;
mod foreign;
mod hash;
mod held;
mod keys;
mod layout;
mod merge;
mod plan;
mod segment;
mod tables;
mod weights;
mod window;

pub use footprint::{Footprint, Footprints};
pub use keys::{Collation, ForeignKey, KeyColumn, Reach, Rule, TableKeys, TableName, UniqueKey};
pub use plan::{Item, Plan, Planner, Run, Statement};
pub use weights::Weights;
pub use window::{MOST_WORKERS, Share, UNDIVIDED_FROM, Windows};

#[cfg(test)]
mod tests;
