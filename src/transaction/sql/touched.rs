//! The databases that a statement touches, as its event says.

use crate::binlog::{QueryEvent, UpdatedDatabases};

use super::super::Rules;
use super::super::rules::Route;

/// The databases, if they are known.
///
/// The list is complete for changes of rows (sql/binlog.cc, `decide_logging_format`, lists every table's database, those
/// only read and those of triggers included). An empty name in it means that not all are known: the statement touches a
/// foreign key's parent.
#[derive(Debug)]
pub(super) struct Touched<'r> {
    rules: &'r Rules,
    names: Vec<String>,
}

impl<'r> Touched<'r> {
    pub(super) fn of(rules: &'r Rules, query: &QueryEvent) -> Self {
        let names = match &query.status.updated_databases {
            Some(UpdatedDatabases::Names(names)) if names.iter().all(|name| !name.is_empty()) => {
                names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
            }
            _ => Vec::new(),
        };
        Self { rules, names }
    }

    fn all(&self, holds: impl Fn(&str) -> bool) -> bool {
        !self.names.is_empty() && self.names.iter().all(|name| holds(name))
    }

    /// The event does not say.
    pub(super) fn is_unknown(&self) -> bool {
        self.names.is_empty()
    }

    /// Nothing but schemas of a server's own.
    pub(super) fn only_own(&self) -> bool {
        self.all(|name| self.rules.is_own(name))
    }

    /// No schema of a server's own.
    pub(super) fn no_own(&self) -> bool {
        self.all(|name| !self.rules.is_own(name))
    }

    /// Nothing but schemas that are not replicated at all.
    pub(super) fn only_dropped(&self) -> bool {
        self.all(|name| self.rules.route_schema(name) == Some(Route::Drop))
    }

    /// Nothing but schemas that are replicated whole and under their own names.
    pub(super) fn only_plain(&self) -> bool {
        self.all(|name| self.rules.is_whole(name))
    }
}
