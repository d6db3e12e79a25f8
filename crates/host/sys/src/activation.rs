//! Listening sockets that a service manager passed to this process (`sd_listen_fds(3)`), and the environment that tells of them.

use std::env;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::descriptors::close_on_exec_range;

/// The first descriptor that is passed.
const FIRST: RawFd = 3;
/// More than any service has doors.
const COUNT_MAX: usize = 64;
/// What the manager says in the environment; `LISTEN_PIDFDID` came later and only adds to `LISTEN_PID`.
const NAMES: [&str; 4] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
];

/// A descriptor that was passed, and its name; the manager's own name for it if it has none.
#[derive(Debug)]
pub struct Passed {
    /// The name.
    pub name: String,
    /// The descriptor.
    pub descriptor: OwnedFd,
}

/// Takes what the environment says was passed to this process, and takes those words out of the environment. Nothing, when it speaks of another process.
///
/// Call it once, first thing in a program, while the process has one thread and has opened nothing itself.
///
/// # Errors
/// When the words contradict each other, a descriptor is not there, or the process has more than one thread.
pub fn take() -> io::Result<Vec<Passed>> {
    let [count, pid, names, _] = NAMES.map(|name| env::var(name).ok());
    if NAMES.iter().any(|name| env::var_os(name).is_some()) {
        if crate::fork::thread_count()? != 1 {
            return Err(invalid("the process has more than one thread"));
        }
        for name in NAMES {
            // SAFETY: no other thread reads or writes the environment, since there is none.
            unsafe { env::remove_var(name) };
        }
    }
    let (Some(count), Some(pid)) = (count, pid) else {
        return Ok(Vec::new());
    };
    if pid.parse() != Ok(std::process::id()) {
        return Ok(Vec::new());
    }
    let names = words(&count, names.as_deref())?;
    adopt(&names)
}

/// The name of each descriptor.
fn words(count: &str, names: Option<&str>) -> io::Result<Vec<String>> {
    let count: usize = count
        .parse()
        .ok()
        .filter(|count| *count <= COUNT_MAX)
        .ok_or_else(|| invalid("LISTEN_FDS is not a small number"))?;
    let names: Vec<String> = match names {
        Some(names) => names.split(':').map(str::to_owned).collect(),
        None => vec!["unknown".to_owned(); count],
    };
    if count == 0 {
        return Ok(Vec::new());
    }
    if names.len() == count {
        Ok(names)
    } else {
        Err(invalid("LISTEN_FDS and LISTEN_FDNAMES do not agree"))
    }
}

fn adopt(names: &[String]) -> io::Result<Vec<Passed>> {
    let mut passed = Vec::with_capacity(names.len());
    for (raw, name) in (FIRST..).zip(names) {
        // SAFETY: fcntl with F_GETFD takes an integer and touches no memory of this process.
        let flags = unsafe { libc::fcntl(raw, libc::F_GETFD) };
        crate::checked(flags)?;
        // SAFETY: the manager passed this open descriptor to this process by its number; `take` is called once, before anything else was
        // opened, so that nothing else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        passed.push(Passed {
            name: name.clone(),
            descriptor,
        });
    }
    close_on_exec_range(FIRST, passed.len())?;
    Ok(passed)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_must_agree() {
        assert_eq!(words("2", Some("a:b")).unwrap(), ["a", "b"]);
        assert_eq!(words("1", None).unwrap(), ["unknown"]);
        assert!(words("0", None).unwrap().is_empty());
        for (count, names) in [
            ("2", Some("a")),
            ("1", Some("a:b")),
            ("-1", None),
            ("65", None),
            ("x", None),
        ] {
            assert!(words(count, names).is_err(), "{count} {names:?}");
        }
    }
}
