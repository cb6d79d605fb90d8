//! Who applies, and what changes that: the lease, the native channel, and what operators ask for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::apply::{Lease, Owner};
use crate::bail;
use crate::error::{Code, Error, Result};
use crate::native::{ChannelSource, Cloud, Health, Patience, Phase, Policy, Room, Wanted, Words, channel};
use crate::observe::{End, Lifecycle, NativeChannel, Observer};
use crate::progress::Mark;

use super::backoff::Met;
use super::handback::Handback;
use super::takeover::Takeover;
use super::{Backoff, Bridge, Plan, preflight};

/// Between two looks at the native channel and at what is wanted.
const LOOK: Duration = Duration::from_millis(500);
/// A look that takes longer is a lost connection.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the target may be out of reach at the start before that is an error.
const FIRST_PATIENCE: Duration = Duration::from_secs(20);
/// How long the end may wait for the target to hear that the lease is free.
const RELEASING: Duration = Duration::from_secs(2);
/// Between two tries to take over from a channel that we could not take the place of.
const RETRY: Duration = Duration::from_secs(5);

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
    plan: Plan,
    native: Native,
    owner: Owner,
    id: Uuid,
    observer: Arc<Observer>,
    stop: CancellationToken,
    /// The lease was held.
    met: Met,
    /// What would stop the bridge later was looked for.
    checked: bool,
}

/// How a phase ended.
enum Next {
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
        Self { plan, native, owner, id: Uuid::new_v4(), observer, stop, met: Met::default(), checked: false }
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
            let next = match room.phase {
                Phase::Standby => self.standby(lease, words, room).await.map_err(here)?,
                Phase::TakingOver => self.take_over(lease, words, &room).await.map_err(here)?,
                Phase::Active => {
                    self.check(lease).await?;
                    self.active(lease, words).await?
                }
                Phase::HandingBack => self.hand_back(lease, words, &room).await.map_err(here)?,
            };
            if !matches!(next, Next::Look) {
                return Ok(next);
            }
        }
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

    /// Watches the native channel.
    async fn standby(&mut self, lease: &mut Lease, words: Words, mut room: Room) -> Result<Next> {
        info!(reason = room.reason, cloud = %words.cloud, "standby: the native channel applies");
        self.observer.lifecycle(Lifecycle::Standby, &room.reason);
        self.observer.connected(End::Target, true);
        let mut patience = Patience::default();
        let mut not_before = Instant::now();
        let mut ticks = ticks();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.stop.cancelled() => return Ok(Next::Stop(None)),
            }
            let (health, _) = self.look(lease).await?;
            let Some(now) = Room::read(&mut lease.connection, &self.owner.tables).await? else {
                return Ok(Next::Look);
            };
            room = now;
            let by_command = room.wanted == Some(Wanted::Takeover);
            let due = patience.note(&health, &self.native.policy, std::time::Instant::now());
            if room.phase != Phase::Standby {
                return Ok(Next::Look);
            }
            if !(by_command || due) || Instant::now() < not_before {
                continue;
            }
            let why = match &health {
                Health::Ill(cause) if !by_command => format!("the native channel is not well: {cause}"),
                _ => "by command".to_owned(),
            };
            if let Err(error) = self.takeover(lease, words).could(room.by_gtid).await {
                not_before = Instant::now() + RETRY;
                warn!(%error, why, "not taking over: the bridge could not go on from there");
                self.observer.failure(&error);
                self.observer.lifecycle(Lifecycle::Standby, &format!("{why}; cannot take over: {error}"));
                continue;
            }
            let next = Room { by_gtid: room.by_gtid, ..Room::new(Phase::TakingOver, why) };
            lease.connection.execute(&next.write(&self.owner.tables)).await?;
            return Ok(Next::Look);
        }
    }

    fn takeover<'a>(&'a self, lease: &'a mut Lease, words: Words) -> Takeover<'a> {
        Takeover { plan: &self.plan, tables: &self.owner.tables, words, connection: &mut lease.connection }
    }

    async fn take_over(&mut self, lease: &mut Lease, words: Words, room: &Room) -> Result<Next> {
        self.observer.lifecycle(Lifecycle::TakingOver, &room.reason);
        warn!(reason = room.reason, "taking over from the native channel");
        self.takeover(lease, words).run(room).await?;
        Ok(Next::Look)
    }

    async fn hand_back(&mut self, lease: &mut Lease, words: Words, room: &Room) -> Result<Next> {
        self.observer.lifecycle(Lifecycle::HandingBack, &room.reason);
        self.handback(lease, words).run(room).await?;
        Ok(Next::Look)
    }

    fn handback<'a>(&'a self, lease: &'a mut Lease, words: Words) -> Handback<'a> {
        Handback {
            plan: &self.plan,
            tables: &self.owner.tables,
            words,
            source: &self.native.source,
            connection: &mut lease.connection,
        }
    }

    /// Once, before the first start of the stages.
    async fn check(&mut self, lease: &mut Lease) -> Result<()> {
        if !self.checked && !self.stop.is_cancelled() {
            self.observer
                .lifecycle(Lifecycle::Starting, "looking for what would keep the bridge from its work");
            preflight::require(&self.plan, &self.native, &mut lease.connection).await?;
            self.checked = true;
        }
        Ok(())
    }

    /// Runs the bridge, until it is told to stop or to hand back, or the native applier runs beside it.
    async fn active(&mut self, lease: &mut Lease, words: Words) -> Result<Next> {
        let (quit, drain) = (self.stop.clone(), self.stop.child_token());
        let bridge = Bridge::new(self.plan.clone(), Arc::clone(&self.observer), quit, drain.clone());
        let mut bridge = AbortOnDropHandle::new(tokio::spawn(bridge.run()));
        let mut ticks = ticks();
        let mut wanted: Option<Room> = None;
        let mark = loop {
            tokio::select! {
                biased;
                ended = &mut bridge => match ended {
                    Ok(Ok(mark)) => break mark,
                    Ok(Err(error)) => return Ok(Next::GaveUp(error)),
                    Err(panic) => bail!(Invariant, "the bridge panicked: {panic}"),
                },
                _ = ticks.tick() => {}
            }
            let room = match self.watch(lease, words).await {
                Ok(room) => room,
                Err(error) if error.is_transient() => {
                    self.renewed(lease, error).await?;
                    continue;
                }
                Err(error) => {
                    self.fence(lease, bridge).await;
                    return Err(error);
                }
            };
            if let Some(room) = room.filter(|room| room.wanted == Some(Wanted::Handback))
                && wanted.is_none()
            {
                info!("handing back: finishing what is in flight");
                self.observer.lifecycle(Lifecycle::Draining, "handing back to the native channel");
                drain.cancel();
                wanted = Some(room);
            }
        };
        let Some(room) = wanted.filter(|_| !self.stop.is_cancelled()) else {
            return Ok(Next::Stop(Some(mark)));
        };
        let room = Room { reason: "by command".to_owned(), ..room };
        if let Err(error) = self.handback(lease, words).begin(&room).await {
            if error.is_transient() {
                return Err(error);
            }
            // The bridge goes on: what was wanted cannot be.
            error!(%error, "not handing back");
            self.observer.failure(&error);
            let active = Room::new(Phase::Active, format!("not handed back: {error}"));
            lease.connection.execute(&active.write(&self.owner.tables)).await?;
        }
        Ok(Next::Look)
    }

    /// One look while the bridge applies. None if there is no row any more.
    async fn watch(&self, lease: &mut Lease, words: Words) -> Result<Option<Room>> {
        let looked = timeout(PATIENCE, async {
            let (_, applies) = self.look(lease).await?;
            if applies {
                bail!(
                    NativeRunning,
                    "somebody has started the target's own replication while the bridge applies: the bridge has stopped \
                     writing; compare the tables changed since, then stop one of the two (`{}`)",
                    words.stop()
                );
            }
            Room::read(&mut lease.connection, &self.owner.tables).await
        });
        looked.await.unwrap_or_else(|_| {
            Err(Error::new(Code::ConnectionLost, "the target did not answer the lease's holder in time"))
        })
    }

    /// Renews the lease and looks at the channel: how it does, and whether its SQL thread runs, whatever it applies.
    async fn look(&self, lease: &mut Lease) -> Result<(Health, bool)> {
        lease.renew().await?;
        let status = match channel(&mut lease.connection).await {
            // An account that may not ask cannot run native replication either.
            Err(error) if error.code() == Code::Privilege => None,
            status => status?,
        };
        let health = Health::of(status.as_ref(), self.native.policy.lag_limit);
        self.observer.native(status.as_ref().map(|status| NativeChannel {
            receives: status.io_running == crate::wire::Running::Yes,
            applies: status.sql_running,
            lag_seconds: status.seconds_behind,
            state: match &health {
                Health::Well { .. } => "well".to_owned(),
                Health::Ill(cause) => cause.to_string(),
            },
        }));
        Ok((health, status.is_some_and(|status| status.sql_running)))
    }

    /// The lease's connection is lost; the bridge's own may not be.
    async fn renewed(&self, lease: &mut Lease, error: Error) -> Result<()> {
        warn!(%error, "the lease's connection is lost, taking it up again");
        let host = self.plan.report_host.as_str();
        let again = Lease::again(&self.plan.target, &self.owner, self.id, host, self.plan.lease);
        match timeout(PATIENCE, again).await {
            Ok(Ok(next)) => *lease = next,
            Ok(Err(error)) if !error.is_transient() => return Err(error),
            // The next look fails at once and comes back here.
            Ok(Err(_)) | Err(_) => {}
        }
        Ok(())
    }

    /// Stops writing at once: nothing of the bridge that is still under way may commit after this.
    async fn fence(&self, lease: &mut Lease, bridge: AbortOnDropHandle<Result<Mark>>) {
        drop(bridge);
        let sql = format!(
            "UPDATE {} SET epoch = epoch + 1 WHERE {}",
            self.owner.tables.table("progress"),
            self.owner.tables.mine()
        );
        // Where another instance has the lease, it moves the epoch itself.
        if let Ok(Err(error)) = timeout(PATIENCE, lease.connection.execute(&sql)).await {
            warn!(%error, "the progress rows could not be fenced");
        }
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What `binbridge takeover --dry-run` and `handback --dry-run` print: every statement that would run now.
///
/// # Errors
/// `BB4013` if the change is not possible now; those of the connection.
pub async fn describe(
    plan: &Plan,
    native: &Native,
    wanted: Wanted,
    by_gtid: Option<bool>,
) -> Result<Vec<String>> {
    let mut connection = crate::wire::Connection::connect(&plan.target).await?;
    let owner = Owner::new(&plan.schema, &plan.name);
    let cloud = match native.cloud {
        Some(cloud) => cloud,
        None => Cloud::detect(&mut connection).await?,
    };
    let words = Words { cloud, dialect: connection.dialect() };
    let (tables, connection) = (&owner.tables, &mut connection);
    match wanted {
        Wanted::Takeover => Takeover { plan, tables, words, connection }.describe(by_gtid).await,
        Wanted::Handback => {
            Handback { plan, tables, words, source: &native.source, connection }.describe(by_gtid).await
        }
    }
}

/// Asks the instance that has the lease for a change, and waits until it is done. `tell` hears what happens.
///
/// # Errors
/// `BB4013` if the change is not possible in the present phase, or the instance says why it cannot be; `BB2007` if it is not done
/// within `limit`.
pub async fn ask(
    plan: &Plan,
    wanted: Wanted,
    by_gtid: Option<bool>,
    limit: Duration,
    mut tell: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut connection = crate::wire::Connection::connect(&plan.target).await?;
    let owner = Owner::new(&plan.schema, &plan.name);
    let tables = &owner.tables;
    let Some(room) = Room::read(&mut connection, tables).await? else {
        bail!(
            NoPosition,
            "bridge {} has not run against this target yet: start it first (binbridge run)",
            plan.name
        );
    };
    room.require(wanted)?;
    connection.execute(&Room::ask(tables, wanted, by_gtid)).await?;
    tell(&format!("asked:    {} (phase: {})", wanted.as_str(), room.phase))?;
    let aim = match wanted {
        Wanted::Takeover => Phase::Active,
        Wanted::Handback => Phase::Standby,
    };
    let deadline = Instant::now() + limit;
    let mut seen = room.phase;
    loop {
        let Some(room) = Room::read(&mut connection, tables).await? else {
            bail!(NoPosition, "the bridge's row is gone from the target");
        };
        if room.phase != seen {
            seen = room.phase;
            tell(&format!("phase:    {} ({})", room.phase, room.reason))?;
        }
        if room.phase == aim {
            return Ok(());
        }
        if room.wanted.is_none() && matches!(room.phase, Phase::Active | Phase::Standby) {
            bail!(NativeChannel, "{}", room.reason);
        }
        if Instant::now() > deadline {
            bail!(
                Unavailable,
                "not done after {} s: is a bridge running (binbridge status)? what is wanted stays recorded and is done \
                 when one runs",
                limit.as_secs()
            );
        }
        sleep(Duration::from_millis(200)).await;
    }
}
