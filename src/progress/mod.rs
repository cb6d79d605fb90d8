//! What is applied, and the proof of it: sequence numbers, the frontier, the fence, and the rows that hold them.
//!
//! Pure arithmetic and SQL text; no IO. The rows are written by the `apply` stage inside the transactions they speak of.

mod frontier;
#[cfg(test)]
mod model;
mod ranges;
mod row;
mod row_fence;

pub use frontier::{Done, Frontier, Mark, Seq};
pub use ranges::Ranges;
pub use row::{Fence, Recovered, Row, Tables};
pub(crate) use row::{part_guard, part_mark};
pub use row_fence::RowFence;
