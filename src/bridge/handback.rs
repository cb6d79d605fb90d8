//! Handing back: where the bridge has stopped is where the native channel starts.
//!
//! The bridge has drained before; its last transaction stands in the room's row. Until the row says `started`, the channel
//! is pointed there again and again; from then on it has a place of its own and is only started.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::bail;
use crate::error::{Code, Error, Result};
use crate::failpoint;
use crate::native::{ChannelSource, HIDDEN, Health, Phase, Room, Words, channel};
use crate::position::{Coordinates, GtidSet, Start};
use crate::progress::{Recovered, Row, Tables};
use crate::source::{Registration, ServerId, gtids_up_to, stable_server_id};
use crate::wire::{Connection, Reply};

use super::Plan;
use super::seed::registration;

/// How long the channel may take to connect and apply.
const STARTING: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// Empty transactions in one packet.
const FILL: usize = 500;

/// `ER_MTA_CHANGE_SOURCE_CANT_RUN_WITH_GAPS` (MySQL error reference, 1802): after an error of a worker a channel without
/// auto-position takes no new place until its old one is forgotten.
fn was_stopped_by_error(error: &Error) -> bool {
    error.server().is_some_and(|server| server.number == 1802)
}

/// What a hand-back works with.
pub(super) struct Handback<'a> {
    pub(super) plan: &'a Plan,
    pub(super) tables: &'a Tables,
    pub(super) words: Words,
    pub(super) source: &'a ChannelSource,
    /// The lease's: whoever takes the lease away ends it first.
    pub(super) connection: &'a mut Connection,
}

impl Handback<'_> {
    /// The bridge has drained: records from where the channel is to go on.
    ///
    /// # Errors
    /// `BB4013` if something above that place is applied.
    pub(super) async fn begin(&mut self, room: &Room) -> Result<Room> {
        failpoint::hit("handback.after_drain");
        let rows = Row::parse_all(&self.connection.query(&self.tables.read(false)).await?)?;
        let recovered = Recovered::from_rows(&rows)?;
        let low = recovered.frontier.low();
        if !recovered.frontier.done().is_empty() {
            bail!(
                NativeChannel,
                "transactions behind one that is not finished (XA PREPARE) are applied: commit or roll back what \
                 XA RECOVER shows on the source, then hand back"
            );
        }
        let status = channel(self.connection).await?;
        let by_gtid = room.by_gtid.unwrap_or(status.is_some_and(|status| status.auto_position));
        let at = match (by_gtid, &low.at, &low.gtids) {
            (true, _, Some(gtids)) => Start::Gtid(GtidSet::clone(gtids)),
            (true, Some(at), None) => Start::Gtid(self.gtids_up_to(at).await?),
            (false, Some(at), _) => Start::File(at.clone()),
            (false, None, _) | (true, None, None) => bail!(
                NativeChannel,
                "nothing was applied since the start by GTID, so there is no position yet: hand back by GTID"
            ),
        };
        let next = Room {
            at: Some(at),
            by_gtid: Some(by_gtid),
            wanted: None,
            ..Room::new(Phase::HandingBack, room.reason.clone())
        };
        self.connection.execute(&next.write(self.tables)).await?;
        failpoint::hit("handback.after_begin");
        Ok(next)
    }

    async fn gtids_up_to(&self, at: &Coordinates) -> Result<GtidSet> {
        let uuid = uuid::Uuid::new_v4();
        // The source may not know yet that the bridge's stream, with the id that the operator chose, has ended.
        let server_id = ServerId::Derived(stable_server_id(uuid));
        gtids_up_to(&Registration { server_id, ..registration(self.plan, uuid) }, at).await
    }

    /// The remaining steps; leaves the phase at standby.
    ///
    /// # Errors
    /// `BB4011` if somebody started the channel meanwhile; what the cloud's procedures refuse.
    pub(super) async fn run(&mut self, room: &Room) -> Result<()> {
        let mut room = room.clone();
        if !room.started {
            self.point(&room).await?;
            failpoint::hit("handback.after_point");
            room.started = true;
            self.connection.execute(&room.write(self.tables)).await?;
            failpoint::hit("handback.after_mark");
        }
        let start = self.words.start();
        let running = channel(self.connection).await?.is_some_and(|status| status.sql_running);
        if !running {
            info!(statement = start, "handing back: starting the native channel");
            self.connection.execute(&start).await.map_err(|error| error.context(format!("`{start}`")))?;
        }
        failpoint::hit("handback.after_start");
        let reason = self.until_well().await?;
        let standby = Room::new(Phase::Standby, reason);
        self.connection.execute(&standby.write(self.tables)).await?;
        Ok(())
    }

    async fn point(&mut self, room: &Room) -> Result<()> {
        let Some(at) = &room.at else { bail!(Progress, "handing back without a position") };
        if channel(self.connection).await?.is_some_and(|status| status.sql_running) {
            bail!(
                NativeRunning,
                "somebody has started the native channel while it was to be handed its position"
            );
        }
        // Its receiver may run on its own, and would be in the way.
        let stop = self.words.stop();
        if let Err(error) = self.connection.execute(&stop).await
            && error.code() != Code::Apply
        {
            return Err(error.context(format!("`{stop}`")));
        }
        if let Start::Gtid(applied) = at {
            self.fill(applied).await?;
        }
        failpoint::hit("handback.after_fill");
        let ca = self.source.ca_text().await?;
        let password = self.source.secret.resolve().await?;
        let statement = self.words.point(self.source, password.expose(), &ca, at);
        let shown = self.words.point(self.source, HIDDEN, "", at);
        info!(statement = shown, "handing back: pointing the native channel");
        let mut pointed = self.connection.execute(&statement).await;
        if pointed.as_ref().is_err_and(was_stopped_by_error) {
            let forget = self.words.forget();
            info!(statement = forget, "handing back: the channel's workers had been stopped by an error");
            self.connection.execute(&forget).await.map_err(|error| error.context(format!("`{forget}`")))?;
            pointed = self.connection.execute(&statement).await;
        }
        pointed.map(|_| ()).map_err(|error| error.context(format!("`{shown}`")))
    }

    /// Gives the target the GTIDs of what the bridge applied under the target's own, as empty transactions: by
    /// auto-position the channel asks for everything that the target has not executed.
    async fn fill(&mut self, applied: &GtidSet) -> Result<()> {
        let missing = self.missing(applied).await?;
        if missing.is_empty() {
            return Ok(());
        }
        info!(count = %missing.count(), "handing back: giving the target the GTIDs of what was applied in batches");
        let mut all = missing.iter().flat_map(|(sid, numbers)| {
            let sid = sid.to_string();
            numbers.map(move |number| format!("{sid}:{number}"))
        });
        loop {
            let some: Vec<String> = all.by_ref().take(FILL).collect();
            if some.is_empty() {
                break;
            }
            self.empty_transactions(&some).await?;
        }
        self.connection.execute("SET gtid_next = 'AUTOMATIC'").await.map(|_| ())
    }

    async fn empty_transactions(&mut self, gtids: &[String]) -> Result<()> {
        let text: Vec<String> =
            gtids.iter().map(|gtid| format!("SET gtid_next = '{gtid}';BEGIN;COMMIT")).collect();
        self.connection.send_query(&[text.join(";").as_bytes()]).await?;
        for _ in 0..gtids.len() * 3 {
            if let Reply::Failed(server) = self.connection.read_reply().await? {
                let error: Error = crate::wire::refused(server);
                return Err(error.context("an empty transaction under a GTID of the source"));
            }
        }
        Ok(())
    }

    async fn missing(&mut self, applied: &GtidSet) -> Result<GtidSet> {
        let rows = self.connection.query("SELECT @@global.gtid_mode, @@global.gtid_executed").await?;
        let text = |index: usize| rows.rows.first().and_then(|row| row.text(index)).unwrap_or_default();
        if text(0) != "ON" {
            bail!(NativeChannel, "gtid_mode is {} on the target: hand back by position", text(0));
        }
        let executed: GtidSet = text(1).parse()?;
        let mut missing = applied.clone();
        missing.subtract(&executed);
        Ok(missing)
    }

    /// Waits until the channel does its work. One that does not is the native channel's all the same: it has been
    /// started, and may have applied.
    async fn until_well(&mut self) -> Result<String> {
        let deadline = Instant::now() + STARTING;
        loop {
            let status = channel(self.connection).await?;
            match Health::of(status.as_ref(), None) {
                Health::Well { .. } => {
                    info!("handed back: the native channel applies");
                    return Ok("handed back to the native channel".to_owned());
                }
                Health::Ill(cause) if Instant::now() > deadline => {
                    warn!(%cause, "handed back, but the native channel does not do its work");
                    return Ok(format!("handed back to the native channel, but {cause}"));
                }
                Health::Ill(_) => sleep(LOOK).await,
            }
        }
    }

    /// Every statement that would run now, for people.
    pub(super) async fn describe(&mut self, by_gtid: Option<bool>) -> Result<Vec<String>> {
        let rows = Row::parse_all(&self.connection.query(&self.tables.read(false)).await?)?;
        let recovered = Recovered::from_rows(&rows)?;
        let low = recovered.frontier.low();
        let status = channel(self.connection).await?;
        let by_gtid = by_gtid.unwrap_or(status.is_some_and(|status| status.auto_position));
        let mut lines = vec!["-- the bridge finishes what is in flight and stops".to_owned()];
        let at = if by_gtid {
            let applied = match (&low.gtids, &low.at) {
                (Some(gtids), _) => GtidSet::clone(gtids),
                (None, Some(at)) => self.gtids_up_to(at).await?,
                (None, None) => GtidSet::new(),
            };
            let missing = self.missing(&applied).await?;
            if !missing.is_empty() {
                lines.push(format!("-- for each of {} GTIDs ({missing}):", missing.count()));
                lines.push("SET gtid_next = '<gtid>'; BEGIN; COMMIT".to_owned());
            }
            Start::Gtid(applied)
        } else {
            let Some(at) = &low.at else {
                bail!(NativeChannel, "there is no position yet: hand back by GTID")
            };
            lines.push("-- at this moment:".to_owned());
            Start::File(at.clone())
        };
        let ca =
            self.source.ca.as_ref().map_or(String::new(), |path| format!("<text of {}>", path.display()));
        lines.push(self.words.stop());
        lines.push(self.words.point(self.source, HIDDEN, &ca, &at));
        lines.push(self.words.start());
        Ok(lines)
    }
}
