//! Decoding of binlog events, sans-IO.
