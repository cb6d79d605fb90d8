//! What becomes of statements, by tables of examples.

mod filters;
mod plain;
mod properties;
mod renames;

use bytes::Bytes;

use super::super::{Dropped, Judgement, NameCase, Pattern, Rules};
use crate::binlog::{QueryEvent, StatusVars, UpdatedDatabases};
use crate::error::Result;

const ANSI_QUOTES: u64 = 4;
const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
const UTF8MB4: u16 = 255;

fn rules() -> Rules {
    Rules { own_schema: "binbridge".into(), ..Rules::default() }
}

fn filtered(include: &[&str], exclude: &[&str]) -> Rules {
    let parse = |list: &[&str]| -> Vec<Pattern> { list.iter().map(|text| text.parse().unwrap()).collect() };
    Rules { include: parse(include), exclude: parse(exclude), ..rules() }
}

fn renamed(schemas: &[(&str, &str)], tables: &[(&str, &str)]) -> Rules {
    let pair = |name: &str| {
        let (schema, table) = name.split_once('.').unwrap();
        (schema.to_owned(), table.to_owned())
    };
    Rules {
        rename_schemas: schemas.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect(),
        rename_tables: tables.iter().map(|&(from, to)| (pair(from), pair(to))).collect(),
        ..rules()
    }
}

fn event(database: &str, sql: &[u8]) -> QueryEvent {
    QueryEvent {
        thread_id: 1,
        execution_time: 0,
        error_code: 0,
        status: StatusVars { charset: Some((UTF8MB4, UTF8MB4, UTF8MB4)), ..StatusVars::default() },
        database: Bytes::copy_from_slice(database.as_bytes()),
        sql: Bytes::copy_from_slice(sql),
    }
}

fn touching(database: &str, sql: &str, names: &[&str]) -> QueryEvent {
    let mut event = event(database, sql.as_bytes());
    let names = names.iter().map(|name| Bytes::copy_from_slice(name.as_bytes())).collect();
    event.status.updated_databases = Some(UpdatedDatabases::Names(names));
    event
}

/// What is left of a judgement for a comparison: the text, the word for why it is dropped, or that it is refused.
fn outcome(result: &Result<Judgement>) -> String {
    match result {
        Ok(Judgement::Drop(dropped)) => format!("{dropped:?}"),
        Ok(Judgement::Keep { sql, .. }) => String::from_utf8_lossy(sql).into_owned(),
        Err(error) => format!("refused: {}", error.message()),
    }
}

/// Statements that commit by themselves stand alone, the others within a transaction.
fn judge(rules: &Rules, event: &QueryEvent) -> Result<Judgement> {
    super::judge(rules, event, false).or_else(|error| match super::judge(rules, event, true) {
        Err(alone) if alone.message().contains("outside a transaction") => Err(error),
        alone => alone,
    })
}

fn judged(rules: &Rules, database: &str, sql: &str) -> String {
    outcome(&judge(rules, &event(database, sql.as_bytes())))
}

#[track_caller]
fn expect_kept(rules: &Rules, database: &str, sql: &str) {
    let outcome = judged(rules, database, sql);
    assert!(outcome == sql, "{sql:.200}\n{outcome:.300}");
}

#[track_caller]
fn expect_dropped(rules: &Rules, database: &str, sql: &str, why: Dropped) {
    assert_eq!(judged(rules, database, sql), format!("{why:?}"), "{sql}");
}

#[track_caller]
fn expect_refused(rules: &Rules, database: &str, sql: &str, words: &str) {
    let outcome = judged(rules, database, sql);
    assert!(outcome.starts_with("refused: ") && outcome.contains(words), "{sql:.200}\n{outcome}");
}
