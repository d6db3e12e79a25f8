//! What can go wrong with durable files, and whose fault it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use valetkey_audit::{SealError, Tampering};

use crate::tiles::TileFault;

/// Why something is not stored. One failure can reach many waiting callers, so it can be cloned.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// Another process has the files.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Others than the owner can get at a file that must be private.
    #[error("{} {why}", path.display())]
    NotPrivate {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and how to mend it.
        why: String,
    },
    /// The log is not as it was signed. It must be looked at by a person: keep it as it is, and start a new one elsewhere.
    #[error("the log is damaged: {0}")]
    Damaged(Box<Tampering>),
    /// The log on disk was signed by another key.
    #[error("the log was signed by another key: {0}")]
    WrongKey(Box<Tampering>),
    /// Tiles are not as they were signed, or do not fit the log.
    #[error("the tiles do not hold: {0}")]
    Tiles(Box<TileFault>),
    /// A file's content is not what this program writes.
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Too much is waiting to be written.
    #[error("too many records are waiting to be written")]
    QueueFull,
    /// An earlier write failed, and nothing is taken until one succeeds again.
    #[error("nothing can be recorded: {0}")]
    Failed(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The event cannot become a leaf.
    #[error("{0}")]
    Event(Arc<SealError>),
}

impl StoreError {
    /// Whether the only thing wrong is that the file is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_path_buf(),
            source: Arc::new(source),
        }
    }
}

impl From<SealError> for StoreError {
    fn from(error: SealError) -> Self {
        Self::Event(Arc::new(error))
    }
}
