//! `CHANGE REPLICATION SOURCE TO` (`CHANGE MASTER TO`) and `SET GTID_PURGED`, in a dump's head or alone.

use super::{Candidate, Found, Kind, NamedServer, Whose, coordinates};
use crate::bail;
use crate::error::Result;

/// Lines before a statement in which a dump's comment on it is looked for.
const COMMENT_LINES: usize = 4;

/// Candidates from the statements before the first table of a dump.
pub(super) fn read(text: &str) -> Result<Vec<Candidate>> {
    let lines: Vec<_> = text.lines().take_while(|line| !is_body(line)).collect();
    let dump = lines.iter().any(|line| is_dump_head(line));
    let mut candidates = Vec::new();
    let mut purged = None;
    for (at, line) in lines.iter().enumerate() {
        let line = bare(line);
        if starts_with(line, "CHANGE MASTER TO") || starts_with(line, "CHANGE REPLICATION SOURCE TO") {
            candidates.extend(candidate(&lines, at, dump)?);
        } else if starts_with(line, "SET") && line.to_ascii_uppercase().contains("GTID_PURGED") {
            purged = purged.or(gtid_purged(&lines, at)?.map(|gtids| (at + 1, gtids)));
        }
    }
    let Some((line, gtids)) = purged else { return Ok(candidates) };
    if candidates.is_empty() {
        let kind = if dump { Kind::Mysqldump } else { Kind::Gtids };
        let whose = if dump { Whose::ServerItself } else { Whose::Unsaid };
        let mut found = Found::new(kind, line..=line, whose);
        found.take_gtids(&gtids, line)?;
        if dump && found.gtids.is_some() {
            found.warnings.push(
                "the dump has a GTID set without file and offset: mysqldump before 8.0.32 with --single-transaction \
                 reads it outside of the snapshot, so it may not fit the data"
                    .to_owned(),
            );
        }
        candidates.extend(found.gtids.is_some().then(|| Candidate::of(found)));
    } else {
        for found in candidates.iter_mut().filter_map(|candidate| candidate.found.as_mut().ok()) {
            found.take_gtids(&gtids, line)?;
        }
    }
    Ok(candidates)
}

/// The first line that makes tables or rows: what stands behind it is data, and may be anything.
fn is_body(line: &str) -> bool {
    let body = ["CREATE TABLE", "INSERT INTO", "DROP TABLE", "LOCK TABLES", "REPLACE INTO"];
    body.into_iter().any(|word| starts_with(line, word))
}

fn is_dump_head(line: &str) -> bool {
    starts_with(line, "-- MySQL dump") || starts_with(line, "-- MariaDB dump")
}

fn starts_with(line: &str, word: &str) -> bool {
    line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// The line without a comment sign and a client's prompt in front.
fn bare(line: &str) -> &str {
    let line = line.trim();
    let line =
        ["--", "#", "/*"].into_iter().find_map(|sign| line.strip_prefix(sign)).unwrap_or(line).trim_start();
    match line.split_once("> ") {
        Some((prompt, rest)) if starts_with(prompt, "mysql") || starts_with(prompt, "mariadb") => {
            rest.trim_start()
        }
        _ => line,
    }
}

/// The statement that begins at a line, its lines joined, up to its semicolon, and the line it ends in.
///
/// One that ends inside of quotes was cut off: half a GTID set must not pass for a whole one.
fn statement(lines: &[&str], at: usize) -> Result<(String, usize)> {
    let mut quotes = Quotes::default();
    let mut text = String::new();
    for (count, line) in lines.iter().enumerate().skip(at) {
        for c in bare(line).chars().chain([' ']) {
            if quotes.outside(c) && c == ';' {
                return Ok((text, count + 1));
            }
            text.push(c);
        }
    }
    if quotes.open.is_some() {
        bail!(Position, "line {}: the text ends inside of this statement: give it whole", at + 1);
    }
    Ok((text, lines.len()))
}

/// Follows the quotes of SQL from character to character.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    escaped: bool,
}

impl Quotes {
    /// Whether this next character stands outside of quotes, and is none.
    fn outside(&mut self, c: char) -> bool {
        match (self.open, c) {
            _ if self.escaped => self.escaped = false,
            (Some(_), '\\') => self.escaped = true,
            (Some(open), _) if open == c => self.open = None,
            (None, '\'' | '"') => self.open = Some(c),
            (None, _) => return true,
            _ => {}
        }
        false
    }
}

/// What a `CHANGE` statement says; `None` if it names no coordinates.
fn candidate(lines: &[&str], at: usize, dump: bool) -> Result<Option<Candidate>> {
    let (text, last) = statement(lines, at)?;
    let comment = lines.get(at.saturating_sub(COMMENT_LINES)..at).unwrap_or_default();
    let of_source =
        comment.iter().any(|line| line.contains("of this slave)") || line.contains("for this replica)"));
    let whose = match (of_source, dump) {
        (true, _) => Whose::SourceOfReplica,
        (false, true) => Whose::ServerItself,
        (false, false) => Whose::Unsaid,
    };
    let kind = if dump || of_source { Kind::Mysqldump } else { Kind::ChangeSource };
    let mut found = Found::new(kind, at + 1..=last, whose);
    let options = Options::of(&text);
    let Some(file) = options.value("LOG_FILE") else { return Ok(None) };
    let offset = options.value("LOG_POS").unwrap_or_default();
    found.channel = options.channel().unwrap_or_default();
    found.server = NamedServer {
        host: options.value("HOST").filter(|host| !host.is_empty()),
        port: options.value("PORT").and_then(|port| port.parse().ok()),
        uuid: None,
    };
    let (whose, channel) = (found.whose, found.channel.clone());
    let found = coordinates((&file, at + 1), (&offset, at + 1))
        .map(|coordinates| Found { file: Some(coordinates), ..found });
    Ok(Some(Candidate { whose, channel, line: at + 1, found }))
}

/// The options of a `CHANGE` statement, as slices between its commas.
struct Options<'a>(Vec<&'a str>);

impl<'a> Options<'a> {
    fn of(text: &'a str) -> Self {
        let mut quotes = Quotes::default();
        Self(text.split(|c| quotes.outside(c) && c == ',').map(str::trim).collect())
    }

    /// The value of `MASTER_<name>` or `SOURCE_<name>`, without quotes.
    fn value(&self, name: &str) -> Option<String> {
        self.0.iter().find_map(|option| {
            let (key, value) = option.split_once('=')?;
            let key = key.split_whitespace().last()?.to_ascii_uppercase();
            let key = key.strip_prefix("MASTER_").or_else(|| key.strip_prefix("SOURCE_"))?;
            (key == name).then(|| first_value(value))
        })
    }

    fn channel(&self) -> Option<String> {
        let last = self.0.last()?;
        let at = last.to_ascii_uppercase().find("FOR CHANNEL")?;
        last.get(at + "FOR CHANNEL".len()..).map(first_value)
    }
}

/// A quoted text, or the first word.
fn first_value(text: &str) -> String {
    let text = text.trim();
    let quoted = ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.split(quote).next());
    quoted.or_else(|| text.split_whitespace().next()).unwrap_or_default().to_owned()
}

/// The set behind `GTID_PURGED=`, which may stand on several lines and have a `/*!80000 '+'*/` before it.
fn gtid_purged(lines: &[&str], at: usize) -> Result<Option<String>> {
    let (text, _) = statement(lines, at)?;
    let Some((_, value)) = text.split_once('=') else { return Ok(None) };
    let value = value.trim_start();
    let set = if value.starts_with("/*") { value.split_once("*/").map_or("", |(_, set)| set) } else { value };
    Ok(Some(first_value(set)))
}
