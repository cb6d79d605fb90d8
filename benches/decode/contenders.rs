//! What else reads binlogs: mysql_common's `binlog` feature and the `mysqlbinlog` program.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::EventData;
use mysql_common::binlog::{BinlogFile, events::RowsEventData};

use crate::install;

/// Frames and parses every event. It never verifies checksums. The number of events.
pub(crate) fn mysql_common_events(file: &Bytes) -> usize {
    let reader = BinlogFile::new(BinlogVersion::Version4, &file[..]).expect("a binlog file");
    let mut count = 0;
    for event in reader {
        let event = event.expect("an event");
        count += usize::from(event.read_data().expect("it parses").is_some());
    }
    count
}

/// The same, and every row of them as values. The number of rows.
pub(crate) fn mysql_common_rows(file: &Bytes) -> u64 {
    let mut reader = BinlogFile::new(BinlogVersion::Version4, &file[..]).expect("a binlog file");
    let mut count = 0;
    while let Some(event) = reader.next() {
        let event = event.expect("an event");
        let Some(EventData::RowsEvent(rows)) = event.read_data().expect("it parses") else { continue };
        let table = reader.reader().get_tme(rows.table_id()).expect("its table map");
        count += rows_of(&rows, table);
    }
    count
}

fn rows_of(rows: &RowsEventData<'_>, table: &mysql_common::binlog::events::TableMapEvent<'_>) -> u64 {
    rows.rows(table).map(|row| std::hint::black_box(row.expect("a row"))).map(|_| 1).sum()
}

/// Puts a file where `mysqlbinlog` can read it.
pub(crate) fn store(bytes: &Bytes, path: &Path) {
    File::create(path).and_then(|mut file| file.write_all(bytes)).expect("room for the file");
}

/// `mysqlbinlog FILE >/dev/null`: events as text and base64; with `-v` rows as SQL beside them.
pub(crate) fn mysqlbinlog(path: &Path, arguments: &[&str]) {
    let mut program = install::mysqld().mysqlbinlog();
    program.arg("--no-defaults").args(arguments).arg(path).stdout(Stdio::null());
    assert!(program.status().expect("mysqlbinlog runs").success(), "mysqlbinlog refuses the file");
}

/// How many rows `mysqlbinlog -v` finds, as a check that the file is one.
pub(crate) fn rows_by_mysqlbinlog(path: &Path) -> u64 {
    let mut program = install::mysqld().mysqlbinlog();
    program
        .args(["--no-defaults", "-v", "--verify-binlog-checksum", "--base64-output=decode-rows"])
        .arg(path);
    let output = program.output().expect("mysqlbinlog runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let starts = |line: &&[u8]| {
        [&b"### INSERT"[..], b"### UPDATE", b"### DELETE"].iter().any(|begin| line.starts_with(begin))
    };
    output.stdout.split(|byte| *byte == b'\n').filter(starts).count() as u64
}
