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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

    use super::{ENTER, LEAVE, Taken};

    /// Set for the process that takes the terminal and panics.
    const PANICS: &str = "VALETKEY_TEST_PANICS";
    const NAME: &str = "terminal::tests::a_panic_gives_the_terminal_back_before_it_says_anything";

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_says_anything() {
        if std::env::var_os(PANICS).is_some() {
            let _taken = Taken::new().expect("a terminal");
            // Another thread than the one that has the terminal: only the hook gives it back in time.
            let thread = std::thread::spawn(|| panic!("a fault of ours"));
            thread.join().expect("no panic");
            return;
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("open a terminal");
        grantpt(&master).expect("grant");
        unlockpt(&master).expect("unlock");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("the terminal's far end");
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size).expect("size");
        let before = tcgetattr(&slave).expect("modes");
        let end = || Stdio::from(slave.try_clone().expect("duplicate"));
        let status = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", NAME, "--nocapture"])
            .env(PANICS, "1")
            .env("RUST_BACKTRACE", "0")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .status()
            .expect("start");
        assert!(!status.success(), "it panics");
        let after = tcgetattr(&slave).expect("modes");
        assert_eq!(after.local_modes, before.local_modes);
        assert_eq!(after.input_modes, before.input_modes);
        assert_eq!(after.output_modes, before.output_modes);
        drop(slave);
        let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
        let mut master = File::from(master);
        // The end of a terminal that nobody has open is an error.
        while let Ok(read @ 1..) = master.read(&mut chunk) {
            seen.extend_from_slice(&chunk[..read]);
        }
        let at = |what: &[u8]| {
            let found = seen.windows(what.len()).position(|part| part == what);
            found.unwrap_or_else(|| panic!("{what:?} in {}", seen.escape_ascii()))
        };
        let said = at(b"a fault of ours");
        assert!(
            at(ENTER) < at(LEAVE) && at(LEAVE) < said,
            "{}",
            seen.escape_ascii()
        );
    }
}
