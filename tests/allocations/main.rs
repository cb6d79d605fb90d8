//! The way of the data allocates per event, per transaction and per batch, never per row. A counting allocator shows it:
//! files of the same events with twice, and with many times the rows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: only #[test] functions are exempt by configuration"
)]

#[allow(dead_code, reason = "the bench uses all of it")]
#[path = "../../benches/decode/reader.rs"]
mod reader;
#[allow(dead_code, reason = "the bench uses all of it")]
#[path = "../../benches/decode/written.rs"]
mod written;

use allocation_counter::{AllocationInfo, measure};
use binbridge::binlog::RowsEvent;
use binbridge::transaction::Transaction;
use bytes::Bytes;

use reader::Scheduler;
use written::{Kind, SBTEST, Table, WIDE, Writer};

const TRANSACTIONS: usize = 5;
const ROWS: [usize; 3] = [100, 200, 1600];
/// A vector that doubles from nothing to all rows does so this often.
const DOUBLINGS: u64 = 16;

/// Transactions of one rows event each.
fn file(table: &Table, kind: Kind, rows: usize) -> Bytes {
    let mut writer = Writer::new();
    for _ in 0..TRANSACTIONS {
        writer.statement(table, kind, rows, usize::MAX);
    }
    writer.finish().bytes
}

/// Both tables, all kinds of rows events, with few, twice as many and many rows.
fn files() -> impl Iterator<Item = [Bytes; 3]> {
    [SBTEST, WIDE].into_iter().flat_map(|table| {
        [Kind::Insert, Kind::Update, Kind::Delete].map(|kind| ROWS.map(|rows| file(&table, kind, rows)))
    })
}

fn counted<T>(run: impl FnOnce() -> T) -> (u64, T) {
    let mut result = None;
    let AllocationInfo { count_total, .. } = measure(|| result = Some(run()));
    (count_total, result.expect("it has run"))
}

fn transactions(file: &Bytes) -> Vec<Transaction> {
    reader::transactions(reader::events(file)).collect()
}

/// The counts are the same, and not zero by mistake.
fn assert_same(what: &str, [few, twice, many]: [u64; 3]) {
    assert!(few > 0, "{what}: nothing is counted");
    assert_eq!((few, few), (twice, many), "{what}: allocations for {ROWS:?} rows in each event");
}

#[test]
fn decoding_allocates_the_same_however_many_rows_an_event_has() {
    for files in files() {
        assert_same("decoding", files.map(|file| counted(|| reader::events(&file).count()).0));
    }
}

#[test]
fn walking_rows_and_their_values_allocates_nothing() {
    for file in files().flatten() {
        let events: Vec<RowsEvent> = reader::rows_events(&file).collect();
        let (allocated, rows) = counted(|| events.iter().map(reader::walk).sum::<u64>());
        assert_eq!((allocated, rows % 100), (0, 0));
        let (allocated, bytes) = counted(|| events.iter().map(reader::cells).sum::<usize>());
        assert_eq!(allocated, 0);
        assert!(bytes > 0);
    }
}

#[test]
fn putting_transactions_together_allocates_the_same_however_many_rows_an_event_has() {
    for files in files() {
        let count = |file: Bytes| counted(|| reader::transactions(reader::events(&file)).count());
        let counts = files.map(count);
        assert!(counts.iter().all(|(_, transactions)| *transactions == TRANSACTIONS));
        assert_same("assembly", counts.map(|(allocated, _)| allocated));
    }
}

#[test]
fn taking_claims_allocates_the_same_however_many_rows_an_event_has() {
    for files in files() {
        let counts = files.map(|file| {
            let transactions = transactions(&file);
            let mut scheduler = Scheduler::new();
            counted(|| transactions.iter().for_each(|transaction| drop(scheduler.claims(transaction)))).0
        });
        assert_same("claims", counts);
    }
}

#[test]
fn merging_grows_a_few_vectors_and_allocates_nothing_per_row() {
    for files in files() {
        let [few, twice, many] = files.map(|file| {
            let transactions = transactions(&file);
            let mut scheduler = Scheduler::new();
            counted(|| scheduler.encode(&transactions)).0
        });
        // Rows, their order, keys and two hash tables, and the events that come out: each doubles now and then.
        let vectors = 8;
        assert!(few > 0 && twice <= few + vectors, "{few} allocations, of twice the rows {twice}");
        assert!(many <= few + vectors * DOUBLINGS, "{few} allocations, of many times the rows {many}");
    }
}

#[test]
fn a_batch_like_the_one_before_allocates_no_more_than_its_results() {
    let transactions = transactions(&file(&SBTEST, Kind::Update, 10));
    let mut scheduler = Scheduler::new();
    let (first, _) = counted(|| scheduler.encode(&transactions));
    let (second, _) = counted(|| scheduler.encode(&transactions));
    assert!(second < first, "{first} allocations, then {second}: nothing is kept");
}
