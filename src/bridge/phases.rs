//! What the instance with the lease does in each phase.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::apply::Lease;
use crate::bail;
use crate::error::{Code, Error, Result};
use crate::native::{Health, Patience, Phase, Room, Wanted, Words, channel};
use crate::observe::metrics::applier;
use crate::observe::{End, Lifecycle, NativeChannel};
use crate::progress::Mark;

use super::Bridge;
use super::handback::{Handback, Readiness};
use super::preflight::Checks;
use super::supervisor::{Next, Supervisor};
use super::takeover::Takeover;

/// Between two looks at the native channel and at what is wanted.
const LOOK: Duration = Duration::from_millis(500);
/// The same while the channel is not well: soon it is to be taken over from.
const CLOSE_LOOK: Duration = Duration::from_millis(100);
/// A look that takes longer is a lost connection.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two tries to take over from a channel that we could not take the place of.
const RETRY: Duration = Duration::from_secs(5);
/// How long a bridge may take to pass again what an earlier process had applied ahead.
const SETTLING: Duration = Duration::from_secs(10);

impl Supervisor {
    /// One of the phases in which the bridge does not apply. May be dropped anywhere.
    pub(super) async fn watching(&mut self, lease: &mut Lease, words: Words, room: Room) -> Result<Next> {
        let _renewed = lease.kept(&self.plan.target);
        match room.phase {
            Phase::TakingOver if room.wanted == Some(Wanted::Handback) => {
                self.give_up(lease, words).await?;
            }
            Phase::TakingOver => self.take_over(lease, words, &room).await?,
            Phase::HandingBack => self.hand_back(lease, words, &room).await?,
            Phase::Standby | Phase::Active => self.standby(lease, words, room).await?,
        }
        Ok(Next::Look)
    }

    /// Watches the native channel until somebody or something wants the bridge in its place.
    async fn standby(&mut self, lease: &mut Lease, words: Words, mut room: Room) -> Result<()> {
        info!(reason = room.reason, cloud = %words.cloud, "standby: the native channel applies");
        self.observer.lifecycle(Lifecycle::Standby, &room.reason);
        self.observer.connected(End::Target, true);
        // What a bridge of before had open is closed.
        self.observer.connected(End::Source, false);
        let mut patience = Patience::default();
        let mut not_before = Instant::now();
        let mut wait = Duration::ZERO;
        loop {
            tokio::time::sleep(wait).await;
            let (health, _) = self.look(lease).await?;
            let Some(now) = Room::read(&mut lease.connection, &self.owner.tables).await? else {
                return Ok(());
            };
            room = now;
            if room.phase != Phase::Standby {
                return Ok(());
            }
            let by_command = room.wanted == Some(Wanted::Takeover);
            let due = patience.note(&health, &self.native.policy, std::time::Instant::now());
            wait = if matches!(health, Health::Ill(_)) { CLOSE_LOOK } else { LOOK };
            if !(by_command || (due && Instant::now() >= not_before)) {
                continue;
            }
            let why = match &health {
                Health::Ill(cause) if !by_command => format!("the native channel is not well: {cause}"),
                _ => "by command".to_owned(),
            };
            let Err(error) = self.takeover(lease, words).could(room.by_gtid).await else {
                let next = Room { by_gtid: room.by_gtid, ..Room::new(Phase::TakingOver, why) };
                lease.connection.execute(&next.write(&self.owner.tables)).await?;
                return Ok(());
            };
            if !lease.connection.is_usable() {
                return Err(error);
            }
            not_before = Instant::now() + RETRY;
            warn!(%error, why, "not taking over: the bridge could not go on from there");
            self.observer.failure(&error);
            let reason = format!("{why}; cannot take over: {error}");
            self.observer.lifecycle(Lifecycle::Standby, &reason);
            if by_command && !error.is_transient() {
                lease.connection.execute(&Room::refuse(&self.owner.tables, &reason)).await?;
            } else if by_command {
                wait = RETRY;
            }
        }
    }

    fn takeover<'a>(&'a self, lease: &'a mut Lease, words: Words) -> Takeover<'a> {
        Takeover { plan: &self.plan, tables: &self.owner.tables, words, connection: &mut lease.connection }
    }

    async fn take_over(&mut self, lease: &mut Lease, words: Words, room: &Room) -> Result<()> {
        self.observer.lifecycle(Lifecycle::TakingOver, &room.reason);
        warn!(reason = room.reason, "taking over from the native channel");
        self.takeover(lease, words).run(room).await?;
        // Before the channel was stopped, because now somebody must apply.
        self.checked = true;
        self.observer.applier(applier::BRIDGE);
        Ok(())
    }

    /// An operator would rather have the native channel go on than the bridge take over. Nothing is the bridge's yet.
    async fn give_up(&mut self, lease: &mut Lease, words: Words) -> Result<()> {
        self.observer.lifecycle(Lifecycle::HandingBack, "the take-over was given up by command");
        warn!("the take-over is given up by command");
        self.handback(lease, words).start().await
    }

    async fn hand_back(&mut self, lease: &mut Lease, words: Words, room: &Room) -> Result<()> {
        self.observer.lifecycle(Lifecycle::HandingBack, &room.reason);
        if !room.started
            && let Err(error) = self.handback(lease, words).prepare(room).await
        {
            if error.is_transient() || error.code() == Code::NativeRunning {
                return Err(error);
            }
            // The channel has not been started: the bridge's own place is where it was.
            return self.not_handed_back(lease, &error).await;
        }
        self.handback(lease, words).start().await?;
        self.observer.applier(applier::NATIVE);
        Ok(())
    }

    /// The bridge goes on: what was wanted cannot be.
    async fn not_handed_back(&self, lease: &mut Lease, error: &Error) -> Result<()> {
        error!(%error, "not handing back: the bridge goes on");
        self.observer.failure(error);
        let active = Room::new(Phase::Active, format!("not handed back: {error}"));
        lease.connection.execute(&active.write(&self.owner.tables)).await.map(|_| ())
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

    /// Runs the bridge, until it is told to stop or to hand back, or the native applier runs beside it.
    pub(super) async fn active(
        &mut self,
        lease: &mut Lease,
        words: Words,
        checks: Option<Checks>,
    ) -> Result<Next> {
        let (quit, drain) = (self.stop.clone(), self.stop.child_token());
        let bridge =
            Bridge::new(self.plan.clone(), Arc::clone(&self.observer), (quit, drain.clone()), checks);
        let mut bridge = AbortOnDropHandle::new(tokio::spawn(bridge.run()));
        let mut ticks = ticks();
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
            let wanted = room.is_some_and(|room| room.wanted == Some(Wanted::Handback));
            if wanted && !drain.is_cancelled() && self.not_before.is_none_or(|at| Instant::now() >= at) {
                info!("handing back: finishing what is in flight");
                self.observer.lifecycle(Lifecycle::Draining, "handing back to the native channel");
                drain.cancel();
            }
        };
        if self.stop.is_cancelled() || !drain.is_cancelled() {
            return Ok(Next::Stop(Some(mark)));
        }
        self.drained(lease, words, &mark).await?;
        Ok(Next::Look)
    }

    /// The bridge has drained to be handed back from.
    async fn drained(&mut self, lease: &mut Lease, words: Words, mark: &Mark) -> Result<()> {
        let _renewed = lease.kept(&self.plan.target);
        let room = Room::read(&mut lease.connection, &self.owner.tables).await?;
        let Some(room) = room.filter(|room| room.wanted == Some(Wanted::Handback)) else {
            info!("handing back was taken back: the bridge goes on");
            return Ok(());
        };
        let settled = self.not_before.take().is_some();
        let room = Room { reason: "by command".to_owned(), ..room };
        match self.handback(lease, words).begin(&room, mark, settled).await {
            Ok(Readiness::Begun) => Ok(()),
            Ok(Readiness::Ahead) => {
                info!("not yet handing back: first the bridge passes again what was applied ahead");
                self.not_before = Some(Instant::now() + SETTLING);
                Ok(())
            }
            Err(error) if error.is_transient() => Err(error),
            Err(error) => self.not_handed_back(lease, &error).await,
        }
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
