//! The people who may approve, kept in a private file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use valetkey_api::{Problem, ProblemKind};
use valetkey_approval::{Approver, Approvers, ChangeError, SignedChange};

/// The registered approvers, in memory and on disk.
#[derive(Debug)]
pub(crate) struct People {
    path: PathBuf,
    approvers: Mutex<Approvers>,
}

impl People {
    /// Reads the file, if there is one. A file that does not read stops the broker: nobody must become an approver by damage.
    pub(crate) fn load(state: &Path) -> Result<Self, String> {
        let path = state.join("approvers.json");
        let approvers = match valetkey_store::read_private(&path) {
            Ok(bytes) => {
                read_strictly(&bytes).ok_or_else(|| format!("{} does not read", path.display()))?
            }
            Err(error) if error.is_absent() => Approvers::default(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Ok(Self {
            path,
            approvers: Mutex::new(approvers),
        })
    }

    /// Everyone, as of now.
    pub(crate) fn all(&self) -> Approvers {
        self.approvers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The registry with its first approver. In user mode the first to come through the operator door is the owner; later ones need
    /// an owner's signature.
    pub(crate) fn with_first(&self, approver: Approver) -> Result<Approvers, Problem> {
        if !self.all().is_empty() {
            return Err(Problem::new(
                ProblemKind::Denied,
                "an approver is registered already, and this key is not theirs",
            ));
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| {
            Problem::new(ProblemKind::Unavailable, format!("no randomness: {error}"))
        })?;
        let registry: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Approvers::found(registry, approver).ok_or_else(|| {
            Problem::new(
                ProblemKind::Invalid,
                "the first approver needs a usable name and key, and the role `owner`",
            )
        })
    }

    /// The registry after a change that an owner signed.
    pub(crate) fn with_change(&self, change: &SignedChange) -> Result<Approvers, Problem> {
        self.all().changed(change).map_err(|error| {
            let denied = matches!(
                error,
                ChangeError::UnknownSigner(_)
                    | ChangeError::Signature
                    | ChangeError::NotOwner(_)
                    | ChangeError::LastOwner
            );
            let kind = if denied {
                ProblemKind::Denied
            } else {
                ProblemKind::Invalid
            };
            Problem::new(kind, error.to_string())
        })
    }

    /// Puts `next` in the place of `before`, on disk first. Nothing is changed when the registry is not `before` any more.
    pub(crate) fn replace(&self, before: &Approvers, next: Approvers) -> Result<(), Problem> {
        let mut approvers = self
            .approvers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *approvers != *before {
            return Err(Problem::new(
                ProblemKind::Busy,
                "the approvers have changed meanwhile",
            ));
        }
        let failed = |reason: String| {
            Problem::new(
                ProblemKind::Unavailable,
                format!("cannot keep the approvers: {reason}"),
            )
        };
        let bytes = serde_json::to_vec_pretty(&next).map_err(|error| failed(error.to_string()))?;
        valetkey_store::write_atomically(&self.path, &bytes, 0o600)
            .map_err(|error| failed(error.to_string()))?;
        *approvers = next;
        Ok(())
    }
}

/// The approvers of a file, each checked again as if it were new: no two share a name or key.
fn read_strictly(bytes: &[u8]) -> Option<Approvers> {
    serde_json::from_slice::<Approvers>(bytes).ok()?.checked()
}
