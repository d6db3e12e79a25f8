//! The system calls that Valetkey needs and that no safe crate offers, each behind a safe function.
//!
//! This is the only crate of the workspace that contains `unsafe`. One module holds one kernel
//! interface; a caller sees ordinary types (`OwnedFd`, `Pid`, `io::Result`) and can do nothing that
//! breaks memory safety through them. What `rustix` already offers safely is used from there.
#![expect(
    unsafe_code,
    reason = "this crate is where the workspace keeps its unsafe code"
)]

pub mod account;
pub mod activation;
pub mod attempt;
pub mod clock;
pub mod descriptors;
pub mod device;
pub mod exec;
pub mod fork;
pub mod keyring;
pub mod network;
pub mod pass;
pub mod peer;
pub mod privilege;
pub mod signals;
pub mod spawn;
pub mod tree;

/// Turns the `-1` of a C library call into the thread's `errno`.
pub(crate) fn checked(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result == -1 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Turns the `-1` of `libc::syscall` into the thread's `errno`.
pub(crate) fn checked_long(result: libc::c_long) -> std::io::Result<libc::c_long> {
    if result == -1 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
