//! Why a call failed, as its caller reads it: what the system said, which rule refused, and whether asking can help.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use valetkey_client::ClientError;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The arguments are not those of the tool, or cannot be carried out as they are.
    Said(String),
    /// The system refused an operation on a path.
    System {
        /// What the tool was doing, in the system's own word for it.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// The agent door said no, or did not answer.
    Door(Box<ClientError>),
}

impl Fail {
    pub(crate) fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }

    /// What to make of an error of an operation on `path`.
    pub(crate) fn of(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self::System { doing, path, error }
    }

    /// What happened, in one line.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Said(text) => text.clone(),
            Self::System { doing, path, error } => {
                format!("{}, {doing} '{}'", system_words(error), path.display())
            }
            Self::Door(error) => match &**error {
                ClientError::Problem(problem) => problem.detail.clone(),
                other @ (ClientError::Unreachable { .. } | ClientError::Broken(_)) => {
                    other.to_string()
                }
            },
        }
    }
}

impl From<ClientError> for Fail {
    fn from(error: ClientError) -> Self {
        Self::Door(Box::new(error))
    }
}

/// The system's answer with its symbol, as agents know it from other servers.
fn system_words(error: &io::Error) -> String {
    let known = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => "ENOENT: no such file or directory",
        Some(Errno::ACCESS) => "EACCES: permission denied",
        Some(Errno::PERM) => "EPERM: operation not permitted",
        Some(Errno::EXIST) => "EEXIST: file already exists",
        Some(Errno::NOTDIR) => "ENOTDIR: not a directory",
        Some(Errno::ISDIR) => "EISDIR: illegal operation on a directory",
        Some(Errno::NOTEMPTY) => "ENOTEMPTY: directory not empty",
        Some(Errno::ROFS) => "EROFS: read-only file system",
        Some(Errno::DQUOT) => "EDQUOT: a limit of the capability is reached",
        Some(Errno::INTR) => "EINTR: the wait was ended",
        Some(Errno::XDEV) => "EXDEV: cross-device link not permitted",
        _ => return error.to_string(),
    };
    known.to_owned()
}
