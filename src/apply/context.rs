//! The session state that a statement event's meaning depends on, and the statements that bring a session into it.
//!
//! Statements of many transactions share a packet, so only what differs is said. The order and the meaning of the
//! status variables follow `Query_log_event::do_apply_event` (sql/log_event.cc) and what `mysqlbinlog` prints.

use std::fmt::Write;

use mysql_common::collations::{Collation, CollationId};

use crate::binlog::{StatusVars, UserValueKind, UserVar, decimal_text};
use crate::transaction::{Context, StatementChange};

/// `OPTION_AUTO_IS_NULL` (sql/query_options.h).
const AUTO_IS_NULL: u32 = 1 << 14;
/// `OPTION_NO_FOREIGN_KEY_CHECKS`.
const NO_FOREIGN_KEY_CHECKS: u32 = 1 << 26;
/// `OPTION_RELAXED_UNIQUE_CHECKS`.
const RELAXED_UNIQUE_CHECKS: u32 = 1 << 27;

/// The id of the default collation of utf8mb4 before 8.0.
const UTF8MB4_GENERAL_CI: u16 = 45;

/// What a session's variables are known to be; `None` where that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionContext {
    database: Option<Vec<u8>>,
    variables: Vec<(&'static str, String)>,
}

impl SessionContext {
    /// Forgets everything: a packet failed half way, or the session is new.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Row events set these from their own flags and time (sql/log_event.cc, `Rows_log_event::do_apply_event`).
    pub fn rows_were_applied(&mut self) {
        self.variables
            .retain(|(name, _)| !["foreign_key_checks", "unique_checks", "timestamp"].contains(name));
    }

    /// Adds the statements that bring the session into a statement's context to `sql`, each followed by `;`. Returns
    /// how many there are.
    pub fn enter(&mut self, statement: &StatementChange, sql: &mut Vec<u8>) -> usize {
        let mut statements = usize::from(self.read_names(statement, sql));
        statements += usize::from(self.use_database(statement, sql));
        let mut changed = Vec::new();
        for (name, value) in wanted(statement).into_iter().chain(self.to_reset(statement)) {
            match self.variables.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) if *known == value => continue,
                Some((_, known)) => known.clone_from(&value),
                None => self.variables.push((name, value.clone())),
            }
            changed.push(format!("{name} = {value}"));
        }
        changed.extend(once(&statement.context));
        if !changed.is_empty() {
            sql.extend_from_slice(b"SET ");
            sql.extend_from_slice(changed.join(", ").as_bytes());
            sql.extend_from_slice(b";");
            statements += 1;
        }
        statements
    }

    /// Variables that not every server knows are said only where they are on, so they must be turned off again.
    fn to_reset(&self, statement: &StatementChange) -> Vec<(&'static str, String)> {
        let status = &statement.query.status;
        let off = [
            ("enable_cascade_triggers", status.enable_cascade_triggers != Some(true)),
            ("default_table_encryption", status.default_table_encryption != Some(1)),
        ];
        let on = |name: &str| self.variables.iter().any(|(known, value)| *known == name && value == "1");
        off.iter().filter(|(name, off)| *off && on(name)).map(|(name, _)| (*name, "0".to_owned())).collect()
    }

    /// Names of schemas and user variables are logged as UTF-8, whatever character set the statement itself has. Adds
    /// the statement that makes the server read them so, if there are such names and it might not. Returns whether it
    /// did.
    pub fn read_names(&mut self, statement: &StatementChange, sql: &mut Vec<u8>) -> bool {
        let database = &statement.query.database;
        let other = self.database.as_deref() != Some(database);
        let plain = (database.is_ascii() || !other)
            && statement.context.user_vars.iter().all(|variable| variable.name.is_ascii());
        // 45 is known to every version, 255 is what statements of 8.0 and later say.
        let (client, utf8mb4) = ("character_set_client", "45");
        let is_utf8mb4 = |value: &str| value == utf8mb4 || value == "255";
        if plain || self.variables.iter().any(|(name, value)| *name == client && is_utf8mb4(value)) {
            return false;
        }
        sql.extend_from_slice(b"SET character_set_client = 45;");
        self.variables.retain(|(name, _)| *name != client);
        self.variables.push((client, utf8mb4.to_owned()));
        true
    }

    /// Adds `USE`, if the statement has another default database than the session. Returns whether it did.
    pub fn use_database(&mut self, statement: &StatementChange, sql: &mut Vec<u8>) -> bool {
        let database = &statement.query.database;
        if database.is_empty() || self.database.as_deref() == Some(database) {
            return false;
        }
        sql.extend_from_slice(b"USE ");
        quote_bytes(database, sql);
        sql.extend_from_slice(b";");
        self.database = Some(database.to_vec());
        // USE sets it to the schema's own.
        self.variables.retain(|(name, _)| *name != "collation_database");
        true
    }
}

/// Variables that stay as they are set.
fn wanted(statement: &StatementChange) -> Vec<(&'static str, String)> {
    let status = &statement.query.status;
    let flags = status.flags2.unwrap_or(0);
    let on = |bit: u32| u8::from(flags & bit != 0).to_string();
    let off = |bit: u32| u8::from(flags & bit == 0).to_string();
    let mut wanted = vec![
        ("timestamp", format!("{}.{:06}", statement.timestamp, status.microseconds.unwrap_or(0))),
        ("sql_mode", status.sql_mode.unwrap_or(0).to_string()),
        ("foreign_key_checks", off(NO_FOREIGN_KEY_CHECKS)),
        ("unique_checks", off(RELAXED_UNIQUE_CHECKS)),
        ("sql_auto_is_null", on(AUTO_IS_NULL)),
        // What CONNECTION_ID() gives, in the statement itself or in what it calls.
        ("pseudo_thread_id", statement.query.thread_id.to_string()),
    ];
    let (increment, offset) = status.auto_increment.unwrap_or((1, 1));
    wanted.push(("auto_increment_increment", increment.to_string()));
    wanted.push(("auto_increment_offset", offset.to_string()));
    push_names(&mut wanted, status);
    wanted
}

fn push_names(wanted: &mut Vec<(&'static str, String)>, status: &StatusVars) {
    if let Some((client, connection, server)) = status.charset {
        wanted.push(("character_set_client", client.to_string()));
        wanted.push(("collation_connection", connection.to_string()));
        wanted.push(("collation_server", server.to_string()));
    }
    // Logged only where the statement's meaning depends on it.
    if let Some(zone) = status.time_zone.as_deref() {
        wanted.push(("time_zone", format!("'{}'", String::from_utf8_lossy(zone).replace('\'', ""))));
    }
    wanted.push(("lc_time_names", status.lc_time_names.unwrap_or(0).to_string()));
    wanted.push((
        "collation_database",
        status.collation_database.map_or("DEFAULT".to_owned(), |id| id.to_string()),
    ));
    // Servers up to 5.7 do not say, and have utf8mb4_general_ci (sql/log_event.cc, `Query_log_event::do_apply_event`).
    let collation = status.default_collation_for_utf8mb4.unwrap_or(UTF8MB4_GENERAL_CI);
    wanted.push(("default_collation_for_utf8mb4", collation.to_string()));
    if let Some(explicit) = status.explicit_defaults_for_timestamp {
        wanted.push(("explicit_defaults_for_timestamp", u8::from(explicit).to_string()));
    }
    if let Some(required) = status.sql_require_primary_key {
        wanted.push(("sql_require_primary_key", required.to_string()));
    }
    // OFF is what a server that does not know the variable does.
    if status.enable_cascade_triggers == Some(true) {
        wanted.push(("enable_cascade_triggers", "1".to_owned()));
    }
    if status.default_table_encryption == Some(1) {
        wanted.push(("default_table_encryption", "1".to_owned()));
    }
}

/// Variables that are used up by the statement.
fn once(context: &Context) -> Vec<String> {
    let mut once = Vec::new();
    once.extend(context.last_insert_id.map(|id| format!("last_insert_id = {id}")));
    once.extend(context.insert_id.map(|id| format!("insert_id = {id}")));
    once.extend(context.rand.map(|(seed1, seed2)| format!("rand_seed1 = {seed1}, rand_seed2 = {seed2}")));
    once.extend(context.user_vars.iter().map(|variable| {
        let mut name = Vec::new();
        quote_bytes(&variable.name, &mut name);
        format!("@{} := {}", String::from_utf8_lossy(&name), user_value(variable))
    }));
    once
}

/// A user variable's value as a literal that is the same under any `sql_mode` and client character set.
fn user_value(variable: &UserVar) -> String {
    let Some(value) = &variable.value else { return "NULL".to_owned() };
    let number: Option<[u8; 8]> = value.bytes.get(..8).and_then(|bytes| bytes.try_into().ok());
    match (value.kind, number) {
        (UserValueKind::Int, Some(bytes)) if value.unsigned => u64::from_le_bytes(bytes).to_string(),
        (UserValueKind::Int, Some(bytes)) => i64::from_le_bytes(bytes).to_string(),
        // The shortest digits that give the same double back, with an exponent so that it is one.
        (UserValueKind::Real, Some(bytes)) => format!("{:e}", f64::from_le_bytes(bytes)),
        (UserValueKind::Decimal, _) => decimal_value(&value.bytes).unwrap_or_else(|| "NULL".to_owned()),
        _ => text_value(&value.bytes, value.charset),
    }
}

/// Precision, scale, digits.
fn decimal_value(bytes: &[u8]) -> Option<String> {
    let (&precision, rest) = bytes.split_first()?;
    let (&scale, packed) = rest.split_first()?;
    decimal_text(precision, scale, packed)
}

fn text_value(bytes: &[u8], collation: u32) -> String {
    let collation = Collation::resolve(CollationId::from(u16::try_from(collation).unwrap_or(0)));
    let mut literal = format!("_{} X'", collation.charset());
    for byte in bytes {
        let _ = write!(literal, "{byte:02X}");
    }
    // BINARY is a reserved word.
    let _ = write!(literal, "' COLLATE `{}`", collation.collation());
    literal
}

fn quote_bytes(name: &[u8], sql: &mut Vec<u8>) {
    sql.push(b'`');
    for &byte in name {
        if byte == b'`' {
            sql.push(b'`');
        }
        sql.push(byte);
    }
    sql.push(b'`');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{QueryEvent, UserValue};

    fn statement(database: &'static str, sql_mode: u64) -> StatementChange {
        let status = StatusVars {
            flags2: Some(NO_FOREIGN_KEY_CHECKS),
            sql_mode: Some(sql_mode),
            charset: Some((255, 255, 255)),
            ..StatusVars::default()
        };
        let query = QueryEvent {
            thread_id: 1,
            execution_time: 0,
            error_code: 0,
            status,
            database: database.into(),
            sql: "DELETE FROM t".into(),
        };
        StatementChange { timestamp: 1_700_000_000, query, context: Context::default() }
    }

    fn entered(context: &mut SessionContext, statement: &StatementChange) -> (usize, String) {
        let mut sql = Vec::new();
        let statements = context.enter(statement, &mut sql);
        (statements, String::from_utf8(sql).unwrap())
    }

    #[test]
    fn only_what_differs_is_said_again() {
        let mut context = SessionContext::default();
        let (statements, sql) = entered(&mut context, &statement("a`b", 0));
        assert_eq!(statements, 2);
        assert!(
            sql.starts_with(
                "USE `a``b`;SET timestamp = 1700000000.000000, sql_mode = 0, foreign_key_checks = 0"
            ),
            "{sql}"
        );
        assert_eq!(entered(&mut context, &statement("a`b", 0)), (0, String::new()));
        assert_eq!(entered(&mut context, &statement("a`b", 4)), (1, "SET sql_mode = 4;".to_owned()));
        let mut of_another = statement("a`b", 4);
        of_another.query.thread_id = 4711;
        assert_eq!(entered(&mut context, &of_another), (1, "SET pseudo_thread_id = 4711;".to_owned()));
        entered(&mut context, &statement("a`b", 4));
        context.rows_were_applied();
        let (_, sql) = entered(&mut context, &statement("a`b", 4));
        assert_eq!(sql, "SET timestamp = 1700000000.000000, foreign_key_checks = 0, unique_checks = 1;");
    }

    #[test]
    fn a_source_that_does_not_say_has_the_older_default_collation() {
        let (_, sql) = entered(&mut SessionContext::default(), &statement("a", 0));
        assert!(sql.contains("default_collation_for_utf8mb4 = 45"), "{sql}");
        let mut newer = statement("a", 0);
        newer.query.status.default_collation_for_utf8mb4 = Some(255);
        let (_, sql) = entered(&mut SessionContext::default(), &newer);
        assert!(sql.contains("default_collation_for_utf8mb4 = 255"), "{sql}");
    }

    #[test]
    fn what_is_used_up_by_a_statement_is_said_each_time() {
        let mut context = SessionContext::default();
        let mut with = statement("a", 0);
        let value =
            UserValue { kind: UserValueKind::String, charset: 255, unsigned: false, bytes: "it's".into() };
        with.context = Context {
            insert_id: Some(7),
            rand: Some((1, 2)),
            user_vars: vec![
                UserVar { name: "x".into(), value: Some(value) },
                UserVar { name: "n".into(), value: None },
            ],
            ..Context::default()
        };
        entered(&mut context, &with);
        let (_, sql) = entered(&mut context, &with);
        assert_eq!(
            sql,
            "SET insert_id = 7, rand_seed1 = 1, rand_seed2 = 2, \
             @`x` := _utf8mb4 X'69742773' COLLATE `utf8mb4_0900_ai_ci`, @`n` := NULL;"
        );
    }

    #[test]
    fn user_variables_of_every_kind_become_literals() {
        let literal = |kind, unsigned, bytes: Vec<u8>| {
            let value = UserValue { kind, charset: 63, unsigned, bytes: bytes.into() };
            user_value(&UserVar { name: "v".into(), value: Some(value) })
        };
        assert_eq!(literal(UserValueKind::Int, false, (-5_i64).to_le_bytes().to_vec()), "-5");
        assert_eq!(
            literal(UserValueKind::Int, true, u64::MAX.to_le_bytes().to_vec()),
            "18446744073709551615"
        );
        assert_eq!(literal(UserValueKind::Real, false, 0.1_f64.to_le_bytes().to_vec()), "1e-1");
        assert_eq!(literal(UserValueKind::Decimal, false, vec![4, 2, 0x80, 0x05]), "0.05");
        assert_eq!(literal(UserValueKind::String, false, vec![0, 0xFF]), "_binary X'00FF' COLLATE `binary`");
    }

    #[test]
    fn names_are_read_as_utf8_whatever_the_statements_character_set_is() {
        let with = |database, variable: Option<&'static str>| {
            let mut statement = statement(database, 0);
            statement.query.status.charset = Some((8, 8, 8));
            let value = UserValue {
                kind: UserValueKind::String,
                charset: 63,
                unsigned: false,
                bytes: vec![0].into(),
            };
            let named = |name: &'static str| UserVar { name: name.into(), value: Some(value.clone()) };
            statement.context.user_vars = variable.map(named).into_iter().collect();
            statement
        };
        let mut context = SessionContext::default();
        entered(&mut context, &with("a", None));
        let (statements, sql) = entered(&mut context, &with("支店", None));
        assert_eq!(statements, 3);
        assert!(
            sql.starts_with("SET character_set_client = 45;USE `支店`;SET character_set_client = 8"),
            "{sql}"
        );
        let (_, sql) = entered(&mut context, &with("支店", Some("変数")));
        let expected = "SET character_set_client = 45;\
                        SET character_set_client = 8, @`変数` := _binary X'00' COLLATE `binary`;";
        assert_eq!(sql, expected);
    }
}
