//! Binlog files as a MySQL 9.7 writes them, the same bytes each time: format description, GTID, `BEGIN` and XID events are
//! a server's own (`proto-fixtures/plain.binlog`), tables and rows are made here, and so are the checksums.

use bytes::{BufMut, Bytes};

const MAGIC: &[u8] = b"\xfebin";
const FIXTURE: &[u8] = include_bytes!("../../proto-fixtures/plain.binlog");
const HEADER: usize = 19;
const CHECKSUM: usize = 4;
const CRC32: u8 = 1;

const QUERY: u8 = 2;
const FORMAT_DESCRIPTION: u8 = 15;
const XID: u8 = 16;
const TABLE_MAP: u8 = 19;
const ANONYMOUS_GTID: u8 = 34;
const PREVIOUS_GTIDS: u8 = 35;

/// The server fills a rows event up to this (`binlog_row_event_max_size`).
const FULL_EVENT: usize = 8192;
const STMT_END: u16 = 1;

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Transactions of sysbench's `oltp_write_only`: two updates, a delete and an insert of 190-byte rows.
    Oltp,
    /// `INSERT`s of a thousand of such rows each, in full rows events; their keys are random, which is the worst for merging.
    Bulk,
    /// `UPDATE`s of five hundred rows of forty columns of all common types each, a fifth of them NULL.
    Wide,
}

/// What a rows event does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Insert = 30,
    Update = 31,
    Delete = 32,
}

/// A table as its table map shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    id: u64,
    name: &'static str,
    /// Wire type, metadata, and how many columns of it follow one another.
    columns: &'static [(u8, &'static [u8], usize)],
    nullable: bool,
}

/// `id INT PRIMARY KEY, k INT, c CHAR(120), pad CHAR(60)`.
pub(crate) const SBTEST: Table = Table {
    id: 108,
    name: "sbtest1",
    columns: &[(3, &[], 2), (254, &[0xEE, 0xE0], 1), (254, &[0xFE, 0xF0], 1)],
    nullable: false,
};

/// `id BIGINT PRIMARY KEY, code VARCHAR(64) UNIQUE`, then INT, DECIMAL(12,2), DATETIME, TIMESTAMP, VARCHAR(255), TEXT,
/// DOUBLE and TINYINT columns.
pub(crate) const WIDE: Table = Table {
    id: 109,
    name: "wide",
    columns: &[
        (8, &[], 1),
        (15, &[0, 1], 1),
        (3, &[], 10),
        (246, &[12, 2], 6),
        (18, &[0], 6),
        (17, &[0], 4),
        (15, &[0xFC, 3], 6),
        (252, &[2], 2),
        (5, &[8], 2),
        (1, &[], 2),
    ],
    nullable: true,
};

/// A file, and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) bytes: Bytes,
    /// Changed rows; an update is one.
    pub(crate) rows: u64,
}

/// Writes a file.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    rows: u64,
    transactions: i64,
    random: u64,
}

/// A file of at least so many bytes.
pub(crate) fn write(shape: Shape, least: usize) -> Written {
    let mut writer = Writer::new();
    while writer.bytes.len() < least {
        match shape {
            Shape::Oltp => writer.oltp(),
            Shape::Bulk => writer.statement(&SBTEST, Kind::Insert, 1000, FULL_EVENT),
            Shape::Wide => writer.statement(&WIDE, Kind::Update, 500, FULL_EVENT),
        }
    }
    writer.finish()
}

impl Table {
    fn width(&self) -> usize {
        self.columns.iter().map(|(_, _, count)| count).sum()
    }

    fn map(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_uint_le(self.id, 6);
        body.put_u16_le(1);
        for name in ["sbtest", self.name] {
            body.put_u8(u8::try_from(name.len()).expect("short"));
            body.put_slice(name.as_bytes());
            body.put_u8(0);
        }
        let width = self.width();
        body.put_u8(u8::try_from(width).expect("few columns"));
        for (wire_type, _, count) in self.columns {
            body.put_bytes(*wire_type, *count);
        }
        let meta: Vec<u8> = self.columns.iter().flat_map(|(_, meta, count)| meta.repeat(*count)).collect();
        body.put_u8(u8::try_from(meta.len()).expect("little metadata"));
        body.put_slice(&meta);
        // All columns but the first two may be NULL.
        let nullable = if self.nullable { !3 } else { 0_u64 };
        body.put_slice(&nullable.to_le_bytes()[..width.div_ceil(8)]);
        // Signedness of the numbers, all signed; utf8mb4_0900_ai_ci for all texts.
        let numbers = self.columns.iter().filter(|(kind, ..)| matches!(kind, 1 | 3 | 5 | 8 | 246));
        let signs = numbers.map(|(_, _, count)| count).sum::<usize>().div_ceil(8);
        body.put_slice(&[1, u8::try_from(signs).expect("few numbers")]);
        body.put_bytes(0, signs);
        body.put_slice(&[2, 3, 0xFC, 0xFF, 0]);
        body
    }
}

impl Writer {
    pub(crate) fn new() -> Self {
        let mut writer =
            Self { bytes: MAGIC.to_vec(), rows: 0, transactions: 0, random: 0x9E37_79B9_7F4A_7C15 };
        // The fixture's file has no checksums; the algorithm stands before the format description's own.
        let (format, _) = template(FORMAT_DESCRIPTION).split_last_chunk::<CHECKSUM>().expect("a checksum");
        let mut format = format.to_vec();
        *format.last_mut().expect("an algorithm") = CRC32;
        writer.event(FORMAT_DESCRIPTION, &format);
        writer.event(PREVIOUS_GTIDS, template(PREVIOUS_GTIDS));
        writer
    }

    pub(crate) fn finish(self) -> Written {
        Written { bytes: self.bytes.into(), rows: self.rows }
    }

    /// A transaction of one statement whose rows events are about so long.
    pub(crate) fn statement(&mut self, table: &Table, kind: Kind, rows: usize, event_bytes: usize) {
        self.begin();
        self.event(TABLE_MAP, &table.map());
        let mut images = Vec::new();
        for row in 1..=rows {
            let key = self.number(1 << 24);
            self.image(table, key, &mut images);
            if matches!(kind, Kind::Update) {
                self.image(table, key, &mut images);
            }
            self.rows += 1;
            if row == rows || images.len() >= event_bytes {
                self.rows_event(table, kind, &images, row == rows);
                images.clear();
            }
        }
        self.commit();
    }

    /// Four statements, each on one row of a hundred thousand; what is deleted is inserted again.
    fn oltp(&mut self) {
        self.begin();
        let keys = [self.number(100_000), self.number(100_000), self.number(100_000)];
        let changes = [
            (Kind::Update, keys[0]),
            (Kind::Update, keys[1]),
            (Kind::Delete, keys[2]),
            (Kind::Insert, keys[2]),
        ];
        for (kind, key) in changes {
            self.event(TABLE_MAP, &SBTEST.map());
            let mut images = Vec::new();
            self.image(&SBTEST, key, &mut images);
            if matches!(kind, Kind::Update) {
                self.image(&SBTEST, key, &mut images);
            }
            self.rows_event(&SBTEST, kind, &images, true);
            self.rows += 1;
        }
        self.commit();
    }

    fn begin(&mut self) {
        self.transactions += 1;
        let mut gtid = template(ANONYMOUS_GTID).to_vec();
        // After flags, UUID, number and type code: last_committed and sequence_number.
        gtid[26..34].copy_from_slice(&(self.transactions - 1).to_le_bytes());
        gtid[34..42].copy_from_slice(&self.transactions.to_le_bytes());
        self.event(ANONYMOUS_GTID, &gtid);
        self.event(QUERY, template(QUERY));
    }

    fn commit(&mut self) {
        let number = self.transactions.to_le_bytes();
        self.event(XID, &number);
    }

    fn rows_event(&mut self, table: &Table, kind: Kind, images: &[u8], last: bool) {
        let width = table.width();
        let mut body = Vec::with_capacity(images.len() + 32);
        body.put_uint_le(table.id, 6);
        body.put_u16_le(if last { STMT_END } else { 0 });
        body.put_u16_le(2);
        body.put_u8(u8::try_from(width).expect("few columns"));
        let bitmaps = if matches!(kind, Kind::Update) { 2 } else { 1 };
        for _ in 0..bitmaps {
            body.put_slice(&((1_u64 << width) - 1).to_le_bytes()[..width.div_ceil(8)]);
        }
        body.put_slice(images);
        self.event(kind as u8, &body);
    }

    fn event(&mut self, kind: u8, body: &[u8]) {
        let from = self.bytes.len();
        let size = u32::try_from(HEADER + body.len() + CHECKSUM).expect("short");
        self.bytes.put_u32_le(1_790_000_000);
        self.bytes.put_u8(kind);
        self.bytes.put_u32_le(11);
        self.bytes.put_u32_le(size);
        self.bytes.put_u32_le(u32::try_from(from).expect("below 4 GiB") + size);
        self.bytes.put_u16_le(0);
        self.bytes.put_slice(body);
        let checksum = crc32fast::hash(&self.bytes[from..]);
        self.bytes.put_u32_le(checksum);
    }

    fn image(&mut self, table: &Table, key: u64, into: &mut Vec<u8>) {
        let width = table.width();
        let nulls_at = into.len();
        into.put_bytes(0, width.div_ceil(8));
        let mut column = 0;
        for (wire_type, meta, count) in table.columns {
            for _ in 0..*count {
                if table.nullable && column > 1 && self.number(5) == 0 {
                    into[nulls_at + column / 8] |= 1 << (column % 8);
                } else {
                    self.value(*wire_type, meta, (column == 0).then_some(key), into);
                }
                column += 1;
            }
        }
    }

    fn value(&mut self, wire_type: u8, meta: &[u8], key: Option<u64>, into: &mut Vec<u8>) {
        match wire_type {
            1 => into.put_u8(1),
            3 => into.put_uint_le(key.unwrap_or_else(|| self.number(100_000)), 4),
            5 => into.put_f64_le(0.5),
            8 => into.put_u64_le(key.unwrap_or_default()),
            17 => into.put_u32(1_790_000_000),
            // 2026-09-21 12:00:00
            18 => into.put_uint(0x80_0000_0000 | ((2026 * 13 + 9) << 22) | (21 << 17) | (12 << 12), 5),
            // One digit, nine digits, two digits; the topmost bit is the sign.
            246 => into.put_slice(&[0x80, 0, 0, 0x12, 0x34, 56]),
            15 => {
                let length = 20 + self.number(16);
                into.put_uint_le(length, 2);
                self.digits(length, into);
            }
            252 => {
                into.put_u16_le(100);
                self.digits(100, into);
            }
            _ if meta == [0xFE, 0xF0] => {
                into.put_u8(59);
                self.digits(59, into);
            }
            _ => {
                into.put_u16_le(119);
                self.digits(119, into);
            }
        }
    }

    /// Groups of digits, as sysbench fills its texts.
    fn digits(&mut self, count: u64, into: &mut Vec<u8>) {
        let mut word = 0;
        for place in 0..count {
            if place % 12 == 0 {
                word = self.number(u64::MAX);
            }
            into.put_u8(if place % 12 == 11 {
                b'-'
            } else {
                b'0' + u8::try_from(word % 10).expect("a digit")
            });
            word /= 10;
        }
    }

    fn number(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }
}

/// The body of the server's first event of a kind.
fn template(kind: u8) -> &'static [u8] {
    let mut rest = &FIXTURE[MAGIC.len()..];
    while let Some(size) = rest.get(9..13) {
        let size = u32::from_le_bytes(size.try_into().expect("four bytes"));
        let (event, after) = rest.split_at(usize::try_from(size).expect("short"));
        if event[4] == kind {
            return &event[HEADER..];
        }
        rest = after;
    }
    panic!("the fixture has no event of kind {kind}")
}
