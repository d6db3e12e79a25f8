//! Attributes of whole mount trees (`mount_setattr`), which `rustix` does not offer yet.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::mount::MountAttrFlags;

use crate::checked_long;

/// How far a change of attributes reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The mount itself.
    Mount,
    /// The mount and every mount below it.
    Tree,
}

/// Adds `attributes` to the mount that `mount` (a descriptor of a mount's root) stands for.
pub fn add_attributes(
    mount: BorrowedFd<'_>,
    reach: Reach,
    attributes: MountAttrFlags,
) -> io::Result<()> {
    let recursive = match reach {
        Reach::Mount => 0,
        Reach::Tree => libc::AT_RECURSIVE,
    };
    let change = libc::mount_attr {
        attr_set: u64::from(attributes.bits()),
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is an empty C string, the structure is of the size given, and both outlive
    // the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const change,
            std::mem::size_of::<libc::mount_attr>(),
        )
    };
    checked_long(result).map(drop)
}
