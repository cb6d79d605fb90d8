//! One source, one target, one workload, and the bridges that live and die between them.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use binbridge::progress::{Fence, Seq, Tables};

use super::incident::{Incident, Late};
use crate::support::{
    AZADMIN, Bridge, BridgeOptions, Proxy, REPL, RdsLike, SCHEMAS, Server, ServerOptions, Workload,
    azure_options, compare, rds_options,
};

/// What a run is made of.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) format: &'static str,
    pub(super) source_gtid: bool,
    /// The start is a GTID set, not file and offset.
    pub(super) by_gtid: bool,
    /// With GTIDs they decide whether a DDL statement ran; without, fingerprints do.
    pub(super) target_gtid: bool,
    /// What `apply.workers` may be; another one at each start.
    pub(super) workers: &'static [u32],
    /// The target's transactions have the source's GTIDs.
    pub(super) preserve: bool,
}

impl Plan {
    /// All combinations come up in 24 seeds.
    pub(super) fn of(seed: u64) -> Self {
        let format = if seed.is_multiple_of(2) { "MIXED" } else { "ROW" };
        let (source_gtid, target_gtid) = ((seed / 4).is_multiple_of(2), (seed / 2).is_multiple_of(2));
        let workers: &[u32] = [&[1, 2, 8][..], &[2, 8], &[1]][usize::try_from(seed % 3).unwrap()];
        let preserve = source_gtid && target_gtid && (seed / 8).is_multiple_of(2);
        let by_gtid = source_gtid && !target_gtid;
        Self { seed, format, source_gtid, by_gtid, target_gtid, workers, preserve }
    }
}

pub(super) struct Life {
    plan: Plan,
    pub(super) rng: fastrand::Rng,
    // Before the servers: what is dropped first ends first.
    workload: Option<Workload>,
    pub(super) bridge: Bridge,
    pub(super) target_proxy: Proxy,
    pub(super) source_proxy: Proxy,
    pub(super) target: Server,
    pub(super) source: Arc<RdsLike>,
    began: Instant,
    kills: u32,
    executed_before: String,
    incidents: Vec<(Incident, Duration)>,
    /// Of bridges that were replaced.
    logs: Vec<String>,
}

pub(super) const LIMIT: Duration = Duration::from_secs(40);
/// A frontier that stays for so long is looked at.
const STAYS: Duration = Duration::from_secs(15);
const SIGABRT: i32 = 6;

impl Life {
    pub(super) fn begin(plan: &Plan) -> Self {
        let source_options = ServerOptions { gtid: plan.source_gtid, ..rds_options("source", plan.format) };
        let target_options = ServerOptions {
            gtid: plan.target_gtid,
            require_secure_transport: false,
            ..azure_options("target")
        };
        // With the doublewrite buffer as it is: a server that is killed may leave a page half-written.
        let source = Arc::new(RdsLike::start(source_options));
        let target = Server::start(target_options);
        let (target_proxy, source_proxy) = (Proxy::start(target.port()), Proxy::start(source.port()));
        let mut options = BridgeOptions::new(&source, &target);
        options.set("bridge.lease", "\"2s\"");
        options.end("source", source_proxy.port(), REPL, Some(&source));
        // Without TLS the proxy reads along.
        options.end("target", target_proxy.port(), AZADMIN, None).set("target.ssl_mode", "\"disabled\"");
        options.keys.remove("target.ssl_ca");
        if plan.preserve {
            options.set("apply.gtid", "\"preserve\"");
        }
        let bridge = Bridge::new(options);
        if plan.by_gtid {
            let set = format!("--gtid-set={}", source.sql("SELECT @@global.gtid_executed"));
            let output = bridge.output(&["position", &set]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        } else {
            bridge.store(&source.coordinates());
        }
        let executed_before = source.sql("SELECT @@global.gtid_executed");
        let workload = Some(Workload::start(&source, plan.seed));
        Self {
            plan: plan.clone(),
            rng: fastrand::Rng::with_seed(plan.seed),
            workload,
            bridge,
            target_proxy,
            source_proxy,
            target,
            source,
            began: Instant::now(),
            kills: 0,
            executed_before,
            incidents: Vec::new(),
            logs: Vec::new(),
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn kills(&self) -> u32 {
        self.kills
    }

    /// A bridge starts, something happens to it, and it ends by force.
    pub(super) fn suffer(&mut self, incident: Incident) {
        self.incidents.push((incident, self.age()));
        eprintln!("seed {}, after {:.1?}: {incident:?}", self.plan.seed, self.age());
        self.settle();
        // A bridge that is behind has full batches on their way, one that is level single transactions. Who waits for a
        // certain point wants work.
        let slowed = if matches!(incident, Incident::Point(_)) { 0 } else { self.rng.u32(..2) * 4 };
        self.workload.iter().for_each(|workload| workload.slow_down(slowed));
        if matches!(incident, Incident::Point("apply.part_sent") | Incident::Late(Late::Piece)) {
            self.bridge.options().set("apply.large_transaction", "\"64 KiB\"");
        }
        if let Incident::Point(name) = incident {
            self.die_at(name);
        } else {
            self.bridge.run();
            self.rest(50, 400);
            self.trouble(incident);
            self.alive();
            self.rest(0, 300);
            self.bridge.kill();
        }
        self.kills += 1;
        self.alive_log();
    }

    /// Other sizes for each process: they must not matter.
    fn settle(&mut self) {
        let batch = [1, 3, 20, 1000][self.rng.usize(..4)];
        let large = ["64 KiB", "64 KiB", "256 KiB", "8 MiB"][self.rng.usize(..4)];
        let bytes = ["16 KiB", "4 MiB"][self.rng.usize(..2)];
        let depth = [1, 2, 4, 16][self.rng.usize(..4)];
        let workers = self.plan.workers[self.rng.usize(..self.plan.workers.len())];
        let merge = self.rng.u8(..4) > 0;
        let options = self.bridge.options();
        options.env.remove("BINBRIDGE_FAILPOINT");
        options.set("apply.workers", &workers.to_string());
        options.set("apply.merge", &merge.to_string());
        options.set("apply.batch_transactions", &batch.to_string());
        options.set("apply.batch_bytes", &format!("\"{bytes}\""));
        options.set("apply.large_transaction", &format!("\"{large}\""));
        options.set("apply.depth", &depth.to_string());
    }

    fn die_at(&mut self, name: &'static str) {
        let passages = match name {
            "epoch.after_take" => 1,
            "session.after_bump" => self.rng.u32(1..=2),
            "source.after_event" => self.rng.u32(1..=1500),
            "apply.part_sent" => self.rng.u32(1..=4),
            _ if name.starts_with("ddl.") => self.rng.u32(1..=3),
            _ => self.rng.u32(1..=25),
        };
        let options = self.bridge.options();
        options.env("BINBRIDGE_FAILPOINT", &format!("{name}:{passages}"));
        self.bridge.run();
        let until = Instant::now() + LIMIT;
        let mut time = Duration::from_millis(if name == "session.after_bump" { 100 } else { 10 });
        let status = loop {
            if let Some(status) = self.bridge.ended() {
                break status;
            }
            assert!(Instant::now() < until, "{name}:{passages} was not reached; {}", self.story());
            if name == "session.after_bump" {
                self.target_proxy.cut_now();
                // Each time longer: on a busy machine a start takes its time.
                time += Duration::from_millis(50);
            }
            std::thread::sleep(time);
        };
        assert_eq!(
            status.signal(),
            Some(SIGABRT),
            "at {name}:{passages} it ended with {status}; {}",
            self.story()
        );
        // Reaps it.
        self.bridge.kill();
    }

    /// Waits some milliseconds.
    pub(super) fn rest(&mut self, least: u64, most: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.u64(least..=most)));
    }

    /// The bridge runs.
    #[track_caller]
    pub(super) fn alive(&mut self) {
        if let Some(status) = self.bridge.ended() {
            panic!("the bridge ended with {status}; {}", self.story());
        }
    }

    /// Grows with each commit of any worker. (The frontier may wait long for the end of a prepared XA transaction.)
    pub(super) fn applied(&self) -> u64 {
        let text = self.target.try_sql("SELECT SUM(seq) FROM binbridge.progress").unwrap_or_default();
        text.parse().unwrap_or(0)
    }

    /// Waits until the bridge has committed more.
    #[track_caller]
    pub(super) fn progress(&mut self) {
        let before = self.applied();
        let until = Instant::now() + LIMIT;
        while self.applied() <= before {
            self.alive();
            assert!(Instant::now() < until, "it does not go on after {before}; {}", self.story());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn keep_log(&mut self, bridge: &Bridge) {
        self.logs.push(bridge.log());
    }

    /// No change met a row that it should not have met.
    #[track_caller]
    fn alive_log(&self) {
        let log = self.bridge.log();
        for log in self.logs.iter().chain([&log]) {
            for word in ["BB4002", "BB4003", "error 1062", "error 1032", "BB9002", "level=error"] {
                let fault = |line: &&str| line.contains(word) && !line.contains("BB4008");
                if let Some(line) = log.lines().find(fault) {
                    panic!("{line}\n{}", self.story());
                }
            }
        }
    }

    /// What the reader of a failure needs.
    pub(super) fn story(&self) -> String {
        let log = self.bridge.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(40)..];
        let incidents: Vec<String> =
            self.incidents.iter().map(|(incident, at)| format!("{at:.1?} {incident:?}")).collect();
        let events = lines.last().and_then(|line| self.events(line)).unwrap_or_default();
        format!("{:?}, after {}; log:\n{}\n{events}", self.plan, incidents.join(", "), last.join("\n"))
    }

    /// The progress rows, what is prepared on the source, and the source's events at the frontier.
    fn progress_rows(&self) -> String {
        let on_target = |sql: &str| self.target.try_sql(sql).unwrap_or_else(|error| error);
        let on_source = |sql: &str| self.source.try_sql(sql).unwrap_or_else(|error| error);
        let rows = on_target("SELECT * FROM binbridge.progress");
        let low = self.frontier();
        let events = match low.split_once('\t') {
            Some((file, position)) => {
                on_source(&format!("SHOW BINLOG EVENTS IN '{file}' FROM {position} LIMIT 12"))
            }
            None => String::new(),
        };
        let prepared = on_source("XA RECOVER");
        let events = self.of_its_xid(&events) + &events;
        format!(
            "progress:\n{rows:.4000}\nprepared on the source:\n{prepared}\nevents at the frontier:\n{events:.3000}"
        )
    }

    /// Everything that the source's logs say of the XA transaction that begins at the frontier, if one does.
    fn of_its_xid(&self, events: &str) -> String {
        let Some((_, rest)) = events.split_once("XA START ") else { return String::new() };
        let xid = rest.split([',', '\n']).next().unwrap_or_default();
        let on_source = |sql: &str| self.source.try_sql(sql).unwrap_or_else(|error| error);
        let logs = on_source("SHOW BINARY LOGS");
        let files = logs.lines().filter_map(|line| line.split('\t').next());
        let all = files.map(|file| on_source(&format!("SHOW BINLOG EVENTS IN '{file}'")));
        let lines = |events: String| {
            let of_it = events.lines().filter(|line| line.contains(xid)).map(|line| format!("{line:.200}\n"));
            of_it.collect::<String>()
        };
        all.map(lines).collect()
    }

    /// How long each incident took.
    fn durations(&self) -> String {
        let ends = self.incidents.iter().skip(1).map(|(_, at)| *at).chain([self.age()]);
        let each = self.incidents.iter().zip(ends);
        each.map(|((incident, at), end)| format!("{incident:?} {:.1?}", end.saturating_sub(*at)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The source's events at the place that a line of the log names.
    fn events(&self, line: &str) -> Option<String> {
        let (_, place) = line.rsplit_once(" at mysql-bin-changelog.")?;
        let (number, rest) = place.split_once(':')?;
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let from = &rest[..digits];
        let sql = format!("SHOW BINLOG EVENTS IN 'mysql-bin-changelog.{number}' FROM {from} LIMIT 40");
        let events = self.source.try_sql(&sql).unwrap_or_else(|error| error);
        Some(events.lines().map(|line| line.chars().take(600).collect::<String>() + "\n").collect())
    }

    /// Peace: everything arrives, and is the same.
    pub(super) fn end(mut self) {
        let workload = self.workload.take().expect("the workload runs");
        let written = workload.transactions();
        workload.stop(&self.source);
        self.target_proxy.disarm();
        self.source_proxy.disarm();
        self.settle();
        self.bridge.options().set("apply.batch_transactions", "1000").set("apply.depth", "4");
        self.bridge.run();
        let source = Arc::clone(&self.source);
        let executed = source.sql("SELECT @@global.gtid_executed");
        let until = Instant::now() + Duration::from_secs(240);
        let (mut frontier, mut since) = (String::new(), Instant::now());
        // The source's heartbeat goes on: once is enough.
        while !self.bridge.has_caught_up(&source) {
            self.alive();
            let now = self.frontier();
            let stays = now == frontier && since.elapsed() > STAYS;
            if stays {
                // It may have lost several.
                self.skip_what_the_source_lost();
            }
            if stays || now != frontier {
                (frontier, since) = (now, Instant::now());
            }
            assert!(Instant::now() < until, "it does not go on; {}\n{}", self.story(), self.progress_rows());
            std::thread::sleep(Duration::from_millis(100));
        }
        self.bridge.wait_caught_up(&source, Duration::from_secs(120));
        assert_eq!(self.bridge.stop().code(), Some(0), "{}", self.story());
        self.alive_log();
        if let Err(difference) = compare(&self.source, &self.target, &SCHEMAS) {
            panic!("{difference}\n{}", self.story());
        }
        self.counted();
        self.guarded();
        self.preserved(&executed);
        println!(
            "{:?}: {written} rounds of the workload, {} transactions, {} kills in {:.1} s, all equal\n{}",
            self.plan,
            self.target.sql("SELECT MAX(low_seq) FROM binbridge.progress"),
            self.kills,
            self.age().as_secs_f64(),
            self.durations()
        );
    }

    /// A source that was killed or restarted may have logged an `XA PREPARE` and not know the transaction any more: its
    /// end never comes. Replicas of its own hold it for ever; an operator skips it. If that is not it, the end is only far
    /// ahead.
    fn skip_what_the_source_lost(&mut self) {
        let low = self.frontier();
        let (file, position) = low.split_once('\t').expect("a frontier");
        let sql = format!("SHOW BINLOG EVENTS IN '{file}' FROM {position} LIMIT 12");
        let of_it = self.of_its_xid(&self.source.sql(&sql));
        let says = |what: &str| of_it.contains(what);
        let lost = says("XA PREPARE") && !says("XA COMMIT") && !says("XA ROLLBACK");
        if !lost {
            return;
        }
        println!(
            "seed {}: the source has lost an XA transaction that it had logged\n{of_it}",
            self.plan.seed
        );
        assert_eq!(self.bridge.stop().code(), Some(0), "{}", self.story());
        self.bridge.run_with(&["--skip", &format!("{file}:{position}")]);
    }

    /// File and offset, with a tab between.
    fn frontier(&self) -> String {
        let sql = "SELECT low_file, low_pos FROM binbridge.progress ORDER BY low_seq DESC LIMIT 1";
        self.target.try_sql(sql).unwrap_or_else(|error| error)
    }

    /// The target has executed every GTID that the source had given, but for those before the workload.
    fn preserved(&self, all: &str) {
        if self.plan.preserve {
            let of_target = "@@global.gtid_executed";
            let before = &self.executed_before;
            let sql = format!("SELECT GTID_SUBTRACT(GTID_SUBTRACT('{all}', '{before}'), {of_target})");
            assert_eq!(self.target.sql(&sql), "", "{}", self.story());
        }
    }

    /// A packet runs only from where the progress row says, and only from its owner's connection. (Late packets mostly
    /// find their connection ended; this is what keeps them out where it is not.)
    fn guarded(&self) {
        let row = self.target.sql("SELECT epoch, session, seq FROM binbridge.progress WHERE worker = 0");
        let numbers: Vec<u64> = row.split('\t').map(|number| number.parse().unwrap()).collect();
        let &[epoch, session, seq] = numbers.as_slice() else { panic!("a progress row: {row}") };
        let guard = |worker, epoch, session, seq| {
            let guard = Tables::new("binbridge", "main").guard(worker, Fence { epoch, session }, Seq(seq));
            self.target.try_sql(&guard).map(|_| ()).map_err(|error| error.contains("ERROR 1242"))
        };
        assert_eq!(guard(0, epoch, session, seq), Ok(()));
        let refused = [
            (0, epoch - 1, session, seq),
            (0, epoch, session + 1, seq),
            (0, epoch, session, seq - 1),
            (99, epoch, session, seq),
        ];
        for (worker, epoch, session, seq) in refused {
            assert_eq!(guard(worker, epoch, session, seq), Err(true));
        }
    }

    /// The target counts the source's commits, each once.
    fn counted(&self) {
        let questions = [
            "SELECT client, COUNT(*), SUM(n) FROM Shop.Commits GROUP BY client ORDER BY client",
            "SELECT client, COUNT(*), SUM(n), COUNT(DISTINCT n) FROM Shop.Journal GROUP BY client ORDER BY client",
            "SELECT * FROM Shop.Ticks ORDER BY client",
        ];
        for question in questions {
            let folded = question.to_lowercase();
            let (source, target) = (self.source.sql(question), self.target.sql(&folded));
            assert_eq!(source, target, "{question}; {}", self.story());
            assert!(!source.is_empty());
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "to run this seed alone: SOAK_SEED={} cargo test --features failpoints --test it soak -- --nocapture",
                self.plan.seed
            );
            eprintln!("{}", self.progress_rows());
            if std::env::var_os("SOAK_HOLD").is_some() {
                let sockets = (self.source.socket(), self.target.socket());
                eprintln!("SOAK_HOLD: source and target stay up for an hour: {sockets:?}");
                std::thread::sleep(Duration::from_secs(3600));
            }
        }
        // Its clients would try for ever.
        if let Some(workload) = self.workload.take() {
            workload.abandon();
        }
    }
}

/// Waits for a fuse of a proxy.
#[track_caller]
pub(super) fn wait_fuse(life: &mut Life, proxy: impl Fn(&Life) -> u64, before: u64) {
    let until = Instant::now() + LIMIT;
    while proxy(life) <= before {
        life.alive();
        assert!(Instant::now() < until, "what is waited for does not pass; {}", life.story());
        std::thread::sleep(Duration::from_millis(5));
    }
}
