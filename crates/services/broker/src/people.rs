//! The people who may approve, kept in a private file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use valetkey_api::{Problem, ProblemKind};
use valetkey_approval::{Approver, Approvers};

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

    /// Registers the first approver. In user mode the first to come through the operator door is the owner; later ones need more than that.
    pub(crate) fn add_first(&self, approver: Approver) -> Result<(), Problem> {
        let mut approvers = self
            .approvers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !approvers.is_empty() {
            return Err(Problem::new(
                ProblemKind::Denied,
                "an approver is registered already, and this key is not theirs",
            ));
        }
        let mut next = approvers.clone();
        if !next.add(approver) {
            return Err(Problem::new(
                ProblemKind::Invalid,
                "the approver's name or key is not usable",
            ));
        }
        let failed = |reason: String| {
            Problem::new(
                ProblemKind::Unavailable,
                format!("cannot keep the approver: {reason}"),
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
    let read: Approvers = serde_json::from_slice(bytes).ok()?;
    let mut checked = Approvers::default();
    for approver in read.iter() {
        if !checked.add(approver.clone()) {
            return None;
        }
    }
    Some(checked)
}
