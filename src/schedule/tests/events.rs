//! Changes as binlog events, and events as changes again.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::super::TableName;
use super::history::{Columns, Lines};
use super::schema::{BINARIES, COLUMNS, DECIMALS, Generated, Line, Nature, Schema, TEXTS, Value};
use super::store::{Refusal, RowChange, Store};
use crate::binlog::{Body, Cell, Decoder, Header, Image, QueryEvent, RowsEvent, StatusVars, kind};
use crate::transaction::{Change, Context, Routed, RowsChange, StatementChange};

/// Numbers of table maps; a table's other map has a higher one, and longer strings.
const FIRST_ID: u64 = 100;
const OTHER_ID: u64 = 200;

fn map_id(table: usize, other: bool) -> u64 {
    table as u64 + if other { OTHER_ID } else { FIRST_ID }
}

pub(super) fn event(kind: u8, body: &[u8]) -> Bytes {
    let size = u32::try_from(Header::LEN + body.len()).unwrap();
    let header =
        Header { timestamp: 1, kind, server_id: 7, event_size: size, end_position: 4, flags: 0 }.encode();
    [&header[..], body].concat().into()
}

fn table_map(number: usize, other: bool, name: &TableName, schema: &Schema) -> Bytes {
    let table = &schema.tables[number];
    let mut body = BytesMut::new();
    body.put_uint_le(map_id(number, other), 6);
    // The last is TM_GENERATED_INVISIBLE_PK_F.
    body.put_u16_le(if table.generated == Generated::Both { 5 } else { 1 });
    for name in [&name.schema, &name.table] {
        body.put_u8(u8::try_from(name.len()).unwrap());
        body.put_slice(name.as_bytes());
        body.put_u8(0);
    }
    let (mut types, mut meta) = (Vec::new(), Vec::new());
    for nature in &table.natures {
        match nature {
            Nature::Int => types.push(3),
            Nature::Text(_) | Nature::Binary => {
                types.push(15);
                // From 256 bytes on the length takes two.
                meta.extend_from_slice(&[40, u8::from(other)]);
            }
            Nature::Decimal => {
                types.push(246);
                meta.extend_from_slice(&[5, 2]);
            }
            Nature::Double => {
                types.push(5);
                meta.push(8);
            }
        }
    }
    for part in [&types, &meta] {
        body.put_u8(u8::try_from(part.len()).unwrap());
        body.put_slice(part);
    }
    body.put_u8(0xFF);
    event(kind::TABLE_MAP, &body)
}

fn bits(of: impl Iterator<Item = bool>) -> u8 {
    of.enumerate().fold(0, |bits, (index, on)| bits | (u8::from(on) << index))
}

fn image(line: &Line, natures: &[Nature], (held, long): (Columns, bool), body: &mut BytesMut) {
    let length = |body: &mut BytesMut, bytes: usize| body.put_uint_le(bytes as u64, if long { 2 } else { 1 });
    let values = || line.iter().zip(natures).zip(held).filter(|(_, held)| *held).map(|(value, _)| value);
    if values().next().is_some() {
        body.put_u8(bits(values().map(|(value, _)| *value == Value::Null)));
    }
    for (value, nature) in values() {
        match value {
            Value::Null => {}
            Value::Int(number) => body.put_i32_le(*number),
            Value::Double(bits) => body.put_u64_le(*bits),
            Value::Text(text) => {
                length(body, text.len());
                body.put_slice(text.as_bytes());
            }
            Value::Raw(bytes) => {
                if *nature == Nature::Binary {
                    length(body, bytes.len());
                }
                body.put_slice(bytes);
            }
        }
    }
}

fn rows_event(lines: &Lines, natures: &[Nature]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_uint_le(map_id(lines.table, lines.other_map), 6);
    body.put_u16_le(lines.flags | RowsEvent::STMT_END);
    body.put_u16_le(2);
    body.put_u8(u8::try_from(COLUMNS).unwrap());
    let (has_before, has_after) = (lines.rows[0].0.is_some(), lines.rows[0].1.is_some());
    for (held, has) in [(lines.before, has_before), (lines.after, has_after)] {
        if has {
            body.put_u8(bits(held.into_iter()));
        }
    }
    for (before, after) in &lines.rows {
        if let Some(line) = before {
            image(line, natures, (lines.before, lines.other_map), &mut body);
        }
        if let Some(line) = after {
            if lines.partial {
                // No options: the image is a plain one.
                body.put_u8(0);
            }
            image(line, natures, (lines.after, lines.other_map), &mut body);
        }
    }
    let code = match (has_before, has_after) {
        (false, _) => kind::WRITE_ROWS,
        (true, false) => kind::DELETE_ROWS,
        (true, true) if lines.partial => kind::PARTIAL_UPDATE_ROWS,
        (true, true) => kind::UPDATE_ROWS,
    };
    event(code, &body)
}

/// Makes changes of a schema's tables.
pub(super) struct Source {
    decoder: Decoder,
    natures: Vec<[Nature; COLUMNS]>,
    /// Each table's map, and its other one.
    maps: Vec<[Arc<Routed>; 2]>,
}

impl Source {
    pub(super) fn new(schema: &Schema) -> Self {
        let mut decoder = Decoder::new(false);
        let mut routed = |number: usize, other: bool| {
            let name = Schema::name(number);
            let event = table_map(number, other, &name, schema);
            let Body::TableMap(map) = decoder.decode_inner(event.clone()).unwrap().body else { panic!() };
            Arc::new(Routed { map, schema: name.schema, table: name.table, event })
        };
        let maps = (0..schema.tables.len()).map(|number| [false, true].map(|other| routed(number, other)));
        let maps = maps.collect();
        Self { decoder, natures: schema.tables.iter().map(|table| table.natures).collect(), maps }
    }

    pub(super) fn rows(&mut self, lines: &Lines) -> Change {
        let table = Arc::clone(&self.maps[lines.table][usize::from(lines.other_map)]);
        self.decoder.decode_inner(table.event.clone()).unwrap();
        let event = self.decoder.decode_inner(rows_event(lines, &self.natures[lines.table])).unwrap();
        let Body::Rows(mut rows) = event.body else { panic!() };
        let count = rows.delimit(&mut Vec::new()).unwrap();
        assert_eq!(count, lines.rows.len() as u64);
        Change::Rows(RowsChange { table, event: rows, bytes: event.bytes, rows: count })
    }

    /// A statement that says nothing but a number.
    pub(super) fn statement(number: usize) -> Change {
        let query = QueryEvent {
            thread_id: 0,
            execution_time: 0,
            error_code: 0,
            status: StatusVars::default(),
            database: Bytes::new(),
            sql: number.to_string().into(),
        };
        Change::Statement(Box::new(StatementChange { timestamp: 0, query, context: Context::default() }))
    }
}

/// What comes out of events.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) events: usize,
    pub(super) rows: usize,
    pub(super) statements: usize,
}

/// Applies encoded events to a store, as a server would.
pub(super) fn apply(events: &[u8], schema: &Schema, store: &mut Store<'_>) -> Result<Applied, Refusal> {
    let mut decoder = Decoder::new(false);
    let mut applied = Applied::default();
    let mut first_flags = None;
    let mut rest = Bytes::copy_from_slice(events);
    while !rest.is_empty() {
        let size = Header::parse(&rest).unwrap().event_size as usize;
        match decoder.decode_inner(rest.split_to(size)).unwrap().body {
            Body::TableMap(_) => assert!(first_flags.is_none(), "all table maps come first"),
            Body::Rows(rows) => {
                let kept = rows.flags & !RowsEvent::STMT_END;
                assert_eq!(*first_flags.get_or_insert(kept), kept, "a statement has one set of flags");
                if rows.ends_statement() {
                    (first_flags, applied.statements) = (None, applied.statements + 1);
                }
                applied.events += 1;
                applied.rows += apply_rows(&rows, schema, store)?;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(first_flags.is_none(), "the last statement ends");
    Ok(applied)
}

fn apply_rows(event: &RowsEvent, schema: &Schema, store: &mut Store<'_>) -> Result<usize, Refusal> {
    let table: usize = event.table.table[1..].parse().unwrap();
    let natures = &schema.tables[table].natures;
    let no_foreign_keys = event.flags & RowsEvent::NO_FOREIGN_KEY_CHECKS != 0;
    let mut count = 0;
    for row in event.rows() {
        let row = row.unwrap();
        let (before, after) =
            (row.before.map(|row| read(&row, natures)), row.after.map(|row| read(&row, natures)));
        let before = before.map(|before| store.find(table, &before)).transpose()?;
        let after = after.map(|after| {
            let old = |column: usize| before.as_ref().map_or(Value::Null, |line| line[column].clone());
            after
                .into_iter()
                .enumerate()
                .map(|(column, value)| value.unwrap_or_else(|| old(column)))
                .collect()
        });
        store.apply(&RowChange { table, before, after, no_foreign_keys })?;
        count += 1;
    }
    Ok(count)
}

fn read(image: &Image<'_>, natures: &[Nature]) -> Vec<Option<Value>> {
    let raw = |among: &[&'static [u8]], bytes: &[u8]| {
        among.iter().find(|own| **own == bytes).map(|own| Value::Raw(own))
    };
    let value = |(cell, nature): (Cell<'_>, &Nature)| match (cell, nature) {
        (Cell::Null, _) => Some(Value::Null),
        (Cell::Bytes(bytes), Nature::Int) => Some(Value::Int(i32::from_le_bytes(bytes.try_into().unwrap()))),
        (Cell::Bytes(bytes), Nature::Double) => {
            Some(Value::Double(u64::from_le_bytes(bytes.try_into().unwrap())))
        }
        (Cell::Bytes(bytes), Nature::Text(_)) => {
            TEXTS.iter().find(|text| text.as_bytes() == bytes).map(|text| Value::Text(text))
        }
        (Cell::Bytes(bytes), Nature::Decimal) => raw(&DECIMALS, bytes),
        (Cell::Bytes(bytes), Nature::Binary) => raw(&BINARIES, bytes),
        (Cell::Absent | Cell::Diff(_), _) => None,
    };
    image.cells().zip(natures).map(value).collect()
}
