//! What is merged, and what ends a segment.
