//! A store that enforces every key under its collation and every foreign key at once, as InnoDB does.

use super::schema::{Action, Line, Nature, Reference, Schema, Value};

/// A row's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowChange {
    pub(super) table: usize,
    pub(super) before: Option<Line>,
    pub(super) after: Option<Line>,
    pub(super) no_foreign_keys: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Store<'s> {
    schema: &'s Schema,
    tables: Vec<Vec<Line>>,
    /// What the change at hand brought about so far.
    log: Log,
    depth: usize,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Duplicate(usize),
    Missing(usize),
    NoParent(usize),
    HasChildren(usize),
}

type Outcome = Result<(), Refusal>;

/// Rows that changed along with another, in the order in which they are logged.
type Log = Vec<RowChange>;

impl<'s> Store<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        Self { schema, tables: vec![Vec::new(); schema.tables.len()], log: Vec::new(), depth: 0 }
    }

    /// All rows, in an order of their own.
    pub(super) fn contents(&self) -> Vec<Vec<Line>> {
        let mut tables = self.tables.clone();
        for rows in &mut tables {
            rows.sort();
        }
        tables
    }

    pub(super) fn lines(&self, table: usize) -> &[Line] {
        &self.tables[table]
    }

    /// Makes a change, with what it brings about elsewhere, or none of it.
    pub(super) fn apply(&mut self, change: &RowChange) -> Result<Log, Refusal> {
        let kept = self.tables.clone();
        (self.log, self.depth) = (Vec::new(), 0);
        let checks = !change.no_foreign_keys;
        let outcome = match (&change.before, &change.after) {
            (None, Some(after)) => self.insert(change.table, after, checks),
            (Some(before), None) => self.delete(change.table, before, checks),
            (Some(before), Some(after)) => self.update(change.table, before, after, checks),
            (None, None) => Ok(()),
        };
        match outcome {
            Ok(()) => Ok(std::mem::take(&mut self.log)),
            Err(refusal) => {
                self.tables = kept;
                Err(refusal)
            }
        }
    }

    /// Makes a logged change as a server applies it: to the row that its before image means.
    pub(super) fn replay(&mut self, change: &RowChange) -> Outcome {
        let full = |line: &Line| line.iter().cloned().map(Some).collect::<Vec<_>>();
        let before = change.before.as_ref().map(|line| self.find(change.table, &full(line))).transpose()?;
        self.apply(&RowChange { before, ..change.clone() }).map(|_| ())
    }

    /// The row that a before image means: by primary key, as the server looks it up, else by all of it.
    pub(super) fn find(&self, table: usize, before: &[Option<Value>]) -> Result<Line, Refusal> {
        let shape = &self.schema.tables[table];
        let meant = |line: &&Line| match &shape.primary {
            Some(key) => key.iter().all(|column| {
                let normal = |value: &Value| shape.natures[*column].normal(value);
                before[*column].as_ref().is_some_and(|value| normal(value) == normal(&line[*column]))
            }),
            None => {
                before.iter().zip(*line).all(|(value, own)| value.as_ref().is_none_or(|value| value == own))
            }
        };
        self.tables[table].iter().find(meant).cloned().ok_or(Refusal::Missing(table))
    }

    fn place(&self, table: usize, line: &Line) -> Result<usize, Refusal> {
        self.tables[table].iter().position(|own| own == line).ok_or(Refusal::Missing(table))
    }

    fn insert(&mut self, table: usize, line: &Line, checks: bool) -> Outcome {
        self.unique(table, line, None)?;
        self.tables[table].push(line.clone());
        for reference in &self.schema.tables[table].references {
            self.parent_is_there(table, reference, line, checks)?;
        }
        Ok(())
    }

    fn delete(&mut self, table: usize, line: &Line, checks: bool) -> Outcome {
        let place = self.place(table, line)?;
        self.tables[table].remove(place);
        if checks {
            self.children_follow(table, line, None)?;
        }
        Ok(())
    }

    fn update(&mut self, table: usize, before: &Line, after: &Line, checks: bool) -> Outcome {
        let place = self.place(table, before)?;
        self.unique(table, after, Some(place))?;
        self.tables[table][place].clone_from(after);
        for reference in &self.schema.tables[table].references {
            if reference.columns.iter().any(|column| before[*column] != after[*column]) {
                self.parent_is_there(table, reference, after, checks)?;
            }
        }
        if checks { self.children_follow(table, before, Some(after)) } else { Ok(()) }
    }

    fn unique(&self, table: usize, line: &Line, except: Option<usize>) -> Outcome {
        let shape = &self.schema.tables[table];
        for key in shape.unique.iter().chain(&shape.primary) {
            let normal = |line: &Line| -> Vec<Value> {
                key.iter().map(|column| shape.natures[*column].normal(&line[*column])).collect()
            };
            let wanted = normal(line);
            if wanted.contains(&Value::Null) {
                continue;
            }
            let others = self.tables[table].iter().enumerate().filter(|(place, _)| Some(*place) != except);
            if others.map(|(_, other)| normal(other)).any(|other| other == wanted) {
                return Err(Refusal::Duplicate(table));
            }
        }
        Ok(())
    }

    fn parent_is_there(&self, table: usize, reference: &Reference, line: &Line, checks: bool) -> Outcome {
        let values = picked(line, &reference.columns);
        let parents = || self.tables[reference.parent].iter();
        let natures = &self.schema.tables[reference.parent].natures;
        let same = |parent: &Line| alike(natures, &reference.to, parent, &values);
        if !checks || values.contains(&Value::Null) || parents().any(same) {
            return Ok(());
        }
        Err(Refusal::NoParent(table))
    }

    /// What becomes of the children of a row that goes (`after` is none) or changes. A change of bytes counts.
    fn children_follow(&mut self, table: usize, before: &Line, after: Option<&Line>) -> Outcome {
        let schema = self.schema;
        for (child, shape) in schema.tables.iter().enumerate() {
            for reference in shape.references.iter().filter(|reference| reference.parent == table) {
                let old = picked(before, &reference.to);
                let new = after.map(|line| picked(line, &reference.to));
                if new.as_ref() == Some(&old) || old.contains(&Value::Null) {
                    continue;
                }
                let action = if after.is_some() { reference.on_update } else { reference.on_delete };
                self.follow(child, reference, &old, action, new.as_deref())?;
            }
        }
        Ok(())
    }

    fn follow(
        &mut self,
        child: usize,
        reference: &Reference,
        old: &[Value],
        action: Action,
        new: Option<&[Value]>,
    ) -> Outcome {
        let shape = &self.schema.tables[child];
        let refers = |line: &&Line| alike(&shape.natures, &reference.columns, line, old);
        while let Some(line) = self.tables[child].iter().find(refers).cloned() {
            if action == Action::Restrict || self.depth > 30 {
                return Err(Refusal::HasChildren(child));
            }
            let mut changed = line.clone();
            for (at, column) in reference.columns.iter().enumerate() {
                changed[*column] = match (action, new) {
                    (Action::Cascade, Some(new)) => new[at].clone(),
                    _ => Value::Null,
                };
            }
            let deleted = action == Action::Cascade && new.is_none();
            let cannot = |column: &usize| changed[*column] == Value::Null && !shape.is_nullable(*column);
            if !deleted && (reference.columns.iter().any(cannot) || refers(&&changed)) {
                return Err(Refusal::HasChildren(child));
            }
            self.depth += 1;
            if deleted {
                self.delete(child, &line, true)?;
            } else {
                self.cascade_update(child, &line, &changed)?;
            }
            let after = (!deleted).then_some(changed);
            self.log.push(RowChange { table: child, before: Some(line), after, no_foreign_keys: true });
        }
        Ok(())
    }

    /// As an update, but the parent is about to be there.
    fn cascade_update(&mut self, table: usize, before: &Line, after: &Line) -> Outcome {
        let place = self.place(table, before)?;
        self.unique(table, after, Some(place))?;
        self.tables[table][place].clone_from(after);
        self.children_follow(table, before, Some(after))
    }
}

fn picked(line: &Line, columns: &[usize]) -> Vec<Value> {
    columns.iter().map(|column| line[*column].clone()).collect()
}

/// Whether columns of a line are equal to values.
fn alike(natures: &[Nature], columns: &[usize], line: &Line, values: &[Value]) -> bool {
    columns.iter().zip(values).all(|(column, value)| {
        let nature = natures[*column];
        nature.normal(&line[*column]) == nature.normal(value)
    })
}
