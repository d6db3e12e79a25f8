//! The person's terminal: a passphrase is typed without being shown.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use crate::error::ApproverError;
use crate::passphrase::{AskPassphrase, PASSPHRASE_MAX_BYTES, Passphrase};

/// How often a wrong passphrase may be typed again.
const TRIES: u32 = 3;

/// The process's controlling terminal, wherever its input and output lead.
#[derive(Debug, Default)]
pub struct Terminal;

impl Terminal {
    /// Whether there is one.
    #[must_use]
    pub fn is_there() -> bool {
        open().is_ok()
    }
}

impl AskPassphrase for Terminal {
    fn existing(&mut self) -> Result<Passphrase, ApproverError> {
        Passphrase::from_bytes(&ask("Passphrase of your approver key: ")?)
    }

    fn new_one(&mut self, name: &str) -> Result<Option<Passphrase>, ApproverError> {
        let typed = ask("New passphrase for your approver key (empty for none): ")?;
        if typed.is_empty() {
            return Ok(None);
        }
        let passphrase = Passphrase::from_bytes(&typed)?;
        passphrase.check_strength(name)?;
        let again = ask("The same again: ")?;
        if *again != *typed {
            return Err(ApproverError::Differ);
        }
        Ok(Some(passphrase))
    }

    fn tries(&self) -> u32 {
        TRIES
    }
}

fn open() -> Result<File, ApproverError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open("/dev/tty")
        .map_err(|_| ApproverError::NoTerminal)
}

/// The terminal with its echo off, and as it was again when this is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn new(terminal: File) -> Result<Self, ApproverError> {
        let failed = |error: rustix::io::Errno| ApproverError::Unreadable(error.into());
        let before = tcgetattr(&terminal).map_err(failed)?;
        let mut quiet = before.clone();
        // Keys come one by one, the interrupt key as well: so nothing ends the program while the echo is off.
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question is not an answer to it.
        tcsetattr(&terminal, OptionalActions::Flush, &quiet).map_err(failed)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _restored = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
        drop(self.terminal.write_all(b"\n"));
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<Vec<u8>>, ApproverError> {
    let mut quiet = Quiet::new(open()?)?;
    quiet
        .terminal
        .write_all(prompt.as_bytes())
        .map_err(ApproverError::Unreadable)?;
    read_line(&mut quiet.terminal)
}

fn read_line(terminal: &mut impl io::Read) -> Result<Zeroizing<Vec<u8>>, ApproverError> {
    // Room from the start: a vector that grows leaves its old content behind.
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_MAX_BYTES.saturating_add(1)));
    let mut byte = Zeroizing::new([0]);
    loop {
        match terminal.read(&mut *byte) {
            Ok(0) => return Err(ApproverError::Cancelled),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ApproverError::Unreadable(error)),
        }
        let [typed] = *byte;
        match typed {
            b'\r' | b'\n' => return Ok(line),
            // The interrupt key, the suspend key (which would leave the echo off), end of input, escape.
            0x03 | 0x1a | 0x04 | 0x1b => return Err(ApproverError::Cancelled),
            // Erase: a whole character of UTF-8.
            0x7f | 0x08 => while line.pop().is_some_and(|last| last & 0xc0 == 0x80) {},
            // Erase all.
            0x15 => line.clear(),
            _ if line.len() >= PASSPHRASE_MAX_BYTES => return Err(ApproverError::NotAPassphrase),
            _ => line.push(typed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Option<Vec<u8>> {
        let mut keys = keys;
        read_line(&mut keys).ok().map(|line| line.to_vec())
    }

    #[test]
    fn keys_do_what_they_do_at_a_prompt() {
        assert_eq!(typed(b"word\rmore").unwrap(), b"word");
        assert_eq!(typed("ab\u{e9}\x7f\x7fc\n".as_bytes()).unwrap(), b"ac");
        assert_eq!(typed(b"\x7f\x08a\x15b\n").unwrap(), b"b");
        assert_eq!(typed(b"  spaces stay \n").unwrap(), b"  spaces stay ");
        for stopped in [
            &b"abc\x03\n"[..],
            b"\x04",
            b"a\x1b[A\n",
            b"a\x1a",
            b"no end",
        ] {
            assert_eq!(typed(stopped), None);
        }
        assert_eq!(typed(&[b'a'; 2000]), None);
    }
}
