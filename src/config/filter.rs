//! Which schemas and tables are replicated, and under which names. Filters see the source's names.

/// What is replicated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these; empty: everything.
    pub include: Vec<Pattern>,
    /// Not these, whatever `include` says.
    pub exclude: Vec<Pattern>,
    /// New names. A table's own rename wins over its schema's.
    pub rename: Vec<Rename>,
    /// Case of names on the target.
    pub names: Names,
}

/// All tables of a schema, or one table. Names as written: how they compare is the servers' matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The schema.
    pub schema: String,
    /// The table; `None`: all of them.
    pub table: Option<String>,
}

/// A schema, or a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The schema.
    pub schema: String,
    /// The table; `None`: the name is a schema's.
    pub table: Option<String>,
}

/// A name on the source and the one on the target; both are schemas, or both are tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// On the source.
    pub from: Name,
    /// On the target.
    pub to: Name,
}

/// Case of names on the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// Lower where the target's `lower_case_table_names` is not 0 and the source's is.
    #[default]
    Auto,
    /// As they are.
    Keep,
    /// Lower.
    Lower,
}
