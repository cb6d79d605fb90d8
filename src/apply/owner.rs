//! Who may write: the named lock, the epoch, and after a lost connection the session.

use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::bail;
use crate::clock::now_us;
use crate::error::{Code, Error, Result};
use crate::failpoint;
use crate::hex::hex;
use crate::progress::{Fence, Recovered, Row, RowFence, Tables};
use crate::wire::{Endpoint, Rows, quote_text};

use super::Session;

/// What belongs to whoever owns a bridge.
#[derive(Debug)]
pub struct Ownership {
    /// Our epoch.
    pub epoch: u64,
    /// The bridge's own UUID, made when its start was stored.
    pub bridge_uuid: Uuid,
    /// The source that the coordinates belong to.
    pub source_uuid: String,
    /// What is applied, and where to go on.
    pub recovered: Recovered,
    /// The fence of each worker's row.
    pub fences: Vec<(u32, Fence)>,
    /// What guards batches of row events, if the progress table takes it.
    pub row_fence: Option<RowFence>,
}

/// Takes and keeps ownership of one bridge on one target.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The bridge's tables.
    pub tables: Tables,
    /// The name of the lock, and the beginning of the names of the workers' locks.
    lock: String,
}

/// How long a connection that holds the lock may take to die.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

impl Owner {
    /// Of the bridge `bridge`, whose tables are in `schema`.
    pub fn new(schema: &str, bridge: &str) -> Self {
        // A lock's name has at most 64 characters.
        let digest = Sha256::digest(format!("{schema}\0{bridge}"));
        let short = hex(digest.get(..12).unwrap_or(&digest));
        Self { tables: Tables::new(schema, bridge), lock: format!("binbridge:{short}") }
    }

    /// The name of a lock of this bridge on the target.
    pub(super) fn lock_name(&self, what: &str) -> String {
        format!("{}:{what}", self.lock)
    }

    /// The session that runs DDL. Who was the owner `before` and no longer is leaves the new owner alone.
    ///
    /// # Errors
    /// `BB4008` if someone else has become the owner; `BB4007` if an older connection does not end.
    pub async fn ddl_session(&self, endpoint: &Endpoint, before: Option<&Ownership>) -> Result<Session> {
        self.locked_session(endpoint, &self.lock, 0, before).await
    }

    /// The session of a worker. A batch that is in flight on an older one gets a second to end.
    ///
    /// # Errors
    /// As [`ddl_session`](Self::ddl_session).
    pub async fn worker_session(
        &self,
        endpoint: &Endpoint,
        worker: u32,
        before: Option<&Ownership>,
    ) -> Result<Session> {
        self.locked_session(endpoint, &format!("{}:{worker}", self.lock), 1, before).await
    }

    /// The sessions of all workers, opened at once: each takes many round trips.
    ///
    /// # Errors
    /// As [`ddl_session`](Self::ddl_session).
    pub async fn worker_sessions(
        &self,
        endpoint: &Endpoint,
        workers: u32,
        before: Option<&Ownership>,
    ) -> Result<Vec<Session>> {
        let mut opening: FuturesOrdered<_> =
            (0..workers).map(|worker| self.worker_session(endpoint, worker, before)).collect();
        let mut sessions = Vec::new();
        while let Some(session) = opening.next().await {
            sessions.push(session?);
        }
        Ok(sessions)
    }

    /// Ends the connections of workers that an earlier process had more of than this one will: each may hold the lock
    /// of its progress row for as long as the server does not notice that its other end is gone.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn end_workers_from(&self, session: &mut Session, workers: u32) -> Result<()> {
        let read = [self.tables.read(false), "COMMIT".to_owned()];
        let rows = match session.connection.query_each(&read).await {
            // Taking over will say what is wrong.
            Err(error) if error.code() == Code::SchemaMismatch => return Ok(()),
            answers => answers?.first().map_or_else(|| Ok(Vec::new()), Row::parse_all)?,
        };
        for worker in rows.iter().map(|row| row.worker).filter(|worker| *worker >= workers) {
            let lock = quote_text(&format!("{}:{worker}", self.lock));
            let held = session.connection.query(&format!("SELECT IS_USED_LOCK({lock})")).await?;
            if let Some(holder) = text(&held, 0) {
                // Already gone is as good (1094); not ours to kill shows when its row stays locked.
                let _ = session.connection.execute(&format!("KILL {holder}")).await;
            }
        }
        Ok(())
    }

    /// A session that holds a lock. Whoever held it loses its connection first. From then on no statement of an older
    /// DDL session can start: no guard covers those. And no older worker's session is there: one whose other end is
    /// gone would hold the lock of its progress row, or of rows that a late packet changed before it was refused, for as
    /// long as the server does not notice.
    async fn locked_session(
        &self,
        endpoint: &Endpoint,
        lock: &str,
        mut grace_s: u32,
        before: Option<&Ownership>,
    ) -> Result<Session> {
        let mut session = Session::open(endpoint).await?;
        let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
        let lock = quote_text(lock);
        loop {
            if let Some(before) = before {
                let rows = session.connection.query(&self.tables.read(false)).await?;
                require_owner(&Row::parse_all(&rows)?, before)?;
                session.connection.execute("COMMIT").await?;
            }
            let rows = session
                .connection
                .query(&format!("SELECT GET_LOCK({lock}, {grace_s}), IS_USED_LOCK({lock})"))
                .await?;
            grace_s = 1;
            if text(&rows, 0) == Some("1") {
                return Ok(session);
            }
            if let Some(holder) = text(&rows, 1) {
                // Already gone is as good (1094); not ours to kill shows as a lock that stays held.
                let _ = session.connection.execute(&format!("KILL {holder}")).await;
            }
            if tokio::time::Instant::now() > deadline {
                bail!(
                    LockConflict,
                    "another connection holds the lock {lock} of this bridge on the target and does not end"
                );
            }
        }
    }

    /// Becomes the owner at the start of a process: moves the epoch of every row.
    ///
    /// # Errors
    /// `BB1005` if no start is stored.
    pub async fn take(&self, session: &mut Session, workers: u32) -> Result<Ownership> {
        let rows = match session.connection.query(&self.tables.read(true)).await {
            Err(error) if error.code() == Code::SchemaMismatch => {
                bail!(NoPosition, "the bridge's tables are not on the target")
            }
            rows => Row::parse_all(&rows?)?,
        };
        let Some(epoch) = Fence::next_epoch(rows.iter().map(|row| row.fence)) else {
            bail!(NoPosition, "no start position is stored for this bridge on the target");
        };
        let mut taking = vec![self.tables.take(epoch)];
        for worker in (0..workers).filter(|worker| rows.iter().all(|row| row.worker != *worker)) {
            let low = Recovered::from_rows(&rows)?.frontier.low().clone();
            taking.push(self.tables.add_worker(worker, epoch, &low, now_us()));
        }
        let ownership = self.read(session, taking, epoch).await?;
        failpoint::hit("epoch.after_take");
        Ok(ownership)
    }

    /// Stays the owner after a lost connection: moves the session of each of our rows, so that what the old connection
    /// still holds is refused, and only then reads what was committed.
    ///
    /// An epoch belongs to one process. So a session that is not where we left it was moved by ourselves, in an earlier
    /// attempt whose answer was lost.
    ///
    /// # Errors
    /// `BB4008` if someone else has become the owner.
    pub async fn keep(&self, session: &mut Session, before: &Ownership) -> Result<Ownership> {
        let rows = Row::parse_all(&session.connection.query(&self.tables.read(true)).await?)?;
        require_owner(&rows, before)?;
        for row in &rows {
            let done = session.connection.execute(&self.tables.bump(row.worker, row.fence)).await?;
            // From here on the row's fence is `row.fence.moved()`.
            if done.affected != 1 {
                bail!(Invariant, "the session of worker {} moved although its row is locked", row.worker);
            }
        }
        let next = self.read(session, Vec::new(), before.epoch).await?;
        failpoint::hit("session.after_bump");
        Ok(next)
    }

    /// What is stored after `statements`, and ends the transaction: in one round trip.
    async fn read(&self, session: &mut Session, statements: Vec<String>, epoch: u64) -> Result<Ownership> {
        let bridge = format!(
            "SELECT bridge_uuid, source_uuid FROM {} WHERE {}",
            self.tables.table("bridge"),
            self.tables.mine()
        );
        let at = statements.len();
        let mut questions = statements;
        questions.extend([self.tables.read(true), bridge, self.tables.ask_row_fence(), "COMMIT".to_owned()]);
        let answers = session.connection.query_each(&questions).await?;
        let [rows, bridge, layout, _] = answers.get(at..).unwrap_or_default() else {
            bail!(Protocol, "the target answered {} of {} statements", answers.len(), questions.len())
        };
        let rows = Row::parse_all(rows)?;
        let bridge_uuid = text(bridge, 0).and_then(|text| text.parse().ok()).ok_or_else(|| {
            Error::new(Code::Progress, "the bridge's row on the target is missing or damaged")
        })?;
        Ok(Ownership {
            epoch,
            bridge_uuid,
            source_uuid: text(bridge, 1).unwrap_or_default().to_owned(),
            recovered: Recovered::from_rows(&rows)?,
            fences: rows.iter().map(|row| (row.worker, row.fence)).collect(),
            row_fence: self.tables.row_fence(layout),
        })
    }
}

fn require_owner(rows: &[Row], before: &Ownership) -> Result<()> {
    if rows.is_empty() || rows.iter().any(|row| row.fence.epoch != before.epoch) {
        bail!(Fenced, "another bridge of the same name has taken over (our epoch was {})", before.epoch);
    }
    Ok(())
}

fn text(rows: &Rows, column: usize) -> Option<&str> {
    rows.rows.first().and_then(|row| row.text(column))
}
