//! A target table's keys, as the target says: what makes rows of it meet.

use std::sync::Arc;

use super::Weights;

/// A table by its names as the target spells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TableName {
    /// Its schema.
    pub schema: Arc<str>,
    /// Its own name.
    pub table: Arc<str>,
}

/// The keys of a table. Columns are numbered as in the table, its generated invisible primary key left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableKeys {
    /// The table.
    pub name: TableName,
    /// In order.
    pub columns: Vec<KeyColumn>,
    /// The primary key; none also if it is the generated one.
    pub primary: Option<UniqueKey>,
    /// The server made an invisible primary key by itself, which stands before the first column.
    pub generated_key: bool,
    /// All other unique keys.
    pub unique: Vec<UniqueKey>,
    /// Foreign keys of this table, with its own columns.
    pub parents: Vec<ForeignKey>,
    /// Foreign keys that refer to this table, with the columns referred to.
    pub children: Vec<ForeignKey>,
}

/// What of a column matters to a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyColumn {
    /// How its texts are compared.
    pub collation: Collation,
    /// By what weights exactly, if that is known: more than the collation tells.
    pub weights: Option<Arc<Weights>>,
    /// It is computed when read: what a row image says of it is not relied upon.
    pub computed: bool,
}

/// How values that are texts are compared, as far as claims tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Collation {
    /// Byte by byte, perhaps with trailing spaces ignored; also all that is no text.
    #[default]
    Bytes,
    /// Printable ASCII texts that are equal differ in nothing but case and trailing spaces.
    Folded,
    /// Nothing is known: any two texts may be equal.
    Unknown,
}

/// What of the rows a unique key depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// The whole values of its columns.
    #[default]
    Values,
    /// Parts of its columns' values.
    Prefixes,
    /// An expression over columns that are not known.
    Row,
}

/// A unique key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UniqueKey {
    /// Its columns in the key's order.
    pub columns: Vec<usize>,
    /// What of them counts.
    pub reach: Reach,
}

/// A foreign key, seen from one of its two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name, unique within the child's schema.
    pub name: Arc<str>,
    /// The table that refers.
    pub child: TableName,
    /// The table referred to.
    pub parent: TableName,
    /// The columns of the table whose keys these are, in the foreign key's order.
    pub columns: Vec<usize>,
    /// Both sides' columns are of one type and collation, so that equal values have equal claims.
    pub comparable: bool,
    /// What becomes of children when their parent goes.
    pub on_delete: Rule,
    /// What becomes of children when their parent's key changes.
    pub on_update: Rule,
}

/// What a change of a parent does to its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It is refused (`RESTRICT`, `NO ACTION`).
    Restrict,
    /// The server changes them by itself (`CASCADE`, `SET NULL`).
    Cascade,
}

impl TableKeys {
    /// Whether there is any foreign key from or to this table.
    pub fn has_foreign_keys(&self) -> bool {
        !self.parents.is_empty() || !self.children.is_empty()
    }
}

impl Rule {
    /// From `DELETE_RULE` or `UPDATE_RULE`.
    pub fn of(text: &str) -> Self {
        if matches!(text, "RESTRICT" | "NO ACTION") { Self::Restrict } else { Self::Cascade }
    }
}

/// Collations in which printable ASCII texts are equal only if they are but for case. Those made for a language may
/// also join letters (`i` and `y` in Lithuanian) or count several as one (`ccs` and `cscs` in Hungarian), and some old
/// ones join signs with letters (`Y` and `~` in GBK, GB2312 and Big5). An integration test asks a server about each.
const FOLDED: &[&str] = &[
    "utf8mb4_0900_ai_ci",
    "utf8mb4_0900_as_ci",
    "utf8mb4_0900_as_cs",
    "utf8mb4_unicode_ci",
    "utf8mb4_unicode_520_ci",
    "utf8mb3_unicode_ci",
    "utf8mb3_unicode_520_ci",
    "utf8_unicode_ci",
    "utf8_unicode_520_ci",
    "latin1_swedish_ci",
    "latin1_german1_ci",
    "gb18030_chinese_ci",
    "sjis_japanese_ci",
    "cp932_japanese_ci",
    "ujis_japanese_ci",
    "eucjpms_japanese_ci",
    "euckr_korean_ci",
];

/// General collations that join printable ASCII characters: `M` and `N`; `@` and `` ` ``; the space and `` ` ``.
const JOINING: &[&str] = &["macce_general_ci", "geostd8_general_ci", "koi8u_general_ci"];

/// Character sets whose characters take two or four bytes each: their texts are not ASCII even if each byte is.
const WIDE: &[&str] = &["ucs2", "utf16", "utf16le", "utf32"];

impl Collation {
    /// What is known of the collation of this name; `None` for columns without one.
    pub fn of(name: Option<&str>) -> Self {
        let Some(name) = name else { return Self::Bytes };
        let (charset, order) = name.split_once('_').unwrap_or((name, ""));
        if name == "binary" || order == "bin" || order == "0900_bin" {
            return Self::Bytes;
        }
        // In swe7, ASCII's brackets are letters.
        let ascii = !WIDE.contains(&charset) && charset != "swe7";
        let general = matches!(order, "general_ci" | "general_cs" | "general_mysql500_ci");
        let folded = FOLDED.contains(&name) || (general && !JOINING.contains(&name));
        if ascii && folded { Self::Folded } else { Self::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_collations_known_to_tell_ascii_letters_apart_are_folded() {
        for (name, expected) in [
            ("utf8mb4_0900_ai_ci", Collation::Folded),
            ("utf8mb4_general_ci", Collation::Folded),
            ("utf8mb4_0900_bin", Collation::Bytes),
            ("utf8mb4_bin", Collation::Bytes),
            ("binary", Collation::Bytes),
            ("utf8mb4_hu_0900_ai_ci", Collation::Unknown),
            ("utf8mb4_lithuanian_ci", Collation::Unknown),
            ("utf8mb4_roman_ci", Collation::Unknown),
            ("utf16_general_ci", Collation::Unknown),
            ("swe7_swedish_ci", Collation::Unknown),
            ("cp1250_general_ci", Collation::Folded),
            ("macce_general_ci", Collation::Unknown),
            ("gbk_chinese_ci", Collation::Unknown),
        ] {
            assert_eq!(Collation::of(Some(name)), expected, "{name}");
        }
        assert_eq!(Collation::of(None), Collation::Bytes);
    }
}
