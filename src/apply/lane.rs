//! What the coordinator knows of a worker: what it has, and what it must not have yet.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::Batch;
use super::worker::Order;

/// A worker, from the outside.
pub(super) struct Lane {
    pub(super) orders: mpsc::Sender<Order>,
    /// Ordered, and not heard of yet.
    pub(super) under_way: VecDeque<UnderWay>,
    /// Waits for commits of other workers, in order.
    pub(super) held_back: VecDeque<HeldBack>,
}

/// A window, of which each worker may have a share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub(super) transactions: usize,
    /// Of events.
    pub(super) bytes: usize,
}

/// A batch that a worker has.
pub(super) struct UnderWay {
    /// Transactions of it that are not committed yet.
    pub(super) left: usize,
    /// Bytes of all of it.
    pub(super) bytes: usize,
    /// The window it is part of.
    pub(super) window: u64,
    /// All of that window.
    pub(super) of: Whole,
}

/// A batch that a worker must not have yet.
pub(super) struct HeldBack {
    pub(super) batch: Batch,
    pub(super) window: u64,
    pub(super) of: Whole,
    /// Windows and workers whose batches must be committed first.
    pub(super) after: Vec<(u64, usize)>,
}

impl Lane {
    /// Whether it has anything of a window, or will.
    pub(super) fn has(&self, window: u64) -> bool {
        self.under_way.iter().any(|batch| batch.window == window)
            || self.held_back.iter().any(|batch| batch.window == window)
    }

    /// Bytes of the batches that it has or will have.
    pub(super) fn load(&self) -> usize {
        let held_back = self.held_back.iter().map(|held| held.batch.bytes);
        self.under_way.iter().map(|batch| batch.bytes).chain(held_back).sum()
    }
}
