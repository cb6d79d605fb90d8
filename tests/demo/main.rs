//! `make demo`: the runbook of README.md, walked on real servers while a shop keeps writing to the source.
//!
//! What is shown as a command is what runs. Ends with 0 only if every table is equal at the end and every commit of the
//! source is on the target exactly once.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a program for people: it speaks on standard output and stops at the first thing that goes wrong"
)]

#[path = "../support/mod.rs"]
mod support;

mod daemon;
mod finish;
mod shop;
mod stage;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daemon::Daemon;
use shop::{Business, SCHEMA};
use stage::{Stage, count, time};
use support::{
    ADMIN, APP, AZADMIN, Account, REPL, RdsLike, Server, azure_like, must_fetch, mysqld, program, rds_like,
    read_replica, wait_caught_up,
};

/// How long the shop goes on after the bridge has caught up, where nobody watches.
const SECONDS: u64 = 30;
/// A real copy takes hours, in which the source is written to.
const COPY: Duration = Duration::from_secs(8);
const LIMIT: Duration = Duration::from_secs(60);
const CONFIG: &str = "binbridge.toml";
const STATUS: &str = "replica-status.txt";
const DUMP: &str = "shop.sql";

/// The three servers of a migration.
struct Servers {
    source: RdsLike,
    replica: Server,
    target: Server,
}

fn main() -> ExitCode {
    // What goes wrong here goes wrong for people: one line, no place in the code.
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("an unknown error");
        eprintln!("\nthe demo failed: {text}");
    }));
    match std::panic::catch_unwind(walk) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn walk() -> bool {
    // Before anything is started: without it there is nothing to show.
    program();
    let began = Instant::now();
    let stage = Stage::new();
    stage
        .title("A shop moves from RDS to Azure and keeps selling: binbridge's runbook on real MySQL servers");
    let servers = build(&stage);
    shop::open(&servers.source);
    let business = Business::start(&servers.source);
    stage.note(&format!(
        "shop     6 tables (mixed-case and Japanese names, JSON, foreign keys, one without key), {} writers from now on",
        shop::WRITERS
    ));
    std::thread::sleep(Duration::from_secs(3));
    wait_caught_up_once(&servers);

    keep_binlogs(&stage, &servers);
    stop_replica(&stage, &servers);
    let saved = save_status(&stage, &servers);
    copy(&stage, &servers);
    let copied: u64 = servers.target.sql("SELECT COUNT(*) FROM shop.ledger").parse().unwrap_or(0);
    let mut bridge = start(&stage, &servers);
    follow(&stage, &mut bridge, &business);
    go_on(&stage, &servers, &mut bridge, &business);
    let result = finish::drain_and_compare(&stage, &servers, &mut bridge, business);
    finish::verdict(&stage, &result, copied, &saved, began.elapsed())
}

fn build(stage: &Stage) -> Servers {
    if must_fetch() {
        stage.note("MySQL is not here yet: fetching it with apt, once, without root and without installing anything ...");
    }
    let begin = Instant::now();
    let version = mysqld().version_text();
    let format = std::env::var("DEMO_FORMAT").unwrap_or_else(|_| "ROW".to_owned());
    let source = rds_like("source", &format);
    let replica = read_replica(&source);
    let target = azure_like("target");
    stage.note(&format!(
        "servers  MySQL {version}, three of them on loopback, ready in {}\n\
         source   127.0.0.1:{}  like RDS: binlog_format={format}, heartbeats, an account that may only replicate\n\
         replica  127.0.0.1:{}  its read replica\n\
         target   127.0.0.1:{}  like Azure: TLS required, lower_case_table_names=1, invisible keys, no SUPER",
        time(begin.elapsed()),
        source.port(),
        replica.port(),
        target.port(),
    ));
    Servers { source, replica, target }
}

/// The replica follows before it is stopped, as anybody's does.
fn wait_caught_up_once(servers: &Servers) {
    wait_caught_up(&servers.replica, &servers.source, LIMIT);
}

fn keep_binlogs(stage: &Stage, servers: &Servers) {
    stage.step("Source: keep the binlogs until the bridge has read them");
    ask(
        stage,
        "source",
        &servers.source,
        ADMIN,
        "CALL mysql.rds_set_configuration('binlog retention hours', 168)",
    );
}

fn stop_replica(stage: &Stage, servers: &Servers) {
    stage.step("Read replica: stop it; it stands still at one point of the source's history");
    let said = ask(stage, "replica", &servers.replica, ADMIN, "CALL mysql.rds_stop_replication");
    stage.note(&said);
}

fn ask(stage: &Stage, name: &str, server: &Server, account: Account, sql: &str) -> String {
    stage.prompt(name, sql);
    server.sql_as(account, sql).unwrap_or_else(|error| panic!("{error}"))
}

/// The output of `SHOW REPLICA STATUS`, as an operator saves it; gives the coordinates in it.
fn save_status(stage: &Stage, servers: &Servers) -> String {
    stage.step("Note where it stands: Relay_Master_Log_File and Exec_Master_Log_Pos (Relay_Source_Log_File since 8.0.22)");
    client_file(stage, "replica.cnf", &servers.replica, ADMIN);
    let args = ["--defaults-file=replica.cnf", "-E", "-e", "SHOW REPLICA STATUS"];
    stage.run("mysql", servers.replica.mysql().mysql(), &args, None, Some(STATUS));
    let text = std::fs::read_to_string(stage.folder().join(STATUS)).expect("the saved status");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    let saved = format!("{}:{}", field("Relay_Source_Log_File"), field("Exec_Source_Log_Pos"));
    stage.note(&saved);
    saved
}

fn client_file(stage: &Stage, name: &str, server: &Server, account: Account) {
    let text = std::fs::read_to_string(server.client_file(account)).expect("the client's options");
    stage.write(name, &text);
}

fn copy(stage: &Stage, servers: &Servers) {
    stage.step("Copy: dump the stopped replica, restore into the target");
    let begin = Instant::now();
    let args = [
        "--defaults-file=replica.cnf",
        "--single-transaction",
        "--set-gtid-purged=OFF",
        "--no-tablespaces",
        "--routines",
        "--triggers",
        "--databases",
        SCHEMA,
    ];
    stage.run("mysqldump", servers.replica.mysql().mysqldump(), &args, None, Some(DUMP));
    client_file(stage, "target.cnf", &servers.target, AZADMIN);
    stage.run("mysql", servers.target.mysql().mysql(), &["--defaults-file=target.cnf"], Some(DUMP), None);
    let bytes = std::fs::metadata(stage.folder().join(DUMP)).map_or(0, |file| file.len());
    stage.note(&format!(
        "{} kB copied in {}; a real copy takes hours, so the shop writes on for {} before the bridge starts",
        count(bytes / 1000),
        time(begin.elapsed()),
        time(COPY)
    ));
    std::thread::sleep(COPY);
}

/// Position, then the daemon.
fn start(stage: &Stage, servers: &Servers) -> Daemon {
    let port = if std::net::TcpListener::bind("127.0.0.1:9306").is_ok() { 9306 } else { 0 };
    let port = if port == 0 { free_port() } else { port };
    configure(stage, servers, port);
    stage.step("Bridge: give it the saved status; it checks the place against the source and stores it on the target");
    let args = ["position", STATUS];
    stage.note(&stage.run("binbridge", Command::new(program()), &args, None, None));
    stage.step("Bridge: run it");
    stage.prompt("$", "binbridge run &");
    let bridge = Daemon::start(stage.folder());
    bridge.wait_answering(LIMIT);
    stage.note(&format!("status page  http://127.0.0.1:{port}/   metrics  http://127.0.0.1:{port}/metrics"));
    bridge
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its address").port()
}

fn configure(stage: &Stage, servers: &Servers, port: u16) {
    let ca = |server: &Server| server.ca_path().display().to_string();
    stage.write("source.password", REPL.password);
    stage.write("target.password", AZADMIN.password);
    stage.write(
        CONFIG,
        &format!(
            "[source]\nhost = \"127.0.0.1\"\nport = {}\nuser = {:?}\npassword_file = \"source.password\"\nssl_ca = {:?}\n\n\
             [target]\nhost = \"127.0.0.1\"\nport = {}\nuser = {:?}\npassword_file = \"target.password\"\nssl_ca = {:?}\n\n\
             [admin]\nlisten = \"127.0.0.1:{port}\"\n",
            servers.source.port(),
            REPL.user,
            ca(&servers.source),
            servers.target.port(),
            AZADMIN.user,
            ca(&servers.target),
        ),
    );
}

/// Lag falls to zero while the source is written to.
fn follow(stage: &Stage, bridge: &mut Daemon, business: &Business) {
    stage.step("Watch the lag fall; the shop is still writing");
    let begin = Instant::now();
    let mut shown = 0;
    loop {
        let now = bridge.status();
        if now.caught_up() {
            let (took, commits) = (time(begin.elapsed()), count(business.commits()));
            stage.note(&format!("{now}\nin step after {took}; the source has {commits} commits by now"));
            return;
        }
        assert!(begin.elapsed() < LIMIT, "not caught up in {LIMIT:?}: {now}\n{}", bridge.log_tail());
        if shown < 8 {
            stage.note(&now.to_string());
            shown += 1;
        } else {
            stage.passing(&now.to_string());
        }
        std::thread::sleep(Duration::from_millis(150));
    }
}

/// The shop goes on, and changes a table on the way.
fn go_on(stage: &Stage, servers: &Servers, bridge: &mut Daemon, business: &Business) {
    let asked =
        std::env::var("DEMO_SECONDS").ok().map(|text| text.parse::<u64>().expect("DEMO_SECONDS is a number"));
    let seconds = asked.or((!stage.terminal()).then_some(SECONDS));
    let stop = Arc::new(AtomicBool::new(false));
    if let Some(seconds) = seconds {
        stage.step(&format!("The shop goes on for {seconds} s (DEMO_SECONDS); the bridge follows"));
    } else {
        stage.step(
            "The shop goes on, the bridge follows: open the status page; Ctrl-C ends the shop and compares",
        );
        on_interrupt(&stop);
    }
    let begin = Instant::now();
    let over = || {
        stop.load(Ordering::Relaxed) || seconds.is_some_and(|seconds| begin.elapsed().as_secs() >= seconds)
    };
    let every = seconds
        .map_or(Duration::from_secs(10), |seconds| Duration::from_secs(seconds.div_ceil(5).clamp(1, 10)));
    let (mut next, mut altered) = (begin + every, false);
    while !over() {
        std::thread::sleep(Duration::from_millis(250));
        if !altered && begin.elapsed() > every.mul_f64(1.5) {
            altered = true;
            let sql = "ALTER TABLE Shop.Orders ADD COLUMN channel VARCHAR(20) NOT NULL DEFAULT 'ウェブ' AFTER state";
            ask(stage, "source", &servers.source, APP, sql);
        }
        let now = format!("{}, source {:.0} trx/s", bridge.status(), business.rate());
        if Instant::now() >= next {
            next += every;
            stage.note(&now);
        } else {
            stage.passing(&now);
        }
    }
}

/// From here on Ctrl-C means "enough". Whatever else listens to the terminal's signals lives in groups of its own.
fn on_interrupt(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                stop.store(true, Ordering::Relaxed);
            }
        });
    });
}
