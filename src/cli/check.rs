//! `binbridge check`: what would keep the bridge from its work, all of it, before anything runs.

use std::process::ExitCode;

use crate::bridge::preflight;
use crate::check::Findings;
use crate::error::{Error, Result};

use super::args::Settings;
use super::run::{native, plan};
use super::{block_on, exit, say};

pub(super) fn run(settings: &Settings) -> ExitCode {
    let findings = match look(settings) {
        Ok(findings) => findings,
        Err(error) => return exit::failed(&error),
    };
    if let Err(error) = show(&findings) {
        return exit::failed(&error);
    }
    findings.blocking.first().map_or(ExitCode::SUCCESS, |error| ExitCode::from(error.exit_code()))
}

fn look(settings: &Settings) -> Result<Findings> {
    let config = settings.load()?.config;
    let (plan, native) = (plan(&config)?, native(&config));
    let target = format!("target {}:{}", plan.target.host, plan.target.port);
    block_on(preflight(&plan, &native))?.map_err(|error: Error| error.context(target))
}

fn show(findings: &Findings) -> Result<()> {
    for note in &findings.notes {
        say(&format!("note:     {note}\n"))?;
    }
    for error in &findings.blocking {
        say(&format!("stop:     {error}\n          remedy: {}\n", error.code().remedy()))?;
    }
    match findings.blocking.len() {
        0 => say("ok:       nothing was found that would keep the bridge from starting\n"),
        1 => say("\none thing keeps the bridge from starting\n"),
        count => say(&format!("\n{count} things keep the bridge from starting\n")),
    }
}
