//! How fast claims and merging are. `CARGO_PROFILE_TEST_OPT_LEVEL=3 cargo test --lib schedule::tests::speed -- --ignored
//! --nocapture`

use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use super::super::{Collation, Item, KeyColumn, Planner, Reach, TableKeys, TableName, UniqueKey};
use super::events::event;
use crate::binlog::{Body, Decoder, kind};
use crate::transaction::{Change, Routed, RowsChange};

/// id INT, k INT, c CHAR(120), pad CHAR(60), as sysbench has them.
fn table_map() -> Bytes {
    let mut body = BytesMut::new();
    body.put_uint_le(9, 6);
    body.put_u16_le(1);
    body.put_slice(b"\x02db\0\x01t\0\x04\x03\x03\xfe\xfe\x04\xee\xe0\xfe\xf0\0");
    event(kind::TABLE_MAP, &body)
}

fn image(id: u32, k: u32, body: &mut BytesMut) {
    body.put_u8(0);
    body.put_u32_le(id);
    body.put_u32_le(k);
    body.put_u16_le(119);
    body.put_bytes(b'c', 119);
    body.put_u8(59);
    body.put_bytes(b'p', 59);
}

fn update(id: u32, k: u32) -> Bytes {
    let mut body = BytesMut::new();
    body.put_uint_le(9, 6);
    body.put_slice(b"\x01\0\x02\0\x04\x0f\x0f");
    image(id, k, &mut body);
    image(id, k + 1, &mut body);
    event(kind::UPDATE_ROWS, &body)
}

#[test]
#[ignore = "prints figures of this machine"]
fn rows_per_second() {
    let mut decoder = Decoder::new(false);
    let map = table_map();
    let Body::TableMap(compiled) = decoder.decode_inner(map.clone()).unwrap().body else { panic!() };
    let name = TableName { schema: Arc::from("db"), table: Arc::from("t") };
    let routed = Arc::new(Routed {
        map: compiled,
        schema: Arc::clone(&name.schema),
        table: Arc::clone(&name.table),
        event: map.clone(),
    });
    let texts = KeyColumn { collation: Collation::Folded, ..KeyColumn::default() };
    let key = |column| UniqueKey { columns: vec![column], reach: Reach::Values };
    let columns = vec![KeyColumn::default(), KeyColumn::default(), texts.clone(), texts];
    let primary = Some(key(0));
    let one_key = TableKeys { name, columns, primary, ..TableKeys::default() };
    let claiming = TableKeys { unique: vec![key(1), key(2)], ..one_key.clone() };
    for (what, keys, distinct) in [
        ("hot rows", one_key.clone(), 1_000),
        ("different rows", one_key, 200_000),
        ("different rows, a unique number that changes", claiming, 200_000),
    ] {
        let changes: Vec<Change> = (0..200_000_u32)
            .map(|number| {
                decoder.decode_inner(map.clone()).unwrap();
                let id = number.wrapping_mul(0x9E37_79B9) % distinct;
                let event = decoder.decode_inner(update(id, number * 2)).unwrap();
                let Body::Rows(rows) = event.body else { panic!() };
                Change::Rows(RowsChange {
                    table: Arc::clone(&routed),
                    event: rows,
                    bytes: event.bytes,
                    rows: 1,
                })
            })
            .collect();
        let (keys, mut planner, mut events) = (Arc::new(keys), Planner::default(), Vec::new());
        for _ in 0..3 {
            events.clear();
            let began = Instant::now();
            let net = planner.plan(changes.iter(), |_| Some(Arc::clone(&keys))).unwrap();
            let made = began.elapsed();
            let Item::Rows(rows) = &net.items()[0] else { panic!() };
            net.encode(rows.clone(), &mut events);
            let all = began.elapsed();
            let rate = f64::from(200_000_u32) / made.as_secs_f64() / 1e6;
            let gigabytes = f64::from(200_000_u32 * 2 * 190) / made.as_secs_f64() / 1e9;
            eprintln!(
                "{what}: {rate:.2} M rows/s, {gigabytes:.2} GB/s of images; {} rows out, encoded after {all:?}",
                net.rows()
            );
        }
    }
}
