//! Which instance of a bridge may work: the lease.
//!
//! Its holder holds a named lock by a connection of its own and renews a row on the target. Who finds the lock free takes
//! the lease; who finds it held waits, unless the row says that its holder has been silent for too long: then the
//! holder's connection ends first, and with it everything that it still could say there. The lease decides who *should*
//! write. That nobody else *can* is the work of the fence in the progress rows.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::bail;
use crate::error::{Error, Result};
use crate::progress::Tables;
use crate::wire::{Connection, Endpoint, quote_text};

use super::Owner;

/// The target's clock, in microseconds.
const NOW: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED)";
/// Between two looks at a lease that another instance holds.
const LOOK: Duration = Duration::from_millis(500);
/// How long a connection that has to end may take to.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lease, held for as long as its connection lives.
pub struct Lease {
    /// The connection that holds it. Everything that only the holder may say to the target is said here.
    pub connection: Connection,
    id: Uuid,
    tables: Tables,
    lock: String,
    /// A holder that has not renewed for so long is taken for gone.
    life: Duration,
}

/// One look at the lease.
enum Look {
    Ours,
    /// Another connection holds the lock.
    Held {
        connection: Option<String>,
        expired: bool,
        host: String,
    },
}

impl Lease {
    /// Waits until this instance, known as `id` and running on `host`, has the lease. `waits` is told who has it.
    /// Cancel-safe.
    ///
    /// # Errors
    /// Those of the connection; `BB4001` if the bridge's tables are not there; `BB4007` if a silent holder's connection does
    /// not end.
    pub async fn acquire(
        endpoint: &Endpoint,
        owner: &Owner,
        id: Uuid,
        host: &str,
        life: Duration,
        mut waits: impl FnMut(&str),
    ) -> Result<Self> {
        let mut lease = Self::connect(endpoint, owner, id, life).await?;
        let mut ending: Option<Instant> = None;
        loop {
            match lease.look().await? {
                Look::Ours => break,
                Look::Held { connection: Some(connection), expired: true, .. } => {
                    if ending.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        bail!(
                            LockConflict,
                            "connection {connection} on the target holds this bridge's lease, is silent, and does not end"
                        );
                    }
                    // Already gone is as good (1094); not ours to kill shows as a lock that stays held.
                    let _ = lease.connection.execute(&format!("KILL {connection}")).await;
                }
                Look::Held { host, .. } => waits(&host),
            }
            sleep(LOOK).await;
        }
        lease.write(host).await?;
        Ok(lease)
    }

    /// Takes the lease up again after its connection was lost.
    ///
    /// # Errors
    /// `BB4008` if another instance has it by now.
    pub async fn again(
        endpoint: &Endpoint,
        owner: &Owner,
        id: Uuid,
        host: &str,
        life: Duration,
    ) -> Result<Self> {
        let mut lease = Self::connect(endpoint, owner, id, life).await?;
        loop {
            lease.require_ours().await?;
            match lease.look().await? {
                Look::Ours => break,
                // Our own, not yet known to be lost; or another's, which shows in the row.
                Look::Held { connection: Some(connection), .. } => {
                    let _ = lease.connection.execute(&format!("KILL {connection}")).await;
                }
                Look::Held { .. } => {}
            }
            sleep(Duration::from_millis(50)).await;
        }
        lease.require_ours().await?;
        lease.write(host).await?;
        Ok(lease)
    }

    async fn connect(endpoint: &Endpoint, owner: &Owner, id: Uuid, life: Duration) -> Result<Self> {
        let mut connection = Connection::connect(endpoint).await?;
        let tables = owner.tables.clone();
        let settings = "SET autocommit = 1, sql_mode = '', time_zone = '+00:00', innodb_lock_wait_timeout = 20, \
                        lock_wait_timeout = 60, wait_timeout = 86400";
        let there = format!("SELECT 1 FROM {} LIMIT 1", tables.table("lease"));
        connection.query_each(&[settings.to_owned(), there]).await?;
        let lock = quote_text(&owner.lock_name("lease"));
        Ok(Self { connection, id, tables, lock, life })
    }

    async fn look(&mut self) -> Result<Look> {
        let got = format!("SELECT GET_LOCK({lock}, 0), IS_USED_LOCK({lock})", lock = self.lock);
        let rows = self.connection.query(&got).await?;
        let column = |index: usize| rows.rows.first().and_then(|row| row.text(index)).map(str::to_owned);
        if column(0).as_deref() == Some("1") {
            return Ok(Look::Ours);
        }
        let row = format!(
            "SELECT expires_us <= {NOW}, host FROM {} WHERE {}",
            self.tables.table("lease"),
            self.tables.mine()
        );
        let held = self.connection.query(&row).await?;
        let text = |index: usize| held.rows.first().and_then(|row| row.text(index));
        // A holder that has not written its row yet has just come.
        let expired = text(0) == Some("1");
        Ok(Look::Held { connection: column(1), expired, host: text(1).unwrap_or_default().to_owned() })
    }

    async fn write(&mut self, host: &str) -> Result<()> {
        let sql = format!(
            "REPLACE INTO {} (bridge, owner, host, expires_us) VALUES ({}, '{}', {}, {NOW} + {})",
            self.tables.table("lease"),
            self.tables.name(),
            self.id,
            quote_text(host),
            self.life.as_micros()
        );
        self.connection.execute(&sql).await.map(|_| ())
    }

    /// Says that the holder lives.
    ///
    /// # Errors
    /// `BB4008` if another instance has the lease.
    pub async fn renew(&mut self) -> Result<()> {
        let renewal = self.renewal();
        match self.connection.execute(&renewal).await?.affected {
            0 => self.require_ours().await,
            _ => Ok(()),
        }
    }

    fn renewal(&self) -> String {
        format!(
            "UPDATE {} SET expires_us = {NOW} + {} WHERE {} AND owner = '{}'",
            self.tables.table("lease"),
            self.life.as_micros(),
            self.tables.mine(),
            self.id
        )
    }

    async fn require_ours(&mut self) -> Result<()> {
        let sql =
            format!("SELECT owner, host FROM {} WHERE {}", self.tables.table("lease"), self.tables.mine());
        let rows = self.connection.query(&sql).await?;
        let text = |index: usize| rows.rows.first().and_then(|row| row.text(index)).unwrap_or_default();
        if text(0) == self.id.to_string() {
            return Ok(());
        }
        bail!(Fenced, "another instance of this bridge, on {:?}, has taken over", text(1));
    }

    /// Renews by a connection of its own until it is dropped, for as long as the lease's is busy with what takes long.
    pub fn kept(&self, endpoint: &Endpoint) -> AbortOnDropHandle<()> {
        let (endpoint, renewal, life) = (endpoint.clone(), self.renewal(), self.life);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connection: Option<Connection> = None;
            loop {
                // If another instance has it by now, nothing is renewed, and the lease's own connection is gone.
                let renewed = timeout(life, async {
                    let mut open = match connection.take() {
                        Some(open) => open,
                        None => Connection::connect(&endpoint).await?,
                    };
                    open.execute(&renewal).await?;
                    Ok::<_, Error>(open)
                });
                connection = renewed.await.ok().and_then(Result::ok);
                sleep(life / 4).await;
            }
        }))
    }

    /// Whether any instance has the lease.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn is_held(connection: &mut Connection, owner: &Owner) -> Result<bool> {
        let lock = quote_text(&owner.lock_name("lease"));
        let rows = connection.query(&format!("SELECT IS_USED_LOCK({lock})")).await?;
        Ok(rows.rows.first().is_some_and(|row| row.text(0).is_some()))
    }

    /// Lets another instance work at once.
    pub async fn release(mut self) {
        let sql = format!(
            "UPDATE {} SET expires_us = 0 WHERE {} AND owner = '{}'",
            self.tables.table("lease"),
            self.tables.mine(),
            self.id
        );
        // Best effort: the lock goes with the connection.
        let _ = self.connection.execute(&sql).await;
        self.connection.close().await;
    }
}
