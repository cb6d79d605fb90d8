//! `binbridge run` in the background, asked through `binbridge status`.

use std::fmt;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::stage::count;
use crate::support::{Coordinates, program, wait_until};

/// The running bridge; killed when dropped.
pub struct Daemon {
    folder: PathBuf,
    child: Child,
}

/// What `binbridge status --json` says.
pub struct Status(serde_json::Value);

impl Daemon {
    /// Starts it in `folder`, in a process group of its own: Ctrl-C is the demo's.
    pub fn start(folder: &Path) -> Self {
        let log = File::create(folder.join("binbridge.log")).expect("the log opens");
        let mut command = guarded();
        command.args(["run"]).current_dir(folder).env_remove("BINBRIDGE_CONFIG").process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        Self { folder: folder.to_owned(), child: child.expect("binbridge starts") }
    }

    /// Waits until it answers.
    pub fn wait_answering(&self, limit: Duration) {
        wait_until("the bridge answers", limit, || self.asked().is_some());
    }

    /// What it does now.
    pub fn status(&mut self) -> Status {
        if let Ok(Some(ended)) = self.child.try_wait() {
            panic!("binbridge ended with {ended}:\n{}", self.log_tail());
        }
        self.asked().unwrap_or(Status(serde_json::Value::Null))
    }

    fn asked(&self) -> Option<Status> {
        let mut command = Command::new(program());
        command
            .args(["status", "--json"])
            .current_dir(&self.folder)
            .env_remove("BINBRIDGE_CONFIG")
            .process_group(0);
        let output = command.output().ok().filter(|output| output.status.success())?;
        serde_json::from_slice(&output.stdout).ok().map(Status)
    }

    /// SIGTERM; the exit status, and how long the drain took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "kill", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIGTERM to binbridge");
        let status = self.child.wait().expect("binbridge ends");
        (status, begin.elapsed())
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("binbridge.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, told to die with this process where `setpriv` (util-linux) can say so: no bridge outlives its servers.
/// It is started from the main thread, which lives as long as the process.
fn guarded() -> Command {
    let guard = ["--pdeathsig", "KILL", "--"];
    let works = Command::new("setpriv").args(guard).arg("true").stderr(Stdio::null()).status();
    if works.is_ok_and(|status| status.success()) {
        let mut command = Command::new("setpriv");
        command.args(guard).arg(program());
        return command;
    }
    Command::new(program())
}

impl Status {
    /// In step with the source: what it commits is on the target a moment later.
    pub fn caught_up(&self) -> bool {
        self.total("applied") > 0 && self.lag().is_some_and(|lag| lag < 0.1)
    }

    fn lag(&self) -> Option<f64> {
        self.0["lag"]["applied_seconds"].as_f64()
    }

    /// Up to where everything is on the target.
    pub fn applied(&self) -> Option<Coordinates> {
        let (file, offset) = self.0["position"]["applied"].as_str()?.rsplit_once(':')?;
        Some(Coordinates { file: file.to_owned(), offset: offset.parse().ok()? })
    }

    /// A count since the process started.
    pub fn total(&self, name: &str) -> u64 {
        self.0["totals"][name].as_u64().unwrap_or(0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0["state"]["name"].as_str().unwrap_or("no answer");
        let lag = self.lag().map_or_else(|| "unknown".to_owned(), |lag| format!("{:.0} ms", lag * 1e3));
        let waiting = self.0["lag"]["transactions"].as_u64().unwrap_or(0);
        let rate = self.0["rates"]["applied_per_second"].as_f64().unwrap_or(0.0);
        write!(f, "{state}: lag {lag}, {} waiting, {rate:.0} trx/s applied", count(waiting))?;
        // Of the last second: a minute's would still speak of catching up.
        match self.0["second"]["latency_p99_ms"].as_f64() {
            Some(p99) if state == "streaming" => write!(f, ", commit to commit p99 {p99:.0} ms"),
            _ => Ok(()),
        }
    }
}
