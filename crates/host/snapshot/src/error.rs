//! Why something could not be kept or put back.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What went wrong.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The system refuses.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// More than the budget.
    #[error("{0}")]
    Budget(String),
    /// No room for records: nothing more is changed.
    #[error("{0}")]
    Full(String),
    /// What was kept is damaged.
    #[error("what was kept in {} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// The session still runs, or another undo does.
    #[error("{} is in use: the session still runs", .0.display())]
    InUse(PathBuf),
}

impl SnapshotError {
    pub(crate) fn io(what: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            what,
            path: path.to_path_buf(),
            source: source.into(),
        }
    }
}
