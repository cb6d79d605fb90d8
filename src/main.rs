//! The binbridge program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    binbridge::cli::main()
}
