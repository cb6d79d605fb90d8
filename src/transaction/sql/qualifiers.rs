//! Tables' names where they stand before a column's (`orders.id`, `shop.orders.id`, `orders.*`), before a stored
//! function's (`shop.price(1)`), or as the targets of a `DELETE` of several tables.

use crate::bail;
use crate::error::Result;

use super::super::rules::Route;
use super::edit::Edits;
use super::mentions::Mentions;
use super::verdict::{Judge, Resolved};

/// Renames them as the tables are renamed.
pub(super) fn rename(
    judge: &Judge<'_>,
    mentions: &Mentions,
    tables: &[Resolved],
    edits: &mut Edits,
) -> Result<()> {
    let qualifiers = Qualifiers { judge, mentions, tables };
    for target in &mentions.targets {
        match target.schema {
            Some(schema) => qualifiers.full(schema, target.name, edits),
            None => qualifiers.target(target.name, edits)?,
        }
    }
    let end = mentions.body.unwrap_or(judge.tokens.list().len());
    let mut at = 0;
    while at < end {
        let run = qualifiers.run(at);
        if run.parts >= 2 && !qualifiers.is_found(at) {
            qualifiers.dotted(&run, edits)?;
        }
        at = run.after;
    }
    Ok(())
}

/// Names joined by dots.
struct Run {
    first: usize,
    /// How many parts, a final `*` included.
    parts: usize,
    after: usize,
    star: bool,
}

struct Qualifiers<'q, 'j> {
    judge: &'q Judge<'j>,
    mentions: &'q Mentions,
    tables: &'q [Resolved],
}

impl Qualifiers<'_, '_> {
    fn run(&self, first: usize) -> Run {
        let tokens = self.judge.tokens;
        let mut run = Run { first, parts: 0, after: first + 1, star: false };
        if !tokens.is_name(first) {
            return run;
        }
        run.parts = 1;
        while tokens.is_symbol(run.after, b".") && !run.star {
            run.star = tokens.is_symbol(run.after + 1, b"*");
            if !run.star && !tokens.is_name(run.after + 1) {
                break;
            }
            run.parts += 1;
            run.after += 2;
        }
        run
    }

    /// Whether the run is one of the tables (or targets, or the program) found already.
    fn is_found(&self, first: usize) -> bool {
        let mentions = self.mentions;
        let tables = mentions.tables.iter().map(|table| table.place);
        tables
            .chain(mentions.targets.iter().copied())
            .chain(mentions.program)
            .any(|place| place.schema.unwrap_or(place.name) == first)
    }

    fn dotted(&self, run: &Run, edits: &mut Edits) -> Result<()> {
        match run.parts {
            2 if !run.star && self.judge.tokens.is_symbol(run.after, b"(") => {
                self.function(run.first, edits);
                Ok(())
            }
            2 => self.short(run.first, edits),
            3 => {
                self.full(run.first, run.first + 2, edits);
                Ok(())
            }
            parts => bail!(UnsafeStatement, "{} holds a name of {parts} parts", self.judge.statement.kind),
        }
    }

    fn function(&self, schema: usize, edits: &mut Edits) {
        let rules = self.judge.rules;
        let Some((name, token)) = self.name(schema).zip(self.judge.tokens.get(schema)) else { return };
        if let Some(Route::Keep { schema, .. }) = rules.route_schema(&name)
            && rules.fold(&name) != schema
        {
            edits.rename(token, &schema);
        }
    }

    fn name(&self, at: usize) -> Option<String> {
        self.judge.tokens.name(at).map(|name| self.judge.rules.source_name(&name))
    }

    /// The renamed table without alias that a lone name before a column means.
    fn renamed(&self, name: &str) -> Result<Option<&Resolved>> {
        let lower = name.to_lowercase();
        let mut found = None;
        let candidates =
            self.tables.iter().filter(|table| !table.table.aliased && table.name.to_lowercase() == lower);
        for table in candidates {
            let known: Option<&Resolved> = found;
            if known.is_some_and(|known| known.to != table.to) {
                bail!(
                    UnsafeStatement,
                    "`{name}` in {} may be one of several tables, which are renamed",
                    self.judge.statement.kind
                );
            }
            found = Some(table);
        }
        let Some(table) = found.filter(|table| self.is_renamed(table)) else { return Ok(None) };
        if self.mentions.aliases.iter().any(|alias| alias.to_lowercase() == lower) {
            bail!(
                UnsafeStatement,
                "`{name}` in {} is an alias and a table that is renamed",
                self.judge.statement.kind
            );
        }
        Ok(Some(table))
    }

    fn is_renamed(&self, table: &Resolved) -> bool {
        let fold = |name: &str| self.judge.rules.fold(name);
        table
            .to
            .as_ref()
            .is_some_and(|(schema, name)| *schema != fold(&table.schema) || *name != fold(&table.name))
    }

    /// `table.column`.
    fn short(&self, at: usize, edits: &mut Edits) -> Result<()> {
        let Some((name, token)) = self.name(at).zip(self.judge.tokens.get(at)) else { return Ok(()) };
        if let Some(Resolved { to: Some((_, to)), .. }) = self.renamed(&name)?
            && self.judge.rules.fold(&name) != *to
        {
            edits.rename(token, to);
        }
        Ok(())
    }

    /// `DELETE table FROM ...`: named in full, since it may have left the default database.
    fn target(&self, at: usize, edits: &mut Edits) -> Result<()> {
        let Some((name, token)) = self.name(at).zip(self.judge.tokens.get(at)) else { return Ok(()) };
        if let Some(Resolved { to: Some((schema, to)), .. }) = self.renamed(&name)? {
            edits.qualify(token, schema, to);
        }
        Ok(())
    }

    /// `schema.table.column`.
    fn full(&self, schema: usize, table: usize, edits: &mut Edits) {
        let Some((schema_name, table_name)) = self.name(schema).zip(self.name(table)) else { return };
        let rules = self.judge.rules;
        let Route::Keep { schema: to_schema, table: to_table } = rules.route(&schema_name, &table_name)
        else {
            return;
        };
        for (at, name, to) in [(schema, schema_name, to_schema), (table, table_name, to_table)] {
            if let Some(token) = self.judge.tokens.get(at)
                && rules.fold(&name) != to
            {
                edits.rename(token, &to);
            }
        }
    }
}
