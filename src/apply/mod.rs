//! Batches into the target.
