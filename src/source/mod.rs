//! The replica session with the source.
