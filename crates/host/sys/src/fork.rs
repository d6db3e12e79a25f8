//! Forking a process that has one thread, into new namespaces if wanted.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use crate::checked_long;
use crate::descriptors::close_all_except;

/// The exit status of a child whose code panicked.
pub const EXIT_PANICKED: u8 = 70;
/// The exit status of a child that could not close what it inherited.
pub const EXIT_NOT_CLOSED: u8 = 71;

/// A child process, held by a descriptor that no other process can take over.
#[derive(Debug)]
pub struct Child {
    /// The child's process id, as this process sees it.
    pub pid: Pid,
    /// The descriptor of the child: readable when it has ended.
    pub pidfd: OwnedFd,
}

/// What a child starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherit {
    /// Every descriptor of the parent.
    Everything,
    /// Only the descriptors that were handed over.
    HandedOver,
}

/// Forks into `namespaces` and runs `child` there; `child`'s answer is the exit status.
///
/// `handed_over` changes hands: the child's function gets the descriptors in the same order, and
/// they are closed in the parent. With [`Inherit::HandedOver`] every other descriptor is closed
/// before the function runs, so it must not use values that own one.
///
/// Refused with `EDEADLK` when this process has more than one thread: another thread may hold a
/// lock (of the allocator, say) that nobody would ever release in the child.
pub fn fork<F>(
    namespaces: UnshareFlags,
    inherit: Inherit,
    handed_over: Vec<OwnedFd>,
    child: F,
) -> io::Result<Child>
where
    F: FnOnce(Vec<OwnedFd>) -> u8,
{
    if thread_count()? != 1 {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    let mut pidfd: RawFd = -1;
    let flags = u64::from(namespaces.bits()) | pidfd_flag();
    // SAFETY: clone_args is a plain structure of integers for which all-zero is valid.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = flags;
    arguments.pidfd = (&raw mut pidfd).addr() as u64;
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    // SAFETY: without CLONE_VM the child gets a copy of the address space, as from fork(); there is
    // one thread, so no lock is held by anyone else. The structure and `pidfd` outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            std::mem::size_of::<libc::clone_args>(),
        )
    };
    let pid = checked_long(result)?;
    if pid == 0 {
        run_child(inherit, handed_over, child);
    }
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // SAFETY: the kernel has just created this descriptor for us and nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    pid.map(|pid| Child { pid, pidfd })
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

/// How many threads this process has.
pub fn thread_count() -> io::Result<usize> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field is the name in parentheses, and may hold any of these characters itself.
    stat.rsplit_once(')')
        .and_then(|(_, fields)| fields.split_ascii_whitespace().nth(THREADS_AFTER_NAME))
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/stat"))
}

/// `num_threads` is the 20th field of `/proc/PID/stat`, and the name the second.
const THREADS_AFTER_NAME: usize = 17;

/// Puts this process into a new user namespace, with every capability there.
///
/// The kernel refuses when the process has more than one thread.
pub fn unshare_user_namespace() -> io::Result<()> {
    // SAFETY: CLONE_NEWUSER concerns credentials only; no memory, file table or working directory
    // that another thread could rely on is unshared.
    let result = unsafe { libc::unshare(libc::CLONE_NEWUSER) };
    crate::checked(result).map(drop)
}

/// Ends this process at once: no destructor, no buffer is run or written.
pub fn exit_now(status: u8) -> ! {
    // SAFETY: _exit has no precondition.
    unsafe { libc::_exit(libc::c_int::from(status)) }
}

fn run_child<F: FnOnce(Vec<OwnedFd>) -> u8>(
    inherit: Inherit,
    handed_over: Vec<OwnedFd>,
    child: F,
) -> ! {
    if inherit == Inherit::HandedOver {
        let kept: Vec<BorrowedFd<'_>> = handed_over.iter().map(AsFd::as_fd).collect();
        if close_all_except(&kept).is_err() {
            exit_now(EXIT_NOT_CLOSED);
        }
    }
    // A panic must not unwind into the copy of the parent's stack.
    let status = catch_unwind(AssertUnwindSafe(|| child(handed_over))).unwrap_or(EXIT_PANICKED);
    exit_now(status)
}

fn pidfd_flag() -> u64 {
    u64::from(libc::CLONE_PIDFD.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_refused() {
        // The test harness itself runs tests on threads of their own.
        let error = fork(
            UnshareFlags::empty(),
            Inherit::Everything,
            Vec::new(),
            |_| 0,
        )
        .expect_err("a fork with threads");
        assert_eq!(error.raw_os_error(), Some(libc::EDEADLK));
    }
}
