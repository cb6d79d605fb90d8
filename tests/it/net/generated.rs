//! The random schemas and histories that net batches are proven with, on real servers: what the source makes of a history
//! is what every target has, a native replica's included.

// What makes them is the unit tests' own code, and these are the names that it has from outside.
use binbridge::binlog::RowsEvent;
use binbridge::hex::hex;
use binbridge::schedule::{Collation, ForeignKey, KeyColumn, Reach, Rule, TableKeys, TableName, UniqueKey};

#[allow(dead_code, reason = "the unit tests use the rest")]
#[path = "../../../src/schedule/tests/history.rs"]
mod history;
#[allow(dead_code, reason = "the unit tests use the rest")]
#[path = "../../../src/schedule/tests/schema.rs"]
mod schema;
#[allow(dead_code, reason = "the unit tests use the rest")]
#[path = "../../../src/schedule/tests/store.rs"]
mod store;

use super::{Field, Native, THREE, seed};
use crate::support::Session;
use history::{Draw, History};
use schema::{Action, COLUMNS, DECIMALS, Generated, Line, Nature, Reference, Schema, Table, Value};
use store::RowChange;

/// Random schemas; each is a database.
const SCHEMAS: usize = 40;

/// A schema and its history as statements.
struct Story {
    database: String,
    tables: Vec<String>,
    /// Transactions, before the targets begin and after.
    before: Vec<String>,
    after: Vec<String>,
}

impl Story {
    fn new(number: usize, logs_cascades: bool, random: &mut fastrand::Rng) -> Self {
        let mut seed = (logs_cascades, vec![[0; 10]; random.usize(1..4)]);
        for bytes in &mut seed.1 {
            random.fill(bytes);
        }
        let schema = Schema::of(&seed);
        let mut draws = |count: usize| -> Vec<Draw> {
            let draw = |_| {
                let mut values = [0; COLUMNS];
                random.fill(&mut values);
                (random.u8(..), random.u8(..), random.u8(..), values)
            };
            (0..count).map(draw).collect()
        };
        let history = History::new(&schema, &draws(30), &draws(120));
        let database = format!("g{number}");
        let [before, after] = &history.asked;
        let image = ["FULL", "MINIMAL", "NOBLOB"][number % 3];
        let mut transactions =
            |changes: &[RowChange]| transactions(&schema, (&database, image), changes, random);
        // A dump says 0 for a zero with a minus.
        let before = transactions(before).iter().map(|sql| sql.replace("-0.0e0", "0.0e0")).collect();
        let after = transactions(after);
        Self { tables: tables(&schema), before, after, database }
    }
}

fn transactions(
    schema: &Schema,
    (database, image): (&str, &str),
    mut changes: &[RowChange],
    random: &mut fastrand::Rng,
) -> Vec<String> {
    let mut all = Vec::new();
    while !changes.is_empty() {
        let (some, rest) = changes.split_at(random.usize(1..5).min(changes.len()));
        changes = rest;
        let statements: Vec<String> = some.iter().map(|change| statement(schema, change)).collect();
        all.push(format!(
            "USE {database}; SET binlog_row_image = '{image}'; BEGIN; {}; COMMIT;",
            statements.join("; ")
        ));
    }
    all
}

fn tables(schema: &Schema) -> Vec<String> {
    let mut sql = Vec::new();
    for (number, table) in schema.tables.iter().enumerate() {
        let on = if table.generated == Generated::Both { "ON" } else { "OFF" };
        sql.push(format!("SET sql_generate_invisible_primary_key = {on}"));
        let mut parts: Vec<String> = shown(table).map(|column| column_of(table, column)).collect();
        if let (Some(key), Generated::Neither) = (&table.primary, table.generated) {
            parts.push(format!("PRIMARY KEY ({})", names(key)));
        }
        for (index, key) in table.unique.iter().enumerate() {
            let needed = schema
                .tables
                .iter()
                .flat_map(|table| &table.references)
                .any(|reference| reference.parent == number && reference.to == *key);
            let reach = if index == 0 && !needed { table.reach } else { Reach::Values };
            parts.push(format!("UNIQUE ({})", unique(table, key, reach)));
        }
        sql.push(format!("CREATE TABLE t{number} ({})", parts.join(", ")));
    }
    for (number, table) in schema.tables.iter().enumerate() {
        sql.extend(table.references.iter().map(|reference| foreign(number, table, reference)));
    }
    sql
}

/// The generated key is the server's own affair.
fn shown(table: &Table) -> impl Iterator<Item = usize> {
    usize::from(table.generated == Generated::Both)..COLUMNS
}

fn names(columns: &[usize]) -> String {
    columns.iter().map(|column| format!("c{column}")).collect::<Vec<_>>().join(", ")
}

fn column_of(table: &Table, column: usize) -> String {
    let kind = match table.natures[column] {
        Nature::Int => "INT",
        Nature::Text(Collation::Bytes) => "VARCHAR(9) COLLATE utf8mb4_bin",
        Nature::Text(Collation::Folded) => "VARCHAR(9) COLLATE utf8mb4_general_ci",
        Nature::Text(Collation::Unknown) => "VARCHAR(9) COLLATE utf8mb4_lt_0900_ai_ci",
        Nature::Double => "DOUBLE",
        Nature::Decimal => "DECIMAL(5,2)",
        Nature::Binary => "VARBINARY(9)",
    };
    format!("c{column} {kind} {}", if table.is_nullable(column) { "NULL" } else { "NOT NULL" })
}

fn unique(table: &Table, key: &[usize], reach: Reach) -> String {
    // Functional keys are hidden columns. A target whose table has a generated key besides refuses rows from BINLOG then,
    // for they have another number of columns and come from no server whose version it knows.
    let expression = table.primary.is_some() && table.generated == Generated::Neither;
    let part = |column: &usize| match (reach, table.natures[*column]) {
        (Reach::Prefixes, Nature::Text(_)) => format!("c{column}(1)"),
        (Reach::Row, Nature::Int) if expression => format!("(c{column} * 2)"),
        _ => format!("c{column}"),
    };
    key.iter().map(part).collect::<Vec<_>>().join(", ")
}

fn foreign(number: usize, table: &Table, reference: &Reference) -> String {
    let nullable = reference.columns.iter().all(|column| table.is_nullable(*column));
    // A source that logs cascades logs several changes of one row, each with the image from before the statement: of a
    // row that refers to itself, or by two keys. Without a key nobody finds such a row, a native replica neither.
    let twice = reference.parent == number || table.references.len() > 1;
    let unfindable = twice && (table.primary.is_none() || table.generated == Generated::Both);
    let rule = |action| match action {
        _ if unfindable => "RESTRICT",
        Action::Cascade => "CASCADE",
        Action::SetNull if nullable => "SET NULL",
        _ => "RESTRICT",
    };
    format!(
        "ALTER TABLE t{number} ADD FOREIGN KEY ({}) REFERENCES t{} ({}) ON DELETE {} ON UPDATE {}",
        names(&reference.columns),
        reference.parent,
        names(&reference.to),
        rule(reference.on_delete),
        rule(reference.on_update),
    )
}

fn literal(nature: Nature, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Text(text) => format!("'{text}'"),
        Value::Double(bits) => format!("{:?}e0", f64::from_bits(*bits)),
        Value::Raw(bytes) if nature == Nature::Decimal => {
            let place = DECIMALS.iter().position(|own| own == bytes).unwrap();
            ["0", "-0.00", "1.50", "-2.00", "1.51"][place].to_owned()
        }
        Value::Raw(bytes) => {
            format!("X'{}'", hex(bytes))
        }
    }
}

fn statement(schema: &Schema, change: &RowChange) -> String {
    let (number, table) = (change.table, &schema.tables[change.table]);
    let equals = |line: &Line, column: usize| {
        let literal = literal(table.natures[column], &line[column]);
        // In a table without a key, the one row that is meant and not its equals.
        match table.natures[column] {
            Nature::Text(_) if table.primary.is_none() => format!("CAST(c{column} AS BINARY) <=> {literal}"),
            _ => format!("c{column} <=> {literal}"),
        }
    };
    let one = |line: &Line| {
        let key: Vec<usize> = match &table.primary {
            Some(key) if table.generated != Generated::Both => key.clone(),
            _ => shown(table).collect(),
        };
        key.into_iter().map(|column| equals(line, column)).collect::<Vec<_>>().join(" AND ")
    };
    let sql = match (&change.before, &change.after) {
        (None, Some(after)) => {
            let columns: Vec<usize> = shown(table).collect();
            let values: Vec<String> =
                columns.iter().map(|column| literal(table.natures[*column], &after[*column])).collect();
            format!("INSERT INTO t{number} ({}) VALUES ({})", names(&columns), values.join(", "))
        }
        (Some(before), Some(after)) => {
            let set: Vec<String> = shown(table)
                .filter(|column| before[*column] != after[*column])
                .map(|column| format!("c{column} = {}", literal(table.natures[column], &after[column])))
                .collect();
            // What would change the hidden key alone changes nothing.
            if set.is_empty() {
                return "DO 0".to_owned();
            }
            format!("UPDATE t{number} SET {} WHERE {} LIMIT 1", set.join(", "), one(before))
        }
        (Some(before), None) => format!("DELETE FROM t{number} WHERE {} LIMIT 1", one(before)),
        (None, None) => "DO 0".to_owned(),
    };
    if change.no_foreign_keys {
        return format!("SET foreign_key_checks = 0; {sql}; SET foreign_key_checks = 1");
    }
    sql
}

fn everywhere(foreign_keys: Native, seed: u64) {
    let field = Field::start(foreign_keys, &THREE, true);
    let mut random = fastrand::Rng::with_seed(seed);
    let stories: Vec<Story> =
        (0..SCHEMAS).map(|number| Story::new(number, !foreign_keys.source, &mut random)).collect();
    let databases: Vec<&str> = stories.iter().map(|story| story.database.as_str()).collect();
    let mut session = field.source.session().unwrap();
    let mut refused = Vec::new();
    for story in &stories {
        session.run(&format!("CREATE DATABASE {0}; USE {0}", story.database)).unwrap();
        refused.extend(story.tables.iter().filter_map(|sql| session.run(sql).err()));
    }
    assert!(refused.len() < SCHEMAS / 10, "{refused:#?}");
    let run = |session: &mut Session, of: &dyn Fn(&Story) -> &Vec<String>| {
        // By turns, so that a batch has transactions of all.
        let most = stories.iter().map(|story| of(story).len()).max().unwrap();
        let turns = (0..most).flat_map(|turn| stories.iter().filter_map(move |story| of(story).get(turn)));
        turns.filter(|sql| session.run(sql).is_ok()).count()
    };
    run(&mut session, &|story| &story.before);
    let start = field.seed(&databases);
    let went = run(&mut session, &|story| &story.after);
    let asked: usize = stories.iter().map(|story| story.after.len()).sum();
    // What the source refuses, where it is not as the model, makes it refuse more.
    assert!(went > 400 && went * 3 > asked * 2, "{went} of {asked} transactions");
    let left: usize = databases.iter().map(|database| count(&field, database)).sum();
    assert!(left > 100, "{left} rows are left to compare");
    let written = field.same(&format!("seed {seed}"), &start, "300", &databases);
    assert!(written[1] < written[0], "{written:?} bytes written: nothing was merged");
}

fn count(field: &Field, database: &str) -> usize {
    let list = field.source.sql(&format!(
        "SELECT GROUP_CONCAT('(SELECT COUNT(*) FROM {database}.', table_name, ')' SEPARATOR ' + ') \
         FROM information_schema.tables WHERE table_schema = '{database}'"
    ));
    field.source.sql(&format!("SELECT {list}")).parse().unwrap()
}

#[test]
fn random_schemas_and_histories_end_alike_on_a_native_replica_and_through_the_bridge() {
    everywhere(Native { source: false, target: false }, seed());
}

#[test]
fn random_histories_end_alike_where_cascades_are_not_in_the_log() {
    everywhere(Native { source: true, target: true }, seed() + 1);
}
