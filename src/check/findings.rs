//! What was found.

use crate::error::{Code, Error};

/// What an operator may judge otherwise: the codes that `bridge.despite` takes.
pub const OVERRULED: [Code; 2] = [Code::Retention, Code::SchemaMismatch];

/// What was found, in the order in which it was looked for.
#[derive(Debug, Default)]
pub struct Findings {
    /// What keeps the bridge from starting.
    pub blocking: Vec<Error>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Findings {
    /// Notes what keeps the bridge from starting.
    pub fn block(&mut self, error: Error) {
        self.blocking.push(error);
    }

    /// Notes what a person should know.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds what was found elsewhere.
    pub fn extend(&mut self, other: Self) {
        self.blocking.extend(other.blocking);
        self.notes.extend(other.notes);
    }

    /// Makes notes of what an operator has judged otherwise.
    pub fn overrule(&mut self, despite: &[Code]) {
        let (overruled, rest) =
            self.blocking.drain(..).partition(|error: &Error| despite.contains(&error.code()));
        self.blocking = rest;
        self.notes.extend(overruled.into_iter().map(|error: Error| format!("in spite of {error}")));
    }

    /// The first of what keeps the bridge from starting, which says how much more there is.
    pub fn refusal(&self) -> Option<Error> {
        let first = self.blocking.first()?.clone();
        Some(match self.blocking.len() - 1 {
            0 => first,
            more => first.context(format!("and {more} more, see binbridge check")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_judges_otherwise_is_a_note_and_the_rest_blocks() {
        let mut findings = Findings::default();
        findings.block(Error::new(Code::Retention, "soon gone"));
        findings.block(Error::new(Code::Privilege, "not allowed"));
        findings.overrule(&[Code::Retention]);
        assert_eq!(findings.refusal().map(|error| error.code()), Some(Code::Privilege));
        assert_eq!(findings.notes.len(), 1);
        findings.overrule(&[Code::Privilege]);
        assert!(findings.refusal().is_none());
    }

    #[test]
    fn a_refusal_names_the_first_and_counts_the_others() {
        let mut findings = Findings::default();
        for code in [Code::Privilege, Code::SourceSettings, Code::Retention] {
            findings.block(Error::new(code, "something"));
        }
        let refusal = findings.refusal().map(|error| error.to_string()).unwrap_or_default();
        assert!(refusal.starts_with("BB3002") && refusal.contains("2 more"), "{refusal}");
    }
}
