//! Statements as SQL: which tables they touch, and their text under the target's names.
//!
//! Most statements are decided without reading them: the source says which databases each one touches. What must be
//! read is cut into tokens by MySQL's rules (`lexer`, `tokens`); its first words say what kind it is (`class`); the
//! tables stand where the grammar puts them (`mentions`; for changes of rows, `sqlparser` finds them in `query`); the
//! rules say where these go (`verdict`); and where names change, only the bytes of the names are replaced (`edit`).

mod charset;
mod class;
mod dialect;
mod edit;
mod event;
mod lexer;
mod mentions;
mod qualifiers;
mod query;
mod scope;
#[cfg(test)]
mod tests;
mod tokens;
mod touched;
mod verdict;
mod words;

use bytes::Bytes;

use crate::bail;
use crate::binlog::QueryEvent;
use crate::error::{Code, Error, Result};

use self::charset::Encoding;
use self::class::{Change, Class, Verb};
use self::edit::Edits;
use self::lexer::{Broken, Kind, Text};
use self::tokens::Tokens;
use self::touched::Touched;
use self::verdict::{Judge, Verdict};

use super::rules::Route;
use super::statement::is_create_select;
use super::{Dropped, Judgement, Rules, is_system_schema};

/// Schemas that every server has, so that a session can make them its default.
const EVERYWHERE: [&str; 4] = ["mysql", "sys", "information_schema", "performance_schema"];

/// A statement about tables or schemas.
#[derive(Debug)]
struct Statement<'a> {
    text: Text<'a>,
    change: Change,
    verb: Verb,
    /// The place of the token after the words that say what kind it is.
    at: usize,
    /// What it is called in errors.
    kind: String,
    /// The default database.
    default_schema: Option<String>,
}

/// See [`super::judge`].
pub(super) fn judge(rules: &Rules, query: &QueryEvent, standalone: bool) -> Result<Judgement> {
    let touched = Touched::of(rules, query);
    if touched.only_own() {
        return Ok(Judgement::Drop(Dropped::System));
    }
    let text = Text {
        sql: &query.sql,
        sql_mode: query.status.sql_mode.unwrap_or(0),
        encoding: Encoding::of(&query.status),
    };
    let (class, at) = class::classify(text);
    match class {
        Class::Account => Ok(Judgement::Drop(Dropped::Account)),
        Class::Server => Ok(Judgement::Drop(Dropped::Server)),
        Class::DropTemporary => Ok(Judgement::Drop(Dropped::Temporary)),
        Class::Refused(_) if touched.only_dropped() => Ok(Judgement::Drop(Dropped::Filtered)),
        Class::Refused(why) => bail!(UnsafeStatement, "{why}"),
        Class::Unknown if !rules.is_plain() => {
            bail!(UnsafeStatement, "a statement of an unknown kind, under filters or renames")
        }
        Class::Savepoint | Class::Global | Class::Unknown => {
            keep(rules, query, Edits::default(), text, false)
        }
        Class::Change(Change::Rows, _) if standalone => bail!(
            UnsafeStatement,
            "a change of rows outside a transaction: after a crash nobody could say whether it ran"
        ),
        Class::Change(change, _)
            if !standalone && change != Change::Rows && !is_create_select(&query.sql) =>
        {
            bail!(
                UnsafeStatement,
                "a statement that commits by itself in the middle of a transaction: what stands before it would be \
                 committed without a record"
            )
        }
        Class::Change(change, verb) => {
            let default = String::from_utf8_lossy(&query.database).into_owned();
            let statement = Statement {
                text,
                change,
                verb,
                at,
                kind: kind(change, verb),
                default_schema: (!default.is_empty()).then_some(default),
            };
            change_verdict(rules, query, &touched, &statement)
        }
    }
}

fn change_verdict(
    rules: &Rules,
    query: &QueryEvent,
    touched: &Touched<'_>,
    statement: &Statement<'_>,
) -> Result<Judgement> {
    let rows = statement.change == Change::Rows;
    let named = statement.change == Change::Schema && statement.verb != Verb::Other;
    let kept = if rules.is_plain() {
        touched.no_own() || touched.is_unknown() && harmless(rules, statement)
    } else {
        rows && touched.only_plain()
    };
    if rows && touched.only_dropped() {
        return Ok(Judgement::Drop(Dropped::Filtered));
    }
    let verdict = if kept && statement.change != Change::Event {
        Verdict::Keep(Edits::default())
    } else {
        match look(rules, statement) {
            Err(_) if touched.only_dropped() => Verdict::Drop(Dropped::Filtered),
            other => other?,
        }
    };
    match verdict {
        Verdict::Drop(dropped) => Ok(Judgement::Drop(dropped)),
        Verdict::Keep(edits) => keep(rules, query, edits, statement.text, named),
    }
}

/// Whether a statement of which the source does not say what it touches surely touches no schema of a server's own: the
/// default database is none, and no name stands behind one's. (A foreign key's parent is touched by statements that do
/// not say, so this is common.)
fn harmless(rules: &Rules, statement: &Statement<'_>) -> bool {
    if statement.change == Change::Schema
        || statement.default_schema.as_ref().is_some_and(|name| rules.is_own(name))
    {
        return false;
    }
    let text = statement.text;
    let mut lexer = text.lexer();
    let mut before = None;
    while let Ok(Some(token)) = lexer.next() {
        if text.is_symbol(token, b".")
            && let Some(name) = before.and_then(|before| text.name(before))
            && rules.is_own(&name)
        {
            return false;
        }
        before = Some(token);
    }
    true
}

/// Reads the statement.
fn look(rules: &Rules, statement: &Statement<'_>) -> Result<Verdict> {
    let refuse = |Broken(why): Broken| {
        Error::new(
            Code::UnsafeStatement,
            format!("it cannot be known which tables {} touches: {why}", statement.kind),
        )
    };
    if let Encoding::Opaque(charset) = statement.text.encoding
        && !statement.text.sql.is_ascii()
    {
        bail!(
            UnsafeStatement,
            "{} is written in character set {charset}, which is not read here",
            statement.kind
        );
    }
    let tokens = Tokens::all(statement.text).map_err(refuse)?;
    // A second statement would escape the look.
    let several = tokens.list().iter().position(|&token| statement.text.is_symbol(token, b";"));
    let program = matches!(statement.change, Change::Routine | Change::Trigger | Change::Event);
    if !program && several.is_some_and(|at| at + 1 < tokens.list().len()) {
        return Err(refuse(Broken("it holds several statements")));
    }
    let judge = Judge { rules, statement, tokens: &tokens };
    if statement.change == Change::Schema {
        return judge.schema(statement.at, statement.verb);
    }
    let mentions = mentions::find(&tokens, statement.change, statement.verb, statement.at).map_err(refuse)?;
    let mut verdict = judge.verdict(&mentions)?;
    if let Verdict::Keep(edits) = &mut verdict
        && statement.change == Change::Event
    {
        event::disable(&tokens, statement.at, statement.verb, edits).map_err(refuse)?;
    }
    Ok(verdict)
}

/// The statement as it goes on. One that names its own schema (`CREATE DATABASE`) has no default database: the event
/// gives the schema's name there, which may not exist (sql/sql_db.cc, `suppress_use`).
fn keep(
    rules: &Rules,
    query: &QueryEvent,
    edits: Edits,
    text: Text<'_>,
    own_schema: bool,
) -> Result<Judgement> {
    if let Some(code) = query.status.unknown {
        bail!(UnknownEvent, "a statement whose context this version does not know (status variable {code})");
    }
    if query.error_code != 0 {
        bail!(
            UnsafeStatement,
            "a statement that failed half way on the source with error {}: what it did there cannot be repeated",
            query.error_code
        );
    }
    let sql = if edits.is_empty() {
        query.sql.clone()
    } else {
        edits.apply(text).map_err(|Broken(why)| Error::new(Code::UnsafeStatement, why))?
    };
    let database =
        if own_schema && names_schema(text) { Bytes::new() } else { default_database(rules, query) };
    Ok(Judgement::Keep { sql, database })
}

/// Whether `CREATE`, `ALTER` or `DROP DATABASE` names the schema: `ALTER DATABASE` need not.
fn names_schema(text: Text<'_>) -> bool {
    let tokens = Tokens::head(text, 5);
    let unnamed = ["DEFAULT", "CHARACTER", "COLLATE", "READ", "CHARSET", "ENCRYPTION"];
    !tokens.is_word(0, "ALTER")
        || tokens.get(2).is_some_and(|token| token.kind == Kind::Quoted)
        || !tokens.is_any(2, &unnamed)
}

/// The default database under the target's name; none if the target need not have it, because then nothing that goes on
/// belongs to it.
fn default_database(rules: &Rules, query: &QueryEvent) -> Bytes {
    let name = String::from_utf8_lossy(&query.database);
    let everywhere = EVERYWHERE.iter().any(|schema| name.eq_ignore_ascii_case(schema));
    if name.is_empty() || everywhere {
        return query.database.clone();
    }
    let source = rules.source_name(&name);
    if is_system_schema(&source) || rules.route_schema(&source) == Some(Route::Drop) {
        return Bytes::new();
    }
    match rules.schema_name(&source) {
        same if same == source => query.database.clone(),
        renamed => Bytes::from(rules.fold(renamed)),
    }
}

fn kind(change: Change, verb: Verb) -> String {
    let subject = match change {
        Change::Rows => return "a statement that changes rows".to_owned(),
        Change::Rename => return "RENAME TABLE".to_owned(),
        Change::Truncate => return "TRUNCATE TABLE".to_owned(),
        Change::Maintenance => return "a statement of table maintenance".to_owned(),
        Change::Table => "TABLE",
        Change::Index => "INDEX",
        Change::View => "VIEW",
        Change::Schema => "DATABASE",
        Change::Trigger => "TRIGGER",
        Change::Routine => "PROCEDURE or FUNCTION",
        Change::Event => "EVENT",
    };
    let verb = match verb {
        Verb::Create => "CREATE",
        Verb::Alter => "ALTER",
        Verb::Drop | Verb::Other => "DROP",
    };
    format!("{verb} {subject}")
}
