//! The tables of statements that read and change rows, found by `sqlparser`.
//!
//! The parser is given our tokens, not the text: they are right under any `sql_mode`, hold no literals, and each one's
//! location is its place in our list, so that a name the parser finds leads back to the very bytes of the statement.

use std::ops::Range;

use sqlparser::ast::{Query, Statement, Visit};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Span, Token as Parsed, TokenWithSpan};

use super::dialect::{Dialect, Piece};
use super::lexer::Broken;
use super::mentions::Mentions;
use super::scope::Finder;
use super::tokens::{Cursor, Dotted, Tokens};

/// Operators in a row nest as deep as there are: what would nest deeper is not looked through.
const MOST_NESTED: usize = 1000;
/// What a group counts for.
const GROUP: usize = 25;
/// Words at which an expression ends.
const BREAKS: [&str; 8] = ["WHEN", "THEN", "ELSE", "JOIN", "WHERE", "SET", "FROM", "VALUES"];

const STRANGE: Broken = Broken("its syntax is not understood");

/// A statement that reads or changes rows.
pub(super) fn statement(tokens: &Tokens<'_>, mentions: &mut Mentions) -> Result<(), Broken> {
    let mut dialect = Dialect::new(tokens, 0..tokens.list().len());
    let verb = tokens
        .find(0, |at| {
            tokens.is_any(at, &["INSERT", "REPLACE", "UPDATE", "DELETE", "SELECT", "VALUES", "TABLE", "DO"])
        })
        .ok_or(STRANGE)?;
    if tokens.is_word(verb, "DELETE") {
        delete_targets(tokens, verb, &mut dialect, mentions)?;
    } else if tokens.is_word(verb, "UPDATE") {
        dialect.join_until = tokens.find(verb, |at| tokens.is_word(at, "SET"));
    }
    let mut parser = parser(&dialect.translate())?;
    let statement: Statement = parser.parse_statement().map_err(|_| STRANGE)?;
    finish(&mut parser, &statement, tokens, mentions)
}

/// A query that is part of another statement.
pub(super) fn query(tokens: &Tokens<'_>, range: Range<usize>, mentions: &mut Mentions) -> Result<(), Broken> {
    let mut end = range.end;
    if end >= range.start + 2 && tokens.is_word(end - 2, "START") && tokens.is_word(end - 1, "TRANSACTION") {
        end -= 2;
    }
    let mut parser = parser(&Dialect::new(tokens, range.start..end).translate())?;
    let query: Box<Query> = parser.parse_query().map_err(|_| STRANGE)?;
    finish(&mut parser, query.as_ref(), tokens, mentions)
}

fn parser(pieces: &[(Piece, usize)]) -> Result<Parser<'static>, Broken> {
    if deepest(pieces) > MOST_NESTED {
        return Err(Broken("its expressions are too long or too deep"));
    }
    let tokens = pieces
        .iter()
        .map(|(piece, at)| {
            let location = Location::new(1, u64::try_from(*at).unwrap_or(u64::MAX).saturating_add(1));
            TokenWithSpan { token: piece.token(), span: Span::new(location, location) }
        })
        .collect();
    Ok(Parser::new(&MySqlDialect {}).with_tokens_with_locations(tokens))
}

/// How deep what is parsed will nest at most: a group counts as many operators, since parsing it takes more.
fn deepest(pieces: &[(Piece, usize)]) -> usize {
    let mut chains = vec![0_usize];
    let (mut now, mut deepest) = (0_usize, 0_usize);
    for (piece, _) in pieces {
        match piece {
            Piece::Mark(Parsed::LParen) => {
                chains.push(GROUP);
                now += GROUP;
            }
            Piece::Mark(Parsed::RParen) => now -= chains.pop().unwrap_or(0).min(now),
            Piece::Mark(Parsed::Comma) => now = restart(&mut chains, now),
            Piece::Keyword(word) if BREAKS.contains(&word.as_str()) => now = restart(&mut chains, now),
            Piece::Mark(_) | Piece::Keyword(_) => {
                if let Some(chain) = chains.last_mut() {
                    *chain += 1;
                    now += 1;
                }
            }
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

/// A chain of operators ends.
fn restart(chains: &mut [usize], now: usize) -> usize {
    let Some(chain) = chains.last_mut() else { return now };
    let rest = now - (*chain).min(now);
    *chain = 0;
    rest
}

fn finish<T: Visit>(
    parser: &mut Parser<'_>,
    parsed: &T,
    tokens: &Tokens<'_>,
    mentions: &mut Mentions,
) -> Result<(), Broken> {
    while parser.consume_token(&Parsed::SemiColon) {}
    if parser.peek_token().token != Parsed::EOF {
        return Err(STRANGE);
    }
    let mut finder = Finder::new(tokens, mentions);
    match parsed.visit(&mut finder) {
        std::ops::ControlFlow::Break(broken) => Err(broken),
        std::ops::ControlFlow::Continue(()) => Ok(()),
    }
}

/// `DELETE a, b.* FROM ...` and `DELETE FROM a, b USING ...`: the parser is shown `DELETE FROM ...` alone, because the
/// targets may be aliases.
fn delete_targets(
    tokens: &Tokens<'_>,
    verb: usize,
    dialect: &mut Dialect<'_, '_>,
    mentions: &mut Mentions,
) -> Result<(), Broken> {
    let mut cursor = Cursor::new(tokens, verb + 1);
    while cursor.any(&["LOW_PRIORITY", "QUICK", "IGNORE"]) {}
    let from = tokens.find(cursor.at, |at| tokens.is_word(at, "FROM")).ok_or(STRANGE)?;
    let using =
        tokens.find(from, |at| tokens.is_any(at, &["USING", "WHERE", "ORDER", "LIMIT", "JOIN", "SET"]));
    let using = using.filter(|&at| tokens.is_word(at, "USING"));
    if from == cursor.at && using.is_none() {
        return Ok(());
    }
    let first = if from == cursor.at { from + 1 } else { cursor.at };
    let end = if from == cursor.at { using.unwrap_or(from) } else { from };
    cursor.at = first;
    loop {
        mentions.targets.push(target(&mut cursor).ok_or(STRANGE)?);
        if !cursor.symbol(b",") {
            break;
        }
    }
    if cursor.at != end {
        return Err(STRANGE);
    }
    // `DELETE FROM targets USING refs` keeps its FROM and loses its USING.
    dialect.skip = if from == first - 1 { first..end + 1 } else { first..end };
    Ok(())
}

/// A name of one or two parts, and `.*`, which says nothing.
fn target(cursor: &mut Cursor<'_, '_>) -> Option<Dotted> {
    let tokens = cursor.tokens;
    let star = |at: usize| tokens.is_symbol(at, b".") && tokens.is_symbol(at + 1, b"*");
    let first = cursor.at;
    let mut place = if star(first + 1) {
        cursor.at += 1;
        tokens.is_name(first).then_some(Dotted { schema: None, name: first })
    } else {
        cursor.dotted()
    };
    if star(cursor.at) {
        cursor.at += 2;
    }
    place.take()
}
