//! Puts events together into transactions. Pure: no IO, no clock.

use std::sync::Arc;

use bytes::Bytes;

use crate::bail;
use crate::binlog::UpdatedDatabases;
use crate::binlog::{Body as EventBody, Event, FormatDescription, IntVarKind, QueryEvent};
use crate::control::Target;
use crate::error::{Code, Result};
use crate::position::Coordinates;
use crate::progress::Seq;
use crate::source::Located;

use super::open::{At, Head, Open, Size};
use super::statement::{self, Boundary, Judgement};
use super::weigh::{ENVELOPE, PER_ROW, count_rows, statement_size};
use super::{
    Body, Change, Clock, Context, Format, NameCase, Routes, RowsChange, StatementChange, Transaction, Unit,
    Xid,
};

/// How much of a transaction is held.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of events from which a transaction goes ahead in pieces.
    pub piece: usize,
    /// Bytes of events that a prepared XA transaction may hold: its rows must wait for its end.
    pub prepared: usize,
}

/// What the assembler waits for.
#[derive(Debug)]
pub(super) enum Await {
    /// A transaction's first event. Set at the start and after each end of a transaction.
    Start,
    /// `BEGIN` or a statement that commits by itself. Set by a GTID event.
    Begin(Head),
    /// A change or the end of the transaction. Set by `BEGIN`.
    Change(Box<Open>),
}

/// Puts events together into transactions.
#[derive(Debug)]
pub struct Assembler {
    pub(super) state: Await,
    routes: Routes,
    pub(super) limits: Limits,
    pub(super) next: Seq,
    resume: Option<Coordinates>,
    pub(super) format: Arc<Format>,
    /// The source begins every transaction with a GTID event, be it an anonymous one: MySQL from 5.7.6 on.
    gtid_events: bool,
    /// Context events before a statement that has no `BEGIN`.
    loose: Context,
    filtered: u64,
    /// Transactions of which nothing will be applied.
    pub(super) skipped: Vec<Target>,
    /// Where the transaction begins that has begun; for errors, which find `state` taken.
    began: Option<Coordinates>,
    /// A file that the source went on to, and of which no transaction has come yet.
    entered: Option<Arc<str>>,
    /// Memory for the ends of an event's rows.
    ends: Vec<u32>,
}

/// More images than a rows event has that is as large as the server makes them by itself.
const MOST_IMAGES: usize = 4096;

impl Assembler {
    /// An assembler whose first transaction follows `last`.
    pub fn new(routes: Routes, limits: Limits, last: Seq, resume: Option<Coordinates>) -> Self {
        Self {
            state: Await::Start,
            routes,
            limits,
            next: last.next(),
            resume,
            format: Arc::new(Format(Bytes::new())),
            gtid_events: false,
            loose: Context::default(),
            filtered: 0,
            skipped: Vec::new(),
            began: None,
            entered: None,
            ends: Vec::with_capacity(MOST_IMAGES),
        }
    }

    /// Of these transactions nothing will be applied: what cannot be applied safely is no error in them.
    pub fn skip(&mut self, targets: Vec<Target>) {
        self.skipped = targets;
    }

    /// Whether the source tells names apart by their case.
    pub fn learn_source_case(&mut self, case: NameCase) {
        self.routes.learn_source_case(case);
    }

    /// The place after the last whole transaction: where a new stream must begin.
    pub fn resume(&self) -> Option<&Coordinates> {
        self.resume.as_ref()
    }

    /// The number of the transaction that comes next.
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    /// Changes that the rules passed over, since the last call.
    pub fn take_filtered(&mut self) -> u64 {
        std::mem::take(&mut self.filtered)
    }

    /// The stream broke off. What is open is forgotten; if parts of it went ahead, says so.
    pub fn interrupt(&mut self) -> Option<Unit> {
        self.loose = Context::default();
        self.began = None;
        match std::mem::replace(&mut self.state, Await::Start) {
            Await::Change(open) if open.pieces > 0 => Some(Unit::Abandoned(self.next)),
            _ => None,
        }
    }

    /// Takes one event; gives what it completes.
    ///
    /// # Errors
    /// `BB32xx` with the place, for whatever must not be passed over.
    pub fn push(&mut self, located: Located) -> Result<Option<Unit>> {
        let Located { event, file, start, end } = located;
        let at = At { file: &file, start, end };
        self.take(event, at).map_err(|error| {
            let error = error.context(format!("at {}", at.start()));
            match &self.began {
                Some(began) => error.context(format!("transaction {} at {began}", self.next)),
                None => error,
            }
        })
    }

    fn take(&mut self, event: Event, at: At<'_>) -> Result<Option<Unit>> {
        match &event.body {
            EventBody::Gtid(_) | EventBody::Query(_) => self.take_boundary(event, at),
            EventBody::Xid(_) => self.commit(at.end()),
            EventBody::XaPrepare(prepare) => self.prepare(prepare.one_phase, at.end()),
            EventBody::Rows(_) => self.take_rows(event),
            EventBody::IntVar { .. } | EventBody::Rand { .. } | EventBody::UserVar(_) => {
                self.note_context(&event);
                Ok(None)
            }
            EventBody::FormatDescription(format) => Ok(self.new_format(format)),
            EventBody::Rotate { file, offset, artificial } => {
                Ok(self.rotate(Coordinates { file: Arc::clone(file), offset: *offset }, *artificial))
            }
            EventBody::PreviousGtids(_) => Ok(self.head_of_file(at.end())),
            EventBody::Incident(incident) => Err(incident.error()),
            EventBody::BeginLoadQuery(_) | EventBody::AppendBlock(_) | EventBody::ExecuteLoadQuery(_) if matches!(&self.state, Await::Change(open) if open.head.is_one_of(&self.skipped)) => {
                Ok(None)
            }
            EventBody::BeginLoadQuery(_) | EventBody::AppendBlock(_) | EventBody::ExecuteLoadQuery(_) => {
                bail!(UnsafeStatement, "LOAD DATA in statement format cannot be applied")
            }
            _ => Ok(None),
        }
    }

    /// What a new file begins with is behind us: an idle source's end of log is there, and nowhere before it.
    fn head_of_file(&mut self, end: Coordinates) -> Option<Unit> {
        self.entered.take().filter(|entered| *entered == end.file).map(|_| Unit::Place(end))
    }

    fn take_boundary(&mut self, event: Event, at: At<'_>) -> Result<Option<Unit>> {
        self.entered = None;
        let timestamp = event.header.timestamp;
        match (event.body, std::mem::replace(&mut self.state, Await::Start)) {
            (EventBody::Gtid(gtid), Await::Start) => {
                self.began = Some(at.start());
                self.state = Await::Begin(Head { gtid: Some(gtid), start: at.start() });
                Ok(None)
            }
            (EventBody::Gtid(_), Await::Begin(head)) => {
                bail!(BadEvent, "a transaction without end began at {}", head.start)
            }
            (EventBody::Gtid(_), Await::Change(open)) => {
                bail!(BadEvent, "a transaction without end began at {}", open.head.start)
            }
            (EventBody::Query(query), Await::Start) => {
                self.require_start(&query)?;
                self.began = Some(at.start());
                self.first_statement(Head { gtid: None, start: at.start() }, query, timestamp, at)
            }
            (EventBody::Query(query), Await::Begin(head)) => self.first_statement(head, query, timestamp, at),
            (EventBody::Query(query), Await::Change(open)) => {
                self.inner_statement(open, query, timestamp, at)
            }
            _ => bail!(Invariant, "an event went to the wrong place"),
        }
    }

    /// Where each transaction has a GTID event, a statement without one stands inside a transaction: taken for one that
    /// commits by itself, it would be applied without what stands before it. (`BEGIN` still has all of its own behind
    /// it.)
    fn require_start(&self, query: &QueryEvent) -> Result<()> {
        if self.gtid_events && *query.sql != *b"BEGIN" && !query.sql.starts_with(b"XA START ") {
            bail!(BadEvent, "a statement outside a transaction (is the position inside one?)");
        }
        Ok(())
    }

    /// `BEGIN`, or a statement that commits by itself.
    fn first_statement(
        &mut self,
        head: Head,
        query: Box<QueryEvent>,
        timestamp: u32,
        at: At<'_>,
    ) -> Result<Option<Unit>> {
        let loose = std::mem::take(&mut self.loose);
        match statement::boundary(&query.sql)? {
            Boundary::Begin => self.open(head, None),
            Boundary::XaStart(xid) => self.open(head, Some(xid)),
            Boundary::XaCommit(xid) => {
                return Ok(Some(self.finish(
                    &head,
                    at.end(),
                    timestamp,
                    Body::Resolve(xid, true),
                    Size::default(),
                )));
            }
            Boundary::XaRollback(xid) => {
                return Ok(Some(self.finish(
                    &head,
                    at.end(),
                    timestamp,
                    Body::Resolve(xid, false),
                    Size::default(),
                )));
            }
            // A commit or rollback without a transaction: the source wrote nothing between.
            Boundary::Commit | Boundary::Rollback => {
                return Ok(Some(self.finish(
                    &head,
                    at.end(),
                    timestamp,
                    Body::Changes(Vec::new()),
                    Size::default(),
                )));
            }
            Boundary::XaEnd | Boundary::None => {
                let bytes = statement_size(&query);
                let body = match self.judge(&head, query, (timestamp, loose), true)? {
                    Some(statement) => Body::Ddl(statement),
                    None => Body::Changes(Vec::new()),
                };
                return Ok(Some(self.finish(
                    &head,
                    at.end(),
                    timestamp,
                    body,
                    Size { bytes, streamed: false },
                )));
            }
        }
        Ok(None)
    }

    fn open(&mut self, head: Head, xa: Option<Xid>) {
        let open = Open {
            head,
            xa,
            create: None,
            changes: Vec::new(),
            bytes: 0,
            pieces: 0,
            context: Context::default(),
        };
        self.state = Await::Change(Box::new(open));
    }

    fn inner_statement(
        &mut self,
        mut open: Box<Open>,
        query: Box<QueryEvent>,
        timestamp: u32,
        at: At<'_>,
    ) -> Result<Option<Unit>> {
        let mut ahead = None;
        match statement::boundary(&query.sql)? {
            Boundary::Commit => return Ok(Some(self.close(*open, at.end(), timestamp))),
            Boundary::Rollback => return self.roll_back(&open, at.end(), timestamp),
            Boundary::XaEnd => {}
            Boundary::Begin | Boundary::XaStart(_) | Boundary::XaCommit(_) | Boundary::XaRollback(_) => {
                bail!(BadEvent, "a transaction without end began at {}", open.head.start)
            }
            Boundary::None => {
                let context = std::mem::take(&mut open.context);
                let bytes = statement_size(&query);
                let create_select = statement::is_create_select(&query.sql);
                if let Some(statement) = self.judge(&open.head, query, (timestamp, context), false)? {
                    ahead = self.make_room(&mut open, bytes);
                    open.bytes += bytes;
                    if create_select {
                        open.create = Some(statement);
                    } else {
                        open.changes.push(Change::Statement(statement));
                    }
                }
            }
        }
        self.keep_open(open, ahead)
    }

    fn take_rows(&mut self, event: Event) -> Result<Option<Unit>> {
        let EventBody::Rows(mut rows) = event.body else { bail!(Invariant, "not a rows event") };
        let Await::Change(mut open) = std::mem::replace(&mut self.state, Await::Start) else {
            bail!(BadEvent, "a rows event outside a transaction (is the position inside one?)")
        };
        let count = count_rows(&mut rows, &mut self.ends)?;
        // What one odd event took is not kept for ever.
        self.ends.shrink_to(MOST_IMAGES);
        let mut ahead = None;
        let table = match self.routes.route(&rows.table) {
            Err(_) if open.head.is_one_of(&self.skipped) => None,
            routed => routed?,
        };
        match table {
            Some(table) => {
                // The table map before it, too, lies in the block of bytes that is held.
                let rows_cost = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(PER_ROW);
                let size = (event.bytes.len() + rows.table.bytes.len() + size_of::<Change>())
                    .saturating_add(rows_cost);
                ahead = self.make_room(&mut open, size);
                open.bytes += size;
                open.changes.push(Change::Rows(RowsChange {
                    table,
                    event: rows,
                    bytes: event.bytes,
                    rows: count,
                }));
            }
            None => self.filtered += 1,
        }
        self.keep_open(open, ahead)
    }

    fn judge(
        &mut self,
        head: &Head,
        mut query: Box<QueryEvent>,
        (timestamp, context): (u32, Context),
        standalone: bool,
    ) -> Result<Option<Box<StatementChange>>> {
        let judgement = match statement::judge(self.routes.rules(), &query, standalone) {
            Err(error) if error.code() == Code::UnsafeStatement && head.is_one_of(&self.skipped) => {
                return Ok(None);
            }
            judged => judged?,
        };
        match judgement {
            Judgement::Drop(_) => {
                self.filtered += 1;
                Ok(None)
            }
            Judgement::Keep { sql, database } => {
                query.sql = sql;
                query.database = database;
                // The names listed are the source's.
                if !self.routes.rules().is_plain() && query.status.updated_databases.is_some() {
                    query.status.updated_databases = Some(UpdatedDatabases::Many);
                }
                Ok(Some(Box::new(StatementChange { timestamp, query: *query, context })))
            }
        }
    }

    fn note_context(&mut self, event: &Event) {
        let context = match &mut self.state {
            Await::Change(open) => &mut open.context,
            _ => &mut self.loose,
        };
        match &event.body {
            EventBody::IntVar { kind: IntVarKind::LastInsertId, value } => {
                context.last_insert_id = Some(*value);
            }
            EventBody::IntVar { kind: IntVarKind::InsertId, value } => context.insert_id = Some(*value),
            EventBody::Rand { seed1, seed2 } => context.rand = Some((*seed1, *seed2)),
            EventBody::UserVar(variable) => context.user_vars.push(variable.clone()),
            _ => {}
        }
    }

    fn commit(&mut self, end: Coordinates) -> Result<Option<Unit>> {
        match std::mem::replace(&mut self.state, Await::Start) {
            Await::Change(open) => Ok(Some(self.close(*open, end, 0))),
            _ => bail!(BadEvent, "a commit outside a transaction (is the position inside one?)"),
        }
    }

    fn close(&mut self, open: Open, end: Coordinates, timestamp: u32) -> Unit {
        let body = match open.create {
            Some(create) => Body::CreateSelect(create, open.changes),
            None => Body::Changes(open.changes),
        };
        let size = Size { bytes: open.bytes, streamed: open.pieces > 0 };
        self.finish(&open.head, end, timestamp, body, size)
    }

    /// A logged `ROLLBACK` means that a table which cannot roll back was changed: the source kept that part.
    fn roll_back(&mut self, open: &Open, end: Coordinates, timestamp: u32) -> Result<Option<Unit>> {
        let lost = !open.changes.is_empty() || open.pieces > 0;
        if lost && !open.head.is_one_of(&self.skipped) {
            bail!(
                UnsafeStatement,
                "the transaction rolled back after changing a table that cannot roll back"
            );
        }
        let size = Size { bytes: 0, streamed: open.pieces > 0 };
        Ok(Some(self.finish(&open.head, end, timestamp, Body::Changes(Vec::new()), size)))
    }

    fn prepare(&mut self, one_phase: bool, end: Coordinates) -> Result<Option<Unit>> {
        match std::mem::replace(&mut self.state, Await::Start) {
            Await::Change(open) if one_phase => Ok(Some(self.close(*open, end, 0))),
            Await::Change(open) => {
                let Open { head, xa: Some(xid), changes, bytes, .. } = *open else {
                    bail!(BadEvent, "XA PREPARE of a transaction that did not begin with XA START")
                };
                Ok(Some(self.finish(
                    &head,
                    end,
                    0,
                    Body::Prepare(xid, changes),
                    Size { bytes, streamed: false },
                )))
            }
            _ => bail!(BadEvent, "XA PREPARE outside a transaction"),
        }
    }

    fn finish(&mut self, head: &Head, end: Coordinates, timestamp: u32, body: Body, size: Size) -> Unit {
        let Size { bytes, streamed } = size;
        let gtid = head.gtid.as_ref();
        let timestamp_us = (timestamp > 0).then_some(u64::from(timestamp) * 1_000_000);
        let transaction = Transaction {
            seq: self.next,
            gtid: gtid.and_then(|gtid| gtid.gtid.clone()),
            start: head.start.clone(),
            end: end.clone(),
            committed_us: head.committed_us().or(timestamp_us),
            clock: gtid.map_or(Clock::default(), |gtid| Clock {
                last_committed: gtid.last_committed,
                sequence_number: gtid.sequence_number,
            }),
            body,
            bytes: bytes + size_of::<Transaction>() + ENVELOPE,
            streamed,
            format: Arc::clone(&self.format),
        };
        self.next = self.next.next();
        self.resume = Some(end);
        self.state = Await::Start;
        self.began = None;
        Unit::Whole(transaction)
    }

    /// A new binlog file, or a new stream. A server that starts anew after a crash drops what was open.
    fn new_format(&mut self, format: &FormatDescription) -> Option<Unit> {
        self.gtid_events = format.version() >= (5, 7, 6) && !format.is_mariadb();
        let format = Format::of(format);
        if format != *self.format {
            self.format = Arc::new(format);
        }
        self.interrupt()
    }

    fn rotate(&mut self, to: Coordinates, artificial: bool) -> Option<Unit> {
        if artificial && self.resume.as_ref().is_some_and(|at| at.file == to.file) {
            return None;
        }
        // Between files nothing is open, so the new file's beginning is as good a place as the old one's end.
        let unit = self.interrupt();
        self.entered = (!artificial).then(|| Arc::clone(&to.file));
        self.resume = Some(to.clone());
        unit.or((!artificial).then_some(Unit::Place(to)))
    }
}
