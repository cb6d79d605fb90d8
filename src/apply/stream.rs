//! Large transactions: sent in pieces as they arrive, inside one target transaction, so that memory does not grow with
//! their size.
//!
//! The first piece carries the guard; each piece leaves a mark in a session variable, and the next refuses to run
//! without it. Pieces are not kept: if one fails for a passing reason, the whole is read again from the source.

use crate::bail;
use crate::error::{Code, Error, Result, ServerError};
use crate::failpoint;
use crate::position::{Coordinates, Gtid};
use crate::progress::{Seq, part_guard, part_mark};
use crate::transaction::Piece;
use crate::wire::classify;

use super::failure::{conflict, refused};
use super::pipeline::Load;
use super::send::changes;
use super::tally::Tally;
use super::{Batch, Job, Packet, Share, Worker};

/// The large transaction whose pieces are being sent.
#[derive(Debug)]
pub(super) struct Streaming {
    seq: Seq,
    start: Coordinates,
    /// Different at each attempt, so that a mark of an earlier one is not taken for this one's.
    attempt: u32,
    parts: u32,
    /// Of the source; none if its first statement, which commits by itself, has used it.
    gtid: Option<Gtid>,
    /// What its pieces hold, for the count at its commit.
    pub(super) tally: Tally,
}

impl Streaming {
    fn mark(&self) -> String {
        format!("{}.{}.{}", self.seq, self.attempt, self.parts)
    }
}

impl Worker {
    /// Sends a piece. The caller has flushed the pipeline before the first.
    pub(super) async fn stream_piece(&mut self, mut piece: Piece, share: Option<Share>) -> Result<()> {
        if piece.index == 0 {
            let start = piece.start.clone();
            let gtid = piece.gtid.clone();
            let attempt = fastrand::u32(..);
            self.streaming =
                Some(Streaming { seq: piece.seq, start, attempt, parts: 0, gtid, tally: Tally::default() });
        }
        if self.streaming.as_ref().is_none_or(|streaming| streaming.seq != piece.seq) {
            bail!(Invariant, "a piece of transaction {} without the piece before it", piece.seq);
        }
        let place = format!("transaction {} at {}", piece.seq, piece.start);
        let here = |error: Error| error.context(place.clone());
        self.desk.lock().await.fit_changes(&mut piece.changes).await.map_err(here)?;
        self.show_format(&piece.format).await?;
        let mut packet = self.pipeline.packet();
        self.begin_part(&mut packet);
        self.pipeline.session.encoder.changes(piece.changes.iter(), None, &mut packet);
        if let Some(streaming) = &mut self.streaming {
            streaming.parts += 1;
            streaming.tally.add(piece.changes.iter(), piece.bytes);
            packet.push(&part_mark(&streaming.mark()));
        }
        self.make_room().await?;
        self.pipeline.send(packet, Load::Part).await.map_err(here)?;
        failpoint::hit("apply.part_sent");
        drop(share);
        Ok(())
    }

    /// Sends the last piece with the progress row and the commit.
    pub(super) async fn stream_end(&mut self, mut job: Job) -> Result<()> {
        let mut packet = self.pipeline.packet();
        self.begin_part(&mut packet);
        let place = format!("transaction {} at {}", job.transaction.seq, job.transaction.start);
        let here = |error: Error| error.context(place.clone());
        let (_, misfit) = self.desk.lock().await.fit(std::slice::from_mut(&mut job)).await?;
        if let Some(error) = misfit {
            return Err(error);
        }
        let all = changes(&job.transaction.body);
        self.pipeline.session.encoder.changes(all, None, &mut packet);
        // It may be a `CREATE TABLE ... SELECT`.
        let mut batch = Batch { ends_ddl: true, ..Batch::default() };
        batch.push(job);
        self.end_packet(&batch, &mut packet)?;
        self.make_room().await?;
        self.pipeline.send(packet, Load::Batch(batch)).await.map_err(here)?;
        self.flush().await?;
        self.streaming = None;
        Ok(())
    }

    /// Rolls back a transaction whose end will not come.
    pub(super) async fn abandon_stream(&mut self) -> Result<()> {
        if self.streaming.take().is_none() {
            return Ok(());
        }
        self.flush().await?;
        self.roll_back().await
    }

    pub(super) fn stream_failed(&mut self, server: ServerError) -> Error {
        let place = match self.streaming.take() {
            Some(streaming) => format!("transaction {} at {}", streaming.seq, streaming.start),
            None => "a large transaction".to_owned(),
        };
        let code = classify(&server);
        if code == Code::LockConflict {
            self.observer.retry(conflict(&server), 1);
        }
        refused(code, server, "a change of a large transaction").context(place)
    }

    /// The guard before the first part, the mark of the part before any other.
    fn begin_part(&self, packet: &mut Packet) {
        match &self.streaming {
            Some(streaming) if streaming.parts > 0 => packet.push(&part_guard(&streaming.mark())),
            streaming => {
                let gtid = streaming.as_ref().and_then(|streaming| streaming.gtid.as_ref());
                self.open_packet(gtid, packet);
            }
        }
    }

    /// Two packets on their way keep the target busy; more would only be memory.
    async fn make_room(&mut self) -> Result<()> {
        while self.pipeline.in_flight() >= 2 {
            let outcome = self.pipeline.answer().await?;
            self.settle(outcome).await?;
        }
        Ok(())
    }
}
