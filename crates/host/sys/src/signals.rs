//! Signals as a descriptor, and back to their defaults.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::checked;

/// Blocks `signals` in this thread and returns a descriptor from which they are read.
pub fn signal_descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals)?;
    // SAFETY: the set is initialised and outlives the call; the old set is not asked for.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    checked(result)?;
    // SAFETY: the set is initialised and outlives the call.
    let raw = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    let raw = checked(raw)?;
    // SAFETY: the kernel has just opened this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Takes one signal from a descriptor made by [`signal_descriptor`]; `None` when none is waiting.
pub fn take_signal(descriptor: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = std::mem::size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is `size` bytes long and outlives the call.
    let read = unsafe { libc::read(descriptor.as_raw_fd(), info.as_mut_ptr().cast(), size) };
    if read == -1 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Ok(None),
            _ => Err(error),
        };
    }
    // SAFETY: all-zero is a valid signalfd_siginfo, and the kernel wrote whole ones only.
    let info = unsafe { info.assume_init() };
    Ok(Some(info.ssi_signo))
}

/// Ends this process after that many seconds, by `SIGALRM`, unless it is called again before; nought calls it off.
pub fn end_after(seconds: u32) {
    // SAFETY: alarm takes an integer, and cannot fail.
    let _before = unsafe { libc::alarm(seconds) };
}

/// Puts every signal back to its default action and unblocks all of them, as a program expects to
/// find them when it is executed.
pub fn reset_all() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        // SAFETY: SIG_DFL installs no code. The two signals that the C library keeps for itself
        // are refused with EINVAL, which does not matter: they are never ignored.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = signal_set(&[])?;
    // SAFETY: the set is initialised and outlives the call; the old set is not asked for.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
    checked(result).map(drop)
}

/// Blocks `signals` in this thread.
pub fn block(signals: &[i32]) -> io::Result<()> {
    let set = signal_set(signals)?;
    // SAFETY: the set is initialised and outlives the call; the old set is not asked for.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    checked(result).map(drop)
}

fn signal_set(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigemptyset initialises the set that it is given.
    checked(unsafe { libc::sigemptyset(set.as_mut_ptr()) })?;
    for signal in signals {
        // SAFETY: the set was initialised above.
        checked(unsafe { libc::sigaddset(set.as_mut_ptr(), *signal) })?;
    }
    // SAFETY: sigemptyset succeeded.
    Ok(unsafe { set.assume_init() })
}
