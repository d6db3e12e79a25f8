//! What signs a log: its own key, which stays, and beside it the key of the epoch.
//!
//! Three files: `log.name`, `log.key` and the epoch's. The name of a log names the key of its first epoch, so a new log has a new name.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use valetkey_audit::segment::SegmentHeader;
use valetkey_audit::{LogKey, LogPublicKey, name_with_first_epoch};
use zeroize::Zeroizing;

use crate::epoch_keys::{EpochKeys, EpochLimits, SECRET_BYTES, fill, unreadable};
use crate::file::{read_private, write_atomically};
use crate::{StoreError, segments};

/// The file of the log's own key, and of its name.
const LOG: &str = "log.key";
const NAME: &str = "log.name";

/// What signs a log.
#[derive(Debug)]
pub struct Signer {
    log: LogKey,
    epochs: Option<EpochKeys>,
}

impl From<LogKey> for Signer {
    /// A log without epochs: whoever takes the key can write it anew.
    fn from(log: LogKey) -> Self {
        Self { log, epochs: None }
    }
}

impl Signer {
    /// The keys in `directory` for the log in `log`. Where there is no log yet, they are made, and with them its name, which begins with `place`. For a log
    /// that was begun without epochs, the first is made.
    ///
    /// # Errors
    /// When a file cannot be read, written or trusted, or is not there though the log is.
    pub fn open(
        directory: &Path,
        log: &Path,
        place: &str,
        limits: EpochLimits,
    ) -> Result<Self, StoreError> {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("create", directory, error));
            }
            Ok(()) | Err(_) => {}
        }
        let first = if log.exists() {
            segments::list(log)?.first().copied()
        } else {
            None
        };
        match first {
            Some(first) => Self::of(directory, &segments::path_of(log, first), limits),
            None => Self::of_new(directory, place, limits),
        }
    }

    fn of(directory: &Path, segment: &Path, limits: EpochLimits) -> Result<Self, StoreError> {
        let name = match name(directory)? {
            Some(name) => name,
            None => origin(segment)?,
        };
        Ok(Self {
            log: log_key(directory, &name)?,
            epochs: Some(EpochKeys::open(directory, &name, limits)?),
        })
    }

    fn of_new(directory: &Path, place: &str, limits: EpochLimits) -> Result<Self, StoreError> {
        let name_of = |first: &LogPublicKey| name_with_first_epoch(place, first);
        // What was made before a crash is used, if it belongs together.
        let made = match name(directory)? {
            Some(name) => EpochKeys::open(directory, &name, limits)
                .ok()
                .filter(|epochs| epochs.is_first() && name_of(epochs.public()) == name),
            None => None,
        };
        let epochs = match made {
            Some(epochs) => epochs,
            None => EpochKeys::first(directory, limits, name_of)?,
        };
        let name = epochs.public().name().to_owned();
        write_atomically(&directory.join(NAME), format!("{name}\n").as_bytes(), 0o600)?;
        if !directory.join(LOG).exists() {
            let path = directory.join(LOG);
            let mut secret = Zeroizing::new([0; SECRET_BYTES]);
            fill(&mut *secret, &path)?;
            write_atomically(&path, &*secret, 0o600)?;
        }
        Ok(Self {
            log: log_key(directory, &name)?,
            epochs: Some(epochs),
        })
    }

    /// The log's own key, which verifies every checkpoint, and whose name leads to the epochs' keys.
    #[must_use]
    pub fn public(&self) -> &LogPublicKey {
        self.log.public()
    }

    /// The keys that sign the next checkpoint.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &LogKey> {
        let epoch = self.epochs.as_ref().map(|keys| &keys.current().key);
        std::iter::once(&self.log).chain(epoch)
    }

    /// The epochs' keys, where the log has epochs.
    pub(crate) fn epochs(&self) -> Option<&EpochKeys> {
        self.epochs.as_ref()
    }

    pub(crate) fn epochs_mut(&mut self) -> Option<&mut EpochKeys> {
        self.epochs.as_mut()
    }
}

fn name(directory: &Path) -> Result<Option<String>, StoreError> {
    let path = directory.join(NAME);
    match read_private(&path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(_) => Err(unreadable(&path, "it does not hold a name")),
        },
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

fn log_key(directory: &Path, name: &str) -> Result<LogKey, StoreError> {
    let path = directory.join(LOG);
    let bytes = Zeroizing::new(read_private(&path)?);
    let secret: &[u8; SECRET_BYTES] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| unreadable(&path, "it does not hold 32 bytes"))?;
    LogKey::new(name, secret).map_err(|error| unreadable(&path, &error.to_string()))
}

/// The name that a segment says the log has.
fn origin(segment: &Path) -> Result<String, StoreError> {
    let bytes = std::fs::read(segment).map_err(|error| StoreError::io("read", segment, error))?;
    match SegmentHeader::read(&bytes) {
        Ok((header, _)) => Ok(header.origin),
        Err(error) => Err(unreadable(segment, &error.to_string())),
    }
}
