//! The source's logical clock, told truly: which transactions it could have prepared at once.

use std::collections::HashMap;

use super::schema::{Line, Schema, Value};
use super::store::RowChange;
use crate::transaction::Clock;

/// Something that a source locks until the commit.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Lock {
    /// A row of a table without a primary key.
    Row(usize, Line),
    /// A value of a table's unique key, by the key's number.
    Value(usize, usize, Vec<Value>),
    /// A value of a table's foreign key, by the key's number.
    Foreign(usize, usize, Vec<Value>),
}

/// The transaction that had a lock last, each way.
#[derive(Debug, Default)]
struct Last {
    shared: i64,
    exclusive: i64,
}

/// The clock of transactions, given the rows that each changed. A transaction's `last_committed` is the last one that
/// held a lock which it needs too; `coarse` makes it the one before, as of a source that ran them one by one.
pub(super) fn clocks(
    schema: &Schema,
    transactions: &[Vec<RowChange>],
    coarse: impl Fn(usize) -> bool,
) -> Vec<Clock> {
    let mut held: HashMap<Lock, Last> = HashMap::new();
    let mut clocks = Vec::new();
    for (number, (index, changes)) in (1_i64..).zip(transactions.iter().enumerate()) {
        let mut met = if coarse(index) { number - 1 } else { 0 };
        let needed: Vec<(Lock, bool)> = changes.iter().flat_map(|change| locks(schema, change)).collect();
        for (lock, exclusive) in &needed {
            if let Some(last) = held.get(lock) {
                met = met.max(last.exclusive).max(if *exclusive { last.shared } else { 0 });
            }
        }
        for (lock, exclusive) in needed {
            let last = held.entry(lock).or_default();
            *(if exclusive { &mut last.exclusive } else { &mut last.shared }) = number;
        }
        clocks.push(Clock { last_committed: met, sequence_number: number });
    }
    clocks
}

/// What a change locks, and whether exclusively.
fn locks(schema: &Schema, change: &RowChange) -> Vec<(Lock, bool)> {
    let table = change.table;
    let shape = &schema.tables[table];
    let mut locks = Vec::new();
    for line in change.before.iter().chain(&change.after) {
        let values = |columns: &[usize]| -> Vec<Value> {
            columns.iter().map(|column| shape.natures[*column].normal(&line[*column])).collect()
        };
        if shape.primary.is_none() {
            locks.push((Lock::Row(table, line.clone()), true));
        }
        for (key, columns) in shape.unique.iter().chain(&shape.primary).enumerate() {
            locks.push((Lock::Value(table, key, values(columns)), true));
        }
        for (key, reference) in shape.references.iter().enumerate() {
            locks.push((Lock::Foreign(table, key, values(&reference.columns)), false));
        }
        for (child, other) in schema.tables.iter().enumerate() {
            for (key, reference) in other.references.iter().enumerate() {
                if reference.parent == table {
                    locks.push((Lock::Foreign(child, key, values(&reference.to)), true));
                }
            }
        }
    }
    // NULL meets nothing.
    locks.retain(|(lock, _)| match lock {
        Lock::Row(..) => true,
        Lock::Value(_, _, values) | Lock::Foreign(_, _, values) => !values.contains(&Value::Null),
    });
    locks
}
