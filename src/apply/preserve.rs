//! `gtid = "preserve"`: each source transaction is one target transaction of the same GTID.
//!
//! A GTID that the target has executed is never executed again: the server passes over every statement of such a
//! transaction. So the GTID itself is the record of it, and needs no guard: whoever sends it, and however late, it is
//! applied once. What the target has already (its own replication brought it) is passed over before it is sent; it
//! counts as applied. The progress rows follow in transactions of their own, behind those they speak of, now and then:
//! what a row does not say yet, `gtid_executed` does.
//!
//! What is left of the guard: nothing may run behind a transaction of its connection that failed. Mostly the open
//! transaction sees to that (error 1766); where a failure has rolled back everything (a deadlock), only the error itself
//! is left behind. `@@error_count` is of the statement before, which in the good case is a COMMIT.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use crate::bail;
use crate::clock::now_us;
use crate::error::Result;
use crate::failpoint;
use crate::position::{Coordinates, Gtid};

use super::pipeline::Load;
use super::{Batch, Gtids, Job, Packet, Worker};

/// Transactions that a worker's progress row may be behind: a restart asks for them again, to pass over them.
const BEHIND: usize = 256;
/// How long a progress row may be behind.
const LATE: Duration = Duration::from_secs(1);

/// What ends a transaction with an explicit GTID, so that the next statement may begin one of its own.
pub(super) const AUTOMATIC: &str = "SET gtid_next = 'AUTOMATIC'";

/// What a worker has sent since it last sent its progress row.
#[derive(Debug, Default)]
pub(super) struct Behind {
    transactions: usize,
    since: Option<Instant>,
}

impl Behind {
    pub(super) fn add(&mut self, transactions: usize) {
        self.transactions += transactions;
        self.since.get_or_insert_with(Instant::now);
    }

    /// When the row is to be sent though little has come.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + LATE)
    }

    fn is_due(&self) -> bool {
        self.transactions >= BEHIND || self.due().is_some_and(|due| due <= Instant::now())
    }
}

impl Worker {
    pub(super) fn preserves(&self) -> bool {
        self.settings.gtids == Gtids::Preserve
    }

    /// Whether a batch commits under the GTID that its transaction has on the source.
    pub(super) fn keeps_gtid(&self, batch: &Batch) -> bool {
        // A statement that commits by itself has used its GTID; the rows of a `CREATE TABLE ... SELECT` have it.
        self.preserves() && !batch.gtid_used
    }

    /// Begins a packet: the guard, or the GTID that needs none.
    pub(super) fn open_packet(&self, gtid: Option<&Gtid>, packet: &mut Packet) {
        let next = |gtid: &dyn Display| format!("SET gtid_next = IF(@@error_count = 0, '{gtid}', '?')");
        match gtid {
            Some(gtid) if self.preserves() => packet.push(&next(gtid)),
            _ => {
                if self.preserves() {
                    packet.push(&next(&"AUTOMATIC"));
                }
                packet.push(&self.settings.tables.guard(self.id, self.fence, self.last_sent));
            }
        }
    }

    /// Sends the progress row, if it is far enough behind.
    pub(super) async fn follow(&mut self) -> Result<()> {
        if self.behind.is_due() { self.record_behind().await } else { Ok(()) }
    }

    /// Sends the progress row, if it is behind.
    pub(super) async fn record_behind(&mut self) -> Result<()> {
        if self.behind.since.is_some() { self.record().await } else { Ok(()) }
    }

    /// Sends the progress row in a transaction of its own. What is in flight before it on this connection is committed
    /// if it is.
    pub(super) async fn record(&mut self) -> Result<()> {
        let mut frontier = self.applied.lock().clone();
        let mut last = self.newest;
        for done in self.pipeline.batches().flat_map(|batch| &batch.jobs).flat_map(Job::done) {
            last = done.seq;
            frontier.complete(done)?;
        }
        let mut packet = self.pipeline.packet();
        self.open_packet(None, &mut packet);
        let row = (self.id, self.fence, self.last_sent);
        packet.push(&self.settings.tables.record(row, last, &frontier, now_us()));
        packet.push("COMMIT");
        self.last_sent = last;
        self.behind = Behind::default();
        self.pipeline.send(packet, Load::Row(last)).await
    }

    /// Sends the first transaction of a batch as a packet of its own, and leaves the rest to be sent after it.
    pub(super) async fn send_one(&mut self, mut batch: Batch) -> Result<()> {
        let rest = batch.split_off(1.min(batch.jobs.len()));
        if !rest.is_empty() {
            self.queue.push_front(rest);
        }
        let Some(job) = batch.jobs.first() else { return Ok(()) };
        self.show_format(&job.transaction.format.clone()).await?;
        let mut packet = self.pipeline.packet();
        if let Some(prepared) = job.prepared.as_ref().and_then(|done| done.gtid.as_ref()) {
            // XA PREPARE and XA COMMIT are two transactions on the source. Its changes go with the second.
            self.open_packet(Some(prepared), &mut packet);
            packet.push("COMMIT");
        }
        let gtid = job.transaction.gtid.as_ref().filter(|_| self.keeps_gtid(&batch));
        self.open_packet(gtid, &mut packet);
        self.encode(&batch, None, &mut packet).await?;
        if !self.fits(&packet) {
            return self.too_large_for_one(&batch, packet.sql.len()).await;
        }
        self.end_packet(&batch, &mut packet)?;
        failpoint::hit("apply.before_send");
        self.pipeline.send(packet, Load::Batch(batch)).await?;
        failpoint::hit("apply.after_send");
        self.follow().await
    }
}

/// # Errors
/// `BB3105` for a transaction that has no GTID to keep.
pub(super) fn require_gtid(gtid: Option<&Gtid>, start: &Coordinates) -> Result<()> {
    if gtid.is_none() {
        bail!(
            SourceSettings,
            "the transaction at {start} has no GTID to preserve: apply.gtid = \"preserve\" needs gtid_mode = ON on the source"
        );
    }
    Ok(())
}
