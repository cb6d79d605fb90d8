//! Coordinates in so many words: `file:offset`, `file offset [gtids]`, "file F and position P", a GTID set.

use super::{Candidate, Found, Kind, Whose, coordinates};
use crate::error::Result;
use crate::position::{Coordinates, GtidSet};

/// Words of a text that is still taken for a note and not for a document.
const MOST_WORDS: usize = 60;
/// Digits at the end of a binlog file's name.
const FILE_DIGITS: usize = 6;

/// The candidate of a short text; none if it is something else.
pub(super) fn read(text: &str) -> Result<Vec<Candidate>> {
    let lines = text.lines().count();
    let first = text.lines().position(|line| !line.trim().is_empty()).unwrap_or_default() + 1;
    let text = stripped(text);
    let mut found = Found::new(Kind::Words, first..=lines.max(first), Whose::Unsaid);
    if let Ok(coordinates) = text.parse::<Coordinates>() {
        found.file = Some(coordinates);
        return Ok(vec![Candidate::of(found)]);
    }
    if text.parse::<GtidSet>().is_ok() {
        found.origin.kind = Kind::Gtids;
        found.take_gtids(text, first)?;
        return Ok(found.gtids.is_some().then(|| Candidate::of(found)).into_iter().collect());
    }
    let words: Vec<_> = text.split_whitespace().take(MOST_WORDS + 1).collect();
    match words.as_slice() {
        [file, offset, gtids @ ..] if is_file(bare(file)) && is_number(bare(offset)) => {
            found.file = Some(coordinates((bare(file), first), (bare(offset), first))?);
            found.take_gtids(&gtids.concat(), first)?;
        }
        words if words.len() <= MOST_WORDS => match sentence(words) {
            Some((file, offset)) => found.file = Some(coordinates((file, first), (offset, first))?),
            None => return Ok(Vec::new()),
        },
        _ => return Ok(Vec::new()),
    }
    Ok(vec![Candidate::of(found)])
}

/// Without a client's prompt in front, quotes around and a semicolon behind.
fn stripped(text: &str) -> &str {
    let text = text.trim();
    let text = match text.split_once("> ") {
        Some((prompt, rest)) if prompt.to_ascii_lowercase().starts_with("mysql") => rest,
        _ => text,
    };
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, ';' | '\'' | '"' | '`'))
}

/// Cloud events and notes: exactly one file name, and exactly one number behind a word for it.
fn sentence<'a>(words: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let mut files = words.iter().map(|word| bare(word)).filter(|word| is_file(word));
    let mut numbers = words.windows(2).filter_map(|pair| {
        let [before, number] = pair else { return None };
        let named =
            ["position", "pos", "offset"].into_iter().any(|name| bare(before).eq_ignore_ascii_case(name));
        Some(bare(number)).filter(|number| named && is_number(number))
    });
    match (files.next(), files.next(), numbers.next(), numbers.next()) {
        (Some(file), None, Some(number), None) => Some((file, number)),
        _ => None,
    }
}

/// A word without the punctuation around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_ascii_alphanumeric())
}

fn is_file(word: &str) -> bool {
    let digits = word.rsplit_once('.').map_or("", |(_, digits)| digits);
    digits.len() >= FILE_DIGITS && Coordinates::numbered(word).is_some()
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}
