//! Writing the cell's `/etc` into a file system in memory.

use std::os::fd::{AsFd, OwnedFd};

use super::tree::{Directory, NO_DEV, NO_EXEC, NO_SUID, memory};
use crate::error::Fault;
use crate::etc::Entry;

/// What `/etc` may hold at most: its files are small.
const ETC_BYTES: u64 = 64 << 20;

/// Writes the files and links; the directories of the host are mounted over it later.
pub(super) fn write(entries: &[Entry]) -> Result<OwnedFd, Fault> {
    let etc = memory("0755", ETC_BYTES, NO_SUID | NO_DEV | NO_EXEC)?;
    let directory = Directory(etc.as_fd());
    for entry in entries {
        match entry {
            Entry::File(name, bytes) => directory.write(name, bytes, 0o644)?,
            Entry::Link(name, target) => directory.link(name, target)?,
            Entry::Bind(_) => {}
        }
    }
    Ok(etc)
}
