//! A batch as the text of one packet.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::binlog::{Header, RowsEvent};
use crate::error::Result;
use crate::schedule::{Item, Planner, TableKeys};
use crate::transaction::{Change, Format, Routed, RowsChange, StatementChange};

use super::SessionContext;

/// Statements for the server, as one text, and how many answers they bring.
#[derive(Debug, Default)]
pub struct Packet {
    /// The statements, separated by `;`.
    pub sql: Vec<u8>,
    /// How many statements.
    pub replies: usize,
}

impl Packet {
    /// Adds one statement.
    pub fn push(&mut self, statement: &str) {
        self.push_bytes(statement.as_bytes());
    }

    fn push_bytes(&mut self, statement: &[u8]) {
        self.separate();
        self.sql.extend_from_slice(statement);
        self.replies += 1;
    }

    /// A statement may end in a comment that runs to the end of its line.
    fn separate(&mut self) {
        if !self.sql.is_empty() {
            self.sql.extend_from_slice(b"\n;");
        }
    }
}

/// Turns changes into statements. Keeps buffers and what the session's variables are known to be.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What the session's variables will be once everything encoded so far has run.
    pub context: SessionContext,
    events: Vec<u8>,
    planner: Planner,
}

/// Where a rows event's flags stand: after the header and the six bytes of the table id.
const ROWS_FLAGS_AT: usize = Header::LEN + 6;

impl Encoder {
    /// Adds the changes to a packet: runs of rows events as `BINLOG`, statements with their context.
    pub fn changes<'a>(&mut self, changes: impl Iterator<Item = &'a Change>, packet: &mut Packet) {
        let mut run = Run::default();
        for change in changes {
            match change {
                Change::Rows(rows) => self.row(rows, &mut run),
                Change::Statement(statement) => {
                    self.end_statement(&mut run);
                    self.statement(statement, packet);
                }
            }
        }
        self.end_statement(&mut run);
        self.end_binlog(packet);
    }

    /// Adds the net effect of the changes to a packet. `keys` knows the keys of the target's tables. Returns how many rows
    /// are changed.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub fn net_changes<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change> + Clone,
        keys: impl Fn(&Arc<Routed>) -> Option<Arc<TableKeys>>,
        packet: &mut Packet,
    ) -> Result<usize> {
        let plan = self.planner.plan(changes, keys)?;
        for item in plan.items() {
            match item {
                Item::Statement(statement) => self.statement(statement, packet),
                Item::Rows(rows) => plan.encode(rows.clone(), &mut self.events),
            }
        }
        self.end_binlog(packet);
        Ok(plan.rows())
    }

    /// Adds a statement with its context, after the row events so far.
    fn statement(&mut self, statement: &StatementChange, packet: &mut Packet) {
        self.end_binlog(packet);
        packet.separate();
        packet.replies += self.context.enter(statement, &mut packet.sql);
        packet.sql.extend_from_slice(&statement.query.sql);
        packet.replies += 1;
    }

    /// The statement that shows a session the source's format, without which it takes no row events.
    pub fn format(format: &Format, packet: &mut Packet) {
        let text = STANDARD.encode(&format.0);
        packet.push(&format!("BINLOG '{text}'"));
        // The format description leaves gtid_next undetermined (sql/log_event.cc).
        packet.push("SET gtid_next = 'AUTOMATIC'");
    }

    /// Events of one table that follow one another share a table map; the last of such a run ends the statement, so
    /// that a run is complete in itself whatever the filters passed over.
    fn row(&mut self, rows: &RowsChange, run: &mut Run) {
        let kept_flags = rows.event.flags & !RowsEvent::STMT_END;
        let same = run.table.as_ref().is_some_and(|table| Arc::ptr_eq(table, &rows.table))
            && run.flags == kept_flags;
        if !same {
            self.end_statement(run);
            append_event(&mut self.events, &rows.table.event);
            run.table = Some(Arc::clone(&rows.table));
            run.flags = kept_flags;
        }
        run.last_at = append_event(&mut self.events, &rows.bytes);
        self.set_stmt_end(run.last_at, false);
    }

    fn end_statement(&mut self, run: &mut Run) {
        if run.table.take().is_some() {
            self.set_stmt_end(run.last_at, true);
        }
    }

    fn set_stmt_end(&mut self, event_at: usize, on: bool) {
        let low = u8::try_from(RowsEvent::STMT_END).unwrap_or(1);
        if let Some(flags) = self.events.get_mut(event_at + ROWS_FLAGS_AT) {
            *flags = if on { *flags | low } else { *flags & !low };
        }
    }

    fn end_binlog(&mut self, packet: &mut Packet) {
        if self.events.is_empty() {
            return;
        }
        packet.separate();
        packet.sql.extend_from_slice(b"BINLOG '");
        let at = packet.sql.len();
        let length = self.events.len().div_ceil(3) * 4;
        packet.sql.resize(at + length, 0);
        let written =
            packet.sql.get_mut(at..).and_then(|target| STANDARD.encode_slice(&self.events, target).ok());
        packet.sql.truncate(at + written.unwrap_or(0));
        packet.sql.push(b'\'');
        packet.replies += 1;
        self.events.clear();
        self.context.rows_were_applied();
    }
}

/// Rows events of one table that follow one another.
#[derive(Debug, Default)]
struct Run {
    table: Option<Arc<Routed>>,
    flags: u16,
    last_at: usize,
}

/// Appends an event whose checksum is gone: its header must say its new size. Returns where it begins.
fn append_event(events: &mut Vec<u8>, event: &[u8]) -> usize {
    /// Where the header holds the event's size.
    const SIZE_AT: usize = 9;
    let at = events.len();
    events.extend_from_slice(event);
    let size = u32::try_from(event.len()).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(field) = events.get_mut(at + SIZE_AT..at + SIZE_AT + 4) {
        field.copy_from_slice(&size);
    }
    at
}
