//! What a net batch must be: the same as the plain order, for any schema and history.

mod clock;
mod events;
mod examples;
mod history;
mod proof;
mod schema;
mod store;
mod windows;

// What makes schemas and histories (`schema`, `store`, `history`) is compiled into the integration tests as well: these
// are the names that it has from outside.
use super::{Collation, ForeignKey, KeyColumn, Reach, Rule, TableKeys, TableName, UniqueKey};
use crate::binlog::RowsEvent;

use std::sync::{Arc, LazyLock};

use schema::Schema;

use super::{Weights, weights};

static WEIGHTS: LazyLock<Arc<Weights>> = LazyLock::new(|| Arc::new(weights::tests::some()));

/// The keys of a schema's tables; in every second one the weights of texts are known.
fn keys_of(schema: &Schema) -> Vec<Arc<TableKeys>> {
    let mut keys: Vec<TableKeys> = (0..schema.tables.len()).map(|table| schema.keys(table)).collect();
    for column in keys.iter_mut().step_by(2).flat_map(|keys| &mut keys.columns) {
        column.weights = (column.collation == Collation::Folded).then(|| Arc::clone(&WEIGHTS));
    }
    keys.into_iter().map(Arc::new).collect()
}
