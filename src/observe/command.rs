//! What an operator may say to the admin server: POST with a JSON object.
//!
//! | path | object |
//! |---|---|
//! | `/pause` | `{"reason": "TEXT"}`, or empty |
//! | `/resume` | empty |
//! | `/skip` | `{"target": "GTID, file:position or current"}` |
//! | `/until` | `{"until": "file:position, GTID, time or none"}` |
//! | `/limit` | `{"transactions": N, "bytes": N}`, per second; 0 for no limit, one that is left out stays |

use super::Observer;
use super::token::Refusal;
use crate::control::{Cause, Limits, Target, Until};
use crate::error::Error;
use crate::position::Coordinates;
use hyper::StatusCode;
use serde::Deserialize;

/// The paths that take orders.
pub(super) const PATHS: [&str; 5] = ["/pause", "/resume", "/skip", "/until", "/limit"];
/// A reason is a line for people.
const MOST_REASON: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    target: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    until: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    transactions: Option<u64>,
    bytes: Option<u64>,
}

/// Follows an order; the answer is a line for people.
pub(super) fn order(path: &str, body: &[u8], observer: &Observer) -> Result<String, Refusal> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let said = match path {
        "/pause" => pause(observer, parsed(body)?)?,
        "/resume" => parsed::<Resume>(body).map(|_| resume(observer))?,
        "/skip" => skip(observer, &parsed(body)?)?,
        "/until" => until(observer, &parsed(body)?)?,
        "/limit" => limit(observer, &parsed(body)?),
        _ => return Err((StatusCode::NOT_FOUND, format!("orders are {}\n", PATHS.join(" ")))),
    };
    tracing::info!(order = path.trim_start_matches('/'), "told by an operator: {said}");
    Ok(format!("{said}\n"))
}

fn pause(observer: &Observer, Pause { reason }: Pause) -> Result<String, Refusal> {
    let reason = reason.unwrap_or_else(|| "by an operator".to_owned());
    if reason.trim().is_empty() || reason.len() > MOST_REASON || reason.chars().any(char::is_control) {
        return Err(bad(format!("a reason is one line of 1 to {MOST_REASON} bytes")));
    }
    observer.control().pause(Cause::Operator, &reason);
    Ok(format!("paused, {reason}; what is in flight is still committed"))
}

fn resume(observer: &Observer) -> String {
    let was = observer.control().resume();
    if was { "resumed" } else { "it was not paused" }.to_owned()
}

fn skip(observer: &Observer, Skip { target }: &Skip) -> Result<String, Refusal> {
    let target: Target = target.parse().map_err(|error| refused(&error))?;
    if let Target::At(start) = &target {
        require_ahead(observer, start)?;
    }
    observer.control().skip(target.clone()).map_err(|error| refused(&error))?;
    Ok(match target {
        Target::Current => "the next transaction that would change anything will be skipped".to_owned(),
        Target::Gtid(gtid) => format!("transaction {gtid} will be skipped when it comes"),
        Target::At(start) => format!("the transaction that begins at {start} will be skipped when it comes"),
    })
}

fn until(observer: &Observer, Stop { until }: &Stop) -> Result<String, Refusal> {
    if until == "none" {
        observer.control().until(None);
        return Ok("it will stop at no place".to_owned());
    }
    let until: Until = until.parse().map_err(|error| refused(&error))?;
    if let Until::At(at) = &until {
        require_ahead(observer, at)?;
    }
    let then = if observer.control().orders().exit { "end" } else { "pause" };
    let said = format!("it will {then} at {until}");
    observer.control().until(Some(until));
    Ok(said)
}

/// What is applied is past.
fn require_ahead(observer: &Observer, at: &Coordinates) -> Result<(), Refusal> {
    let applied = observer.progress().position.applied.and_then(|text| text.parse::<Coordinates>().ok());
    match applied {
        Some(applied) if applied > *at => {
            Err(bad(format!("{at} is past: everything up to {applied} is applied")))
        }
        _ => Ok(()),
    }
}

fn limit(observer: &Observer, wanted: &Limit) -> String {
    let before = observer.control().orders().limits;
    let limits = Limits {
        transactions: wanted.transactions.unwrap_or(before.transactions),
        bytes: wanted.bytes.unwrap_or(before.bytes),
    };
    observer.control().limit(limits);
    match limits {
        Limits { transactions: 0, bytes: 0 } => "no limit".to_owned(),
        Limits { transactions, bytes: 0 } => format!("at most {transactions} transactions/s"),
        Limits { transactions: 0, bytes } => format!("at most {bytes} bytes/s"),
        Limits { transactions, bytes } => {
            format!("at most {transactions} transactions/s and {bytes} bytes/s")
        }
    }
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| bad(format!("not the object that is expected: {error}")))
}

fn refused(error: &Error) -> Refusal {
    bad(error.message().to_owned())
}

fn bad(text: String) -> Refusal {
    (StatusCode::BAD_REQUEST, text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(observer: &Observer, path: &str, body: &str) -> Result<String, Refusal> {
        order(path, body.as_bytes(), observer)
    }

    #[test]
    fn orders_are_followed_and_shown() {
        let observer = Observer::new("main");
        assert!(
            say(&observer, "/pause", "{\"reason\": \"upgrade\"}").unwrap().starts_with("paused, upgrade;")
        );
        say(&observer, "/skip", "{\"target\": \"current\"}").unwrap();
        say(&observer, "/until", "{\"until\": \"b.000009:4\"}").unwrap();
        assert_eq!(say(&observer, "/limit", "{\"bytes\": 4096}").unwrap(), "at most 4096 bytes/s\n");
        say(&observer, "/limit", "{\"transactions\": 7}").unwrap();
        let orders = observer.progress().orders;
        let paused = orders.paused.unwrap();
        assert_eq!((paused.by.as_str(), paused.reason.as_str()), ("operator", "upgrade"));
        assert_eq!((orders.skips, orders.until), (vec!["current".to_owned()], Some("b.000009:4".to_owned())));
        assert_eq!((orders.max_transactions_per_second, orders.max_bytes_per_second), (Some(7), Some(4096)));
        assert!(observer.metrics().contains("binbridge_paused{reason=\"operator\",bridge=\"main\"} 1"));
        assert_eq!(say(&observer, "/resume", "").unwrap(), "resumed\n");
        say(&observer, "/until", "{\"until\": \"none\"}").unwrap();
        say(&observer, "/limit", "{\"transactions\": 0, \"bytes\": 0}").unwrap();
        let orders = observer.progress().orders;
        assert_eq!((orders.paused, orders.until, orders.max_bytes_per_second), (None, None, None));
        assert!(observer.metrics().contains("binbridge_paused{reason=\"operator\",bridge=\"main\"} 0"));
    }

    #[test]
    fn what_cannot_be_followed_is_refused_and_changes_nothing() {
        let observer = Observer::new("main");
        observer.loaded(&Coordinates::new("b.000002", 400));
        for (path, body) in [
            ("/pause", "{\"reason\": \"two\\nlines\"}"),
            ("/pause", "{\"why\": \"x\"}"),
            ("/pause", "not JSON"),
            ("/resume", "{\"now\": true}"),
            ("/skip", "{}"),
            ("/skip", "{\"target\": \"current\"}"),
            ("/skip", "{\"target\": \"the next\"}"),
            ("/skip", "{\"target\": \"b.000002:300\"}"),
            ("/until", "{\"until\": \"b.000001:4\"}"),
            ("/until", "{\"until\": \"soon\"}"),
            ("/limit", "{\"bytes\": -1}"),
            ("/limit", "{\"rows\": 1}"),
        ] {
            let (status, text) = say(&observer, path, body).unwrap_err();
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}");
            assert!(text.ends_with('\n') && text.len() > 10, "{text}");
        }
        assert_eq!(observer.progress().orders, Observer::new("x").progress().orders);
        say(&observer, "/until", "{\"until\": \"b.000002:400\"}").unwrap();
        say(&observer, "/skip", "{\"target\": \"b.000002:400\"}").unwrap();
    }
}
