//! Which transaction of a batch the target refuses, and why.

use crate::error::{Code, Error, Result, ServerError};
use crate::transaction::Change;
use crate::wire::classify;

use super::pipeline::Outcome;
use super::worker::{changes, refused};
use super::{Batch, Job, Worker};

impl Worker {
    /// Finds the transaction that fails in a batch: each goes alone, so all before it are applied and none after it.
    pub(super) async fn pin(&mut self, batch: Batch) -> Result<()> {
        for job in batch.jobs {
            let tables: Vec<String> = touched(&job);
            let place = format!("transaction {} at {}", job.transaction.seq, job.transaction.start);
            let mut single = Batch::default();
            single.push(job);
            self.send_batch(single, &[]).await?;
            while self.pipeline.in_flight() > 0 {
                match self.pipeline.answer().await? {
                    Outcome::Failed(_, server) => {
                        self.pipeline.drain_failed().await?;
                        self.pipeline.session.roll_back().await?;
                        return Err(refused_change(server, &tables).context(place));
                    }
                    outcome => self.settle(outcome).await?,
                }
            }
        }
        Ok(())
    }
}

/// `ER_UNKNOWN_ERROR`: what `BINLOG` says where the target's table cannot take the source's types; the server's error log
/// has the column (seen on 9.7: a replica would report 1677 there).
const NO_REASON: u16 = 1105;

fn refused_change(server: ServerError, tables: &[String]) -> Error {
    let what =
        format!("a change of {}", if tables.is_empty() { "no table".to_owned() } else { tables.join(", ") });
    if server.number != NO_REASON {
        return refused(classify(&server), server, &what);
    }
    refused(Code::SchemaMismatch, server, &what)
        .context("most likely a column's type or length differs; the target's error log names it")
}

fn touched(job: &Job) -> Vec<String> {
    let mut tables: Vec<String> = changes(&job.transaction.body)
        .map(|change| match change {
            Change::Rows(rows) => format!("table {}.{}", rows.table.schema, rows.table.table),
            Change::Statement(statement) => {
                format!("a statement in schema {}", String::from_utf8_lossy(&statement.query.database))
            }
        })
        .collect();
    tables.dedup();
    tables.truncate(8);
    tables
}
