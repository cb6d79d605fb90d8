//! `binbridge generate`: files that belong to this version, and the tables of the README.

use std::fmt::Write;
use std::time::Duration;

use crate::config::{KEYS, Key, Kind};
use crate::error::{Code, Policy, Result};
use crate::observe::assets::{ALERTS, DASHBOARD};
use crate::observe::metrics::{self, Metric};

use super::args::Generate;
use super::say;

pub(super) fn run(what: Generate) -> Result<()> {
    match what {
        Generate::Config => say(&configuration()),
        Generate::Settings => say(&settings()),
        Generate::Metrics => say(&metric_table()),
        Generate::Errors => say(&errors()),
        Generate::Alerts => say(ALERTS),
        Generate::Dashboard => say(DASHBOARD),
    }
}

/// Every key, commented out where it has a default.
fn configuration() -> String {
    let mut text = String::new();
    let mut section = "";
    for key in KEYS {
        if key.section() != section {
            section = key.section();
            let _ = writeln!(text, "\n[{section}]");
        }
        let _ = writeln!(text, "{}", line(key));
    }
    text.trim_start().to_owned()
}

fn line(key: &Key) -> String {
    let name = key.name();
    let value = match (key.default, key.kind) {
        (None, _) => String::new(),
        (Some(default), Kind::Integer(..) | Kind::IntegerOrAuto(..)) => format!(" {default}"),
        (Some(default), _) => format!(" {default:?}"),
    };
    format!("# {}\n# {name} ={value}", key.help)
}

fn settings() -> String {
    let mut text = String::from("| key | default | value | meaning |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = key.default.map_or("-".to_owned(), |default| format!("`{default}`"));
        let _ = writeln!(text, "| `{}` | {default} | {} | {} |", key.path, value(key.kind), key.help);
    }
    text
}

fn value(kind: Kind) -> String {
    let duration = |time: Duration| humantime::format_duration(time).to_string();
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Integer(from, to) => format!("{from} to {to}"),
        Kind::IntegerOrAuto(from, to) => format!("{from} to {to}, or auto"),
        Kind::Duration(from, to) => format!("{} to {}", duration(from), duration(to)),
        Kind::Size(from, to) => format!("{} to {}", size(from), size(to)),
        Kind::Choice(words) => words.join(", "),
        Kind::List => "text or list".to_owned(),
        Kind::Pairs => "table".to_owned(),
    }
}

fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

fn metric_table() -> String {
    let mut text = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for Metric { name, kind, labels, help } in metrics::ALL {
        let kind = match kind {
            metrics::Kind::Gauge => "gauge",
            metrics::Kind::Counter => "counter",
            metrics::Kind::Histogram(_) => "histogram",
        };
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    text
}

fn errors() -> String {
    let mut text = String::from("| code | exit | what to do |\n|---|---|---|\n");
    for code in Code::ALL {
        let exit = match code.policy() {
            Policy::Retry => "retried".to_owned(),
            Policy::Stop(exit) => exit.to_string(),
        };
        let _ = writeln!(text, "| {code} | {exit} | {} |", code.remedy());
    }
    text
}
