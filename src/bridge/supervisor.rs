//! Who applies, and what changes that: the lease, the native channel, and what operators ask for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::apply::{Lease, Owner};
use crate::bail;
use crate::error::{Code, Error, Result};
use crate::native::{ChannelSource, Cloud, Phase, Policy, Room, Words, channel};
use crate::observe::{End, Lifecycle, Observer};
use crate::progress::Mark;

use super::backoff::Met;
use super::preflight::Checks;
use super::{Backoff, Plan};

/// How long the target may be out of reach at the start before that is an error.
const FIRST_PATIENCE: Duration = Duration::from_secs(20);
/// How long the end may wait for the target to hear that the lease is free.
const RELEASING: Duration = Duration::from_secs(2);

/// What is known of the native channel beforehand.
#[derive(Debug, Clone)]
pub struct Native {
    /// When to take over.
    pub policy: Policy,
    /// Whose procedures; found out if not set.
    pub cloud: Option<Cloud>,
    /// Where the channel receives from.
    pub source: ChannelSource,
}

/// Runs a bridge beside the target's own replication.
pub struct Supervisor {
    pub(super) plan: Plan,
    pub(super) native: Native,
    pub(super) owner: Owner,
    pub(super) id: Uuid,
    pub(super) observer: Arc<Observer>,
    pub(super) stop: CancellationToken,
    /// The lease was held.
    met: Met,
    /// What would stop the bridge later was looked for.
    pub(super) checked: bool,
    /// A hand-back waits until the bridge has passed again what an earlier process had applied ahead.
    pub(super) not_before: Option<Instant>,
}

/// How a phase ended.
pub(super) enum Next {
    /// Look at the row again.
    Look,
    /// Told to stop; durable up to there if the bridge was active.
    Stop(Option<Mark>),
    /// The bridge has given up: it tries again by itself what may pass, for as long as that makes sense.
    GaveUp(Error),
}

/// How the time with the lease ended, but for errors that may pass.
type Ended = Result<Option<Mark>>;

impl Supervisor {
    /// Nothing happens yet.
    pub fn new(plan: Plan, native: Native, observer: Arc<Observer>, stop: CancellationToken) -> Self {
        let owner = Owner::new(&plan.schema, &plan.name);
        Self {
            plan,
            native,
            owner,
            id: Uuid::new_v4(),
            observer,
            stop,
            met: Met::default(),
            checked: false,
            not_before: None,
        }
    }

    /// Runs until told to stop (then gives the durable place, if the bridge was active) or until a definite error.
    ///
    /// # Errors
    /// Every definite error; transient ones only if the target cannot be reached at the start.
    pub async fn run(mut self) -> Result<Option<Mark>> {
        let mut backoff = Backoff::default();
        let deadline = Instant::now() + FIRST_PATIENCE;
        loop {
            let stop = self.stop.clone();
            let acquired = tokio::select! {
                acquired = self.acquire() => acquired,
                // Nothing is under way yet.
                () = stop.cancelled() => return Ok(None),
            };
            let error = match acquired {
                Ok(lease) => match self.hold(lease, &mut backoff).await {
                    Ok(ended) => return ended,
                    Err(error) => error,
                },
                Err(error) => error.context(self.target()),
            };
            if !self.met.may_pass(&error) || (!self.met.ever() && Instant::now() > deadline) {
                return Err(error);
            }
            self.observer.failure(&error);
            self.observer.lifecycle(Lifecycle::Retrying, &error.to_string());
            let wait = backoff.wait();
            warn!(%error, wait_ms = wait.as_millis(), "connecting to the target again");
            tokio::select! {
                () = sleep(wait) => {}
                () = self.stop.cancelled() => return Ok(None),
            }
        }
    }

    fn target(&self) -> String {
        format!("target {}:{}", self.plan.target.host, self.plan.target.port)
    }

    /// Holds the lease until the end, and then lets another instance have it; or until an error that may pass.
    async fn hold(&mut self, mut lease: Lease, backoff: &mut Backoff) -> Result<Ended> {
        self.met.note();
        backoff.reset();
        let lived = self.live(&mut lease).await;
        self.met.note();
        let ended = match lived {
            Err(error) if error.is_transient() => return Err(error),
            Ok(Next::GaveUp(error)) | Err(error) => Err(error),
            Ok(Next::Stop(mark)) => Ok(mark),
            Ok(Next::Look) => bail!(Invariant, "the supervisor ended without a reason"),
        };
        // Another instance's lease is not ours to let go; ours goes with its connection at the latest.
        if !ended.as_ref().is_err_and(|error| error.code() == Code::Fenced) {
            let _ = timeout(RELEASING, lease.release()).await;
        }
        Ok(ended)
    }

    /// Phase by phase to the end, or to an error.
    async fn live(&mut self, lease: &mut Lease) -> Result<Next> {
        let target = self.target();
        let here = |error: Error| error.context(target.clone());
        let cloud = match self.native.cloud {
            Some(cloud) => cloud,
            None => Cloud::detect(&mut lease.connection).await.map_err(here)?,
        };
        let words = Words { cloud, dialect: lease.connection.dialect() };
        loop {
            let room = self.room(lease).await.map_err(here)?;
            let stop = self.stop.clone();
            let next = if room.phase == Phase::Active {
                let checks = self.checks(lease, words).await;
                self.active(lease, words, checks).await?
            } else {
                tokio::select! {
                    biased;
                    // Each step can be done again, so it may be left anywhere.
                    () = stop.cancelled() => Next::Stop(None),
                    next = self.watching(lease, words, room) => next.map_err(here)?,
                }
            };
            if !matches!(next, Next::Look) {
                return Ok(next);
            }
        }
    }

    /// Once, before the first start of the stages.
    async fn checks(&mut self, lease: &mut Lease, words: Words) -> Option<Checks> {
        if self.checked || self.stop.is_cancelled() {
            return None;
        }
        self.checked = true;
        self.observer.lifecycle(Lifecycle::Starting, "looking for what would keep the bridge from its work");
        Checks::of(&self.plan, words, &mut lease.connection).await
    }

    /// The lease, as soon as no other instance has it.
    async fn acquire(&mut self) -> Result<Lease> {
        let observer = Arc::clone(&self.observer);
        let (owner, host) = (self.owner.clone(), self.plan.report_host.clone());
        if self.met.ever() {
            return Lease::again(&self.plan.target, &owner, self.id, &host, self.plan.lease).await;
        }
        let mut told = String::new();
        let waits = |holder: &str| {
            if told != holder {
                holder.clone_into(&mut told);
                observer.connected(End::Target, true);
                info!(holder, "another instance of this bridge works; standing by");
                observer.lifecycle(Lifecycle::Standby, &format!("another instance works, on {holder}"));
            }
        };
        let lease = &self.plan.lease;
        match Lease::acquire(&self.plan.target, &owner, self.id, &host, *lease, waits).await {
            Err(error) if error.code() == Code::SchemaMismatch => {
                self.prepare().await?;
                bail!(ServerBusy, "the bridge's tables have just been made")
            }
            acquired => acquired,
        }
    }

    /// Makes the bridge's tables, if there is something to be a bridge for.
    async fn prepare(&self) -> Result<()> {
        let mut connection = crate::wire::Connection::connect(&self.plan.target).await?;
        let tables = &self.owner.tables;
        let started = connection.query(&format!("SELECT 1 FROM {} LIMIT 1", tables.table("progress"))).await;
        match started {
            Ok(_) => {}
            Err(error) if error.code() == Code::SchemaMismatch => {
                // An account that may not ask has no native channel to watch.
                let channel = channel(&mut connection).await.ok().flatten();
                if channel.is_none() {
                    bail!(NoPosition, "the bridge's tables are not on the target");
                }
            }
            Err(error) => return Err(error),
        }
        for statement in tables.create() {
            connection.execute(&statement).await.map_err(|error| super::seed::needs_tables(error, tables))?;
        }
        connection.close().await;
        Ok(())
    }

    /// The row; made if this is the first time.
    async fn room(&self, lease: &mut Lease) -> Result<Room> {
        let tables = &self.owner.tables;
        if let Some(room) = Room::read(&mut lease.connection, tables).await? {
            return Ok(room);
        }
        let rows = lease.connection.query(&tables.read(false)).await?;
        let room = if !rows.rows.is_empty() {
            Room::new(Phase::Active, "a position was stored")
        } else if channel(&mut lease.connection).await?.is_some() {
            Room::new(
                Phase::Standby,
                "the target has a native channel, and no position is stored for the bridge",
            )
        } else {
            bail!(NoPosition, "no start position is stored for this bridge on the target")
        };
        lease.connection.execute(&room.write(tables)).await?;
        Ok(room)
    }
}
