//! Passphrases: what one is, where it comes from, and when it is too weak.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::RawFd;

use zeroize::Zeroizing;

use crate::error::ApproverError;

/// Most bytes of a passphrase: a long sentence fits, a file given by mistake does not.
pub(crate) const PASSPHRASE_MAX_BYTES: usize = 1024;

/// Fewest characters of a new passphrase. Against a guesser who has the file, and so no limit but the cost of each guess.
const CHARACTERS_MIN: usize = 12;

/// Fewest different characters of a new passphrase: fewer is a pattern on the keyboard.
const DIFFERENT_MIN: usize = 6;

/// A passphrase. Wipes itself; never shown by `Debug`. It is taken as it was typed: nothing is trimmed or normalised.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A passphrase of that text.
    ///
    /// # Errors
    /// [`ApproverError::NotAPassphrase`] when it is empty or too long.
    pub fn new(text: Zeroizing<String>) -> Result<Self, ApproverError> {
        if text.is_empty() || text.len() > PASSPHRASE_MAX_BYTES {
            return Err(ApproverError::NotAPassphrase);
        }
        Ok(Self(text))
    }

    /// A passphrase of those bytes.
    pub(crate) fn from_bytes(bytes: &Zeroizing<Vec<u8>>) -> Result<Self, ApproverError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ApproverError::NotAPassphrase)?;
        Self::new(Zeroizing::new(text.to_owned()))
    }

    /// The bytes that a key is made from.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether it will do for a new key of `name`. It catches what anyone would try first, no more.
    ///
    /// # Errors
    /// [`ApproverError::Weak`] says in words why not.
    pub fn check_strength(&self, name: &str) -> Result<(), ApproverError> {
        let different: BTreeSet<char> = self.0.chars().collect();
        let plain = self.0.to_lowercase();
        let without = plain
            .replace(&name.to_lowercase(), "")
            .replace("valetkey", "");
        if self.0.chars().count() < CHARACTERS_MIN {
            Err(ApproverError::Weak("it has fewer than 12 characters"))
        } else if different.len() < DIFFERENT_MIN {
            Err(ApproverError::Weak(
                "it is made of fewer than 6 different characters",
            ))
        } else if without.chars().count() < CHARACTERS_MIN / 2 {
            Err(ApproverError::Weak("it is little more than your name"))
        } else if is_run(&plain) {
            Err(ApproverError::Weak("its characters follow one another"))
        } else {
            Ok(())
        }
    }
}

/// Whether nearly each character is the same as the one before, or its neighbour in the alphabet or among the digits.
fn is_run(text: &str) -> bool {
    let codes: Vec<u32> = text.chars().map(u32::from).collect();
    let jumps = codes
        .iter()
        .zip(codes.iter().skip(1))
        .filter(|(one, next)| one.abs_diff(**next) > 1)
        .count();
    jumps < 3
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrase").finish_non_exhaustive()
    }
}

/// Where passphrases come from.
pub trait AskPassphrase {
    /// The passphrase of an existing key.
    ///
    /// # Errors
    /// When there is nobody to ask, or they stopped.
    fn existing(&mut self) -> Result<Passphrase, ApproverError>;

    /// A new passphrase; nothing when the person wants none.
    ///
    /// # Errors
    /// As [`AskPassphrase::existing`], and when it was not typed twice the same.
    fn new_one(&mut self, name: &str) -> Result<Option<Passphrase>, ApproverError>;

    /// How often a wrong one may be followed by another try.
    fn tries(&self) -> u32;
}

/// Passphrases from an open descriptor, one a line: for scripts. Arguments and the environment can be read by other programs.
#[derive(Debug)]
pub struct FromDescriptor(File);

impl FromDescriptor {
    /// Reads from the descriptor of that number.
    ///
    /// # Errors
    /// [`ApproverError::Unreadable`] when it is not open.
    pub fn new(number: RawFd) -> Result<Self, ApproverError> {
        valetkey_sys::descriptors::duplicate(number)
            .map(|descriptor| Self(descriptor.into()))
            .map_err(ApproverError::Unreadable)
    }

    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, ApproverError> {
        // Room from the start: a vector that grows leaves its old content behind.
        let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_MAX_BYTES.saturating_add(1)));
        let mut byte = Zeroizing::new([0]);
        // One byte at a time: the next line is another's.
        loop {
            match self.0.read(&mut *byte) {
                Ok(0) => return Ok(line),
                Ok(_) if *byte == *b"\n" => return Ok(line),
                Ok(_) if line.len() >= PASSPHRASE_MAX_BYTES => {
                    return Err(ApproverError::NotAPassphrase);
                }
                Ok(_) => line.extend_from_slice(&*byte),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ApproverError::Unreadable(error)),
            }
        }
    }
}

impl AskPassphrase for FromDescriptor {
    fn existing(&mut self) -> Result<Passphrase, ApproverError> {
        Passphrase::from_bytes(&self.line()?)
    }

    fn new_one(&mut self, _name: &str) -> Result<Option<Passphrase>, ApproverError> {
        // An empty line is more likely a mistake in a script than the wish for no protection.
        Passphrase::from_bytes(&self.line()?).map(Some)
    }

    fn tries(&self) -> u32 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strength(text: &str) -> Result<(), ApproverError> {
        Passphrase::new(Zeroizing::new(text.to_owned()))
            .unwrap()
            .check_strength("alice")
    }

    #[test]
    fn what_anyone_would_try_first_is_too_weak() {
        for weak in [
            "short",
            "elevenchars",
            "aaaaaaaaaaaaaaaaaaaa",
            "abababababababab",
            "alicealicealice",
            "Alice-ValetKey",
            "abcdefghijklmnop",
            "9876543210987654",
        ] {
            assert!(
                matches!(strength(weak), Err(ApproverError::Weak(_))),
                "{weak}"
            );
        }
        for good in [
            "correct horse battery",
            "Alice likes old tin boats",
            "påskelørdag i regn",
        ] {
            assert!(strength(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_descriptor_gives_one_passphrase_a_line() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"first one\nsecond\n\n\xff\n").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let mut from = FromDescriptor(file);
        assert_eq!(from.existing().unwrap().bytes(), b"first one");
        assert_eq!(from.new_one("x").unwrap().unwrap().bytes(), b"second");
        for _ in 0..3 {
            assert!(matches!(
                from.existing(),
                Err(ApproverError::NotAPassphrase)
            ));
        }
    }

    #[test]
    fn a_file_given_by_mistake_is_not_read_whole() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &[b'x'; 1 << 20]).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let refused = FromDescriptor(file.try_clone().unwrap()).existing();
        assert!(matches!(refused, Err(ApproverError::NotAPassphrase)));
        assert!(io::Seek::stream_position(&mut file).unwrap() <= 1025);
        assert!(
            !format!("{:?}", Passphrase::new(Zeroizing::new("geheim".to_owned())))
                .contains("geheim")
        );
    }
}
