//! `binbridge generate`: files that belong to this version.

use std::fmt::Write;

use crate::config::{KEYS, Key};
use crate::error::{Code, Policy, Result};
use crate::observe::assets;

use super::args::Generate;
use super::say;

pub(super) fn run(what: Generate) -> Result<()> {
    match what {
        Generate::Dashboard => say(assets::DASHBOARD),
        Generate::Alerts => say(assets::ALERTS),
        Generate::Config => say(&configuration()),
        Generate::Errors => say(&errors()),
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
    let value = key.default.map_or(String::new(), |default| format!(" {default:?}"));
    format!("# {}\n# {name} ={value}", key.help)
}

/// The table of the README.
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
