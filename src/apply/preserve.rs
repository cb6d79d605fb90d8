//! `gtid = "preserve"`: each source transaction is one target transaction of the same GTID.
//!
//! A GTID that the target has executed is never executed again: the server passes over every statement of such a
//! transaction, the guard and the progress row included. So what the target has already (its own replication brought
//! it) is passed over before it is sent; it counts as applied.

use crate::bail;
use crate::error::Result;
use crate::failpoint;
use crate::position::{Coordinates, Gtid};

use super::pipeline::Load;
use super::{Batch, Gtids, Packet, Worker};

/// What ends a transaction with an explicit GTID, so that the next statement may begin one of its own.
pub(super) const AUTOMATIC: &str = "SET gtid_next = 'AUTOMATIC'";

impl Worker {
    pub(super) fn preserves(&self) -> bool {
        self.settings.gtids == Gtids::Preserve
    }

    /// Begins a packet: whose GTID its transaction has, and the guard. A transaction left open by a failed packet before
    /// it is refused here already (error 1766).
    pub(super) fn open_packet(&self, gtid: Option<&Gtid>, packet: &mut Packet) {
        if self.preserves() {
            match gtid {
                Some(gtid) => packet.push(&format!("SET gtid_next = '{gtid}'")),
                None => packet.push(AUTOMATIC),
            }
        }
        packet.push(&self.settings.tables.guard(self.id, self.fence, self.last_sent));
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
        // A statement that commits by itself has used its GTID; the rows of a `CREATE TABLE ... SELECT` have it.
        let gtid = job.transaction.gtid.as_ref().filter(|_| !batch.gtid_used);
        self.open_packet(gtid, &mut packet);
        self.encode(&batch, &mut packet).await?;
        if !self.fits(&packet) {
            return self.too_large_for_one(&batch, packet.sql.len()).await;
        }
        self.end_packet(&batch, &mut packet)?;
        failpoint::hit("apply.before_send");
        self.pipeline.send(packet, Load::Batch(batch)).await?;
        failpoint::hit("apply.after_send");
        Ok(())
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
