//! Where a stream is: files and offsets, GTIDs and sets of them. Values only.

mod coordinates;
mod gtid;
mod gtid_set;

pub use coordinates::{Coordinates, Start};
pub use gtid::{Gtid, MAX_GNO, Sid, Tag};
pub use gtid_set::GtidSet;
pub use uuid::Uuid;
