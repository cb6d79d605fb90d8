//! Which tables a statement names.

use super::class::{Change, Verb};
use super::lexer::Broken;
use super::query;
use super::tokens::{Cursor, Dotted, Tokens};

/// A table (or view) that a statement names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) place: Dotted,
    /// An alias hides its name from the rest of the statement.
    pub(super) aliased: bool,
}

/// What a statement names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    pub(super) tables: Vec<Table>,
    /// Aliases of tables, views and queries.
    pub(super) aliases: Vec<String>,
    /// Targets of a `DELETE` of several tables: names or aliases of tables that stand elsewhere in it.
    pub(super) targets: Vec<Dotted>,
    /// The stored program it is about.
    pub(super) program: Option<Dotted>,
    /// Where the text of the program begins.
    pub(super) body: Option<usize>,
}

const LOST: Broken = Broken("the table's name is not where it should be");

impl Mentions {
    pub(super) fn add(&mut self, place: Dotted) {
        self.tables.push(Table { place, aliased: false });
    }

    fn take(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Broken> {
        self.add(cursor.dotted().ok_or(LOST)?);
        Ok(())
    }

    fn take_list(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Broken> {
        cursor.list().ok_or(LOST)?.into_iter().for_each(|place| self.add(place));
        Ok(())
    }
}

/// Finds what a statement names. `at` is the place after the words that say what kind it is.
pub(super) fn find(tokens: &Tokens<'_>, change: Change, verb: Verb, at: usize) -> Result<Mentions, Broken> {
    let mut mentions = Mentions::default();
    let mut cursor = Cursor::new(tokens, at);
    match (change, verb) {
        (Change::Rows, _) => query::statement(tokens, &mut mentions)?,
        (Change::Table | Change::View, Verb::Drop) => {
            cursor.if_exists();
            mentions.take_list(&mut cursor)?;
            cursor.any(&["RESTRICT", "CASCADE"]);
            finished(cursor)?;
        }
        (Change::Table, _) => {
            cursor.if_exists();
            mentions.take(&mut cursor)?;
            definition(cursor, verb, &mut mentions)?;
        }
        (Change::View, _) => view(cursor, &mut mentions)?,
        (Change::Index, _) => {
            cursor.at = tokens.find(at, |at| tokens.is_word(at, "ON")).ok_or(LOST)? + 1;
            mentions.take(&mut cursor)?;
        }
        (Change::Rename, _) => renames(cursor, &mut mentions)?,
        (Change::Truncate, _) => {
            mentions.take(&mut cursor)?;
            finished(cursor)?;
        }
        (Change::Maintenance, _) => mentions.take_list(&mut cursor)?,
        (Change::Trigger | Change::Routine | Change::Event, _) => {
            program(cursor, change, verb, &mut mentions)?;
        }
        (Change::Schema, _) => {}
    }
    Ok(mentions)
}

fn finished(cursor: Cursor<'_, '_>) -> Result<(), Broken> {
    if cursor.at_end() { Ok(()) } else { Err(Broken("it goes on where it should end")) }
}

fn renames(mut cursor: Cursor<'_, '_>, mentions: &mut Mentions) -> Result<(), Broken> {
    loop {
        mentions.take(&mut cursor)?;
        if !cursor.word("TO") {
            return Err(LOST);
        }
        mentions.take(&mut cursor)?;
        if !cursor.symbol(b",") {
            return finished(cursor);
        }
    }
}

/// The rest of `CREATE TABLE` and `ALTER TABLE`. The words looked for are reserved, so that none of them can be a
/// column's name, unless quoted or after a dot; what stands between them needs no understanding.
fn definition(cursor: Cursor<'_, '_>, verb: Verb, mentions: &mut Mentions) -> Result<(), Broken> {
    let tokens = cursor.tokens;
    let create = verb == Verb::Create;
    let mut at = cursor.at;
    if create && (tokens.is_word(at, "LIKE") || tokens.is_symbol(at, b"(") && tokens.is_word(at + 1, "LIKE"))
    {
        let mut cursor = cursor;
        cursor.symbol(b"(");
        cursor.word("LIKE");
        return mentions.take(&mut cursor);
    }
    while at < tokens.list().len() {
        let mut here = Cursor::new(tokens, at);
        at += 1;
        if at >= 2 && tokens.is_symbol(at - 2, b".") {
            continue;
        }
        if here.word("REFERENCES") {
            mentions.take(&mut here)?;
        } else if create && starts_query(tokens, here.at) {
            return created_from(tokens, here.at, mentions);
        } else if here.word("UNION") {
            here.symbol(b"=");
            if !here.symbol(b"(") {
                return Err(LOST);
            }
            mentions.take_list(&mut here)?;
        } else if !create && (renames_table(&mut here) || here.words(&["WITH", "TABLE"])) {
            mentions.take(&mut here)?;
        }
    }
    Ok(())
}

/// `RENAME [TO | AS | =] name`, not of a column or an index.
fn renames_table(cursor: &mut Cursor<'_, '_>) -> bool {
    if !cursor.word("RENAME") || ["COLUMN", "INDEX", "KEY"].iter().any(|word| cursor.sees(word)) {
        return false;
    }
    let _ = cursor.any(&["TO", "AS"]) || cursor.symbol(b"=");
    true
}

fn starts_query(tokens: &Tokens<'_>, at: usize) -> bool {
    tokens.is_any(at, &["SELECT", "TABLE"])
        || tokens.is_word(at, "WITH") && !tokens.is_any(at + 1, &["PARSER", "SYSTEM"])
        || tokens.is_word(at, "VALUES") && tokens.is_word(at + 1, "ROW")
}

/// `CREATE TABLE ... [AS] SELECT ...`, possibly in brackets and with the suffix of 8.0.21+.
fn created_from(tokens: &Tokens<'_>, at: usize, mentions: &mut Mentions) -> Result<(), Broken> {
    let mut from = at;
    while from > 0 && tokens.is_symbol(from - 1, b"(") {
        from -= 1;
    }
    query::query(tokens, from..tokens.list().len(), mentions)
}

fn view(mut cursor: Cursor<'_, '_>, mentions: &mut Mentions) -> Result<(), Broken> {
    let tokens = cursor.tokens;
    cursor.if_exists();
    mentions.take(&mut cursor)?;
    if tokens.is_symbol(cursor.at, b"(") {
        cursor.at = tokens.after_group(cursor.at);
    }
    if !cursor.word("AS") {
        return Err(LOST);
    }
    let mut end = tokens.list().len();
    if end >= 2 && tokens.is_word(end - 2, "CHECK") && tokens.is_word(end - 1, "OPTION") {
        end -= 2;
        end -= usize::from(tokens.is_any(end - 1, &["CASCADED", "LOCAL"]));
        end -= usize::from(tokens.is_word(end - 1, "WITH"));
    }
    query::query(tokens, cursor.at..end.max(cursor.at), mentions)
}

fn program(
    mut cursor: Cursor<'_, '_>,
    change: Change,
    verb: Verb,
    mentions: &mut Mentions,
) -> Result<(), Broken> {
    cursor.if_exists();
    mentions.program = Some(cursor.dotted().ok_or(LOST)?);
    if verb == Verb::Drop {
        return finished(cursor);
    }
    if change == Change::Trigger {
        cursor.at = cursor.tokens.find(cursor.at, |at| cursor.tokens.is_word(at, "ON")).ok_or(LOST)? + 1;
        mentions.take(&mut cursor)?;
    }
    mentions.body = Some(cursor.at);
    Ok(())
}
