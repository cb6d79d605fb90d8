//! Values with commas or semicolons between them, as programs export them (RFC 4180).

use super::records::{Record, column};
use crate::bail;
use crate::error::Result;

/// The rows of a text whose first line names columns that are known; none if it does not.
pub(super) fn records(text: &str) -> Result<Vec<Record>> {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let separator = if first.matches(';').count() > first.matches(',').count() { ';' } else { ',' };
    let head = rows(first, separator).into_iter().next().map(|row| row.cells).unwrap_or_default();
    if head.iter().filter(|name| column(name).is_some()).count() < 2 {
        return Ok(Vec::new());
    }
    let mut records = Vec::new();
    for row in rows(text, separator).into_iter().skip(1) {
        // A row that is cut short must not pass for one whose last columns are empty.
        if row.cells.len() != head.len() {
            bail!(Position, "line {} has {} values, the heading {}", row.line, row.cells.len(), head.len());
        }
        let mut record = Record::default();
        for (name, cell) in head.iter().zip(&row.cells) {
            record.add(name, cell, row.line);
        }
        records.push(record);
    }
    Ok(records)
}

struct Row {
    cells: Vec<String>,
    line: usize,
}

fn rows(text: &str, separator: char) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut cells, mut cell, mut quoted, mut line, mut start) = (Vec::new(), String::new(), false, 1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        line += usize::from(c == '\n');
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            _ if quoted => cell.push(c),
            _ if c == separator => cells.push(std::mem::take(&mut cell)),
            '\r' => {}
            '\n' => {
                cells.push(std::mem::take(&mut cell));
                rows.push(Row { cells: std::mem::take(&mut cells), line: start });
                start = line;
            }
            _ => cell.push(c),
        }
    }
    if !cell.is_empty() || !cells.is_empty() {
        cells.push(cell);
        rows.push(Row { cells, line: start });
    }
    rows.retain(|row| row.cells.iter().any(|cell| !cell.trim().is_empty()));
    rows
}
