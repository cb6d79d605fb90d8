//! The reader stage by stage, as the daemon runs it: all functions take a file or what the stage before made of it.

use std::hint::black_box;
use std::sync::Arc;

use binbridge::binlog::{Body, Cell, Decoder, Event, Header, RowsEvent};
use binbridge::progress::Seq;
use binbridge::schedule::{
    Collation, Footprint, Footprints, Item, KeyColumn, Planner, Reach, TableKeys, TableName, UniqueKey,
    Windows,
};
use binbridge::source::Located;
use binbridge::transaction::{self, Assembler, Change, Limits, Routed, Routes, Rules, Transaction, Unit};
use bytes::Bytes;

const MAGIC: usize = 4;
const FILE: &str = "binlog.000001";
/// The defaults of `apply.batch_bytes` and `apply.batch_transactions`.
const BATCH_BYTES: usize = 12 << 20;
const BATCH_TRANSACTIONS: usize = 10_000;

/// The events of a file, undecoded.
pub(crate) fn raw_events(file: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut rest = file.slice(MAGIC..);
    std::iter::from_fn(move || {
        let header = (!rest.is_empty()).then(|| Header::parse(&rest).expect("an event"))?;
        Some(rest.split_to(usize::try_from(header.event_size).expect("short")))
    })
}

/// Framing, checksums, decoding.
pub(crate) fn events(file: &Bytes) -> impl Iterator<Item = Event> {
    let mut decoder = Decoder::new(true);
    raw_events(file).map(move |raw| decoder.decode(raw).expect("it decodes"))
}

/// The rows events of a file.
pub(crate) fn rows_events(file: &Bytes) -> impl Iterator<Item = RowsEvent> {
    events(file).filter_map(|event| match event.body {
        Body::Rows(rows) => Some(rows),
        _ => None,
    })
}

/// Delimits every row, as the assembler does. The number of rows.
pub(crate) fn walk(rows: &RowsEvent) -> u64 {
    rows.rows().map(|row| row.expect("a row")).map(|_| 1).sum()
}

/// Delimits every cell of every row. The number of bytes in values.
pub(crate) fn cells(rows: &RowsEvent) -> usize {
    let mut bytes = 0;
    for row in rows.rows() {
        let row = row.expect("a row");
        for image in [row.before, row.after].into_iter().flatten() {
            bytes += image
                .cells()
                .map(|cell| if let Cell::Bytes(value) = cell { value.len() } else { 0 })
                .sum::<usize>();
        }
    }
    bytes
}

/// Transactions, put together.
pub(crate) fn transactions(events: impl Iterator<Item = Event>) -> impl Iterator<Item = Transaction> {
    let limits = Limits { piece: 64 << 20, prepared: 64 << 20 };
    let rules = Rules { own_schema: "binbridge".to_owned(), ..Rules::default() };
    let mut assembler = Assembler::new(Routes::new(rules), limits, Seq(0), None);
    let (name, mut end) = (Arc::<str>::from(FILE), MAGIC as u64);
    events.filter_map(move |event| {
        let start = std::mem::replace(&mut end, u64::from(event.header.end_position));
        let located = Located { event, file: Arc::clone(&name), start, end };
        match assembler.push(located).expect("it fits") {
            Some(Unit::Whole(transaction)) => Some(transaction),
            _ => None,
        }
    })
}

/// The changes of a transaction.
pub(crate) fn changes(transaction: &Transaction) -> &[Change] {
    match &transaction.body {
        transaction::Body::Changes(changes) => changes,
        _ => &[],
    }
}

/// The keys of the tables: of both the first column; of the wide one also the second, a text that is unique.
#[derive(Debug)]
pub(crate) struct Keys {
    sbtest: Arc<TableKeys>,
    wide: Arc<TableKeys>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let name = |table: &str| TableName { schema: Arc::from("sbtest"), table: Arc::from(table) };
        let key = |column| UniqueKey { columns: vec![column], reach: Reach::Values };
        let folded = KeyColumn { collation: Collation::Folded, ..KeyColumn::default() };
        let columns = vec![KeyColumn::default(), KeyColumn::default(), folded.clone(), folded.clone()];
        let sbtest =
            TableKeys { name: name("sbtest1"), columns, primary: Some(key(0)), ..TableKeys::default() };
        let mut columns = vec![KeyColumn::default(); 40];
        columns[1] = folded;
        let wide = TableKeys {
            name: name("wide"),
            columns,
            primary: Some(key(0)),
            unique: vec![key(1)],
            ..TableKeys::default()
        };
        Self { sbtest: Arc::new(sbtest), wide: Arc::new(wide) }
    }

    pub(crate) fn of(&self, table: &Routed) -> Arc<TableKeys> {
        let keys = if *table.table == *self.wide.name.table { &self.wide } else { &self.sbtest };
        Arc::clone(keys)
    }
}

/// Claims, merging and encoding, with the memory that they keep.
#[derive(Debug)]
pub(crate) struct Scheduler {
    keys: Keys,
    footprints: Footprints,
    planner: Planner,
    events: Vec<u8>,
}

impl Scheduler {
    pub(crate) fn new() -> Self {
        Self {
            keys: Keys::new(),
            footprints: Footprints::default(),
            planner: Planner::default(),
            events: Vec::new(),
        }
    }

    /// What a transaction claims.
    pub(crate) fn claims(&mut self, transaction: &Transaction) -> Footprint {
        let mut footprint =
            Footprint::new(transaction.clock, Arc::clone(&transaction.start.file), transaction.bytes);
        let keys = |table: &Arc<Routed>| Some(self.keys.of(table));
        self.footprints.add(changes(transaction).iter(), keys, &mut footprint).expect("claims");
        footprint
    }

    /// The net effect of a batch. The number of rows that are left.
    pub(crate) fn merge(&mut self, batch: &[Transaction]) -> usize {
        let all = batch.iter().flat_map(changes);
        self.planner.plan(all, |table| Some(self.keys.of(table))).expect("a plan").rows()
    }

    /// The net effect of a batch as rows events. Their bytes.
    pub(crate) fn encode(&mut self, batch: &[Transaction]) -> usize {
        let all = batch.iter().flat_map(changes);
        let plan = self.planner.plan(all, |table| Some(self.keys.of(table))).expect("a plan");
        self.events.clear();
        for item in plan.items() {
            if let Item::Rows(rows) = item {
                plan.encode(rows.clone(), None, &mut self.events);
            }
        }
        self.events.len()
    }
}

/// Transactions in batches as large as the daemon's.
pub(crate) fn batches(
    transactions: impl Iterator<Item = Transaction>,
) -> impl Iterator<Item = Vec<Transaction>> {
    let mut transactions = transactions.peekable();
    std::iter::from_fn(move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) =
            transactions.next_if(|next| batch.is_empty() || bytes + next.bytes <= BATCH_BYTES)
        {
            bytes += next.bytes;
            batch.push(next);
            if batch.len() >= BATCH_TRANSACTIONS {
                break;
            }
        }
        (!batch.is_empty()).then_some(batch)
    })
}

/// Shares a batch out among two workers by what its transactions claim.
pub(crate) fn window(footprints: &[Footprint]) -> usize {
    Windows::default().split(footprints, &[0, 0]).1.len()
}

/// Everything from bytes to the net effect's rows events: checksums, decoding, assembly, claims, merging, encoding.
pub(crate) fn whole(file: &Bytes) -> usize {
    let mut scheduler = Scheduler::new();
    let mut bytes = 0;
    for batch in batches(transactions(events(file))) {
        for transaction in &batch {
            black_box(scheduler.claims(transaction));
        }
        bytes += scheduler.encode(&batch);
    }
    bytes
}
