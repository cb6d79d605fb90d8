//! The same workload applied by a native replica and by binbridge leaves what the source has, row by row.

mod rows;
mod seeds;
mod statements;

use std::time::Duration;

use crate::support::{
    Bridge, BridgeOptions, ReplicaOptions, Server, ServerOptions, Start, azure_options, compare,
    native_replica, wait_caught_up, wait_until,
};

const LIMIT: Duration = Duration::from_secs(120);

/// A source, its native replica, and the target of a bridge, all from the source's first event on.
struct Three {
    source: Server,
    native: Server,
    target: Server,
    bridge: Bridge,
}

impl Three {
    fn start(source: ServerOptions) -> Self {
        let (source, target) = std::thread::scope(|scope| {
            let mut options = azure_options("target");
            // Azure gives no such privileges: there, statements with another's DEFINER stop the bridge (BB3002).
            "GRANT SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER, SYSTEM_USER ON *.* TO azadmin@`%`"
                .clone_into(&mut options.more_setup);
            let target = scope.spawn(|| Server::start(options));
            (Server::start(source), target.join().unwrap())
        });
        // Names fold on the way, as they do on the bridge's target.
        let mut replica = ReplicaOptions::new("native", 1);
        replica.server.lower_case_table_names = 1;
        let start = source.coordinates();
        let native = native_replica(&source, replica, &Start::At(start.clone()));
        let bridge = Bridge::started(BridgeOptions::new(&source, &target), &start);
        Self { source, native, target, bridge }
    }

    /// Runs a workload on the source and compares the three.
    #[track_caller]
    fn same_after(&mut self, what: &str, sql: &str, databases: &[&str]) {
        self.source.sql(sql);
        self.same(what, databases);
    }

    #[track_caller]
    fn same(&mut self, what: &str, databases: &[&str]) {
        wait_caught_up(&self.native, &self.source, LIMIT);
        self.bridge.wait_caught_up(&self.source, LIMIT);
        compare(&self.source, &self.native, databases)
            .unwrap_or_else(|error| panic!("native, {what}: {error}"));
        compare(&self.source, &self.target, databases)
            .unwrap_or_else(|error| panic!("binbridge, {what}: {error}"));
    }
}
