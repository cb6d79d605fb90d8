//! What is wrong with a configuration and where, shown so that a secret on the line is not.

use crate::error::{Code, Error};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A configuration file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) name: String,
    pub(super) text: String,
}

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody gave it.
    Default,
    /// Nobody gave it; it follows from another key.
    Derived(&'static str),
    /// Bytes of the file.
    File(Arc<Document>, Range<usize>),
    /// An environment variable.
    Variable(String),
    /// A flag, as it was typed.
    Flag(String),
    /// A whole file, by name, or the configuration as such.
    Whole(String),
}

impl Place {
    /// Line and column, from 1; columns count characters.
    fn line_column(document: &Document, at: usize) -> (usize, usize) {
        let before = document.text.get(..at).unwrap_or(&document.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }

    /// The origin in `config show`.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::Derived(why) => format!("default, {why}"),
            Self::File(document, span) => {
                format!("{}:{}", document.name, Self::line_column(document, span.start).0)
            }
            Self::Variable(name) => format!("env {name}"),
            Self::Flag(name) => format!("flag {name}"),
            Self::Whole(name) => name.clone(),
        }
    }
}

/// The document's text may hold what must not be printed.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(document, span) => {
                let (line, column) = Self::line_column(document, span.start);
                write!(f, "{}:{line}:{column}", document.name)
            }
            other => f.write_str(&other.origin()),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `place: message`, the line with a caret under what is meant, and a hint.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Place::File(document, span) = &self.place {
            excerpt(f, document, span)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  help: {hint}"),
            None => Ok(()),
        }
    }
}

fn excerpt(f: &mut fmt::Formatter<'_>, document: &Document, span: &Range<usize>) -> fmt::Result {
    let (line, column) = Place::line_column(document, span.start);
    let Some(text) = document.text.lines().nth(line - 1) else { return Ok(()) };
    let shown = without_secret(&document.text, line, text);
    let number = line.to_string();
    let (margin, room) = (" ".repeat(number.len()), shown.chars().count().saturating_sub(column - 1));
    let marked = document
        .text
        .get(span.clone())
        .map_or(1, |marked| marked.lines().next().map_or(1, |l| l.chars().count()));
    let carets = "^".repeat(marked.min(room).max(1));
    let pad: String = shown.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let missing = " ".repeat((column - 1).saturating_sub(pad.chars().count()));
    write!(f, "\n {margin} |\n {number} | {shown}\n {margin} | {pad}{missing}{carets}")
}

/// The line, cut behind the `=` of the first key that may hold a secret; all of it, if such a key stands on an earlier
/// line and its value goes on here.
fn without_secret(document: &str, line: usize, text: &str) -> String {
    if let Some(word) = secret_word(text) {
        let equals = text[word..].find('=').map_or(text.len(), |equals| word + equals + 1);
        return if equals < text.len() { format!("{} ...", &text[..equals]) } else { text.to_owned() };
    }
    let owner = document.lines().take(line - 1).filter(|earlier| earlier.contains('=')).last();
    let begins = text.contains('=') || text.trim_start().starts_with('[');
    if !begins && owner.is_some_and(is_secret) { "...".to_owned() } else { text.to_owned() }
}

/// Whether a key's name says that its value is a secret or leads to one.
pub(super) fn is_secret(key: &str) -> bool {
    secret_word(key).is_some()
}

/// Misspelt ones too: `pasword = "..."` is what a typo looks like.
fn secret_word(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    ["pas", "tok", "secret", "pwd"].iter().filter_map(|word| text.find(word)).min()
}

/// All that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: an empty list is not an error.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 error in the configuration")?,
            count => write!(f, "{count} errors in the configuration")?,
        }
        for problem in &self.0 {
            write!(f, "\n{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self::new(Code::Config, problems.to_string())
    }
}
