//! Coordinates in what people have: pasted status output, dump headers, metadata files, a few words.
//!
//! One reader per kind of text yields candidates; [`find`] takes the one that is meant, or says why none is. What is
//! read is never guessed: a text that may mean two places is refused.

mod change_source;
mod json;
mod log_status;
mod mydumper;
mod records;
mod replica_status;
mod separated;
mod tables;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::ops::RangeInclusive;

use uuid::Uuid;

use super::gtid::shortened;
use super::{Coordinates, GtidSet, Start};
use crate::bail;
use crate::error::{Code, Error, Result};

/// What kind of text held the coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `SHOW REPLICA STATUS` or `SHOW SLAVE STATUS`.
    ReplicaStatus,
    /// `SHOW BINARY LOG STATUS` or `SHOW MASTER STATUS`.
    LogStatus,
    /// The head of a mysqldump file.
    Mysqldump,
    /// A `CHANGE REPLICATION SOURCE TO` or `CHANGE MASTER TO` statement.
    ChangeSource,
    /// The `metadata` file of mydumper.
    Mydumper,
    /// The `@.json` file of MySQL Shell.
    ShellDump,
    /// A file and an offset in so many words.
    Words,
    /// A GTID set alone.
    Gtids,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReplicaStatus => "replica status",
            Self::LogStatus => "binary log status",
            Self::Mysqldump => "mysqldump header",
            Self::ChangeSource => "CHANGE REPLICATION SOURCE statement",
            Self::Mydumper => "mydumper metadata",
            Self::ShellDump => "MySQL Shell dump",
            Self::Words => "file and offset",
            Self::Gtids => "GTID set",
        })
    }
}

/// Whose binlog coordinates belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Whose {
    /// The source of the replica that was asked or dumped.
    SourceOfReplica,
    /// The server itself that was asked or dumped.
    ServerItself,
    /// The text does not say.
    Unsaid,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SourceOfReplica => "the source of the replica that was asked or dumped",
            Self::ServerItself => "the server that was asked or dumped",
            Self::Unsaid => "a server that the text does not name",
        })
    }
}

/// Where in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The kind of text.
    pub kind: Kind,
    /// Its first and last line, from 1.
    pub lines: RangeInclusive<usize>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.lines.start(), self.lines.end());
        if first == last {
            write!(f, "{}, line {first}", self.kind)
        } else {
            write!(f, "{}, lines {first} to {last}", self.kind)
        }
    }
}

/// What a text says of the server whose binlog is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedServer {
    /// Name or address, as the one who wrote the text reached it.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// `server_uuid`.
    pub uuid: Option<Uuid>,
}

/// Coordinates found in a text. At least one of `file` and `gtids` is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What they were read from.
    pub origin: Origin,
    /// Whose binlog they belong to.
    pub whose: Whose,
    /// What is known of that server.
    pub server: NamedServer,
    /// The replication channel; empty for the default one.
    pub channel: String,
    /// File and offset.
    pub file: Option<Coordinates>,
    /// What has been executed up to there.
    pub gtids: Option<GtidSet>,
    /// Whether the replica finds its place by GTID.
    pub auto_position: bool,
    /// How far the replica said it was behind; a stopped one does not know.
    pub seconds_behind: Option<u64>,
    /// What the operator should know, in sentences without a period.
    pub warnings: Vec<String>,
}

impl Found {
    fn new(kind: Kind, lines: RangeInclusive<usize>, whose: Whose) -> Self {
        Self {
            origin: Origin { kind, lines },
            whose,
            server: NamedServer::default(),
            channel: String::new(),
            file: None,
            gtids: None,
            auto_position: false,
            seconds_behind: None,
            warnings: Vec::new(),
        }
    }

    /// The starts that these coordinates allow, file and offset first.
    pub fn starts(&self) -> Vec<Start> {
        let file = self.file.clone().map(Start::File);
        file.into_iter().chain(self.gtids.clone().map(Start::Gtid)).collect()
    }

    /// Takes a GTID set as it stands in a text; MariaDB's are left out with a warning.
    fn take_gtids(&mut self, text: &str, line: usize) -> Result<()> {
        // `mysql --batch` writes a line end as two characters.
        let text = text.replace("\\n", "\n");
        let text = text.trim().trim_end_matches(';');
        if text.is_empty() || is_null(text) || text == "(null)" {
            return Ok(());
        }
        if is_mariadb(text) {
            self.warnings
                .push(format!("line {line}: GTIDs of MariaDB are left out, only file and offset count"));
            return Ok(());
        }
        if text.ends_with(',') {
            bail!(
                Position,
                "line {line}: the GTID set ends in a comma: it goes on in the next line, give it whole"
            );
        }
        let set: GtidSet = text.parse().map_err(|error: Error| error.context(format!("line {line}")))?;
        self.gtids = Some(set).filter(|set| !set.is_empty());
        Ok(())
    }
}

/// What the operator has said about a text that holds several coordinates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The replication channel; the default one is `""`.
    pub channel: Option<&'a str>,
    /// Whose coordinates; without it those of the replica's source come first.
    pub whose: Option<Whose>,
}

/// Reads coordinates from a text of any kind that is known.
///
/// Of a dump only what stands before its first table is looked at: its first MiB is enough.
///
/// # Errors
/// `Position`, with the line, why it is refused, and what to do.
pub fn find(text: &str) -> Result<Found> {
    find_with(text, &Choice::default())
}

/// As [`find`], with the operator's choice among several.
pub fn find_with(text: &str, choice: &Choice<'_>) -> Result<Found> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        bail!(Position, "the text is empty");
    }
    for read in [json::read, mydumper::read, tables::read, change_source::read, words::read] {
        let candidates = read(text)?;
        if !candidates.is_empty() {
            return choose(candidates, choice);
        }
    }
    bail!(
        Position,
        "no coordinates in this text ('{}'); understood are the output of SHOW REPLICA STATUS and SHOW BINARY LOG \
         STATUS, the head of a mysqldump file, mydumper's metadata, MySQL Shell's @.json, file:offset, and a GTID set",
        shortened(text.trim())
    )
}

/// Coordinates that a text may mean, or why they are not good.
struct Candidate {
    whose: Whose,
    channel: String,
    line: usize,
    found: Result<Found>,
}

impl Candidate {
    fn of(found: Found) -> Self {
        let line = *found.origin.lines.start();
        Self { whose: found.whose, channel: found.channel.clone(), line, found: Ok(found) }
    }
}

/// The one candidate that is meant.
fn choose(mut candidates: Vec<Candidate>, choice: &Choice<'_>) -> Result<Found> {
    let mut aside = None;
    let replica = candidates.iter().any(|candidate| candidate.whose == Whose::SourceOfReplica);
    if let Some(whose) = choice.whose {
        candidates.retain(|candidate| candidate.whose == whose || candidate.whose == Whose::Unsaid);
        if candidates.is_empty() {
            bail!(Position, "the text holds no coordinates of {whose}");
        }
    } else if replica {
        aside = candidates
            .iter()
            .find(|candidate| candidate.whose == Whose::ServerItself)
            .map(|other| other.line);
        candidates.retain(|candidate| candidate.whose == Whose::SourceOfReplica);
    }
    let candidate = only_one(candidates, choice.channel)?;
    let mut found = candidate.found?;
    if let Some(line) = aside {
        found.warnings.push(format!(
            "line {line} has other coordinates, of the replica's own binlog: they are for a bridge that streams from \
             the replica itself, and left aside here"
        ));
    }
    Ok(found)
}

/// Several channels need a name; several places need a decision that is not ours.
fn only_one(mut candidates: Vec<Candidate>, channel: Option<&str>) -> Result<Candidate> {
    let mut channels: Vec<_> =
        candidates.iter().map(|candidate| format!("'{}'", candidate.channel)).collect();
    channels.dedup();
    if let Some(wanted) = channel {
        candidates.retain(|candidate| candidate.channel == wanted);
        if candidates.is_empty() {
            bail!(Position, "the text has no channel '{}', only {}", shortened(wanted), channels.join(", "));
        }
    } else if channels.len() > 1 {
        bail!(Position, "the text has the channels {}: name the one to follow", channels.join(", "));
    }
    let place = |candidate: &Candidate| {
        candidate.found.as_ref().ok().map(|found| (found.file.clone(), found.gtids.clone()))
    };
    let Some(last) = candidates.pop() else {
        return Err(Error::new(Code::Position, "no coordinates in this text"));
    };
    if let Some(other) = candidates.iter().find(|other| place(other) != place(&last)) {
        bail!(
            Position,
            "lines {} and {} hold different coordinates: leave only those that belong to the copy of the data",
            other.line,
            last.line
        );
    }
    Ok(last)
}

/// A text and the line it stands in.
type Placed<'a> = (&'a str, usize);

/// File and offset as a text has them.
fn coordinates((file, line): Placed<'_>, (offset, offset_line): Placed<'_>) -> Result<Coordinates> {
    let placed = |line: usize| move |error: Error| error.context(format!("line {line}"));
    let first: Coordinates = format!("{}:4", file.trim()).parse().map_err(placed(line))?;
    let offset = offset.trim().trim_end_matches(';');
    format!("{}:{offset}", first.file).parse().map_err(placed(offset_line))
}

fn is_null(text: &str) -> bool {
    text.eq_ignore_ascii_case("null")
}

/// MariaDB: `domain-server-number`, several with commas.
fn is_mariadb(text: &str) -> bool {
    text.split(',').all(|gtid| {
        let parts: Vec<_> = gtid.trim().split('-').collect();
        parts.len() == 3
            && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    })
}
