//! Who brings the target in step: MySQL's own replication, or binbridge.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::process::cpu_seconds;
use crate::settings::Settings;
use crate::stage::Stage;
use crate::support::{
    AZADMIN, Bridge, BridgeOptions, Coordinates, Proxy, Start, peak_rss_mib, replicate, wait_caught_up,
};

/// No run takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

/// What applies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Applier {
    /// `replica_parallel_workers`, in commit order as is the default.
    Native { workers: u32 },
    /// `mysqlbinlog | mysql`, from files on the same machine.
    Text,
    /// With keys of its configuration beside the defaults.
    Binbridge { keys: &'static [(&'static str, &'static str)] },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) applier: Applier,
    /// Added to the way to the target, there and back.
    pub(crate) delay_each_way: Duration,
}

const FAR: Duration = Duration::from_millis(20);

const fn native(name: &'static str, workers: u32) -> Contender {
    Contender { name, applier: Applier::Native { workers }, delay_each_way: Duration::ZERO }
}

const fn binbridge(name: &'static str, keys: &'static [(&'static str, &'static str)]) -> Contender {
    Contender { name, applier: Applier::Binbridge { keys }, delay_each_way: Duration::ZERO }
}

const STRICT: Contender = binbridge("binbridge", &[]);
const STRICT_FAR: Contender = Contender { name: "binbridge-far", delay_each_way: FAR, ..STRICT };
const RELAXED: Contender = binbridge("relaxed-2", &[("apply.workers", "2")]);

/// Who takes part in a catch-up.
pub(crate) const CATCH_UP: [Contender; 5] =
    [native("native-1", 1), native("native-4", 4), native("native-8", 8), STRICT, STRICT_FAR];

/// Who takes part in the large table: source and target have GTIDs.
pub(crate) const ALL: [Contender; 11] = [
    CATCH_UP[0],
    CATCH_UP[1],
    CATCH_UP[2],
    Contender { name: "mysqlbinlog", applier: Applier::Text, delay_each_way: Duration::ZERO },
    binbridge("as-they-came", &[("apply.merge", "false")]),
    STRICT,
    RELAXED,
    binbridge("relaxed-4", &[("apply.workers", "4")]),
    binbridge("preserve-8", &[("apply.workers", "8"), ("apply.gtid", "\"preserve\"")]),
    STRICT_FAR,
    Contender { name: "relaxed-2-far", delay_each_way: FAR, ..RELAXED },
];

/// Whose latency is measured.
pub(crate) const LATENCY: [Contender; 3] = [CATCH_UP[1], CATCH_UP[3], CATCH_UP[4]];

impl Contender {
    pub(crate) fn is_native(&self) -> bool {
        matches!(self.applier, Applier::Native { .. })
    }

    /// Milliseconds added to a round trip.
    pub(crate) fn rtt_ms(&self) -> u64 {
        u64::try_from(self.delay_each_way.as_millis() * 2).unwrap_or(u64::MAX)
    }

    /// Starts on the target as it is, from `start` on.
    pub(crate) fn start<'a>(
        &self,
        stage: &'a Stage,
        start: &Coordinates,
        settings: &Settings,
    ) -> Running<'a> {
        let target_cpu = stage.target.cpu_seconds();
        match self.applier {
            Applier::Native { workers } => {
                stage.target.sql(&format!(
                    "SET GLOBAL replica_parallel_workers = {workers}, GLOBAL replica_preserve_commit_order = ON"
                ));
                let began = Instant::now();
                replicate(&stage.target, stage.source.port(), &Start::At(start.clone()));
                Running { stage, began, target_cpu, work: Work::Native, _proxy: None }
            }
            Applier::Text => {
                let began = Instant::now();
                let work = Work::Text(text_pipe(stage, start));
                Running { stage, began, target_cpu, work, _proxy: None }
            }
            Applier::Binbridge { keys } => {
                let mut options = BridgeOptions::new(&stage.source, &stage.target);
                for (key, value) in keys {
                    options.set(key, value);
                }
                for (key, value) in &settings.keys {
                    options.set(key, value);
                }
                let proxy = (!self.delay_each_way.is_zero()).then(|| Proxy::start(stage.target.port()));
                if let Some(proxy) = &proxy {
                    proxy.set_delay(self.delay_each_way);
                    options.end("target", proxy.port(), AZADMIN, Some(&stage.target));
                }
                let mut bridge = Bridge::new(options);
                bridge.store(start);
                let began = Instant::now();
                bridge.run();
                Running { stage, began, target_cpu, work: Work::Bridge(bridge), _proxy: proxy }
            }
        }
    }
}

/// All binlog files of the source, as text, into a client of the target.
fn text_pipe(stage: &Stage, start: &Coordinates) -> [Child; 2] {
    let mut reader = stage.source.mysql().mysqlbinlog();
    reader.arg("--no-defaults").arg("--skip-gtids").arg(format!("--start-position={}", start.offset));
    let base = start.file.rsplit_once('.').map_or("", |(base, _)| base);
    let folder = stage.source.data_folder();
    let names = fs::read_dir(&folder).expect("the data folder").flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| {
        *name >= start.file && name.starts_with(base) && name.ends_with(|end: char| end.is_ascii_digit())
    });
    names.sort();
    reader.args(names.iter().map(|name| folder.join(name)));
    let mut reader = reader.stdout(Stdio::piped()).spawn().expect("mysqlbinlog runs");
    let text = reader.stdout.take().expect("its output");
    let writer = stage.target.cli_as(AZADMIN).stdin(text).stdout(Stdio::null()).spawn();
    [reader, writer.expect("mysql runs")]
}

/// A contender at work; stopped when dropped.
pub(crate) struct Running<'a> {
    stage: &'a Stage,
    began: Instant,
    target_cpu: f64,
    work: Work,
    _proxy: Option<Proxy>,
}

enum Work {
    Native,
    Text([Child; 2]),
    Bridge(Bridge),
}

/// What it took to be in step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) seconds: f64,
    pub(crate) target_cpu_s: f64,
    pub(crate) own_cpu_s: Option<f64>,
    pub(crate) peak_rss_mib: Option<f64>,
}

impl Running<'_> {
    /// Waits until everything that the source has committed by now is on the target.
    pub(crate) fn wait_caught_up(&mut self) -> Took {
        match &mut self.work {
            Work::Native => wait_caught_up(&self.stage.target, &self.stage.source, LIMIT),
            Work::Text(programs) => {
                for program in programs {
                    assert!(program.wait().is_ok_and(|status| status.success()), "mysqlbinlog | mysql fails");
                }
            }
            Work::Bridge(bridge) => bridge.wait_caught_up(&self.stage.source, LIMIT),
        }
        let seconds = self.began.elapsed().as_secs_f64();
        let pid = self.pid();
        Took {
            seconds,
            target_cpu_s: self.stage.target.cpu_seconds() - self.target_cpu,
            own_cpu_s: pid.map(cpu_seconds),
            peak_rss_mib: pid.map(peak_rss_mib),
        }
    }

    /// The bridge's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.work {
            Work::Bridge(bridge) => bridge.pid(),
            Work::Native | Work::Text(_) => None,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        match &mut self.work {
            Work::Native => drop(self.stage.target.try_sql("STOP REPLICA; RESET REPLICA ALL")),
            Work::Text(programs) => programs.iter_mut().for_each(|program| drop(program.kill())),
            Work::Bridge(bridge) => bridge.kill(),
        }
    }
}
