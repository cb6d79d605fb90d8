//! Files of other projects, where `BINBRIDGE_PUBLIC_FIXTURES` names a folder that has them: counts stated by their tests.

use std::io::Read;
use std::time::Instant;

use super::*;
use crate::error::Code;

fn public(file: &str) -> Option<Bytes> {
    let Some(folder) = std::env::var_os("BINBRIDGE_PUBLIC_FIXTURES") else {
        println!("BINBRIDGE_PUBLIC_FIXTURES is not set: {file} was not looked at");
        return None;
    };
    let bytes = read(&Path::new(&folder).join(file));
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Some(bytes);
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
    Some(plain.into())
}

fn decode(file: &Bytes) -> (Result<Counts>, usize) {
    let mut outer = 0;
    let raw = split(file);
    let whole = raw.len();
    let counts = drive(&mut Decoder::new(true), raw, &mut |_| outer += 1);
    (counts, whole)
}

#[test]
fn files_of_other_projects_hold_the_events_and_rows_that_their_tests_state() {
    // Events in the file (those in payloads not counted), rows.
    for (file, events, rows) in [
        ("osheroff+mysql-binlog-connector-java/mysql-bin.sakila.gz", 1462, Some(47_273)),
        ("osheroff+mysql-binlog-connector-java/mysql-bin.checksum-none", 191, None),
        ("osheroff+mysql-binlog-connector-java/mysql-bin.checksum-crc32", 303, None),
        ("osheroff+mysql-binlog-connector-java/mysql-bin.compressed", 5, Some(1)),
        ("osheroff+mysql-binlog-connector-java/mysql-bin.aurora-padding", 0, None),
        ("apecloud+mysql-binlog-connector-rust/mysql-bin.000057", 8, None),
        ("apecloud+mysql-binlog-connector-rust/mysql-bin.000080", 37, None),
        ("github+gh-ost/mysql-bin.000066", 0, Some(20)),
        ("github+gh-ost/mysql-bin.000070", 0, Some(20)),
    ] {
        let Some(bytes) = public(file) else { return };
        let (counts, whole) = decode(&bytes);
        let counts = counts.unwrap_or_else(|error| panic!("{file}: {error}"));
        println!("{file}: {whole} events in the file, {counts:?}");
        assert!(events == 0 || events == whole, "{file}: {whole}");
        assert!(rows.is_none_or(|rows| rows == counts.rows()), "{file}: {counts:?}");
    }
}

#[test]
fn files_with_their_rows_as_json_hold_as_many() {
    for number in ["01", "02", "03", "05", "06"] {
        let Some(bytes) = public(&format!("zalora+binlog-parser/mysql-bin.{number}")) else { return };
        let Some(json) = public(&format!("zalora+binlog-parser/{number}.json")) else { return };
        let stated = |kind: &str| {
            let needle = format!("\"Type\": \"{kind}\"");
            json.windows(needle.len()).filter(|window| *window == needle.as_bytes()).count()
        };
        let counts = decode(&bytes).0.unwrap();
        println!("zalora {number}: {counts:?}");
        let stated = (stated("Insert"), stated("Update"), stated("Delete"));
        assert_eq!((counts.inserts, counts.updates, counts.deletes), stated, "{number}");
    }
}

#[test]
fn times_in_the_format_of_old_mariadb_servers_are_refused() {
    let Some(bytes) = public("pingcap+tiflow/mysql-bin.000001") else { return };
    let error = decode(&bytes).0.unwrap_err();
    println!("{error}");
    assert_eq!(error.code(), Code::UnknownEvent);
}

#[test]
fn the_speed_of_decoding_and_walking_rows_is_printed() {
    const ROUNDS: usize = 100;
    let Some(bytes) = public("osheroff+mysql-binlog-connector-java/mysql-bin.sakila.gz") else { return };
    let raw = split(&bytes);
    let (mut rows, start) = (0_u32, Instant::now());
    for _ in 0..ROUNDS {
        let mut decoder = Decoder::new(true);
        for raw in &raw {
            if let Body::Rows(event) = decoder.decode(raw.clone()).unwrap().body {
                rows += event.rows().map(|row| u32::from(row.is_ok())).sum::<u32>();
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64() / f64::from(u32::try_from(ROUNDS).unwrap());
    let megabytes = f64::from(u32::try_from(bytes.len()).unwrap()) / 1e6;
    println!("{:.0} MB/s", megabytes / seconds);
    assert_eq!(rows, 4_727_300);
}
