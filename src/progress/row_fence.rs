//! Guard and record as one row event, for batches that are nothing but row events: it rides in the batch's last row
//! statement and costs the target a fraction of what a `SELECT ... FOR UPDATE` and an `UPDATE` cost.
//!
//! A row event finds its row by the primary key alone, and fails (error 1032) if it is not there. So the key of the
//! progress table is all that a guard asks: bridge, worker, epoch, session, and the transaction before. The batch's last
//! event moves that row to the batch's own transaction. A batch whose row is not there has changed rows by then, and is
//! rolled back like any that fails; what is in flight behind a packet that failed half-way does not find its row either,
//! since the last event did not run.

use crate::binlog::{Bitmap, Header, RowUpdate};

use super::{Fence, Frontier, Seq};

/// A column of the progress table.
#[derive(Debug, Clone, Copy)]
struct Column {
    name: &'static str,
    kind: Kind,
    nullable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Bigint,
    /// With its most characters, of up to four bytes.
    Varchar(u16),
    Longtext,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false }
}

const fn nullable(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true }
}

const COLUMNS: [Column; 12] = [
    column("bridge", Kind::Varchar(64)),
    column("worker", Kind::Int),
    column("epoch", Kind::Bigint),
    column("session", Kind::Bigint),
    column("seq", Kind::Bigint),
    column("low_seq", Kind::Bigint),
    nullable("low_file", Kind::Varchar(512)),
    nullable("low_pos", Kind::Bigint),
    nullable("low_gtid_set", Kind::Longtext),
    column("done", Kind::Longtext),
    nullable("source_commit_us", Kind::Bigint),
    column("updated_us", Kind::Bigint),
];
/// The first so many are the primary key.
const KEY: usize = 5;

impl Kind {
    /// `information_schema.columns.data_type`.
    fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Bigint => "bigint",
            Self::Varchar(_) => "varchar",
            Self::Longtext => "longtext",
        }
    }

    /// Its code in a table map (include/field_types.h).
    fn code(self) -> u8 {
        match self {
            Self::Int => 3,
            Self::Bigint => 8,
            Self::Varchar(_) => 15,
            Self::Longtext => 252,
        }
    }

    /// Its metadata in a table map: a VARCHAR's most bytes; how many bytes hold a LONGTEXT's length.
    fn metadata(self) -> Vec<u8> {
        match self {
            Self::Int | Self::Bigint => Vec::new(),
            Self::Varchar(most) => (most * 4).to_le_bytes().to_vec(),
            Self::Longtext => vec![4],
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Varchar(_) | Self::Longtext)
    }
}

/// Writes the events of one bridge.
#[derive(Debug, Clone)]
pub struct RowFence {
    bridge: String,
    /// A table map's body behind its id and flags.
    table_map: Vec<u8>,
}

/// One column of the table that is on the target: name, type, most characters, character set, and its place in the
/// primary key, from 1.
pub(super) type FoundColumn<'a> = [Option<&'a str>; 5];

impl RowFence {
    /// For the bridge `bridge` whose progress table is `schema`.`table`, as the server writes these names. `None` if
    /// the table is not laid out as this version creates it: an older version's has another key.
    pub fn new<'a>(
        bridge: &str,
        (schema, table): (&str, &str),
        found: impl ExactSizeIterator<Item = FoundColumn<'a>>,
    ) -> Option<Self> {
        let fits = found.len() == COLUMNS.len()
            && found.zip(COLUMNS).enumerate().all(|(at, (found, wanted))| is_like(found, wanted, at));
        let [schema_len, table_len] = [u8::try_from(schema.len()).ok()?, u8::try_from(table.len()).ok()?];
        let mut event = Vec::new();
        for (name, len) in [(schema, schema_len), (table, table_len)] {
            event.push(len);
            event.extend_from_slice(name.as_bytes());
            event.push(0);
        }
        event.push(u8::try_from(COLUMNS.len()).ok()?);
        event.extend(COLUMNS.map(|column| column.kind.code()));
        let metadata: Vec<u8> = COLUMNS.iter().flat_map(|column| column.kind.metadata()).collect();
        event.push(u8::try_from(metadata.len()).ok()?);
        event.extend(metadata);
        let bits = (0..).zip(COLUMNS).filter(|(_, column)| column.nullable);
        event.extend(bits.fold(0_u16, |bits, (at, _)| bits | 1 << at).to_le_bytes());
        fits.then(|| Self { bridge: bridge.to_owned(), table_map: event })
    }

    /// The question whose answer [`new`](Self::new) takes, behind the names of schema and table. `schema` is quoted text.
    pub fn question(schema: &str) -> String {
        format!(
            "SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.character_maximum_length, \
             c.character_set_name, s.seq_in_index FROM information_schema.columns c \
             LEFT JOIN information_schema.statistics s ON s.table_schema = c.table_schema AND s.table_name = c.table_name \
             AND s.column_name = c.column_name AND s.index_name = 'PRIMARY' \
             WHERE c.table_schema = {schema} AND c.table_name = 'progress' ORDER BY c.ordinal_position"
        )
    }

    /// What a batch ends with: it fails unless the worker's row is where `previous` says, and moves it to `seq`. Time and
    /// server are those of the event `like`.
    pub fn record(
        &self,
        like: &[u8],
        (worker, fence, previous): (u32, Fence, Seq),
        seq: Seq,
        (frontier, now_us): (&Frontier, u64),
    ) -> RowUpdate {
        let low = frontier.low();
        let mut after = Values::default().number("seq", seq.0).number("low_seq", low.seq.0);
        if let Some(at) = &low.at {
            after = after.text("low_file", &at.file).number("low_pos", at.offset);
        }
        if let Some(gtids) = &low.gtids {
            after = after.text("low_gtid_set", &gtids.to_string());
        }
        after = after.text("done", &frontier.done().to_string());
        if let Some(us) = frontier.committed_us() {
            after = after.number("source_commit_us", us);
        }
        let before = Values::default().text("bridge", &self.bridge).bytes("worker", &worker.to_le_bytes());
        let before =
            before.number("epoch", fence.epoch).number("session", fence.session).number("seq", previous.0);
        RowUpdate {
            like: like.get(..Header::LEN).unwrap_or(&[0; Header::LEN]).to_vec(),
            table_map: self.table_map.clone(),
            before: before.image(),
            after: after.number("updated_us", now_us).image(),
        }
    }
}

fn is_like(found: FoundColumn<'_>, wanted: Column, at: usize) -> bool {
    let [name, kind, most, characters, key] = found;
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok());
    let length_fits = match wanted.kind {
        Kind::Varchar(wanted) => number(most) == Some(usize::from(wanted)),
        _ => true,
    };
    name == Some(wanted.name)
        && kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wanted.kind.name()))
        && length_fits
        && (!wanted.kind.is_text() || characters == Some("utf8mb4"))
        && number(key) == (at < KEY).then_some(at + 1)
}

/// Values of some columns, in their order, none of them NULL (sql/log_event.cc, `pack_row`).
#[derive(Debug, Default)]
struct Values {
    columns: Vec<usize>,
    bytes: Vec<u8>,
}

impl Values {
    fn bytes(mut self, name: &str, bytes: &[u8]) -> Self {
        self.columns.extend(COLUMNS.iter().position(|column| column.name == name));
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn number(self, name: &str, number: u64) -> Self {
        self.bytes(name, &number.to_le_bytes())
    }

    fn text(self, name: &str, text: &str) -> Self {
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
        let is_varchar =
            COLUMNS.iter().any(|column| column.name == name && matches!(column.kind, Kind::Varchar(_)));
        let prefix = if is_varchar { &len[..2] } else { &len[..] };
        let mut values = self.bytes(name, prefix);
        values.bytes.extend_from_slice(text.as_bytes());
        values
    }

    fn image(self) -> (Bitmap, Vec<u8>) {
        let mut image = vec![0; self.columns.len().div_ceil(8)];
        image.extend_from_slice(&self.bytes);
        (Bitmap::of(COLUMNS.len(), self.columns.into_iter()), image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{Cell, Decoder};
    use crate::position::Coordinates;
    use crate::progress::{Mark, Ranges};
    use bytes::Bytes;

    fn found() -> Vec<[Option<String>; 5]> {
        let describe = |(at, column): (usize, Column)| {
            let most = match column.kind {
                Kind::Varchar(most) => Some(most.to_string()),
                _ => None,
            };
            [
                Some(column.name.to_owned()),
                Some(column.kind.name().to_owned()),
                most,
                column.kind.is_text().then(|| "utf8mb4".to_owned()),
                (at < KEY).then(|| (at + 1).to_string()),
            ]
        };
        COLUMNS.into_iter().enumerate().map(describe).collect()
    }

    fn fence_of(columns: &[[Option<String>; 5]]) -> Option<RowFence> {
        let columns = columns.iter().map(|column| column.each_ref().map(Option::as_deref));
        RowFence::new("main", ("binbridge", "progress"), columns)
    }

    #[test]
    fn a_table_of_another_layout_is_left_to_sql() {
        assert!(fence_of(&found()).is_some());
        for (column, field, other) in [
            (0, 3, Some("latin1")),
            (0, 2, Some("32")),
            (4, 4, None),
            (3, 4, Some("5")),
            (5, 4, Some("6")),
            (5, 1, Some("int")),
            (9, 0, Some("made")),
        ] {
            let mut columns = found();
            columns[column][field] = other.map(str::to_owned);
            assert!(fence_of(&columns).is_none(), "{column} {field}");
        }
        let mut columns = found();
        columns.pop();
        assert!(fence_of(&columns).is_none());
    }

    /// What the events say, read by the decoder that reads a source's.
    #[test]
    fn the_row_moves_from_the_batch_before_to_the_batch() {
        let fence = Fence { epoch: 17, session: 3 };
        let at = Coordinates { file: "日本-bin.000001".into(), offset: 5 << 32 };
        let mut done = Ranges::default();
        done.insert(9);
        let frontier = Frontier::new(Mark { seq: Seq(6), at: Some(at), gtids: None }, done);
        let like = [7; Header::LEN];
        let row_fence = fence_of(&found()).unwrap();
        let mut events = Vec::new();
        row_fence.record(&like, (2, fence, Seq(5)), Seq(9), (&frontier, 77)).append(&mut events);
        let mut rest = Bytes::from(events);
        let (mut decoder, mut seen) = (Decoder::new(true), Vec::new());
        while !rest.is_empty() {
            let size = usize::try_from(Header::parse(&rest).unwrap().event_size).unwrap();
            let event = decoder.decode_inner(rest.split_to(size)).unwrap();
            let crate::binlog::Body::Rows(rows) = event.body else { continue };
            assert_eq!((rows.table.schema.as_ref(), rows.flags), ("binbridge", 1));
            for image in rows.rows().map(Result::unwrap).flat_map(|row| [row.before, row.after]).flatten() {
                let cells = COLUMNS.into_iter().zip(image.cells()).filter_map(shown);
                seen.push(cells.collect::<Vec<_>>().join(" "));
            }
        }
        let expected = ["main 2 17 3 5".to_owned(), format!("9 6 日本-bin.000001 {} 9 77", 5_u64 << 32)];
        assert_eq!(seen, expected);
    }

    fn shown((column, cell): (Column, Cell<'_>)) -> Option<String> {
        match cell {
            Cell::Bytes(bytes) if column.kind.is_text() => Some(String::from_utf8(bytes.to_vec()).unwrap()),
            Cell::Bytes(bytes) => {
                let mut number = [0; 8];
                number[..bytes.len()].copy_from_slice(bytes);
                Some(u64::from_le_bytes(number).to_string())
            }
            Cell::Absent => None,
            other => panic!("{other:?}"),
        }
    }
}
