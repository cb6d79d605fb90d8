//! What a net batch must be: the same as the plain order, for any schema and history.

mod clock;
mod events;
mod examples;
mod history;
mod proof;
mod schema;
mod speed;
mod store;
mod windows;

// What makes schemas and histories (`schema`, `store`, `history`) is compiled into the integration tests as well: these
// are the names that it has from outside.
use super::{Collation, ForeignKey, KeyColumn, Reach, Rule, TableKeys, TableName, UniqueKey};
use crate::binlog::RowsEvent;
