//! The two servers, and the data folders that every run starts from.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::load;
use crate::settings::Settings;
use crate::shapes;
use crate::support::{Coordinates, Server, ServerOptions, azure_options, dump_restore, rds_options};
use crate::sysbench::{SCHEMA, TABLES, schema};

/// A source like RDS and a durable target like Azure, with equal tables.
pub(crate) struct Stage {
    pub(crate) source: Server,
    pub(crate) target: Server,
    templates: tempfile::TempDir,
}

impl Stage {
    /// Loads the tables once, copies them to the target, and keeps both data folders.
    pub(crate) fn build(settings: &Settings, gtid: bool) -> Self {
        println!("loading {} rows into each table", settings.rows);
        let source = Server::start(roomy(ServerOptions { gtid, ..rds_options("source", "ROW") }));
        let target = Server::start(roomy(ServerOptions { durable: true, gtid, ..azure_options("target") }));
        source.sql(&schema());
        source.sql(&shapes::schema());
        load::fill_tables(&source, settings.rows);
        dump_restore(&source, &target, &[SCHEMA]);
        let templates = tempfile::tempdir().expect("a temporary folder");
        for (server, name) in [(&source, "source"), (&target, "target")] {
            server.stop();
            copy(&server.data_folder(), &templates.path().join(name));
        }
        Self { source, target, templates }
    }

    /// A source as loaded, that writes its binlog in `format`; its position.
    pub(crate) fn fresh_source(&self, format: &str) -> Coordinates {
        self.put_back(&self.source, "source");
        self.source.restart_with(|options| format.clone_into(&mut options.binlog_format));
        self.source.coordinates()
    }

    /// A target as loaded, running, its pages in memory as those of a server that has been at work for a while.
    pub(crate) fn fresh_target(&self) {
        self.put_back(&self.target, "target");
        self.target.start_again();
        for table in 1..=TABLES {
            self.target.sql(&format!(
                "SELECT SUM(LENGTH(pad)) FROM {SCHEMA}.sbtest{table} FORCE INDEX (PRIMARY); \
                 SELECT SUM(k) FROM {SCHEMA}.sbtest{table} FORCE INDEX (k_{table})"
            ));
        }
    }

    fn put_back(&self, server: &Server, name: &str) {
        server.kill();
        let folder = server.data_folder();
        std::fs::remove_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        copy(&self.template(name), &folder);
    }

    fn template(&self, name: &str) -> PathBuf {
        self.templates.path().join(name)
    }
}

/// All tables fit in memory, and the redo log does not wrap within a run.
fn roomy(options: ServerOptions) -> ServerOptions {
    ServerOptions { buffer_pool_mib: 512, ..options }.line("innodb_redo_log_capacity=1G")
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "cannot copy {} to {}",
        from.display(),
        to.display()
    );
    // What is still to be written to the disk would be written during the run.
    let _ = Command::new("sync").arg("-f").arg(to).status();
}
