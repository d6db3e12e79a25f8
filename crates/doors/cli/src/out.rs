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
        Ok(text) => line(&json_text(&text)),
        Err(problem) => error(&problem.to_string()),
    }
}

pub(crate) use valetkey_trail::harmless_json as json_text;

/// Many lines: written together, and quietly ended when the reader went away.
pub(crate) struct Bulk(io::BufWriter<io::StdoutLock<'static>>);

impl Bulk {
    pub(crate) fn new() -> Self {
        Self(io::BufWriter::with_capacity(64 << 10, io::stdout().lock()))
    }

    pub(crate) fn line(&mut self, text: &str) {
        if writeln!(self.0, "{text}").is_err() {
            quit();
        }
    }

    pub(crate) fn flush(&mut self) {
        if self.0.flush().is_err() {
            quit();
        }
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        self.flush();
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

/// How far a long piece of work is, on standard error where that is a terminal.
pub(crate) struct Progress {
    what: &'static str,
    shown: bool,
    percent: std::cell::Cell<Option<usize>>,
}

impl Progress {
    /// How many characters the bar has.
    const WIDTH: usize = 40;

    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            shown: io::stderr().is_terminal(),
            percent: std::cell::Cell::new(None),
        }
    }

    /// Shows that so many are done, where that is news.
    pub(crate) fn show(&self, done: usize, of: usize) {
        let percent = done.saturating_mul(100).checked_div(of).unwrap_or(100);
        if !self.shown || self.percent.replace(Some(percent)) == Some(percent) {
            return;
        }
        let full = percent.saturating_mul(Self::WIDTH) / 100;
        let bar = "#".repeat(full);
        let mut stderr = io::stderr().lock();
        // Nobody is left to tell if this fails.
        drop(write!(
            stderr,
            "\r{} [{bar:<40}] {percent:>3} % ({done} of {of})",
            self.what
        ));
        drop(stderr.flush());
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        if self.shown {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
    }
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
