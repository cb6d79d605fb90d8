//! The life of a bridge: become the owner, build the stages sink first, run, and after what passes go on from the
//! progress row.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::apply::{
    BatchLimits, Coordinator, DdlSession, Delivery, Ended, Gtids, Owner, Ownership, Session, Settings,
};
use crate::bail;
use crate::clock::Sampler;
use crate::control::Control;
use crate::error::{Code, Error, Result};
use crate::observe::snapshot::Queue;
use crate::observe::{End, Lifecycle, Observer};
use crate::position::{Coordinates, GtidSet};
use crate::progress::Mark;
use crate::source::{Registration, ServerId, stable_server_id};
use crate::transaction::{Assembler, Limits, NameCase, Routes, Rules};
use crate::wire::{Connection, Endpoint};

use super::backoff::Met;
use super::preflight::Checks;
use super::reader::{Dialing, QUEUE, Reader, SHARE, dial, start_of};
use super::{Backoff, poller};

/// Units between reader and worker; the memory bound is in bytes, this only bounds the channel itself.
const CHANNEL: usize = 4096;
/// Everything a bridge is told.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Names the progress rows.
    pub name: String,
    /// The schema of the progress tables on the target.
    pub schema: String,
    /// Where the source is.
    pub source: Endpoint,
    /// Where the target is.
    pub target: Endpoint,
    /// The replica's server id, if the operator chose one.
    pub server_id: Option<u32>,
    /// Another source that may take the place of the one the position belongs to.
    pub accept_uuid: Option<String>,
    /// What `SHOW REPLICAS` on the source shows as our host.
    pub report_host: String,
    /// How often an idle source says that it lives.
    pub heartbeat: Duration,
    /// Filters and renames; `case` is decided from the target where `fold_names` is not set.
    pub rules: Rules,
    /// Whether names fold to lower case; by the target's `lower_case_table_names` if not set.
    pub fold_names: Option<bool>,
    /// How large a batch may be.
    pub limits: BatchLimits,
    /// Full batches in flight.
    pub depth: usize,
    /// Bytes of events between source and target.
    pub memory: usize,
    /// Whether a batch carries the net effect of its transactions.
    pub merge: bool,
    /// Connections that apply; one keeps the source's order.
    pub workers: u32,
    /// Whose GTIDs the target's transactions have.
    pub gtids: Gtids,
    /// Bytes from which a transaction goes ahead in pieces.
    pub large_transaction: usize,
    /// How long an instance may be silent before another takes its place.
    pub lease: Duration,
    /// What was found before the start and does not keep the bridge from it, because an operator knows better.
    pub despite: Vec<Code>,
    /// What an operator orders.
    pub control: Arc<Control>,
}

/// A bridge that is running or will be.
pub struct Bridge {
    plan: Plan,
    owner: Owner,
    observer: Arc<Observer>,
    /// The process is to end.
    quit: CancellationToken,
    /// Only the bridge is, with everything that it or an older process has sent settled.
    drain: CancellationToken,
    source_met: Met,
    target_met: Met,
    /// What is still to be checked before the first start.
    checks: Option<Checks>,
}

/// How one life of the stages ended.
enum Cycle {
    /// Told to stop; durable up to here.
    Drained(Mark),
    /// The reader gave up, which it does only for good; everything it had read is committed.
    Unread(Error),
}

impl Bridge {
    /// Nothing happens yet. `quit` ends the process, wherever the bridge is; `drain`, a child of it, ends the bridge alone,
    /// once it owns the target.
    pub(super) fn new(
        plan: Plan,
        observer: Arc<Observer>,
        (quit, drain): (CancellationToken, CancellationToken),
        checks: Option<Checks>,
    ) -> Self {
        let owner = Owner::new(&plan.schema, &plan.name);
        let (source_met, target_met) = (Met::default(), Met::default());
        Self { plan, owner, observer, quit, drain, source_met, target_met, checks }
    }

    /// Runs until told to stop (then gives the durable place) or until a definite error.
    ///
    /// # Errors
    /// Every definite error of the stages; a transient one only if the source cannot be reached at the start. (The target
    /// was reached by whoever holds the lease.)
    pub async fn run(mut self) -> Result<Mark> {
        self.observer.lifecycle(Lifecycle::Starting, "connecting to the target");
        self.observer.expect_every(self.plan.heartbeat.max(poller::PERIOD));
        let mut ownership: Option<Ownership> = None;
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let ended = self.cycle(&mut ownership).await;
            // Nobody is left to tell of it.
            self.observer.queue(QUEUE, Queue::default());
            let (error, unread) = match ended {
                Ok(Cycle::Drained(mark)) => return Ok(mark),
                Ok(Cycle::Unread(error)) => (error, true),
                Err(error) => (error, false),
            };
            self.observer.connected(End::Target, false);
            if !self.target_met.may_pass(&error) || unread {
                return Err(error);
            }
            self.observer.failure(&error);
            if began.elapsed() > Duration::from_secs(30) {
                backoff.reset();
            }
            let wait = backoff.wait();
            warn!(%error, wait_ms = wait.as_millis(), "going on from the last committed transaction");
            self.observer.lifecycle(Lifecycle::Retrying, &error.to_string());
            self.observer.reconnect(End::Target, error.code());
            tokio::select! {
                () = sleep(wait) => {}
                () = self.quit.cancelled() => return Self::stopped_while_waiting(ownership, error),
            }
        }
    }

    fn stopped_while_waiting(ownership: Option<Ownership>, error: Error) -> Result<Mark> {
        ownership.map(|owned| owned.recovered.frontier.low().clone()).ok_or(error)
    }

    /// One life of the stages: from the progress row until the end or an error.
    async fn cycle(&mut self, ownership: &mut Option<Ownership>) -> Result<Cycle> {
        let quit = self.quit.clone();
        // At the start of a process only: a target that is long out of reach is no reason to bother the source.
        let dialed = ownership.is_none().then(|| dial(self.plan.source.clone()));
        let mut coordinator = tokio::select! {
            coordinator = self.sink(ownership) => coordinator?,
            // Nothing is in flight yet, and taking over is safe to break off anywhere.
            () = quit.cancelled() => bail!(ConnectionLost, "stopped while connecting to the target"),
        };
        let Some(owned) = ownership.as_ref() else { bail!(Invariant, "no owner after taking over") };
        let low = coordinator.durable();
        if let Some(at) = &low.at {
            self.observer.loaded(at);
        }
        info!(seq = low.seq.0, position = %describe(&low), "going on from");
        let (sender, mut deliveries) = mpsc::channel(CHANNEL);
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        tasks.spawn(self.reader(owned, &low, (coordinator.max_packet(), dialed, sender))?.run());
        let (endpoint, observer) = (self.plan.source.clone(), Arc::clone(&self.observer));
        let poller = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(poller::run(endpoint, observer)));
        self.observer.lifecycle(Lifecycle::CatchingUp, "reading from the source");
        let ended = coordinator.run(&mut deliveries, &self.drain).await;
        self.target_met.note();
        drop(poller);
        // The reader's own error is the reason if it ended first.
        drop(deliveries);
        match ended? {
            Ended::Drained => {}
            Ended::NoMore => match tasks.join_next().await {
                Some(Ok(Err(error))) => {
                    // A second bridge of our name introduces itself to the source as we do.
                    if error.code() == Code::DuplicateServerId {
                        coordinator.check_owner().await?;
                    }
                    return Ok(Cycle::Unread(error));
                }
                Some(Err(panic)) => bail!(Invariant, "the reader panicked: {panic}"),
                _ => bail!(Invariant, "the reader ended without a reason"),
            },
        }
        tasks.shutdown().await;
        Ok(Cycle::Drained(coordinator.durable()))
    }

    /// Sessions with the target, ownership, and the workers.
    async fn sink(&mut self, ownership: &mut Option<Ownership>) -> Result<Coordinator> {
        let target = format!("target {}:{}", self.plan.target.host, self.plan.target.port);
        let here = |error: Error| error.context(target.clone());
        let before = ownership.as_ref();
        let workers = self.plan.workers;
        let (mut locked, folds_names, sessions) = Box::pin(self.sessions(before)).await?;
        self.checks = None;
        self.require_native_stopped(&mut locked.connection).await.map_err(here)?;
        let fold = self.plan.fold_names.unwrap_or(folds_names);
        self.plan.rules.case = if fold { NameCase::Lower } else { NameCase::Keep };
        let owned = match ownership.take() {
            None => self.owner.take(&mut locked, workers).await,
            Some(before) => {
                let kept = self.owner.keep(&mut locked, &before).await;
                // A lost connection in the middle leaves us to try again with what we know.
                *ownership = Some(before);
                kept
            }
        };
        let owned = ownership.insert(owned.map_err(here)?);
        let mut ddl = DdlSession::new(locked, self.owner.tables.clone(), owned).await.map_err(here)?;
        self.observer.connected(End::Target, true);
        let settings = Settings {
            tables: self.owner.tables.clone(),
            limits: self.plan.limits,
            depth: self.plan.depth,
            merge: self.plan.merge,
            gtids: self.plan.gtids,
            prepared: self.plan.memory / 4,
            control: Arc::clone(&self.plan.control),
        };
        let executed = match self.plan.gtids {
            Gtids::Automatic => None,
            Gtids::Preserve => Some(executed_gtids(&mut ddl).await.map_err(here)?),
        };
        let mut coordinator = Coordinator::new(sessions, ddl, settings, owned, Arc::clone(&self.observer))?;
        if let Some(executed) = executed {
            coordinator.pass_over(executed);
        }
        Ok(coordinator)
    }

    /// At once, as each takes many round trips: the session that runs DDL (and whether the target folds names), those of
    /// the workers, and the checks. A check that forbids the start leaves what is open unused.
    async fn sessions(&self, before: Option<&Ownership>) -> Result<(Session, bool, Vec<Session>)> {
        let Self { plan, owner, checks, .. } = self;
        let here = |error: Error| error.context(format!("target {}", address(&plan.target)));
        let locked = async {
            let mut locked = owner.ddl_session(&plan.target, before).await?;
            owner.end_workers_from(&mut locked, plan.workers).await?;
            let names = locked.connection.query("SELECT @@lower_case_table_names").await?;
            let folds_names = names.scalar() != Some("0");
            Ok((locked, folds_names))
        };
        let ((locked, folds_names), sessions, ()) = tokio::try_join!(
            async { locked.await.map_err(here) },
            async { owner.worker_sessions(&plan.target, plan.workers, before).await.map_err(here) },
            async {
                match checks {
                    Some(checks) => checks.require(plan).await,
                    None => Ok(()),
                }
            }
        )?;
        Ok((locked, folds_names, sessions))
    }

    /// Immediately before the bridge becomes the owner.
    async fn require_native_stopped(&self, connection: &mut Connection) -> Result<()> {
        let version = connection.server().version_text.clone();
        self.observer.describe(End::Target, &address(&self.plan.target), &version);
        self.observer.describe(End::Source, &address(&self.plan.source), "");
        match connection.query(connection.dialect().replica_status()).await {
            Ok(status) => {
                let running = |name: &str| status.rows.iter().any(|row| status.get(row, name) == Some("Yes"));
                if running("Replica_SQL_Running") || running("Slave_SQL_Running") {
                    bail!(
                        NativeRunning,
                        "the target's own replication is running: two writers would apply everything twice"
                    );
                }
            }
            // An account that may not ask cannot run native replication either.
            Err(error) if error.code() == Code::Privilege => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn reader(
        &self,
        owned: &Ownership,
        low: &Mark,
        (max_packet, dialed, out): (usize, Option<Dialing>, mpsc::Sender<Delivery>),
    ) -> Result<Reader> {
        let plan = &self.plan;
        let derived = ServerId::Derived(stable_server_id(owned.bridge_uuid));
        let registration = Registration {
            endpoint: plan.source.clone(),
            server_id: plan.server_id.map_or(derived, ServerId::Chosen),
            uuid: owned.bridge_uuid,
            report_host: plan.report_host.clone(),
            heartbeat: plan.heartbeat,
        };
        // A packet carries a third more than the bytes of its events.
        let limits = Limits { piece: plan.large_transaction.min(max_packet / 2), prepared: plan.memory / 4 };
        let start = start_of(low)?;
        let resume: Option<Coordinates> = low.at.clone();
        let mut orders = plan.control.watch();
        // Those of the start are to be learned, too.
        orders.mark_changed();
        let budget_shares = (plan.memory / SHARE).max(1);
        Ok(Reader {
            registration,
            dialed,
            assembler: Assembler::new(Routes::new(plan.rules.clone()), limits, low.seq, resume),
            start,
            source_uuid: owned.source_uuid.clone(),
            accept_uuid: plan.accept_uuid.clone(),
            observer: Arc::clone(&self.observer),
            orders,
            untried: low.seq.0 == 0 && low.at.is_some(),
            met: self.source_met.clone(),
            budget: Arc::new(Semaphore::new(budget_shares)),
            budget_shares,
            out,
            sampler: Sampler::default(),
            told: Instant::now(),
        })
    }
}

/// What the target has executed, if it can keep the source's GTIDs.
async fn executed_gtids(ddl: &mut DdlSession) -> Result<GtidSet> {
    let rows = ddl.connection().query("SELECT @@global.gtid_mode, @@global.gtid_executed").await?;
    let row = rows.rows.first();
    let mode = row.and_then(|row| row.text(0)).unwrap_or_default();
    if !matches!(mode, "ON" | "ON_PERMISSIVE") {
        bail!(
            TargetSettings,
            "gtid_mode is {mode} on the target: apply.gtid = \"preserve\" needs gtid_mode = ON on both servers"
        );
    }
    row.and_then(|row| row.text(1)).unwrap_or_default().parse()
}

fn address(endpoint: &Endpoint) -> String {
    format!("{}:{}", endpoint.host, endpoint.port)
}

fn describe(mark: &Mark) -> String {
    match (&mark.at, &mark.gtids) {
        (Some(at), _) => at.to_string(),
        (None, Some(gtids)) => gtids.to_string(),
        (None, None) => "nowhere".to_owned(),
    }
}
