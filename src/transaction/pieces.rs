//! What of a transaction goes ahead of its end, and what must not.

use std::sync::Arc;

use crate::bail;
use crate::error::Result;

use super::assembler::{Assembler, Await};
use super::open::Open;
use super::{Piece, Unit};

impl Assembler {
    /// What is held goes ahead before a change that would make it larger than a piece may be: the target takes packets
    /// up to a limit, so a large change travels alone.
    pub(super) fn make_room(&self, open: &mut Open, size: usize) -> Option<Unit> {
        let fits = open.changes.is_empty() || open.bytes + size <= self.limits.piece;
        (!fits && open.xa.is_none()).then(|| self.piece(open))
    }

    pub(super) fn keep_open(&mut self, mut open: Box<Open>, ahead: Option<Unit>) -> Result<Option<Unit>> {
        if open.xa.is_some() && open.bytes > self.limits.prepared {
            if !open.head.is_one_of(&self.skipped) {
                bail!(
                    TooLarge,
                    "an XA transaction holds more than {} bytes, and nothing of it may go ahead of its end: raise apply.memory \
                     (a quarter of it is for those)",
                    self.limits.prepared
                );
            }
            (open.changes, open.bytes) = (Vec::new(), 0);
        }
        let full = open.bytes >= self.limits.piece && open.xa.is_none();
        let unit = ahead.or_else(|| full.then(|| self.piece(&mut open)));
        self.state = Await::Change(open);
        Ok(unit)
    }

    fn piece(&self, open: &mut Open) -> Unit {
        let index = open.pieces;
        open.pieces += 1;
        Unit::Piece(Piece {
            seq: self.next,
            gtid: open.head.gtid.as_ref().and_then(|gtid| gtid.gtid.clone()),
            start: open.head.start.clone(),
            committed_us: open.head.committed_us(),
            index,
            create: open.create.take(),
            changes: std::mem::take(&mut open.changes),
            bytes: std::mem::take(&mut open.bytes),
            format: Arc::clone(&self.format),
        })
    }
}
