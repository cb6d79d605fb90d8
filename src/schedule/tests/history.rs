//! Random histories that a source could have logged.

use super::events::{Columns, Lines};
use super::schema::{COLUMNS, Line, Schema, Value};
use super::store::{RowChange, Store};
use crate::binlog::RowsEvent;

/// A step: what, which table, which row, and six values. Zeros make the simplest.
pub(super) type Draw = (u8, u8, u8, [u8; COLUMNS]);

/// What the source did, after a beginning that both sides have seen.
pub(super) struct History<'s> {
    pub(super) start: Store<'s>,
    pub(super) steps: Vec<Step>,
    /// Both sides must come to this.
    pub(super) end: Store<'s>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Rows(Lines),
    Statement(RowChange),
}

impl<'s> History<'s> {
    /// Follows the draws as far as the schema allows them.
    pub(super) fn new(schema: &'s Schema, before: &[Draw], draws: &[Draw]) -> Self {
        let mut store = Store::new(schema);
        for (_, table, row, values) in before {
            if let Some(change) = change(schema, &store, (0, *table, *row, *values)) {
                let _ = store.apply(&change);
            }
        }
        let mut history = Self { start: store.clone(), steps: Vec::new(), end: store };
        for draw in draws {
            history.step(schema, *draw);
        }
        history
    }

    fn step(&mut self, schema: &'s Schema, draw: Draw) {
        let Some(change) = change(schema, &self.end, draw) else { return };
        let mut plain = self.end.clone();
        let mut after = self.end.clone();
        let Ok(cascaded) = after.apply(&change) else { return };
        // What is logged must be a history: a circle of cascades may come back to the row that began it, and then the
        // log's own order is refused.
        let logged = if schema.logs_cascades { cascaded.as_slice() } else { &[] };
        let replayed = logged.iter().chain([&change]).try_for_each(|row| plain.replay(row));
        if replayed.is_err() || plain.contents() != after.contents() {
            return;
        }
        self.end = after;
        // Few statements: they stop everything.
        if draw.0 == 255 {
            self.steps.push(Step::Statement(change));
            return;
        }
        let always = if schema.logs_cascades { RowsEvent::USE_SQL_FOREIGN_KEY } else { 0 };
        for row in logged {
            self.log(schema, row, always | RowsEvent::NO_FOREIGN_KEY_CHECKS, draw);
        }
        let mut flags = always;
        if change.no_foreign_keys {
            flags |= RowsEvent::NO_FOREIGN_KEY_CHECKS;
        }
        if draw.2 > 250 {
            flags |= RowsEvent::RELAXED_UNIQUE;
        }
        self.log(schema, &change, flags, draw);
    }

    fn log(&mut self, schema: &Schema, change: &RowChange, flags: u16, draw: Draw) {
        let (before, after) = held(schema, change, draw.2 & 1 == 1);
        let row = (change.before.clone(), change.after.clone());
        let kind = |row: &(Option<Line>, Option<Line>)| (row.0.is_some(), row.1.is_some());
        if let Some(Step::Rows(last)) = self.steps.last_mut()
            && draw.0 & 64 != 0
            && (last.table, last.flags, last.before, last.after) == (change.table, flags, before, after)
            && kind(&last.rows[0]) == kind(&row)
        {
            last.rows.push(row);
            return;
        }
        self.steps.push(Step::Rows(Lines { table: change.table, flags, before, after, rows: vec![row] }));
    }
}

/// Which columns the images hold.
fn held(schema: &Schema, change: &RowChange, sparse: bool) -> (Columns, Columns) {
    let table = &schema.tables[change.table];
    if !table.minimal {
        return ([true; COLUMNS], [true; COLUMNS]);
    }
    let key: Columns =
        std::array::from_fn(|column| table.primary.as_ref().is_none_or(|key| key.contains(&column)));
    let after = std::array::from_fn(|column| match (&change.before, &change.after) {
        (Some(before), Some(after)) => before[column] != after[column],
        // A column that was not given has its default, NULL.
        (None, Some(after)) => !sparse || after[column] != Value::Null,
        _ => true,
    });
    (key, after)
}

/// What a draw means here.
fn change(schema: &Schema, store: &Store<'_>, (what, table, row, values): Draw) -> Option<RowChange> {
    let table = usize::from(table) % schema.tables.len();
    let shape = &schema.tables[table];
    let lines = store.lines(table);
    let existing = || lines.get(usize::from(row) % lines.len().max(1)).cloned();
    let drawn = |column: usize| shape.natures[column].draw(values[column], shape.is_nullable(column));
    let (before, after) = match what % 8 {
        0..=2 => (None, Some((0..COLUMNS).map(drawn).collect::<Line>())),
        3 | 4 => (Some(existing()?), None),
        _ => {
            let before = existing()?;
            let mut after = before.clone();
            for column in 0..COLUMNS {
                // Mostly a column or two; key columns seldom.
                let chosen = values[COLUMNS - 1 - column] % 4 == 1;
                let in_key = shape.primary.iter().flatten().any(|key| *key == column);
                if chosen && (!in_key || what & 32 != 0) {
                    after[column] = drawn(column);
                }
            }
            if after == before {
                return None;
            }
            (Some(before), Some(after))
        }
    };
    Some(RowChange { table, before, after, no_foreign_keys: row > 245 })
}
