//! One MySQL server on loopback, in a temporary folder of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::accounts::Account;
use super::certificates::{Certificates, Identity, certificates};
use super::folder::{Folder, folder};
use super::install::{Installation, mysqld};
use super::kept::Kept;
use super::launch::{self, Guarded};
use super::options::ServerOptions;
use super::session::Session;
use super::template::copy_data_folder;
use super::wait::wait_until;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server; killed, and its folder removed, when dropped.
pub struct Server {
    mysql: &'static Installation,
    options: Mutex<ServerOptions>,
    certificates: Certificates,
    folder: PathBuf,
    port: u16,
    /// Before the process: they end first.
    kept: Kept,
    process: Mutex<Option<Guarded>>,
    _base: Arc<Folder>,
}

/// A place in a binlog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coordinates {
    /// The binlog file's name.
    pub file: String,
    /// The byte offset in it.
    pub offset: u64,
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

impl Server {
    /// Starts a server on a fresh data folder and runs its set-up.
    pub fn start(options: ServerOptions) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let base = folder();
        let own = format!("{}-{}", options.name, NEXT.fetch_add(1, Ordering::Relaxed));
        let mut server = Self {
            mysql: mysqld(),
            certificates: certificates(base.path()),
            folder: base.path().join(own),
            port: 0,
            options: Mutex::new(options),
            kept: Kept::default(),
            process: Mutex::new(None),
            _base: base,
        };
        fs::create_dir(&server.folder).unwrap_or_else(|e| panic!("{}: {e}", server.folder.display()));
        server.fresh_data();
        // Another process may take the port between the look and the start.
        for _ in 0..5 {
            server.port = free_port();
            match server.launch() {
                Ok(()) => break,
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("{} does not start:\n{log}", server.name()),
            }
        }
        server.set_up();
        server
    }

    /// The name it was given.
    pub fn name(&self) -> String {
        self.options().name.clone()
    }

    /// Its TCP port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    /// The certificate of the authority that signed its own.
    pub fn ca_path(&self) -> PathBuf {
        self.certificates.ca()
    }

    /// All certificates there are.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The folder with its binlogs.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What MySQL runs here.
    pub fn mysql(&self) -> &'static Installation {
        self.mysql
    }

    /// The account that dumps are restored with.
    pub fn admin(&self) -> Account {
        self.options().admin
    }

    /// Runs statements as root over the socket and returns their rows, columns parted by tabs.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("on {}: {error}\n{sql}", self.name()))
    }

    /// The same; the error is what the client printed.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        match self.kept.look(sql, || self.session()) {
            Some(rows) => Ok(rows),
            None => run(self.cli().args(["-N", "-B"]), sql),
        }
    }

    /// Runs statements as `account` over TCP, with TLS verified as far as the server's certificate allows.
    pub fn sql_as(&self, account: Account, sql: &str) -> Result<String, String> {
        run(self.cli_as(account).args(["-N", "-B"]), sql)
    }

    /// Statements one after the other on one connection, as root.
    pub fn session(&self) -> Result<Session, String> {
        Session::start(self.cli())
    }

    /// Statements one after the other on one connection, as `account` over TCP.
    pub fn session_as(&self, account: Account) -> Result<Session, String> {
        Session::start(self.cli_as(account))
    }

    /// The same through a proxy on `port`.
    pub fn session_through(&self, account: Account, port: u16) -> Result<Session, String> {
        let mut client = self.cli_as(account);
        client.arg(format!("--port={port}"));
        Session::start(client)
    }

    /// The `mysql` program for root; arguments, input and output are the caller's.
    pub fn cli(&self) -> Command {
        root_cli(self.mysql.mysql(), &self.socket())
    }

    /// The `mysql` program for `account` over TCP.
    pub fn cli_as(&self, account: Account) -> Command {
        let mut command = self.mysql.mysql();
        command.arg(format!("--defaults-file={}", self.client_file(account).display()));
        command
    }

    /// An option file with which MySQL's own programs connect as `account` over TCP.
    pub fn client_file(&self, account: Account) -> PathBuf {
        let trust = match self.options().identity {
            Identity::Signed => "ssl-mode=VERIFY_IDENTITY",
            Identity::OtherName => "ssl-mode=VERIFY_CA",
            Identity::SelfSigned => "ssl-mode=REQUIRED",
            Identity::None => "ssl-mode=DISABLED\nget-server-public-key",
        };
        let ca = match self.options().identity {
            Identity::Signed | Identity::OtherName => format!("ssl-ca={}\n", self.ca_path().display()),
            Identity::SelfSigned | Identity::None => String::new(),
        };
        let Account { user, password } = account;
        let text = format!(
            "[client]\nuser={user}\npassword=\"{password}\"\nhost=localhost\nprotocol=TCP\nport={}\n{trust}\n{ca}",
            self.port
        );
        let file = self.folder.join(format!("client-{user}.cnf"));
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        file
    }

    /// Where its binlog ends.
    pub fn coordinates(&self) -> Coordinates {
        let statement =
            if self.mysql.version() >= (8, 2, 0) { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
        let row = self.sql(statement);
        let mut columns = row.split('\t');
        let file = columns.next().unwrap_or_default().to_owned();
        let offset = columns.next().and_then(|text| text.parse().ok());
        Coordinates { file, offset: offset.unwrap_or_else(|| panic!("no binlog position in '{row}'")) }
    }

    /// `SHOW REPLICA STATUS` by column name; empty where there is no replication.
    pub fn replica_status(&self) -> BTreeMap<String, String> {
        let text = run(self.cli().args(["-E"]), "SHOW REPLICA STATUS").unwrap_or_default();
        let fields = text.lines().filter_map(|line| line.trim_start().split_once(':'));
        fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }

    /// Stops the server in an orderly way; what it has on disk stays.
    pub fn stop(&self) {
        let _ = self.try_sql("SHUTDOWN");
        self.kept.close();
        let mut process = self.process();
        let start = Instant::now();
        while process.as_mut().is_some_and(|process| !process.ended()) && start.elapsed() < START_LIMIT {
            std::thread::sleep(Duration::from_millis(10));
        }
        *process = None;
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&self) {
        self.kept.close();
        *self.process() = None;
    }

    /// Starts a stopped or killed server again, on the same port.
    #[track_caller]
    pub fn start_again(&self) {
        self.launch().unwrap_or_else(|log| panic!("{} does not start:\n{log}", self.name()));
    }

    /// Stops it in an orderly way and starts it again.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Restarts with changed options. Those that are fixed when a data folder is made stay as they are.
    pub fn restart_with(&self, change: impl FnOnce(&mut ServerOptions)) {
        self.stop();
        change(&mut self.options());
        self.start_again();
    }

    /// Back to a fresh data folder and its set-up, on the same port.
    pub fn reset(&self) {
        self.kill();
        fs::remove_dir_all(self.data_folder()).unwrap_or_else(|error| panic!("data folder: {error}"));
        self.fresh_data();
        self.start_again();
        self.set_up();
    }

    /// Sends a signal by name: "STOP" makes the server hang with its connections open, "CONT" ends that.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "signal", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {}", self.name());
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process().as_ref().unwrap_or_else(|| panic!("{} is not running", self.name())).pid()
    }

    /// Its error log as it is now.
    pub fn error_log(&self) -> String {
        fs::read_to_string(self.folder.join("error.log")).unwrap_or_default()
    }

    /// The processor time it has used since it was started, user and system.
    pub fn cpu_seconds(&self) -> f64 {
        // proc_pid_stat(5): the name, in parentheses, may hold anything; utime and stime are fields 14 and 15, in
        // ticks of which Linux has 100 a second on every architecture that MySQL runs on.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
        ticks.sum::<f64>() / 100.0
    }

    fn options(&self) -> MutexGuard<'_, ServerOptions> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(&self) -> MutexGuard<'_, Option<Guarded>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh_data(&self) {
        copy_data_folder(self.mysql, self.options().lower_case_table_names, &self.data_folder());
    }

    fn set_up(&self) {
        let options = self.options().clone();
        let setup = (options.setup)(&self.certificates) + &options.more_setup;
        // What a server is born with is in no binlog: a replica has its own.
        self.sql(&format!("SET sql_log_bin = 0;\n{setup}"));
    }

    /// Starts the process and waits until it answers; the error is the log of this start.
    fn launch(&self) -> Result<(), String> {
        let configuration = self.folder.join("my.cnf");
        let text = self.options().file(self.mysql, &self.folder, self.port, &self.certificates);
        fs::write(&configuration, text).map_err(|error| error.to_string())?;
        let log_before = self.error_log().len();
        let mut command = self.mysql.mysqld();
        command.arg(format!("--defaults-file={}", configuration.display()));
        let mut process = launch::spawn(command).map_err(|error| format!("cannot run mysqld: {error}"))?;
        let socket = self.socket();
        wait_until(&format!("{} answers", self.name()), START_LIMIT, || process.ended() || answers(&socket));
        if process.ended() {
            return Err(self.error_log().get(log_before..).unwrap_or_default().to_owned());
        }
        *self.process() = Some(process);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            // The folder goes, and with it what may say why.
            let log = self.error_log();
            let first = log.lines().count().saturating_sub(30);
            let last: Vec<&str> = log.lines().skip(first).collect();
            eprintln!("end of the error log of {}:\n{}", self.name(), last.join("\n"));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn root_cli(mut mysql: Command, socket: &Path) -> Command {
    mysql.args(["--no-defaults", "--default-character-set=utf8mb4", "-uroot", "-S"]).arg(socket);
    mysql
}

/// Runs a client on `sql`, given through its standard input: there is no limit to its length.
pub(super) fn run(client: &mut Command, sql: &str) -> Result<String, String> {
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().map_err(|error| format!("cannot run mysql: {error}"))?;
    let mut input = child.stdin.take().ok_or("no pipe to mysql")?;
    let output = std::thread::scope(|scope| {
        // A client that fails at once does not read the rest; its error says why.
        scope.spawn(move || input.write_all(sql.as_bytes()));
        child.wait_with_output()
    });
    let output = output.map_err(|error| format!("mysql: {error}"))?;
    if output.status.success() {
        let rows = String::from_utf8_lossy(&output.stdout).into_owned();
        return Ok(rows.trim_end_matches('\n').to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if said.is_empty() { format!("mysql ended with {}", output.status) } else { said })
}

/// Whether a server greets on its socket. It listens before it can answer.
fn answers(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut header = [0; 5];
    // The first byte after the packet header is the protocol version; 255 would be an error packet.
    stream.read_exact(&mut header).is_ok() && header[4] == 10
}

/// A port below those that the system hands out by itself, so that it is still free after a restart.
pub fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(20_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
