//! Bad input tried on real servers: each gives one clear error with code, remedy and exit code within bounded time, and
//! nothing past it is applied.

mod connect;
mod data;
mod flipper;
mod positions;
mod settings;
mod sizes;
mod stop;
mod wire;

use std::process::Output;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::{
    AZADMIN, Bridge, BridgeOptions, Coordinates, Server, ServerOptions, Session, azure_options, compare,
    wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);

/// A source that is no cloud's and is silent by itself, and an Azure-like target.
struct Pair {
    source: Server,
    target: Server,
    /// Root's connections: a client of its own for each statement takes longer than the statement.
    on_source: Mutex<Session>,
    on_target: Mutex<Session>,
}

impl Pair {
    fn start(source: ServerOptions) -> Self {
        Self::with_target(source, azure_options("target"))
    }

    fn with_target(source: ServerOptions, target: ServerOptions) -> Self {
        std::thread::scope(|scope| {
            let target = scope.spawn(|| Server::start(target));
            let source = Server::start(source);
            let target = target.join().unwrap();
            let on_source = Mutex::new(source.session().unwrap());
            let on_target = Mutex::new(target.session().unwrap());
            Self { source, target, on_source, on_target }
        })
    }

    /// What a bridge named `name` is told.
    fn options(&self, name: &str) -> BridgeOptions {
        named(&self.source, &self.target, name)
    }

    /// A bridge of its own whose start is the source's end now.
    fn bridge_from_here(&self, name: &str) -> Bridge {
        let bridge = Bridge::new(self.options(name));
        bridge.store(&self.source.coordinates());
        bridge
    }

    /// Runs the same on both ends; in no binlog.
    #[track_caller]
    fn both(&self, sql: &str) {
        let sql = format!("SET sql_log_bin = 0; {sql}; SET sql_log_bin = 1");
        self.source_sql(&sql);
        self.target_sql(&sql);
    }

    #[track_caller]
    fn source_sql(&self, sql: &str) -> String {
        self.on_source.lock().unwrap().run(sql).unwrap_or_else(|error| panic!("on source: {error}\n{sql}"))
    }

    #[track_caller]
    fn target_sql(&self, sql: &str) -> String {
        self.on_target.lock().unwrap().run(sql).unwrap_or_else(|error| panic!("on target: {error}\n{sql}"))
    }

    /// The end of the source's log.
    fn end(&self) -> Coordinates {
        let row = self.source_sql("SHOW BINARY LOG STATUS");
        let mut fields = row.split('\t');
        let file = fields.next().unwrap().to_owned();
        Coordinates { file, offset: fields.next().unwrap().parse().unwrap() }
    }
}

fn named(source: &Server, target: &Server, name: &str) -> BridgeOptions {
    let mut options = BridgeOptions::new(source, target);
    options.set("bridge.name", &format!("\"{name}\"")).set("bridge.lease", "\"2s\"");
    options
}

/// A command ended with one error: this code, a remedy, this exit code. Gives what it said.
#[track_caller]
fn refused(output: &Output, code: &str, exit: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error ")).collect();
    assert!(errors.len() == 1 && errors[0].starts_with(&format!("error {code}: ")), "{said}");
    assert!(said.lines().any(|line| line.starts_with("  remedy: ") && line.len() > 20), "{said}");
    clean(&said);
    said
}

/// `binbridge run` ends by itself with one error. Gives that line of the log.
#[track_caller]
fn run_refused(bridge: &mut Bridge, code: &str, exit: i32) -> String {
    bridge.run();
    ended(bridge, code, exit)
}

/// A bridge that runs ends by itself with one error.
#[track_caller]
fn ended(bridge: &mut Bridge, code: &str, exit: i32) -> String {
    let status = bridge.wait_ended(LIMIT);
    // As logfmt has it, quotes are escaped.
    let log = bridge.log().replace("\\'", "'").replace("\\\"", "\"");
    std::fs::remove_file(bridge.log_path()).unwrap();
    assert_eq!(status.code(), Some(exit), "{log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("level=error")).collect();
    let [error] = errors.as_slice() else { panic!("one error expected:\n{log}") };
    assert!(error.contains(&format!("code={code} ")) && error.contains("remedy="), "{error}");
    assert!(error.contains(&format!("{code}: ")), "{error}");
    clean(&log);
    (*error).to_owned()
}

/// Nothing that is said holds a secret.
#[track_caller]
fn clean(said: &str) {
    for secret in ["-Secret1", "wrong-Secret"] {
        assert!(!said.contains(secret), "a secret is shown:\n{said}");
    }
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

/// One field of a bridge's progress row on the target; empty if there is none.
fn progress(target: &Server, name: &str, field: &str) -> String {
    target
        .try_sql(&format!("SELECT {field} FROM binbridge.progress WHERE bridge = '{name}'"))
        .unwrap_or_default()
}
