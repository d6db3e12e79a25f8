//! Which program a process runs: found through its pidfd, resolved once into a descriptor, read whole, and looked at again afterwards.
//!
//! Races, and what answers each:
//! - **The process has ended and its number belongs to another**: the pidfd is asked after each look at `/proc/PID`. If it lives then,
//!   the number was its own all the time.
//! - **It executes another program meanwhile**: the look at the end must find the very file of the look at the beginning.
//! - **The file is changed while it is read**: the kernel lets nobody write to a file that is being executed; size and times are compared
//!   all the same.
//! - **A file system that answers as it likes, or never**: only those that the kernel keeps itself are read from. Which one it is, is
//!   known before the file is opened: until then it is named by a descriptor that asks nothing of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, openat, readlinkat, statx};
use valetkey_model::DigestStream;

use super::wire::{Mark, Program};

/// The largest executable that is read; the largest in use have a quarter of it.
const EXECUTABLE_BYTES_MAX: u64 = 1 << 30;
/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// The longest of the kernel's tables that is read: `mountinfo` of a machine with thousands of mounts.
const TABLE_BYTES_MAX: usize = 4 << 20;
/// How old a file's last change must be for the next one to get another time: well above the grain of the kernel's clock.
const SETTLED_SECONDS: i64 = 2;

/// `ESRCH`: the answer of a process's own files once it has ended.
const NO_SUCH_PROCESS: i32 = 3;
/// File systems whose files the kernel keeps itself, on local storage or in memory. Any other may serve one content to be executed and
/// another to be read.
const KEPT_BY_THE_KERNEL: [&str; 13] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "overlay", "tmpfs",
    "squashfs", "erofs", "iso9660",
];

/// What a look found.
#[derive(Debug)]
pub(super) enum Found {
    /// What was known is still so.
    Same,
    /// This, and a descriptor that names the file and keeps it from being given away.
    Program(Program, OwnedFd),
}

/// Looks at the process of a pidfd.
///
/// # Errors
/// Why nothing can be said of it, in words for the peer.
pub(super) fn look(pidfd: BorrowedFd<'_>, known: Option<Mark>) -> Result<Found, String> {
    let pid = pid_of(pidfd)?;
    let link = format!("/proc/{pid}/exe");
    let named = name(&link)?;
    alive(pidfd)?;
    let before = mark(named.as_fd())?;
    if known == Some(before) {
        return Ok(Found::Same);
    }
    let path = text_of_link(&link)?;
    if path.ends_with(" (deleted)") {
        return Err("its executable was deleted or replaced; start it again".to_owned());
    }
    let table = read_table(&format!("/proc/{pid}/mountinfo"))?;
    alive(pidfd)?;
    is_kept_by_the_kernel(&table, mount_of(named.as_fd())?)?;
    let now = clock_seconds();
    let digest = {
        let file = open(
            &format!("/proc/self/fd/{}", named.as_raw_fd()),
            OFlags::NONBLOCK,
        )
        .map_err(|error| format!("its executable cannot be read: {error}"))?;
        hash(file.as_fd(), before.size)?
    };
    // The same file, unchanged, is what the process runs now, and it is this process still.
    let again = name(&link)?;
    if mark(again.as_fd())? != before || text_of_link(&link)? != path {
        return Err("its executable changed while it was looked at".to_owned());
    }
    alive(pidfd)?;
    let program = Program {
        digest,
        path,
        mark: before,
        settled: now.saturating_sub(before.changed.0) > SETTLED_SECONDS,
    };
    Ok(Found::Program(program, named))
}

/// The number of the process in this process's own namespace.
fn pid_of(pidfd: BorrowedFd<'_>) -> Result<u32, String> {
    let info = read_table(&format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    // -1 where it has ended, nought where it has no number here.
    field(&info, "Pid:")
        .and_then(|number| number.parse::<u32>().ok())
        .filter(|pid| *pid > 0)
        .ok_or_else(ended)
}

/// The mount through which a descriptor's file was reached.
fn mount_of(named: BorrowedFd<'_>) -> Result<u64, String> {
    let info = read_table(&format!("/proc/self/fdinfo/{}", named.as_raw_fd()))?;
    field(&info, "mnt_id:")
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| "its executable lies on no mount".to_owned())
}

fn field<'a>(table: &'a str, name: &str) -> Option<&'a str> {
    table
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// Refuses a file of any mount but one of the process's own whose file system is known to be the kernel's. A file in memory alone
/// (`memfd_create`) is on no mount at all.
fn is_kept_by_the_kernel(mounts: &str, mount: u64) -> Result<(), String> {
    let line = mounts
        .lines()
        .find(|line| line.split(' ').next().and_then(|id| id.parse().ok()) == Some(mount))
        .ok_or("its executable lies on no mount that it sees")?;
    // Fields of varying number stand before the hyphen, the type of the file system after it.
    let kind = line
        .split_once(" - ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .unwrap_or_default();
    if KEPT_BY_THE_KERNEL.contains(&kind) {
        return Ok(());
    }
    let kind: String = kind.chars().take(32).collect();
    Err(format!(
        "its executable lies on a file system (`{kind}`) that may answer differently each time; run it from a local one"
    ))
}

/// Names a file without opening it: the file system is not asked.
fn name(link: &str) -> Result<OwnedFd, String> {
    open(link, OFlags::PATH).map_err(|error| unseen(&error))
}

/// Why a process cannot be looked at.
fn unseen(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(NO_SUCH_PROCESS) {
        ended()
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "it may not be looked at: it belongs to somebody else, or hides itself".to_owned()
    } else {
        format!("it cannot be looked at: {error}")
    }
}

fn open(path: &str, how: OFlags) -> io::Result<OwnedFd> {
    let flags = how | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(openat(rustix::fs::CWD, path, flags, Mode::empty())?)
}

/// What the kernel tells of a file without asking its file system.
fn mark(named: BorrowedFd<'_>) -> Result<Mark, String> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let seen: Statx = statx(named, "", flags, StatxFlags::BASIC_STATS)
        .map_err(|error| format!("its executable cannot be looked at: {error}"))?;
    // A file of which nothing is known is no regular one.
    if u32::from(seen.stx_mode) & 0o170_000 != 0o100_000 {
        return Err("its executable is no regular file".to_owned());
    }
    if seen.stx_size > EXECUTABLE_BYTES_MAX {
        return Err(format!(
            "its executable is larger than {EXECUTABLE_BYTES_MAX} bytes"
        ));
    }
    Ok(Mark {
        device: (seen.stx_dev_major, seen.stx_dev_minor),
        inode: seen.stx_ino,
        size: seen.stx_size,
        changed: (seen.stx_ctime.tv_sec, seen.stx_ctime.tv_nsec),
        modified: (seen.stx_mtime.tv_sec, seen.stx_mtime.tv_nsec),
    })
}

fn text_of_link(link: &str) -> Result<String, String> {
    let text = readlinkat(rustix::fs::CWD, link, Vec::new()).map_err(|_| ended())?;
    Ok(text.to_string_lossy().into_owned())
}

/// Whether the process of a pidfd has not ended.
fn alive(pidfd: BorrowedFd<'_>) -> Result<(), String> {
    let mut waited = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut waited, Some(&at_once)) {
        Ok(0) => Ok(()),
        _ => Err(ended()),
    }
}

fn ended() -> String {
    "it has ended".to_owned()
}

/// Reads a whole file of exactly the expected size.
fn hash(file: BorrowedFd<'_>, size: u64) -> Result<valetkey_model::Digest, String> {
    let mut stream = DigestStream::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = size;
    loop {
        let read = read(file, &mut chunk)
            .map_err(|error| format!("its executable cannot be read: {error}"))?;
        if read == 0 {
            break;
        }
        left = u64::try_from(read)
            .ok()
            .and_then(|read| left.checked_sub(read))
            .ok_or("its executable grew while it was read")?;
        stream.update(chunk.get(..read).unwrap_or_default());
    }
    if left == 0 {
        Ok(stream.finish())
    } else {
        Err("its executable shrank while it was read".to_owned())
    }
}

/// A file of the kernel's own, as text.
fn read_table(path: &str) -> Result<String, String> {
    let failed = |error: io::Error| unseen(&error);
    let file = open(path, OFlags::empty()).map_err(failed)?;
    let mut table = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let read = read(file.as_fd(), &mut chunk).map_err(failed)?;
        if read == 0 {
            return Ok(String::from_utf8_lossy(&table).into_owned());
        }
        table.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if table.len() > TABLE_BYTES_MAX {
            return Err("it has too many mounts".to_owned());
        }
    }
}

fn read(file: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(file, &mut *into) {
            Err(rustix::io::Errno::INTR) => {}
            answer => return Ok(answer?),
        }
    }
}

/// The clock that the times of files come from.
fn clock_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use valetkey_model::Digest;

    use super::*;

    /// A process that waits until it is dropped.
    struct Waiting(Child);

    impl Waiting {
        fn start(program: &std::path::Path, words: &[&str]) -> Self {
            let mut command = Command::new(program);
            command
                .args(words)
                .stdin(Stdio::piped())
                .stdout(Stdio::null());
            // A process that another test forks has the copy open for writing until it executes.
            let child = loop {
                match command.spawn() {
                    Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                        std::thread::yield_now();
                    }
                    other => break other.expect("start"),
                }
            };
            Self(child)
        }

        fn pidfd(&self) -> OwnedFd {
            pidfd_open(Pid::from_child(&self.0), PidfdFlags::empty()).expect("pidfd")
        }
    }

    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.kill().expect("kill");
            self.0.wait().expect("wait");
        }
    }

    fn cat() -> std::path::PathBuf {
        std::fs::canonicalize("/bin/cat").expect("cat")
    }

    /// Looks until the child runs the program: before that it runs a copy of this test.
    fn program_of(pidfd: &OwnedFd, path: &std::path::Path) -> (Program, OwnedFd) {
        let begun = std::time::Instant::now();
        loop {
            match look(pidfd.as_fd(), None) {
                Ok(Found::Program(program, named)) if program.path == path.to_string_lossy() => {
                    return (program, named);
                }
                other => assert!(begun.elapsed().as_secs() < 20, "{other:?}"),
            }
        }
    }

    #[test]
    fn the_digest_is_that_of_the_file_and_the_same_is_not_read_again() {
        let waiting = Waiting::start(&cat(), &[]);
        let pidfd = waiting.pidfd();
        let (program, _named) = program_of(&pidfd, &cat());
        assert_eq!(
            program.digest,
            Digest::of(&std::fs::read(cat()).expect("read"))
        );
        let again = look(pidfd.as_fd(), Some(program.mark));
        assert!(matches!(again, Ok(Found::Same)), "{again:?}");
        let other = Mark {
            inode: program.mark.inode.wrapping_add(1),
            ..program.mark
        };
        assert!(matches!(
            look(pidfd.as_fd(), Some(other)),
            Ok(Found::Program(..))
        ));
    }

    #[test]
    fn a_process_that_has_ended_is_nobody() {
        let waiting = Waiting::start(&cat(), &[]);
        let pidfd = waiting.pidfd();
        drop(waiting);
        assert_eq!(look(pidfd.as_fd(), None).expect_err("ended"), ended());
    }

    #[test]
    fn a_deleted_executable_is_refused_and_a_fresh_one_is_not_settled() {
        let dir = tempfile::tempdir_in("/var/tmp").expect("a directory");
        let copy = dir.path().join("copy");
        std::fs::copy(cat(), &copy).expect("copy");
        let waiting = Waiting::start(&copy, &[]);
        let pidfd = waiting.pidfd();
        let (program, _named) = program_of(&pidfd, &copy);
        assert!(!program.settled, "it was written a moment ago");
        std::fs::remove_file(&copy).expect("remove");
        let refused = look(pidfd.as_fd(), None).expect_err("deleted");
        assert!(refused.contains("deleted"), "{refused}");
    }

    #[test]
    fn only_mounts_that_the_kernel_keeps_itself_are_read_from() {
        let mounts = "36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/root rw\n\
            37 36 0:44 / /home/a/x rw - fuse.sshfs host:/ rw\n\
            38 36 0:45 / /net rw shared:7 master:3 - nfs4 host:/ rw\n\
            39 36 0:46 / /odd rw\n";
        assert_eq!(is_kept_by_the_kernel(mounts, 36), Ok(()));
        for (mount, says) in [
            (37, "fuse.sshfs"),
            (38, "nfs4"),
            (39, "``"),
            (3, "no mount"),
        ] {
            let refused = is_kept_by_the_kernel(mounts, mount).expect_err("refused");
            assert!(refused.contains(says), "{refused}");
        }
    }
}
