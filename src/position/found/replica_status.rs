//! `SHOW REPLICA STATUS` (`SHOW SLAVE STATUS`): how far a replica has applied its source's binlog.
//!
//! `Relay_Source_Log_File` and `Exec_Source_Log_Pos` say that. `Source_Log_File` and `Read_Source_Log_Pos` say how far it
//! has *read*: what lies between the two is in the relay log only, and would be lost.

use super::records::{Field, Record};
use super::{Candidate, Found, Kind, NamedServer, Whose, coordinates, is_mariadb};
use crate::bail;
use crate::error::Result;
use crate::position::Sid;
use crate::position::gtid::shortened;

const HOW_TO_STOP: &str = "stop it first (RDS: CALL mysql.rds_stop_replication; Azure: CALL mysql.az_replication_stop; \
                           elsewhere: STOP REPLICA) and take the status again";

/// One candidate per channel. A terminal's text runs in time: of several statuses of a channel the last one counts.
pub(super) fn candidates(records: &[&Record]) -> Vec<Candidate> {
    let mut last: Vec<(String, usize, &Record)> = Vec::new();
    for &record in records {
        let channel =
            record.value("channel_name").or_else(|| record.value("connection_name")).unwrap_or_default();
        // Group replication's own channels have no coordinates of a source.
        if channel.starts_with("group_replication_") && record.value("relay_source_log_file").is_none() {
            continue;
        }
        match last.iter_mut().find(|(known, ..)| known == channel) {
            Some(entry) => *entry = (entry.0.clone(), entry.1 + 1, record),
            None => last.push((channel.to_owned(), 0, record)),
        }
    }
    let candidate = |(channel, earlier, record): (String, usize, &Record)| {
        let line = *record.lines().start();
        let found = read(record, &channel).map(|mut found| {
            if earlier > 0 {
                found
                    .warnings
                    .push(format!("the text has {} statuses of this channel, the last counts", earlier + 1));
            }
            found
        });
        Candidate { whose: Whose::SourceOfReplica, channel, line, found }
    };
    last.into_iter().map(candidate).collect()
}

fn read(record: &Record, channel: &str) -> Result<Found> {
    let mut found = Found::new(Kind::ReplicaStatus, record.lines(), Whose::SourceOfReplica);
    channel.clone_into(&mut found.channel);
    check_threads(record, &mut found)?;
    check_errors(record)?;
    let (Some(file), Some(offset)) =
        (applied(record, "relay_source_log_file")?, applied(record, "exec_source_log_pos")?)
    else {
        return missing(record);
    };
    found.file = Some(coordinates((&file.value, file.line), (&offset.value, offset.line))?);
    found.server = NamedServer {
        host: record.value("source_host").map(str::to_owned),
        port: record.value("source_port").and_then(|port| port.parse().ok()),
        uuid: record.value("source_uuid").and_then(|uuid| uuid.parse().ok()),
    };
    found.auto_position = record.value("auto_position") == Some("1");
    found.seconds_behind = record.value("seconds_behind_source").and_then(|seconds| seconds.parse().ok());
    if let Some(field) = record.field("executed_gtid_set") {
        found.take_gtids(&field.value, field.line)?;
    }
    warn(record, &mut found);
    Ok(found)
}

/// A value that must be there where its column is.
fn applied<'a>(record: &'a Record, column: &str) -> Result<Option<&'a Field>> {
    match record.field(column) {
        Some(field) if field.value.is_empty() || field.value == "0" => {
            bail!(
                Position,
                "line {}: {} is empty: this replica has not applied anything yet",
                field.line,
                field.shown
            )
        }
        field => Ok(field),
    }
}

fn missing(record: &Record) -> Result<Found> {
    let line = *record.lines().start();
    if let Some(read) = record.field("read_source_log_pos").or_else(|| record.field("source_log_file")) {
        bail!(
            Position,
            "line {}: {} says how far the replica has read, not how far it has applied: give the lines \
             Relay_Source_Log_File and Exec_Source_Log_Pos (Relay_Master_Log_File and Exec_Master_Log_Pos) as well, or \
             the whole status",
            read.line,
            read.shown
        );
    }
    bail!(
        Position,
        "line {line}: a replica status without both Relay_Source_Log_File and Exec_Source_Log_Pos \
         (Relay_Master_Log_File and Exec_Master_Log_Pos): give the whole status"
    )
}

fn check_threads(record: &Record, found: &mut Found) -> Result<()> {
    match record.field("replica_sql_running") {
        Some(sql) if !sql.value.eq_ignore_ascii_case("no") => bail!(
            Position,
            "line {}: {} is '{}': the replica still applies, so it has moved on from here; {HOW_TO_STOP}",
            sql.line,
            sql.shown,
            shortened(&sql.value)
        ),
        Some(_) => {}
        None => {
            found
                .warnings
                .push("the text does not show that the replica's SQL thread was stopped".to_owned());
        }
    }
    match record.field("replica_io_running") {
        Some(io) if io.value.eq_ignore_ascii_case("connecting") => bail!(
            Position,
            "line {}: {} is 'Connecting': this replica is not stopped and does not reach its source, so these may be \
             coordinates of a server that is no more; mend that, or {HOW_TO_STOP}",
            io.line,
            io.shown
        ),
        Some(io) if !io.value.eq_ignore_ascii_case("no") => found.warnings.push(format!(
            "line {}: the replica's IO thread still runs ({}): it only fetches, the position holds",
            io.line, io.shown
        )),
        _ => {}
    }
    Ok(())
}

/// The error's text stays out of ours: it may hold values of rows.
fn check_errors(record: &Record) -> Result<()> {
    let numbers = ["last_sql_errno", "last_errno"].into_iter().filter_map(|column| record.field(column));
    let texts = ["last_sql_error", "last_error"].into_iter().filter_map(|column| record.field(column));
    let number = numbers.into_iter().find(|field| !matches!(field.value.as_str(), "" | "0"));
    let Some(field) = number.or_else(|| texts.into_iter().find(|field| !field.value.is_empty())) else {
        return Ok(());
    };
    let number = field.value.parse::<u32>().map_or_else(|_| String::new(), |number| format!(" {number}"));
    bail!(
        Position,
        "line {}: the replica stopped with error{number} ({}): behind this place something may be applied already, \
         or not; mend the replica, let it run, and {HOW_TO_STOP}",
        field.line,
        field.shown
    )
}

fn warn(record: &Record, found: &mut Found) {
    for field in record.fields() {
        let filter = field.column.starts_with("replicate_") && !field.value.is_empty();
        if filter && !only_system(field) {
            found.warnings.push(format!(
                "line {}: the replica filters ({}: {}): what it left out is missing from a copy of it",
                field.line,
                field.shown,
                shortened(&field.value)
            ));
        }
    }
    if let Some(skip) = record.field("skip_counter").filter(|field| !matches!(field.value.as_str(), "" | "0"))
    {
        found.warnings.push(format!("line {}: {} is {}", skip.line, skip.shown, shortened(&skip.value)));
    }
    if record.value("gtid_io_pos").is_some_and(is_mariadb) {
        found.warnings.push("GTIDs of MariaDB are left out, only file and offset count".to_owned());
    }
    if let Some(line) = gaps(record, found) {
        found.warnings.push(format!(
            "line {line}: the GTIDs of the source have gaps: if the replica has several workers, some may have run \
             ahead of this place; START REPLICA UNTIL SQL_AFTER_MTS_GAPS on it closes them"
        ));
    }
}

/// RDS replicas ignore some tables of their own; nobody misses those.
fn only_system(field: &Field) -> bool {
    const SYSTEM: [&str; 5] = ["mysql", "sys", "innodb_memcache", "performance_schema", "information_schema"];
    let schema = |name: &str| name.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
    field.column.contains("ignore")
        && field.value.split(',').all(|name| SYSTEM.contains(&schema(name).as_str()))
}

/// The line of a GTID set in which the source's own transactions are not one interval.
fn gaps(record: &Record, found: &Found) -> Option<usize> {
    let (uuid, set) = (found.server.uuid?, found.gtids.as_ref()?);
    let intervals = set.iter().filter(|(sid, _)| **sid == Sid::new(uuid)).count();
    record.field("executed_gtid_set").filter(|_| intervals > 1).map(|field| field.line)
}
