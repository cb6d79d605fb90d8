//! The `metadata` file of mydumper: `SHOW MASTER STATUS:` with indented lines before 0.14, sections since.
//!
//! In `[replication]` the option `SOURCE_LOG_FILE` holds what has been applied, while the copied column `Source_Log_File`
//! holds what has been read: only the case of the letters tells them apart.

use super::{Candidate, Found, Kind, NamedServer, Whose, coordinates};
use crate::bail;
use crate::error::Result;
use crate::position::Coordinates;

/// One section: whose coordinates, and its keys and values with their lines.
struct Section<'a> {
    whose: Whose,
    channel: String,
    line: usize,
    entries: Vec<(&'a str, String, usize)>,
}

/// Candidates from the sections of a metadata file.
pub(super) fn read(text: &str) -> Result<Vec<Candidate>> {
    let sections = sections(text);
    let Some(first) = sections.first() else { return Ok(Vec::new()) };
    let finished = text.contains("Finished dump at");
    let mut candidates = Vec::new();
    for section in &sections {
        let found = section.found().map(|found| {
            found.map(|mut found| {
                if !finished {
                    found.warnings.push("the metadata do not say that the dump was finished".to_owned());
                }
                found
            })
        });
        let found = found.transpose();
        candidates.extend(found.map(|found| Candidate {
            whose: section.whose,
            channel: section.channel.clone(),
            line: section.line,
            found,
        }));
    }
    if candidates.is_empty() {
        bail!(
            Position,
            "line {}: these mydumper metadata hold no coordinates: has the server no binlog?",
            first.line
        );
    }
    Ok(candidates)
}

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        let heading = heading(line.trim());
        if let Some((whose, channel)) = heading {
            inside = true;
            sections.push(Section { whose, channel, line: at + 1, entries: Vec::new() });
        } else if line.starts_with('[') {
            inside = false;
        } else if let Some(section) = sections.last_mut().filter(|_| inside) {
            section.take(line, at + 1);
        }
    }
    sections
}

fn heading(line: &str) -> Option<(Whose, String)> {
    match line {
        "SHOW MASTER STATUS:" | "SHOW BINARY LOG STATUS:" | "[master]" | "[source]" => {
            return Some((Whose::ServerItself, String::new()));
        }
        "SHOW SLAVE STATUS:" | "SHOW REPLICA STATUS:" | "[replication]" => {
            return Some((Whose::SourceOfReplica, String::new()));
        }
        _ => {}
    }
    let channel = line.strip_prefix("[replication.")?.strip_suffix(']')?;
    Some((Whose::SourceOfReplica, channel.to_owned()))
}

impl<'a> Section<'a> {
    /// Takes `key = value` or `key: value`, commented or not.
    fn take(&mut self, line: &'a str, at: usize) {
        let line = line.trim().trim_start_matches('#').trim_start();
        let split = line.split_once([':', '=']).map(|(key, value)| (key.trim(), value.trim()));
        match split.filter(|(key, _)| !key.contains('-')) {
            Some((key, value)) => {
                let value = value.trim_matches(['\'', '"']);
                let channel =
                    key.eq_ignore_ascii_case("Connection name") || key.eq_ignore_ascii_case("Channel_Name");
                if channel && self.whose == Whose::SourceOfReplica && !value.is_empty() {
                    value.clone_into(&mut self.channel);
                }
                self.entries.push((key, value.to_owned(), at));
            }
            // Old versions leave the line ends in a GTID set.
            None => {
                if let Some((key, value, _)) = self.entries.last_mut()
                    && is_gtids(key)
                    && value.ends_with(',')
                {
                    value.push_str(line);
                }
            }
        }
    }

    /// The value of a key and its line; a key in capitals must be spelt so.
    fn value(&self, wanted: &str) -> Option<(&str, usize)> {
        let exact = wanted.bytes().all(|byte| !byte.is_ascii_lowercase());
        let same = |key: &str| if exact { key == wanted } else { key.eq_ignore_ascii_case(wanted) };
        let entry = self.entries.iter().find(|(key, value, _)| same(key) && !value.is_empty())?;
        Some((entry.1.as_str(), entry.2))
    }

    fn any(&self, wanted: &[&str]) -> Option<(&str, usize)> {
        wanted.iter().find_map(|key| self.value(key))
    }

    /// Its coordinates; `None` if it has none.
    fn found(&self) -> Result<Option<Found>> {
        let last = self.entries.last().map_or(self.line, |(.., line)| *line);
        let mut found = Found::new(Kind::Mydumper, self.line..=last, self.whose);
        found.channel.clone_from(&self.channel);
        found.file = self.place()?;
        if let Some((_, gtids, line)) =
            self.entries.iter().find(|(key, value, _)| is_gtids(key) && !value.is_empty())
        {
            found.take_gtids(gtids, *line)?;
        }
        found.server = self.server();
        found.auto_position =
            self.any(&["Auto_Position", "SOURCE_AUTO_POSITION"]).is_some_and(|(value, _)| value == "1");
        self.warn(&mut found);
        Ok((found.file.is_some() || found.gtids.is_some()).then_some(found))
    }

    /// File and offset. They are taken in pairs: a file from one pair and an offset from another are no place.
    fn place(&self) -> Result<Option<Coordinates>> {
        let pairs: &[[&str; 2]] = match self.whose {
            Whose::ServerItself => {
                &[["Log", "Pos"], ["File", "Position"], ["SOURCE_LOG_FILE", "SOURCE_LOG_POS"]]
            }
            _ => &[
                ["Relay_Source_Log_File", "Exec_Source_Log_Pos"],
                ["Relay_Master_Log_File", "Exec_Master_Log_Pos"],
                ["Log", "Pos"],
                ["SOURCE_LOG_FILE", "SOURCE_LOG_POS"],
            ],
        };
        for &[file, offset] in pairs {
            match (self.value(file), self.value(offset)) {
                (Some(file), Some(offset)) => return coordinates(file, offset).map(Some),
                (Some((_, line)), None) | (None, Some((_, line))) => {
                    bail!(
                        Position,
                        "line {line}: only one of {file} and {offset} stands in this section of the metadata"
                    )
                }
                (None, None) => {}
            }
        }
        Ok(None)
    }

    fn server(&self) -> NamedServer {
        NamedServer {
            host: self.any(&["Host", "Source_Host", "Master_Host"]).map(|(host, _)| host.to_owned()),
            port: self.any(&["Source_Port", "Master_Port"]).and_then(|(port, _)| port.parse().ok()),
            uuid: self.any(&["Source_UUID", "Master_UUID"]).and_then(|(uuid, _)| uuid.parse().ok()),
        }
    }

    fn warn(&self, found: &mut Found) {
        let running = self.any(&["Replica_SQL_Running", "Slave_SQL_Running"]);
        if let Some((_, line)) = running.filter(|(value, _)| value.eq_ignore_ascii_case("yes")) {
            found.warnings.push(format!(
                "line {line}: the replica applied while mydumper noted this: it holds only if mydumper locked the \
                 replica (no --no-locks) and the replica has one worker or commits in order"
            ));
        }
    }
}

fn is_gtids(key: &str) -> bool {
    ["GTID", "Executed_Gtid_Set"].into_iter().any(|name| key.eq_ignore_ascii_case(name))
}
