//! A transaction whose end has not come.

use std::sync::Arc;

use crate::binlog::GtidEvent;
use crate::control::{Named, Target};
use crate::position::Coordinates;

use super::{Change, Context, StatementChange, Xid};

/// Where an event stands: places are made of it where they are kept.
#[derive(Clone, Copy)]
pub(super) struct At<'f> {
    pub(super) file: &'f Arc<str>,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl At<'_> {
    pub(super) fn start(self) -> Coordinates {
        Coordinates { file: Arc::clone(self.file), offset: self.start }
    }

    pub(super) fn end(self) -> Coordinates {
        Coordinates { file: Arc::clone(self.file), offset: self.end }
    }
}

/// What is known of a transaction from its GTID event.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) gtid: Option<GtidEvent>,
    pub(super) start: Coordinates,
}

impl Head {
    /// When the source committed it, in microseconds since 1970.
    pub(super) fn committed_us(&self) -> Option<u64> {
        let gtid = self.gtid.as_ref()?;
        gtid.original_commit_timestamp_us.or(gtid.immediate_commit_timestamp_us)
    }

    /// Whether it is among the transactions that are named.
    pub(super) fn is_one_of(&self, targets: &[Target]) -> bool {
        let gtid = self.gtid.as_ref().and_then(|gtid| gtid.gtid.as_ref());
        // Its number is for those that have come; which one is current is not decided here.
        let named = Named { seq: 0, gtid, start: &self.start, empty: true };
        targets.iter().any(|target| target.is(named))
    }
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) head: Head,
    /// Of `XA START`; its changes never go ahead, because their fate comes later.
    pub(super) xa: Option<Xid>,
    pub(super) create: Option<Box<StatementChange>>,
    pub(super) changes: Vec<Change>,
    pub(super) bytes: usize,
    pub(super) pieces: u32,
    pub(super) context: Context,
}

/// How much of a transaction is held at its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) bytes: usize,
    pub(super) streamed: bool,
}
