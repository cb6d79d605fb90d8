//! A statement's tokens without the bulk of its literals, and a cursor over them.

use super::lexer::{Broken, Kind, Text, Token};

/// More tokens than this, literals left out, are not looked through.
const MOST_TOKENS: usize = 200_000;

/// The tokens of a statement. Groups of nothing but literals shrink to one literal, lists of such groups to one group:
/// the rows of a large `INSERT` hold no names, and must not be held.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    pub(super) text: Text<'a>,
    list: Vec<Token>,
    /// Where open groups begin in `list`.
    open: Vec<Group>,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    at: usize,
    literals: bool,
}

impl<'a> Tokens<'a> {
    /// All of a statement.
    pub(super) fn all(text: Text<'a>) -> Result<Self, Broken> {
        let mut tokens = Self { text, list: Vec::new(), open: Vec::new() };
        let mut lexer = text.lexer();
        while let Some(token) = lexer.next()? {
            tokens.push(token);
            if tokens.list.len() > MOST_TOKENS {
                return Err(Broken("it is too long"));
            }
        }
        Ok(tokens)
    }

    /// The beginning of a statement, as far as it can be cut into tokens.
    pub(super) fn head(text: Text<'a>, most: usize) -> Self {
        let mut lexer = text.lexer();
        let list = std::iter::from_fn(|| lexer.next().ok().flatten()).take(most).collect();
        Self { text, list, open: Vec::new() }
    }

    pub(super) fn list(&self) -> &[Token] {
        &self.list
    }

    pub(super) fn get(&self, at: usize) -> Option<Token> {
        self.list.get(at).copied()
    }

    pub(super) fn is_word(&self, at: usize, word: &str) -> bool {
        self.get(at).is_some_and(|token| self.text.is_word(token, word))
    }

    pub(super) fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(at, word))
    }

    pub(super) fn is_symbol(&self, at: usize, symbol: &[u8]) -> bool {
        self.get(at).is_some_and(|token| self.text.is_symbol(token, symbol))
    }

    /// A name that may stand for a table, column or schema, quoted or not.
    pub(super) fn is_name(&self, at: usize) -> bool {
        self.get(at).is_some_and(|token| matches!(token.kind, Kind::Word | Kind::Quoted))
    }

    pub(super) fn name(&self, at: usize) -> Option<String> {
        self.get(at).and_then(|token| self.text.name(token))
    }

    /// The place after the group that begins at `at`.
    pub(super) fn after_group(&self, at: usize) -> usize {
        let mut depth = 0_usize;
        for (index, &token) in self.list.iter().enumerate().skip(at) {
            if self.text.is_symbol(token, b"(") {
                depth += 1;
            } else if self.text.is_symbol(token, b")") {
                depth = depth.saturating_sub(1);
            }
            if depth == 0 {
                return index + 1;
            }
        }
        self.list.len()
    }

    /// The first place at or after `at`, outside groups, for which `found` holds.
    pub(super) fn find(&self, at: usize, found: impl Fn(usize) -> bool) -> Option<usize> {
        let mut at = at;
        while at < self.list.len() {
            if found(at) {
                return Some(at);
            }
            at = if self.is_symbol(at, b"(") { self.after_group(at) } else { at + 1 };
        }
        None
    }

    fn push(&mut self, token: Token) {
        if self.text.is_symbol(token, b"(") {
            self.open.push(Group { at: self.list.len(), literals: true });
            self.list.push(token);
        } else if self.text.is_symbol(token, b")") {
            self.close(token);
        } else {
            if !self.is_literal(token)
                && let Some(group) = self.open.last_mut()
            {
                group.literals = false;
            }
            self.list.push(token);
        }
    }

    fn close(&mut self, token: Token) {
        let group = self.open.pop();
        let Some(Group { at, literals: true }) = group else {
            self.list.push(token);
            if let Some(outer) = self.open.last_mut() {
                outer.literals = false;
            }
            return;
        };
        if self.list.len() > at + 2 {
            self.list.truncate(at + 2);
        }
        self.list.push(token);
        // `(1), (1)`: the second says nothing new.
        if at >= 4
            && self.list.len() == at + 3
            && self.is_symbol(at - 1, b",")
            && self.is_symbol(at - 2, b")")
            && self.is_symbol(at - 4, b"(")
            && self.get(at - 3).is_some_and(|inside| self.is_literal(inside))
        {
            self.list.truncate(at - 1);
        }
        if let Some(outer) = self.open.last_mut() {
            outer.literals = false;
        }
    }

    fn is_literal(&self, token: Token) -> bool {
        match token.kind {
            Kind::Text | Kind::Number => true,
            Kind::Symbol => matches!(self.text.bytes(token), b"," | b"-" | b"+"),
            // All reserved: no name looks like them.
            Kind::Word => {
                ["NULL", "TRUE", "FALSE", "DEFAULT", "_binary", "_utf8mb4", "_utf8mb3", "_utf8", "_latin1"]
                    .iter()
                    .any(|word| self.text.is_word(token, word))
            }
            Kind::Quoted | Kind::Variable => false,
        }
    }
}

/// A place in a statement's tokens that moves on as words are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'t, 'a> {
    pub(super) tokens: &'t Tokens<'a>,
    pub(super) at: usize,
}

/// A name of one or two parts: places of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dotted {
    pub(super) schema: Option<usize>,
    pub(super) name: usize,
}

impl<'t, 'a> Cursor<'t, 'a> {
    pub(super) fn new(tokens: &'t Tokens<'a>, at: usize) -> Self {
        Self { tokens, at }
    }

    pub(super) fn sees(&self, word: &str) -> bool {
        self.tokens.is_word(self.at, word)
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.tokens.list.len() || self.tokens.is_symbol(self.at, b";")
    }

    /// Takes a word, if it comes next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let seen = self.sees(word);
        self.at += usize::from(seen);
        seen
    }

    /// Takes words, if they all come next.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let seen = words.iter().enumerate().all(|(index, word)| self.tokens.is_word(self.at + index, word));
        self.at += if seen { words.len() } else { 0 };
        seen
    }

    /// Takes one of these words, if it comes next.
    pub(super) fn any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.word(word))
    }

    pub(super) fn symbol(&mut self, symbol: &[u8]) -> bool {
        let seen = self.tokens.is_symbol(self.at, symbol);
        self.at += usize::from(seen);
        seen
    }

    /// Takes `IF EXISTS` or `IF NOT EXISTS`.
    pub(super) fn if_exists(&mut self) {
        let _ = self.words(&["IF", "NOT", "EXISTS"]) || self.words(&["IF", "EXISTS"]);
    }

    /// Takes an account: `'user'@'host'`, `user`, `CURRENT_USER()`.
    pub(super) fn account(&mut self) {
        self.at += 1;
        let host = self.tokens.get(self.at).is_some_and(|token| token.kind == Kind::Variable);
        if self.symbol(b"@") || host {
            self.at += 1;
        } else if self.tokens.is_symbol(self.at, b"(") {
            self.at = self.tokens.after_group(self.at);
        }
    }

    /// Takes a name of one or two parts.
    pub(super) fn dotted(&mut self) -> Option<Dotted> {
        if !self.tokens.is_name(self.at) {
            return None;
        }
        let first = self.at;
        self.at += 1;
        if !self.symbol(b".") {
            return Some(Dotted { schema: None, name: first });
        }
        if !self.tokens.is_name(self.at) {
            return None;
        }
        self.at += 1;
        Some(Dotted { schema: Some(first), name: self.at - 1 })
    }

    /// Takes a list of names.
    pub(super) fn list(&mut self) -> Option<Vec<Dotted>> {
        let mut names = vec![self.dotted()?];
        while self.symbol(b",") {
            names.push(self.dotted()?);
        }
        Some(names)
    }
}
