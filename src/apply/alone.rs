//! What must stand alone: the pieces of a large transaction, and statements that commit by themselves.

use crate::bail;
use crate::error::Result;
use crate::failpoint;
use crate::position::{Coordinates, Gtid};
use crate::progress::Seq;
use crate::transaction::{Body, Piece, StatementChange};

use super::worker::Order;
use super::{Batch, Coordinator, Gtids, Job, Share};

impl Coordinator {
    /// A part of a large transaction. The first waits until nothing else is under way.
    pub(super) async fn piece(&mut self, mut piece: Piece, share: Option<Share>) -> Result<()> {
        if piece.index == 0 {
            self.require_gtid(piece.gtid.as_ref(), &piece.start).await?;
            self.flush().await?;
            let skip = self.is_known(piece.seq, piece.gtid.as_ref()) || self.gate.skips_piece(&piece);
            self.streaming = Some((piece.seq, skip));
            if let (Some(create), false) = (piece.create.take(), skip) {
                // Its GTID is that of the rows: it must not count as executed before they are there.
                self.run_statement(piece.seq, &piece.start, None, &create).await?;
            }
        }
        match self.streaming {
            Some((seq, _)) if seq != piece.seq => {
                bail!(Invariant, "a piece of transaction {} without the piece before it", piece.seq)
            }
            Some((_, false)) => self.first(Order::Piece(piece, share)).await,
            _ => Ok(()),
        }
    }

    /// Runs a statement that commits by itself, then records its end like a batch (with the rows of a
    /// `CREATE TABLE ... SELECT`).
    pub(super) async fn run_ddl(&mut self, mut job: Job) -> Result<()> {
        let body = std::mem::replace(&mut job.transaction.body, Body::Changes(Vec::new()));
        let (statement, rows, gtid) = match body {
            Body::Ddl(statement) => (statement, Vec::new(), job.transaction.gtid.clone()),
            Body::CreateSelect(statement, rows) => (statement, rows, None),
            _ => bail!(Invariant, "not a DDL statement"),
        };
        let (seq, start) = (job.transaction.seq, job.transaction.start.clone());
        self.run_statement(seq, &start, gtid.as_ref(), &statement).await?;
        job.transaction.body = Body::Changes(rows);
        let mut batch = Batch { ends_ddl: true, gtid_used: gtid.is_some(), ..Batch::default() };
        batch.push(job);
        if let Some(misfit) = self.desk.lock().await.fit(&mut batch.jobs).await?.1 {
            return Err(misfit);
        }
        self.one_under_way();
        self.first(Order::Batch(batch)).await?;
        self.flush().await?;
        failpoint::hit("ddl.after_end");
        Ok(())
    }

    pub(super) async fn run_statement(
        &mut self,
        seq: Seq,
        start: &Coordinates,
        gtid: Option<&Gtid>,
        statement: &StatementChange,
    ) -> Result<()> {
        let gtid = gtid.filter(|_| self.settings.gtids == Gtids::Preserve);
        self.desk.lock().await.run_once(seq, start, gtid, statement).await?;
        if let Some(splitter) = &mut self.splitter {
            splitter.forget();
        }
        self.observer.ddl();
        Ok(())
    }
}
