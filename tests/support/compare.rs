//! Whether two servers hold the same rows.

use std::collections::BTreeMap;

use super::server::Server;

/// Compares every base table of `databases`, names folded to lower case: by `CHECKSUM TABLE`, or, where only one
/// side has a generated invisible primary key or there is a multi-valued index, by a digest of the rows without it.
/// The error names each table that differs. Nobody may write to either side meanwhile.
pub fn compare(left: &Server, right: &Server, databases: &[&str]) -> Result<(), String> {
    let tables = [tables_of(left, databases)?, tables_of(right, databases)?];
    let sums = [checksums(left, &tables[0])?, checksums(right, &tables[1])?];
    let names = [left.name(), right.name()];
    let mut differences: Vec<String> = Vec::new();
    for (side, other) in [(0, 1), (1, 0)] {
        let missing = tables[side].keys().filter(|name| !tables[other].contains_key(*name));
        differences.extend(missing.map(|name| format!("{name} is not on {}", names[other])));
    }
    for (name, left_table) in &tables[0] {
        let Some(right_table) = tables[1].get(name) else { continue };
        // The hidden column of a multi-valued index counts in CHECKSUM TABLE, differently for the same rows.
        let same_shape =
            left_table.generated_key() == right_table.generated_key() && !left_table.multi_valued;
        if same_shape && sums[0][name] == sums[1][name] && sums[0][name] != "NULL" {
            continue;
        }
        let pairs = left_table.common_columns(right_table);
        let digests = [
            left_table.digest(left, pairs.iter().map(|pair| pair.0))?,
            right_table.digest(right, pairs.iter().map(|pair| pair.1))?,
        ];
        let same_columns = left_table.folded_columns() == right_table.folded_columns();
        if !same_shape && same_columns && digests[0] == digests[1] {
            continue;
        }
        let columns = if same_columns { "" } else { "; columns differ" };
        let [one, two] = [(0, "CHECKSUM TABLE"), (1, "CHECKSUM TABLE")].map(|(side, how)| {
            format!("{}: {} rows, {how} {}", names[side], digests[side].rows, sums[side][name])
        });
        let alike = if digests[0] == digests[1] { "; the rows' digests are equal" } else { "" };
        differences.push(format!("{name} differs ({one}; {two}{columns}{alike})"));
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}

#[derive(Debug)]
struct Table {
    /// Quoted, with the schema.
    quoted: String,
    columns: Vec<Column>,
    multi_valued: bool,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    generated_key: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Digest {
    rows: String,
    sums: String,
}

impl Table {
    fn generated_key(&self) -> bool {
        self.columns.iter().any(|column| column.generated_key)
    }

    fn visible(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.generated_key)
    }

    fn folded_columns(&self) -> Vec<String> {
        self.visible().map(|column| column.name.to_lowercase()).collect()
    }

    fn common_columns<'a>(&'a self, other: &'a Self) -> Vec<(&'a Column, &'a Column)> {
        let pair = |own: &'a Column| {
            let same = |column: &&Column| column.name.to_lowercase() == own.name.to_lowercase();
            Some((own, other.visible().find(same)?))
        };
        self.visible().filter_map(pair).collect()
    }

    /// The number of rows and two sums over their hashes: equal for the same rows in any order, and, unlike XOR, not
    /// blind to rows that are there twice.
    fn digest<'a>(&self, on: &Server, columns: impl Iterator<Item = &'a Column>) -> Result<Digest, String> {
        let hashes: Vec<String> = columns.map(|column| format!("IFNULL({}, '-')", column.hash())).collect();
        let row = if hashes.is_empty() { "''".to_owned() } else { hashes.join(", ") };
        // SHA1 and MD5 are not built in any more (9.7 has them in a component).
        let text = on.try_sql(&format!(
            "SET time_zone = '+00:00'; \
             SELECT COUNT(*), SUM(CAST(CONV(LEFT(h, 15), 16, 10) AS UNSIGNED)), \
             SUM(CAST(CONV(RIGHT(h, 15), 16, 10) AS UNSIGNED)) \
             FROM (SELECT SHA2(CONCAT_WS(',', {row}), 256) AS h FROM {}) AS hashes",
            self.quoted
        ))?;
        let (rows, sums) = text.split_once('\t').ok_or_else(|| format!("no digest in '{text}'"))?;
        Ok(Digest { rows: rows.to_owned(), sums: sums.to_owned() })
    }
}

impl Column {
    /// An expression that is NULL for NULL and else depends on each bit of the value.
    fn hash(&self) -> String {
        let name = quote(&self.name);
        match self.kind.as_str() {
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "binary" | "varbinary"
            | "tinyblob" | "blob" | "mediumblob" | "longblob" | "enum" | "set" => {
                format!("SHA2({name}, 256)")
            }
            // As text a FLOAT is cut to six digits.
            "float" => format!("SHA2(CAST(CAST({name} AS DOUBLE) AS CHAR), 256)"),
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "double" | "date"
            | "time" | "datetime" | "timestamp" | "year" | "json" => {
                format!("SHA2(CAST({name} AS CHAR), 256)")
            }
            _ => format!("SHA2(HEX({name}), 256)"),
        }
    }
}

fn tables_of(server: &Server, databases: &[&str]) -> Result<BTreeMap<String, Table>, String> {
    let list: Vec<String> = databases.iter().map(|name| format!("'{}'", name.to_lowercase())).collect();
    let rows = server.try_sql(&format!(
        "SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.extra \
         FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
         WHERE t.table_type = 'BASE TABLE' AND LOWER(c.table_schema) IN ({}) \
         ORDER BY c.table_schema, c.table_name, c.ordinal_position",
        list.join(", ")
    ))?;
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for row in rows.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let &[schema, table, column, kind, extra] = fields.as_slice() else {
            return Err(format!("a table with a name that cannot be read: {row}"));
        };
        let quoted = format!("{}.{}", quote(schema), quote(table));
        let entry = tables.entry(format!("{schema}.{table}").to_lowercase()).or_insert_with(|| Table {
            quoted: quoted.clone(),
            columns: Vec::new(),
            multi_valued: false,
        });
        if entry.quoted != quoted {
            return Err(format!("{quoted} and {} are the same when folded", entry.quoted));
        }
        entry.columns.push(Column {
            name: column.to_owned(),
            kind: kind.to_lowercase(),
            generated_key: column == "my_row_id" && extra.contains("INVISIBLE"),
        });
    }
    let multi_valued = server.try_sql(&format!(
        "SELECT DISTINCT LOWER(CONCAT(table_schema, '.', table_name)) FROM information_schema.statistics \
         WHERE expression LIKE '% array)%' AND LOWER(table_schema) IN ({})",
        list.join(", ")
    ))?;
    for name in multi_valued.lines() {
        tables.entry(name.to_owned()).and_modify(|table| table.multi_valued = true);
    }
    Ok(tables)
}

fn checksums(server: &Server, tables: &BTreeMap<String, Table>) -> Result<BTreeMap<String, String>, String> {
    if tables.is_empty() {
        return Ok(BTreeMap::new());
    }
    let list: Vec<&str> = tables.values().map(|table| table.quoted.as_str()).collect();
    let rows = server.try_sql(&format!("CHECKSUM TABLE {}", list.join(", ")))?;
    // One row for each table, in the order asked for.
    let sums = rows.lines().map(|row| row.rsplit('\t').next().unwrap_or_default().to_owned());
    Ok(tables.keys().cloned().zip(sums).collect())
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
