//! A server that follows a script, for tests.
