//! Table maps with their way to the target.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::binlog::TableMap;

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
    seen: HashMap<usize, (Arc<TableMap>, Option<Arc<Routed>>)>,
}

/// More maps than this at once are forgotten and judged anew; the source uses a new table id after each DDL.
const MOST_SEEN: usize = 8192;

impl Routes {
    /// No map seen yet.
    pub fn new(rules: Rules) -> Self {
        Self { rules, seen: HashMap::new() }
    }

    /// What becomes of letters on the source, once it is known. What was said before is judged anew.
    pub fn learn_source_case(&mut self, case: NameCase) {
        self.rules.source_case = Some(case);
        self.seen.clear();
    }

    /// The rules themselves, for statements.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where the rows of a table map go; `None` if nowhere.
    pub fn route(&mut self, map: &Arc<TableMap>) -> Option<Arc<Routed>> {
        let address = Arc::as_ptr(map).addr();
        if let Some((_, routed)) = self.seen.get(&address) {
            return routed.clone();
        }
        if self.seen.len() >= MOST_SEEN {
            self.seen.clear();
        }
        let routed = self.judge(map);
        self.seen.insert(address, (Arc::clone(map), routed.clone()));
        routed
    }

    fn judge(&self, map: &Arc<TableMap>) -> Option<Arc<Routed>> {
        let Route::Keep { schema, table } = self.rules.route(&map.schema, &map.table) else { return None };
        let same = *schema == *map.schema && *table == *map.table;
        let event = if same { map.bytes.clone() } else { map.renamed(&schema, &table, map.table_id) };
        Some(Arc::new(Routed { map: Arc::clone(map), schema: schema.into(), table: table.into(), event }))
    }
}
