//! Large buffers for texts and events, shared by the workers of a bridge.
//!
//! Large buffers that come and go tear the heap into pieces, and one for each worker for good would be most of the memory
//! that a bridge takes. So a few are kept, for whoever encodes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many are kept: the text and the events of one batch.
const KEPT: usize = 2;
/// A larger one, made for one large row, is not.
const LARGEST: usize = 32 << 20;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// An empty one, the largest there is.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut kept = self.lock();
        let largest = (0..kept.len()).max_by_key(|&index| kept.get(index).map_or(0, Vec::capacity));
        largest.map(|index| kept.swap_remove(index)).unwrap_or_default()
    }

    /// Keeps one for the next, if it is worth it.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.lock();
        if buffer.capacity() > 0 && buffer.capacity() <= LARGEST {
            kept.push(buffer);
        }
        kept.sort_by_key(|buffer| std::cmp::Reverse(buffer.capacity()));
        kept.truncate(KEPT);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_but_none_that_is_too_large() {
        let buffers = Buffers::default();
        for size in [10, 3000, LARGEST + 1, 200, 0] {
            buffers.give(Vec::with_capacity(size));
        }
        assert_eq!(buffers.take().capacity(), 3000);
        assert_eq!(buffers.take().capacity(), 200);
        assert_eq!(buffers.take().capacity(), 0);
    }
}
