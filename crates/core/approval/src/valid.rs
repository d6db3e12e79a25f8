//! Whether what a person approved is still what it was: asked before a capability is minted, and again before it is first used.

use thiserror::Error;
use valetkey_model::{Digest, FileKind, Resource, SessionId};

use crate::asked::{Asked, FileFacts};

/// What is not as it was when the question was shown.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Changed {
    /// Another session.
    #[error("the approval was given to another session")]
    Session,
    /// Another policy.
    #[error("the policy is no longer the one that asked")]
    Policy,
    /// Another file, or the file changed.
    #[error("`{0}` is no longer what was shown: its {1} changed")]
    File(Box<Resource>, &'static str),
}

/// Checks that session, policy and every file are as they were when the question was shown. `facts_now` looks at a resource.
///
/// Of a file everything that was shown counts, and which object it is: kind, identity, size, owner, permissions, number of links, time of the
/// last change of content, and the kernel's own time of the last change of any kind, which programs cannot set. A fact that was shown and
/// cannot be had now is a change; a fact that was not known then is not compared. Reading a file changes none of them. Of a folder only kind,
/// identity, owner and permissions count: whatever is made in it would change the rest, and a grant on a folder's name gives no file in it.
///
/// The agent's own writes change the file, too: after the first use of a capability, ask [`FileFacts::is_same_object`] instead.
///
/// # Errors
/// The first thing that changed.
pub fn still_valid(
    asked: &Asked,
    session: &SessionId,
    policy_now: &Digest,
    facts_now: impl Fn(&Resource) -> Option<FileFacts>,
) -> Result<(), Changed> {
    if asked.session != *session {
        return Err(Changed::Session);
    }
    if asked.policy_digest != *policy_now {
        return Err(Changed::Policy);
    }
    for (resource, shown) in asked.resources() {
        let Some(shown) = shown else { continue };
        let changed = |what| Err(Changed::File(Box::new(resource.clone()), what));
        let Some(now) = facts_now(resource) else {
            return changed("state cannot be read, or it");
        };
        if let Some(what) = shown.difference(&now) {
            return changed(what);
        }
    }
    Ok(())
}

impl FileFacts {
    /// Whether it is the same object, whatever was done to it. Where either does not know its identity, the kind must do.
    #[must_use]
    pub fn is_same_object(&self, now: &Self) -> bool {
        self.kind == now.kind
            && match (&self.identity, &now.identity) {
                (Some(shown), Some(now)) => shown == now,
                (Some(_), None) => false,
                (None, _) => true,
            }
    }

    /// What differs from these facts, in words for a person.
    #[must_use]
    pub fn difference(&self, now: &Self) -> Option<&'static str> {
        let unlike = |shown: bool, what| shown.then_some(what);
        unlike(self.kind != now.kind, "kind")
            .or_else(|| unlike(!self.is_same_object(now), "identity"))
            .or_else(|| unlike(self.owner != now.owner, "owner"))
            .or_else(|| unlike(self.mode != now.mode, "mode"))
            .or_else(|| {
                if self.kind == FileKind::Directory {
                    return None;
                }
                unlike(self.size != now.size, "size")
                    .or_else(|| unlike(self.modified != now.modified, "content"))
                    .or_else(|| unlike(self.links != now.links, "number of links"))
                    .or_else(|| {
                        let changed = self.changed.is_some() && self.changed != now.changed;
                        unlike(changed, "content or attributes")
                    })
            })
    }
}

#[cfg(test)]
mod tests {
    use valetkey_model::Timestamp;

    use super::*;
    use crate::asked::{FileIdentity, Listed};
    use crate::testkit::{facts, question};

    fn check(asked: &Asked, now: Option<FileFacts>) -> Result<(), Changed> {
        still_valid(asked, &asked.session, &asked.policy_digest, |_| now.clone())
    }

    #[test]
    fn an_approval_is_void_once_the_file_changed() {
        let mut asked = question("file:/home/alice/a", "write");
        asked.file = Some(facts());
        assert_eq!(check(&asked, Some(facts())), Ok(()));
        let later = Timestamp::from_unix_seconds(9);
        let changes: [fn(&mut FileFacts, Timestamp); 9] = [
            |facts, _| facts.kind = FileKind::Symlink,
            |facts, _| facts.size += 1,
            |facts, _| facts.owner += 1,
            |facts, _| facts.mode ^= 0o100,
            |facts, _| facts.links += 1,
            |facts, later| facts.modified = later,
            |facts, later| facts.changed = Some(later),
            |facts, _| facts.identity = Some(FileIdentity::new(1, 3)),
            |facts, _| facts.identity = None,
        ];
        for change in changes {
            let mut now = facts();
            change(&mut now, later);
            assert!(
                matches!(check(&asked, Some(now.clone())), Err(Changed::File(..))),
                "{now:?}"
            );
        }
        assert!(matches!(check(&asked, None), Err(Changed::File(..))));
        let without_ctime = FileFacts {
            changed: None,
            ..facts()
        };
        assert!(check(&asked, Some(without_ctime)).is_err());
    }

    #[test]
    fn a_folder_is_the_same_while_files_come_and_go() {
        let folder = FileFacts {
            kind: FileKind::Directory,
            ..facts()
        };
        let mut asked = question("file:/home/alice/d", "list");
        asked.file = Some(folder.clone());
        let later = Timestamp::from_unix_seconds(9);
        let used = FileFacts {
            size: 8192,
            links: 7,
            modified: later,
            changed: Some(later),
            ..folder.clone()
        };
        assert_eq!(check(&asked, Some(used)), Ok(()));
        let opened_up = FileFacts {
            mode: 0o777,
            ..folder
        };
        assert!(check(&asked, Some(opened_up)).is_err());
    }

    #[test]
    fn what_was_not_known_when_asked_is_not_compared() {
        let mut asked = question("file:/home/alice/a", "write");
        asked.file = Some(FileFacts {
            changed: None,
            identity: None,
            ..facts()
        });
        assert_eq!(check(&asked, Some(facts())), Ok(()));
        asked.file = None;
        assert_eq!(check(&asked, None), Ok(()));
    }

    #[test]
    fn an_approval_is_void_in_another_session_and_under_another_policy() {
        let asked = question("file:/home/alice/a", "read");
        let other = SessionId::new(Timestamp::from_unix_seconds(1), [9; 10]);
        let policy = asked.policy_digest;
        assert_eq!(
            still_valid(&asked, &other, &policy, |_| None),
            Err(Changed::Session)
        );
        assert_eq!(
            still_valid(&asked, &asked.session, &Digest::of(b"new"), |_| None),
            Err(Changed::Policy)
        );
    }

    #[test]
    fn every_listed_file_is_looked_at() {
        let mut asked = question("file:/home/alice/a", "read");
        asked.file = Some(facts());
        asked.also = vec![Listed {
            request_id: asked.request_id.clone(),
            resource: "file:/home/alice/b".parse().unwrap(),
            file: Some(facts()),
        }];
        let grown = |resource: &Resource| {
            let mut now = facts();
            if resource.to_string().ends_with("/b") {
                now.size += 1;
            }
            Some(now)
        };
        let result = still_valid(&asked, &asked.session, &asked.policy_digest, grown);
        assert!(
            matches!(result, Err(Changed::File(which, "size")) if which.to_string() == "file:/home/alice/b")
        );
    }
}
