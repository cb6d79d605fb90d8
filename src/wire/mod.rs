//! The MySQL client protocol, one implementation for both ends.
