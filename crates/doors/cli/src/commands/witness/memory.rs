//! What a witness remembers: of each log the last checkpoint that it cosigned, durable before anyone hears of it.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use valetkey_audit::{Checkpoint, WitnessPublicKey};
use valetkey_model::Digest;
use valetkey_store::{read_private, write_atomically};

use crate::fail::{Fail, Status};

/// The file that says whose memory it is. Without it there is none: a directory that was emptied is not taken for a new one.
const OWNER: &str = "witness";

/// The memory of one witness, held by one process.
#[derive(Debug)]
pub(super) struct Memory {
    directory: PathBuf,
    last: HashMap<String, Checkpoint>,
    _lock: File,
}

fn failed(error: impl std::fmt::Display) -> Fail {
    Fail::new(Status::Failed, error)
}

impl Memory {
    pub(super) fn is_there(directory: &Path) -> bool {
        directory.join(OWNER).exists()
    }

    /// An empty memory for a new key.
    pub(super) fn make(directory: &Path, key: &WitnessPublicKey) -> Result<(), Fail> {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(format!(
                    "cannot create {}: {error}",
                    directory.display()
                )));
            }
            Ok(()) | Err(_) => {}
        }
        let text = format!("{key}\n");
        write_atomically(&directory.join(OWNER), text.as_bytes(), 0o600).map_err(failed)
    }

    /// The memory of this key.
    pub(super) fn open(directory: &Path, key: &WitnessPublicKey) -> Result<Self, Fail> {
        let owner = read_private(&directory.join(OWNER)).map_err(|error| {
            failed(error).hinted("`valetkey witness init` makes a witness and its memory")
        })?;
        if owner.trim_ascii() != key.to_string().as_bytes() {
            let why = format!("{} is the memory of another witness", directory.display());
            return Err(failed(why));
        }
        let lock = File::open(directory).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| failed(format!("another process uses {}", directory.display())))?;
        Ok(Self {
            directory: directory.to_path_buf(),
            last: HashMap::new(),
            _lock: lock,
        })
    }

    fn path(&self, origin: &str) -> PathBuf {
        let name = Digest::of(origin.as_bytes()).to_string();
        let name = name.rsplit(':').next().unwrap_or_default().to_owned();
        self.directory.join(format!("log-{name}"))
    }

    /// Reads what was cosigned of a log. What does not read is an error: it is not forgotten.
    pub(super) fn recall(&mut self, origin: &str) -> Result<(), Fail> {
        let path = self.path(origin);
        let note = match read_private(&path) {
            Ok(note) => note,
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let last = Checkpoint::read_unverified(&note)
            .ok()
            .filter(|last| last.origin == origin)
            .ok_or_else(|| failed(format!("{} does not read", path.display())))?;
        self.last.insert(origin.to_owned(), last);
        Ok(())
    }

    /// The last checkpoint of a log that was cosigned.
    pub(super) fn last(&self, origin: &str) -> Option<Checkpoint> {
        self.last.get(origin).cloned()
    }

    /// Remembers a checkpoint, durably.
    pub(super) fn keep(&mut self, checkpoint: &Checkpoint, note: &str) -> Result<(), Fail> {
        write_atomically(&self.path(&checkpoint.origin), note.as_bytes(), 0o600).map_err(failed)?;
        self.last
            .insert(checkpoint.origin.clone(), checkpoint.clone());
        Ok(())
    }
}
