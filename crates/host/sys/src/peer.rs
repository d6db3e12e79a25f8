//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::checked;

pub use rustix::net::UCred;
pub use rustix::net::sockopt::socket_peercred as credentials;

/// The peer of `socket` as a process descriptor (`SO_PEERPIDFD`): unlike a process id, it can never
/// come to mean another process.
pub fn pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut raw: RawFd = -1;
    let mut size = libc::socklen_t::try_from(std::mem::size_of::<RawFd>())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the kernel writes at most `size` bytes into `raw`; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut raw).cast(),
            &raw mut size,
        )
    };
    checked(result)?;
    // SAFETY: the call succeeded, so the kernel opened this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (left, _right) = UnixStream::pair().expect("pair");
        let peer = pidfd(left.as_fd()).expect("pidfd");
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", peer.as_raw_fd()))
            .expect("fdinfo");
        assert!(
            info.contains(&format!("Pid:\t{}", std::process::id())),
            "{info}"
        );
        let seen = credentials(left.as_fd()).expect("credentials");
        assert_eq!(seen.pid, rustix::process::getpid());
    }
}
