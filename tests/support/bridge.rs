//! The binbridge program as a child process, with its configuration, log and admin address.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use super::accounts::{AZADMIN, Account, REPL};
use super::server::{Coordinates, Server};
use super::wait::wait_until;

/// The program: the one cargo built beside this test or bench, else `BINBRIDGE_BIN`.
pub fn program() -> PathBuf {
    match option_env!("CARGO_BIN_EXE_binbridge") {
        Some(path) => path.into(),
        None => std::env::var_os("BINBRIDGE_BIN").expect("BINBRIDGE_BIN names the binbridge program").into(),
    }
}

/// How a bridge is set up: keys of its configuration, and variables of its environment.
#[derive(Clone, Debug)]
pub struct BridgeOptions {
    /// Configuration keys (`source.port`) and their values as TOML has them.
    pub keys: BTreeMap<String, String>,
    /// Environment, such as `BINBRIDGE_FAILPOINT`.
    pub env: BTreeMap<String, String>,
}

impl BridgeOptions {
    /// From `source` to `target`, with the accounts and TLS settings a migration would have.
    pub fn new(source: &Server, target: &Server) -> Self {
        let mut options = Self { keys: BTreeMap::new(), env: BTreeMap::new() };
        options.end("source", source.port(), REPL, Some(source));
        options.end("target", target.port(), AZADMIN, Some(target));
        options.set("admin.listen", &format!("\"127.0.0.1:{}\"", free_port()));
        options.set("source.heartbeat", "\"1s\"");
        options
    }

    /// Sets one key, in TOML's words (a text with its quotes).
    pub fn set(&mut self, key: &str, value: &str) -> &mut Self {
        self.keys.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets one variable of the environment.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// One end by port (a proxy's, say) and account; verified TLS where `tls` names the server whose CA counts.
    pub fn end(&mut self, end: &str, port: u16, account: Account, tls: Option<&Server>) -> &mut Self {
        self.set(&format!("{end}.host"), "\"127.0.0.1\"");
        self.set(&format!("{end}.port"), &port.to_string());
        self.set(&format!("{end}.user"), &format!("{:?}", account.user));
        self.env(&format!("BINBRIDGE_TEST_{}_PASSWORD", end.to_uppercase()), account.password);
        self.set(
            &format!("{end}.password_env"),
            &format!("\"BINBRIDGE_TEST_{}_PASSWORD\"", end.to_uppercase()),
        );
        if let Some(server) = tls {
            self.set(&format!("{end}.ssl_mode"), "\"verify-ca\"");
            self.set(&format!("{end}.ssl_ca"), &format!("{:?}", server.ca_path().display().to_string()))
        } else {
            self.keys.remove(&format!("{end}.ssl_ca"));
            self.set(&format!("{end}.ssl_mode"), "\"preferred\"")
        }
    }

    fn toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for (key, value) in &self.keys {
            let (in_section, name) = key.split_once('.').expect("section.key");
            if in_section != section {
                let _ = writeln!(text, "[{in_section}]");
                section = in_section;
            }
            let _ = writeln!(text, "{name} = {value}");
        }
        text
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// A bridge: its folder, and its process while it runs. Killed when dropped.
pub struct Bridge {
    folder: tempfile::TempDir,
    options: BridgeOptions,
    child: Option<Child>,
    /// How long the log was when the last run began.
    logged: usize,
}

impl Bridge {
    /// Nothing runs yet.
    pub fn new(options: BridgeOptions) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), options, child: None, logged: 0 }
    }

    /// A bridge whose start is stored at `start`, and which runs.
    pub fn started(options: BridgeOptions, start: &Coordinates) -> Self {
        let mut bridge = Self::new(options);
        bridge.store(start);
        bridge.run();
        bridge
    }

    /// What it is told; takes effect at the next command.
    pub fn options(&mut self) -> &mut BridgeOptions {
        &mut self.options
    }

    fn config(&self) -> PathBuf {
        let path = self.folder.path().join("binbridge.toml");
        // A process that was just started may be reading it.
        let new = self.folder.path().join("binbridge.toml.new");
        fs::write(&new, self.options.toml())
            .and_then(|()| fs::rename(&new, &path))
            .expect("the configuration is written");
        path
    }

    /// `binbridge ARGS --config ...`, ready to run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).arg("--config").arg(self.config()).envs(&self.options.env);
        command.env_remove("BINBRIDGE_CONFIG");
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("binbridge runs")
    }

    /// Stores the start position.
    pub fn store(&self, start: &Coordinates) {
        let output = self.output(&["position", "--file", &start.file, "--offset", &start.offset.to_string()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Where the log goes.
    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The log of all runs so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The log of the last run: nothing as long as its process has said nothing.
    pub fn log_of_run(&self) -> String {
        self.log().split_off(self.logged)
    }

    /// Starts `binbridge run`.
    pub fn run(&mut self) {
        self.run_with(&[]);
    }

    /// Starts `binbridge run` with more arguments.
    pub fn run_with(&mut self, more: &[&str]) {
        self.logged = self.log().len();
        let log = File::options().create(true).append(true).open(self.log_path()).expect("the log opens");
        let errors = log.try_clone().expect("the log opens twice");
        let mut command = self.command(&["run"]);
        command.args(more);
        let child =
            command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("binbridge starts");
        self.child = Some(child);
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the process has ended by itself, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("the child can be asked"))
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn wait_ended(&mut self, limit: Duration) -> ExitStatus {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                self.child = None;
                return status;
            }
            assert!(Instant::now() < until, "binbridge still runs; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal by name (`TERM`, `STOP`).
    pub fn signal(&self, name: &str) {
        let pid = self.pid().expect("the bridge runs").to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// SIGTERM, and the end.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_ended(Duration::from_secs(60))
    }

    /// GET on the admin server; the body, whatever the status code.
    pub fn get(&self, path: &str) -> Option<String> {
        let address = self.options.keys.get("admin.listen")?.trim_matches('"').to_owned();
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// `/status`, parsed.
    pub fn status(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.get("/status")?).ok()
    }

    /// Waits until everything the source has committed by now is on the target.
    #[track_caller]
    pub fn wait_caught_up(&mut self, source: &Server, limit: Duration) {
        let end = source.coordinates();
        let mut last = String::new();
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Some(status) = self.ended() {
                panic!("binbridge ended with {status}; its log:\n{}", self.log());
            }
            if let Some(status) = self.status() {
                last = status["position"].to_string();
                if status["position"]["applied"]
                    .as_str()
                    .and_then(place)
                    .is_some_and(|applied| applied >= end)
                {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not caught up to {end} in {limit:?}, at {last}; log:\n{}", self.log());
    }

    /// Whether everything that the source has committed by now is applied.
    pub fn has_caught_up(&self, source: &Server) -> bool {
        let applied = self.status().and_then(|status| place(status["position"]["applied"].as_str()?));
        applied.is_some_and(|applied| applied >= source.coordinates())
    }

    /// Waits for words in the log.
    #[track_caller]
    pub fn wait_log(&self, words: &str, limit: Duration) {
        wait_until(&format!("`{words}` in the log of binbridge"), limit, || self.log().contains(words));
    }
}

fn place(text: &str) -> Option<Coordinates> {
    let (file, offset) = text.rsplit_once(':')?;
    Some(Coordinates { file: file.to_owned(), offset: offset.parse().ok()? })
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Peak resident memory of a process, in MiB, from `/proc`.
pub fn peak_rss_mib(pid: u32) -> f64 {
    let status =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or(0.0) / 1024.0
}
