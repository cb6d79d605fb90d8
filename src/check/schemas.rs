//! Tables of both sides compared: forgotten in the copy, of another shape, or two that would become one.
//!
//! Each server makes a digest of each table's columns, so that what travels and is held is a line per table.

use std::collections::HashMap;

use crate::error::{Code, Error, Result};
use crate::transaction::{Route, Rules, is_system_schema};
use crate::wire::{Connection, Endpoint, quote_text};

use super::Findings;

/// Names in one message.
const MOST_NAMES: usize = 10;

/// One table, by what matters for its rows: number, order, names, types, signs and character sets of its columns.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    digest: String,
    engine: String,
}

type Shapes = HashMap<(String, String), Shape>;

/// Compares the tables that the source's account can see with the target's. With `binding`, what does not fit keeps the
/// bridge from starting: no transaction was applied yet, so the target is as it was copied. Later a statement that is
/// still to come may make it fit.
///
/// # Errors
/// Those of the connections.
pub async fn schemas(source: &Endpoint, target: &Endpoint, rules: &Rules, binding: bool) -> Result<Findings> {
    let (mut source, mut target) =
        tokio::try_join!(Connection::connect(source), Connection::connect(target))?;
    let (ours, theirs) = tokio::try_join!(shapes(&mut source), shapes(&mut target))?;
    let (compared, mut findings) = (compare(&ours, &theirs, rules), Findings::default());
    if ours.is_empty() {
        findings.note(
            "the account sees no tables on the source, so they were not compared with the target's: GRANT SELECT on the \
             schemas to it for that",
        );
    }
    for (what, tables) in compared.named() {
        if tables.is_empty() {
            continue;
        }
        let error = Error::new(Code::SchemaMismatch, format!("{what}: {}", few(&tables)));
        let first = tables.first().filter(|_| what == OTHER_COLUMNS);
        let error = match first {
            Some((source_name, target_name)) => {
                error.context(difference(&mut source, source_name, &mut target, target_name).await?)
            }
            None => error,
        };
        if binding || what == TWO_BECOME_ONE {
            findings.block(error.context(
                "if a statement that is still to be replicated mends this, start with bridge.despite = [\"BB4001\"]",
            ));
        } else {
            findings.note(format!("{error} (a statement that is still to be replicated may mend this)"));
        }
    }
    source.close().await;
    target.close().await;
    Ok(findings)
}

type Name = (String, String);

const MISSING: &str = "tables of the source that are not on the target";
const OTHER_COLUMNS: &str = "tables whose columns differ between source and target";
const OTHER_ENGINE: &str =
    "tables that are not InnoDB on the target, so that their changes would not commit with the progress";
const TWO_BECOME_ONE: &str =
    "tables that share one name on the target (names folded to lower case, or renames)";

#[derive(Debug, Default)]
struct Compared {
    missing: Vec<(Name, Name)>,
    other_columns: Vec<(Name, Name)>,
    other_engine: Vec<(Name, Name)>,
    two_become_one: Vec<(Name, Name)>,
}

impl Compared {
    fn named(self) -> [(&'static str, Vec<(Name, Name)>); 4] {
        [
            (TWO_BECOME_ONE, self.two_become_one),
            (MISSING, self.missing),
            (OTHER_COLUMNS, self.other_columns),
            (OTHER_ENGINE, self.other_engine),
        ]
    }
}

fn compare(source: &Shapes, target: &Shapes, rules: &Rules) -> Compared {
    let mut compared = Compared::default();
    let mut taken: HashMap<Name, &Name> = HashMap::new();
    let mut names: Vec<(&Name, &Shape)> = source.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    for (name, ours) in names {
        let Route::Keep { schema, table } = rules.route(&name.0, &name.1) else { continue };
        let there = (schema, table);
        if taken.insert(there.clone(), name).is_some() {
            compared.two_become_one.push((name.clone(), there));
            continue;
        }
        let pair = (name.clone(), there);
        match target.get(&pair.1) {
            None => compared.missing.push(pair),
            Some(theirs) if theirs.engine != "InnoDB" => compared.other_engine.push(pair),
            Some(theirs) if theirs.digest != ours.digest => compared.other_columns.push(pair),
            Some(_) => {}
        }
    }
    compared
}

fn few(tables: &[(Name, Name)]) -> String {
    let shown = |(source, target): &(Name, Name)| {
        let [source, target] = [source, target].map(|(schema, table)| format!("{schema}.{table}"));
        if source == target { source } else { format!("{source} ({target} there)") }
    };
    let names: Vec<String> = tables.iter().take(MOST_NAMES).map(shown).collect();
    match tables.len().saturating_sub(MOST_NAMES) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// What of a column matters, as text. `utf8` is `utf8mb3` under its older name; a display width does not count.
const COLUMN: &str = "LOWER(CONCAT_WS('|', c.column_name, c.data_type, c.column_type LIKE '%unsigned%', \
    IFNULL(c.character_maximum_length, ''), IF(c.data_type IN ('decimal'), CONCAT(c.numeric_precision, ',', c.numeric_scale), ''), \
    IFNULL(c.datetime_precision, ''), IF(c.character_set_name = 'utf8', 'utf8mb3', IFNULL(c.character_set_name, '')), \
    IF(c.data_type IN ('enum', 'set', 'bit'), c.column_type, '')))";

/// The key that a server makes by itself does not count: rows go around it.
const NOT_GENERATED: &str = "NOT (c.column_name = 'my_row_id' AND c.extra LIKE '%INVISIBLE%')";

async fn shapes(connection: &mut Connection) -> Result<Shapes> {
    connection.execute("SET SESSION group_concat_max_len = 16777216").await?;
    let sql = format!(
        "SELECT c.table_schema, c.table_name, MAX(t.engine), SHA2(GROUP_CONCAT({COLUMN} ORDER BY c.ordinal_position SEPARATOR ';'), 256) \
         FROM information_schema.columns AS c \
         JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
         WHERE t.table_type = 'BASE TABLE' AND {NOT_GENERATED} \
         AND c.table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') \
         GROUP BY c.table_schema, c.table_name"
    );
    let rows = connection.query(&sql).await?;
    let shape = |row: &crate::wire::Row| {
        let text = |index: usize| row.text(index).unwrap_or_default().to_owned();
        ((text(0), text(1)), Shape { engine: text(2), digest: text(3) })
    };
    Ok(rows.rows.iter().map(shape).filter(|((schema, _), _)| !is_system_schema(schema)).collect())
}

/// The first column that differs.
async fn difference(
    source: &mut Connection,
    source_name: &Name,
    target: &mut Connection,
    target_name: &Name,
) -> Result<String> {
    let (ours, theirs) = (columns(source, source_name).await?, columns(target, target_name).await?);
    let at = (0..ours.len().max(theirs.len())).find(|&index| ours.get(index) != theirs.get(index));
    let said = |columns: &[String], index: usize| {
        columns
            .get(index)
            .map_or("no such column".to_owned(), |column| column.replace('|', " ").trim().to_owned())
    };
    Ok(match at {
        Some(index) => format!(
            "the first of them, column {}: {} on the source, {} on the target",
            index + 1,
            said(&ours, index),
            said(&theirs, index)
        ),
        None => "they have changed meanwhile".to_owned(),
    })
}

async fn columns(connection: &mut Connection, (schema, table): &Name) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT {COLUMN} FROM information_schema.columns AS c WHERE c.table_schema = {} AND c.table_name = {} \
         AND {NOT_GENERATED} ORDER BY c.ordinal_position",
        quote_text(schema),
        quote_text(table)
    );
    let rows = connection.query(&sql).await?;
    Ok(rows.rows.iter().map(|row| row.text(0).unwrap_or_default().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::NameCase;

    fn shapes(tables: &[(&str, &str)]) -> Shapes {
        let shape = |(name, digest): &(&str, &str)| {
            let (schema, table) = name.split_once('.').unwrap();
            let (digest, engine) = digest.split_once(' ').unwrap_or((digest, "InnoDB"));
            (
                (schema.to_owned(), table.to_owned()),
                Shape { digest: digest.to_owned(), engine: engine.to_owned() },
            )
        };
        tables.iter().map(shape).collect()
    }

    fn names(pairs: &[(Name, Name)]) -> String {
        few(pairs)
    }

    #[test]
    fn missing_and_differing_tables_are_told_under_both_names() {
        let rules = Rules {
            exclude: vec!["b.*".parse().unwrap()],
            rename_schemas: HashMap::from([("a".to_owned(), "z".to_owned())]),
            ..Rules::default()
        };
        let source =
            shapes(&[("a.same", "1"), ("a.gone", "1"), ("a.other", "1"), ("b.x", "1"), ("a.old", "1")]);
        let target = shapes(&[("z.same", "1"), ("z.other", "2"), ("z.old", "1 MyISAM"), ("z.more", "1")]);
        let compared = compare(&source, &target, &rules);
        assert_eq!(names(&compared.missing), "a.gone (z.gone there)");
        assert_eq!(names(&compared.other_columns), "a.other (z.other there)");
        assert_eq!(names(&compared.other_engine), "a.old (z.old there)");
        assert!(compared.two_become_one.is_empty());
    }

    #[test]
    fn names_that_fold_to_one_are_told() {
        let rules = Rules { case: NameCase::Lower, ..Rules::default() };
        let source = shapes(&[("a.T", "1"), ("a.t", "1"), ("a.u", "1")]);
        let target = shapes(&[("a.t", "1"), ("a.u", "1")]);
        let compared = compare(&source, &target, &rules);
        assert_eq!(names(&compared.two_become_one), "a.t");
        assert!(compared.missing.is_empty());
    }
}
