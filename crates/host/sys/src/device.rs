//! Requests to devices (`ioctl`) that `rustix` does not know.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::checked;

/// `FUSE_DEV_IOC_CLONE`, `_IOR(229, 0, uint32_t)`.
const FUSE_DEV_IOC_CLONE: u32 = 0x8004_e500;

/// Attaches `new_device`, a freshly opened `/dev/fuse`, to the connection that `session` serves, so
/// that another thread can read requests on a queue of its own.
pub fn fuse_clone(session: BorrowedFd<'_>, new_device: BorrowedFd<'_>) -> io::Result<()> {
    let session_raw: u32 = u32::try_from(session.as_raw_fd())
        .map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the request reads one u32 through the pointer, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            new_device.as_raw_fd(),
            libc::Ioctl::from(FUSE_DEV_IOC_CLONE),
            &raw const session_raw,
        )
    };
    checked(result).map(drop)
}
