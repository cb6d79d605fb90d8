//! Names replaced in a statement's text; every other byte stays as it is.

use bytes::Bytes;

use super::lexer::{Broken, Text, Token};

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    start: usize,
    end: usize,
    text: String,
}

/// Replacements in one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edits(Vec<Edit>);

impl Edits {
    /// Puts another name in a name's place, quoted as is right under any `sql_mode`.
    pub(super) fn rename(&mut self, token: Token, name: &str) {
        self.0.push(Edit { start: token.start, end: token.end, text: quote(name) });
    }

    /// Puts a schema and a name in a name's place.
    pub(super) fn qualify(&mut self, token: Token, schema: &str, name: &str) {
        let text = format!("{}.{}", quote(schema), quote(name));
        self.0.push(Edit { start: token.start, end: token.end, text });
    }

    /// Puts a schema before a name.
    pub(super) fn prefix(&mut self, token: Token, schema: &str) {
        self.0.push(Edit { start: token.start, end: token.start, text: format!("{}.", quote(schema)) });
    }

    /// Puts words in the place of what stands between two tokens, both included.
    pub(super) fn words(&mut self, first: Token, last: Token, words: &str) {
        self.0.push(Edit { start: first.start, end: last.end, text: words.to_owned() });
    }

    /// Puts words before a token.
    pub(super) fn before(&mut self, token: Token, words: &str) {
        self.0.push(Edit { start: token.start, end: token.start, text: format!("{words} ") });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with the replacements.
    pub(super) fn apply(mut self, text: Text<'_>) -> Result<Bytes, Broken> {
        self.0.sort_by_key(|edit| (edit.start, edit.end));
        self.0.dedup();
        let mut sql = Vec::with_capacity(text.sql.len() + 64);
        let mut at = 0;
        for edit in &self.0 {
            if !text.encoding.can_hold(&edit.text) {
                return Err(Broken("a new name cannot be written in the statement's character set"));
            }
            let before = text.sql.get(at..edit.start).ok_or(Broken("two renames meet in one place"))?;
            sql.extend_from_slice(before);
            sql.extend_from_slice(edit.text.as_bytes());
            at = edit.end;
        }
        sql.extend_from_slice(text.sql.get(at..).unwrap_or_default());
        Ok(sql.into())
    }
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
