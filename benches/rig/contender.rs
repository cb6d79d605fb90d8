//! Who brings the target in step: MySQL's own replication, or binbridge.

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
    /// One worker: strict source order.
    Binbridge,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) applier: Applier,
    /// Added to the way to the target, there and back.
    pub(crate) delay_each_way: Duration,
}

const HERE: Duration = Duration::ZERO;
const FAR: Duration = Duration::from_millis(20);

/// Who takes part in a catch-up.
pub(crate) const CATCH_UP: [Contender; 5] = [
    Contender { name: "native-1", applier: Applier::Native { workers: 1 }, delay_each_way: HERE },
    Contender { name: "native-4", applier: Applier::Native { workers: 4 }, delay_each_way: HERE },
    Contender { name: "native-8", applier: Applier::Native { workers: 8 }, delay_each_way: HERE },
    Contender { name: "binbridge", applier: Applier::Binbridge, delay_each_way: HERE },
    Contender { name: "binbridge-far", applier: Applier::Binbridge, delay_each_way: FAR },
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
                Running { stage, began, target_cpu, bridge: None, _proxy: None }
            }
            Applier::Binbridge => {
                let mut options = BridgeOptions::new(&stage.source, &stage.target);
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
                Running { stage, began, target_cpu, bridge: Some(bridge), _proxy: proxy }
            }
        }
    }
}

/// A contender at work; stopped when dropped.
pub(crate) struct Running<'a> {
    stage: &'a Stage,
    began: Instant,
    target_cpu: f64,
    bridge: Option<Bridge>,
    _proxy: Option<Proxy>,
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
        match &mut self.bridge {
            None => wait_caught_up(&self.stage.target, &self.stage.source, LIMIT),
            Some(bridge) => bridge.wait_caught_up(&self.stage.source, LIMIT),
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
        self.bridge.as_ref().and_then(Bridge::pid)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        match &mut self.bridge {
            None => drop(self.stage.target.try_sql("STOP REPLICA; RESET REPLICA ALL")),
            Some(bridge) => bridge.kill(),
        }
    }
}
