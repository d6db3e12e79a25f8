//! Giving privilege up: the bounding set, the keyring, and what Landlock offers.

use std::io;

use crate::{checked, checked_long};

/// `KEYCTL_JOIN_SESSION_KEYRING`, from `linux/keyctl.h`.
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
/// `LANDLOCK_CREATE_RULESET_VERSION`, from `linux/landlock.h`.
const LANDLOCK_CREATE_RULESET_VERSION: libc::c_uint = 1;
/// No kernel can have more: capability sets are 64 bits wide.
const CAPABILITIES_MAX: libc::c_ulong = 64;

/// Drops every capability that this kernel knows from the bounding set.
pub fn drop_bounding_set() -> io::Result<()> {
    for capability in 0..CAPABILITIES_MAX {
        // SAFETY: PR_CAPBSET_DROP takes integers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match checked(result) {
            Ok(_) => {}
            // The first number past the last capability.
            Err(error) if capability > 0 && error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Leaves the session keyring that this process inherited for a new, empty one.
pub fn join_new_session_keyring() -> io::Result<()> {
    // SAFETY: a null name asks for an anonymous keyring; the other arguments are integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
            0,
            0,
            0,
        )
    };
    checked_long(result).map(drop)
}

/// The Landlock ABI of this kernel. `ENOSYS`: not built in; `EOPNOTSUPP`: switched off at boot.
pub fn landlock_abi() -> io::Result<i32> {
    // SAFETY: with this flag the kernel takes a null pointer and a size of nought.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    };
    let version = checked_long(result)?;
    i32::try_from(version).map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))
}
