//! Files that lie. Each case is built here and lies on disk as `proto-fixtures/hostile/binlog-<case>.bin`, for fuzzing and for
//! other readers; `BINBRIDGE_WRITE_HOSTILE=1` writes them anew.

use super::*;
use crate::binlog::{TransactionPayload, kind};
use crate::error::Code::{self, BadEvent, Incident, TooLarge, UnknownEvent};

/// An event around a body, with a right checksum.
fn event(kind: u8, body: &[u8]) -> Vec<u8> {
    flagged(kind, 0, body)
}

fn flagged(kind: u8, flags: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(Header::LEN + body.len() + 4).unwrap();
    let header = Header { timestamp: 1, kind, server_id: 1, event_size: size, end_position: 99, flags };
    sealed([&header.encode()[..], body].concat())
}

fn sealed(mut event: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&event);
    event.extend(checksum.to_le_bytes());
    event
}

/// A real format description, then these events.
fn file(events: &[Vec<u8>]) -> Vec<u8> {
    let real = read(&folder().join("types.binlog"));
    [MAGIC, &split(&real)[0], &events.concat()].concat()
}

/// A table map of id 7, `a.b`, with these column types, their metadata and optional metadata.
fn table_map(types: &[u8], meta: &[u8], optional: &[u8]) -> Vec<u8> {
    let count = u8::try_from(types.len()).unwrap();
    let meta_length = u8::try_from(meta.len()).unwrap();
    let nullable = vec![0xFF; types.len().div_ceil(8)];
    let head = [7, 0, 0, 0, 0, 0, 1, 0, 1, b'a', 0, 1, b'b', 0, count];
    event(kind::TABLE_MAP, &[&head[..], types, &[meta_length], meta, &nullable, optional].concat())
}

/// A rows event for table 7 of one column.
fn rows(kind: u8, rest: &[u8]) -> Vec<u8> {
    event(kind, &[&[7, 0, 0, 0, 0, 0, 1, 0, 2, 0][..], rest].concat())
}

fn payload(algorithm: u8, uncompressed: u64, bytes: &[u8]) -> Vec<u8> {
    let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let fields = [
        &[1, 4, 0xFD, size[0], size[1], size[2]][..],
        &if algorithm == 255 { vec![2, 3, 0xFC, 255, 0] } else { vec![2, 1, algorithm] },
        &[3, 9, 0xFE],
        &uncompressed.to_le_bytes(),
        &[0],
        bytes,
    ];
    event(kind::TRANSACTION_PAYLOAD, &fields.concat())
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn query(status: &[u8], status_length: u16) -> Vec<u8> {
    let head = [&[0; 8][..], &[0, 0, 0], &status_length.to_le_bytes()].concat();
    event(kind::QUERY, &[&head, status, b"\0SELECT 1"].concat())
}

type Case = (&'static str, Vec<u8>, Code);

fn framing() -> Vec<Case> {
    let xid = event(kind::XID, &[1; 8]);
    let with_size = |size: u32| {
        let mut lying = xid.clone();
        lying[9..13].copy_from_slice(&size.to_le_bytes());
        lying
    };
    let mut bad_crc = xid.clone();
    *bad_crc.last_mut().unwrap() ^= 1;
    let mut bad_format = file(&[]);
    bad_format[50] ^= 1;
    let mut bad_algorithm = file(&[]);
    let at = bad_algorithm.len() - 5;
    bad_algorithm[at] = 77;
    let short_format = [MAGIC, &event(kind::FORMAT_DESCRIPTION, &[4, 0, b'9'])].concat();
    vec![
        ("header-cut", file(&[xid[..10].to_vec()]), BadEvent),
        ("body-cut", file(&[xid[..22].to_vec()]), BadEvent),
        ("size-over-end", file(&[with_size(u32::MAX)]), BadEvent),
        ("size-under-header", file(&[with_size(5)]), BadEvent),
        ("size-of-header", file(&[with_size(19)]), BadEvent),
        ("crc-wrong", file(&[bad_crc]), BadEvent),
        ("format-crc-wrong", bad_format, BadEvent),
        ("format-algorithm-unknown", bad_algorithm, BadEvent),
        ("format-cut", short_format, BadEvent),
        ("format-missing", [MAGIC, &xid].concat(), BadEvent),
        ("type-unknown", file(&[event(99, b"?")]), UnknownEvent),
        ("type-mariadb-gtid", file(&[event(162, &[0; 19])]), UnknownEvent),
        ("type-from-before-5.6", file(&[event(kind::CREATE_FILE, &[0; 19])]), UnknownEvent),
        ("incident", file(&[event(kind::INCIDENT, b"\x01\x00\x04gone")]), Incident),
    ]
}

fn cold_parsers() -> Vec<Case> {
    let user_var = [&[4, 0, 0, 0][..], b"name", &[0, 0, 45, 0, 0, 0, 255, 255, 255, 255], b"x"].concat();
    let xa = [&[0][..], &[1, 0, 0, 0], &[255, 255, 255, 127], &[0; 4]].concat();
    let load = [&[0; 13][..], &[1, 0, 0, 0, 9, 0, 0, 0, 200, 0, 0, 0, 0], b"\0LOAD DATA"].concat();
    let many_sids = [&u64::MAX.to_le_bytes()[..6], &[0, 0], &[0; 40]].concat();
    vec![
        ("xid-cut", file(&[event(kind::XID, &[1; 7])]), BadEvent),
        ("rotate-cut", file(&[event(kind::ROTATE, &[4; 3])]), BadEvent),
        ("rotate-not-utf8", file(&[event(kind::ROTATE, b"\x04\0\0\0\0\0\0\0\xFF\xFE")]), BadEvent),
        ("gtid-cut", file(&[event(kind::GTID, &[0; 20])]), BadEvent),
        ("gtid-zero", file(&[event(kind::GTID, &[0; 42])]), BadEvent),
        (
            "gtid-tagged-size",
            file(&[event(kind::GTID_TAGGED, &[2, 0xFF, 9, 9, 9, 9, 9, 9, 9, 9, 0])]),
            BadEvent,
        ),
        ("gtid-tagged-version", file(&[event(kind::GTID_TAGGED, &[4, 6, 0])]), BadEvent),
        (
            "gtid-tagged-tag-length",
            file(&[event(kind::GTID_TAGGED, &[2, 16, 0, 6, 0xFD, 255, 255, 255])]),
            BadEvent,
        ),
        ("gtid-tagged-order", file(&[event(kind::GTID_TAGGED, &[2, 14, 0, 10, 2, 8, 2])]), BadEvent),
        ("gtid-tagged-must-know", file(&[event(kind::GTID_TAGGED, &[2, 6, 40])]), BadEvent),
        ("previous-gtids-count", file(&[event(kind::PREVIOUS_GTIDS, &many_sids)]), BadEvent),
        ("query-status-over-end", file(&[query(&[0, 1, 2, 3, 4], 60_000)]), BadEvent),
        ("query-status-cut", file(&[query(&[0, 1, 2], 3)]), BadEvent),
        ("query-databases-cut", file(&[query(&[12, 200, b'a', 0], 4)]), BadEvent),
        ("user-var-length", file(&[event(kind::USER_VAR, &user_var)]), BadEvent),
        ("user-var-name-length", file(&[event(kind::USER_VAR, &[255, 255, 255, 255, b'x'])]), BadEvent),
        ("int-var-unknown", file(&[event(kind::INTVAR, &[9; 9])]), BadEvent),
        ("xa-length", file(&[event(kind::XA_PREPARE, &xa)]), BadEvent),
        ("load-span", file(&[event(kind::EXECUTE_LOAD_QUERY, &load)]), BadEvent),
        (
            "heartbeat-v2-length",
            file(&[event(kind::HEARTBEAT_V2, &[1, 0xFE, 255, 255, 255, 255, 255, 255, 255, 255])]),
            BadEvent,
        ),
        ("heartbeat-v2-empty", file(&[event(kind::HEARTBEAT_V2, &[0])]), BadEvent),
    ]
}

fn tables_and_rows() -> Vec<Case> {
    let map = |count: &[u8]| {
        event(kind::TABLE_MAP, &[&[7, 0, 0, 0, 0, 0, 1, 0, 1, b'a', 0, 1, b'b', 0][..], count].concat())
    };
    let int = || table_map(&[3], &[], &[]);
    let blob = || table_map(&[252], &[4], &[]);
    let json = || table_map(&[245], &[4], &[]);
    let many = [&[0xFC, 0x01, 0x20][..], &[3; 0x2001], &[0], &[0; 0x401]].concat();
    let huge_labels = [&[6, 6, 0xFD, 255, 255, 255, 1, b'a'][..]].concat();
    vec![
        ("columns-count-over-end", file(&[map(&[0xFE, 255, 255, 255, 255, 255, 255, 255, 127])]), BadEvent),
        ("columns-count-null", file(&[map(&[0xFB])]), BadEvent),
        ("columns-too-many", file(&[map(&many)]), BadEvent),
        (
            "table-name-length",
            file(&[event(kind::TABLE_MAP, &[7, 0, 0, 0, 0, 0, 1, 0, 200, b'a', 0])]),
            BadEvent,
        ),
        (
            "table-name-not-utf8",
            file(&[event(kind::TABLE_MAP, b"\x07\0\0\0\0\0\x01\0\x01\xFF\0\x01b\0\x01\x03\0\0")]),
            BadEvent,
        ),
        ("column-type-unknown", file(&[table_map(&[222], &[], &[])]), UnknownEvent),
        ("column-type-mariadb", file(&[table_map(&[140], &[4], &[])]), UnknownEvent),
        ("column-type-array-in-array", file(&[table_map(&[20], &[20, 20, 20], &[])]), BadEvent),
        ("metadata-cut", file(&[table_map(&[252, 252], &[4], &[])]), BadEvent),
        ("metadata-left-over", file(&[table_map(&[3], &[4], &[])]), BadEvent),
        ("metadata-decimal", file(&[table_map(&[246], &[66, 2], &[])]), BadEvent),
        ("metadata-fraction", file(&[table_map(&[18], &[7], &[])]), BadEvent),
        ("metadata-labels-count", file(&[table_map(&[254], &[247, 1], &huge_labels)]), BadEvent),
        ("metadata-field-length", file(&[table_map(&[3], &[], &[4, 0xFD, 255, 255, 255])]), BadEvent),
        ("metadata-key-column", file(&[table_map(&[3], &[], &[8, 1, 9])]), BadEvent),
        ("rows-without-map", file(&[rows(kind::WRITE_ROWS, &[1, 1, 0, 1, 0, 0, 0])]), BadEvent),
        ("rows-columns-differ", file(&[int(), rows(kind::WRITE_ROWS, &[9, 1, 0, 1, 0, 0, 0])]), BadEvent),
        (
            "rows-extra-length",
            file(&[int(), event(kind::WRITE_ROWS, &[7, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1])]),
            BadEvent,
        ),
        ("rows-cell-cut", file(&[int(), rows(kind::WRITE_ROWS, &[1, 1, 0, 1, 0, 0])]), BadEvent),
        ("rows-second-cut", file(&[int(), rows(kind::WRITE_ROWS, &[1, 1, 0, 1, 0, 0, 0, 0])]), BadEvent),
        (
            "rows-blob-length",
            file(&[blob(), rows(kind::WRITE_ROWS, &[1, 1, 0, 255, 255, 255, 255, b'x'])]),
            BadEvent,
        ),
        ("rows-without-bytes", file(&[int(), rows(kind::DELETE_ROWS, &[1, 0, 9, 9])]), BadEvent),
        (
            "rows-update-without-after",
            file(&[int(), rows(kind::UPDATE_ROWS, &[1, 1, 1, 0, 1, 0, 0, 0])]),
            BadEvent,
        ),
        (
            "partial-options-unknown",
            file(&[json(), rows(kind::PARTIAL_UPDATE_ROWS, &[1, 1, 1, 1, 6, 1])]),
            BadEvent,
        ),
        ("partial-bits-cut", file(&[json(), rows(kind::PARTIAL_UPDATE_ROWS, &[1, 1, 1, 1, 1])]), BadEvent),
    ]
}

fn payloads() -> Vec<Case> {
    let inner = |kind, claimed: u32, body: &[u8]| {
        let header =
            Header { timestamp: 1, kind, server_id: 1, event_size: claimed, end_position: 0, flags: 0 };
        [&header.encode()[..], body].concat()
    };
    let xid = inner(kind::XID, 27, &[1; 8]);
    let huge = inner(kind::XID, u32::MAX, &[0; 1 << 12]);
    let nested = inner(kind::TRANSACTION_PAYLOAD, 20, &[0]);
    let mut damaged = zstd(&xid.repeat(40));
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0x5A);
    let whole = zstd(&xid.repeat(40));
    vec![
        ("payload-algorithm-unknown", file(&[payload(9, 27, &xid)]), UnknownEvent),
        ("payload-not-zstd", file(&[payload(0, 27, b"this is not zstd")]), BadEvent),
        ("payload-zstd-damaged", file(&[payload(0, 40 * 27, &damaged)]), BadEvent),
        ("payload-zstd-cut", file(&[payload(0, 40 * 27, &whole[..whole.len() - 5])]), BadEvent),
        ("payload-over-cap", file(&[payload(0, 1 << 50, &whole)]), TooLarge),
        ("payload-bomb", file(&[payload(0, 1000, &zstd(&vec![0; 1 << 24]))]), BadEvent),
        ("payload-bomb-announced", file(&[payload(0, 1 << 24, &zstd(&vec![0; 1 << 24]))]), BadEvent),
        ("payload-event-over-end", file(&[payload(255, 1 << 12, &huge)]), BadEvent),
        ("payload-longer", file(&[payload(255, 27, &xid.repeat(2))]), BadEvent),
        ("payload-shorter", file(&[payload(255, 99, &xid)]), BadEvent),
        ("payload-nested", file(&[payload(255, 20, &nested)]), BadEvent),
        (
            "payload-size-over-end",
            file(&[event(kind::TRANSACTION_PAYLOAD, &[1, 1, 200, 2, 1, 0, 3, 1, 9, 0, 1])]),
            BadEvent,
        ),
        (
            "payload-fields-without-end",
            file(&[event(kind::TRANSACTION_PAYLOAD, &[1, 1, 2, 2, 1, 0])]),
            BadEvent,
        ),
        ("payload-without-algorithm", file(&[event(kind::TRANSACTION_PAYLOAD, &[1, 1, 0, 0])]), BadEvent),
    ]
}

fn cases() -> Vec<Case> {
    [framing(), cold_parsers(), tables_and_rows(), payloads()].concat()
}

/// Decodes all of a file as a consumer would: an incident is an error too.
fn verdict(bytes: Vec<u8>) -> Result<()> {
    let mut incident = None;
    drive(&mut Decoder::new(true), split(&bytes.into()), &mut |event| {
        if let Body::Incident(found) = &event.body {
            incident = Some(found.error());
        }
    })?;
    incident.map_or(Ok(()), Err)
}

#[test]
fn files_that_lie_are_refused_with_the_right_code() {
    for (name, bytes, code) in cases() {
        match verdict(bytes) {
            Ok(()) => panic!("{name} is accepted"),
            Err(error) => assert_eq!(error.code(), code, "{name}: {error}"),
        }
    }
}

#[test]
fn the_hostile_files_on_disk_are_these_cases() {
    let folder = folder().join("hostile");
    if std::env::var_os("BINBRIDGE_WRITE_HOSTILE").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes, _) in cases() {
            std::fs::write(folder.join(format!("binlog-{name}.bin")), bytes).unwrap();
        }
    }
    for (name, bytes, _) in cases() {
        // Compressed bytes depend on the library's version: what they do is what counts.
        let on_disk = read(&folder.join(format!("binlog-{name}.bin")));
        assert!(name.starts_with("payload-") || on_disk == bytes, "{name} differs: write it anew");
    }
    let mut on_disk = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let error = verdict(read(&entry.unwrap().path()).to_vec());
        assert!(error.is_err());
        on_disk += 1;
    }
    assert_eq!(on_disk, cases().len());
}

#[test]
fn errors_name_the_event_and_the_offset() {
    let error = verdict(file(&[event(kind::XID, &[1; 7])])).unwrap_err().to_string();
    assert!(error.contains("XID event (type 16), offset 19"), "{error}");
    let error = verdict(file(&[event(162, &[0; 19])])).unwrap_err().to_string();
    assert!(error.contains("MariaDB GTID"), "{error}");
}

#[test]
fn unknown_types_that_may_be_ignored_are() {
    let mut bodies = Vec::new();
    let raw = file(&[flagged(100, Header::IGNORABLE, b"?"), event(kind::VIEW_CHANGE, &[0; 60])]);
    drive(&mut Decoder::new(true), split(&raw.into()), &mut |event| bodies.push(event.body.clone())).unwrap();
    assert!(matches!(
        bodies[1..],
        [Body::Ignorable { kind: 100 }, Body::Ignorable { kind: kind::VIEW_CHANGE }]
    ));
}

#[test]
fn rows_stop_after_the_first_error() {
    let raw = file(&[table_map(&[3], &[], &[]), rows(kind::WRITE_ROWS, &[1, 1, 0, 1, 0, 0, 0, 0, 9])]);
    let mut decoder = Decoder::new(true);
    let events: Vec<_> = split(&raw.into()).into_iter().map(|raw| decoder.decode(raw).unwrap()).collect();
    let Body::Rows(rows) = &events[2].body else { panic!() };
    let found: Vec<_> = rows.rows().map(|row| row.is_ok()).collect();
    assert_eq!(found, [true, false]);
}

#[test]
fn a_reader_of_a_damaged_payload_stays_at_its_end() {
    let xid =
        Header { timestamp: 1, kind: kind::XID, server_id: 1, event_size: 27, end_position: 0, flags: 0 };
    let payload = TransactionPayload {
        compression: crate::binlog::Compression::None,
        uncompressed_size: 27,
        payload: Bytes::copy_from_slice(&xid.encode()),
    };
    let mut reader = payload.events(100).unwrap();
    assert_eq!(reader.next_event().unwrap_err().code(), BadEvent);
    assert!(reader.next_event().unwrap().is_none());
}

#[test]
fn artificial_rotates_follow_what_was_asked_for_and_forgive_servers_that_do_not() {
    let header = |size| Header {
        timestamp: 0,
        kind: kind::ROTATE,
        server_id: 1,
        event_size: size,
        end_position: 0,
        flags: 0x20,
    };
    let body = b"\x04\0\0\0\0\0\0\0binlog.000017";
    let plain = |size| [&header(size).encode()[..], body].concat();
    let bare = u32::try_from(Header::LEN + body.len()).unwrap();
    let with_checksum = sealed(plain(bare + 4));
    for wanted in [true, false] {
        for raw in [with_checksum.clone(), plain(bare)] {
            let event = Decoder::new(wanted).decode(raw.into()).unwrap();
            let Body::Rotate { file, offset, artificial } = event.body else { panic!() };
            assert_eq!((&*file, offset, artificial), ("binlog.000017", 4, true));
        }
    }
    let mut wrong = with_checksum;
    *wrong.last_mut().unwrap() ^= 0x80;
    assert_eq!(Decoder::new(true).decode(wrong.into()).unwrap_err().code(), BadEvent);
}

#[test]
fn a_format_description_of_a_file_in_use_verifies() {
    let real = read(&folder().join("types.binlog"));
    for flags in [0_u8, 1] {
        let mut format = split(&real)[0].to_vec();
        format[17] = flags;
        Decoder::new(true).decode(format.into()).unwrap();
    }
}

#[test]
fn heartbeats_of_both_versions_say_how_far_the_source_is() {
    let v2 = [&[1, 13][..], b"binlog.000017", &[2, 9, 0xFE, 0, 0, 0, 0, 2, 0, 0, 0, 0]].concat();
    let raw = file(&[event(kind::HEARTBEAT, b"binlog.000017"), event(kind::HEARTBEAT_V2, &v2)]);
    let mut found = Vec::new();
    drive(&mut Decoder::new(true), split(&raw.into()), &mut |event| {
        if let Body::Heartbeat { file, offset } = &event.body {
            found.push((file.to_string(), *offset));
        }
    })
    .unwrap();
    assert_eq!(found, [("binlog.000017".to_owned(), 99), ("binlog.000017".to_owned(), 2 << 32)]);
}
