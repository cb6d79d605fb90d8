//! Which GTIDs stand up to a place in the source's binlog.

use crate::bail;
use crate::binlog::Body;
use crate::error::Result;
use crate::position::{Coordinates, GtidSet, Start};

use super::{Registration, Stream};

/// The offset of a file's first event.
const FIRST_EVENT: u64 = 4;

/// Reads the file of `at` from its beginning: the GTIDs of all files before it stand in its first events
/// (`Previous_gtids_log_event`), those of its own transactions follow.
///
/// # Errors
/// `BB3105` if a transaction has no GTID; those of the stream.
pub async fn gtids_up_to(registration: &Registration, at: &Coordinates) -> Result<GtidSet> {
    let mut registration = registration.clone();
    // Not the bridge's own: the source would end the stream of a bridge that runs.
    registration.uuid = uuid::Uuid::new_v4();
    registration.heartbeat = std::time::Duration::from_secs(1);
    let first = Coordinates { file: at.file.clone(), offset: FIRST_EVENT };
    let mut stream = Stream::open(&registration, &Start::File(first)).await?;
    let mut set = GtidSet::new();
    let mut begun = false;
    loop {
        let located = stream.next().await?;
        match &located.event.body {
            Body::PreviousGtids(previous) => {
                set.union(previous);
                begun = true;
            }
            Body::Rotate { artificial: true, .. } | Body::FormatDescription(_) => continue,
            // The end of the log, or of the file.
            Body::Heartbeat { .. } | Body::Rotate { .. } | Body::Stop => return Ok(set),
            Body::Gtid(event) if located.start < at.offset => match &event.gtid {
                Some(gtid) => {
                    set.add(gtid);
                }
                None => bail!(
                    SourceSettings,
                    "the transaction at {}:{} has no GTID: the source has gtid_mode OFF, so go by position",
                    located.file,
                    located.start
                ),
            },
            _ => {}
        }
        if begun && located.end >= at.offset {
            return Ok(set);
        }
    }
}
