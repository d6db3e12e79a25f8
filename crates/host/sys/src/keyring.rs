//! Secrets in the kernel's key store, for a bounded time (`keyrings(7)`).
//!
//! A secret is linked into the *user keyring*, the one place that all of a user's logins share, but its permissions name the possessor
//! alone. A process possesses it once it has linked its own user namespace's user keyring into its process keyring, which each call
//! here does. A process in another user namespace has another user keyring, and so does not possess the secret even where it knows its
//! number. The kernel ends it when its time is over, whoever is alive then.

use std::ffi::CStr;
use std::io;
use std::num::NonZeroU32;

use crate::checked_long;

// From `linux/keyctl.h`.
const KEY_SPEC_PROCESS_KEYRING: i32 = -2;
const KEY_SPEC_USER_KEYRING: i32 = -4;
const KEYCTL_SETPERM: libc::c_long = 5;
const KEYCTL_LINK: libc::c_long = 8;
const KEYCTL_UNLINK: libc::c_long = 9;
const KEYCTL_SEARCH: libc::c_long = 10;
const KEYCTL_READ: libc::c_long = 11;
const KEYCTL_SET_TIMEOUT: libc::c_long = 15;
const KEYCTL_INVALIDATE: libc::c_long = 21;

/// For the possessor: view, read, search, link. For everyone else, the same user included: nothing.
const POSSESSOR_ALONE: libc::c_ulong = 0x1b00_0000;

/// The type of key whose bytes can be read back.
const USER: &CStr = c"user";

/// A key's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Serial(i32);

/// Keeps `secret` under `name` for `seconds`; what was there under that name is replaced.
///
/// # Errors
/// When the kernel has no key store, does not let this process use it, or has no room. Then nothing is kept.
pub fn keep(name: &CStr, secret: &[u8], seconds: NonZeroU32) -> io::Result<()> {
    // Made in the process keyring, which ends with this process: were it killed half-way, no key without an end would stay.
    let key = add(name, secret)?;
    let kept = control(
        KEYCTL_SET_TIMEOUT,
        key.0,
        libc::c_ulong::from(seconds.get()),
    )
    .and_then(|()| control(KEYCTL_SETPERM, key.0, POSSESSOR_ALONE))
    .and_then(|()| link(key, KEY_SPEC_USER_KEYRING))
    // The process keyring would otherwise hold on to it, and to its name.
    .and_then(|()| unlink(key, KEY_SPEC_PROCESS_KEYRING));
    if kept.is_err() {
        // It ends with this process if it cannot be ended now.
        drop(invalidate(key));
    }
    kept
}

/// Reads what is kept under `name`; nothing when there is none or its time is over.
///
/// # Errors
/// When the kernel has no key store or does not let this process use it.
pub fn read(name: &CStr, secret: &mut [u8]) -> io::Result<Option<usize>> {
    let Some(key) = find(name)? else {
        return Ok(None);
    };
    // SAFETY: the kernel writes at most `secret.len()` bytes to a buffer of that length that is borrowed mutably for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_READ,
            key.0,
            secret.as_mut_ptr(),
            secret.len(),
        )
    };
    match absent(checked_long(result))? {
        Some(length) => Ok(usize::try_from(length)
            .ok()
            .filter(|length| *length <= secret.len())),
        None => Ok(None),
    }
}

/// Ends what is kept under `name` at once. Returns whether there was something.
///
/// # Errors
/// When the kernel has no key store or does not let this process use it.
pub fn forget(name: &CStr) -> io::Result<bool> {
    match find(name)? {
        Some(key) => invalidate(key).map(|()| true),
        None => Ok(false),
    }
}

fn find(name: &CStr) -> io::Result<Option<Serial>> {
    link(Serial(KEY_SPEC_USER_KEYRING), KEY_SPEC_PROCESS_KEYRING)?;
    // SAFETY: both texts end with NUL and outlive the call; the other arguments are integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_SEARCH,
            KEY_SPEC_USER_KEYRING,
            USER.as_ptr(),
            name.as_ptr(),
            0,
        )
    };
    Ok(absent(checked_long(result))?
        .and_then(|number| i32::try_from(number).ok())
        .map(Serial))
}

fn add(name: &CStr, secret: &[u8]) -> io::Result<Serial> {
    // SAFETY: both texts end with NUL, `secret` is valid for its length, all outlive the call; the kernel copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            USER.as_ptr(),
            name.as_ptr(),
            secret.as_ptr(),
            secret.len(),
            KEY_SPEC_PROCESS_KEYRING,
        )
    };
    i32::try_from(checked_long(result)?)
        .map(Serial)
        .map_err(io::Error::other)
}

fn link(key: Serial, keyring: i32) -> io::Result<()> {
    // SAFETY: KEYCTL_LINK takes two numbers of keys and touches no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_LINK, key.0, keyring) };
    checked_long(result).map(drop)
}

fn unlink(key: Serial, keyring: i32) -> io::Result<()> {
    // SAFETY: KEYCTL_UNLINK takes two numbers of keys and touches no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_UNLINK, key.0, keyring) };
    checked_long(result).map(drop)
}

fn invalidate(key: Serial) -> io::Result<()> {
    control(KEYCTL_INVALIDATE, key.0, 0)
}

fn control(operation: libc::c_long, key: i32, argument: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the operations that come here take integers only.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, operation, key, argument) };
    checked_long(result).map(drop)
}

/// No key of that name, or one that is over: nothing is there. Every other failure is one.
fn absent(result: io::Result<libc::c_long>) -> io::Result<Option<libc::c_long>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if [libc::ENOKEY, libc::EKEYEXPIRED, libc::EKEYREVOKED]
                .iter()
                .any(|code| error.raw_os_error() == Some(*code)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::time::{Duration, Instant};

    use super::*;

    fn name(what: &str) -> CString {
        CString::new(format!("valetkey-test:{}:{what}", std::process::id())).unwrap()
    }

    fn seconds(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    /// Whether this machine has a key store that this process may use; a container's filter can refuse it.
    fn there_is_none() -> bool {
        let none = read(&name("probe"), &mut []).is_err();
        if none {
            println!("SKIPPED: there is no key store here");
        }
        none
    }

    fn kept(name: &CStr) -> Option<Vec<u8>> {
        let mut bytes = [0; 64];
        read(name, &mut bytes)
            .unwrap()
            .map(|length| bytes[..length].to_vec())
    }

    #[test]
    fn a_secret_is_kept_replaced_and_forgotten() {
        if there_is_none() {
            return;
        }
        let name = name("kept");
        assert_eq!(kept(&name), None);
        keep(&name, b"first", seconds(60)).unwrap();
        assert_eq!(kept(&name).unwrap(), b"first");
        keep(&name, b"second", seconds(60)).unwrap();
        assert_eq!(kept(&name).unwrap(), b"second");
        assert!(forget(&name).unwrap());
        assert_eq!(kept(&name), None);
        assert!(!forget(&name).unwrap());
    }

    #[test]
    fn the_kernel_ends_it_in_time() {
        if there_is_none() {
            return;
        }
        let name = name("timed");
        let begun = Instant::now();
        keep(&name, b"secret", seconds(2)).unwrap();
        assert_eq!(kept(&name).unwrap(), b"secret");
        while kept(&name).is_some() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(20));
        }
        // The kernel counts in whole seconds of the wall clock.
        assert!(begun.elapsed() > Duration::from_millis(900));
    }

    #[test]
    fn the_same_user_without_possession_reads_nothing() {
        if there_is_none() {
            return;
        }
        let name = name("possessed");
        keep(&name, b"secret", seconds(60)).unwrap();
        let table = std::fs::read_to_string("/proc/keys").unwrap();
        let line = table
            .lines()
            .find(|line| line.contains(name.to_str().unwrap()))
            .unwrap();
        assert!(line.contains(" 1b000000 "), "{line}");
        assert!(forget(&name).unwrap());
    }
}
