//! What this machine allows: whether cells can be run, as whom, and a private `/dev` for tests that need another one.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether this test runs as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Why cells cannot be run by this user here, if they cannot.
#[must_use]
pub fn cannot_run_cells() -> Option<String> {
    let opened = fs::File::options().read(true).write(true).open("/dev/fuse");
    opened
        .err()
        .map(|error| format!("/dev/fuse cannot be opened: {error}"))
}

/// Says loudly that a test could not be run, past the harness, which keeps what passing tests print; and counts it.
pub fn skipped(test: &str, why: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "SKIPPED: {test}: {why} ({count} skipped so far)").expect("standard error");
}

/// A new directory that is gone when it is dropped, outside `/tmp`: cells have a `/tmp` of their own.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("vk-")
        .rand_bytes(6)
        .tempdir_in("/var/tmp")
        .expect("make a directory in /var/tmp")
}

/// What `/dev/fuse` is to be for a command that root runs as somebody else, in a mount namespace of the command's own: the host's
/// device is never touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// As the host has it.
    Host,
    /// Open to everybody.
    Open,
    /// Root's alone.
    Closed,
    /// Not there.
    Missing,
}

impl Device {
    /// The words before a command that give it this device and make it `uid`.
    #[must_use]
    pub fn prefix(self, uid: u32) -> Vec<OsString> {
        let node = |mode: &str| {
            format!(
                "d=/dev/shm; mount -t tmpfs -o mode=0755 none $d; mknod -m {mode} $d/fuse c 10 229; mount --bind $d/fuse /dev/fuse; umount -l $d"
            )
        };
        let script = match self {
            Self::Host => ":".to_owned(),
            Self::Open => node("0666"),
            Self::Closed => node("0600"),
            Self::Missing => "d=/mnt; mount -t tmpfs -o mode=0755 none $d; mkdir $d/shm $d/pts; \
                for n in null zero full random urandom tty ptmx; do : > $d/$n; mount --bind /dev/$n $d/$n; done; \
                mount --rbind /dev/pts $d/pts; mount --rbind /dev/shm $d/shm; mount --rbind $d /dev"
                .to_owned(),
        };
        let script = format!("set -e; {script}; exec \"$@\"");
        let mut words: Vec<OsString> = ["unshare", "-m", "sh", "-c", &script, "sh"]
            .map(OsString::from)
            .to_vec();
        if uid != 0 {
            let as_user = [
                "setpriv".to_owned(),
                format!("--reuid={uid}"),
                format!("--regid={uid}"),
                "--clear-groups".to_owned(),
            ];
            words.extend(as_user.map(OsString::from));
        }
        words
    }
}

/// A program of the host on the usual search path, if it is there.
#[must_use]
pub fn host_program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|dir| PathBuf::from(dir).join(name))
        .find(|path| path.exists())
}
