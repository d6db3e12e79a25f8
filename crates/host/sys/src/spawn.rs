//! Starting a program with exactly the descriptors it is meant to have.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use crate::{checked, checked_long};

/// The number of the first descriptor after standard input, output and error.
const FIRST_RAW: RawFd = 3;

/// Starts `command` with `descriptors` at 3, 4 and so on, and no other but its standard streams.
///
/// The program leads a session of its own, so it has no controlling terminal, and it is killed when
/// the thread that started it ends. The descriptors are closed here when this returns.
pub fn spawn_with_fds(command: &mut Command, descriptors: Vec<OwnedFd>) -> io::Result<Child> {
    let count = RawFd::try_from(descriptors.len())
        .map_err(|_| io::Error::from_raw_os_error(libc::EMFILE))?;
    let after = FIRST_RAW.saturating_add(count);
    // Above the places to fill, so that no move in the child overwrites what is still to be moved.
    let sources: Vec<OwnedFd> = descriptors
        .iter()
        .map(|descriptor| duplicate(descriptor.as_raw_fd(), after))
        .collect::<io::Result<_>>()?;
    drop(descriptors);
    // The pipe on which `Command` reports a failed execution must not lie in those places either.
    let fillers = fill_below(after)?;
    let moves: Vec<(RawFd, RawFd)> = sources
        .iter()
        .map(AsRawFd::as_raw_fd)
        .zip(FIRST_RAW..)
        .collect();
    let first_closed =
        u32::try_from(after).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    let parent = std::process::id();
    let prepare = move || {
        for (source, place) in &moves {
            // SAFETY: dup2 takes two integers; the source is open, as `sources` outlives the spawn.
            checked(unsafe { libc::dup2(*source, *place) })?;
        }
        // SAFETY: close_range takes integers only.
        checked_long(unsafe {
            libc::syscall(
                libc::SYS_close_range,
                first_closed,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        })?;
        // SAFETY: setsid takes nothing; a process just forked leads no group, so it may.
        checked(unsafe { libc::setsid() })?;
        // SAFETY: this option of prctl takes one integer.
        checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        // SAFETY: getppid takes nothing and cannot fail.
        let now = unsafe { libc::getppid() };
        // The parent may have ended before the line above asked to hear of it.
        if u32::try_from(now) == Ok(parent) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    };
    // SAFETY: between fork and exec the closure makes only async-signal-safe system calls on
    // integers and reads a vector made before the fork; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn();
    drop(fillers);
    drop(sources);
    child
}

/// Takes over a descriptor that whoever started this program has placed at `number`.
///
/// What is returned is a duplicate that closes on execution; the original stays open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    duplicate(number, FIRST_RAW)
}

/// Opens placeholders until every descriptor below `limit` is taken.
fn fill_below(limit: RawFd) -> io::Result<Vec<File>> {
    let mut fillers = Vec::new();
    loop {
        let filler = File::open("/dev/null")?;
        if filler.as_raw_fd() >= limit {
            return Ok(fillers);
        }
        fillers.push(filler);
    }
}

/// Duplicates a descriptor to the first free number from `least`, closed on execution.
fn duplicate(number: RawFd, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes integers and answers EBADF to one that is not open.
    let raw = checked(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, least) })?;
    // SAFETY: the kernel has just created this descriptor for us and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;

    use super::*;

    fn pair() -> (File, File) {
        let name = |tag: &str| {
            std::env::temp_dir().join(format!("valetkey-spawn-{}-{tag}", std::process::id()))
        };
        let open = |tag: &str| {
            let path = name(tag);
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path);
            std::fs::remove_file(&path).unwrap();
            file.unwrap()
        };
        (open("one"), open("two"))
    }

    #[test]
    fn a_program_gets_its_descriptors_in_order_and_no_others() {
        let (mut one, mut two) = pair();
        one.write_all(b"hello").unwrap();
        one.rewind().unwrap();
        // Without close-on-exec, as a careless library would leave one open.
        let leak = File::open("/dev/zero").unwrap();
        // SAFETY: fcntl with F_SETFD takes integers.
        checked(unsafe { libc::fcntl(leak.as_raw_fd(), libc::F_SETFD, 0) }).unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "cat <&3 >&4; echo /proc/self/fd/*"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let child = spawn_with_fds(
            &mut command,
            vec![
                one.try_clone().unwrap().into(),
                two.try_clone().unwrap().into(),
            ],
        )
        .unwrap();
        let output = child.wait_with_output().unwrap();
        let listed = String::from_utf8(output.stdout).unwrap();
        // The shell expands the pattern itself, with one more descriptor for the directory.
        let numbers: Vec<&str> = listed.split_whitespace().collect();
        assert!(numbers.len() <= 6, "more than 0 to 4 is open: {numbers:?}");
        assert_eq!(
            numbers.get(..5),
            Some(
                &[0, 1, 2, 3, 4]
                    .map(|n| format!("/proc/self/fd/{n}"))
                    .each_ref()
                    .map(String::as_str)[..]
            )
        );
        let mut copied = String::new();
        two.rewind().unwrap();
        two.read_to_string(&mut copied).unwrap();
        assert_eq!(copied, "hello");
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error_and_writes_nothing() {
        let (one, two) = pair();
        let mut command = Command::new("/nonexistent/program");
        let error = spawn_with_fds(
            &mut command,
            vec![one.into(), two.try_clone().unwrap().into()],
        )
        .expect_err("a program that does not exist");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(two.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_program_ends_with_the_thread_that_started_it() {
        let starter = std::thread::spawn(|| {
            let mut command = Command::new("/bin/sleep");
            command
                .arg("600")
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            spawn_with_fds(&mut command, Vec::new())
        });
        let mut child = starter.join().unwrap().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_not_inherited() {
        assert_eq!(
            inherited(9_999).unwrap_err().raw_os_error(),
            Some(libc::EBADF)
        );
    }
}
