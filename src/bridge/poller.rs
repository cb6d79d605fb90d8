//! Asks the source, on a connection of its own, for the end of its log: how far behind reading is, and how soon the
//! position will be purged.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::debug;

use crate::error::{Code, Error, Result};
use crate::observe::{Lifecycle, Observer};
use crate::position::Coordinates;
use crate::source::Identity;
use crate::wire::{Connection, Endpoint};

/// Every this often; three answers missed mean "unknown".
pub(super) const PERIOD: Duration = Duration::from_secs(2);
/// An answer that takes longer is no answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Asks until it is dropped.
pub(super) async fn run(endpoint: Endpoint, observer: Arc<Observer>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection: Option<Connection> = None;
    loop {
        ticks.tick().await;
        let asked = timeout(PATIENCE, poll(&endpoint, connection.take(), &observer)).await;
        match asked
            .unwrap_or_else(|_| Err(Error::new(Code::ConnectionLost, "the source did not answer in time")))
        {
            Ok(open) => connection = Some(open),
            Err(error) => {
                debug!(%error, "the source's end of log is not known");
                observer.source_end(None, &[]);
                observer.clock_offset(None);
            }
        }
    }
}

async fn poll(endpoint: &Endpoint, open: Option<Connection>, observer: &Observer) -> Result<Connection> {
    let mut connection = match open {
        Some(open) => open,
        None => Connection::connect(endpoint).await?,
    };
    let identity = Identity::ask(&mut connection).await?;
    observer.clock_offset(Some(identity.clock_ahead_us));
    let logs = binary_logs(&mut connection).await?;
    let end = logs.last().map(|(file, size)| Coordinates { file: file.as_str().into(), offset: *size });
    observer.source_end(end.as_ref(), &logs);
    tell_phase(observer);
    Ok(connection)
}

/// Behind by more than this is catching up.
const IN_STEP_SECONDS: f64 = 10.0;

/// Between catching up and streaming there is no event, only the lag.
fn tell_phase(observer: &Observer) {
    let now = observer.progress();
    let in_step = now.lag.applied_seconds.is_some_and(|seconds| seconds < IN_STEP_SECONDS);
    match (now.state.name.as_str(), in_step) {
        ("catching_up", true) => observer.lifecycle(Lifecycle::Streaming, "in step with the source"),
        ("streaming", false) => observer.lifecycle(Lifecycle::CatchingUp, "behind the source"),
        _ => {}
    }
}

/// `SHOW BINARY LOGS`: each file with its size. The last one's size is the end of the log.
pub(super) async fn binary_logs(connection: &mut Connection) -> Result<Vec<(String, u64)>> {
    let rows = connection.query(connection.dialect().binary_logs()).await?;
    Ok(rows
        .rows
        .iter()
        .filter_map(|row| Some((row.text(0)?.to_owned(), row.text(1)?.parse().ok()?)))
        .collect())
}
