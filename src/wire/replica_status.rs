//! A replica's state as its server shows it, in the old and the new column names.

use crate::bail;
use crate::error::{Code, Error, Result};

use super::rows::{Row, Rows};

/// Whether a replica's receiving thread runs (`Replica_IO_Running`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// It runs and is connected.
    Yes,
    /// It is stopped.
    No,
    /// It runs and is not connected (`Connecting`, MariaDB's `Preparing`).
    Connecting,
}

/// One channel of `SHOW REPLICA STATUS` (MySQL 8.4 manual, "SHOW REPLICA STATUS Statement"; 5.7 manual,
/// "SHOW SLAVE STATUS Statement", for the old names).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Where the source is.
    pub source_host: String,
    /// Its port.
    pub source_port: u16,
    /// Its `server_uuid`; empty on MariaDB and before the first contact.
    pub source_uuid: String,
    /// The receiving thread.
    pub io_running: Running,
    /// Whether the applying thread runs.
    pub sql_running: bool,
    /// The source's file that holds the last transaction applied: the one to start from.
    pub relay_source_log_file: String,
    /// The end of the last transaction applied, in that file: the one to start from.
    pub exec_source_log_pos: u64,
    /// The source's file being received.
    pub source_log_file: String,
    /// The end of what was received, in that file.
    pub read_source_log_pos: u64,
    /// The receiving thread's last error; 0 for none.
    pub last_io_errno: u32,
    /// Its text.
    pub last_io_error: String,
    /// The applying thread's last error; 0 for none.
    pub last_sql_errno: u32,
    /// Its text.
    pub last_sql_error: String,
    /// The server's idea of its lag; `None` where it says NULL.
    pub seconds_behind: Option<u64>,
    /// GTIDs received.
    pub retrieved_gtid_set: String,
    /// GTIDs applied.
    pub executed_gtid_set: String,
    /// Whether the channel asks for transactions by GTID.
    pub auto_position: bool,
    /// `None`, `Master`, `SQL_BEFORE_GTIDS`, ...
    pub until_condition: String,
    /// The channel's name; empty for the default channel.
    pub channel: String,
}

impl ReplicaStatus {
    /// Every channel; empty if the server is no replica.
    pub fn from_rows(rows: &Rows) -> Result<Vec<Self>> {
        rows.iter().map(|row| Self::from_row(&Columns { rows, row })).collect()
    }

    fn from_row(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            source_host: columns.text("Source_Host", "Master_Host")?,
            source_port: columns.number("Source_Port", "Master_Port")?,
            source_uuid: columns.optional("Source_UUID", "Master_UUID"),
            io_running: running(columns.required("Replica_IO_Running", "Slave_IO_Running")?),
            sql_running: columns
                .required("Replica_SQL_Running", "Slave_SQL_Running")?
                .eq_ignore_ascii_case("yes"),
            relay_source_log_file: columns.text("Relay_Source_Log_File", "Relay_Master_Log_File")?,
            exec_source_log_pos: columns.number("Exec_Source_Log_Pos", "Exec_Master_Log_Pos")?,
            source_log_file: columns.text("Source_Log_File", "Master_Log_File")?,
            read_source_log_pos: columns.number("Read_Source_Log_Pos", "Read_Master_Log_Pos")?,
            last_io_errno: columns.number("Last_IO_Errno", "Last_IO_Errno")?,
            last_io_error: columns.optional("Last_IO_Error", "Last_IO_Error"),
            last_sql_errno: columns.number("Last_SQL_Errno", "Last_SQL_Errno")?,
            last_sql_error: columns.optional("Last_SQL_Error", "Last_SQL_Error"),
            seconds_behind: columns
                .find("Seconds_Behind_Source", "Seconds_Behind_Master")
                .and_then(|text| text.parse().ok()),
            retrieved_gtid_set: columns.optional("Retrieved_Gtid_Set", "Retrieved_Gtid_Set"),
            executed_gtid_set: columns.optional("Executed_Gtid_Set", "Executed_Gtid_Set"),
            auto_position: columns.optional("Auto_Position", "Auto_Position") == "1",
            until_condition: columns.optional("Until_Condition", "Until_Condition"),
            channel: columns.optional("Channel_Name", "Connection_name"),
        })
    }
}

fn running(text: &str) -> Running {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Running::Yes,
        "no" => Running::No,
        _ => Running::Connecting,
    }
}

/// One row, asked for a value by its new name, then by its old one.
struct Columns<'a> {
    rows: &'a Rows,
    row: &'a Row,
}

impl<'a> Columns<'a> {
    fn find(&self, new: &str, old: &str) -> Option<&'a str> {
        let index = self.rows.index(new).or_else(|| self.rows.index(old))?;
        self.row.text(index)
    }

    fn optional(&self, new: &str, old: &str) -> String {
        self.find(new, old).unwrap_or_default().to_owned()
    }

    fn required(&self, new: &str, old: &str) -> Result<&'a str> {
        match self.find(new, old) {
            Some(text) => Ok(text),
            None => bail!(Protocol, "the replica's status has neither {new} nor {old}"),
        }
    }

    fn text(&self, new: &str, old: &str) -> Result<String> {
        self.required(new, old).map(str::to_owned)
    }

    fn number<T: std::str::FromStr>(&self, new: &str, old: &str) -> Result<T> {
        let text = self.required(new, old)?;
        text.parse()
            .map_err(|_| Error::new(Code::Protocol, format!("the replica's status says {new} = {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const VALUES: [(&str, &str, Option<&str>); 17] = [
        ("Source_Host", "Master_Host", Some("db1")),
        ("Source_Port", "Master_Port", Some("3306")),
        ("Source_UUID", "Master_UUID", Some("3e11fa47-71ca-11e1-9e33-c80aa9429562")),
        ("Replica_IO_Running", "Slave_IO_Running", Some("Connecting")),
        ("Replica_SQL_Running", "Slave_SQL_Running", Some("No")),
        ("Relay_Source_Log_File", "Relay_Master_Log_File", Some("mysql-bin-changelog.000042")),
        ("Exec_Source_Log_Pos", "Exec_Master_Log_Pos", Some("5000000000")),
        ("Source_Log_File", "Master_Log_File", Some("mysql-bin-changelog.000043")),
        ("Read_Source_Log_Pos", "Read_Master_Log_Pos", Some("157")),
        ("Last_IO_Errno", "Last_IO_Errno", Some("2003")),
        ("Last_IO_Error", "Last_IO_Error", Some("error connecting")),
        ("Last_SQL_Errno", "Last_SQL_Errno", Some("0")),
        ("Last_SQL_Error", "Last_SQL_Error", Some("")),
        ("Seconds_Behind_Source", "Seconds_Behind_Master", None),
        ("Executed_Gtid_Set", "Executed_Gtid_Set", Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5")),
        ("Auto_Position", "Auto_Position", Some("1")),
        ("Channel_Name", "Channel_Name", Some("")),
    ];

    fn rows(spelling: impl Fn(&(&'static str, &'static str, Option<&str>)) -> &'static str) -> Rows {
        let values =
            VALUES.iter().map(|(_, _, value)| value.map(|text| Bytes::copy_from_slice(text.as_bytes())));
        Rows {
            columns: VALUES.iter().map(|entry| spelling(entry).to_owned()).collect(),
            rows: vec![Row(values.collect())],
        }
    }

    #[test]
    fn old_and_new_column_names_give_the_same_status() {
        let new = ReplicaStatus::from_rows(&rows(|entry| entry.0)).unwrap();
        let old = ReplicaStatus::from_rows(&rows(|entry| entry.1)).unwrap();
        assert_eq!(new, old);
        let [status] = new.as_slice() else { panic!("one channel") };
        assert_eq!(status.relay_source_log_file, "mysql-bin-changelog.000042");
        assert_eq!(status.exec_source_log_pos, 5_000_000_000);
        assert_eq!(status.io_running, Running::Connecting);
        assert!(!status.sql_running && status.auto_position);
        assert_eq!(status.seconds_behind, None);
    }

    #[test]
    fn a_server_that_is_no_replica_has_no_channel() {
        assert_eq!(ReplicaStatus::from_rows(&Rows::default()).unwrap(), []);
    }

    #[test]
    fn a_missing_position_is_an_error_and_never_zero() {
        let mut rows = rows(|entry| entry.0);
        rows.columns[6] = "Something_Else".to_owned();
        assert_eq!(ReplicaStatus::from_rows(&rows).unwrap_err().code(), Code::Protocol);
    }
}
