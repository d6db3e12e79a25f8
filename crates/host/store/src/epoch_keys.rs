//! The secret keys of a log's epochs: each is drawn by chance, kept for one epoch, and erased.
//!
//! INVARIANT (always usable): whatever a crash leaves, the key that signed the last checkpoint and the one that signs next are both on the disk, unless they
//! are one and the same. A change of keys therefore goes: the next key is durable; the log commits it, under the old key; the log begins the next epoch,
//! under the new key; the old key is overwritten and its name given to the new one. INVARIANT (forward security): after that nothing on the
//! machine can sign for the epoch that ended.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use valetkey_audit::{LogKey, LogPublicKey};
use zeroize::Zeroizing;

use crate::StoreError;
use crate::file::{no_follow, parent, read_private, sync_directory, write_atomically};

/// The file of the key that signs, and of the one that will.
const CURRENT: &str = "log.epoch.key";
const NEXT: &str = "log.epoch.key.next";

/// Bytes of a secret, and of a file: the secret, then the number of its epoch.
pub(crate) const SECRET_BYTES: usize = 32;
const FILE_BYTES: usize = SECRET_BYTES + 8;

/// When an epoch ends while the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochLimits {
    /// After so many events.
    pub events: u64,
    /// After so long, if anything was written in it.
    pub age: Duration,
}

impl Default for EpochLimits {
    /// An hour bounds what a thief of today's key can still write anew; the number of events bounds it on a busy day. Two events an hour cost nothing.
    fn default() -> Self {
        Self {
            events: 65_536,
            age: Duration::from_hours(1),
        }
    }
}

/// A secret key and the number of its epoch.
pub(crate) struct Held {
    pub(crate) key: LogKey,
    pub(crate) epoch: u64,
}

/// The keys of a log's epochs, kept in private files.
pub(crate) struct EpochKeys {
    directory: PathBuf,
    name: String,
    limits: EpochLimits,
    current: Held,
    next: Option<Held>,
    /// The current key lies in the file of the next one still: what is in its own file is of the epoch before.
    unnamed: bool,
}

impl EpochKeys {
    /// Reads the keys in `directory`, or makes the first. `name` is the log's.
    ///
    /// # Errors
    /// When a file cannot be read, written or trusted. A key that is not there is made only where the other is not there either.
    pub(crate) fn open(
        directory: &Path,
        name: &str,
        limits: EpochLimits,
    ) -> Result<Self, StoreError> {
        let current = read(directory, CURRENT, name)?;
        let next = read(directory, NEXT, name)?;
        let (current, next, unnamed) = match (current, next) {
            (Some(current), next) => (current, next, false),
            // The old key was overwritten, and the new one had not yet its name.
            (None, Some(next)) => (next, None, true),
            (None, None) if directory.join(CURRENT).exists() => {
                return Err(unreadable(
                    &directory.join(CURRENT),
                    "it was erased, and the key that follows it is not there",
                ));
            }
            (None, None) => (make(directory, CURRENT, name, 0)?, None, false),
        };
        Ok(Self {
            directory: directory.to_path_buf(),
            name: name.to_owned(),
            limits,
            current,
            next,
            unnamed,
        })
    }

    /// The key of the first epoch of a new log, whose name it decides: `name_of` says how. Keys of an earlier log are erased.
    pub(crate) fn first(
        directory: &Path,
        limits: EpochLimits,
        name_of: impl Fn(&LogPublicKey) -> String,
    ) -> Result<Self, StoreError> {
        for file in [CURRENT, NEXT] {
            let path = directory.join(file);
            overwrite(&path)?;
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &path, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        // Any name will do to read the key that the name is made from.
        let unnamed = make(directory, CURRENT, "unnamed", 0)?;
        Self::open(directory, &name_of(unnamed.key.public()), limits)
    }

    pub(crate) fn limits(&self) -> EpochLimits {
        self.limits
    }

    pub(crate) fn current(&self) -> &Held {
        &self.current
    }

    /// The public key that the next checkpoint is signed with, as far as the files tell.
    pub(crate) fn public(&self) -> &LogPublicKey {
        self.current.key.public()
    }

    /// Keys that may have signed the last checkpoint.
    pub(crate) fn candidates(&self) -> Vec<&LogPublicKey> {
        let next = self.next.as_ref().map(|next| next.key.public());
        std::iter::once(self.public()).chain(next).collect()
    }

    /// Whether the key is of a log's first epoch.
    pub(crate) fn is_first(&self) -> bool {
        self.current.epoch == 0 && self.next.is_none()
    }

    /// The next key, durable.
    pub(crate) fn prepare(&mut self) -> Result<&Held, StoreError> {
        // Where an earlier change of keys could not be brought to its end, the key that signs has the name of the next one still.
        self.erase()?;
        let epoch = self.current.epoch.saturating_add(1);
        let next = match self.next.take() {
            Some(next) => next,
            None => make(&self.directory, NEXT, &self.name, epoch)?,
        };
        Ok(self.next.insert(next))
    }

    /// Signs with the next key from now on. The old one stays on the disk until [`EpochKeys::erase`].
    pub(crate) fn step(&mut self) {
        if let Some(next) = self.next.take() {
            self.current = next;
            self.unnamed = true;
        }
    }

    /// Overwrites and replaces the key of the epoch before, if it is still there. To be called when the log has a checkpoint of the current key.
    pub(crate) fn erase(&mut self) -> Result<(), StoreError> {
        if !self.unnamed {
            return Ok(());
        }
        let (old, next) = (self.directory.join(CURRENT), self.directory.join(NEXT));
        overwrite(&old)?;
        std::fs::rename(&next, &old).map_err(|error| StoreError::io("rename", &next, error))?;
        sync_directory(parent(&old))?;
        self.unnamed = false;
        Ok(())
    }

    /// Puts the files in order after a crash: `signs_next` is what the log's end asks for.
    pub(crate) fn settle(&mut self, signs_next: &LogPublicKey) -> Result<(), StoreError> {
        if self.public() == signs_next {
            // Prepared, and never committed: it was of no epoch.
            if self.next.take().is_some() {
                let path = self.directory.join(NEXT);
                overwrite(&path)?;
                std::fs::remove_file(&path)
                    .map_err(|error| StoreError::io("remove", &path, error))?;
                sync_directory(parent(&path))?;
            }
            return Ok(());
        }
        match &self.next {
            Some(next) if next.key.public() == signs_next => {
                self.step();
                Ok(())
            }
            Some(_) | None => Err(unreadable(
                &self.directory.join(CURRENT),
                "it is not the key that the log goes on with",
            )),
        }
    }
}

impl fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKeys({} {})", self.current.epoch, self.public())
    }
}

pub(crate) fn unreadable(path: &Path, why: &str) -> StoreError {
    StoreError::Unreadable {
        path: path.to_path_buf(),
        why: why.to_owned(),
    }
}

/// The key in a file; none where there is no file, or one that was overwritten.
fn read(directory: &Path, file: &str, name: &str) -> Result<Option<Held>, StoreError> {
    let path = directory.join(file);
    let bytes = match read_private(&path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes: &[u8; FILE_BYTES] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| unreadable(&path, "it does not hold a key of the log"))?;
    if *bytes == [0; FILE_BYTES] {
        return Ok(None);
    }
    held(&path, bytes, name).map(Some)
}

fn held(path: &Path, bytes: &[u8; FILE_BYTES], name: &str) -> Result<Held, StoreError> {
    let (secret, number) = bytes.split_at(SECRET_BYTES);
    let secret: Option<&[u8; SECRET_BYTES]> = secret.try_into().ok();
    let number: Option<[u8; 8]> = number.try_into().ok();
    let key = secret.and_then(|secret| LogKey::new(name, secret).ok());
    match (key, number) {
        (Some(key), Some(number)) => Ok(Held {
            key,
            epoch: u64::from_be_bytes(number),
        }),
        _ => Err(unreadable(path, "the log's name cannot stand beside it")),
    }
}

/// Draws a key, and makes it durable.
fn make(directory: &Path, file: &str, name: &str, epoch: u64) -> Result<Held, StoreError> {
    let path = directory.join(file);
    let mut bytes = Zeroizing::new([0; FILE_BYTES]);
    let (secret, number) = bytes.split_at_mut(SECRET_BYTES);
    fill(secret, &path)?;
    number.copy_from_slice(&epoch.to_be_bytes());
    write_atomically(&path, &*bytes, 0o600)?;
    held(&path, &bytes, name)
}

/// Secret bytes from the kernel.
pub(crate) fn fill(secret: &mut [u8], path: &Path) -> Result<(), StoreError> {
    let wanted = secret.len();
    let count = getrandom(secret, GetRandomFlags::empty())
        .map_err(|error| StoreError::io("get random bytes for", path, error.into()))?;
    if count == wanted {
        Ok(())
    } else {
        Err(unreadable(path, "the kernel gave too few random bytes"))
    }
}

/// Writes zeros where a secret is, durably. What a file system that copies on write, or a disk that spreads its wear, keeps of it is out of reach.
fn overwrite(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("overwrite", path, error);
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(no_follow())
        .open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let length = file.metadata().map_err(failed)?.len();
    let length = usize::try_from(length)
        .unwrap_or(FILE_BYTES)
        .min(FILE_BYTES);
    file.write_all(&vec![0; length])
        .and_then(|()| file.sync_all())
        .map_err(failed)
}
