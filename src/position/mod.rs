//! Where a stream is: files and offsets, GTIDs and sets of them. Values only.

mod check;
mod coordinates;
mod found;
mod gtid;
mod gtid_set;

pub use check::check_against_logs;
pub use coordinates::{Coordinates, Start};
pub use found::{Choice, Found, Kind, NamedServer, Origin, Whose, find, find_with};
pub use gtid::{Gtid, MAX_GNO, Sid, Tag};
pub use gtid_set::GtidSet;
pub use uuid::Uuid;
