//! What the workers of a bridge share: the session that runs DDL and answers questions, and what is known of the
//! target's tables.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::bail;
use crate::error::{Code, Error, Result};
use crate::position::{Coordinates, Gtid};
use crate::progress::{Fence, Row, Seq, Tables};
use crate::schedule::TableKeys;
use crate::transaction::{Change, Routed, StatementChange};

use super::failure::at;
use super::send::{changes, changes_mut};
use super::{DdlSession, Job, Schema};

/// See the module.
pub(super) struct Desk {
    pub(super) ddl: DdlSession,
    pub(super) schema: Schema,
    /// Keys are asked for: by net batches, and by workers that share a window.
    wants_keys: bool,
}

/// Held for questions and for DDL, never while changes are encoded.
pub(super) type SharedDesk = Arc<Mutex<Desk>>;

/// The keys of some tables, by the addresses of their table maps.
pub(super) type Keys = HashMap<usize, Arc<TableKeys>>;

impl Desk {
    pub(super) fn new(ddl: DdlSession, wants_keys: bool) -> Self {
        Self { ddl, schema: Schema::default(), wants_keys }
    }

    /// Makes sure that transactions fit the target's tables. Gives how many do from the first on, and why the next one
    /// does not.
    pub(super) async fn fit(&mut self, jobs: &mut [Job]) -> Result<(usize, Option<Error>)> {
        let tables = jobs.iter().flat_map(|job| changes(&job.transaction.body)).filter_map(Change::table);
        self.schema.read_ahead(self.ddl.connection(), tables, self.wants_keys).await?;
        for (index, job) in jobs.iter_mut().enumerate() {
            let statements = changes_mut(&mut job.transaction.body);
            self.schema.settle_databases(self.ddl.connection(), statements).await?;
            let tables = changes(&job.transaction.body).filter_map(Change::table);
            match self.schema.require(self.ddl.connection(), tables).await {
                Ok(()) => {}
                Err(error) if error.code() == Code::SchemaMismatch => {
                    return Ok((index, Some(at(error, job))));
                }
                Err(error) => return Err(at(error, job)),
            }
        }
        Ok((jobs.len(), None))
    }

    /// The same for changes that are not a whole transaction.
    pub(super) async fn fit_changes(&mut self, changes: &mut [Change]) -> Result<()> {
        self.schema.settle_databases(self.ddl.connection(), changes.iter_mut()).await?;
        self.schema.require(self.ddl.connection(), changes.iter().filter_map(Change::table)).await
    }

    /// The keys of tables that fit.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) async fn keys<'a>(&mut self, tables: impl Iterator<Item = &'a Arc<Routed>>) -> Result<Keys> {
        let mut keys = Keys::new();
        for table in tables {
            let address = Arc::as_ptr(table).addr();
            if keys.contains_key(&address) {
                continue;
            }
            self.schema.require_keys(self.ddl.connection(), std::iter::once(table)).await?;
            if let Some(known) = self.schema.keys(table) {
                keys.insert(address, known);
            }
        }
        Ok(keys)
    }

    /// Runs a statement that commits by itself. Nothing is in flight, and the caller records the end.
    pub(super) async fn run_once(
        &mut self,
        seq: Seq,
        start: &Coordinates,
        gtid: Option<&Gtid>,
        statement: &StatementChange,
    ) -> Result<()> {
        let place = format!("transaction {seq} at {start}");
        self.ddl.run_once(seq, start, gtid, statement).await.map_err(|error| error.context(place))?;
        self.schema.forget();
        Ok(())
    }

    /// # Errors
    /// `BB4008` if another bridge of the same name has taken over.
    pub(super) async fn check_owner(&mut self, tables: &Tables, fence: Fence) -> Result<()> {
        let connection = self.ddl.connection();
        let rows = Row::parse_all(&connection.query(&tables.read(false)).await?)?;
        connection.execute("COMMIT").await?;
        if rows.iter().any(|row| row.fence.epoch != fence.epoch) {
            bail!(Fenced, "another bridge of the same name has taken over (our epoch was {})", fence.epoch);
        }
        Ok(())
    }
}
