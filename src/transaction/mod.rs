//! Assembly of events into transactions, and the rules that say which of their changes go on.

mod assembler;
mod change;
mod open;
mod pieces;
mod routes;
mod rules;
mod sql;
mod statement;
#[cfg(test)]
mod tests;
mod weigh;

pub use assembler::{Assembler, Limits};
pub use change::{
    Body, Change, Clock, Context, Format, Piece, RowsChange, StatementChange, Transaction, Unit, Xid,
};
pub use routes::{Routed, Routes};
pub use rules::{NameCase, Pattern, Route, Rules, is_system_schema};
pub use statement::{Dropped, Judgement, judge};
