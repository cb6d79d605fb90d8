//! The target's tables, as the target says, and whether a source's table map fits them.
//!
//! DDL is applied in order, so the target's schema is always the schema at this position: it is read at a table's first
//! use and again after each DDL statement. Nothing is stored, no DDL is parsed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::bail;
use crate::binlog::{Column, ColumnType};
use crate::error::{Code, Error, Result};
use crate::schedule::TableKeys;
use crate::transaction::{Change, Routed};
use crate::wire::{Connection, Rows, quote_text};

use super::keys::KeyCatalogue;

/// A column of a target's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetColumn {
    /// Its name.
    pub name: String,
    /// `DATA_TYPE`, such as `bigint`.
    pub data_type: String,
    /// Whether a number is unsigned.
    pub unsigned: bool,
    /// Its character set, if it has one.
    pub charset: Option<String>,
    /// The invisible primary key that the server made by itself.
    pub generated_key: bool,
}

/// A target's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetTable {
    /// In order.
    pub columns: Vec<TargetColumn>,
    /// Its storage engine.
    pub engine: String,
}

/// What is known of the target's tables.
#[derive(Debug, Default)]
pub struct Schema {
    /// Table maps that fit, by address; each entry keeps its map alive, so the address stays its own.
    fitting: HashMap<usize, Arc<Routed>>,
    charsets: HashMap<u32, String>,
    /// Whether a schema is there.
    databases: HashMap<Bytes, bool>,
    /// Tables read ahead, by the address of the table map.
    ahead: HashMap<usize, Option<TargetTable>>,
    keys: KeyCatalogue,
}

/// The default database of statements whose own is not on the target. A name without schema must not find a table of
/// the statement before: here it finds none that can be written.
pub(super) const NOWHERE: &str = "information_schema";

impl Schema {
    /// Forgets everything: a DDL statement ran.
    pub fn forget(&mut self) {
        self.fitting.clear();
        self.databases.clear();
        self.ahead.clear();
        self.keys.forget();
    }

    /// Reads the tables that are not known yet, with their keys where they will be asked for, all in a few round trips.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn read_ahead<'a>(
        &mut self,
        connection: &mut Connection,
        tables: impl Iterator<Item = &'a Arc<Routed>>,
        with_keys: bool,
    ) -> Result<()> {
        let mut new: HashMap<usize, &Arc<Routed>> = HashMap::new();
        for table in tables {
            let address = Arc::as_ptr(table).addr();
            if !self.fitting.contains_key(&address) {
                new.entry(address).or_insert(table);
            }
        }
        let new: Vec<(usize, &Arc<Routed>)> = new.into_iter().collect();
        for some in new.chunks(AT_ONCE) {
            let questions: Vec<String> = some.iter().map(|(_, table)| question(table)).collect();
            let answers = connection.query_each(&questions).await?;
            for ((address, _), rows) in some.iter().zip(&answers) {
                self.ahead.insert(*address, target_table(rows));
            }
            if with_keys {
                self.keys.read_ahead(connection, some.iter().map(|(_, table)| *table)).await?;
            }
        }
        if !new.is_empty() {
            // Without this the next question would see the schema as it is now.
            connection.execute("COMMIT").await?;
        }
        Ok(())
    }

    /// Gives statements whose default database is not on the target `NOWHERE` instead: they may still name tables of
    /// other schemas, and a replica does not look (sql/log_event.cc, `set_thd_db`).
    ///
    /// # Errors
    /// Those of the question.
    pub async fn settle_databases(
        &mut self,
        connection: &mut Connection,
        changes: impl Iterator<Item = &mut Change>,
    ) -> Result<()> {
        for change in changes {
            let Change::Statement(statement) = change else { continue };
            let database = &mut statement.query.database;
            if !database.is_empty() && !self.has_database(connection, database).await? {
                *database = Bytes::from_static(NOWHERE.as_bytes());
            }
        }
        Ok(())
    }

    /// Reads the keys of the tables, as far as they are not known.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn require_keys<'a>(
        &mut self,
        connection: &mut Connection,
        tables: impl Iterator<Item = &'a Arc<Routed>>,
    ) -> Result<()> {
        for table in tables {
            self.keys.require(connection, table).await?;
        }
        Ok(())
    }

    async fn has_database(&mut self, connection: &mut Connection, name: &Bytes) -> Result<bool> {
        if let Some(known) = self.databases.get(name) {
            return Ok(*known);
        }
        let quoted = quote_text(&String::from_utf8_lossy(name));
        let sql = format!("SELECT 1 FROM information_schema.schemata WHERE schema_name = {quoted}");
        let found = !connection.query(&sql).await?.rows.is_empty();
        connection.execute("COMMIT").await?;
        // The name may be a slice of a large event.
        self.databases.insert(Bytes::copy_from_slice(name), found);
        Ok(found)
    }

    /// The keys of a table that [`Self::require_keys`] has read.
    pub fn keys(&self, table: &Arc<Routed>) -> Option<Arc<TableKeys>> {
        self.keys.known(table)
    }

    /// Makes sure that the tables are on the target and that the source's rows fit them.
    ///
    /// # Errors
    /// `BB4001` naming table and column.
    pub async fn require<'a>(
        &mut self,
        connection: &mut Connection,
        tables: impl Iterator<Item = &'a Arc<Routed>>,
    ) -> Result<()> {
        let mut new: HashSet<usize> = HashSet::new();
        for table in tables {
            let address = Arc::as_ptr(table).addr();
            if self.fitting.contains_key(&address) || !new.insert(address) {
                continue;
            }
            let found = match self.ahead.remove(&address) {
                Some(found) => found,
                None => Self::read(connection, table).await?,
            };
            let Some(found) = found else {
                bail!(SchemaMismatch, "table {}.{} is not on the target", table.schema, table.table);
            };
            if found.engine != "InnoDB" {
                bail!(
                    SchemaMismatch,
                    "table {}.{} has engine {} on the target: its changes would not commit with the progress; use InnoDB or exclude it",
                    table.schema,
                    table.table,
                    found.engine
                );
            }
            if self.charsets.is_empty() {
                self.charsets = charsets(connection).await?;
            }
            fits(
                &table.map.columns,
                table.map.signedness_known,
                table.map.generated_invisible_pk,
                &found,
                &self.charsets,
            )
            .map_err(|error| error.context(format!("table {}.{}", table.schema, table.table)))?;
            if self.fitting.len() >= MOST_FITTING {
                self.fitting.clear();
            }
            self.fitting.insert(address, Arc::clone(table));
        }
        Ok(())
    }

    async fn read(connection: &mut Connection, table: &Routed) -> Result<Option<TargetTable>> {
        let rows = connection.query(&question(table)).await?;
        // Without this the next question would see the schema as it is now.
        connection.execute("COMMIT").await?;
        Ok(target_table(&rows))
    }
}

/// Tables that are asked for in one text.
const AT_ONCE: usize = 64;

fn question(table: &Routed) -> String {
    format!(
        "SELECT c.column_name, c.data_type, c.column_type LIKE '%unsigned%', c.character_set_name, \
         c.column_name = 'my_row_id' AND c.extra LIKE '%INVISIBLE%' AND c.ordinal_position = 1, t.engine \
         FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name) \
         WHERE c.table_schema = {} AND c.table_name = {} ORDER BY c.ordinal_position",
        quote_text(&table.schema),
        quote_text(&table.table)
    )
}

/// The answer to [`question`]; none if the table is not there.
fn target_table(rows: &Rows) -> Option<TargetTable> {
    let columns: Vec<TargetColumn> = rows
        .rows
        .iter()
        .map(|row| TargetColumn {
            name: row.text(0).unwrap_or_default().to_owned(),
            data_type: row.text(1).unwrap_or_default().to_lowercase(),
            unsigned: row.text(2) == Some("1"),
            charset: row.text(3).map(str::to_owned),
            generated_key: row.text(4) == Some("1"),
        })
        .collect();
    let engine = rows.rows.first().and_then(|row| row.text(5)).unwrap_or_default().to_owned();
    (!columns.is_empty()).then_some(TargetTable { columns, engine })
}

/// More than this many table maps at once are looked up anew; a source uses a new table id after each DDL.
const MOST_FITTING: usize = 16_384;

async fn charsets(connection: &mut Connection) -> Result<HashMap<u32, String>> {
    let rows = connection.query("SELECT id, character_set_name FROM information_schema.collations").await?;
    connection.execute("COMMIT").await?;
    let pair = |row: &crate::wire::Row| Some((row.text(0)?.parse().ok()?, row.text(1)?.to_owned()));
    Ok(rows.rows.iter().filter_map(pair).collect())
}

/// Whether rows of these columns may go into the table as bytes. The server itself checks types; it does not check the
/// number of columns, signs and character sets, where a difference would change values in silence.
fn fits(
    columns: &[Column],
    signedness_known: bool,
    source_generated_key: bool,
    table: &TargetTable,
    charsets: &HashMap<u32, String>,
) -> Result<()> {
    // The server maps rows without its own generated key, and rows with the source's, by itself.
    let theirs: Vec<&TargetColumn> = table.columns.iter().filter(|column| !column.generated_key).collect();
    let ours = columns.get(usize::from(source_generated_key)..).unwrap_or_default();
    if ours.len() != theirs.len() {
        bail!(SchemaMismatch, "the source's table has {} columns, the target's {}", ours.len(), theirs.len());
    }
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let differs = |what: String| {
            Err(Error::new(Code::SchemaMismatch, format!("column {} ({}): {what}", index + 1, theirs.name)))
        };
        if signedness_known && is_integer(ours.kind) && ours.unsigned != theirs.unsigned {
            let sign = |unsigned| if unsigned { "unsigned" } else { "signed" };
            return differs(format!(
                "{} on the source, {} on the target",
                sign(ours.unsigned),
                sign(theirs.unsigned)
            ));
        }
        let charset = ours.charset.and_then(|id| charsets.get(&id));
        if let (Some(source), Some(target)) = (charset, &theirs.charset)
            && canonical(source) != canonical(target)
        {
            return differs(format!("character set {source} on the source, {target} on the target"));
        }
    }
    Ok(())
}

/// `utf8` is `utf8mb3` under its older name.
fn canonical(charset: &str) -> &str {
    if charset == "utf8" { "utf8mb3" } else { charset }
}

fn is_integer(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::TinyInt
            | ColumnType::SmallInt
            | ColumnType::MediumInt
            | ColumnType::Int
            | ColumnType::BigInt
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: ColumnType, unsigned: bool, charset: Option<u32>) -> Column {
        Column {
            kind,
            meta: 0,
            nullable: true,
            unsigned,
            visible: true,
            charset,
            name: None,
            labels: None,
            geometry: None,
            vector_dimensions: None,
        }
    }

    fn target(name: &str, unsigned: bool, charset: Option<&str>) -> TargetColumn {
        TargetColumn {
            name: name.into(),
            data_type: String::new(),
            unsigned,
            charset: charset.map(Into::into),
            generated_key: name == "my_row_id",
        }
    }

    fn check(ours: &[Column], theirs: Vec<TargetColumn>) -> Result<()> {
        let charsets = HashMap::from([(8, "latin1".to_owned()), (255, "utf8mb4".to_owned())]);
        fits(ours, true, false, &TargetTable { columns: theirs, engine: "InnoDB".into() }, &charsets)
    }

    #[test]
    fn a_missing_column_a_sign_and_a_character_set_are_told() {
        let int = source(ColumnType::Int, false, None);
        let text = source(ColumnType::VarChar, false, Some(8));
        assert!(check(std::slice::from_ref(&int), vec![target("a", false, None)]).is_ok());
        assert!(
            check(std::slice::from_ref(&int), vec![target("a", false, None), target("b", false, None)])
                .is_err()
        );
        let error = check(std::slice::from_ref(&int), vec![target("a", true, None)]).unwrap_err();
        assert!(error.to_string().contains("column 1 (a): signed on the source"), "{error}");
        assert!(check(std::slice::from_ref(&text), vec![target("a", false, Some("latin1"))]).is_ok());
        assert!(check(&[text], vec![target("a", false, Some("utf8mb4"))]).is_err());
    }

    #[test]
    fn the_targets_generated_key_does_not_count() {
        let int = source(ColumnType::Int, false, None);
        assert!(check(&[int], vec![target("my_row_id", true, None), target("a", false, None)]).is_ok());
    }
}
