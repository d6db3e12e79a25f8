//! The people who may approve, kept in private files: in user mode one, in system mode one for each user.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use valetkey_api::{Mode, Problem, ProblemKind};
use valetkey_approval::{Approver, Approvers, ChangeError, OWNER, SignedChange};
use valetkey_model::UserFacts;

use crate::per_user::{MAX_USERS, PerUser};

/// The registered approvers, in memory and on disk.
#[derive(Debug)]
pub(crate) struct People {
    place: PerUser,
    approvers: Mutex<BTreeMap<u32, Approvers>>,
}

impl People {
    /// Reads what there is. A file that does not read stops the broker: nobody must become an approver by damage.
    pub(crate) fn load(state: &Path, mode: Mode) -> Result<Self, String> {
        let (place, files) = PerUser::find(state, "approvers", mode)?;
        let mut approvers = BTreeMap::new();
        for (uid, file) in files {
            if let Some(read) = read(&file)? {
                approvers.insert(uid, read);
            }
        }
        Ok(Self {
            place,
            approvers: Mutex::new(approvers),
        })
    }

    /// Those who may answer for a user, as of now.
    pub(crate) fn of(&self, uid: u32) -> Approvers {
        self.lock().get(&uid).cloned().unwrap_or_default()
    }

    /// The registry of a user with its first approver. The first to come through the operator door as that user is the owner of that user's
    /// sessions; later ones need an owner's signature. In system mode the broker knows better than the peer what the approver is called, and
    /// in which role they answer: under their own name, as owner, for nobody else.
    pub(crate) fn with_first(
        &self,
        mode: Mode,
        user: &UserFacts,
        approver: Approver,
    ) -> Result<Approvers, Problem> {
        may_add(&self.lock(), mode, user, &approver)?;
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

    /// The registry of a user after a change that an owner signed.
    pub(crate) fn with_change(
        &self,
        uid: u32,
        change: &SignedChange,
    ) -> Result<Approvers, Problem> {
        self.of(uid).changed(change).map_err(|error| {
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
    pub(crate) fn replace(
        &self,
        uid: u32,
        before: &Approvers,
        next: Approvers,
    ) -> Result<(), Problem> {
        let mut approvers = self.lock();
        if approvers.get(&uid).cloned().unwrap_or_default() != *before {
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
        valetkey_store::write_atomically(&self.place.of(uid), &bytes, 0o600)
            .map_err(|error| failed(error.to_string()))?;
        approvers.insert(uid, next);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Approvers>> {
        self.approvers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn may_add(
    known: &BTreeMap<u32, Approvers>,
    mode: Mode,
    user: &UserFacts,
    approver: &Approver,
) -> Result<(), Problem> {
    let denied = |why: String| Err(Problem::new(ProblemKind::Denied, why));
    if mode == Mode::System && (approver.roles != [OWNER] || approver.name != user.name) {
        return denied(format!(
            "a person registers under their own name, here `{}`, and as owner of their own sessions alone",
            user.name
        ));
    }
    if known.get(&user.uid).is_some_and(|known| !known.is_empty()) {
        return denied("an approver is registered already, and this key is not theirs".to_owned());
    }
    if known.len() >= MAX_USERS {
        return Err(Problem::new(
            ProblemKind::Busy,
            "too many users have approvers",
        ));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Approvers>, String> {
    match valetkey_store::read_private(path) {
        Ok(bytes) => read_strictly(&bytes)
            .map(Some)
            .ok_or_else(|| format!("{} does not read", path.display())),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The approvers of a file, each checked again as if it were new: no two share a name or key.
fn read_strictly(bytes: &[u8]) -> Option<Approvers> {
    serde_json::from_slice::<Approvers>(bytes).ok()?.checked()
}

#[cfg(test)]
mod tests {
    use valetkey_approval::ApproverKey;

    use super::*;

    fn user(uid: u32, name: &str) -> UserFacts {
        UserFacts {
            uid,
            name: name.to_owned(),
            home: "/".to_owned(),
            home_resource: None,
            groups: Vec::new(),
        }
    }

    #[test]
    fn each_user_of_a_system_broker_has_approvers_of_their_own() {
        let state = tempfile::tempdir().expect("a directory");
        let (first, second) = (user(1000, "alice"), user(1001, "bob"));
        let key = |byte| ApproverKey::from_seed(&[byte; 32]);
        {
            let people = People::load(state.path(), Mode::System).expect("load");
            let add = |user: &UserFacts, approver| {
                let next = people.with_first(Mode::System, user, approver)?;
                people.replace(user.uid, &people.of(user.uid), next)
            };
            add(&first, key(1).approver("alice", &["owner"])).expect("the first");
            add(&second, key(2).approver("bob", &["owner"])).expect("another user's first");
            let again = add(&first, key(3).approver("alice", &["owner"]));
            assert_eq!(again.expect_err("a second").kind, ProblemKind::Denied);
        }
        let people = People::load(state.path(), Mode::System).expect("load again");
        assert!(people.of(1000).by_name("alice").is_some());
        assert!(people.of(1000).by_name("bob").is_none());
        assert!(people.of(1002).is_empty());
    }

    #[test]
    fn nobody_takes_another_name_or_role_in_system_mode() {
        let state = tempfile::tempdir().expect("a directory");
        let people = People::load(state.path(), Mode::System).expect("load");
        let key = ApproverKey::from_seed(&[1; 32]);
        for approver in [
            key.approver("root", &["owner"]),
            key.approver("alice", &["owner", "auditor"]),
            key.approver("alice", &["admin"]),
            key.approver("alice", &[]),
        ] {
            let refused = people.with_first(Mode::System, &user(1000, "alice"), approver);
            assert_eq!(refused.expect_err("refused").kind, ProblemKind::Denied);
        }
        assert!(people.of(1000).is_empty());
    }

    #[test]
    fn a_damaged_file_stops_the_broker() {
        let state = tempfile::tempdir().expect("a directory");
        drop(People::load(state.path(), Mode::System).expect("load"));
        let path = state.path().join("approvers/1000.json");
        valetkey_store::write_atomically(&path, b"{}", 0o600).expect("write");
        assert!(People::load(state.path(), Mode::System).is_err());
    }
}
