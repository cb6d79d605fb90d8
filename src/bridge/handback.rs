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
use crate::progress::{Mark, Ranges, Recovered, Row, Tables};
use crate::source::{Registration, ServerId, gtids_up_to, stable_server_id};
use crate::wire::Connection;

use super::Plan;
use super::fill::fill;
use super::seed::{registration, source_has_gtids};

/// How long the channel may take to connect and apply.
const STARTING: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// Why it stands by, afterwards.
const HANDED_BACK: &str = "handed back to the native channel";

/// `ER_MTA_CHANGE_SOURCE_CANT_RUN_WITH_GAPS` (MySQL error reference, 1802): after an error of a worker a channel without
/// auto-position takes no new place until its old one is forgotten.
fn was_stopped_by_error(error: &Error) -> bool {
    error.server().is_some_and(|server| server.number == 1802)
}

/// Whether a drained bridge can be handed back from.
pub(super) enum Readiness {
    /// The phase has changed.
    Begun,
    /// An earlier process had applied more than the place says: the bridge has to pass that again first.
    Ahead,
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
    /// The bridge has drained up to `mark`: records from where the channel is to go on. `settled`: it has had the time to
    /// pass again what an earlier process had applied ahead of that.
    ///
    /// # Errors
    /// `BB4013` if the channel could not go on from there.
    pub(super) async fn begin(&mut self, room: &Room, mark: &Mark, settled: bool) -> Result<Readiness> {
        failpoint::hit("handback.after_drain");
        let mut ahead = Ranges::default();
        for row in Row::parse_all(&self.connection.query(&self.tables.read(false)).await?)? {
            ahead.union(&row.done);
        }
        ahead.forget_through(mark.seq.0);
        if !ahead.is_empty() && !settled {
            return Ok(Readiness::Ahead);
        }
        if !ahead.is_empty() {
            bail!(
                NativeChannel,
                "transactions behind one that is not finished (XA PREPARE) are applied: commit or roll back what \
                 XA RECOVER shows on the source, then hand back"
            );
        }
        let by_gtid = self.by_gtid(room.by_gtid).await?;
        let at = self.place(mark, by_gtid).await?;
        if let Start::Gtid(applied) = &at {
            self.missing(applied).await?;
        }
        self.source.ca_text().await?;
        self.source.secret.resolve().await?;
        let next = Room {
            at: Some(at),
            by_gtid: Some(by_gtid),
            wanted: None,
            ..Room::new(Phase::HandingBack, room.reason.clone())
        };
        self.connection.execute(&next.write(self.tables)).await?;
        failpoint::hit("handback.after_begin");
        Ok(Readiness::Begun)
    }

    /// As the operator says, else as the channel does.
    async fn by_gtid(&mut self, said: Option<bool>) -> Result<bool> {
        let status = channel(self.connection).await?;
        Ok(said.unwrap_or(status.is_some_and(|status| status.auto_position)))
    }

    /// From where the channel goes on, if the bridge has applied everything up to `mark`.
    async fn place(&self, mark: &Mark, by_gtid: bool) -> Result<Start> {
        match (by_gtid, &mark.at, &mark.gtids) {
            (true, ..) if !source_has_gtids(self.plan).await? => {
                bail!(NativeChannel, "gtid_mode is not ON on the source: hand back by position")
            }
            (true, _, Some(gtids)) => Ok(Start::Gtid(gtids.clone())),
            (true, Some(at), None) => Ok(Start::Gtid(self.gtids_up_to(at).await?)),
            (false, Some(at), _) => Ok(Start::File(at.clone())),
            (false, None, _) | (true, None, None) => bail!(
                NativeChannel,
                "nothing was applied since the start by GTID, so there is no position yet: hand back by GTID"
            ),
        }
    }

    async fn gtids_up_to(&self, at: &Coordinates) -> Result<GtidSet> {
        // No log tells of what a server was only told to have purged. Asked for before the log is read, it all lies before
        // it: logs are purged in their order, and this one is there still.
        let mut source = Connection::connect(&self.plan.source).await?;
        let rows = source.query("SELECT @@global.gtid_purged").await?;
        source.close().await;
        let purged: GtidSet = rows.rows.first().and_then(|row| row.text(0)).unwrap_or_default().parse()?;
        let uuid = uuid::Uuid::new_v4();
        // The source may not know yet that the bridge's stream, with the id that the operator chose, has ended.
        let server_id = ServerId::Derived(stable_server_id(uuid));
        let mut gtids = gtids_up_to(&Registration { server_id, ..registration(self.plan, uuid) }, at).await?;
        gtids.union(&purged);
        Ok(gtids)
    }

    /// Up to where the channel may be started at any moment.
    ///
    /// # Errors
    /// `BB4011` if somebody started the channel meanwhile; what the cloud's procedures refuse.
    pub(super) async fn prepare(&mut self, room: &Room) -> Result<()> {
        self.point(room).await?;
        failpoint::hit("handback.after_point");
        self.connection.execute(&Room::mark_started(self.tables)).await?;
        failpoint::hit("handback.after_mark");
        Ok(())
    }

    /// The remaining steps; leaves the phase at standby.
    ///
    /// # Errors
    /// What the cloud's procedure refuses.
    pub(super) async fn start(&mut self) -> Result<()> {
        let start = self.words.start();
        let running = channel(self.connection).await?.is_some_and(|status| status.sql_running);
        if !running {
            info!(statement = start, "handing back: starting the native channel");
            self.connection.execute(&start).await.map_err(|error| error.context(format!("`{start}`")))?;
        }
        failpoint::hit("handback.after_start");
        let reason = self.until_well().await?;
        self.connection.execute(&Room::arrive(self.tables, Phase::Standby, &reason)).await?;
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
            let missing = self.missing(applied).await?;
            if !missing.is_empty() {
                let count = missing.count();
                info!(%count, "handing back: giving the target the GTIDs of what was applied in batches");
                fill(&self.plan.target, &missing).await?;
            }
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

    /// What the target does not know yet that it has.
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
                    return Ok(HANDED_BACK.to_owned());
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
        let mark = Recovered::from_rows(&rows)?.frontier.low().clone();
        let by_gtid = self.by_gtid(by_gtid).await?;
        let at = self.place(&mark, by_gtid).await?;
        let missing = match &at {
            Start::Gtid(applied) => self.missing(applied).await?,
            Start::File(_) => GtidSet::new(),
        };
        let handing_back = Room {
            at: Some(at.clone()),
            by_gtid: Some(by_gtid),
            ..Room::new(Phase::HandingBack, "by command")
        };
        let mut lines = vec![
            "-- the bridge finishes what is in flight and stops; at this moment that would lead to:"
                .to_owned(),
            handing_back.write(self.tables),
            self.words.stop(),
        ];
        if !missing.is_empty() {
            lines.push(format!("-- for each of {} GTIDs ({missing}):", missing.count()));
            lines.push("SET gtid_next = '<gtid>'; BEGIN; COMMIT".to_owned());
        }
        let ca =
            self.source.ca.as_ref().map_or(String::new(), |path| format!("<text of {}>", path.display()));
        lines.push(self.words.point(self.source, HIDDEN, &ca, &at));
        lines.push(Room::mark_started(self.tables));
        lines.push(self.words.start());
        lines.push("-- once the channel receives and applies:".to_owned());
        lines.push(Room::arrive(self.tables, Phase::Standby, HANDED_BACK));
        Ok(lines)
    }
}
