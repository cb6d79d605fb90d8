//! Random histories that a source could have logged.

use super::RowsEvent;
use super::schema::{COLUMNS, Images, Line, Nature, Schema, Value};
use super::store::{RowChange, Store};

/// Which columns an image holds.
pub(super) type Columns = [bool; COLUMNS];

/// Rows events of one table, kind and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) table: usize,
    pub(super) flags: u16,
    pub(super) before: Columns,
    pub(super) after: Columns,
    pub(super) partial: bool,
    /// Under the table's other map.
    pub(super) other_map: bool,
    pub(super) rows: Vec<(Option<Line>, Option<Line>)>,
}

/// A step: what, which table, which row, and six values. Zeros make the simplest.
pub(super) type Draw = (u8, u8, u8, [u8; COLUMNS]);

/// What the source did, after a beginning that both sides have seen.
pub(super) struct History<'s> {
    pub(super) start: Store<'s>,
    pub(super) steps: Vec<Step>,
    /// For each step the rows that it changed on the source, those of cascades included.
    pub(super) touched: Vec<Vec<RowChange>>,
    /// The changes that were asked for, before the beginning's end and after it.
    #[allow(dead_code, reason = "real servers are asked so in the integration tests")]
    pub(super) asked: [Vec<RowChange>; 2],
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
        let mut earlier = Vec::new();
        for (_, table, row, values) in before {
            if let Some(change) = change(schema, &store, (0, *table, *row, *values))
                && store.apply(&change).is_ok()
            {
                earlier.push(change);
            }
        }
        let (start, asked) = (store.clone(), [earlier, Vec::new()]);
        let mut history = Self { start, steps: Vec::new(), touched: Vec::new(), asked, end: store };
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
        self.asked[1].push(change.clone());
        // Few statements: they stop everything.
        if draw.0 > 251 {
            self.touched.push(cascaded.into_iter().chain([change.clone()]).collect());
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
        if let Some(touched) = self.touched.last_mut() {
            touched.extend(cascaded);
        }
    }

    fn log(&mut self, schema: &Schema, change: &RowChange, flags: u16, draw: Draw) {
        let (before, after) = held(schema, change, draw.2 & 1 == 1);
        let shape = &schema.tables[change.table];
        let partial = shape.partial && change.before.is_some() && change.after.is_some();
        let other_map = shape.two_maps && draw.1 & 128 != 0;
        let row = (change.before.clone(), change.after.clone());
        let kind = |row: &(Option<Line>, Option<Line>)| (row.0.is_some(), row.1.is_some());
        if let Some(Step::Rows(last)) = self.steps.last_mut()
            && draw.0 & 64 != 0
            && (last.table, last.flags, last.before, last.after) == (change.table, flags, before, after)
            && last.other_map == other_map
            && kind(&last.rows[0]) == kind(&row)
        {
            last.rows.push(row);
            self.touched.last_mut().into_iter().for_each(|touched| touched.push(change.clone()));
            return;
        }
        let table = change.table;
        self.touched.push(vec![change.clone()]);
        self.steps.push(Step::Rows(Lines {
            table,
            flags,
            before,
            after,
            partial,
            other_map,
            rows: vec![row],
        }));
    }
}

/// Which columns the images hold.
fn held(schema: &Schema, change: &RowChange, sparse: bool) -> (Columns, Columns) {
    let table = &schema.tables[change.table];
    let in_key = |column: usize| table.primary.as_ref().is_none_or(|key| key.contains(&column));
    let always = |column: usize| match table.images {
        Images::Full => true,
        Images::Minimal => false,
        Images::Noblob => !matches!(table.natures[column], Nature::Text(_)),
    };
    let key: Columns = std::array::from_fn(|column| in_key(column) || always(column));
    let after = std::array::from_fn(|column| match (&change.before, &change.after) {
        _ if always(column) => true,
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
