//! The start: checked against the source, stored on the target.

use uuid::Uuid;

use crate::apply::Owner;
use crate::bail;
use crate::clock::now_us;
use crate::error::{Code, Error, Result};
use crate::position::{Start, check_against_logs};
use crate::progress::{Fence, Mark, Row, Seq, Tables};
use crate::source::{Identity, Registration, ServerId, needs_grants, probe, stable_server_id};
use crate::wire::{Connection, ReplicaStatus, Running};

use super::Plan;
use super::poller::binary_logs;

/// What was learnt of a start position.
#[derive(Debug)]
pub struct Checked {
    /// The source it belongs to.
    pub identity: Identity,
}

/// Checks that the source can stream from a position, by listing its files and by streaming from there.
///
/// # Errors
/// `BB3101`, `BB3102` and everything else that would stop the bridge at its first event.
pub async fn check(plan: &Plan, start: &Start) -> Result<Checked> {
    let mut connection = Connection::connect(&plan.source).await?;
    if let Start::File(at) = start {
        let logs = binary_logs(&mut connection).await.map_err(needs_grants)?;
        check_against_logs(at, &logs)?;
    }
    connection.close().await;
    let identity = probe(registration(plan, Uuid::new_v4()), start).await?;
    Ok(Checked { identity })
}

/// How a stream presents itself that is not the bridge's own.
pub(super) fn registration(plan: &Plan, uuid: Uuid) -> Registration {
    Registration {
        endpoint: plan.source.clone(),
        server_id: plan.server_id.map_or(ServerId::Derived(stable_server_id(uuid)), ServerId::Chosen),
        uuid,
        report_host: plan.report_host.clone(),
        heartbeat: plan.heartbeat,
    }
}

/// Whether every transaction of the source has a GTID.
pub(super) async fn source_has_gtids(plan: &Plan) -> Result<bool> {
    let mut source = Connection::connect(&plan.source).await?;
    let rows = source.query("SELECT @@global.gtid_mode").await?;
    source.close().await;
    Ok(rows.rows.first().and_then(|row| row.text(0)) == Some("ON"))
}

/// The bridge's UUID, a new one if it has none yet, and an epoch that is greater than any in its rows, which are locked.
pub(super) async fn identity_of(connection: &mut Connection, tables: &Tables) -> Result<(Uuid, u64)> {
    let sql = format!("SELECT bridge_uuid FROM {} WHERE {}", tables.table("bridge"), tables.mine());
    let bridge = connection.query(&sql).await?;
    let known = bridge.rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse().ok());
    let rows = Row::parse_all(&connection.query(&tables.read(true)).await?)?;
    let epoch = Fence::next_epoch(rows.iter().map(|row| row.fence)).unwrap_or_default();
    Ok((known.unwrap_or_else(Uuid::new_v4), epoch))
}

pub(super) fn needs_tables(error: Error, tables: &Tables) -> Error {
    match error.code() {
        Code::Privilege => error.context(format!(
            "the target account needs CREATE, INSERT, UPDATE, DELETE and SELECT on {}",
            tables.table("*")
        )),
        _ => error,
    }
}

/// Stores a start on the target, creating the bridge's tables where they are not there.
///
/// # Errors
/// `BB1006` if a start is stored and `replace` is not set; `BB3002` if the account may not.
pub async fn store(plan: &Plan, start: &Start, source_uuid: &str, replace: bool) -> Result<()> {
    let owner = Owner::new(&plan.schema, &plan.name);
    // The lock ends a bridge that still runs with the old position.
    let mut session = owner.ddl_session(&plan.target, None).await?;
    session.run(&owner.tables.create()).await.map_err(|error| needs_tables(error, &owner.tables))?;
    let stored = session.connection.query(&owner.tables.read(true)).await?;
    if !stored.rows.is_empty() && !replace {
        session.connection.execute("ROLLBACK").await?;
        bail!(PositionExists, "bridge {} has a position on the target already", plan.name);
    }
    let low = match start {
        Start::File(at) => Mark { seq: Seq(0), at: Some(at.clone()), gtids: None },
        Start::Gtid(set) => Mark { seq: Seq(0), at: None, gtids: Some(set.clone()) },
    };
    session.run(&owner.tables.forget()).await?;
    session.run(&owner.tables.start(Uuid::new_v4(), source_uuid, &low, now_us())).await?;
    session.connection.execute("COMMIT").await?;
    Ok(())
}

/// Records the operator's word on a DDL statement of which it cannot be known whether it ran.
///
/// # Errors
/// `BB1005` if no intent is recorded.
pub async fn decide_ddl(plan: &Plan, ran: bool) -> Result<()> {
    let owner = Owner::new(&plan.schema, &plan.name);
    let mut session = owner.ddl_session(&plan.target, None).await?;
    let word = if ran { "done" } else { "undone" };
    let sql =
        format!("UPDATE {} SET decided = '{word}' WHERE {}", owner.tables.table("ddl"), owner.tables.mine());
    let changed = session.connection.execute(&sql).await?.affected;
    session.connection.execute("COMMIT").await?;
    if changed == 0 {
        bail!(NoPosition, "no DDL statement of bridge {} waits for a decision", plan.name);
    }
    Ok(())
}

/// What a read replica said.
#[derive(Debug)]
pub struct Asked {
    /// Where it stands.
    pub start: Start,
    /// The server in whose binlog that is, if it is said.
    pub server_uuid: Option<String>,
    /// What else is worth knowing.
    pub note: String,
}

/// Reads the coordinates of a stopped read replica: those in its source's binlog, or its own.
///
/// # Errors
/// `BB1004` if its SQL thread runs or has an error, or if it is no replica.
pub async fn ask_replica(session: &mut Connection, own_binlog: bool, by_gtid: bool) -> Result<Asked> {
    let rows = session.query(session.dialect().replica_status()).await?;
    let channels = ReplicaStatus::from_rows(&rows)?;
    let [status] = channels.as_slice() else {
        bail!(Position, "the server has {} replication channels, one is needed", channels.len());
    };
    if status.sql_running {
        bail!(
            Position,
            "the replica's SQL thread still runs: its position moves; stop it first (RDS: CALL mysql.rds_stop_replication)"
        );
    }
    if status.last_sql_errno != 0 {
        bail!(
            Position,
            "the replica's SQL thread stopped with error {}: it lacks changes of its source",
            status.last_sql_errno
        );
    }
    let receiving = status.io_running != Running::No;
    let note = format!(
        "replica of {}:{}{}",
        status.source_host,
        status.source_port,
        if receiving { " (its receiving thread runs, which does no harm)" } else { "" }
    );
    if own_binlog {
        let logs = session.query(session.dialect().binary_log_status()).await?;
        let row = logs
            .rows
            .first()
            .ok_or_else(|| Error::new(Code::Position, "the replica writes no binlog of its own"))?;
        let start = place(row.text(0), row.text(1))?;
        let own = session.query("SELECT @@server_uuid").await?;
        return Ok(Asked { start, server_uuid: own.scalar().map(str::to_owned), note });
    }
    let server_uuid = Some(status.source_uuid.clone()).filter(|uuid| !uuid.is_empty());
    if by_gtid {
        return Ok(Asked { start: Start::Gtid(status.executed_gtid_set.parse()?), server_uuid, note });
    }
    let offset = status.exec_source_log_pos.to_string();
    let start = place(Some(&status.relay_source_log_file), Some(&offset))?;
    Ok(Asked { start, server_uuid, note })
}

fn place(file: Option<&str>, offset: Option<&str>) -> Result<Start> {
    format!("{}:{}", file.unwrap_or_default(), offset.unwrap_or_default()).parse().map(Start::File)
}
