//! How a server is configured.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::accounts::{self, ADMIN, Account};
use super::certificates::{Certificates, Identity};
use super::install::Installation;

/// How a server is configured; `ServerOptions { durable: true, ..ServerOptions::new("target") }`.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they are the server's own independent switches")]
pub struct ServerOptions {
    /// Names the server's folder.
    pub name: String,
    /// Whether a commit is on disk before it is acknowledged (`sync_binlog=1`, `innodb_flush_log_at_trx_commit=1`).
    pub durable: bool,
    /// 0 (names as they are) or 1 (folded to lower case).
    pub lower_case_table_names: u8,
    /// `gtid_mode=ON` from the first transaction.
    pub gtid: bool,
    /// ROW, MIXED or STATEMENT.
    pub binlog_format: String,
    /// The base name of binlog files.
    pub log_bin: String,
    /// `server_id`, different for each server of a process unless set.
    pub server_id: u32,
    /// `innodb_buffer_pool_size` in MiB.
    pub buffer_pool_mib: u32,
    /// Off saves memory and time; what a server tells about replication does not depend on it.
    pub performance_schema: bool,
    /// Refuses connections over TCP without TLS (error 3159).
    pub require_secure_transport: bool,
    /// What the server shows to TLS clients.
    pub identity: Identity,
    /// Further lines of `[mysqld]`; they win over the above.
    pub lines: Vec<String>,
    /// SQL run as root, not binlogged, on a new data folder.
    pub setup: fn(&Certificates) -> String,
    /// More of the same, after it.
    pub more_setup: String,
    /// The account that dumps are restored with.
    pub admin: Account,
}

impl ServerOptions {
    /// A server that stands in for no cloud: row format, no GTIDs, not durable, names as they are, TLS possible; the
    /// accounts `REPL`, `APP` and `ADMIN`.
    pub fn new(name: &str) -> Self {
        static NEXT_ID: AtomicU32 = AtomicU32::new(101);
        Self {
            name: name.to_owned(),
            durable: false,
            lower_case_table_names: 0,
            gtid: false,
            binlog_format: "ROW".to_owned(),
            log_bin: "binlog".to_owned(),
            server_id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            buffer_pool_mib: 128,
            performance_schema: false,
            require_secure_transport: false,
            identity: Identity::Signed,
            lines: Vec::new(),
            setup: |_| accounts::vanilla(),
            more_setup: String::new(),
            admin: ADMIN,
        }
    }

    /// Adds a line of `[mysqld]`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// The text of `my.cnf` for a server in `folder` on `port`.
    pub(super) fn file(
        &self,
        mysql: &Installation,
        folder: &Path,
        port: u16,
        certificates: &Certificates,
    ) -> String {
        let on = |value: bool| if value { "ON" } else { "OFF" };
        let path = |name: &str| folder.join(name).display().to_string();
        let mut lines = common_lines(mysql);
        lines.extend([
            format!("datadir={}", path("data")),
            format!("socket={}", path("s")),
            format!("pid_file={}", path("pid")),
            format!("log_error={}", path("error.log")),
            format!("port={port}"),
            format!("server_id={}", self.server_id),
            format!("log_bin={}", self.log_bin),
            format!("relay_log={}-relay", self.log_bin),
            format!("binlog_format={}", self.binlog_format),
            format!("gtid_mode={}", on(self.gtid)),
            format!("enforce_gtid_consistency={}", on(self.gtid)),
            format!("lower_case_table_names={}", self.lower_case_table_names),
            format!("innodb_buffer_pool_size={}M", self.buffer_pool_mib),
            format!("performance_schema={}", on(self.performance_schema)),
            format!("sync_binlog={}", u8::from(self.durable)),
            format!("innodb_flush_log_at_trx_commit={}", if self.durable { 1 } else { 2 }),
            format!("require_secure_transport={}", on(self.require_secure_transport)),
        ]);
        match certificates.server(self.identity) {
            Some((certificate, key)) => lines.extend([
                format!("ssl_ca={}", certificates.ca().display()),
                format!("ssl_cert={}", certificate.display()),
                format!("ssl_key={}", key.display()),
            ]),
            None => lines.extend(["tls_version=".to_owned(), "auto_generate_certs=OFF".to_owned()]),
        }
        lines.extend_from_slice(&self.lines);
        lines.join("\n") + "\n"
    }
}

/// What every instance is started with, the template's included.
pub(super) fn common_lines(mysql: &Installation) -> Vec<String> {
    let mut lines = vec!["[mysqld]".to_owned()];
    lines.extend(mysql.settings());
    let fixed = [
        "bind_address=127.0.0.1",
        "skip_name_resolve=ON",
        "host_cache_size=0",
        "mysqlx=OFF",
        "secure_file_priv=NULL",
        "innodb_redo_log_capacity=64M",
        "innodb_log_buffer_size=8M",
        "innodb_buffer_pool_dump_at_shutdown=OFF",
        "innodb_buffer_pool_load_at_startup=OFF",
        "max_connections=200",
    ];
    lines.extend(fixed.map(str::to_owned));
    if runs_as_root() {
        lines.push("user=root".to_owned());
    }
    lines
}

fn runs_as_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
