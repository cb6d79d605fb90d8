//! Net batches: the same rows as the changes one by one, and as a native replica has, on real servers.

mod generated;
mod workload;

use std::time::Duration;

use crate::support::{
    Bridge, BridgeOptions, Coordinates, ReplicaOptions, Server, ServerOptions, Start, azure_options, compare,
    dump_restore, replicate, wait_caught_up,
};
use workload::{TABLES, Workload};

const LIMIT: Duration = Duration::from_secs(120);

/// How a bridge applies: whether it merges, and with how many workers.
type Way = (bool, u32);

/// One source, a target for each way, and perhaps a native replica.
struct Field {
    source: Server,
    targets: Vec<(Way, Server)>,
    native: Option<Server>,
}

/// Who does the work of foreign keys: InnoDB (as before 9.6, cascades are not in the log), or the SQL layer.
#[derive(Clone, Copy)]
struct Native {
    source: bool,
    target: bool,
}

impl Field {
    fn start(foreign_keys: Native, ways: &[Way], with_native: bool) -> Self {
        let with = |options: ServerOptions, native: bool| {
            let switch = format!("loose_innodb_native_foreign_keys={}", if native { "ON" } else { "OFF" });
            options.line(&switch).line("log_error_verbosity=1")
        };
        std::thread::scope(|scope| {
            let targets: Vec<_> = ways
                .iter()
                .map(|(merge, workers)| {
                    let options = azure_options(&format!("target-{merge}-{workers}"));
                    scope.spawn(move || {
                        ((*merge, *workers), Server::start(with(options, foreign_keys.target)))
                    })
                })
                .collect();
            let native = with_native.then(|| {
                let options = ReplicaOptions::new("native", 1).server;
                scope.spawn(move || Server::start(with(options, foreign_keys.target)))
            });
            let source = Server::start(with(ServerOptions::new("source"), foreign_keys.source));
            let targets = targets.into_iter().map(|target| target.join().unwrap()).collect();
            Self { source, targets, native: native.map(|native| native.join().unwrap()) }
        })
    }

    /// Gives all the source's rows; where it stands then.
    fn seed(&self, databases: &[&str]) -> Coordinates {
        for target in self.targets.iter().map(|(_, target)| target).chain(&self.native) {
            dump_restore(&self.source, target, databases);
        }
        self.source.coordinates()
    }

    /// Applies what the source did since `start` everywhere, and compares. How many bytes each target wrote to its log.
    #[track_caller]
    fn same(&self, what: &str, start: &Coordinates, batch: &str, databases: &[&str]) -> Vec<u64> {
        if let Some(native) = &self.native {
            replicate(native, self.source.port(), &Start::At(start.clone()));
        }
        let mut written = Vec::new();
        for ((merge, workers), target) in &self.targets {
            let what = format!("{what}, merge = {merge}, workers = {workers}");
            let mut options = BridgeOptions::new(&self.source, target);
            options.set("apply.merge", &merge.to_string()).set("apply.workers", &workers.to_string());
            options.set("apply.batch_transactions", batch);
            let before = target.coordinates();
            let mut bridge = Bridge::started(options, start);
            bridge.wait_caught_up(&self.source, LIMIT);
            differ(&self.source, target, &what, databases);
            assert_eq!(bridge.stop().code(), Some(0), "{what}: {}", bridge.log());
            let after = target.coordinates();
            assert_eq!(before.file, after.file);
            written.push(after.offset - before.offset);
        }
        if let Some(native) = &self.native {
            wait_caught_up(native, &self.source, LIMIT);
            differ(&self.source, native, &format!("{what}, native replica"), databases);
        }
        written
    }
}

#[track_caller]
fn differ(source: &Server, target: &Server, what: &str, databases: &[&str]) {
    let differences = compare(source, target, databases).err().unwrap_or_default();
    // CHECKSUM TABLE counts the hidden column of a multi-valued key, of which every server has its own picture.
    let hidden = |line: &&str| line.starts_with("shapes.many ") && line.contains("digests are equal");
    let differences: Vec<&str> = differences.lines().filter(|line| !hidden(line)).collect();
    assert!(differences.is_empty(), "{what}: {differences:#?}");
}

/// The same backlog applied in several ways from the same start.
fn all_ways(foreign_keys: Native, ways: &[Way], with_native: bool, (seed, batch): (u64, &str)) {
    let field = Field::start(foreign_keys, ways, with_native);
    let mut workload = Workload::new(seed);
    let mut session = field.source.session().unwrap();
    session.run(&format!("CREATE DATABASE shapes; USE shapes; {TABLES}")).unwrap();
    workload.run(&mut session, 150);
    let start = field.seed(&["shapes"]);
    workload.run(&mut session, if with_native { 1200 } else { 500 });
    let written = field.same(&format!("seed {seed}"), &start, batch, &["shapes"]);
    assert!(written[1] < written[0], "the targets wrote {written:?} bytes to their logs: nothing was merged");
}

/// `BINBRIDGE_NET_SEED` runs another history.
fn seed() -> u64 {
    std::env::var("BINBRIDGE_NET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

const THREE: [Way; 3] = [(false, 1), (true, 1), (true, 4)];
const FOUR: [Way; 4] = [(false, 1), (true, 1), (false, 4), (true, 4)];

#[test]
fn net_batches_leave_the_rows_that_the_changes_leave_one_by_one() {
    all_ways(Native { source: false, target: false }, &THREE, true, (seed(), "1000"));
}

#[test]
fn net_batches_are_right_where_cascades_are_not_in_the_log() {
    all_ways(Native { source: true, target: true }, &THREE, true, (seed() + 1, "37"));
}

#[test]
fn a_target_whose_sql_layer_does_foreign_keys_cascades_what_the_source_did_not_log() {
    all_ways(Native { source: true, target: false }, &FOUR, false, (seed() + 2, "200"));
}

#[test]
fn a_target_whose_engine_does_foreign_keys_takes_logged_cascades() {
    all_ways(Native { source: false, target: true }, &FOUR, false, (seed() + 3, "200"));
}
