//! Filling the answer to `READDIR` and `READDIRPLUS`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::attributes::Entry;
use crate::packet::Packet;

/// Bytes before the name in `struct fuse_dirent`.
const DIRENT_BYTES: usize = 24;
/// Bytes of `struct fuse_entry_out`.
const ENTRY_BYTES: usize = 128;

/// The entries of one answer, within the size that the kernel asked for.
#[derive(Debug)]
pub struct DirectoryBuffer<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> DirectoryBuffer<'a> {
    /// A buffer over `bytes`, at most as long as the kernel's `size`.
    #[must_use]
    pub fn new(bytes: &'a mut [u8], size: u32) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(bytes.len());
        Self {
            bytes: bytes.split_at_mut(size).0,
            len: 0,
        }
    }

    /// Whether an entry with a name of `name_bytes` still fits.
    #[must_use]
    pub fn fits(&self, name_bytes: usize, plus: bool) -> bool {
        let end = self.len.saturating_add(record_bytes(name_bytes, plus));
        end <= self.bytes.len()
    }

    /// Adds a name; `next` is the offset from which reading goes on after it. Answers whether it fitted.
    pub fn push(&mut self, name: &OsStr, ino: u64, kind: u32, next: u64) -> bool {
        self.push_record(None, name, ino, kind, next)
    }

    /// Adds a name with its entry, for `READDIRPLUS`. An entry with node 0 gives the name alone.
    pub fn push_plus(
        &mut self,
        entry: &Entry,
        name: &OsStr,
        ino: u64,
        kind: u32,
        next: u64,
    ) -> bool {
        self.push_record(Some(entry), name, ino, kind, next)
    }

    /// How many bytes are left.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.len)
    }

    /// How many bytes are filled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn push_record(
        &mut self,
        entry: Option<&Entry>,
        name: &OsStr,
        ino: u64,
        kind: u32,
        next: u64,
    ) -> bool {
        let name = name.as_bytes();
        let end = self
            .len
            .saturating_add(record_bytes(name.len(), entry.is_some()));
        let (Some(record), Ok(name_len)) =
            (self.bytes.get_mut(self.len..end), u32::try_from(name.len()))
        else {
            return false;
        };
        let mut packet = Packet::new();
        if let Some(entry) = entry {
            entry.write(&mut packet);
        }
        packet.u64(ino).u64(next).u32(name_len).u32(kind);
        let fixed = packet.bytes();
        record.fill(0);
        let Some((head, tail)) = record.split_at_mut_checked(fixed.len()) else {
            return false;
        };
        let Some(place) = tail.get_mut(..name.len()) else {
            return false;
        };
        head.copy_from_slice(fixed);
        place.copy_from_slice(name);
        self.len = end;
        true
    }
}

fn record_bytes(name_bytes: usize, plus: bool) -> usize {
    let fixed = if plus {
        DIRENT_BYTES.saturating_add(ENTRY_BYTES)
    } else {
        DIRENT_BYTES
    };
    fixed
        .saturating_add(name_bytes)
        .checked_next_multiple_of(8)
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_padded_and_stop_at_the_size() {
        let mut bytes = [0xff; 100];
        let mut buffer = DirectoryBuffer::new(&mut bytes, 64);
        assert!(buffer.push(OsStr::new("a"), 7, 8, 1));
        assert_eq!(buffer.len(), 32);
        assert!(buffer.fits(8, false) && !buffer.fits(9, false) && !buffer.fits(1, true));
        assert!(buffer.push(OsStr::new("bcdefghi"), 7, 8, 2));
        assert!(!buffer.push(OsStr::new("c"), 7, 8, 3));
        assert_eq!(buffer.len(), 64);
        assert_eq!(&bytes[24..32], b"a\0\0\0\0\0\0\0");
    }
}
