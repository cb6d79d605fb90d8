//! The recorded files: counts as mysqlbinlog states them, and what is in some of them.

use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::*;
use crate::binlog::{ColumnType, GtidEvent, IntVarKind, RowsEvent, UpdatedDatabases, UserValueKind, kind};

#[derive(Deserialize)]
struct Manifest {
    fixture: Vec<Fixture>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    file: String,
    orders: String,
    sha256: String,
    server: String,
    events: usize,
    inserts: usize,
    updates: usize,
    deletes: usize,
}

/// Every event of a fixture, those in payloads too.
fn events(file: &str) -> Vec<Event> {
    let mut events = Vec::new();
    drive(&mut Decoder::new(true), split(&read(&folder().join(file))), &mut |event| {
        events.push(event.clone());
    })
    .unwrap_or_else(|error| panic!("{file}: {error}"));
    events
}

fn rows_of(file: &str, table: &str) -> Vec<RowsEvent> {
    let of_table = |event: Event| match event.body {
        Body::Rows(rows) if &*rows.table.table == table => Some(rows),
        _ => None,
    };
    events(file).into_iter().filter_map(of_table).collect()
}

#[test]
fn recorded_files_hold_what_mysqlbinlog_says_of_them() {
    let text = std::fs::read_to_string(folder().join("MANIFEST.toml")).unwrap();
    let manifest: Manifest = toml::from_str(&text).unwrap();
    assert!(manifest.fixture.len() >= 10);
    for fixture in manifest.fixture {
        let file = read(&folder().join(&fixture.file));
        let sha256 = Sha256::digest(&file);
        assert_eq!(format!("{sha256:x}"), fixture.sha256, "{}", fixture.file);
        assert!(folder().join(&fixture.orders).exists());
        let mut version = None;
        let counts = drive(&mut Decoder::new(true), split(&file), &mut |event| {
            if let Body::FormatDescription(format) = &event.body {
                version = Some(Arc::clone(&format.server_version));
            }
        });
        let counts = counts.unwrap_or_else(|error| panic!("{}: {error}", fixture.file));
        let Fixture { events, inserts, updates, deletes, .. } = fixture;
        assert_eq!(counts, Counts { events, inserts, updates, deletes }, "{}", fixture.file);
        assert_eq!(version.as_deref(), Some(&*fixture.server));
    }
}

#[test]
fn cells_are_delimited_to_the_bytes_of_their_values() {
    let numbers = rows_of("types.binlog", "numbers");
    let row = numbers[0].rows().next().unwrap().unwrap().after.unwrap();
    let cells: Vec<_> = row.cells().collect();
    assert_eq!(cells[0], Cell::Bytes(&[1, 0, 0, 0]));
    assert_eq!(cells[1], Cell::Bytes(&[0x80]));
    assert_eq!(cells[5], Cell::Bytes(&[0, 0, 0x80]), "MEDIUMINT -8388608");
    assert_eq!(cells[9], Cell::Bytes(&i64::MIN.to_le_bytes()));
    assert_eq!(cells[12], Cell::Bytes(&(-1.797_693_134_862_315_7e308_f64).to_le_bytes()));
    let lengths = |table: &RowsEvent| {
        let row = table.rows().next().unwrap().unwrap().after.unwrap();
        row.cells()
            .map(|cell| if let Cell::Bytes(value) = cell { value.len() } else { 0 })
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths(&numbers[0])[13..], [1, 30, 5, 14, 8, 9, 1, 1, 1, 1, 2, 8, 1]);
    let times = rows_of("types.binlog", "times");
    assert_eq!(lengths(&times[0]), [4, 3, 3, 4, 4, 5, 5, 6, 6, 5, 6, 7, 8, 4, 5, 6, 7]);
    let texts = rows_of("types.binlog", "texts");
    let found = lengths(&texts[0]);
    assert_eq!(found[..16], [4, 0, 5, 765, 2, 255, 6, 255, 256, 3000, 255, 256, 255, 300, 300, 300]);
    assert_eq!(found[20..22], [1, 2], "ENUM and SET");
    assert_eq!(found[26], 12, "VECTOR(3)");
    let nulls = numbers[0].rows().nth(3).unwrap().unwrap().after.unwrap();
    assert!(nulls.cells().skip(1).all(|cell| cell == Cell::Null));
    assert_eq!(nulls.cell(1000), Cell::Absent);
}

#[test]
fn table_maps_say_what_full_metadata_says() {
    let map = Arc::clone(&rows_of("types.binlog", "texts")[0].table);
    let column = |name: &str| map.columns.iter().find(|column| column.name.as_deref() == Some(name)).unwrap();
    assert_eq!(column("c10").charset, Some(8));
    assert_eq!(column("c255").charset, Some(255));
    assert_eq!(column("vb255").charset, Some(63));
    assert_eq!(column("e").kind, ColumnType::Enum);
    assert_eq!(column("e").labels.as_deref().unwrap()[2], "large");
    assert_eq!(column("s").labels.as_ref().unwrap().len(), 9);
    assert_eq!((column("g").geometry, column("p").geometry), (Some(0), Some(1)));
    assert_eq!(column("ve").vector_dimensions, Some(3));
    assert!(!column("id").nullable && column("j").nullable);
    assert_eq!(map.primary_key.as_ref().unwrap()[0].column, 0);
    let numbers = Arc::clone(&rows_of("types.binlog", "numbers")[0].table);
    let unsigned: Vec<_> = numbers.columns.iter().enumerate().filter(|(_, column)| column.unsigned).collect();
    assert_eq!(unsigned.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [2, 4, 6, 8, 10, 18, 19], "YEAR counts");
    let keyed = Arc::clone(&rows_of("tables.binlog", "keyed")[0].table);
    let parts = keyed.primary_key.as_ref().unwrap();
    assert_eq!((parts[0].column, parts[0].prefix, parts[1].column), (0, 10, 1));
    assert!(rows_of("tables.binlog", "gipk")[0].table.generated_invisible_pk);
    let computed = Arc::clone(&rows_of("tables.binlog", "computed")[0].table);
    assert_eq!(computed.columns.iter().filter(|column| !column.visible).count(), 1);
}

#[test]
fn names_come_in_every_script() {
    let files = events("names.binlog");
    let tables = files.iter().filter_map(|event| match &event.body {
        Body::TableMap(table) => Some((&*table.schema, &*table.table)),
        _ => None,
    });
    let tables: Vec<_> = tables.collect();
    assert_eq!(tables[0], ("商店", "注文"));
    assert_eq!(tables[1].1, "with `quotes` and 'more'");
    assert!(tables.iter().any(|(_, table)| table.chars().count() == 48));
}

#[test]
fn images_hold_the_columns_that_the_row_image_setting_left_in() {
    let wide = rows_of("images.binlog", "wide");
    let update = &wide[1];
    assert_eq!(update.before.count_ones(), 1, "MINIMAL: the key");
    let row = update.rows().next().unwrap().unwrap();
    assert_eq!(row.before.unwrap().cell(0), Cell::Bytes(&[1, 0, 0, 0]));
    let after = row.after.unwrap();
    assert_eq!((after.cell(0), after.cell(2)), (Cell::Absent, Cell::Bytes(b"new")));
    assert_eq!(after.cell(9), Cell::Bytes(b"text"));
    let empty = rows_of("images.binlog", "defaults");
    let rows: Vec<_> = empty[0].rows().map(|row| row.unwrap().after.unwrap().bytes().len()).collect();
    assert_eq!(rows, [0], "one row of no columns");
}

#[test]
fn partial_updates_tell_changes_to_json_from_whole_values() {
    let partial: Vec<_> = rows_of("images.binlog", "wide")
        .into_iter()
        .filter(|rows| rows.kind == RowsKind::PartialUpdate)
        .collect();
    let cells = |rows: &RowsEvent| {
        let after = rows.rows().next().unwrap().unwrap().after.unwrap();
        let kind = |i| match after.cell(i) {
            Cell::Absent => 'a',
            Cell::Null => 'n',
            Cell::Bytes(_) => 'w',
            Cell::Diff(_) => 'd',
        };
        (kind(4), kind(10))
    };
    let found: Vec<_> = partial.iter().map(cells).collect();
    // The columns d and j of each UPDATE in images.sql: what did not change is an empty list of changes.
    assert_eq!(found, [('d', 'd'), ('d', 'd'), ('d', 'w'), ('d', 'd'), ('n', 'd'), ('d', 'a'), ('a', 'a')]);
}

#[test]
fn gtids_tagged_and_not_are_read() {
    let found = events("gtids.binlog");
    let gtids: Vec<&GtidEvent> = found
        .iter()
        .filter_map(|event| if let Body::Gtid(gtid) = &event.body { Some(gtid) } else { None })
        .collect();
    let text = |gtid: &&GtidEvent| gtid.gtid.as_ref().map(ToString::to_string).unwrap();
    let texts: Vec<_> = gtids.iter().map(text).collect();
    assert!(texts[0].ends_with(":a_tag_of_thirty_two_characters__:1"), "{texts:?}");
    assert_eq!(texts[2], "ffffffff-aaaa-bbbb-cccc-0123456789ab:other:1234567890123");
    assert_eq!(texts[3], "ffffffff-aaaa-bbbb-cccc-0123456789ab:77");
    for (i, gtid) in gtids.iter().enumerate() {
        assert_eq!(gtid.sequence_number, i64::try_from(i + 1).unwrap());
        assert_eq!(gtid.immediate_server_version, Some(90_704));
        assert_eq!(gtid.original_server_version, Some(90_704));
        assert_eq!(gtid.original_commit_timestamp_us, gtid.immediate_commit_timestamp_us);
        assert!(gtid.immediate_commit_timestamp_us > Some(1_700_000_000_000_000));
        assert!(gtid.transaction_length > Some(100));
    }
    let Some(Body::PreviousGtids(set)) =
        found.iter().map(|event| &event.body).find(|body| matches!(body, Body::PreviousGtids(_)))
    else {
        panic!("no previous GTIDs");
    };
    assert!(set.to_string().contains(":mytag:1-2"), "{set}");
}

#[test]
fn anonymous_transactions_have_no_gtid_but_a_clock() {
    let anonymous = events("plain.binlog").into_iter().find_map(|event| match event.body {
        Body::Gtid(gtid) => Some(gtid),
        _ => None,
    });
    let anonymous = anonymous.unwrap();
    assert_eq!((anonymous.gtid, anonymous.sequence_number), (None, 1));
    assert!(anonymous.transaction_length.is_some());
}

#[test]
fn transaction_lengths_add_up_to_the_events_of_the_transaction() {
    let file = read(&folder().join("types.binlog"));
    let (mut left, mut transactions) = (0_u64, 0);
    drive(&mut Decoder::new(true), split(&file), &mut |event| {
        if let Body::Gtid(gtid) = &event.body {
            assert_eq!(left, 0);
            left = gtid.transaction_length.unwrap();
            transactions += 1;
        }
        left = left.saturating_sub(u64::from(event.header.event_size));
    })
    .unwrap();
    assert!(transactions > 10);
}

#[test]
fn statements_come_with_their_context() {
    let found = events("statements.binlog");
    let query = |part: &str| {
        let is = |event: &&Event| matches!(&event.body, Body::Query(query) if query.sql.windows(part.len()).any(|w| w == part.as_bytes()));
        match found.iter().find(is).map(|event| &event.body) {
            Some(Body::Query(query)) => (**query).clone(),
            _ => panic!("no statement with {part}"),
        }
    };
    let german = query("DATE_FORMAT");
    assert_eq!(&german.database[..], b"shop");
    assert_eq!(german.status.lc_time_names, Some(4));
    assert_eq!(german.status.auto_increment, Some((10, 3)));
    assert_eq!(german.status.time_zone.as_deref(), Some(&b"SYSTEM"[..]));
    assert_eq!(german.status.unknown, None);
    assert_eq!(query("NOW(6)").status.microseconds, Some(123_456));
    let odd = query("back");
    assert_eq!(odd.status.flags2.unwrap() & 0x0C00_0000, 0x0C00_0000);
    assert_eq!(odd.status.sql_mode.unwrap() & (4 | 0x0010_0000), 4 | 0x0010_0000);
    assert_eq!(query("'latin'").status.charset.unwrap().0, 8);
    let names = |names: &[&'static str]| {
        Some(UpdatedDatabases::Names(names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()))
    };
    let mut updated = query("UPDATE t, other.o").status.updated_databases;
    if let Some(UpdatedDatabases::Names(list)) = &mut updated {
        list.sort();
    }
    assert_eq!(updated, names(&["other", "shop"]));
    assert!(query("CREATE DEFINER").status.ddl_xid.is_some());
    assert_eq!(query("'latin'").status.enable_cascade_triggers, Some(false));
    assert!(query("'latin'").status.default_collation_for_utf8mb4.is_some());
}

#[test]
fn variables_that_statements_read_come_before_them() {
    let found = events("statements.binlog");
    let has = |kind, value| {
        found
            .iter()
            .any(|event| matches!(event.body, Body::IntVar { kind: k, value: v } if (k, v) == (kind, value)))
    };
    assert!(has(IntVarKind::InsertId, 1) && has(IntVarKind::LastInsertId, 1));
    assert!(found.iter().any(|event| matches!(event.body, Body::Rand { seed1, .. } if seed1 > 0)));
    let variable = |name: &str| {
        found
            .iter()
            .find_map(|event| match &event.body {
                Body::UserVar(variable) if variable.name == name => Some(variable.value.clone()),
                _ => None,
            })
            .unwrap_or_else(|| panic!("no @{name}"))
    };
    let (text, real) = (variable("text").unwrap(), variable("real").unwrap());
    assert_eq!((text.kind, &text.bytes[..]), (UserValueKind::String, "Grüße".as_bytes()));
    assert_eq!((real.kind, &real.bytes[..]), (UserValueKind::Real, &1.5_f64.to_le_bytes()[..]));
    let (int, big) = (variable("int").unwrap(), variable("big").unwrap());
    assert_eq!((&int.bytes[..], int.unsigned), (&(-7_i64).to_le_bytes()[..], false));
    assert_eq!((&big.bytes[..], big.unsigned), (&u64::MAX.to_le_bytes()[..], true));
    let decimal = variable("dec").unwrap();
    assert_eq!((decimal.kind, &decimal.bytes[..2]), (UserValueKind::Decimal, &[3, 2][..]));
    assert_eq!(variable("null"), None);
    assert_eq!(variable("odd name").unwrap().bytes, Bytes::from_static(&[0xE4]));
}

#[test]
fn load_data_comes_as_blocks_and_a_statement() {
    let found = events("statements.binlog");
    let begin = found.iter().find_map(|event| match &event.body {
        Body::BeginLoadQuery(block) => Some(block.clone()),
        _ => None,
    });
    assert_eq!(&begin.unwrap().block[..], b"1\tone\n2\ttwo\n");
    let load = found.iter().find_map(|event| match &event.body {
        Body::ExecuteLoadQuery(load) => Some((**load).clone()),
        _ => None,
    });
    let load = load.unwrap();
    let span = &load.query.sql[load.file_name_start as usize..load.file_name_end as usize];
    assert!(String::from_utf8_lossy(span).contains("INFILE"), "{span:?}");
    assert_eq!(&load.query.database[..], b"shop");
}

#[test]
fn xa_groups_end_in_their_prepare() {
    let found = events("xa.binlog");
    let prepared: Vec<_> = found
        .iter()
        .filter_map(|event| match &event.body {
            Body::XaPrepare(prepare) => Some((prepare.one_phase, prepare.xid.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(prepared.len(), 3);
    assert_eq!(
        (prepared[0].1.format_id, &prepared[0].1.gtrid[..], &prepared[0].1.bqual[..]),
        (7, &b"first"[..], &b"branch"[..])
    );
    assert_eq!(&prepared[1].1.gtrid[..], [0, 1, 255]);
    assert!(prepared[2].0, "XA COMMIT .. ONE PHASE");
}

#[test]
fn payloads_hold_whole_transactions_and_respect_the_cap() {
    let file = split(&read(&folder().join("payload.binlog")));
    let mut decoder = Decoder::new(true);
    let payload =
        file.into_iter().map(|raw| decoder.decode(raw).unwrap()).find_map(|event| match event.body {
            Body::Payload(payload) => Some(payload),
            _ => None,
        });
    let payload = payload.unwrap();
    let mut reader = payload.events(payload.uncompressed_size).unwrap();
    let mut kinds = Vec::new();
    while let Some(raw) = reader.next_event().unwrap() {
        kinds.push(decoder.decode_inner(raw).unwrap().header.kind);
    }
    assert_eq!(kinds, [kind::QUERY, kind::TABLE_MAP, kind::WRITE_ROWS, kind::XID]);
    assert_eq!(
        payload.events(payload.uncompressed_size - 1).unwrap_err().code(),
        crate::error::Code::TooLarge
    );
}

#[test]
fn table_maps_end_with_their_statement() {
    let several = events("tables.binlog");
    let open_at_once =
        several.windows(3).any(|three| three.iter().all(|event| matches!(event.body, Body::TableMap(_))));
    assert!(open_at_once, "a statement over several tables maps them first");
    let file = split(&read(&folder().join("types.binlog")));
    let mut decoder = Decoder::new(true);
    let mut last_rows = None;
    for raw in file {
        if matches!(decoder.decode(raw.clone()).unwrap().body, Body::Rows(_)) {
            last_rows = Some(raw.clone());
            let error = decoder.decode(raw).unwrap_err();
            assert!(error.to_string().contains("no table map"), "{error}");
        }
    }
    assert!(last_rows.is_some());
}

#[test]
fn equal_table_maps_are_compiled_once() {
    let found = rows_of("types.binlog", "numbers");
    assert!(Arc::ptr_eq(&found[0].table, &found[1].table));
}

#[test]
fn a_renamed_table_map_says_the_same_of_its_columns() {
    let found = events("types.binlog");
    let map = found.iter().find_map(|event| match &event.body {
        Body::TableMap(map) if &*map.table == "texts" => Some(Arc::clone(map)),
        _ => None,
    });
    let map = map.unwrap();
    let mut decoder = Decoder::new(false);
    let format = found.iter().find_map(|event| match &event.body {
        Body::FormatDescription(format) => Some(format.clone()),
        _ => None,
    });
    let format = format.unwrap();
    let Body::FormatDescription(sent) = decoder.decode(format.without_checksum()).unwrap().body else {
        panic!()
    };
    assert_eq!(
        (sent.checksum, &sent.server_version),
        (crate::binlog::Checksum::None, &format.server_version)
    );
    assert_eq!(sent.post_header_lengths, format.post_header_lengths);
    let long = "表".repeat(64);
    for (schema, table) in [("other", "name"), (&*long, &*long), (&*map.schema, &*map.table)] {
        let bytes = map.renamed(schema, table, 0x0102_0304_0506);
        let Body::TableMap(renamed) = decoder.decode(bytes).unwrap().body else { panic!() };
        assert_eq!((&*renamed.schema, &*renamed.table, renamed.table_id), (schema, table, 0x0102_0304_0506));
        assert_eq!(renamed.columns, map.columns);
        assert_eq!(renamed.primary_key, map.primary_key);
    }
}

#[test]
fn rows_events_move_to_another_table_id() {
    let found = events("types.binlog");
    let mut decoder = Decoder::new(false);
    for event in &found {
        match &event.body {
            Body::FormatDescription(format) => drop(decoder.decode(format.without_checksum()).unwrap()),
            Body::TableMap(map) => drop(decoder.decode(map.renamed("a", "b", 7)).unwrap()),
            Body::Rows(rows) => {
                let moved = decoder.decode(crate::binlog::rows_event_with_table_id(&event.bytes, 7)).unwrap();
                let Body::Rows(moved) = moved.body else { panic!() };
                assert_eq!((&*moved.table.table, &moved.data), ("b", &rows.data));
            }
            _ => {}
        }
    }
}

#[test]
fn a_rows_event_is_rebuilt_from_chosen_images() {
    let found = events("types.binlog");
    let (event, rows) = found
        .iter()
        .find_map(|event| if let Body::Rows(rows) = &event.body { Some((event, rows)) } else { None })
        .unwrap();
    let mut images: Vec<_> = rows.rows().map(|row| row.unwrap().after.unwrap().bytes()).collect();
    images.reverse();
    let rebuilt = rows.with_rows(&event.bytes, rows.table.table_id, RowsEvent::STMT_END, &images);
    assert_eq!(rebuilt.len(), event.bytes.len());
    let mut decoder = Decoder::new(false);
    let format = found.iter().find_map(|event| match &event.body {
        Body::FormatDescription(format) => Some(format.without_checksum()),
        _ => None,
    });
    decoder.decode(format.unwrap()).unwrap();
    decoder.decode(rows.table.renamed("a", "b", rows.table.table_id)).unwrap();
    let Body::Rows(rebuilt) = decoder.decode(rebuilt).unwrap().body else { panic!() };
    let back: Vec<_> = rebuilt.rows().map(|row| row.unwrap().after.unwrap().bytes().to_vec()).collect();
    assert_eq!(back, images);
}

#[test]
fn a_body_is_hardly_larger_than_the_rows_that_most_events_carry() {
    assert!(size_of::<Body>() <= size_of::<RowsEvent>() + 2 * size_of::<usize>(), "{}", size_of::<Body>());
}
