//! What is counted of changes that a commit carries.

use crate::observe::Rows;
use crate::transaction::Change;

/// Sums over changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) rows: Rows,
    pub(super) statements: u64,
    /// Of events.
    pub(super) bytes: usize,
}

impl Tally {
    /// Adds changes whose events have so many bytes.
    pub(super) fn add<'a>(&mut self, changes: impl Iterator<Item = &'a Change>, bytes: usize) {
        self.bytes += bytes;
        for change in changes {
            match change {
                Change::Rows(rows) => self.rows.add(rows.event.kind, rows.rows),
                Change::Statement(_) => self.statements += 1,
            }
        }
    }
}
