//! Closing, or marking, whole ranges of file descriptors; and taking one that was named by its number.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use crate::{checked, checked_long};

/// Closes every descriptor of this process but those in `keep`.
///
/// Call it where a process begins its own life (after a fork, or first thing in a worker): every
/// other value that owns a descriptor owns nothing afterwards, and must not be used or dropped once
/// new descriptors have been opened.
pub fn close_all_except(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let mut first: u32 = 0;
    for raw in kept {
        let raw = u32::try_from(raw).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
        if raw > first {
            close_range(first, raw.saturating_sub(1), 0)?;
        }
        first = first.max(raw.saturating_add(1));
    }
    close_range(first, u32::MAX, 0)
}

/// Marks every descriptor from `first` upwards to be closed when a program is executed.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Marks `count` descriptors from `first` upwards to be closed when a program is executed.
pub(crate) fn close_on_exec_range(first: RawFd, count: usize) -> io::Result<()> {
    let bad = |_| io::Error::from_raw_os_error(libc::EBADF);
    let first = u32::try_from(first).map_err(bad)?;
    let count = u32::try_from(count).map_err(bad)?;
    match count.checked_sub(1) {
        Some(more) => close_range(first, first.saturating_add(more), libc::CLOSE_RANGE_CLOEXEC),
        None => Ok(()),
    }
}

/// A duplicate of the descriptor of that number, as a command line names one that its caller opened. It closes when a program is executed.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes integers only; the original stays open and with its owner.
    let result = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    let copy = checked(result)?;
    // SAFETY: the kernel has just made this descriptor for us: nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: close_range takes three integers and touches no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    checked_long(result).map(drop)
}
