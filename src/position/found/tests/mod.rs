//! What people paste, and what must be refused.

mod dumps;
mod hostile;
mod status;

use super::*;

const RDS_57: &str = include_str!("../samples/rds-5.7-slave-status.txt");
const RDS_80: &str = include_str!("../samples/rds-8.0-replica-status.txt");
const MYSQLDUMP: &str = include_str!("../samples/mysqldump-8.0.sql");
const MYDUMPER: &str = include_str!("../samples/mydumper-0.16-metadata.txt");
const SHELL: &str = include_str!("../samples/shell-dump.json");

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const B: &str = "4f22fb58-71ca-11e1-9e33-c80aa9429563";

const OLD_MYDUMPER: &str = "Started dump at: 2020-05-05 13:57:17\nSHOW MASTER STATUS:\n\tLog: replica-bin.000001\n\
    \tPos: 106\n\tGTID:3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,\n4f22fb58-71ca-11e1-9e33-c80aa9429563:1-2\n\n\
    SHOW SLAVE STATUS:\n\tHost: 10.0.0.1\n\tLog: mysql-bin.001821\n\tPos: 256529431\n\tGTID:\n\n\
    Finished dump at: 2020-05-05 13:57:18\n";

fn place(found: &Found) -> String {
    found.file.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn gtids(found: &Found) -> String {
    found.gtids.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn refused(text: &str) -> String {
    let error = find(text).unwrap_err();
    assert_eq!(error.code(), Code::Position, "{error}");
    error.to_string()
}

/// Rows under a heading: the columns of a status as `SHOW` prints them without `\G`.
fn grid(separator: &str, rows: &[&[&str]]) -> String {
    rows.iter().map(|row| row.join(separator) + "\n").collect()
}
