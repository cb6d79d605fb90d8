//! A plan's rows as binlog events.

use std::ops::Range;

use crate::binlog::{Composer, RowUpdate};

use super::{Plan, Statement};

/// A rows event is not made larger than this, but for a single row.
const LARGEST_EVENT: usize = 1 << 20;

impl Plan<'_> {
    /// Appends the events of an item's rows, without checksums: statement by statement all table maps, then the rows.
    /// `last` goes into the last statement, behind everything else; without rows, it is one.
    pub fn encode(&self, rows: Range<usize>, last: Option<&RowUpdate>, events: &mut Vec<u8>) {
        let statements = self.statements(rows);
        let count = statements.len();
        for (number, statement) in (1..).zip(&statements) {
            encode(statement, last.filter(|_| number == count), events);
        }
        if let (0, Some(last)) = (count, last) {
            last.append(events);
        }
    }
}

fn encode(statement: &Statement<'_, '_>, last: Option<&RowUpdate>, events: &mut Vec<u8>) {
    let mut composer = Composer::new(events);
    // The server takes 0 for no table.
    let id = |table: u32| u64::from(table) + 1;
    for table in &statement.tables {
        if let Some(routed) = statement.table(*table) {
            composer.table_map(&routed.event, id(*table));
        }
    }
    if let Some(last) = last {
        composer.table_map_of(last);
    }
    for run in statement.runs() {
        let begin = |composer: &mut Composer<'_>| {
            composer.rows(run.event, run.kind, (id(run.table), statement.flags), [run.before, run.after]);
        };
        begin(&mut composer);
        for (before, after) in run.rows() {
            if composer.event_len() > LARGEST_EVENT {
                begin(&mut composer);
            }
            composer.image(before);
            composer.image(after);
        }
    }
    if let Some(last) = last {
        composer.update(last, statement.flags);
    }
    composer.end_statement();
}
