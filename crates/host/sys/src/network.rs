//! The loopback interface of a new network namespace.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::checked;

/// Brings `lo` up. `socket` is any `AF_INET` socket of the namespace meant.
pub fn bring_loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: ifreq is a plain structure of integers and byte arrays for which all-zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(up).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: SIOCSIFFLAGS reads one ifreq through the pointer, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as libc::Ioctl,
            &raw mut request,
        )
    };
    checked(result).map(drop)
}
