//! What policy says of a file by names that no capability speaks of: asked of the broker, and remembered for a moment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use valetkey_model::ActionSet;

/// Answers that are remembered, at some 200 bytes each.
const REMEMBERED_MAX: usize = 4096;
/// How long an answer is good. A build opens a file that its store shares many times; what a person changes meanwhile is seen soon.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Answers of a moment.
#[derive(Debug, Default)]
pub(crate) struct Considerations {
    known: Mutex<HashMap<(PathBuf, ActionSet), (Instant, bool)>>,
}

impl Considerations {
    /// Whether `wanted` is kept from `path`. Nothing if that is not known and `consider` may not be called. What cannot be found out is kept, and
    /// not remembered.
    pub(crate) fn forbids(
        &self,
        path: &Path,
        wanted: ActionSet,
        consider: Option<impl FnOnce() -> Option<bool>>,
    ) -> Option<bool> {
        let key = (path.to_owned(), wanted);
        let now = Instant::now();
        let is_good = |at: Instant| now.saturating_duration_since(at) < GOOD_FOR;
        if let Some((at, forbids)) = self.lock().get(&key).copied()
            && is_good(at)
        {
            return Some(forbids);
        }
        let Some(forbids) = consider?() else {
            return Some(true);
        };
        let mut known = self.lock();
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, (at, _)| is_good(*at));
        }
        if known.len() < REMEMBERED_MAX {
            known.insert(key, (now, forbids));
        }
        Some(forbids)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(PathBuf, ActionSet), (Instant, bool)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use valetkey_model::Action;

    use super::*;

    const NOBODY: Option<fn() -> Option<bool>> = None;

    #[test]
    fn an_answer_is_asked_for_once_and_what_is_not_known_is_kept() {
        let known = Considerations::default();
        let (path, read) = (
            Path::new("/home/a/.aws/credentials"),
            ActionSet::of(&[Action::Read]),
        );
        assert_eq!(known.forbids(path, read, NOBODY), None);
        // Nobody answers: it is kept, now, and asked about again.
        assert_eq!(known.forbids(path, read, Some(|| None)), Some(true));
        assert_eq!(known.forbids(path, read, Some(|| Some(false))), Some(false));
        assert_eq!(known.forbids(path, read, NOBODY), Some(false));
        // Another action is another question.
        let write = ActionSet::of(&[Action::Write]);
        assert_eq!(known.forbids(path, write, NOBODY), None);
        assert_eq!(known.forbids(path, write, Some(|| Some(true))), Some(true));
        assert_eq!(known.forbids(path, write, NOBODY), Some(true));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let known = Considerations::default();
        let read = ActionSet::of(&[Action::Read]);
        for number in 0..=REMEMBERED_MAX {
            let path = PathBuf::from(format!("/home/a/{number}"));
            assert_eq!(
                known.forbids(&path, read, Some(|| Some(false))),
                Some(false)
            );
        }
        assert_eq!(known.lock().len(), REMEMBERED_MAX);
    }
}
