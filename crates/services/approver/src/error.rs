//! What can go wrong with a key, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use valetkey_api::{ClientError, HomeError};
use valetkey_approval::{ApprovalError, ChangeError, PolicyChangeError};
use valetkey_model::RequestId;

/// Why a key cannot be had or used, or what it signed was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApproverError {
    /// The directory for it cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The key file is damaged, of another form, or open to others.
    #[error("cannot use the approver key {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no key yet.
    #[error("you have no approver key yet")]
    NoKey,
    /// There is one already.
    #[error("there is an approver key already: {}", .0.display())]
    Exists(PathBuf),
    /// The passphrase does not open the file, or the file was changed: which of the two cannot be told.
    #[error("the passphrase does not open the approver key")]
    WrongPassphrase,
    /// The passphrase is too easy to guess.
    #[error("this passphrase is too easy to guess: {0}")]
    Weak(&'static str),
    /// It was not typed twice the same.
    #[error("the two passphrases differ")]
    Differ,
    /// It is empty, too long, or not UTF-8.
    #[error("a passphrase is one line of text of 1 to 1024 bytes")]
    NotAPassphrase,
    /// Nobody can be asked.
    #[error("a passphrase is needed, and there is no terminal to ask at")]
    NoTerminal,
    /// The person stopped.
    #[error("cancelled")]
    Cancelled,
    /// A descriptor or a terminal cannot be read.
    #[error("cannot read the passphrase: {0}")]
    Unreadable(io::Error),
    /// The name is not one that can be registered.
    #[error("`{0}` is not a usable name: 1 to 64 of `A-Z a-z 0-9 . _ @ + -`")]
    Name(String),
    /// The broker does not know the key.
    #[error("your approver key is not registered with this broker")]
    NotRegistered,
    /// Nobody of that name is registered.
    #[error("no approver is registered as `{0}`")]
    NoSuchApprover(String),
    /// The question is not open.
    #[error("no open request has the id {0}")]
    Gone(RequestId),
    /// The question is not the one that was shown.
    #[error("the question is not the one that you saw: nothing was signed")]
    OtherQuestion,
    /// It cannot be signed.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// It cannot be signed.
    #[error(transparent)]
    Policy(#[from] PolicyChangeError),
    /// It cannot be signed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The broker did not take it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The kernel's key store is not there, or not for this process.
    #[error("the kernel's key store cannot be used: {0}")]
    NoKeyStore(io::Error),
    /// No random bytes.
    #[error("no randomness: {0}")]
    Entropy(String),
}

impl ApproverError {
    /// About the file.
    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }

    /// What to do next, where something can be done.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoKey => Some(
                "`valetkey approver init` makes one, under a passphrase; with --no-passphrase, unprotected",
            ),
            Self::Exists(_) => Some("`valetkey approver passphrase` changes how it is protected"),
            Self::WrongPassphrase => {
                Some("nobody can recover it; an owner can remove the key and add a new one")
            }
            Self::Weak(_) => Some("five or more unrelated words are good and can be remembered"),
            Self::NoTerminal => Some(
                "unlock the key first (`valetkey approver unlock`), or give the passphrase with --passphrase-fd N",
            ),
            Self::NotRegistered => Some(
                "an owner registers it: `valetkey approver show-key` prints what they need, `valetkey approver add` is theirs to run",
            ),
            Self::NoSuchApprover(_) => Some("`valetkey approver list` shows who there is"),
            Self::Gone(_) => Some("`valetkey requests` shows the open ones"),
            Self::OtherQuestion => Some("look at it again: `valetkey requests`"),
            Self::NoKeyStore(_) => Some("the passphrase is asked for each time instead"),
            Self::Home(_)
            | Self::File { .. }
            | Self::Differ
            | Self::NotAPassphrase
            | Self::Cancelled
            | Self::Unreadable(_)
            | Self::Name(_)
            | Self::Approval(_)
            | Self::Policy(_)
            | Self::Change(_)
            | Self::Client(_)
            | Self::Entropy(_) => None,
        }
    }
}
