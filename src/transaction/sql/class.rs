//! What kind of statement a text is, by its first words.

use super::lexer::Text;
use super::tokens::{Cursor, Tokens};

/// Tokens in which the kind of any statement shows.
const HEAD: usize = 48;

/// What kind of statement it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// About accounts, roles and grants.
    Account,
    /// About the running of a server, or about something outside its schemas.
    Server,
    /// `DROP TEMPORARY TABLE`.
    DropTemporary,
    /// It cannot be applied from its text; why.
    Refused(&'static str),
    /// `SAVEPOINT`, `ROLLBACK TO`, `RELEASE SAVEPOINT`.
    Savepoint,
    /// A change of what tables or schemas hold or are.
    Change(Change, Verb),
    /// Belongs to no schema, but columns may need it.
    Global,
    /// None of these.
    Unknown,
}

/// The subject of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// `INSERT`, `UPDATE`, `DELETE`, `REPLACE`, and `SELECT` or `DO` of functions that change data.
    Rows,
    Table,
    /// `RENAME TABLE`.
    Rename,
    Index,
    View,
    Schema,
    Trigger,
    /// Procedures, functions and libraries.
    Routine,
    Event,
    /// `ANALYZE`, `OPTIMIZE`, `REPAIR`, `CHECK`, which native replication passes on too.
    Maintenance,
    Truncate,
}

/// What is done to the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Alter,
    Drop,
    Other,
}

/// The kind of a statement, and the place of the token after the words that say so.
pub(super) fn classify(text: Text<'_>) -> (Class, usize) {
    let tokens = Tokens::head(text, HEAD);
    let mut cursor = Cursor::new(&tokens, 0);
    let class = class(&mut cursor);
    (class, cursor.at)
}

fn class(cursor: &mut Cursor<'_, '_>) -> Class {
    let rows = ["INSERT", "REPLACE", "UPDATE", "DELETE", "SELECT", "WITH", "DO", "VALUES", "TABLE"];
    if rows.iter().any(|word| cursor.sees(word)) || cursor.tokens.is_symbol(cursor.at, b"(") {
        return Class::Change(Change::Rows, Verb::Other);
    }
    if cursor.any(&["SAVEPOINT", "RELEASE"]) || cursor.word("ROLLBACK") {
        return Class::Savepoint;
    }
    if cursor.word("CREATE") {
        return create(cursor);
    }
    if cursor.word("ALTER") {
        return alter(cursor);
    }
    if cursor.word("DROP") {
        return drop(cursor);
    }
    other(cursor)
}

fn other(cursor: &mut Cursor<'_, '_>) -> Class {
    if cursor.any(&["GRANT", "REVOKE"]) || cursor.words(&["RENAME", "USER"]) {
        Class::Account
    } else if cursor.word("RENAME") && cursor.any(&["TABLE", "TABLES"]) {
        Class::Change(Change::Rename, Verb::Alter)
    } else if cursor.word("TRUNCATE") {
        cursor.word("TABLE");
        Class::Change(Change::Truncate, Verb::Other)
    } else if cursor.any(&["ANALYZE", "OPTIMIZE", "REPAIR", "CHECK"]) {
        cursor.any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if cursor.any(&["TABLE", "TABLES"]) {
            Class::Change(Change::Maintenance, Verb::Other)
        } else {
            Class::Unknown
        }
    } else if cursor.word("SET") {
        if cursor.words(&["RESOURCE", "GROUP"]) {
            return Class::Server;
        }
        let account = cursor.any(&["PASSWORD", "ROLE"]) || cursor.words(&["DEFAULT", "ROLE"]);
        if account { Class::Account } else { Class::Unknown }
    } else if cursor.word("LOAD") {
        if cursor.sees("INDEX") {
            return Class::Server;
        }
        Class::Refused("LOAD DATA in statement format, whose file is not at hand")
    } else if cursor.word("IMPORT") {
        Class::Refused("IMPORT TABLE, whose files are on the source only")
    } else if cursor.any(&SERVER) {
        Class::Server
    } else {
        Class::Unknown
    }
}

/// Most of these are never logged; none may reach a target.
const SERVER: [&str; 12] = [
    "FLUSH",
    "RESET",
    "INSTALL",
    "UNINSTALL",
    "BINLOG",
    "CHANGE",
    "CACHE",
    "PURGE",
    "KILL",
    "SHUTDOWN",
    "RESTART",
    "CLONE",
];

/// Words between the verb and the subject: `DEFINER = ...`, `ALGORITHM = ...` and the like.
fn skip_attributes(cursor: &mut Cursor<'_, '_>) {
    loop {
        if cursor.word("DEFINER") {
            cursor.symbol(b"=");
            cursor.account();
        } else if cursor.word("ALGORITHM") {
            cursor.symbol(b"=");
            cursor.at += 1;
        } else if cursor.words(&["SQL", "SECURITY"]) {
            cursor.at += 1;
        } else if !cursor.words(&["OR", "REPLACE"]) && !cursor.any(&["ONLINE", "OFFLINE", "AGGREGATE"]) {
            return;
        }
    }
}

fn create(cursor: &mut Cursor<'_, '_>) -> Class {
    skip_attributes(cursor);
    if cursor.word("TEMPORARY") {
        return Class::Refused(
            "a temporary table in statement format, which lives in a session of the source",
        );
    }
    if cursor.words(&["SPATIAL", "REFERENCE"]) {
        return Class::Global;
    }
    cursor.any(&["UNIQUE", "FULLTEXT", "SPATIAL"]);
    subject(cursor, Verb::Create)
}

fn alter(cursor: &mut Cursor<'_, '_>) -> Class {
    skip_attributes(cursor);
    cursor.word("IGNORE");
    subject(cursor, Verb::Alter)
}

fn drop(cursor: &mut Cursor<'_, '_>) -> Class {
    if cursor.word("TEMPORARY") {
        return Class::DropTemporary;
    }
    if cursor.words(&["SPATIAL", "REFERENCE"]) {
        return Class::Global;
    }
    cursor.any(&["ONLINE", "OFFLINE"]);
    subject(cursor, Verb::Drop)
}

fn subject(cursor: &mut Cursor<'_, '_>, verb: Verb) -> Class {
    let change = if cursor.any(&["TABLE", "TABLES"]) {
        Change::Table
    } else if cursor.word("INDEX") {
        Change::Index
    } else if cursor.word("VIEW") {
        Change::View
    } else if cursor.any(&["DATABASE", "SCHEMA"]) {
        Change::Schema
    } else if cursor.word("TRIGGER") {
        Change::Trigger
    } else if cursor.sees("FUNCTION") && loadable(*cursor) {
        return Class::Server;
    } else if cursor.any(&["PROCEDURE", "FUNCTION", "LIBRARY"]) {
        Change::Routine
    } else if cursor.word("EVENT") {
        Change::Event
    } else if cursor.any(&["USER", "ROLE"]) {
        return Class::Account;
    } else if cursor.any(&["SERVER", "TABLESPACE", "UNDO", "LOGFILE", "RESOURCE", "INSTANCE"]) {
        return Class::Server;
    } else {
        return Class::Unknown;
    };
    Class::Change(change, verb)
}

/// `CREATE FUNCTION f RETURNS INTEGER SONAME 'file'`: a plugin by another name.
fn loadable(mut cursor: Cursor<'_, '_>) -> bool {
    cursor.word("FUNCTION");
    cursor.if_exists();
    cursor.dotted().is_some()
        && cursor.word("RETURNS")
        && cursor.any(&["STRING", "INTEGER", "INT", "REAL", "DECIMAL"])
        && cursor.word("SONAME")
}
