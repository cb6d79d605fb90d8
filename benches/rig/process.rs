//! What a process uses, from `/proc`.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Processor seconds so far, user and system.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    // proc_pid_stat(5): fields 14 and 15, behind a name in parentheses, in hundredths of a second.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Resident memory now, in MiB.
pub(crate) fn rss_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or(0.0) / 1024.0
}

/// Resident memory while `work` runs: sampled ten times a second.
pub(crate) fn sampled_rss_mib<T>(pid: u32, work: impl FnOnce() -> T) -> (T, Vec<f64>) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut samples = vec![rss_mib(pid)];
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(100));
                samples.push(rss_mib(pid));
            }
            samples
        });
        let value = work();
        over.store(true, Ordering::Relaxed);
        (value, sampler.join().expect("the sampler ends"))
    })
}
