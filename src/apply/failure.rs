//! When a statement of a packet fails: what was in flight is taken back, and the transaction at fault is found.

use std::time::Duration;

use tokio::time::sleep;

use crate::bail;
use crate::error::{Code, Error, Result, ServerError};
use crate::progress::Row;
use crate::transaction::Change;
use crate::wire::classify;

use super::pipeline::{Load, Outcome};
use super::preserve::AUTOMATIC;
use super::send::changes;
use super::worker::Report;
use super::{Batch, Job, Worker};

/// How long a worker waits for the batch of another.
const OTHERS: Duration = Duration::from_secs(2);

impl Worker {
    /// A statement failed. Nothing behind it is committed: no guard fits there. What was in flight is rolled back and taken
    /// back.
    pub(super) async fn failed(&mut self, load: Load, server: ServerError) -> Result<()> {
        let mut batches = self.pipeline.drain_failed(&server).await?;
        self.roll_back().await?;
        self.last_sent = self.last_durable;
        if self.preserves() {
            // A progress row may be among what was taken back.
            self.behind.add(0);
        }
        let code = classify(&server);
        if may_be_a_guard(&server) {
            self.check_fence().await?;
        }
        let failed = match load {
            Load::Batch(batch) => batch,
            Load::Part => return Err(self.stream_failed(server)),
            Load::Row(_) if code == Code::LockConflict => {
                self.observer.retry(conflict(&server), 1);
                self.behind.add(0);
                self.queue_again(batches);
                return Ok(());
            }
            Load::Row(_) => return Err(refused(code, server, "a progress row")),
            // The session refuses row events as such: no transaction is at fault.
            Load::Prelude => {
                return Err(super::session::needs(
                    refused(code, server, "a format description event"),
                    "REPLICATION_APPLIER",
                ));
            }
        };
        if self.streaming.is_some() {
            return Err(self.stream_failed(server));
        }
        if code == Code::LockConflict {
            self.observer.retry(conflict(&server), 1);
            self.met_locks().await;
            batches.insert(0, failed);
        } else {
            Box::pin(self.pin(failed)).await?;
        }
        self.queue_again(batches);
        Ok(())
    }

    /// A batch met others' locks, most likely those of another worker: once that one is done, nothing is in its way.
    async fn met_locks(&mut self) {
        // A coordinator that is gone ends this worker by itself.
        let _ = self.reports.send(Report::Met).await;
        // With a commit for each transaction, some other one ends at once.
        if !self.preserves() {
            self.pipeline.traffic.until_one_ends(OTHERS).await;
        }
        self.lock_conflicts += 1;
        sleep(Duration::from_millis(u64::from(self.lock_conflicts.min(100)) * 20)).await;
    }

    fn queue_again(&mut self, batches: Vec<Batch>) {
        for batch in batches.into_iter().rev() {
            self.queue.push_front(batch);
        }
    }

    /// Ends what is open.
    pub(super) async fn roll_back(&mut self) -> Result<()> {
        self.pipeline.session.roll_back().await?;
        if self.preserves() {
            self.pipeline.session.connection.execute(AUTOMATIC).await?;
        }
        Ok(())
    }

    /// Finds the transaction that fails in a batch: each goes alone, its changes as they came, so all before it are applied
    /// and none after it.
    async fn pin(&mut self, batch: Batch) -> Result<()> {
        let (ends_ddl, gtid_used) = (batch.ends_ddl, batch.gtid_used);
        for job in batch.jobs {
            let tables: Vec<String> = touched(&job);
            let place = format!("transaction {} at {}", job.transaction.seq, job.transaction.start);
            let mut single = Batch { ends_ddl, gtid_used, plain: true, ..Batch::default() };
            single.push(job);
            if self.preserves() {
                self.send_one(single).await?;
            } else {
                self.send_batch(single).await?;
            }
            while self.pipeline.in_flight() > 0 {
                match self.pipeline.answer().await? {
                    Outcome::Failed(_, server) => {
                        self.pipeline.drain_failed(&server).await?;
                        self.roll_back().await?;
                        return Err(self.refused_alone(server, &tables, place).await);
                    }
                    outcome => self.settle(outcome).await?,
                }
            }
        }
        Ok(())
    }

    /// Why a transaction that went alone was refused.
    async fn refused_alone(&mut self, server: ServerError, tables: &[String], place: String) -> Error {
        if may_be_a_guard(&server) && self.check_fence().await.is_err() {
            // What seemed to be refused before was not: only the progress row says what is there.
            let message = "the target's answers did not fit what it did";
            return Error::new(Code::ConnectionLost, message).context(place);
        }
        refused_change(server, tables).context(place)
    }

    /// # Errors
    /// `BB4008` or `BB4012`, if the progress row is not as this worker left it.
    ///
    /// A guard may have failed: someone else has taken over, or someone edited the progress row. If the row is as we
    /// left it, what failed was a subquery of a statement event, or a row of a table.
    async fn check_fence(&mut self) -> Result<()> {
        let connection = &mut self.pipeline.session.connection;
        let rows = Row::parse_all(&connection.query(&self.settings.tables.read(false)).await?)?;
        connection.execute("ROLLBACK").await?;
        match rows.iter().find(|row| row.worker == self.id) {
            Some(row) if row.admits(self.fence, self.last_durable) => Ok(()),
            Some(row) if row.fence == self.fence => bail!(
                Progress,
                "the progress row says transaction {}, this process left it at {}",
                row.seq,
                self.last_durable
            ),
            Some(_) => bail!(
                Fenced,
                "another bridge of the same name has taken over (our epoch was {})",
                self.fence.epoch
            ),
            None => bail!(Progress, "the progress row of this bridge is gone"),
        }
    }
}

/// The label `reason` of a lock conflict. 1213 is `ER_LOCK_DEADLOCK`.
pub(super) fn conflict(server: &ServerError) -> &'static str {
    if server.number == 1213 { "deadlock" } else { "lock_wait" }
}

/// How a guard refuses: `ER_SUBQUERY_NO_1_ROW` in SQL, `ER_KEY_NOT_FOUND` as a row event. Neither is a guard's alone.
fn may_be_a_guard(server: &ServerError) -> bool {
    [1242, 1032].contains(&server.number)
}

pub(super) fn at(error: Error, job: &Job) -> Error {
    error.context(format!("transaction {} at {}", job.transaction.seq, job.transaction.start))
}

/// An error of the target in our words: its own may hold values of rows.
pub(super) fn refused(code: Code, server: ServerError, what: &str) -> Error {
    Error::new(code, format!("the target refused {what}: error {} ({})", server.number, server.state))
        .with_server(server)
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
