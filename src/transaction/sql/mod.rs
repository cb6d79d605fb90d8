//! Statements as SQL: which tables they touch, and their text under the target's names.

use crate::binlog::{QueryEvent, UpdatedDatabases};
use crate::error::Result;

use super::{Dropped, Judgement, Rules};

/// See [`super::judge`].
pub(super) fn judge(rules: &Rules, query: &QueryEvent, _standalone: bool) -> Result<Judgement> {
    if let Some(UpdatedDatabases::Names(names)) = &query.status.updated_databases
        && !names.is_empty()
        && names.iter().all(|name| rules.is_own(&String::from_utf8_lossy(name)))
    {
        return Ok(Judgement::Drop(Dropped::System));
    }
    Ok(Judgement::Keep { sql: query.sql.clone(), database: query.database.clone() })
}
