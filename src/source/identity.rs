//! Who the source is, and whether its settings can work.

use crate::bail;
use crate::clock::now_us;
use crate::error::{Code, Error, Result};
use crate::wire::Connection;

/// What the source says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `server_uuid`: a position by file and offset belongs to one server.
    pub uuid: String,
    /// `server_id` of the source itself.
    pub server_id: u32,
    /// The version as text.
    pub version: String,
    /// `gtid_mode` is ON.
    pub gtid_mode: bool,
    /// `binlog_format`: ROW, MIXED or STATEMENT.
    pub binlog_format: String,
    /// `system_time_zone`, which `time_zone = SYSTEM` means.
    pub system_time_zone: String,
    /// `lower_case_table_names` is not 0: names that differ in case only are the same.
    pub folds_names: bool,
    /// Microseconds that the source's clock is ahead of ours, halfway through the question.
    pub clock_ahead_us: i64,
}

impl Identity {
    /// Asks the source.
    ///
    /// # Errors
    /// `BB3105` if the source is no MySQL or writes no binlog.
    pub async fn ask(connection: &mut Connection) -> Result<Self> {
        if connection.server().mariadb {
            bail!(
                SourceSettings,
                "the source is MariaDB ({}): only MySQL sources are understood",
                connection.server().version_text
            );
        }
        let asked = signed(now_us());
        let rows = connection
            .query(
                "SELECT @@server_uuid, @@server_id, @@version, @@global.gtid_mode, @@global.binlog_format, @@global.log_bin, \
                 @@system_time_zone, CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED), @@lower_case_table_names",
            )
            .await?;
        let answered = signed(now_us());
        let row = rows
            .rows
            .first()
            .ok_or_else(|| Error::new(Code::Protocol, "the source did not answer who it is"))?;
        let text = |index: usize| row.text(index).unwrap_or_default().to_owned();
        if text(5) != "1" {
            bail!(
                SourceSettings,
                "log_bin is off on the source: there is nothing to replicate (RDS: set a backup retention above 0)"
            );
        }
        let source_us: i64 = text(7).parse().unwrap_or_default();
        Ok(Self {
            uuid: text(0),
            server_id: text(1).parse().unwrap_or_default(),
            version: text(2),
            gtid_mode: text(3) == "ON",
            binlog_format: text(4),
            system_time_zone: text(6),
            folds_names: text(8) != "0",
            clock_ahead_us: source_us - (asked + (answered - asked) / 2),
        })
    }
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}
