//! The command line: what was typed, what is done, what is said, and the exit code.

mod admin;
mod args;
mod change;
mod check;
mod exit;
mod generate;
mod orders;
mod position;
mod run;
mod status;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::config;
use crate::error::{Code, Error, Result};
use crate::native::Wanted;

use args::{Args, Command, ConfigCommand, Settings};

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    let result = match args.command {
        Command::Run(args) => return run::run(&args),
        Command::Check(settings) => return check::run(&settings),
        Command::Position(args) => position::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Takeover(args) => change::run(&args, Wanted::Takeover),
        Command::Handback(args) => change::run(&args, Wanted::Handback),
        Command::Pause(args) => orders::pause(&args),
        Command::Resume(args) => orders::resume(&args),
        Command::Skip(args) => orders::skip(&args),
        Command::Until(args) => orders::until(&args),
        Command::Limit(args) => orders::limit(&args),
        Command::Config(ConfigCommand::Show(settings)) => {
            settings.load().and_then(|loaded| say(&loaded.effective.to_string()))
        }
        Command::Generate(what) => generate::run(what),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(&error),
    }
}

/// Where the configuration file is looked for, if nobody says where it is.
const PLACES: [&str; 2] = ["binbridge.toml", "/etc/binbridge/binbridge.toml"];

impl Settings {
    /// File, environment and flags together.
    fn load(&self) -> Result<config::Loaded> {
        let flags: Result<Vec<config::Flag>> = self.set.iter().map(|text| flag(text)).collect();
        config::load(self.file().as_deref(), &config::environment(), &flags?).map_err(Error::from)
    }

    /// The file named, or the first that is there.
    fn file(&self) -> Option<PathBuf> {
        let there = || PLACES.iter().map(PathBuf::from).find(|path| path.exists());
        self.config.clone().or_else(there)
    }
}

fn flag(text: &str) -> Result<config::Flag> {
    match text.split_once('=') {
        Some((key, value)) => Ok(config::Flag {
            key: key.trim().to_owned(),
            value: value.to_owned(),
            flag: format!("--set {key}"),
        }),
        None => Err(Error::new(
            Code::Usage,
            format!("--set {text}: not of the form key=value, such as --set source.port=3306"),
        )),
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(Code::LocalIo, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A runtime for the commands that ask servers.
fn block_on<F: Future>(future: F) -> Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Error::new(Code::LocalIo, format!("cannot start the runtime: {error}")))?;
    Ok(runtime.block_on(future))
}
