//! From what a statement names to what becomes of it.

use crate::bail;
use crate::error::{Code, Error, Result};

use super::super::rules::Route;
use super::super::{Dropped, Rules};
use super::Statement;
use super::class::{Change, Verb};
use super::edit::Edits;
use super::mentions::{Mentions, Table};
use super::qualifiers;
use super::tokens::{Cursor, Dotted, Tokens};

/// Tables named in an error, of each sort.
const MOST_NAMED: usize = 5;

/// What becomes of a statement.
#[derive(Debug)]
pub(super) enum Verdict {
    Drop(Dropped),
    Keep(Edits),
}

/// A table under the source's names, and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) table: Table,
    pub(super) schema: String,
    pub(super) name: String,
    /// The target's names; `None` if it is not replicated.
    pub(super) to: Option<(String, String)>,
}

/// Judges one statement by its names.
pub(super) struct Judge<'j> {
    pub(super) rules: &'j Rules,
    pub(super) statement: &'j Statement<'j>,
    pub(super) tokens: &'j Tokens<'j>,
}

impl Judge<'_> {
    /// The verdict on a statement that names these.
    pub(super) fn verdict(&self, mentions: &Mentions) -> Result<Verdict> {
        let tables = mentions.tables.iter().map(|&table| self.resolve(table)).collect::<Result<Vec<_>>>()?;
        if let Some(dropped) = self.dropped(&tables)? {
            return Ok(Verdict::Drop(dropped));
        }
        let mut edits = Edits::default();
        if let Some(place) = mentions.program {
            if let Some(dropped) = self.program(place, &tables, &mut edits)? {
                return Ok(Verdict::Drop(dropped));
            }
            self.check_body(mentions.body)?;
        } else if tables.is_empty() && !self.rules.is_plain() {
            bail!(UnsafeStatement, "{} names no table; what it changes cannot be known", self.statement.kind);
        }
        for table in &tables {
            self.rename(table, &mut edits);
        }
        if !self.rules.is_plain() {
            qualifiers::rename(self, mentions, &tables, &mut edits)?;
        }
        Ok(Verdict::Keep(edits))
    }

    /// The verdict on `CREATE`, `ALTER` and `DROP DATABASE`.
    pub(super) fn schema(&self, at: usize, verb: Verb) -> Result<Verdict> {
        let mut cursor = Cursor::new(self.tokens, at);
        cursor.if_exists();
        let unnamed = verb == Verb::Alter
            && (cursor.at_end()
                || ["DEFAULT", "CHARACTER", "COLLATE", "READ"].iter().any(|word| cursor.sees(word))
                || ["CHARSET", "ENCRYPTION"].iter().any(|word| cursor.sees(word))
                    && !self.tokens.is_name(cursor.at + 1));
        let (schema, place) =
            if unnamed { (self.default_schema()?, None) } else { (self.name(cursor.at)?, Some(cursor.at)) };
        self.check_case(&schema, "")?;
        let renamed = self.rules.rename_tables.iter().any(|(from, to)| from.0 == schema || to.0 == schema);
        let to = match self.rules.route_schema(&schema) {
            Some(Route::Drop) => return Ok(Verdict::Drop(self.why_dropped(&schema))),
            Some(Route::Keep { .. }) if verb == Verb::Drop && renamed => bail!(
                UnsafeStatement,
                "DROP DATABASE of `{schema}`, from or to which tables are renamed: not all of it goes to one schema"
            ),
            Some(Route::Keep { schema, .. }) => schema,
            None if verb == Verb::Drop => bail!(
                UnsafeStatement,
                "DROP DATABASE of `{schema}`, only some tables of which are replicated"
            ),
            None => self.rules.fold(self.rules.schema_name(&schema)),
        };
        let mut edits = Edits::default();
        if let Some(token) = place.and_then(|place| self.tokens.get(place))
            && self.rules.fold(&schema) != to
        {
            edits.rename(token, &to);
        }
        Ok(Verdict::Keep(edits))
    }

    fn name(&self, at: usize) -> Result<String> {
        let name = self.tokens.name(at).ok_or_else(|| {
            Error::new(
                Code::UnsafeStatement,
                format!("{} holds a name that cannot be read in its character set", self.statement.kind),
            )
        })?;
        Ok(self.rules.source_name(&name))
    }

    fn default_schema(&self) -> Result<String> {
        match &self.statement.default_schema {
            Some(schema) => Ok(self.rules.source_name(schema)),
            None => bail!(
                UnsafeStatement,
                "{} has no default database to which its names belong",
                self.statement.kind
            ),
        }
    }

    fn schema_of(&self, place: Dotted) -> Result<String> {
        match place.schema {
            Some(schema) => self.name(schema),
            None => self.default_schema(),
        }
    }

    fn resolve(&self, table: Table) -> Result<Resolved> {
        let (schema, name) = (self.schema_of(table.place)?, self.name(table.place.name)?);
        self.check_case(&schema, &name)?;
        let to = match self.rules.route(&schema, &name) {
            Route::Drop => None,
            Route::Keep { schema, table } => Some((schema, table)),
        };
        Ok(Resolved { table, schema, name, to })
    }

    fn check_case(&self, schema: &str, name: &str) -> Result<()> {
        if self.rules.case_decides(schema, name) {
            bail!(
                UnsafeStatement,
                "{} names `{schema}`.`{name}`, which differs from a name of a filter or rename in its letters' case \
                 alone, and it is not known whether the source folds names",
                self.statement.kind
            );
        }
        Ok(())
    }

    fn why_dropped(&self, schema: &str) -> Dropped {
        if self.rules.is_own(schema) { Dropped::System } else { Dropped::Filtered }
    }

    /// Whether the statement is to be dropped: all of its tables are.
    fn dropped(&self, tables: &[Resolved]) -> Result<Option<Dropped>> {
        let (kept, dropped): (Vec<&Resolved>, Vec<&Resolved>) =
            tables.iter().partition(|table| table.to.is_some());
        if dropped.is_empty() {
            return Ok(None);
        }
        if !kept.is_empty() {
            bail!(
                UnsafeStatement,
                "{} touches tables that are replicated ({}) and tables that are not ({})",
                self.statement.kind,
                list(&kept),
                list(&dropped)
            );
        }
        let own = dropped.iter().all(|table| self.rules.is_own(&table.schema));
        Ok(Some(if own { Dropped::System } else { Dropped::Filtered }))
    }

    /// Where the default database's tables go by default.
    fn new_default(&self) -> Option<String> {
        let default = self.statement.default_schema.as_ref()?;
        Some(self.rules.fold(self.rules.schema_name(&self.rules.source_name(default))))
    }

    fn rename(&self, resolved: &Resolved, edits: &mut Edits) {
        let Some((schema, name)) = &resolved.to else { return };
        let place = resolved.table.place;
        let Some(token) = self.tokens.get(place.name) else { return };
        match place.schema.and_then(|schema| self.tokens.get(schema)) {
            Some(qualifier) => {
                if self.rules.fold(&resolved.schema) != *schema {
                    edits.rename(qualifier, schema);
                }
                if self.rules.fold(&resolved.name) != *name {
                    edits.rename(token, name);
                }
            }
            None if self.new_default().as_ref() != Some(schema) => edits.qualify(token, schema, name),
            None if self.rules.fold(&resolved.name) != *name => edits.rename(token, name),
            None => {}
        }
    }

    /// A stored program belongs to its schema as a whole, a trigger to its table.
    fn program(&self, place: Dotted, tables: &[Resolved], edits: &mut Edits) -> Result<Option<Dropped>> {
        let schema = self.schema_of(place)?;
        self.check_case(&schema, "")?;
        let to = match tables.first().map(|table| table.to.as_ref()) {
            Some(Some((schema, _))) => schema.clone(),
            Some(None) => return Ok(Some(self.why_dropped(&schema))),
            None => match self.rules.route_schema(&schema) {
                Some(Route::Drop) => return Ok(Some(self.why_dropped(&schema))),
                Some(Route::Keep { schema, .. }) => schema,
                None if self.statement.change == Change::Trigger => bail!(
                    UnsafeStatement,
                    "{} does not say of which table, and only some tables of `{schema}` are replicated",
                    self.statement.kind
                ),
                None => return Ok(Some(Dropped::Filtered)),
            },
        };
        match (place.schema.and_then(|schema| self.tokens.get(schema)), self.tokens.get(place.name)) {
            (Some(token), _) if self.rules.fold(&schema) != to => edits.rename(token, &to),
            (None, Some(token)) if self.new_default().as_ref() != Some(&to) => edits.prefix(token, &to),
            _ => {}
        }
        Ok(None)
    }

    /// A program's text is not rewritten: it must name nothing that is renamed.
    fn check_body(&self, body: Option<usize>) -> Result<()> {
        let rules = self.rules;
        let Some(body) = body else { return Ok(()) };
        if rules.rename_schemas.is_empty() && rules.rename_tables.is_empty() {
            return Ok(());
        }
        let renamed = |name: &str| {
            let name = name.to_lowercase();
            rules.rename_schemas.keys().any(|schema| schema.to_lowercase() == name)
                || rules
                    .rename_tables
                    .keys()
                    .any(|(schema, table)| schema.to_lowercase() == name || table.to_lowercase() == name)
        };
        for at in (body..self.tokens.list().len()).filter(|&at| self.tokens.is_name(at)) {
            let hidden = self.tokens.is_word(at, "PREPARE");
            match self.tokens.name(at) {
                Some(name) if !hidden && !renamed(&name) => {}
                _ => bail!(
                    UnsafeStatement,
                    "the body of {} may name tables or schemas that are renamed, which cannot be done for it",
                    self.statement.kind
                ),
            }
        }
        Ok(())
    }
}

fn list(tables: &[&Resolved]) -> String {
    let mut names: Vec<String> =
        tables.iter().take(MOST_NAMED).map(|table| format!("`{}`.`{}`", table.schema, table.name)).collect();
    if tables.len() > MOST_NAMED {
        names.push("...".to_owned());
    }
    names.join(", ")
}
