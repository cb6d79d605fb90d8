//! Which tables go on, and under which names.

use std::collections::HashMap;

use crate::bail;
use crate::error::Error;

/// Schemas that are a server's own. Writes to them are passed over (RDS heartbeats, statistics, accounts), and the
/// position advances.
const SYSTEM_SCHEMAS: [&str; 6] =
    ["mysql", "sys", "information_schema", "performance_schema", "innodb_memcache", "tmp"];

/// Whether a schema is a server's own.
pub fn is_system_schema(schema: &str) -> bool {
    SYSTEM_SCHEMAS.iter().any(|system| schema.eq_ignore_ascii_case(system))
}

/// `schema.table`, either with `*` for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    schema: String,
    table: String,
}

impl std::str::FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('.') {
            Some((schema, table)) if !schema.is_empty() && !table.is_empty() => {
                Ok(Self { schema: schema.to_owned(), table: table.to_owned() })
            }
            _ => bail!(Config, "`{text}` is not of the form schema.table (use schema.* for a whole schema)"),
        }
    }
}

impl Pattern {
    fn matches(&self, schema: &str, table: &str) -> bool {
        wildcard(&self.schema, schema) && wildcard(&self.table, table)
    }

    fn could_match_schema(&self, schema: &str) -> bool {
        wildcard(&self.schema, schema)
    }

    fn whole_schema(&self) -> bool {
        self.table == "*"
    }
}

fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(tail)
}

/// What becomes of the letters of names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NameCase {
    /// As they are.
    #[default]
    Keep,
    /// Folded to lower case, as the target does (`lower_case_table_names` 1 or 2).
    Lower,
}

/// Where a table goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Nowhere.
    Drop,
    /// To the target's table of these names.
    Keep {
        /// The target's schema.
        schema: String,
        /// The target's table.
        table: String,
    },
}

/// The operator's filters and renames.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Only these, if any are named.
    pub include: Vec<Pattern>,
    /// Not these.
    pub exclude: Vec<Pattern>,
    /// Schema to schema.
    pub rename_schemas: HashMap<String, String>,
    /// Table to table; wins over the schema's rename.
    pub rename_tables: HashMap<(String, String), (String, String)>,
    /// What becomes of the letters.
    pub case: NameCase,
    /// [`NameCase::Lower`] if the source folds names (`lower_case_table_names` 1 or 2): its statements hold them as they
    /// were typed, its row events folded. `None` if that is not known.
    pub source_case: Option<NameCase>,
    /// The schema of the progress tables, which is never replicated.
    pub own_schema: String,
}

impl Rules {
    /// What becomes of letters on the source, once it is known. Where it folds names, the operator's words for them mean
    /// the folded ones, too: `Shop.*` must not pass over everything in `shop`.
    pub fn learn_source_case(&mut self, case: NameCase) {
        self.source_case = Some(case);
        if case == NameCase::Keep {
            return;
        }
        for pattern in self.include.iter_mut().chain(&mut self.exclude) {
            *pattern = Pattern { schema: pattern.schema.to_lowercase(), table: pattern.table.to_lowercase() };
        }
        let schemas = std::mem::take(&mut self.rename_schemas);
        self.rename_schemas = schemas.into_iter().map(|(from, to)| (from.to_lowercase(), to)).collect();
        let tables = std::mem::take(&mut self.rename_tables);
        self.rename_tables = tables
            .into_iter()
            .map(|((schema, table), to)| ((schema.to_lowercase(), table.to_lowercase()), to))
            .collect();
    }

    /// Where a table goes.
    pub fn route(&self, schema: &str, table: &str) -> Route {
        let (known_schema, known_table) = (self.source_name(schema), self.source_name(table));
        let matches = |pattern: &Pattern| pattern.matches(&known_schema, &known_table);
        let wanted = self.include.is_empty() || self.include.iter().any(matches);
        if self.is_own(schema) || !wanted || self.exclude.iter().any(matches) {
            return Route::Drop;
        }
        let renamed_schema = self.rename_schemas.get(&known_schema);
        let (schema, table) = match self.rename_tables.get(&(known_schema, known_table)) {
            Some((schema, table)) => (schema.as_str(), table.as_str()),
            None => (renamed_schema.map_or(schema, String::as_str), table),
        };
        Route::Keep { schema: self.fold(schema), table: self.fold(table) }
    }

    /// Whether a schema as a whole goes on (for statements about the schema itself): `None` if only some of its tables
    /// might.
    pub fn route_schema(&self, schema: &str) -> Option<Route> {
        if self.is_own(schema)
            || self.exclude.iter().any(|pattern| pattern.whole_schema() && pattern.could_match_schema(schema))
        {
            return Some(Route::Drop);
        }
        let some =
            self.include.is_empty() || self.include.iter().any(|pattern| pattern.could_match_schema(schema));
        if !some {
            return Some(Route::Drop);
        }
        let whole = self.include.is_empty()
            || self
                .include
                .iter()
                .any(|pattern| pattern.whole_schema() && pattern.could_match_schema(schema));
        whole.then(|| Route::Keep { schema: self.fold(self.schema_name(schema)), table: String::new() })
    }

    /// Whether statements go on as they are: no filter and no rename of the operator's. (The target folds names in
    /// statements by itself.)
    pub fn is_plain(&self) -> bool {
        self.include.is_empty()
            && self.exclude.is_empty()
            && self.rename_schemas.is_empty()
            && self.rename_tables.is_empty()
    }

    /// A server's own schema, or ours.
    pub fn is_own(&self, schema: &str) -> bool {
        is_system_schema(schema) || schema.eq_ignore_ascii_case(&self.own_schema)
    }

    /// Whether every table of a schema goes on under its own name.
    pub(super) fn is_whole(&self, schema: &str) -> bool {
        let touches = |pattern: &Pattern| pattern.could_match_schema(schema);
        !self.is_own(schema)
            && !self.exclude.iter().any(touches)
            && !self.rename_schemas.contains_key(schema)
            && !self.rename_tables.keys().any(|(from, _)| from == schema)
            && (self.include.is_empty()
                || self.include.iter().any(|pattern| pattern.whole_schema() && touches(pattern)))
    }

    /// A name of a statement as the source knows it.
    pub(super) fn source_name(&self, name: &str) -> String {
        match self.source_case {
            Some(NameCase::Lower) => name.to_lowercase(),
            Some(NameCase::Keep) | None => name.to_owned(),
        }
    }

    /// Whether it cannot be known where a statement's table goes, because that depends on whether the source folds names.
    pub(super) fn case_decides(&self, schema: &str, table: &str) -> bool {
        let (low_schema, low_table) = (schema.to_lowercase(), table.to_lowercase());
        if self.source_case.is_some() || (low_schema == schema && low_table == table) {
            return false;
        }
        let renamed = |schema: &str, table: &str| {
            self.rename_schemas.contains_key(schema)
                || self.rename_tables.contains_key(&(schema.to_owned(), table.to_owned()))
        };
        match (self.route(schema, table), self.route(&low_schema, &low_table)) {
            (Route::Drop, Route::Keep { .. }) => true,
            (Route::Keep { .. }, Route::Keep { .. }) => {
                renamed(&low_schema, &low_table) && !renamed(schema, table)
            }
            (Route::Keep { .. }, Route::Drop) => {
                self.exclude.iter().any(|pattern| pattern.matches(&low_schema, &low_table))
            }
            (Route::Drop, Route::Drop) => false,
        }
    }

    /// The schema under its new name.
    pub(super) fn schema_name<'a>(&'a self, schema: &'a str) -> &'a str {
        self.rename_schemas.get(schema).map_or(schema, String::as_str)
    }

    /// As the target folds a name.
    pub(super) fn fold(&self, name: &str) -> String {
        match self.case {
            NameCase::Keep => name.to_owned(),
            NameCase::Lower => name.to_lowercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(include: &[&str], exclude: &[&str]) -> Rules {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Rules {
            include: parse(include),
            exclude: parse(exclude),
            own_schema: "binbridge".into(),
            ..Rules::default()
        }
    }

    fn keep(schema: &str, table: &str) -> Route {
        Route::Keep { schema: schema.into(), table: table.into() }
    }

    #[test]
    fn the_servers_own_schemas_and_ours_never_go_on() {
        let rules = rules(&["*.*"], &[]);
        assert_eq!(rules.route("mysql", "rds_heartbeat2"), Route::Drop);
        assert_eq!(rules.route("binbridge", "progress"), Route::Drop);
        assert_eq!(rules.route("shop", "orders"), keep("shop", "orders"));
    }

    #[test]
    fn exclusion_wins_over_inclusion() {
        let rules = rules(&["shop.*", "crm.user*"], &["shop.tmp_*_old"]);
        assert_eq!(rules.route("shop", "orders"), keep("shop", "orders"));
        assert_eq!(rules.route("shop", "tmp_a_old"), Route::Drop);
        assert_eq!(rules.route("shop", "tmp_a"), keep("shop", "tmp_a"));
        assert_eq!(rules.route("crm", "users"), keep("crm", "users"));
        assert_eq!(rules.route("crm", "leads"), Route::Drop);
        assert_eq!(rules.route_schema("shop"), Some(keep("shop", "")));
        assert_eq!(rules.route_schema("crm"), None);
        assert_eq!(rules.route_schema("hr"), Some(Route::Drop));
    }

    #[test]
    fn a_tables_own_rename_wins_over_its_schemas_and_names_fold_last() {
        let mut rules = rules(&[], &[]);
        rules.rename_schemas.insert("Shop".into(), "Laden".into());
        rules.rename_tables.insert(("Shop".into(), "A".into()), ("Other".into(), "B".into()));
        rules.case = NameCase::Lower;
        assert_eq!(rules.route("Shop", "A"), keep("other", "b"));
        assert_eq!(rules.route("Shop", "Ñandú"), keep("laden", "ñandú"));
    }

    #[test]
    fn where_the_source_folds_names_the_operators_capitals_are_no_others() {
        let mut rules = rules(&["Shop.*", "CRM.Users"], &["Shop.Secret"]);
        rules.rename_schemas.insert("Shop".into(), "Laden".into());
        rules.rename_tables.insert(("CRM".into(), "Users".into()), ("shop".into(), "people".into()));
        assert_eq!(rules.route("shop", "orders"), Route::Drop);
        rules.learn_source_case(NameCase::Lower);
        assert_eq!(rules.route("shop", "orders"), keep("Laden", "orders"));
        assert_eq!(rules.route("shop", "secret"), Route::Drop);
        assert_eq!(rules.route("crm", "users"), keep("shop", "people"));
        // Kept as created, compared in lower case (lower_case_table_names = 2).
        assert_eq!(rules.route("Shop", "Orders"), keep("Laden", "Orders"));
    }

    #[test]
    fn wildcards_match_runs_of_characters() {
        for (pattern, text, expected) in [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("*", "", true),
            ("ab", "abc", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }
}
