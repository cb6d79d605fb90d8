//! The keys of the target's tables, as `information_schema` has them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::Result;
use crate::schedule::{
    Collation, ForeignKey, KeyColumn, Reach, Rule, TableKeys, TableName, UniqueKey, Weights,
};
use crate::transaction::Routed;
use crate::wire::{Connection, Row, Rows, quote_text};

/// Keys of tables, read at first use.
#[derive(Debug, Default)]
pub(super) struct KeyCatalogue {
    tables: HashMap<TableName, Arc<TableKeys>>,
    /// By the address of the table map; each entry keeps its map alive, so the address stays its own.
    maps: HashMap<usize, (Arc<Routed>, Arc<TableKeys>)>,
    /// All foreign keys of the target; which tables refer to one is not told by the table.
    foreign: Option<Vec<Foreign>>,
    /// Of collations by name; `None` for those of which nothing can be asked.
    weights: AllWeights,
}

type AllWeights = HashMap<String, Option<Arc<Weights>>>;

/// A foreign key by the names of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Foreign {
    name: Arc<str>,
    child: TableName,
    parent: TableName,
    /// Of the child and of the parent.
    columns: Vec<[String; 2]>,
    comparable: bool,
    on_delete: Rule,
    on_update: Rule,
}

impl KeyCatalogue {
    /// Forgets everything that a DDL statement may change: one ran.
    pub(super) fn forget(&mut self) {
        *self = Self { weights: std::mem::take(&mut self.weights), ..Self::default() };
    }

    /// What was read of a table.
    pub(super) fn known(&self, table: &Arc<Routed>) -> Option<Arc<TableKeys>> {
        self.maps.get(&Arc::as_ptr(table).addr()).map(|(_, keys)| Arc::clone(keys))
    }

    /// Reads a table's keys, if they are not known.
    pub(super) async fn require(&mut self, connection: &mut Connection, table: &Arc<Routed>) -> Result<()> {
        let address = Arc::as_ptr(table).addr();
        if self.maps.contains_key(&address) {
            return Ok(());
        }
        let name = name(&table.schema, &table.table);
        let keys = match self.tables.get(&name) {
            Some(keys) => Arc::clone(keys),
            None => self.read(connection, &name).await?,
        };
        if self.maps.len() >= MOST_TABLES {
            self.maps.clear();
            self.tables.clear();
        }
        self.tables.insert(name, Arc::clone(&keys));
        self.maps.insert(address, (Arc::clone(table), keys));
        Ok(())
    }

    /// Reads the keys of several tables, as far as they are not known, in few round trips. The caller ends the
    /// transaction.
    pub(super) async fn read_ahead(
        &mut self,
        connection: &mut Connection,
        tables: impl Iterator<Item = &Arc<Routed>>,
    ) -> Result<()> {
        let mut names: Vec<TableName> = tables.map(|table| name(&table.schema, &table.table)).collect();
        names.retain(|name| !self.tables.contains_key(name));
        names.sort_unstable_by(|one, other| (&one.schema, &one.table).cmp(&(&other.schema, &other.table)));
        names.dedup();
        self.read_foreign(connection).await?;
        let questions: Vec<String> = names.iter().flat_map(questions).collect();
        let answers = connection.query_each(&questions).await?;
        self.weigh(connection, &answers).await?;
        for (name, answers) in names.into_iter().zip(answers.chunks(2)) {
            if let [columns, unique] = answers {
                let keys = self.assemble(columns, unique);
                self.tables.insert(name, Arc::new(keys));
            }
        }
        Ok(())
    }

    /// Asks for the weights of the collations that keys use. `answers` are those to [`questions`].
    async fn weigh(&mut self, connection: &mut Connection, answers: &[Rows]) -> Result<()> {
        let mut wanted: Vec<&str> = answers
            .chunks(2)
            .filter_map(
                |answers| if let [columns, unique] = answers { Some((columns, unique)) } else { None },
            )
            .flat_map(|(columns, unique)| {
                key_collations(columns, unique, self.foreign.as_deref().unwrap_or_default())
            })
            .filter(|collation| !self.weights.contains_key(*collation))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        for collation in wanted {
            let weights = match Weights::questions(collation) {
                None => None,
                Some(questions) => {
                    let answers = connection.query_each(&questions).await?;
                    let rows = answers.iter().filter_map(|answer| answer.rows.first());
                    let columns = rows.flat_map(|row| (0..row.0.len()).map(|column| text(row, column)));
                    Weights::of(collation, columns).map(Arc::new)
                }
            };
            self.weights.insert(collation.to_owned(), weights);
        }
        Ok(())
    }

    fn assemble(&self, columns: &Rows, unique: &Rows) -> TableKeys {
        assemble(columns, unique, self.foreign.as_deref().unwrap_or_default(), &self.weights)
    }

    async fn read_foreign(&mut self, connection: &mut Connection) -> Result<()> {
        if self.foreign.is_none() {
            self.foreign = Some(foreign_keys(&connection.query(FOREIGN_KEYS).await?));
        }
        Ok(())
    }

    async fn read(&mut self, connection: &mut Connection, name: &TableName) -> Result<Arc<TableKeys>> {
        self.read_foreign(connection).await?;
        let answers = connection.query_each(&questions(name)).await?;
        self.weigh(connection, &answers).await?;
        // Without this the next question would see the schema as it is now.
        connection.execute("COMMIT").await?;
        let empty = Rows::default();
        let [columns, unique] = [0, 1].map(|index| answers.get(index).unwrap_or(&empty));
        Ok(Arc::new(self.assemble(columns, unique)))
    }
}

/// What is asked of one table: its columns, and the parts of its unique keys (one that is an expression has no column).
fn questions(name: &TableName) -> [String; 2] {
    let place =
        format!("table_schema = {} AND table_name = {}", quote_text(&name.schema), quote_text(&name.table));
    [
        format!(
            "SELECT column_name, collation_name, extra LIKE '%VIRTUAL GENERATED%', \
             column_name = 'my_row_id' AND extra LIKE '%INVISIBLE%' AND ordinal_position = 1, \
             table_schema, table_name \
             FROM information_schema.columns WHERE {place} ORDER BY ordinal_position"
        ),
        format!(
            "SELECT index_name, column_name, sub_part FROM information_schema.statistics \
             WHERE {place} AND non_unique = 0 ORDER BY index_name, seq_in_index"
        ),
    ]
}

/// More tables than this at once are read anew.
const MOST_TABLES: usize = 16_384;

const FOREIGN_KEYS: &str = "SELECT k.constraint_name, k.table_schema, k.table_name, k.referenced_table_schema, \
     k.referenced_table_name, k.column_name, k.referenced_column_name, r.delete_rule, r.update_rule, \
     c.collation_name <=> p.collation_name AND (c.data_type = p.data_type OR \
     (c.data_type IN ('char', 'varchar') AND p.data_type IN ('char', 'varchar')) OR \
     (c.data_type IN ('binary', 'varbinary') AND p.data_type IN ('binary', 'varbinary'))) \
     FROM information_schema.key_column_usage AS k \
     JOIN information_schema.referential_constraints AS r ON r.constraint_schema = k.constraint_schema \
     AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name \
     LEFT JOIN information_schema.columns AS c ON c.table_schema = k.table_schema \
     AND c.table_name = k.table_name AND c.column_name = k.column_name \
     LEFT JOIN information_schema.columns AS p ON p.table_schema = k.referenced_table_schema \
     AND p.table_name = k.referenced_table_name AND p.column_name = k.referenced_column_name \
     WHERE k.referenced_table_name IS NOT NULL \
     ORDER BY k.table_schema, k.table_name, k.constraint_name, k.ordinal_position";

fn name(schema: &str, table: &str) -> TableName {
    TableName { schema: Arc::from(schema), table: Arc::from(table) }
}

fn text(row: &Row, column: usize) -> &str {
    row.text(column).unwrap_or_default()
}

fn foreign_keys(rows: &Rows) -> Vec<Foreign> {
    let mut keys: Vec<Foreign> = Vec::new();
    for row in &rows.rows {
        let child = name(text(row, 1), text(row, 2));
        let columns = [text(row, 5).to_owned(), text(row, 6).to_owned()];
        let comparable = row.text(9) == Some("1");
        if let Some(last) = keys.last_mut().filter(|last| last.child == child && *last.name == *text(row, 0))
        {
            last.columns.push(columns);
            last.comparable &= comparable;
            continue;
        }
        keys.push(Foreign {
            name: Arc::from(text(row, 0)),
            child,
            parent: name(text(row, 3), text(row, 4)),
            columns: vec![columns],
            comparable,
            on_delete: Rule::of(text(row, 7)),
            on_update: Rule::of(text(row, 8)),
        });
    }
    keys
}

/// The collations of the columns of a table's unique and foreign keys.
fn key_collations<'r>(
    columns: &'r Rows,
    unique: &'r Rows,
    foreign: &'r [Foreign],
) -> impl Iterator<Item = &'r str> {
    let names: Vec<&str> = columns.rows.iter().map(|row| text(row, 0)).collect();
    let table = columns.rows.first().map(|row| name(text(row, 4), text(row, 5))).unwrap_or_default();
    let side = move |key: &'r Foreign| {
        let sides = [key.child == table, key.parent == table];
        let both = move |columns: &'r [String; 2]| columns.iter().zip(sides).filter(|(_, ours)| *ours);
        key.columns.iter().flat_map(both).map(|(column, _)| column.as_str())
    };
    let parts = unique.rows.iter().filter_map(|row| row.text(1)).chain(foreign.iter().flat_map(side));
    parts.filter_map(move |part| columns.rows.get(position(&names, part)?)?.text(1))
}

fn assemble(columns: &Rows, unique: &Rows, foreign: &[Foreign], weights: &AllWeights) -> TableKeys {
    let generated_key = columns.rows.first().is_some_and(|row| row.text(3) == Some("1"));
    let own = columns.rows.get(usize::from(generated_key)..).unwrap_or_default();
    let names: Vec<&str> = own.iter().map(|row| text(row, 0)).collect();
    let table = columns.rows.first().map(|row| name(text(row, 4), text(row, 5))).unwrap_or_default();
    let mut keys = TableKeys {
        columns: own
            .iter()
            .map(|row| KeyColumn {
                collation: Collation::of(row.text(1)),
                weights: row.text(1).and_then(|name| weights.get(name)).cloned().flatten(),
                computed: row.text(2) == Some("1"),
            })
            .collect(),
        generated_key,
        ..TableKeys::default()
    };
    for (index, key) in unique_keys(unique, &names) {
        if index != "PRIMARY" {
            keys.unique.push(key);
        } else if !generated_key {
            keys.primary = Some(key);
        }
    }
    let side = |key: &Foreign, side: usize| {
        let columns: Vec<usize> =
            key.columns.iter().filter_map(|pair| position(&names, pair.get(side)?)).collect();
        let comparable = key.comparable && columns.len() == key.columns.len();
        ForeignKey {
            name: Arc::clone(&key.name),
            child: key.child.clone(),
            parent: key.parent.clone(),
            // Without all of them nothing is known.
            columns: if columns.len() == key.columns.len() { columns } else { Vec::new() },
            comparable,
            on_delete: key.on_delete,
            on_update: key.on_update,
        }
    };
    keys.parents = foreign.iter().filter(|key| key.child == table).map(|key| side(key, 0)).collect();
    keys.children = foreign.iter().filter(|key| key.parent == table).map(|key| side(key, 1)).collect();
    keys.name = table;
    keys
}

/// Unique keys by their index's name.
fn unique_keys<'r>(rows: &'r Rows, names: &[&str]) -> Vec<(&'r str, UniqueKey)> {
    let mut keys: Vec<(&str, UniqueKey)> = Vec::new();
    for row in &rows.rows {
        let index = text(row, 0);
        if keys.last().is_none_or(|(last, _)| *last != index) {
            keys.push((index, UniqueKey::default()));
        }
        let Some((_, key)) = keys.last_mut() else { continue };
        match row.text(1).and_then(|column| position(names, column)) {
            Some(column) => key.columns.push(column),
            None => key.reach = Reach::Row,
        }
        if row.text(2).is_some() && key.reach == Reach::Values {
            key.reach = Reach::Prefixes;
        }
    }
    keys
}

/// Column names differ in more than case.
fn position(names: &[&str], column: &str) -> Option<usize> {
    names
        .iter()
        .position(|name| name.eq_ignore_ascii_case(column) || name.to_lowercase() == column.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&[&str]]) -> Rows {
        let value = |text: &&str| (*text != "-").then(|| (*text).to_owned().into());
        let rows = lines.iter().map(|line| Row(line.iter().map(value).collect())).collect();
        Rows { columns: Vec::new(), rows }
    }

    fn columns(names: &[&str], generated_key: bool) -> Rows {
        let line = |name: &&str| vec![(*name).to_owned(), "-".into(), "0".into(), "0".into()];
        let mut lines: Vec<Vec<String>> = names.iter().map(line).collect();
        if generated_key {
            lines[0][3] = "1".into();
        }
        let lines: Vec<Vec<&str>> =
            lines.iter().map(|line| line.iter().map(String::as_str).chain(["db", "t"]).collect()).collect();
        rows(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn keys_are_told_by_columns_with_what_of_them_counts() {
        let unique = rows(&[
            &["PRIMARY", "b", "-"],
            &["PRIMARY", "a", "-"],
            &["on_part", "c", "10"],
            &["on_expression", "a", "-"],
            &["on_expression", "-", "-"],
        ]);
        let keys = assemble(&columns(&["a", "B", "c"], false), &unique, &[], &AllWeights::new());
        assert_eq!(keys.primary, Some(UniqueKey { columns: vec![1, 0], reach: Reach::Values }));
        assert_eq!(keys.unique[0], UniqueKey { columns: vec![2], reach: Reach::Prefixes });
        assert_eq!(keys.unique[1].reach, Reach::Row);
    }

    #[test]
    fn the_generated_key_is_no_column() {
        let unique = rows(&[&["PRIMARY", "my_row_id", "-"], &["u", "a", "-"]]);
        let keys = assemble(&columns(&["my_row_id", "a"], true), &unique, &[], &AllWeights::new());
        assert!(keys.generated_key && keys.primary.is_none());
        assert_eq!((keys.columns.len(), keys.unique[0].columns.clone()), (1, vec![0]));
    }

    #[test]
    fn foreign_keys_are_seen_from_both_sides() {
        let line = |column, to| ["f", "db", "t", "db", "t", column, to, "CASCADE", "RESTRICT", "1"];
        let foreign = foreign_keys(&rows(&[&line("b", "a"), &line("c", "b")]));
        let keys = assemble(&columns(&["a", "b", "c"], false), &rows(&[]), &foreign, &AllWeights::new());
        assert_eq!(keys.parents[0].columns, [1, 2]);
        assert_eq!(keys.children[0].columns, [0, 1]);
        assert_eq!((keys.children[0].on_delete, keys.children[0].on_update), (Rule::Cascade, Rule::Restrict));
        let less = assemble(&columns(&["a", "b"], false), &rows(&[]), &foreign, &AllWeights::new());
        assert!(less.parents[0].columns.is_empty() && !less.parents[0].comparable);
    }
}
