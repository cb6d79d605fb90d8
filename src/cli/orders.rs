//! `binbridge pause`, `resume`, `skip`, `until` and `limit`: tell a running bridge.

use std::path::PathBuf;

use hyper::StatusCode;
use serde_json::json;

use crate::error::{Code, Error, Result};
use crate::wire::{Redacted, Secret};

use super::admin::{Ask, Bridge, variable};
use super::args::{LimitArgs, Orders, PauseArgs, ResumeArgs, SkipArgs, UntilArgs};
use super::{block_on, say};

pub(super) fn pause(args: &PauseArgs) -> Result<()> {
    let body = args.reason.as_ref().map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    tell(&args.orders, "/pause", &body)
}

pub(super) fn resume(args: &ResumeArgs) -> Result<()> {
    tell(&args.orders, "/resume", &json!({}))
}

pub(super) fn skip(args: &SkipArgs) -> Result<()> {
    tell(&args.orders, "/skip", &json!({ "target": args.target }))
}

pub(super) fn until(args: &UntilArgs) -> Result<()> {
    tell(&args.orders, "/until", &json!({ "until": args.until }))
}

pub(super) fn limit(args: &LimitArgs) -> Result<()> {
    let mut body = serde_json::Map::new();
    for (name, limit) in [("transactions", args.transactions), ("bytes", args.bytes)] {
        if let Some(limit) = limit.or(args.none.then_some(0)) {
            body.insert(name.to_owned(), limit.into());
        }
    }
    tell(&args.orders, "/limit", &body.into())
}

/// Posts an order and prints what came back.
fn tell(orders: &Orders, path: &str, body: &serde_json::Value) -> Result<()> {
    let bridge = Bridge::of(&orders.admin)?;
    let token = token(orders)?;
    let token = token.as_ref().map(|token| token.expose().trim());
    let (status, said) = bridge.ask(Ask::Post(path, body.to_string(), token))?;
    let said = String::from_utf8_lossy(&said);
    let code = match status {
        StatusCode::OK => return say(&said),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Code::Orders,
        StatusCode::BAD_REQUEST => Code::Usage,
        StatusCode::INTERNAL_SERVER_ERROR => Code::Secret,
        _ => return Err(bridge.away(&format!("it answers {status}"))),
    };
    Err(Error::new(code, said.trim_end()))
}

fn token(orders: &Orders) -> Result<Option<Redacted>> {
    let Some(file) = token_file(orders)? else { return Ok(None) };
    block_on(async { Secret::File(file).resolve().await })?.map(Some)
}

/// The one that is named, or that of the configuration, if there is one.
fn token_file(orders: &Orders) -> Result<Option<PathBuf>> {
    let settings = &orders.admin.settings;
    if orders.token_file.is_some() {
        return Ok(orders.token_file.clone());
    }
    if settings.file().is_none() && settings.set.is_empty() {
        return Ok(variable("admin.token_file").map(PathBuf::from));
    }
    Ok(settings.load()?.config.admin.token_file)
}
