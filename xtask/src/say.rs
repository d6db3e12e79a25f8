//! Output: the one place that writes to the terminal.

use std::io::{self, Write as _};

/// Prints a line.
pub(crate) fn line(text: &str) {
    // A reader that has gone does not change what was found.
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Prints a line on standard error.
pub(crate) fn error(text: &str) {
    // Nobody is left to tell if this fails.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
