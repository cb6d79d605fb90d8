//! A batch's changes in a packet: as they came, or their net effect.

use std::sync::Arc;

use tokio::time::Instant;

use crate::binlog::RowUpdate;
use crate::error::Result;
use crate::observe::Stage;
use crate::transaction::{Change, Routed};

use super::send::changes;
use super::{Batch, Packet, Worker};

impl Worker {
    /// Adds the changes of a batch to its packet. The tables are known to fit.
    pub(super) async fn encode(
        &mut self,
        batch: &Batch,
        record: Option<&RowUpdate>,
        packet: &mut Packet,
    ) -> Result<()> {
        let began = Instant::now();
        self.encode_changes(batch, record, packet).await?;
        self.observer.stage(Stage::Encode, began.elapsed());
        Ok(())
    }

    async fn encode_changes(
        &mut self,
        batch: &Batch,
        record: Option<&RowUpdate>,
        packet: &mut Packet,
    ) -> Result<()> {
        let all = batch.jobs.iter().flat_map(|job| changes(&job.transaction.body));
        let buffers = self.pipeline.buffers.clone();
        let encoder = &mut self.pipeline.session.encoder;
        if !self.settings.merge || batch.plain {
            encoder.changes(all, record, packet);
            return Ok(());
        }
        let keys = self.desk.lock().await.keys(all.clone().filter_map(Change::table)).await?;
        let known = |table: &Arc<Routed>| keys.get(&Arc::as_ptr(table).addr()).cloned();
        encoder.borrow(buffers.take());
        let done = encoder.net_changes(all, known, record, packet);
        buffers.give(encoder.give_back());
        done.map(|_| ())
    }
}
