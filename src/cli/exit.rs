//! Exit codes (sysexits.h) and the one place where an error is shown.

use std::io::Write;
use std::process::ExitCode;

use crate::error::{Error, Policy};

/// A shutdown that could not finish what was in flight. Nothing is lost: the next start goes on from the durable place.
pub(super) const EX_TEMPFAIL: u8 = 75;

/// Help and version are no errors; anything else is 64.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
}

/// Shows an error with its remedy.
pub(super) fn failed(error: &Error) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "error {error}");
    let _ = writeln!(stderr, "  remedy: {}", error.code().remedy());
    if matches!(error.policy(), Policy::Retry) {
        let _ = writeln!(stderr, "  this kind of error passes by itself: starting again is safe");
    }
    ExitCode::from(error.exit_code())
}
