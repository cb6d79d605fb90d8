//! `binbridge run`: bootstrap, the bridge, signals, and a bounded drain.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::apply::{BatchLimits, Gtids};
use crate::bridge::{Native, Plan, Supervisor};
use crate::clock::now_us;
use crate::config::{Config, Gtid, Names, Rename};
use crate::control::{Cause, Control, Limits, Orders, Paused, Skip};
use crate::error::{Code, Error, Result};
use crate::observe::{self, Lifecycle, Observer};
use crate::progress::Mark;
use crate::transaction::Rules;

use super::args::RunArgs;
use super::exit;

/// How the bridge ended.
enum End {
    /// Drained; everything handed on is durable.
    Drained(Option<Mark>),
    /// Time ran out, or a second signal came.
    Forced(&'static str),
}

pub(super) fn run(args: &RunArgs) -> ExitCode {
    match bootstrap(args) {
        Ok(code) => code,
        Err(error) => exit::failed(&error),
    }
}

/// Everything that can fail before there is a runtime.
fn bootstrap(args: &RunArgs) -> Result<ExitCode> {
    let config = args.settings.load()?.config;
    observe::log::init(config.log.format, &config.log.level)?;
    let control = Arc::new(Control::new(orders(args, &config)));
    let observer = Observer::with_control(&config.bridge.name, Arc::clone(&control));
    let options = observe::Options {
        listen: config.admin.listen,
        line: observe::line_interval(),
        token_file: config.admin.token_file.clone(),
    };
    let admin = observe::serve(Arc::clone(&observer), options)?;
    if let Some(address) = admin.address() {
        info!(%address, "admin server: / /status /metrics /livez /readyz");
    }
    let plan = Plan { control, ..plan(&config)? };
    info!(
        version = env!("CARGO_PKG_VERSION"),
        bridge = %plan.name,
        source = %format!("{}:{}", plan.source.host, plan.source.port),
        target = %format!("{}:{}", plan.target.host, plan.target.port),
        "binbridge starts"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|error| Error::new(Code::LocalIo, format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(supervise(plan, native(&config), &observer, config.shutdown.grace));
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(conclude(result, &observer))
}

/// What the command line orders for the start.
fn orders(args: &RunArgs, config: &Config) -> Orders {
    let started =
        || Paused { by: Cause::Start, reason: "started with --paused".to_owned(), since_us: now_us() };
    Orders {
        paused: args.paused.then(started),
        until: args.until.clone(),
        exit: args.exit,
        skips: args.skip.iter().map(|target| Skip { target: target.clone(), taken: None }).collect(),
        limits: Limits {
            transactions: config.apply.max_transactions_per_second,
            bytes: config.apply.max_bytes_per_second,
        },
    }
}

fn conclude(result: Result<End>, observer: &Observer) -> ExitCode {
    match result {
        Ok(End::Drained(None)) => {
            observer.lifecycle(Lifecycle::Stopped, "nothing was being applied");
            info!("stopped; nothing was being applied");
            ExitCode::SUCCESS
        }
        Ok(End::Drained(Some(mark))) => {
            let position = mark.at.map_or_else(|| "the start".to_owned(), |at| at.to_string());
            observer.lifecycle(Lifecycle::Stopped, "drained");
            info!(seq = mark.seq.0, %position, "stopped; the target is durable up to here");
            ExitCode::SUCCESS
        }
        Ok(End::Forced(why)) => {
            warn!(
                why,
                "stopped before everything in flight was finished; the next start goes on from the last commit"
            );
            ExitCode::from(exit::EX_TEMPFAIL)
        }
        Err(failure) => {
            observer.failure(&failure);
            observer.lifecycle(Lifecycle::Failed, &failure.to_string());
            error!(code = %failure.code(), remedy = failure.code().remedy(), "{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn supervise(plan: Plan, native: Native, observer: &Arc<Observer>, grace: Duration) -> Result<End> {
    let stop = CancellationToken::new();
    let supervisor = Supervisor::new(plan, native, Arc::clone(observer), stop.clone());
    let mut bridge = std::pin::pin!(supervisor.run());
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        ended = &mut bridge => return ended.map(End::Drained),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!(grace_s = grace.as_secs(), "stopping: finishing what is in flight; a second signal stops at once");
    observer.lifecycle(Lifecycle::Draining, "asked to stop");
    stop.cancel();
    tokio::select! {
        biased;
        ended = &mut bridge => ended.map(End::Drained),
        _ = terminate.recv() => Ok(End::Forced("a second signal")),
        _ = interrupt.recv() => Ok(End::Forced("a second signal")),
        () = tokio::time::sleep(grace) => Ok(End::Forced("the time for stopping (shutdown.grace) is over")),
    }
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|error| Error::new(Code::LocalIo, format!("cannot listen for signals: {error}")))
}

/// Connections for `auto`: two keep the cores of a small target busy, more help where commits wait for the disk.
const AUTO_WORKERS: u32 = 4;

/// What the stages need to know of the configuration.
pub(super) fn plan(config: &Config) -> Result<Plan> {
    let (fold_names, rules) = rules(config)?;
    Ok(Plan {
        name: config.bridge.name.clone(),
        schema: config.bridge.schema.clone(),
        source: config.source.endpoint.clone(),
        target: config.target.endpoint.clone(),
        server_id: config.source.server_id,
        accept_uuid: config.source.accept_uuid.map(|uuid| uuid.to_string()),
        report_host: config
            .source
            .report_host
            .clone()
            .unwrap_or_else(|| format!("binbridge-{}", config.bridge.name)),
        heartbeat: config.source.heartbeat,
        rules,
        fold_names,
        limits: BatchLimits {
            transactions: usize::try_from(config.apply.batch_transactions).unwrap_or(usize::MAX),
            bytes: config.apply.batch_bytes,
            time: config.apply.batch_time,
        },
        depth: usize::from(config.apply.depth),
        merge: config.apply.merge,
        workers: config.apply.workers.map_or(AUTO_WORKERS, u32::from),
        gtids: match config.apply.gtid {
            Gtid::Automatic => Gtids::Automatic,
            Gtid::Preserve => Gtids::Preserve,
        },
        memory: config.apply.memory,
        large_transaction: config.apply.large_transaction,
        lease: config.bridge.lease,
        despite: config.bridge.despite.clone(),
        control: Arc::default(),
    })
}

/// What the supervisor needs to know of the target's own replication.
pub(super) fn native(config: &Config) -> Native {
    let native = config.native.clone();
    Native { policy: native.policy, cloud: native.cloud, source: native.source }
}

fn rules(config: &Config) -> Result<(Option<bool>, Rules)> {
    let filter = &config.filter;
    let patterns = |patterns: &[crate::config::Pattern]| -> Result<Vec<crate::transaction::Pattern>> {
        patterns
            .iter()
            .map(|pattern| format!("{}.{}", pattern.schema, pattern.table.as_deref().unwrap_or("*")).parse())
            .collect()
    };
    let mut rename_schemas = HashMap::new();
    let mut rename_tables = HashMap::new();
    for Rename { from, to } in &filter.rename {
        match (&from.table, &to.table) {
            (Some(table), Some(to_table)) => {
                rename_tables
                    .insert((from.schema.clone(), table.clone()), (to.schema.clone(), to_table.clone()));
            }
            _ => {
                rename_schemas.insert(from.schema.clone(), to.schema.clone());
            }
        }
    }
    let fold_names = match filter.names {
        Names::Auto => None,
        Names::Keep => Some(false),
        Names::Lower => Some(true),
    };
    let rules = Rules {
        include: patterns(&filter.include)?,
        exclude: patterns(&filter.exclude)?,
        rename_schemas,
        rename_tables,
        own_schema: config.bridge.schema.clone(),
        ..Rules::default()
    };
    Ok((fold_names, rules))
}
