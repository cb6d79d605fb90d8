//! DDL on the target: it commits by itself, so no guard covers it.
//!
//! The connection that runs DDL holds the bridge's named lock as long as it lives; whoever takes over ends it first.
//! Before a statement runs, its intent is recorded; after a crash, the target's GTIDs (or, without them, the schemas'
//! fingerprint) say whether it ran. Never a guess: a swap such as `RENAME TABLE a TO b, b TO a` must not run twice.

use sha2::{Digest, Sha256};
use tracing::warn;

use crate::bail;
use crate::binlog::UpdatedDatabases;
use crate::error::{Code, Error, Result};
use crate::failpoint;
use crate::hex::hex;
use crate::position::{Coordinates, Gtid};
use crate::progress::{Seq, Tables};
use crate::transaction::StatementChange;
use crate::wire::{Connection, Reply, quote_text, refused};

use super::definer::without_definer;
use super::fingerprint::fingerprint;
use super::schema::NOWHERE;
use super::{Ownership, Session, SessionContext};

/// Runs DDL under the bridge's lock.
pub struct DdlSession {
    session: Session,
    tables: Tables,
    bridge_uuid: uuid::Uuid,
    epoch: u64,
    gtids: bool,
}

/// What is recorded before a DDL statement runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Intent {
    seq: Seq,
    gtid: Option<String>,
    statement: String,
    fingerprint: Option<String>,
    decided: Option<String>,
}

/// Whether a statement of an earlier attempt ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ran {
    Yes,
    No,
}

impl DdlSession {
    /// Over a session that holds the bridge's lock.
    pub async fn new(mut session: Session, tables: Tables, ownership: &Ownership) -> Result<Self> {
        let rows = session.connection.query("SELECT @@global.gtid_mode").await?;
        let gtids = rows
            .rows
            .first()
            .and_then(|row| row.text(0))
            .is_some_and(|mode| mode == "ON" || mode == "ON_PERMISSIVE");
        without_generated_keys(&mut session.connection).await?;
        Ok(Self { session, tables, bridge_uuid: ownership.bridge_uuid, epoch: ownership.epoch, gtids })
    }

    /// For questions between changes.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.session.connection
    }

    /// Runs a statement that commits by itself, once. The caller has drained the pipelines and records the end. It runs
    /// under the GTID given, or else under one of the bridge's own.
    ///
    /// # Errors
    /// What the target says of the statement; `BB4009` if it cannot be known whether an earlier attempt ran.
    pub async fn run_once(
        &mut self,
        seq: Seq,
        at: &Coordinates,
        gtid: Option<&Gtid>,
        statement: &StatementChange,
    ) -> Result<()> {
        failpoint::hit("ddl.after_drain");
        let sql = runnable(&statement.query.sql);
        let digest = hex(&Sha256::digest(sql));
        let schemas = schemas_of(statement);
        let intent = match self.intent().await? {
            Some(intent) if intent.seq == seq => {
                if intent.statement != digest {
                    bail!(Progress, "the recorded intent of transaction {seq} is of another statement");
                }
                if self.ran(&intent, &schemas).await? == Ran::Yes {
                    return Ok(());
                }
                intent
            }
            // An intent below the frontier is of a statement whose end was recorded.
            _ => self.record_intent((seq, at, gtid), &digest, &schemas).await?,
        };
        failpoint::hit("ddl.after_intent");
        let result = self.execute(statement, sql, intent.gtid.as_deref()).await;
        failpoint::hit("ddl.after_run");
        // Refused means not run. The operator will mend the schema: what it looks like then must not be taken for what
        // the statement did.
        if result.as_ref().is_err_and(|error| error.server().is_some()) {
            let forget = self.tables.forget_ddl();
            self.session.connection.execute(&forget).await?;
            self.session.connection.execute("COMMIT").await?;
        }
        result.map_err(|error| {
            let database = String::from_utf8_lossy(&statement.query.database);
            error.context(format!("a statement that commits by itself, in schema {database}"))
        })
    }

    async fn execute(&mut self, statement: &StatementChange, sql: &[u8], gtid: Option<&str>) -> Result<()> {
        self.enter(statement).await?;
        if let Some(gtid) = gtid {
            self.session.connection.execute(&format!("SET gtid_next = '{gtid}'")).await?;
        }
        let mut result = self.ask(sql).await;
        let refused = result
            .as_ref()
            .err()
            .and_then(|error| error.server())
            .is_some_and(|server| server.number == ACCESS_DENIED);
        if let (true, Some(own)) = (refused, without_definer(sql)) {
            // A statement that was refused has not used up its GTID.
            result = self.ask(&own).await;
            if result.is_ok() {
                warn!(
                    "the target account may not set another definer: an object was created with the account itself as its definer"
                );
            }
        }
        if result.as_ref().is_err_and(|error| error.is_transient() && error.server().is_none()) {
            return result;
        }
        if gtid.is_some() {
            self.session.connection.execute("SET gtid_next = 'AUTOMATIC'").await?;
        }
        self.session.connection.execute("COMMIT").await?;
        result
    }

    async fn ask(&mut self, sql: &[u8]) -> Result<()> {
        self.session.connection.send_query(&[sql]).await?;
        self.session.connection.read_reply().await.and_then(expect)
    }

    /// Brings the session into the statement's context. The default database need not exist: `CREATE DATABASE a` is
    /// logged with `a` as its own, and a replica does not look (sql/log_event.cc, `set_thd_db`).
    async fn enter(&mut self, statement: &StatementChange) -> Result<()> {
        let connection = &mut self.session.connection;
        let mut enter = Vec::new();
        let mut context = SessionContext::default();
        if context.read_names(statement, &mut enter) {
            connection.send_query(&[enter.strip_suffix(b";").unwrap_or(&enter)]).await?;
            expect(connection.read_reply().await?)?;
            enter.clear();
        }
        if context.use_database(statement, &mut enter) {
            connection.send_query(&[enter.strip_suffix(b";").unwrap_or(&enter)]).await?;
            match connection.read_reply().await? {
                Reply::Failed(server) if server.number == UNKNOWN_DATABASE => {
                    // Not the one that the statement before was in.
                    connection.execute(&format!("USE {NOWHERE}")).await?;
                }
                reply => expect(reply)?,
            }
            enter.clear();
        }
        if context.enter(statement, &mut enter) > 0 {
            connection.send_query(&[enter.strip_suffix(b";").unwrap_or(&enter)]).await?;
            expect(connection.read_reply().await?)?;
        }
        Ok(())
    }

    /// Records what is about to run, if we are still the owner.
    async fn record_intent(
        &mut self,
        (seq, at, gtid): (Seq, &Coordinates, Option<&Gtid>),
        digest: &str,
        schemas: &[String],
    ) -> Result<Intent> {
        let fingerprint =
            if self.gtids { None } else { Some(fingerprint(&mut self.session.connection, schemas).await?) };
        let (progress, bridge, mine) =
            (self.tables.table("progress"), self.tables.table("bridge"), self.tables.mine());
        let connection = &mut self.session.connection;
        connection.execute("SET sql_mode = '', foreign_key_checks = 1").await?;
        let rows =
            connection.query(&format!("SELECT MAX(epoch) FROM {progress} WHERE {mine} FOR UPDATE")).await?;
        if rows.rows.first().and_then(|row| row.text(0)) != Some(self.epoch.to_string().as_str()) {
            connection.execute("ROLLBACK").await?;
            bail!(Fenced, "another bridge of the same name has taken over (our epoch was {})", self.epoch);
        }
        connection.execute(&format!("UPDATE {bridge} SET ddl_count = ddl_count + 1 WHERE {mine}")).await?;
        let rows = connection.query(&format!("SELECT bridge, ddl_count FROM {bridge} WHERE {mine}")).await?;
        let row = rows
            .rows
            .first()
            .ok_or_else(|| Error::new(Code::Progress, "the bridge's row on the target is missing"))?;
        let own = || format!("{}:{}", self.bridge_uuid, row.text(1).unwrap_or_default());
        let gtid = self.gtids.then(|| gtid.map_or_else(own, Gtid::to_string));
        let quoted = |text: Option<&String>| text.map_or("NULL".to_owned(), |text| quote_text(text));
        connection
            .execute(&format!(
                "REPLACE INTO {} SELECT bridge, {seq}, 0, {}, '{digest}', {}, {}, {}, NULL FROM {bridge} WHERE {mine}",
                self.tables.table("ddl"),
                quoted(gtid.as_ref()),
                quoted(fingerprint.as_ref()),
                quote_text(&at.file),
                at.offset,
            ))
            .await?;
        connection.execute("COMMIT").await?;
        Ok(Intent { seq, gtid, statement: digest.to_owned(), fingerprint, decided: None })
    }

    async fn intent(&mut self) -> Result<Option<Intent>> {
        let sql = format!(
            "SELECT seq, gtid, statement_sha256, fingerprint, decided FROM {} WHERE {}",
            self.tables.table("ddl"),
            self.tables.mine()
        );
        let rows = self.session.connection.query(&sql).await?;
        self.session.connection.execute("COMMIT").await?;
        let Some(row) = rows.rows.first() else { return Ok(None) };
        let text = |column: usize| row.text(column).map(str::to_owned);
        let seq = row.text(0).and_then(|text| text.parse().ok()).map(Seq);
        let (Some(seq), Some(statement)) = (seq, text(2)) else {
            bail!(Progress, "the recorded intent of a DDL statement cannot be understood");
        };
        Ok(Some(Intent { seq, gtid: text(1), statement, fingerprint: text(3), decided: text(4) }))
    }

    async fn ran(&mut self, intent: &Intent, schemas: &[String]) -> Result<Ran> {
        match intent.decided.as_deref() {
            Some("done") => return Ok(Ran::Yes),
            Some("undone") => return Ok(Ran::No),
            _ => {}
        }
        if let Some(gtid) = &intent.gtid {
            let sql = format!("SELECT GTID_SUBSET({}, @@global.gtid_executed)", quote_text(gtid));
            let rows = self.session.connection.query(&sql).await?;
            let executed = rows.rows.first().and_then(|row| row.text(0)) == Some("1");
            return Ok(if executed { Ran::Yes } else { Ran::No });
        }
        let Some(before) = &intent.fingerprint else {
            bail!(
                DdlUnknown,
                "neither a GTID nor a fingerprint was recorded for the DDL statement of transaction {}",
                intent.seq
            );
        };
        let now = fingerprint(&mut self.session.connection, schemas).await?;
        Ok(if now == *before { Ran::No } else { Ran::Yes })
    }
}

/// A replica's applier does not add the invisible primary key (MySQL 8.4 manual, "Generated Invisible Primary Keys"): a table
/// that has it refuses a key that the source gives it later. An account that may not say so has it added.
async fn without_generated_keys(connection: &mut Connection) -> Result<()> {
    if !connection.dialect().is_at_least((8, 0, 30)) {
        return Ok(());
    }
    match connection.execute("SET SESSION sql_generate_invisible_primary_key = OFF").await {
        Err(error) if error.code() != Code::Privilege => Err(error),
        _ => Ok(()),
    }
}

/// `CREATE TABLE ... SELECT` is logged with a suffix that only a replica's own applier may use; the rows follow in the
/// same transaction.
fn runnable(sql: &[u8]) -> &[u8] {
    sql.strip_suffix(b" START TRANSACTION").unwrap_or(sql)
}

/// The schemas a statement touches, as its event says; none if it does not say.
fn schemas_of(statement: &StatementChange) -> Vec<String> {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let query = &statement.query;
    let mut schemas: Vec<String> = match &query.status.updated_databases {
        Some(UpdatedDatabases::Names(names)) => names.iter().map(text).collect(),
        _ => return Vec::new(),
    };
    if !query.database.is_empty() {
        schemas.push(text(&query.database));
    }
    // The target may fold names, and its tables of schemas are compared by what they hold.
    let folded: Vec<String> = schemas.iter().map(|schema| schema.to_lowercase()).collect();
    schemas.extend(folded);
    schemas.sort();
    schemas.dedup();
    schemas
}

/// `ER_SPECIFIC_ACCESS_DENIED_ERROR`.
const ACCESS_DENIED: u16 = 1227;
/// `ER_BAD_DB_ERROR`.
const UNKNOWN_DATABASE: u16 = 1049;

fn expect(reply: Reply) -> Result<()> {
    match reply {
        // An ALTER may fail on a row, and say which.
        Reply::Failed(server) => Err(refused(server)),
        _ => Ok(()),
    }
}
