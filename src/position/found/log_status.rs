//! `SHOW BINARY LOG STATUS` (`SHOW MASTER STATUS`): a server's own coordinates.

use super::records::Record;
use super::{Candidate, Found, Kind, Whose, coordinates};
use crate::bail;
use crate::error::Result;

pub(super) fn candidate(record: &Record) -> Candidate {
    let line = *record.lines().start();
    Candidate { whose: Whose::ServerItself, channel: String::new(), line, found: read(record) }
}

fn read(record: &Record) -> Result<Found> {
    let mut found = Found::new(Kind::LogStatus, record.lines(), Whose::ServerItself);
    let (Some(file), Some(offset)) = (record.value("file"), record.value("position")) else {
        bail!(Position, "lines {:?}: file or position is empty: has this server no binlog?", record.lines());
    };
    let line = |column| record.field(column).map_or(1, |field| field.line);
    found.file = Some(coordinates((file, line("file")), (offset, line("position")))?);
    if let Some(field) = record.field("executed_gtid_set") {
        found.take_gtids(&field.value, field.line)?;
    }
    for column in ["binlog_do_db", "binlog_ignore_db"] {
        if let Some(field) = record.field(column).filter(|field| !field.value.is_empty()) {
            found.warnings.push(format!(
                "line {}: {} is {}: this server does not write everything to its binlog",
                field.line, field.shown, field.value
            ));
        }
    }
    Ok(found)
}
