//! Status output as the client prints it: `\G`, in a box, with tabs, or exported with commas.

use super::records::{Record, column};
use super::{Candidate, Found, Kind, Whose, log_status, replica_status, separated};
use crate::bail;
use crate::error::Result;

/// Candidates from every status row in the text.
pub(super) fn read(text: &str) -> Result<Vec<Candidate>> {
    let mut records = separated::records(text)?;
    if records.is_empty() {
        records = Lines::new(text).records()?;
    }
    candidates(&records)
}

/// Sorts rows into replica status, log status and bare GTID sets.
pub(super) fn candidates(records: &[Record]) -> Result<Vec<Candidate>> {
    let (replicas, others): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.is_replica_status());
    let mut candidates = replica_status::candidates(&replicas);
    for record in others {
        if record.is_log_status() {
            candidates.push(log_status::candidate(record));
        } else if record.is_gtid_set() && candidates.is_empty() {
            let mut found = Found::new(Kind::Gtids, record.lines(), Whose::Unsaid);
            found
                .take_gtids(record.value("executed_gtid_set").unwrap_or_default(), *record.lines().start())?;
            candidates.extend(found.gtids.is_some().then(|| Candidate::of(found)));
        }
    }
    Ok(candidates)
}

/// Characters of the longest column name.
const LONGEST_NAME: usize = 64;

/// How a line names columns.
enum Heading<'a> {
    Boxed(Vec<&'a str>),
    Tabbed(Vec<&'a str>),
}

struct Lines<'a> {
    all: Vec<&'a str>,
    at: usize,
    records: Vec<Record>,
    /// The row of `\G` output that is being read.
    current: Record,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { all: text.lines().collect(), at: 0, records: Vec::new(), current: Record::default() }
    }

    fn records(mut self) -> Result<Vec<Record>> {
        while let Some(line) = self.next() {
            match heading(line) {
                Some(Heading::Boxed(names)) => {
                    self.end_row();
                    self.boxed(&names)?;
                }
                Some(Heading::Tabbed(names)) => {
                    self.end_row();
                    self.tabbed(&names)?;
                }
                None => self.vertical(line),
            }
        }
        self.end_row();
        Ok(self.records)
    }

    fn next(&mut self) -> Option<&'a str> {
        let line = self.all.get(self.at).copied()?;
        self.at += 1;
        Some(line)
    }

    fn end_row(&mut self) {
        if !self.current.is_empty() {
            self.records.push(std::mem::take(&mut self.current));
        }
    }

    /// `Name: value`, usually one per line; a row of stars or a name that comes again begins the next row.
    fn vertical(&mut self, line: &str) {
        let line = line.trim();
        if line.starts_with("***") {
            return self.end_row();
        }
        let mut rest = named(line);
        if rest.is_none() {
            self.current.extend_gtids(line);
        }
        while let Some((name, value)) = rest {
            if column(name).is_some_and(|name| !self.current.may_have(name)) {
                self.end_row();
            }
            let next = next_name(value);
            let (value, more) = value.split_at(next.unwrap_or(value.len()));
            // A comma at the end of a line belongs to the value: its GTID set goes on.
            let ends: &[char] = if next.is_some() { &[',', ';'] } else { &['|'] };
            self.current.add(name, value.trim().trim_end_matches(ends), self.at);
            rest = named(more);
        }
    }

    /// Rows between lines of `+---+`; a GTID set of several lines breaks its row into several.
    fn boxed(&mut self, names: &[&str]) -> Result<()> {
        while let Some(line) = self.all.get(self.at).map(|line| line.trim()) {
            if line.starts_with('+') {
                self.at += 1;
                continue;
            }
            if !line.starts_with('|') || heading(line).is_some() {
                break;
            }
            self.at += 1;
            let first = self.at;
            let mut row = line.to_owned();
            while let Some(more) = self.all.get(self.at).map(|line| line.trim())
                && !row.ends_with('|')
                && !more.starts_with(['|', '+'])
            {
                row.push_str(more);
                self.at += 1;
            }
            self.row(names, &inner_cells(&row), first)?;
        }
        Ok(())
    }

    /// Rows of values with tabs between them, until a line that has none.
    fn tabbed(&mut self, names: &[&str]) -> Result<()> {
        while let Some(line) = self.all.get(self.at).copied().filter(|line| line.contains('\t')) {
            if heading(line).is_some() {
                break;
            }
            self.at += 1;
            let first = self.at;
            let mut row = line.trim_end_matches('\r').to_owned();
            while row.ends_with(',')
                && let Some(more) = self.all.get(self.at)
            {
                row.push_str(more.trim_end_matches('\r'));
                self.at += 1;
            }
            self.row(names, &row.split('\t').collect::<Vec<_>>(), first)?;
        }
        Ok(())
    }

    fn row(&mut self, names: &[&str], cells: &[&str], line: usize) -> Result<()> {
        if names.len() != cells.len() {
            bail!(
                Position,
                "line {line} has {} values, its heading {}: print the status with \\G instead",
                cells.len(),
                names.len()
            );
        }
        let mut record = Record::default();
        for (name, cell) in names.iter().zip(cells) {
            record.add(name, cell, line);
        }
        self.records.push(record);
        Ok(())
    }
}

/// A known name and what stands behind its separator, which every client chooses otherwise.
fn named(line: &str) -> Option<(&str, &str)> {
    line.split_once([':', '=', '|', '\t']).filter(|(name, _)| column(name).is_some())
}

/// Where in a value the next name begins, as in a note that has all on one line.
fn next_name(value: &str) -> Option<usize> {
    value.match_indices([':', '=']).find_map(|(end, _)| {
        // Names are short: looking further back would make a long GTID set slow to read.
        let from = end.saturating_sub(LONGEST_NAME);
        let before = value.as_bytes().get(from..end)?.iter().rposition(|byte| b" ,;".contains(byte))?;
        let start = from + before + 1;
        value.get(start..end).filter(|name| column(name).is_some()).map(|_| start)
    })
}

fn heading(line: &str) -> Option<Heading<'_>> {
    let known = |cells: &[&str]| cells.iter().filter(|name| column(name).is_some()).count();
    let trimmed = line.trim();
    if trimmed.starts_with('|') {
        let cells = inner_cells(trimmed);
        let enough = known(&cells) >= 2 || (cells.len() == 1 && known(&cells) == 1);
        return enough.then_some(Heading::Boxed(cells));
    }
    let cells: Vec<_> = line.trim_end_matches('\r').split('\t').collect();
    (cells.len() >= 2 && known(&cells) >= 2).then_some(Heading::Tabbed(cells))
}

fn inner_cells(line: &str) -> Vec<&str> {
    let line = line.strip_prefix('|').unwrap_or(line);
    line.strip_suffix('|').unwrap_or(line).split('|').map(str::trim).collect()
}
