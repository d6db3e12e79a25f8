//! Output: the one place that writes to the terminal, in colour only where a person sees it.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// Prints a line. A reader that went away ends the program quietly, as every filter does.
pub(crate) fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .is_err()
    {
        quit();
    }
}

/// Prints a value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(&text),
        Err(problem) => error(&problem.to_string()),
    }
}

/// Prints a line on standard error.
pub(crate) fn error(text: &str) {
    // Nobody is left to tell if this fails.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

#[expect(
    clippy::exit,
    reason = "the reader of the output has gone: there is nobody to return to"
)]
fn quit() -> ! {
    std::process::exit(0)
}

/// Text in a terminal style.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Bold,
    Dim,
    Green,
    Red,
}

/// `text` in a style, where standard output is a terminal and `NO_COLOR` is not set.
pub(crate) fn styled(style: Style, text: &str) -> String {
    let wanted = io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if !wanted {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Green => "32",
        Style::Red => "31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
