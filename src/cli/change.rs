//! `binbridge takeover` and `binbridge handback`: asks the running bridge, by the row on the target.

use std::time::Duration;

use crate::bridge::{ask, describe};
use crate::error::{Error, Result};
use crate::native::Wanted;

use super::args::ChangeArgs;
use super::run::{native, plan};
use super::{block_on, say};

pub(super) fn run(args: &ChangeArgs, wanted: Wanted) -> Result<()> {
    let config = args.settings.load()?.config;
    let (plan, native) = (plan(&config)?, native(&config));
    let by_gtid = match (args.by_gtid, args.by_position) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let target = format!("target {}:{}", plan.target.host, plan.target.port);
    let done = block_on(async {
        if !args.dry_run {
            return ask(&plan, wanted, by_gtid, Duration::from_secs(args.wait), |text| {
                say(&format!("{text}\n"))
            })
            .await;
        }
        for statement in describe(&plan, &native, wanted, by_gtid).await? {
            let end = if statement.starts_with("--") { "" } else { ";" };
            say(&format!("{statement}{end}\n"))?;
        }
        Ok(())
    })?;
    done.map_err(|error: Error| error.context(target))
}
