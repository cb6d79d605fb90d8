//! Taking over: the native channel is stopped, and where it stopped is where the bridge starts.
//!
//! Each step can be done again. Until the last one nothing is the bridge's; the last one stores position and phase in one
//! transaction.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use uuid::Uuid;

use crate::bail;
use crate::clock::now_us;
use crate::error::{Code, Result};
use crate::failpoint;
use crate::native::{Applied, Phase, Room, Words, applied, channel};
use crate::position::{Coordinates, GtidSet, Start};
use crate::progress::{Mark, Seq, Tables};
use crate::wire::{Connection, ReplicaStatus, Running};

use super::seed::{check, identity_of, source_has_gtids};
use super::{Plan, preflight};

/// How long a channel may take to stop: it finishes the transaction that it is at.
const STOPPING: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(100);

/// What a take-over works with.
pub(super) struct Takeover<'a> {
    pub(super) plan: &'a Plan,
    pub(super) tables: &'a Tables,
    pub(super) words: Words,
    /// The lease's: whoever takes the lease away ends it first.
    pub(super) connection: &'a mut Connection,
}

impl Takeover<'_> {
    /// Whether the bridge could go on from where the channel is now. A channel is not stopped for nothing.
    ///
    /// # Errors
    /// `BB4013` if there is no channel; what keeps the source from streaming to us, or the bridge from its work.
    pub(super) async fn could(&mut self, by_gtid: Option<bool>) -> Result<()> {
        let status = self.status().await?;
        let start = self.start_of(&status, by_gtid).await?;
        check(self.plan, &start).await?;
        preflight::require_servers(self.plan, self.words, &start).await
    }

    /// All steps.
    ///
    /// # Errors
    /// As [`could`](Self::could); `BB4013` if the channel does not stop, or has applied more than its position says.
    pub(super) async fn run(&mut self, room: &Room) -> Result<()> {
        failpoint::hit("takeover.after_begin");
        let stop = self.words.stop();
        info!(statement = stop, "taking over: stopping the native channel");
        self.connection.execute(&stop).await.map_err(|error| error.context(format!("`{stop}`")))?;
        let status = self.stopped().await?;
        failpoint::hit("takeover.after_stop");
        let start = match self.start_of(&status, room.by_gtid).await? {
            Start::File(_) => self.applied(&status).await?,
            start @ Start::Gtid(_) => start,
        };
        let checked = check(self.plan, &start).await?;
        failpoint::hit("takeover.before_active");
        self.store(&start, &checked.identity.uuid, room).await?;
        failpoint::hit("takeover.after_active");
        let position = match &start {
            Start::File(at) => at.to_string(),
            Start::Gtid(_) => place(&status).to_string(),
        };
        info!(position, by_gtid = matches!(start, Start::Gtid(_)), "taken over from the native channel");
        Ok(())
    }

    async fn status(&mut self) -> Result<ReplicaStatus> {
        match channel(self.connection).await? {
            Some(status) => Ok(status),
            None => bail!(
                NativeChannel,
                "the target has no replication channel to take over from: store a position with binbridge position"
            ),
        }
    }

    async fn stopped(&mut self) -> Result<ReplicaStatus> {
        let deadline = Instant::now() + STOPPING;
        loop {
            let status = self.status().await?;
            if !status.sql_running && status.io_running == Running::No {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!(
                    NativeChannel,
                    "the native channel does not stop: it is at a transaction that takes long"
                );
            }
            sleep(LOOK).await;
        }
    }

    async fn start_of(&mut self, status: &ReplicaStatus, by_gtid: Option<bool>) -> Result<Start> {
        if by_gtid.unwrap_or(status.auto_position) {
            return Ok(Start::Gtid(self.executed().await?));
        }
        if status.relay_source_log_file.is_empty() {
            bail!(NativeChannel, "the native channel has not applied anything yet, so it has no position");
        }
        Ok(Start::File(place(status)))
    }

    async fn executed(&mut self) -> Result<GtidSet> {
        let rows = self.connection.query("SELECT @@global.gtid_mode, @@global.gtid_executed").await?;
        let text = |index: usize| rows.rows.first().and_then(|row| row.text(index)).unwrap_or_default();
        if text(0) != "ON" {
            bail!(NativeChannel, "gtid_mode is {} on the target: take over by position", text(0));
        }
        text(1).parse()
    }

    /// What was applied above the position is known, or filled up below, or known by its GTIDs, or in the way.
    async fn applied(&mut self, status: &ReplicaStatus) -> Result<Start> {
        let low = match applied(self.connection, status).await? {
            Applied::UpTo(at) => return Ok(Start::File(at)),
            Applied::WithGaps(low) => low,
        };
        warn!(position = %low, "the native applier's workers have left gaps: transactions above its position are applied");
        if let Some(at) = self.filled().await? {
            return Ok(Start::File(at));
        }
        match self.executed().await {
            // Only where every transaction has one do they say what is applied.
            Ok(executed) if source_has_gtids(self.plan).await? => Ok(Start::Gtid(executed)),
            _ => bail!(
                NativeChannel,
                "the native applier stopped with gaps (replica_preserve_commit_order is OFF): transactions above {low} are \
                 applied, which ones no GTID tells; mend the row that stopped it and let the channel run until it is in \
                 step, or set replica_preserve_commit_order = ON for the next time"
            ),
        }
    }

    /// Lets the native applier apply what is missing below what it has applied, if the account may say so.
    async fn filled(&mut self) -> Result<Option<Coordinates>> {
        let Some(fill) = self.words.fill_gaps() else { return Ok(None) };
        match self.connection.execute(&fill).await {
            Ok(_) => {
                let status = self.stopped().await?;
                Ok(match applied(self.connection, &status).await? {
                    Applied::UpTo(at) if status.last_sql_errno == 0 => Some(at),
                    _ => None,
                })
            }
            Err(error) if error.code() == Code::Privilege => Ok(None),
            Err(error) => Err(error.context(format!("`{fill}`"))),
        }
    }

    /// Position and phase, in one transaction. The epoch moves past every older one.
    async fn store(&mut self, start: &Start, source_uuid: &str, room: &Room) -> Result<()> {
        self.connection.execute("START TRANSACTION").await?;
        let (bridge, epoch) = identity_of(self.connection, self.tables).await?;
        for statement in self.storing(start, source_uuid, bridge, epoch, &room.reason) {
            self.connection.execute(&statement).await?;
        }
        Ok(())
    }

    /// What [`store`](Self::store) runs in its transaction, with the end of it.
    fn storing(
        &self,
        start: &Start,
        source_uuid: &str,
        bridge: Uuid,
        epoch: u64,
        reason: &str,
    ) -> Vec<String> {
        let low = match start {
            Start::File(at) => Mark { seq: Seq(0), at: Some(at.clone()), gtids: None },
            Start::Gtid(set) => Mark { seq: Seq(0), at: None, gtids: Some(set.clone()) },
        };
        let mut statements = self.tables.forget().to_vec();
        statements.extend(self.tables.start(bridge, source_uuid, &low, now_us().max(epoch)));
        statements.push(Room::arrive(self.tables, Phase::Active, reason));
        statements.push("COMMIT".to_owned());
        statements
    }

    /// Every statement that would run now, for people.
    pub(super) async fn describe(&mut self, by_gtid: Option<bool>) -> Result<Vec<String>> {
        let status = self.status().await?;
        let start = self.start_of(&status, by_gtid).await?;
        let checked = check(self.plan, &start).await?;
        let begun = Room { by_gtid, ..Room::new(Phase::TakingOver, "by command") };
        let mut lines = vec![
            begun.write(self.tables),
            self.words.stop(),
            self.connection.dialect().replica_status().to_owned(),
        ];
        if let (Start::File(_), Some(fill)) = (&start, self.words.fill_gaps()) {
            lines.push(format!("-- if its workers have left gaps: {fill}"));
        }
        lines.push(match &start {
            Start::File(at) => format!("-- at this moment it would go on from {at}"),
            Start::Gtid(set) => format!("-- at this moment it would go on after GTIDs {set}"),
        });
        lines.push("START TRANSACTION".to_owned());
        let (bridge, epoch) = match identity_of(self.connection, self.tables).await {
            // No bridge has run against this target yet.
            Err(error) if error.code() == Code::SchemaMismatch => (Uuid::new_v4(), 0),
            known => known?,
        };
        lines.extend(self.storing(&start, &checked.identity.uuid, bridge, epoch, "by command"));
        Ok(lines)
    }
}

fn place(status: &ReplicaStatus) -> Coordinates {
    Coordinates { file: status.relay_source_log_file.as_str().into(), offset: status.exec_source_log_pos }
}
