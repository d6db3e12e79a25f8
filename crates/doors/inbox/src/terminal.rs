//! The terminal while the inbox has it, and as it was before, whatever ends the inbox.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError};

use ratatui::layout::Size;
use rustix::termios::{
    OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr,
};

/// The other screen, no cursor, and marks around what is pasted.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[2J";
/// All of that undone.
const LEAVE: &[u8] = b"\x1b[?2004l\x1b[0m\x1b[2J\x1b[?25h\x1b[?1049l";

/// What has to be given back: a panic in any thread does it first, so that its message can be read.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Whether a person is at both ends of this process, with a terminal that can be drawn on.
#[must_use]
pub fn is_there() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}

/// The terminal, taken over. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    input: File,
}

impl Taken {
    pub(crate) fn new() -> io::Result<Self> {
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        *before_now() = Some(before);
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            usual(info);
        }));
        let taken = Self { input };
        // What was typed before there was anything to see is no answer.
        tcsetattr(&taken.input, OptionalActions::Flush, &raw)?;
        write(ENTER)?;
        Ok(taken)
    }

    pub(crate) fn input(&self) -> &File {
        &self.input
    }

    /// The size of the window; of one that tells none, the usual one.
    pub(crate) fn size(&self) -> Size {
        match tcgetwinsize(&self.input) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size::new(size.ws_col, size.ws_row),
            _ => Size::new(80, 24),
        }
    }

    /// Forgets what was typed and not read yet.
    pub(crate) fn forget_typed(&self) {
        // Where this fails the pause after a new question still holds.
        let _flushed = tcflush(&self.input, QueueSelector::IFlush);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    if let Some(before) = before_now().take() {
        // A terminal that is gone has nothing to be given back.
        drop(write(LEAVE));
        let _restored = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
}

fn before_now() -> std::sync::MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
