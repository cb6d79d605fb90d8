//! A batch as the text of one packet.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::binlog::{Header, RowUpdate, RowsEvent};
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
    /// Events that are not text yet: the last one's flags may still change.
    events: Vec<u8>,
    planner: Planner,
}

/// From here on events become text: a large batch is not held a second time.
const ENCODE_FROM: usize = 48 * 1024;

/// Where a rows event's flags stand: after the header and the six bytes of the table id.
const ROWS_FLAGS_AT: usize = Header::LEN + 6;

impl Encoder {
    /// Lends a buffer for the events of one batch.
    pub(super) fn borrow(&mut self, buffer: Vec<u8>) {
        self.events = buffer;
    }

    /// Gives it back.
    pub(super) fn give_back(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.events)
    }

    /// Adds the changes to a packet: runs of rows events as `BINLOG`, statements with their context. `record` goes behind
    /// changes that are row events alone.
    pub fn changes<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
        record: Option<&RowUpdate>,
        packet: &mut Packet,
    ) {
        let mut run = Run::default();
        for change in changes {
            match change {
                Change::Rows(rows) => self.row(rows, &mut run, packet),
                Change::Statement(statement) => {
                    self.end_statement(&mut run);
                    self.statement(statement, &mut run, packet);
                }
            }
        }
        self.end_statement(&mut run);
        if let Some(record) = record {
            record.append(&mut self.events);
        }
        self.end_binlog(&mut run, packet);
    }

    /// Adds the net effect of the changes to a packet. `keys` knows the keys of the target's tables. `record` goes behind
    /// changes that are row events alone, into their last statement. Returns how many rows are changed.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub fn net_changes<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change> + Clone,
        keys: impl Fn(&Arc<Routed>) -> Option<Arc<TableKeys>>,
        record: Option<&RowUpdate>,
        packet: &mut Packet,
    ) -> Result<usize> {
        let plan = self.planner.plan(changes, keys)?;
        let mut run = Run::default();
        let count = plan.items().len();
        for (number, item) in (1..).zip(plan.items()) {
            match item {
                Item::Statement(statement) => self.statement(statement, &mut run, packet),
                Item::Rows(rows) => {
                    plan.encode(rows.clone(), record.filter(|_| number == count), &mut self.events);
                }
            }
        }
        if let (0, Some(record)) = (count, record) {
            record.append(&mut self.events);
        }
        self.end_binlog(&mut run, packet);
        Ok(plan.rows())
    }

    /// Adds a statement with its context, after the row events so far.
    fn statement(&mut self, statement: &StatementChange, run: &mut Run, packet: &mut Packet) {
        self.end_binlog(run, packet);
        packet.separate();
        packet.replies += self.context.enter(statement, &mut packet.sql);
        packet.sql.extend_from_slice(&statement.query.sql);
        packet.replies += 1;
    }

    /// The statement that shows a session the source's format, without which it takes no row events.
    pub fn format(format: &Format, packet: &mut Packet) {
        let text = STANDARD.encode(&format.0);
        // A transaction before it may have had a GTID of its own, which is used up.
        packet.push("SET gtid_next = 'AUTOMATIC'");
        packet.push(&format!("BINLOG '{text}'"));
        // The format description leaves gtid_next undetermined (sql/log_event.cc).
        packet.push("SET gtid_next = 'AUTOMATIC'");
    }

    /// Events of one table that follow one another share a table map; the last of such a run ends the statement, so
    /// that a run is complete in itself whatever the filters passed over.
    fn row(&mut self, rows: &RowsChange, run: &mut Run, packet: &mut Packet) {
        if self.events.len() >= ENCODE_FROM {
            self.encode(run.last_at / 3 * 3, run, packet);
        }
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

    fn end_binlog(&mut self, run: &mut Run, packet: &mut Packet) {
        if self.events.is_empty() {
            return;
        }
        self.encode(self.events.len(), run, packet);
        run.begun = false;
        packet.sql.push(b'\'');
        packet.replies += 1;
        self.context.rows_were_applied();
    }

    /// Moves the first `count` bytes of the events into the `BINLOG` statement, as text; only the last part of it may be of
    /// a length that three does not divide.
    fn encode(&mut self, count: usize, run: &mut Run, packet: &mut Packet) {
        if !std::mem::replace(&mut run.begun, true) {
            packet.separate();
            packet.sql.extend_from_slice(b"BINLOG '");
        }
        let at = packet.sql.len();
        packet.sql.resize(at + count.div_ceil(3) * 4, 0);
        let target = packet.sql.get_mut(at..).unwrap_or_default();
        let events = self.events.get(..count).unwrap_or_default();
        let written = STANDARD.encode_slice(events, target).unwrap_or(0);
        packet.sql.truncate(at + written);
        self.events.drain(..count);
        run.last_at = run.last_at.saturating_sub(count);
    }
}

/// Rows events of one table that follow one another.
#[derive(Debug, Default)]
struct Run {
    table: Option<Arc<Routed>>,
    flags: u16,
    /// Where the last event begins in the encoder's buffer.
    last_at: usize,
    /// Whether the statement's text has begun.
    begun: bool,
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::binlog::{Body, Decoder, kind};
    use crate::transaction::{Routes, Rules};
    use bytes::Bytes;

    /// The rows events of a recorded file, over and over until there are `bytes` of them.
    fn recorded(name: &str, bytes: usize) -> Vec<Change> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures").join(name);
        let mut rest = Bytes::from(std::fs::read(path).unwrap()).slice(4..);
        let (mut decoder, mut routes, mut changes) =
            (Decoder::new(true), Routes::new(Rules::default()), Vec::new());
        while !rest.is_empty() {
            let size = Header::parse(&rest).unwrap().event_size;
            let event = decoder.decode(rest.split_to(usize::try_from(size).unwrap())).unwrap();
            if let Body::Rows(rows) = event.body {
                let table = routes.route(&rows.table).unwrap().unwrap();
                changes.push(Change::Rows(RowsChange { table, event: rows, bytes: event.bytes, rows: 1 }));
            }
        }
        let mut held = 0;
        let all = changes.iter().cycle().take_while(|change| {
            let Change::Rows(rows) = change else { return true };
            held += rows.bytes.len();
            held < bytes
        });
        all.cloned().collect()
    }

    fn events(packet: &Packet) -> Vec<Vec<u8>> {
        let text = packet.sql.strip_prefix(b"BINLOG '").unwrap().strip_suffix(b"'").unwrap();
        let mut bytes = STANDARD.decode(text).unwrap();
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let size = u32::from_le_bytes(bytes[9..13].try_into().unwrap());
            let rest = bytes.split_off(usize::try_from(size).unwrap());
            events.push(std::mem::replace(&mut bytes, rest));
        }
        events
    }

    #[test]
    fn a_batch_larger_than_the_buffer_is_one_statement_whose_runs_all_end() {
        let changes = recorded("types.binlog", 5 * ENCODE_FROM);
        let mut packet = Packet::default();
        Encoder::default().changes(changes.iter(), None, &mut packet);
        assert_eq!(packet.replies, 1);
        let events = events(&packet);
        let rows: Vec<&Vec<u8>> = events.iter().filter(|event| event[4] != kind::TABLE_MAP).collect();
        assert_eq!(rows.len(), changes.len());
        for (sent, change) in rows.iter().zip(&changes) {
            let Change::Rows(change) = change else { unreachable!() };
            assert_eq!(sent[ROWS_FLAGS_AT + 2..], change.bytes[ROWS_FLAGS_AT + 2..]);
        }
        for pair in events.windows(2) {
            let ends = pair[1][4] == kind::TABLE_MAP && pair[0][4] != kind::TABLE_MAP;
            assert_eq!(pair[0][4] != kind::TABLE_MAP && pair[0][ROWS_FLAGS_AT] & 1 == 1, ends);
        }
        assert_eq!(events.last().unwrap()[ROWS_FLAGS_AT] & 1, 1);
    }
}
