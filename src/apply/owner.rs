//! Who may write: the named lock, the epoch, and after a lost connection the session.

use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::bail;
use crate::clock::now_us;
use crate::error::{Code, Error, Result};
use crate::failpoint;
use crate::hex::hex;
use crate::progress::{Fence, Recovered, Row, Tables};
use crate::wire::{Connection, Endpoint, Rows, quote_text};

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
}

/// Takes and keeps ownership of one bridge on one target.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The bridge's tables.
    pub tables: Tables,
    lock: String,
}

/// How long a connection that holds the lock may take to die.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

impl Owner {
    /// Of the bridge `bridge`, whose tables are in `schema`.
    pub fn new(schema: &str, bridge: &str) -> Self {
        // A lock's name has at most 64 characters.
        let digest = Sha256::digest(format!("{schema}\0{bridge}"));
        let short = hex(digest.get(..16).unwrap_or(&digest));
        Self { tables: Tables::new(schema, bridge), lock: quote_text(&format!("binbridge:{short}")) }
    }

    /// A session that holds the bridge's lock. Whoever held it loses its connection first: from then on no DDL of an
    /// older owner can start. A process that was the owner (`before`) and no longer is ends nobody's connection.
    ///
    /// # Errors
    /// `BB4008` if someone else has become the owner.
    pub async fn locked_session(&self, endpoint: &Endpoint, before: Option<&Ownership>) -> Result<Session> {
        let mut session = Session::open(endpoint).await?;
        if let Some(before) = before {
            self.our_fences(&mut session, before, false).await?;
            session.connection.execute("COMMIT").await?;
        }
        let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
        loop {
            let rows = session
                .connection
                .query(&format!("SELECT GET_LOCK({}, 1), IS_USED_LOCK({})", self.lock, self.lock))
                .await?;
            if text(&rows, 0) == Some("1") {
                return Ok(session);
            }
            if let Some(holder) = text(&rows, 1) {
                // Already gone is as good (1094); not ours to kill shows as a lock that stays held.
                let _ = session.connection.execute(&format!("KILL {holder}")).await;
            }
            if tokio::time::Instant::now() > deadline {
                bail!(
                    ServerBusy,
                    "another connection holds the bridge's lock on the target and does not end"
                );
            }
        }
    }

    /// Ends the connections that older owners wrote through. One that is open at the server's end only would hold the
    /// progress row's lock for as long as its transaction stays open.
    pub async fn end_old_writers(&self, session: &mut Session) -> Result<()> {
        self.require_tables(&mut session.connection).await?;
        let rows = session.connection.query(&self.tables.old_connections()).await?;
        for id in rows.rows.iter().filter_map(|row| row.text(0)) {
            // It may have ended by itself in between (1094).
            let _ = session.connection.execute(&format!("KILL {id}")).await;
        }
        session.connection.execute("COMMIT").await?;
        Ok(())
    }

    /// Becomes the owner at the start of a process: moves the epoch of every row.
    ///
    /// # Errors
    /// `BB1005` if no start is stored.
    pub async fn take(&self, session: &mut Session, workers: u32) -> Result<Ownership> {
        session.connection.execute(&self.tables.take()).await?;
        let rows = Row::parse_all(&session.connection.query(&self.tables.read(true)).await?)?;
        let Some(epoch) = rows.iter().map(|row| row.fence.epoch).max() else {
            bail!(NoPosition, "no start position is stored for this bridge on the target");
        };
        for worker in (0..workers).filter(|worker| rows.iter().all(|row| row.worker != *worker)) {
            let low = Recovered::from_rows(&rows)?.frontier.low().clone();
            session.connection.execute(&self.tables.add_worker(worker, epoch, &low, now_us())).await?;
        }
        let ownership = self.read(session, epoch).await?;
        session.connection.execute("COMMIT").await?;
        failpoint::hit("epoch.after_take");
        Ok(ownership)
    }

    /// Stays the owner after a lost connection: moves the session of each of our rows, so that what the old connection
    /// still holds is refused, and only then reads what was committed.
    ///
    /// # Errors
    /// `BB4008` if someone else has become the owner.
    pub async fn keep(&self, session: &mut Session, ownership: &Ownership) -> Result<Ownership> {
        for (worker, fence) in self.our_fences(session, ownership, true).await? {
            let done = session.connection.execute(&self.tables.bump(worker, fence)).await?;
            if done.affected != 1 {
                session.connection.execute("ROLLBACK").await?;
                bail!(
                    Fenced,
                    "another bridge of the same name has taken over (our epoch was {})",
                    fence.epoch
                );
            }
        }
        let next = self.read(session, ownership.epoch).await?;
        session.connection.execute("COMMIT").await?;
        failpoint::hit("session.after_bump");
        Ok(next)
    }

    /// The fences in force, as far as they are ours. Only this process moves the session under its own epoch, so a
    /// session that is not the one we know is our own move whose answer was lost.
    async fn our_fences(
        &self,
        session: &mut Session,
        ownership: &Ownership,
        lock: bool,
    ) -> Result<Vec<(u32, Fence)>> {
        let rows = Row::parse_all(&session.connection.query(&self.tables.read(lock)).await?)?;
        let ours =
            rows.iter().filter(|row| row.fence.epoch == ownership.epoch).map(|row| (row.worker, row.fence));
        let ours: Vec<(u32, Fence)> = ours.collect();
        if ours.is_empty() || ours.len() != rows.len() {
            session.connection.execute("ROLLBACK").await?;
            bail!(
                Fenced,
                "another bridge of the same name has taken over (our epoch was {})",
                ownership.epoch
            );
        }
        Ok(ours)
    }

    async fn read(&self, session: &mut Session, epoch: u64) -> Result<Ownership> {
        let rows = Row::parse_all(&session.connection.query(&self.tables.read(true)).await?)?;
        let bridge = session
            .connection
            .query(&format!(
                "SELECT bridge_uuid, source_uuid FROM {} WHERE {}",
                self.tables.table("bridge"),
                self.tables.mine()
            ))
            .await?;
        let bridge_uuid = text(&bridge, 0).and_then(|text| text.parse().ok()).ok_or_else(|| {
            Error::new(Code::Progress, "the bridge's row on the target is missing or damaged")
        })?;
        Ok(Ownership {
            epoch,
            bridge_uuid,
            source_uuid: text(&bridge, 1).unwrap_or_default().to_owned(),
            recovered: Recovered::from_rows(&rows)?,
            fences: rows.iter().map(|row| (row.worker, row.fence)).collect(),
        })
    }

    /// Distinguishes "never set up" from "something is wrong".
    async fn require_tables(&self, connection: &mut Connection) -> Result<()> {
        let probe = format!("SELECT 1 FROM {} LIMIT 1", self.tables.table("progress"));
        match connection.query(&probe).await {
            Err(error) if error.code() == Code::SchemaMismatch => {
                bail!(NoPosition, "the bridge's tables are not on the target")
            }
            other => other.map(|_| ()),
        }
    }
}

fn text(rows: &Rows, column: usize) -> Option<&str> {
    rows.rows.first().and_then(|row| row.text(column))
}
