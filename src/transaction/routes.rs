//! Table maps with their way to the target.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::bail;
use crate::binlog::{ByNumber, TableMap};
use crate::error::Result;

use super::{NameCase, Route, Rules};

/// A source's table map under the target's names.
#[derive(Debug)]
pub struct Routed {
    /// The source's map.
    pub map: Arc<TableMap>,
    /// The target's schema.
    pub schema: Arc<str>,
    /// The target's table.
    pub table: Arc<str>,
    /// The table map event under the target's names, without checksum.
    pub event: Bytes,
}

/// The rules, with what they said of each table map so far.
#[derive(Debug)]
pub struct Routes {
    rules: Rules,
    /// By the address of the map. The entry keeps the map alive, so the address stays its own.
    seen: ByNumber<usize, (Arc<TableMap>, Option<Arc<Routed>>)>,
    /// Which of the source's tables has which name on the target.
    taken: HashMap<Name, Name>,
}

/// Schema and table.
type Name = (String, String);

/// More maps than this at once are forgotten and judged anew; the source uses a new table id after each DDL.
const MOST_SEEN: usize = 8192;

impl Routes {
    /// No map seen yet.
    pub fn new(rules: Rules) -> Self {
        Self { rules, seen: ByNumber::default(), taken: HashMap::new() }
    }

    /// What becomes of letters on the source, once it is known. What was said before is judged anew.
    pub fn learn_source_case(&mut self, case: NameCase) {
        self.rules.learn_source_case(case);
        self.seen.clear();
    }

    /// The rules themselves, for statements.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where the rows of a table map go; `None` if nowhere.
    ///
    /// # Errors
    /// `BB4001` if another table of the source goes to the same one.
    pub fn route(&mut self, map: &Arc<TableMap>) -> Result<Option<Arc<Routed>>> {
        let address = Arc::as_ptr(map).addr();
        if let Some((_, routed)) = self.seen.get(&address) {
            return Ok(routed.clone());
        }
        if self.seen.len() >= MOST_SEEN {
            self.seen.clear();
            self.taken.clear();
        }
        let routed = self.judge(map);
        if let Some(routed) = &routed {
            self.take_name(map, routed)?;
        }
        self.seen.insert(address, (Arc::clone(map), routed.clone()));
        Ok(routed)
    }

    /// Rows of two tables in one would be changes to each other's, and nobody would notice.
    fn take_name(&mut self, map: &TableMap, routed: &Routed) -> Result<()> {
        let there = (routed.schema.to_string(), routed.table.to_string());
        let here = (map.schema.to_string(), map.table.to_string());
        match self.taken.get(&there) {
            Some(other) if *other != here => bail!(
                SchemaMismatch,
                "tables {}.{} and {}.{} of the source would be one on the target, {}.{}: exclude or rename one of them",
                other.0,
                other.1,
                here.0,
                here.1,
                there.0,
                there.1
            ),
            Some(_) => {}
            None => drop(self.taken.insert(there, here)),
        }
        Ok(())
    }

    fn judge(&self, map: &Arc<TableMap>) -> Option<Arc<Routed>> {
        let Route::Keep { schema, table } = self.rules.route(&map.schema, &map.table) else { return None };
        let same = *schema == *map.schema && *table == *map.table;
        let event = if same { map.bytes.clone() } else { map.renamed(&schema, &table, map.table_id) };
        Some(Arc::new(Routed { map: Arc::clone(map), schema: schema.into(), table: table.into(), event }))
    }
}
