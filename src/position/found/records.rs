//! One row of a status, whatever form it was printed in.

use std::ops::RangeInclusive;

use super::is_null;

/// The columns that are looked at, in today's words.
const COLUMNS: [&str; 33] = [
    "auto_position",
    "binlog_do_db",
    "binlog_ignore_db",
    "channel_name",
    "connection_name",
    "exec_source_log_pos",
    "executed_gtid_set",
    "file",
    "gtid_io_pos",
    "last_errno",
    "last_error",
    "last_sql_errno",
    "last_sql_error",
    "position",
    "read_source_log_pos",
    "relay_log_file",
    "relay_log_pos",
    "relay_source_log_file",
    "replica_io_running",
    "replica_sql_running",
    "replicate_do_db",
    "replicate_do_table",
    "replicate_ignore_db",
    "replicate_ignore_table",
    "replicate_rewrite_db",
    "replicate_wild_do_table",
    "replicate_wild_ignore_table",
    "seconds_behind_source",
    "skip_counter",
    "source_host",
    "source_log_file",
    "source_port",
    "source_uuid",
];

/// A column's name in today's words, if it is one that is looked at.
pub(super) fn column(name: &str) -> Option<&'static str> {
    let name = name.trim();
    if name.len() > 64 {
        return None;
    }
    let name = name.to_ascii_lowercase().replace("master", "source").replace("slave", "replica");
    let name = name.trim_start_matches("@@").trim_start_matches("global.");
    let name = if name == "gtid_executed" { "executed_gtid_set" } else { name };
    COLUMNS.into_iter().find(|known| *known == name)
}

/// The columns of `SHOW BINARY LOG STATUS`.
const LOG_STATUS: [&str; 5] = ["file", "position", "binlog_do_db", "binlog_ignore_db", "executed_gtid_set"];

/// One value.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The column in today's words.
    pub(super) column: &'static str,
    /// The column as the text has it.
    pub(super) shown: String,
    /// The value; `NULL` is empty.
    pub(super) value: String,
    /// The line, from 1.
    pub(super) line: usize,
}

/// One row: the fields that are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Record(Vec<Field>);

impl Record {
    /// Adds a value if its column is known.
    pub(super) fn add(&mut self, name: &str, value: &str, line: usize) {
        if let Some(column) = column(name) {
            let value = value.trim();
            let value = if is_null(value) { "" } else { value }.to_owned();
            self.0.push(Field { column, shown: name.trim().to_owned(), value, line });
        }
    }

    /// Appends a line to the last value if that is a GTID set which goes on.
    pub(super) fn extend_gtids(&mut self, more: &str) {
        if let Some(last) = self.0.last_mut()
            && last.column == "executed_gtid_set"
            && last.value.ends_with(',')
        {
            last.value.push_str(more.trim().trim_end_matches('|').trim_end());
        }
    }

    /// Whether a column may follow in this row: no column comes twice, nor has one row columns of two statuses.
    pub(super) fn may_have(&self, column: &str) -> bool {
        let foreign = self.has("file") && !LOG_STATUS.contains(&column);
        !self.has(column) && !foreign && (column != "file" || self.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.0.iter().any(|field| field.column == column)
    }

    pub(super) fn field(&self, column: &str) -> Option<&Field> {
        self.0.iter().find(|field| field.column == column)
    }

    /// The value, if there is one and it is not empty.
    pub(super) fn value(&self, column: &str) -> Option<&str> {
        self.field(column).map(|field| field.value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.0
    }

    pub(super) fn lines(&self) -> RangeInclusive<usize> {
        let line = |field: Option<&Field>| field.map_or(1, |field| field.line);
        line(self.0.first())..=line(self.0.last())
    }

    /// Whether this is a row of `SHOW REPLICA STATUS`, or a part of one.
    pub(super) fn is_replica_status(&self) -> bool {
        let own = [
            "relay_source_log_file",
            "exec_source_log_pos",
            "replica_sql_running",
            "read_source_log_pos",
            "relay_log_file",
        ];
        own.into_iter().any(|column| self.has(column))
    }

    /// Whether this is a row of `SHOW BINARY LOG STATUS`.
    pub(super) fn is_log_status(&self) -> bool {
        self.has("file") && self.has("position")
    }

    /// Whether this is only a GTID set.
    pub(super) fn is_gtid_set(&self) -> bool {
        self.0.iter().all(|field| field.column == "executed_gtid_set")
            && self.value("executed_gtid_set").is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_words_are_one_column() {
        for (old, new) in [
            ("Relay_Master_Log_File", "Relay_Source_Log_File"),
            ("Exec_Master_Log_Pos", "Exec_Source_Log_Pos"),
            ("Slave_SQL_Running", "Replica_SQL_Running"),
            ("Seconds_Behind_Master", "Seconds_Behind_Source"),
            ("Master_UUID", "Source_UUID"),
        ] {
            assert_eq!(column(old), column(new));
            assert!(column(new).is_some(), "{new}");
        }
        assert_eq!(column("Master_SSL_Allowed"), None);
        assert_eq!(column("@@GLOBAL.gtid_executed"), Some("executed_gtid_set"));
    }
}
