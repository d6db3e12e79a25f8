//! Durable and private files: atomic replacement, private reading, directories that survive a power cut.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};

use crate::StoreError;

/// Permission bits of anyone but the owner.
const OTHERS: u32 = 0o077;

/// Permission bits with which anyone but the owner can change something.
const OTHERS_WRITE: u32 = 0o022;

/// Most bytes that [`read_private`] takes: keys and settings are far smaller.
const PRIVATE_MAX_BYTES: u64 = 1 << 20;

/// Ends the name of a file that is not yet in its place.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Writes `bytes` to `path` whole or not at all, with permission bits `mode`, and durable on return.
///
/// # Errors
/// When the system refuses; then the file is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let (temporary, mut file) = create_temporary(path, mode)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(Into::into))
        .and_then(|()| file.sync_all())
        .map_err(|error| StoreError::io("write", &temporary, error))
        .and_then(|()| put_in_place(&temporary, path));
    if written.is_err() {
        // The error that is told is the first; a temporary file that stays is overwritten or swept later.
        drop(std::fs::remove_file(&temporary));
    }
    written
}

/// A new file beside `path`, under a name that no one else uses.
pub(crate) fn create_temporary(path: &Path, mode: u32) -> Result<(PathBuf, File), StoreError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let unique = format!(".{name}.{}.{count}{TEMPORARY}", std::process::id());
    let temporary = path.with_file_name(unique);
    let create = || {
        OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)
    };
    let file = match create() {
        // Left by a process of the same number that was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(&temporary).and_then(|()| create())
        }
        other => other,
    };
    let file = file.map_err(|error| StoreError::io("create", &temporary, error))?;
    Ok((temporary, file))
}

/// Renames a synced file to `path` and makes the new name durable.
pub(crate) fn put_in_place(temporary: &Path, path: &Path) -> Result<(), StoreError> {
    std::fs::rename(temporary, path).map_err(|error| StoreError::io("rename", path, error))?;
    sync_directory(parent(path))
}

/// `O_NOFOLLOW` in the type that the standard library wants.
pub(crate) fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::io("sync", path, error))
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Reads a file that only its owner can get at, such as a key. What is checked is what is read: the open file, not its name.
///
/// # Errors
/// When it is not a regular file, is owned by another user, is open to group or world, or cannot be read.
pub fn read_private(path: &Path) -> Result<Vec<u8>, StoreError> {
    let refuse = |why: String| StoreError::NotPrivate {
        path: path.to_path_buf(),
        why,
    };
    let failed = |error| StoreError::io("read", path, error);
    // NONBLOCK: a fifo in the place of a key must not hold the program up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file: File = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| failed(error.into()))?
        .into();
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file".to_owned()));
    }
    check_owner(&metadata, path)?;
    if metadata.mode() & OTHERS != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(refuse(format!(
            "is open to others (mode {mode:04o}): run `chmod 600` on it"
        )));
    }
    if metadata.len() > PRIVATE_MAX_BYTES {
        return Err(refuse("is too large for a private file".to_owned()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(PRIVATE_MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

fn check_owner(metadata: &std::fs::Metadata, path: &Path) -> Result<(), StoreError> {
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() == own {
        return Ok(());
    }
    Err(StoreError::NotPrivate {
        path: path.to_path_buf(),
        why: format!("belongs to user {}, not to user {own}", metadata.uid()),
    })
}

/// Makes sure that `path` is a directory of ours that no one else can write in, creating it with mode 0700.
pub(crate) fn private_directory(path: &Path) -> Result<File, StoreError> {
    let failed = |what| move |error| StoreError::io(what, path, error);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_directory(parent(path))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("create")(error)),
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::DIRECTORY;
    let directory: File = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| failed("open")(error.into()))?
        .into();
    let metadata = directory.metadata().map_err(failed("read"))?;
    check_owner(&metadata, path)?;
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(StoreError::NotPrivate {
            path: path.to_path_buf(),
            why: "can be written by others: run `chmod 700` on it".to_owned(),
        });
    }
    Ok(directory)
}

/// Takes the lock of `file`, which lasts as long as the file is open.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings");
        for text in ["one", "two"] {
            write_atomically(&path, text.as_bytes(), 0o600).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        assert!(write_atomically(&path, b"x", 0o600).is_err());
        assert!(path.is_dir());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(write_atomically(&directory.path().join("no/such"), b"x", 0o600).is_err());
    }

    #[test]
    fn what_others_can_get_at_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_atomically(&path, b"secret", 0o600).unwrap();
        assert_eq!(read_private(&path).unwrap(), b"secret");
        for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_private(&path);
            assert!(
                matches!(refused, Err(StoreError::NotPrivate { .. })),
                "{mode:o}"
            );
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read_private(&link).is_err());
        assert!(read_private(directory.path()).is_err());
    }

    #[test]
    fn a_key_of_another_user_is_not_read() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: needs root to give a file away");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_atomically(&path, b"secret", 0o600).unwrap();
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert!(matches!(
            read_private(&path),
            Err(StoreError::NotPrivate { .. })
        ));
    }

    #[test]
    fn a_directory_that_others_write_in_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        private_directory(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            private_directory(&path),
            Err(StoreError::NotPrivate { .. })
        ));
    }
}
