//! The binbridge program.

fn main() {}
