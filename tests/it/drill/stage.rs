//! Source, target and its own replication under load, and what can be done to them.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use super::load::{Load, create_tables, require_counted};
use crate::support::{
    AZADMIN, Bridge, BridgeOptions, Proxy, REPL, RdsLike, Server, ServerOptions, azure_options, compare,
    rds_options, wait_caught_up, wait_until,
};

pub(super) const LIMIT: Duration = Duration::from_secs(90);

/// How the native channel replicates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) by_gtid: bool,
    pub(super) workers: u32,
    /// `replica_preserve_commit_order`.
    pub(super) ordered: bool,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A row that is there already.
    Applier,
    /// The source is out of its reach.
    Receiver,
    /// Somebody stops it.
    Stopped,
}

pub(super) struct Drill {
    pub(super) source: Arc<RdsLike>,
    pub(super) target: Server,
    pub(super) bridge: Bridge,
    /// The failpoint of the next transition.
    pub(super) dies_at: Option<&'static str>,
    way: Way,
    /// Between the native channel and the source; the bridge goes straight.
    proxy: Proxy,
    load: Option<Load>,
    conflicts: u32,
}

impl Drill {
    /// Native replication runs, the source is written to, the bridge stands by.
    pub(super) fn new(way: Way) -> Self {
        Self::with(way, |_, _| {})
    }

    /// The same with a bridge that is told more.
    pub(super) fn with(way: Way, tell: impl FnOnce(&mut BridgeOptions, &Server)) -> Self {
        let gtid = way.by_gtid;
        let source = Arc::new(RdsLike::start(ServerOptions { gtid, ..rds_options("source", "ROW") }));
        let order = if way.ordered { "ON" } else { "OFF" };
        let options = ServerOptions { gtid, ..azure_options("target") }
            .line(&format!("replica_parallel_workers={}", way.workers))
            .line(&format!("replica_preserve_commit_order={order}"));
        let target = Server::start(options);
        let start = source.coordinates();
        create_tables(&source);
        let proxy = Proxy::start(source.port());
        let ca = std::fs::read_to_string(target.ca_path()).unwrap();
        let change = if gtid {
            format!(
                "CALL mysql.az_replication_change_master_with_gtid('127.0.0.1', '{}', '{}', {}, '{ca}')",
                REPL.user,
                REPL.password,
                proxy.port()
            )
        } else {
            format!(
                "CALL mysql.az_replication_change_master('127.0.0.1', '{}', '{}', {}, '{}', {}, '{ca}')",
                REPL.user,
                REPL.password,
                proxy.port(),
                start.file,
                start.offset
            )
        };
        target.sql_as(AZADMIN, &format!("{change}; CALL mysql.az_replication_start()")).unwrap();
        let mut options = BridgeOptions::new(&source, &target);
        options.set("native.auto_takeover", "true").set("native.takeover_after", "\"1s\"");
        options.set("native.broken_now", "[]").set("native.port", &proxy.port().to_string());
        options.set("native.ssl_ca", &format!("{:?}", target.ca_path().display().to_string()));
        tell(&mut options, &target);
        let mut bridge = Bridge::new(options);
        bridge.run();
        let load = Some(Load::start(&source));
        let drill = Self { source, target, bridge, dies_at: None, way, proxy, load, conflicts: 0 };
        drill.wait_phase("standby");
        drill
    }

    pub(super) fn phase(&self) -> String {
        self.target.try_sql("SELECT phase FROM binbridge.native").unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn wait_phase(&self, phase: &str) {
        let limit = std::time::Instant::now() + LIMIT;
        while self.phase() != phase {
            assert!(
                std::time::Instant::now() < limit,
                "the phase is {:?}, not {phase}; log:\n{}",
                self.phase(),
                self.bridge.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The native channel fails, and the bridge applies.
    pub(super) fn take_over_from(&mut self, failure: Failure) {
        if let Some(point) = self.dies_at {
            self.arm(point);
        }
        self.fail(failure);
        self.revive();
        if failure == Failure::Applier && self.may_leave_gaps() && !self.is_active_or_ended() {
            self.after_refusal();
        }
        self.wait_phase("active");
        self.mend(failure);
        self.bridge.wait_caught_up(&self.source, LIMIT);
        let status = self.target.replica_status();
        assert_eq!(status.get("Replica_SQL_Running").map(String::as_str), Some("No"), "{status:?}");
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        match failure {
            Failure::Applier => self.conflict(),
            Failure::Receiver => {
                self.proxy.refuse(true);
                self.proxy.cut_now();
            }
            Failure::Stopped => drop(self.target.sql_as(AZADMIN, "CALL mysql.az_replication_stop").unwrap()),
        }
    }

    pub(super) fn mend(&self, failure: Failure) {
        // The row in the applier's way is gone already.
        if failure == Failure::Receiver {
            self.proxy.refuse(false);
        }
    }

    /// Workers that commit in any order and that no GTIDs tell of.
    fn may_leave_gaps(&self) -> bool {
        !self.way.by_gtid && self.way.workers > 1 && !self.way.ordered
    }

    /// Whether the bridge has taken over; if not, it has ended.
    #[track_caller]
    fn is_active_or_ended(&mut self) -> bool {
        let mut ended = false;
        wait_until("the bridge takes over or refuses to", LIMIT, || {
            ended = self.bridge.ended().is_some();
            ended || self.phase() == "active"
        });
        !ended
    }

    /// The bridge has refused to take over from gaps: it says why, and what it says to do helps.
    pub(super) fn after_refusal(&mut self) {
        let status = self.bridge.wait_ended(LIMIT);
        let log = self.bridge.log();
        assert_eq!(status.code(), Some(65), "{log}");
        assert!(log.contains("BB4013") && log.contains("replica_preserve_commit_order"), "{log}");
        self.delete_conflict();
        self.target.sql_as(AZADMIN, "CALL mysql.az_replication_start").unwrap();
        wait_caught_up(&self.target, &self.source, LIMIT);
        self.bridge.run();
    }

    /// A row on the target that the source will insert. Taken away once the applier has stopped at it.
    fn conflict(&mut self) {
        self.conflicts += 1;
        let row = format!("INSERT INTO app.conflict VALUES ({}, 'x')", self.conflicts);
        self.target.sql(&row);
        self.source.sql(&row);
        wait_until("the native applier stops", LIMIT, || {
            self.target.replica_status().get("Last_SQL_Errno").is_some_and(|code| code != "0")
        });
        self.delete_conflict();
    }

    pub(super) fn delete_conflict(&self) {
        self.target.sql(&format!("DELETE FROM app.conflict WHERE id = {}", self.conflicts));
    }

    /// The applier's workers stop at a row that is there already, and have gone on with others meanwhile.
    pub(super) fn leave_gaps(&mut self) {
        self.conflicts += 1;
        let id = self.conflicts;
        self.target.sql(&format!("INSERT INTO app.conflict VALUES ({id}, 'x')"));
        // One worker waits for a lock with a transaction below those that the others apply.
        let mut holder = self.target.session().unwrap();
        holder.run("BEGIN; SELECT * FROM app.conflict FOR UPDATE").unwrap();
        self.source.sql(&format!("INSERT INTO app.conflict VALUES ({id}, 'x')"));
        // What depends on none of its rows is scheduled beside it until a dependence reaches back over it.
        std::thread::sleep(Duration::from_millis(1500));
        holder.run("ROLLBACK").unwrap();
    }

    /// By command, the way the channel replicates.
    pub(super) fn hand_back(&mut self) {
        if let Some(point) = self.dies_at {
            self.arm(point);
        }
        let by = if self.way.by_gtid { "--by-gtid" } else { "--by-position" };
        let dry = self.bridge.output(&["handback", by, "--dry-run"]);
        let text = said(&dry);
        assert!(dry.status.success() && text.contains("CALL mysql.az_replication_start"), "{text}");
        assert!(!text.contains(REPL.password), "{text}");
        assert_eq!(self.phase(), "active");
        let mut asking = self.bridge.command(&["handback", by]).spawn().unwrap();
        self.revive();
        assert!(asking.wait().unwrap().success(), "{}", self.bridge.log());
        assert_eq!(self.phase(), "standby");
        wait_caught_up(&self.target, &self.source, LIMIT);
    }

    fn arm(&mut self, point: &str) {
        self.bridge.stop();
        self.bridge.options().env("BINBRIDGE_FAILPOINT", &format!("{point}:1"));
        self.bridge.run();
        wait_until("the bridge is at work", LIMIT, || {
            self.bridge.status().is_some_and(|status| status["target"]["connected"] == true)
        });
    }

    /// Starts the bridge again, if it is to die.
    fn revive(&mut self) {
        let Some(point) = self.dies_at.take() else { return };
        let status = self.bridge.wait_ended(LIMIT);
        assert_eq!(status.code(), None, "not killed at {point}: {}", self.bridge.log());
        self.bridge.options().env.remove("BINBRIDGE_FAILPOINT");
        self.bridge.run();
    }

    pub(super) fn end_load(&mut self) {
        drop(self.load.take());
    }

    /// Every table, and with GTIDs every GTID.
    pub(super) fn require_equal(&mut self) {
        self.end_load();
        wait_caught_up(&self.target, &self.source, LIMIT);
        compare(&self.source, &self.target, &["app"]).unwrap();
        require_counted(&self.target);
        if self.way.by_gtid {
            let executed = self.source.sql("SELECT @@global.gtid_executed").replace('\n', "");
            let missing =
                self.target.sql(&format!("SELECT GTID_SUBTRACT('{executed}', @@global.gtid_executed)"));
            assert_eq!(missing, "");
            // In this order: the source's heartbeat goes on, and the channel with it.
            let uuid = self.source.sql("SELECT @@server_uuid");
            let executed = self.target.sql("SELECT @@global.gtid_executed").replace('\n', "");
            let more =
                self.source.sql(&format!("SELECT GTID_SUBTRACT('{executed}', @@global.gtid_executed)"));
            assert!(!more.contains(&uuid), "{more}");
        }
    }
}

pub(super) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
