//! What people approved before, kept over restarts, so that a question can say what is new in it.
//!
//! It informs people and decides nothing: where it cannot be read, nothing is said of earlier approvals, and where it cannot be written, the
//! next broker knows less.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use valetkey_api::Mode;
use valetkey_approval::{Asked, Before, Memory};

use crate::diagnostics::Diagnostics;
use crate::per_user::{MAX_USERS, PerUser};

/// The memory of all users, and where it is kept.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// Nothing where the place itself cannot be had.
    place: Option<PerUser>,
    users: Mutex<BTreeMap<u32, Known>>,
    /// One write at a time, so that the last one is the latest.
    writing: Mutex<()>,
}

/// What is known of a user's approvals.
#[derive(Debug)]
enum Known {
    All(Memory),
    /// There is a file that does not read: what was approved before is not known. It is left as it is.
    Nothing,
}

impl Remembered {
    /// Reads what there is.
    pub(crate) fn load(state: &Path, mode: Mode, diagnostics: &Diagnostics) -> Self {
        let mut users = BTreeMap::new();
        let (place, files) = match PerUser::find(state, "approved", mode) {
            Ok((place, files)) => (Some(place), files),
            Err(error) => {
                diagnostics.error(format_args!("earlier approvals are not known: {error}"));
                (None, Vec::new())
            }
        };
        for (uid, path) in files {
            let read = match valetkey_store::read_private(&path) {
                Ok(bytes) => valetkey_model::read_json(&bytes).map_err(|error| error.to_string()),
                Err(error) if error.is_absent() => continue,
                Err(error) => Err(error.to_string()),
            };
            let known = match read {
                Ok(memory) => Known::All(memory),
                Err(error) => {
                    diagnostics.error(format_args!(
                        "earlier approvals are not known, {}: {error}",
                        path.display()
                    ));
                    Known::Nothing
                }
            };
            users.insert(uid, known);
        }
        Self {
            place,
            users: Mutex::new(users),
            writing: Mutex::new(()),
        }
    }

    /// What was approved before for the agent of a question; nothing where that is not known.
    pub(crate) fn before(&self, uid: u32, asked: &Asked) -> Option<Before> {
        self.place.as_ref()?;
        match self.lock().get(&uid) {
            Some(Known::All(memory)) => Some(memory.before(asked)),
            Some(Known::Nothing) => None,
            None => Some(Memory::default().before(asked)),
        }
    }

    /// Remembers a yes until the broker ends; [`Self::write`] keeps it longer.
    pub(crate) fn remember(&self, uid: u32, asked: &Asked) {
        let mut users = self.lock();
        if users.len() >= MAX_USERS && !users.contains_key(&uid) {
            return;
        }
        let known = users
            .entry(uid)
            .or_insert_with(|| Known::All(Memory::default()));
        if let Known::All(memory) = known {
            memory.remember(asked);
        }
    }

    /// Writes what is known of a user's approvals. It waits for the disk.
    pub(crate) fn write(&self, uid: u32, diagnostics: &Diagnostics) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match self.lock().get(&uid) {
            Some(Known::All(memory)) => serde_json::to_vec(memory),
            Some(Known::Nothing) | None => return,
        };
        let Some(place) = &self.place else { return };
        let written = bytes.map_err(|error| error.to_string()).and_then(|bytes| {
            valetkey_store::write_atomically(&place.of(uid), &bytes, 0o600)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            diagnostics.error(format_args!("an approval is not remembered: {error}"));
        }
        drop(writing);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Known>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use valetkey_approval::Asked;

    use super::*;

    fn asked() -> Asked {
        crate::question::tests::asked("2030-01-01T00:00:00.000Z")
    }

    #[test]
    fn it_outlives_the_broker_and_is_each_users_own() {
        let state = tempfile::tempdir().expect("a directory");
        let diagnostics = Diagnostics::new(state.path().join("diagnostics"));
        let load = || Remembered::load(state.path(), Mode::System, &diagnostics);
        let first = load();
        let approvals =
            |memory: &Remembered, uid| memory.before(uid, &asked()).map(|before| before.approvals);
        assert_eq!(approvals(&first, 1000), Some(0));
        first.remember(1000, &asked());
        first.write(1000, &diagnostics);
        let second = load();
        assert_eq!(approvals(&second, 1000), Some(1));
        assert_eq!(approvals(&second, 1001), Some(0));
    }

    #[test]
    fn a_damaged_file_says_nothing_of_earlier_approvals_and_is_left_alone() {
        let state = tempfile::tempdir().expect("a directory");
        let diagnostics = Diagnostics::new(state.path().join("diagnostics"));
        let path = state.path().join("approved.json");
        valetkey_store::write_atomically(&path, b"{", 0o600).expect("write");
        let memory = Remembered::load(state.path(), Mode::User, &diagnostics);
        let uid = rustix::process::geteuid().as_raw();
        memory.remember(uid, &asked());
        memory.write(uid, &diagnostics);
        assert_eq!(memory.before(uid, &asked()), None);
        assert_eq!(std::fs::read(&path).expect("read"), b"{");
        assert!(diagnostics.last_error().is_some());
    }
}
