//! A batch's changes in a packet: as they came, or their net effect.

use std::sync::Arc;

use crate::error::Result;
use crate::transaction::{Change, Routed};

use super::send::changes;
use super::{Batch, Packet, Worker};

impl Worker {
    /// Adds the changes of a batch to its packet. The tables are known to fit.
    pub(super) async fn encode(&mut self, batch: &Batch, packet: &mut Packet) -> Result<()> {
        let all = batch.jobs.iter().flat_map(|job| changes(&job.transaction.body));
        let buffers = self.pipeline.buffers.clone();
        let encoder = &mut self.pipeline.session.encoder;
        if !self.settings.merge || batch.plain {
            encoder.changes(all, packet);
            return Ok(());
        }
        let keys = self.desk.lock().await.keys(all.clone().filter_map(Change::table)).await?;
        let known = |table: &Arc<Routed>| keys.get(&Arc::as_ptr(table).addr()).cloned();
        encoder.borrow(buffers.take());
        let done = encoder.net_changes(all, known, packet);
        buffers.give(encoder.give_back());
        done.map(|_| ())
    }
}
