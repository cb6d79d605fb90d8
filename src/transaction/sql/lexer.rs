//! The lexical structure of a statement, by MySQL's rules (sql/sql_lex.cc, `lex_one_token`) and under the `sql_mode`
//! it was written in. Works on bytes, because only names need to be text.

use super::charset::Encoding;

/// `MODE_ANSI_QUOTES` (sql/system_variables.h): `"a"` is a name.
pub(super) const ANSI_QUOTES: u64 = 1 << 2;
/// `MODE_NO_BACKSLASH_ESCAPES`: a backslash in a string is itself.
pub(super) const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or an unquoted name.
    Word,
    /// A quoted name.
    Quoted,
    /// A string literal.
    Text,
    /// A number.
    Number,
    /// `@user` or `@@system.variable`.
    Variable,
    /// An operator or a mark.
    Symbol,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Why a text cannot be cut into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

/// Cuts a statement into tokens. Comments vanish, save for `/*! ... */`, whose inside is code.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    sql: &'a [u8],
    at: usize,
    ansi_quotes: bool,
    backslash: bool,
    executable: bool,
    before: Before,
}

/// What stands before the next token, as far as it matters to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Other,
    Name,
    /// A dot after a name: a name follows, whatever it looks like.
    NameDot,
}

const OPERATORS: [&[u8]; 12] =
    [b"<=>", b"->>", b"<=", b">=", b"<>", b"!=", b":=", b"||", b"&&", b"<<", b">>", b"->"];

impl<'a> Lexer<'a> {
    pub(super) fn new(sql: &'a [u8], sql_mode: u64) -> Self {
        Self {
            sql,
            at: 0,
            ansi_quotes: sql_mode & ANSI_QUOTES != 0,
            backslash: sql_mode & NO_BACKSLASH_ESCAPES == 0,
            executable: false,
            before: Before::Other,
        }
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Broken> {
        let before_blank = self.at;
        self.skip_blank()?;
        let start = self.at;
        let adjacent = start == before_blank && self.before == Before::Name;
        let Some(first) = self.peek(0) else {
            return if self.executable { Err(Broken("a comment does not end")) } else { Ok(None) };
        };
        let kind = match first {
            b'`' => self.quoted(first, false, Kind::Quoted)?,
            b'"' if self.ansi_quotes => self.quoted(first, false, Kind::Quoted)?,
            b'\'' | b'"' => self.quoted(first, self.backslash, Kind::Text)?,
            b'@' => self.variable()?,
            b'0'..=b'9' if self.before != Before::NameDot => self.number_or_word(),
            b'.' if !adjacent && self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) => {
                self.fraction();
                Kind::Number
            }
            byte if is_name(byte) => self.word(byte)?,
            _ => self.symbol(),
        };
        self.before = match kind {
            Kind::Word | Kind::Quoted => Before::Name,
            Kind::Symbol if first == b'.' && self.before == Before::Name => Before::NameDot,
            _ => Before::Other,
        };
        Ok(Some(Token { kind, start, end: self.at }))
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.sql.get(self.at..).unwrap_or_default()
    }

    fn skip_blank(&mut self) -> Result<(), Broken> {
        loop {
            let rest = self.rest();
            match rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C | 0, ..] => self.at += 1,
                [b'#', ..] | [b'-', b'-'] => self.skip_line(),
                [b'-', b'-', next, ..] if next.is_ascii_whitespace() || next.is_ascii_control() => {
                    self.skip_line();
                }
                [b'/', b'*', b'!', ..] if !self.executable => {
                    self.at += 3;
                    self.executable = true;
                    // At most six digits: the version from which on it is code.
                    while self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
                        self.at += 1;
                    }
                }
                [b'/', b'*', b'M', b'!', ..] => {
                    return Err(Broken("it holds a comment that is code for MariaDB"));
                }
                [b'/', b'*', ..] => self.skip_comment()?,
                [b'*', b'/', ..] if self.executable => {
                    self.at += 2;
                    self.executable = false;
                }
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.at += memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
    }

    fn skip_comment(&mut self) -> Result<(), Broken> {
        let inside = self.rest().get(2..).unwrap_or_default();
        let length = memchr::memmem::find(inside, b"*/").ok_or(Broken("a comment does not end"))?;
        self.at += length + 4;
        Ok(())
    }

    /// From a quote to its partner; a doubled quote is the quote itself.
    fn quoted(&mut self, quote: u8, backslash: bool, kind: Kind) -> Result<Kind, Broken> {
        self.at += 1;
        loop {
            let rest = self.rest();
            let at =
                if backslash { memchr::memchr2(quote, b'\\', rest) } else { memchr::memchr(quote, rest) };
            let at = at.ok_or(Broken("a quote does not end"))?;
            let found = rest.get(at).copied();
            let doubled = found == Some(quote) && rest.get(at + 1) == Some(&quote);
            self.at += at + 1;
            if found == Some(b'\\') || doubled {
                self.at += 1;
            } else {
                return Ok(kind);
            }
        }
    }

    fn variable(&mut self) -> Result<Kind, Broken> {
        self.at += 1;
        match self.peek(0) {
            Some(b'@') => {
                self.at += 1;
                self.variable_name()?;
                Ok(Kind::Variable)
            }
            Some(byte) if is_name(byte) || matches!(byte, b'.' | b'\'' | b'"' | b'`') => {
                self.variable_name()?;
                Ok(Kind::Variable)
            }
            _ => Ok(Kind::Symbol),
        }
    }

    fn variable_name(&mut self) -> Result<(), Broken> {
        match self.peek(0) {
            Some(quote @ (b'\'' | b'"')) => self.quoted(quote, self.backslash, Kind::Text).map(|_| ()),
            Some(b'`') => self.quoted(b'`', false, Kind::Quoted).map(|_| ()),
            // Dots are letters here, also of the host of an account.
            _ => {
                self.at += self.rest().iter().take_while(|&&byte| is_name(byte) || byte == b'.').count();
                Ok(())
            }
        }
    }

    /// A word, or a literal such as `x'00'`.
    fn word(&mut self, first: u8) -> Result<Kind, Broken> {
        let start = self.at;
        self.run();
        let prefix = self.at == start + 1 && self.before != Before::NameDot && self.peek(0) == Some(b'\'');
        match first {
            b'x' | b'X' | b'b' | b'B' if prefix => self.quoted(b'\'', false, Kind::Text),
            b'n' | b'N' if prefix => self.quoted(b'\'', self.backslash, Kind::Text),
            _ => Ok(Kind::Word),
        }
    }

    /// A run of the letters of names.
    fn run(&mut self) {
        self.at += self.rest().iter().take_while(|&&byte| is_name(byte)).count();
    }

    /// A name may begin with digits, but not be a number.
    fn number_or_word(&mut self) -> Kind {
        let start = self.at;
        self.run();
        let run = self.sql.get(start..self.at).unwrap_or_default();
        let digits = run.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match run.get(digits..).unwrap_or_default() {
            [] => {
                if self.peek(0) == Some(b'.') {
                    self.fraction();
                }
                Kind::Number
            }
            [b'e' | b'E'] if matches!(self.peek(0), Some(b'+' | b'-')) => {
                self.at += 1;
                self.run();
                Kind::Number
            }
            [b'e' | b'E', rest @ ..] if !rest.is_empty() && rest.iter().all(u8::is_ascii_digit) => {
                Kind::Number
            }
            [b'x', rest @ ..]
                if run.starts_with(b"0x") && !rest.is_empty() && rest.iter().all(u8::is_ascii_hexdigit) =>
            {
                Kind::Number
            }
            [b'b', rest @ ..]
                if run.starts_with(b"0b")
                    && !rest.is_empty()
                    && rest.iter().all(|byte| matches!(byte, b'0' | b'1')) =>
            {
                Kind::Number
            }
            _ => Kind::Word,
        }
    }

    /// From the point on: digits and an exponent.
    fn fraction(&mut self) {
        let digits = |lexer: &mut Self| {
            lexer.at += lexer.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        };
        self.at += 1;
        digits(self);
        let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
        if matches!(self.peek(0), Some(b'e' | b'E'))
            && self.peek(1 + sign).is_some_and(|byte| byte.is_ascii_digit())
        {
            self.at += 1 + sign;
            digits(self);
        }
    }

    fn symbol(&mut self) -> Kind {
        let rest = self.rest();
        self.at +=
            OPERATORS.iter().find(|operator| rest.starts_with(operator)).map_or(1, |operator| operator.len());
        Kind::Symbol
    }
}

/// Letters of unquoted names: everything beyond ASCII is one.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// A statement's bytes and how they are to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) sql: &'a [u8],
    pub(super) sql_mode: u64,
    pub(super) encoding: Encoding,
}

impl<'a> Text<'a> {
    pub(super) fn lexer(&self) -> Lexer<'a> {
        Lexer::new(self.sql, self.sql_mode)
    }

    pub(super) fn bytes(&self, token: Token) -> &'a [u8] {
        self.sql.get(token.start..token.end).unwrap_or_default()
    }

    /// Whether a token is this unquoted word.
    pub(super) fn is_word(&self, token: Token, word: &str) -> bool {
        token.kind == Kind::Word && self.bytes(token).eq_ignore_ascii_case(word.as_bytes())
    }

    pub(super) fn is_symbol(&self, token: Token, symbol: &[u8]) -> bool {
        token.kind == Kind::Symbol && self.bytes(token) == symbol
    }

    /// The name that a token is; `None` if it is none or cannot be decoded.
    pub(super) fn name(&self, token: Token) -> Option<String> {
        let bytes = self.bytes(token);
        match token.kind {
            Kind::Word => self.encoding.decode(bytes),
            Kind::Quoted => {
                let (&quote, inside) = bytes.split_first()?;
                let inside = self.encoding.decode(inside.get(..inside.len().checked_sub(1)?)?)?;
                let quote = char::from(quote);
                Some(inside.replace(&format!("{quote}{quote}"), &quote.to_string()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(sql: &str, sql_mode: u64) -> Result<Vec<(Kind, &str)>, Broken> {
        let mut lexer = Lexer::new(sql.as_bytes(), sql_mode);
        let mut tokens = Vec::new();
        while let Some(token) = lexer.next()? {
            tokens.push((token.kind, &sql[token.start..token.end]));
        }
        Ok(tokens)
    }

    fn texts(sql: &str) -> Vec<&str> {
        lex(sql, 0).unwrap().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn comments_vanish_and_executable_ones_are_code() {
        assert_eq!(
            texts("/* a */DROP/*!40005 TEMPORARY */ TABLE -- x\n t # y\n"),
            ["DROP", "TEMPORARY", "TABLE", "t"]
        );
        assert_eq!(texts("a--1"), ["a", "-", "-", "1"]);
        assert_eq!(texts("a /*! b /* c */ d */ e"), ["a", "b", "d", "e"]);
        assert!(lex("a /* b", 0).is_err());
        assert!(lex("a /*! b", 0).is_err());
        assert!(lex("/*M! b */", 0).is_err());
    }

    #[test]
    fn quotes_follow_the_sql_mode() {
        assert_eq!(lex(r#""a\"b" 'c\'d'"#, 0).unwrap(), [(Kind::Text, r#""a\"b""#), (Kind::Text, r"'c\'d'")]);
        assert_eq!(lex(r#""a""b""#, ANSI_QUOTES).unwrap(), [(Kind::Quoted, r#""a""b""#)]);
        assert_eq!(lex(r"'a\' b", NO_BACKSLASH_ESCAPES).unwrap(), [(Kind::Text, r"'a\'"), (Kind::Word, "b")]);
        assert!(lex(r"'a\' b", 0).is_err());
        assert_eq!(lex("`a``.b`", 0).unwrap(), [(Kind::Quoted, "`a``.b`")]);
    }

    #[test]
    fn numbers_are_told_from_names() {
        for (sql, expected) in [
            ("1", vec![(Kind::Number, "1")]),
            ("1.5e3", vec![(Kind::Number, "1.5e3")]),
            (".5", vec![(Kind::Number, ".5")]),
            ("1e10", vec![(Kind::Number, "1e10")]),
            ("1e-10", vec![(Kind::Number, "1e-10")]),
            ("0x1F", vec![(Kind::Number, "0x1F")]),
            ("0xyz", vec![(Kind::Word, "0xyz")]),
            ("2024_orders", vec![(Kind::Word, "2024_orders")]),
            ("a.1e5", vec![(Kind::Word, "a"), (Kind::Symbol, "."), (Kind::Word, "1e5")]),
            ("`a`.5b", vec![(Kind::Quoted, "`a`"), (Kind::Symbol, "."), (Kind::Word, "5b")]),
        ] {
            assert_eq!(lex(sql, 0).unwrap(), expected, "{sql}");
        }
    }

    #[test]
    fn variables_and_accounts_are_one_token_each() {
        assert_eq!(texts("@a:=@@global.x,`root`@`%`"), ["@a", ":=", "@@global.x", ",", "`root`", "@`%`"]);
        assert_eq!(texts("注文.明細"), ["注文", ".", "明細"]);
    }
}
