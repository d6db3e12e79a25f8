//! The sessions whose changes are kept: where, how much, until when.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::SnapshotError;

/// The file in a session's directory.
pub(crate) const FILE_NAME: &str = "changes";

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of one session.
    pub total_bytes: u64,
    /// Of one file.
    pub file_bytes: u64,
    /// Of all sessions; when a new one begins, the oldest go until the others fit.
    pub all_bytes: u64,
    /// After this what is kept of a session is thrown away.
    pub age: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            total_bytes: 2 << 30,
            file_bytes: 1 << 30,
            all_bytes: 8 << 30,
            age: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// What is kept of one session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The name of its directory: the session's id, or that of an undo.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// When something was kept last.
    pub touched: SystemTime,
    /// Whether somebody keeps or undoes right now.
    pub running: bool,
}

/// The sessions below `directory`, the latest first.
///
/// # Errors
/// When it cannot be read.
pub fn sessions(directory: &Path) -> Result<Vec<Session>, SnapshotError> {
    let fail = |error| SnapshotError::io("read", directory, error);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let at = entry.map_err(fail)?.path();
        let file = at.join(FILE_NAME);
        let Ok(metadata) = fs::symlink_metadata(&file) else {
            continue;
        };
        let Some(name) = at.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        found.push(Session {
            name: name.to_owned(),
            bytes: metadata.blocks().saturating_mul(512),
            touched: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            running: is_locked(&file),
            directory: at,
        });
    }
    found.sort_by(|one, other| {
        other
            .touched
            .cmp(&one.touched)
            .then(other.name.cmp(&one.name))
    });
    Ok(found)
}

/// Throws away what is older than the budget says, and the oldest of what is too much. Gives the names.
///
/// # Errors
/// When the directory cannot be read, or something cannot be removed.
pub fn prune(directory: &Path, budget: &Budget) -> Result<Vec<String>, SnapshotError> {
    let now = SystemTime::now();
    let mut total = 0_u64;
    let mut gone = Vec::new();
    for session in sessions(directory)? {
        total = total.saturating_add(session.bytes);
        let age = now.duration_since(session.touched).unwrap_or_default();
        if session.running || (age <= budget.age && total <= budget.all_bytes) {
            continue;
        }
        fs::remove_dir_all(&session.directory)
            .map_err(|error| SnapshotError::io("remove", &session.directory, error))?;
        total = total.saturating_sub(session.bytes);
        gone.push(session.name);
    }
    Ok(gone)
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    // A shared lock, so that two who look do not see each other.
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

/// Makes a directory, and those above it, that only their owner can look into.
pub(crate) fn make_private(path: &Path) -> Result<(), SnapshotError> {
    // Whoever may write in the directory above may put another in the place of this one.
    for path in path.parent().into_iter().chain([path]) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| SnapshotError::io("make", path, error))?;
        is_private(path)?;
    }
    Ok(())
}

/// Whether a directory is this user's, and closed to others.
fn is_private(path: &Path) -> Result<(), SnapshotError> {
    let fail = |error| SnapshotError::io("use", path, error);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let at = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .map_err(|error| fail(error.into()))?;
    let stat = rustix::fs::fstat(&at).map_err(|error| fail(error.into()))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
        let why = "it is open to others";
        return Err(fail(std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            why,
        )));
    }
    Ok(())
}
