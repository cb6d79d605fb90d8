//! Whether a position can be streamed from: asked of the source by streaming from it.

use std::time::Duration;

use crate::bail;
use crate::binlog::Body;
use crate::error::Result;
use crate::position::Start;

use super::{Identity, Registration, Stream, misplaced};

/// An idle source answers with a heartbeat after this long.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Opens a stream at `start` and looks at the first event of its own.
///
/// # Errors
/// `BB3101` if the place is purged; `BB3102` if it is beyond the end, inside an event, or inside a transaction.
pub async fn probe(mut registration: Registration, start: &Start) -> Result<Identity> {
    registration.heartbeat = HEARTBEAT;
    // Not the bridge's own: the source would end the stream of a bridge that runs.
    registration.uuid = uuid::Uuid::new_v4();
    let mut stream = Stream::open(&registration, start).await?;
    loop {
        let located = stream.next().await.map_err(|error| match start {
            Start::File(_) => misplaced(error),
            Start::Gtid(_) => error,
        })?;
        match &located.event.body {
            Body::Rotate { artificial: true, .. } | Body::FormatDescription(_) | Body::PreviousGtids(_) => {}
            Body::Heartbeat { .. } | Body::Rotate { .. } | Body::Stop | Body::Gtid(_) => {
                return Ok(stream.identity().clone());
            }
            Body::Query(query) if *query.sql == *b"BEGIN" || !registration_has_gtids(&stream) => {
                return Ok(stream.identity().clone());
            }
            _ => bail!(
                ImpossiblePosition,
                "the position lies inside a transaction: at {} stands an event that cannot be its first",
                located.start()
            ),
        }
    }
}

/// Sources from 5.7 on begin every transaction with a GTID event, anonymous ones too; older ones with `BEGIN` or the
/// statement itself.
fn registration_has_gtids(stream: &Stream) -> bool {
    !stream.identity().version.starts_with("5.6")
}
