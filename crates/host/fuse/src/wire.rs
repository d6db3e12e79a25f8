//! Reading little structures out of bytes that nobody has checked.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::request::ParseError;

/// What is left of a message. Every read is checked; integers are in the machine's order.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ParseError> {
        self.chunk().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ParseError> {
        self.chunk().map(u32::from_ne_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ParseError> {
        self.chunk().map(u64::from_ne_bytes)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), ParseError> {
        self.bytes(count).map(drop)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ParseError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ParseError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A string that ends with NUL.
    pub(crate) fn string(&mut self) -> Result<&'a OsStr, ParseError> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(ParseError::Short)?;
        let taken = self.bytes(end)?;
        self.skip(1)?;
        Ok(OsStr::from_bytes(taken))
    }

    /// A name in a directory: never empty, `.`, `..`, or with a slash.
    pub(crate) fn name(&mut self) -> Result<&'a OsStr, ParseError> {
        let name = self.string()?;
        match name.as_bytes() {
            b"" | b"." | b".." => Err(ParseError::Name),
            bytes if bytes.contains(&b'/') => Err(ParseError::Name),
            _ => Ok(name),
        }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(ParseError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }
}
