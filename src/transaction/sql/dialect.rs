//! From our tokens to the parser's: MySQL's ways of saying things that matter to no table's name are left out or said
//! in plain SQL, words that are not part of the grammar become quoted names.

use std::ops::Range;

use sqlparser::tokenizer::Token as Parsed;

use super::lexer::{Kind, Token};
use super::tokens::Tokens;
use super::words::{GRAMMAR, MODIFIERS, SILENT, SPECIAL_FUNCTIONS, SPECIAL_WORDS, UNITS};

/// A token for the parser.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Keyword(String),
    Name(String),
    Text,
    Number,
    Mark(Parsed),
}

impl Piece {
    pub(super) fn token(&self) -> Parsed {
        match self {
            Self::Keyword(word) => Parsed::make_word(word, None),
            Self::Name(name) => Parsed::make_word(name, Some('`')),
            Self::Text => Parsed::SingleQuotedString(String::new()),
            Self::Number => Parsed::Number("1".to_owned(), false),
            Self::Mark(token) => token.clone(),
        }
    }
}

/// Translates a range of tokens.
pub(super) struct Dialect<'t, 'a> {
    tokens: &'t Tokens<'a>,
    range: Range<usize>,
    /// Places not shown to the parser.
    pub(super) skip: Range<usize>,
    /// Up to here, commas outside groups join tables (`UPDATE a, b SET`).
    pub(super) join_until: Option<usize>,
    pieces: Vec<(Piece, usize)>,
    depth: usize,
    cases: usize,
    on_duplicate: bool,
    /// Groups of functions with a grammar of their own: the depth inside.
    special: Vec<usize>,
}

impl<'t, 'a> Dialect<'t, 'a> {
    pub(super) fn new(tokens: &'t Tokens<'a>, range: Range<usize>) -> Self {
        Self {
            tokens,
            range,
            skip: 0..0,
            join_until: None,
            pieces: Vec::new(),
            depth: 0,
            cases: 0,
            on_duplicate: false,
            special: Vec::new(),
        }
    }

    /// The parser's tokens, each with its place in ours.
    pub(super) fn translate(mut self) -> Vec<(Piece, usize)> {
        let mut at = self.range.start;
        while at < self.range.end {
            let Some(token) = self.tokens.get(at) else { break };
            if self.skip.contains(&at) {
                at = self.skip.end;
                continue;
            }
            let silent = if self.after_dot(at) { 0 } else { self.silent(at, token) };
            if silent > 0 {
                at += silent;
                continue;
            }
            let piece = self.piece(at, token);
            self.pieces.push((piece, at));
            at += 1;
        }
        self.pieces
    }

    fn after_dot(&self, at: usize) -> bool {
        at > self.range.start && self.tokens.is_symbol(at - 1, b".")
    }

    /// How many tokens from here on say nothing about tables.
    fn silent(&self, at: usize, token: Token) -> usize {
        let tokens = self.tokens;
        if token.kind != Kind::Word {
            let empty = tokens.is_symbol(at, b"(")
                && tokens.is_symbol(at + 1, b")")
                && tokens.is_any(at + 2, &["VALUES", "VALUE"]);
            return if empty { 2 } else { 0 };
        }
        if let Some(words) = SILENT
            .iter()
            .find(|words| words.iter().enumerate().all(|(index, word)| tokens.is_word(at + index, word)))
        {
            return words.len();
        }
        let next = tokens.get(at + 1);
        let next_is_text = next.is_some_and(|next| next.kind == Kind::Text);
        let literal = next.is_some_and(|next| matches!(next.kind, Kind::Text | Kind::Number));
        let introducer = tokens.text.bytes(token).starts_with(b"_") && literal
            || next_is_text && tokens.is_any(at, &["DATE", "TIME", "TIMESTAMP"]);
        if introducer || tokens.is_word(at, "ROW") && tokens.is_symbol(at + 1, b"(") {
            return 1;
        }
        let cast = tokens.is_word(at, "BINARY")
            && next.is_some_and(|next| next.kind != Kind::Symbol)
            && !tokens.is_word(at.wrapping_sub(1), "AS");
        if cast {
            return 1;
        }
        if tokens.is_word(at, "COLLATE") || tokens.is_word(at, "SEPARATOR") && next_is_text {
            return 2;
        }
        if tokens.is_word(at, "PARTITION") && tokens.is_symbol(at + 1, b"(") {
            return tokens.after_group(at + 1) - at;
        }
        let hint = self.index_hint(at);
        if hint > 0 {
            return hint;
        }
        // `= ANY (SELECT ...)`, `1 MEMBER OF (j)`.
        let quantifier = tokens.is_any(at, &["ANY", "SOME", "ALL"])
            && tokens.is_symbol(at + 1, b"(")
            && at > 0
            && tokens.get(at - 1).is_some_and(|before| before.kind == Kind::Symbol);
        if quantifier || tokens.is_word(at, "MEMBER") && tokens.is_word(at + 1, "OF") {
            return 1;
        }
        usize::from(tokens.is_any(at, &MODIFIERS) && self.after_verb(at))
    }

    /// `USE INDEX FOR JOIN (a, b)`.
    fn index_hint(&self, at: usize) -> usize {
        let tokens = self.tokens;
        if !tokens.is_any(at, &["USE", "FORCE", "IGNORE"]) || !tokens.is_any(at + 1, &["INDEX", "KEY"]) {
            return 0;
        }
        (at + 2..at + 6)
            .find(|&at| tokens.is_symbol(at, b"("))
            .map_or(0, |group| tokens.after_group(group) - at)
    }

    /// Whether only modifiers stand between here and the verb before.
    fn after_verb(&self, at: usize) -> bool {
        let verbs = ["INSERT", "REPLACE", "UPDATE", "DELETE", "SELECT"];
        let before = (self.range.start..at).rev().find(|&at| !self.tokens.is_any(at, &MODIFIERS));
        before.is_some_and(|before| self.tokens.is_any(before, &verbs) && !self.after_dot(before))
    }

    fn piece(&mut self, at: usize, token: Token) -> Piece {
        match token.kind {
            Kind::Text => Piece::Text,
            Kind::Number => Piece::Number,
            Kind::Variable => Piece::Name("@".to_owned()),
            Kind::Quoted => self.name(token),
            Kind::Symbol => Piece::Mark(self.mark(at, token)),
            Kind::Word if self.after_dot(at) => self.name(token),
            Kind::Word => self.word(at, token),
        }
    }

    fn name(&self, token: Token) -> Piece {
        let lossy = || String::from_utf8_lossy(self.tokens.text.bytes(token)).into_owned();
        Piece::Name(self.tokens.text.name(token).unwrap_or_else(lossy))
    }

    /// All operators are one, for what they say of tables.
    fn mark(&mut self, at: usize, token: Token) -> Parsed {
        match self.tokens.text.bytes(token) {
            b"(" => {
                self.depth += 1;
                if at > self.range.start && self.tokens.is_any(at - 1, &SPECIAL_FUNCTIONS) {
                    self.special.push(self.depth);
                }
                Parsed::LParen
            }
            b")" => {
                self.special.retain(|&depth| depth != self.depth);
                self.depth = self.depth.saturating_sub(1);
                Parsed::RParen
            }
            b"," if self.depth == 0 && self.join_until.is_some_and(|until| at < until) => {
                Parsed::make_word("JOIN", None)
            }
            b"," => Parsed::Comma,
            b"." => Parsed::Period,
            b";" => Parsed::SemiColon,
            b"*" => Parsed::Mul,
            b"-" | b"!" | b"~" => Parsed::Minus,
            b"/" | b"%" | b"+" | b"|" | b"&" | b"^" | b"||" | b"&&" | b"<<" | b">>" => Parsed::Plus,
            b"=" | b"<=>" | b"<" | b">" | b"<=" | b">=" | b"<>" | b"!=" | b":=" | b"->" | b"->>" => {
                Parsed::Eq
            }
            other => Parsed::Char(other.first().map_or('?', |&byte| char::from(byte))),
        }
    }

    fn word(&mut self, at: usize, token: Token) -> Piece {
        let tokens = self.tokens;
        let upper = String::from_utf8_lossy(tokens.text.bytes(token)).to_uppercase();
        let call = tokens.is_symbol(at + 1, b"(");
        match upper.as_str() {
            "DO" if at == self.range.start => return Piece::Keyword("SELECT".to_owned()),
            "CASE" => self.cases += 1,
            "END" if self.cases > 0 => {
                self.cases -= 1;
                return Piece::Keyword(upper);
            }
            "DUPLICATE" => self.on_duplicate = true,
            "DIV" | "MOD" if !call || !self.wants_operand(at) => return Piece::Mark(Parsed::Plus),
            "OF" if tokens.is_word(at.wrapping_sub(1), "MEMBER") => return Piece::Mark(Parsed::Eq),
            "INTERVAL" if call && !tokens.is_any(tokens.after_group(at + 1), &UNITS) => {
                return self.name(token);
            }
            "DEFAULT" if !call => return Piece::Number,
            "VALUE" if call && self.depth == 0 && !self.on_duplicate => {
                return Piece::Keyword("VALUES".to_owned());
            }
            _ => {}
        }
        let function = call
            && self.wants_operand(at)
            && matches!(upper.as_str(), "LEFT" | "RIGHT" | "REPLACE" | "INSERT" | "MOD")
            || call && self.on_duplicate && upper == "VALUES";
        if function {
            return Piece::Name(upper);
        }
        let keyword = match upper.as_str() {
            "DUPLICATE" => tokens.is_word(at.wrapping_sub(1), "ON"),
            "OFFSET" => at > 0 && tokens.get(at - 1).is_some_and(|token| token.kind == Kind::Number),
            "RECURSIVE" => tokens.is_word(at.wrapping_sub(1), "WITH"),
            "UNBOUNDED" | "PRECEDING" | "FOLLOWING" | "CURRENT" | "ROW" => self.depth > 0 && self.frame(at),
            word if SPECIAL_FUNCTIONS.contains(&word) => call,
            word if self.special.contains(&self.depth) && SPECIAL_WORDS.contains(&word) => {
                !call || word == "CHAR"
            }
            word if UNITS.contains(&word) => self.unit(at),
            "AGAINST" => call,
            word => GRAMMAR.contains(&word),
        };
        if keyword { Piece::Keyword(plain_unit(upper)) } else { self.name(token) }
    }

    /// Whether an operand is wanted here: then a word with a bracket is a function.
    fn wants_operand(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).and_then(|before| self.tokens.get(before)) else { return false };
        match before.kind {
            Kind::Symbol => !self.tokens.text.is_symbol(before, b")"),
            Kind::Word => [
                "SELECT", "WHERE", "AND", "OR", "NOT", "ON", "BY", "HAVING", "WHEN", "THEN", "ELSE", "LIKE",
                "BETWEEN",
            ]
            .iter()
            .any(|word| self.tokens.text.is_word(before, word)),
            _ => false,
        }
    }

    /// Words of a window's frame.
    fn frame(&self, at: usize) -> bool {
        let near = ["ROWS", "RANGE", "BETWEEN", "AND", "UNBOUNDED", "CURRENT"];
        let before = at.wrapping_sub(1);
        (self.tokens.is_any(before, &near)
            || self.tokens.get(before).is_some_and(|token| token.kind == Kind::Number))
            && (!self.tokens.is_word(at, "CURRENT") || self.tokens.is_word(at + 1, "ROW"))
    }

    /// A unit follows its operand, or opens `EXTRACT(unit FROM ...)`.
    fn unit(&self, at: usize) -> bool {
        if self.tokens.is_symbol(at + 1, b".") {
            return false;
        }
        if self.tokens.is_word(at + 1, "FROM") && self.special.contains(&self.depth) {
            return true;
        }
        let before = at.checked_sub(1).and_then(|before| self.tokens.get(before));
        before.is_some_and(|before| match before.kind {
            Kind::Text | Kind::Number | Kind::Variable | Kind::Quoted => true,
            Kind::Symbol => self.tokens.text.is_symbol(before, b")"),
            Kind::Word => {
                let word = String::from_utf8_lossy(self.tokens.text.bytes(before)).to_uppercase();
                !GRAMMAR.contains(&word.as_str())
            }
        }) && self.interval_before(at)
    }

    /// Whether an `INTERVAL` is open before this place: not closed by a comma or a bracket.
    fn interval_before(&self, at: usize) -> bool {
        let mut depth = 0_usize;
        for back in (self.range.start..at).rev() {
            if self.tokens.is_symbol(back, b")") {
                depth += 1;
            } else if self.tokens.is_symbol(back, b"(") {
                let Some(outer) = depth.checked_sub(1) else { return false };
                depth = outer;
            } else if depth == 0 && self.tokens.is_word(back, "INTERVAL") {
                return true;
            } else if depth == 0 && self.tokens.is_symbol(back, b",") {
                return false;
            }
        }
        false
    }
}

/// The parser knows the plain units only.
fn plain_unit(word: String) -> String {
    if UNITS.contains(&word.as_str()) && word.contains('_') { "DAY".to_owned() } else { word }
}
