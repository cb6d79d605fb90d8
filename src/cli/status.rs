//! `binbridge status`: asks the running bridge's admin server.

use crate::error::Result;
use crate::observe::{Snapshot, line};

use super::admin::{Ask, Bridge};
use super::args::StatusArgs;
use super::say;

pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let bridge = Bridge::of(&args.admin)?;
    let (_, body) = bridge.ask(Ask::Get("/status"))?;
    let text = String::from_utf8_lossy(&body);
    if args.json {
        return say(&format!("{}\n", text.trim_end()));
    }
    let snapshot: Snapshot = serde_json::from_str(&text)
        .map_err(|error| bridge.away(&format!("not the status of a binbridge ({error})")))?;
    say(&format!("{}\n", line(&snapshot)))
}
