//! What the target's schemas look like, as a short text: where the target has no GTIDs it says, after a crash, whether
//! a DDL statement ran.

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::hex::hex;
use crate::wire::{Connection, quote_text};

/// Everything of a schema that a DDL statement can change. InnoDB's own table id tells apart two tables of the same
/// definition that change names: it stays with the table when it is renamed, and `TRUNCATE` gives a new one.
const QUERIES: [&str; 11] = [
    "SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name IN (@) ORDER BY 1",
    "SELECT table_schema, table_name, table_type, engine, row_format, create_options, table_comment, table_collation FROM information_schema.tables WHERE table_schema IN (@) ORDER BY 1, 2",
    "SELECT table_schema, table_name, column_name, ordinal_position, column_default, is_nullable, column_type, collation_name, extra, column_comment, generation_expression, srs_id FROM information_schema.columns WHERE table_schema IN (@) ORDER BY 1, 2, 4",
    "SELECT table_schema, table_name, index_name, seq_in_index, column_name, non_unique, collation, sub_part, index_type, index_comment, is_visible, expression FROM information_schema.statistics WHERE table_schema IN (@) ORDER BY 1, 2, 3, 4",
    "SELECT constraint_schema, constraint_name, table_name, referenced_table_name, update_rule, delete_rule FROM information_schema.referential_constraints WHERE constraint_schema IN (@) ORDER BY 1, 2",
    "SELECT table_schema, table_name, constraint_name, constraint_type, enforced FROM information_schema.table_constraints WHERE table_schema IN (@) ORDER BY 1, 2, 3",
    "SELECT table_schema, table_name, partition_name, subpartition_name, partition_method, partition_expression, partition_description FROM information_schema.partitions WHERE table_schema IN (@) ORDER BY 1, 2, 3, 4",
    "SELECT table_schema, table_name, view_definition, definer, security_type FROM information_schema.views WHERE table_schema IN (@) ORDER BY 1, 2",
    "SELECT routine_schema, routine_name, routine_type, created, last_altered, routine_definition FROM information_schema.routines WHERE routine_schema IN (@) ORDER BY 1, 2, 3",
    "SELECT trigger_schema, trigger_name, created, action_statement, action_order FROM information_schema.triggers WHERE trigger_schema IN (@) ORDER BY 1, 2",
    "SELECT event_schema, event_name, created, last_altered, status, event_definition FROM information_schema.events WHERE event_schema IN (@) ORDER BY 1, 2",
];

/// InnoDB's ids by name; needs PROCESS.
const TABLE_IDS: &str = "SELECT name, table_id FROM information_schema.innodb_tables WHERE @ ORDER BY 1";

/// The fingerprint of these schemas; of all but the server's own if none are named.
///
/// # Errors
/// `BB3002` if the account lacks PROCESS.
pub(super) async fn fingerprint(connection: &mut Connection, schemas: &[String]) -> Result<String> {
    let list = if schemas.is_empty() {
        "SELECT s.schema_name FROM information_schema.schemata AS s WHERE s.schema_name NOT IN ('mysql','sys','performance_schema','information_schema')".to_owned()
    } else {
        schemas.iter().map(|schema| quote_text(schema)).collect::<Vec<_>>().join(", ")
    };
    let ids = TABLE_IDS.replace('@', &in_these(schemas));
    let mut digest = Sha256::new();
    for query in QUERIES.iter().map(|query| query.replace('@', &list)).chain([ids]) {
        let rows = connection.query(&query).await?;
        for row in &rows.rows {
            for column in 0..rows.columns.len() {
                digest.update(row.text(column).map_or("\u{0}N".as_bytes(), str::as_bytes));
                digest.update([0xFF]);
            }
        }
        digest.update([0xFE]);
    }
    // The questions began a transaction, in which some variables of a statement's context cannot be set.
    connection.execute("COMMIT").await?;
    Ok(hex(&digest.finalize()))
}

/// The condition that a table of InnoDB's is in one of the schemas: what others do elsewhere on the target must not look
/// like our statement's effect. Of all but the server's own where a schema's folder cannot be told.
fn in_these(schemas: &[String]) -> String {
    let folders: Option<Vec<String>> =
        schemas.iter().map(|schema| folder(schema).map(|folder| quote_text(&folder))).collect();
    match folders {
        Some(folders) if !folders.is_empty() => {
            format!("SUBSTRING_INDEX(name, '/', 1) IN ({})", folders.join(", "))
        }
        _ => "SUBSTRING_INDEX(name, '/', 1) NOT IN ('mysql', 'sys')".to_owned(),
    }
}

/// The folder of a schema: InnoDB names its tables by their files (MySQL manual, "Mapping of Identifiers to File
/// Names"). Letters of a few alphabets have codes of their own there, which are not known here.
fn folder(schema: &str) -> Option<String> {
    let mut name = String::new();
    for letter in schema.chars() {
        match u32::from(letter) {
            _ if letter.is_ascii_alphanumeric() || letter == '_' => name.push(letter),
            0xC0..0x600 | 0x1E00..0x2000 | 0x2160..0x2180 | 0x24B0..0x24F0 | 0xFF20..0xFF60 => return None,
            code => name += &format!("@{code:04x}"),
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schemas_folder_is_told_or_left_open() {
        assert_eq!(folder("Shop_1").as_deref(), Some("Shop_1"));
        assert_eq!(folder("a-b 支店").as_deref(), Some("a@002db@0020@652f@5e97"));
        assert_eq!(folder("größe"), None);
    }
}
