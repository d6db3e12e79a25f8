//! What people were shown of the file that they approved: the first use under the approval is of exactly that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use valetkey_approval::FileFacts;

/// The facts of a file as people saw them, until the first use. Afterwards the agent itself may have changed it.
#[derive(Debug)]
pub(super) struct Shown {
    facts: Mutex<Option<FileFacts>>,
    unused: AtomicBool,
}

impl Shown {
    pub(super) fn new(facts: Option<FileFacts>) -> Self {
        Self {
            unused: AtomicBool::new(facts.is_some()),
            facts: Mutex::new(facts),
        }
    }

    /// Whether a first use has to be checked still.
    pub(super) fn is_unused(&self) -> bool {
        self.unused.load(Ordering::Acquire)
    }

    /// Makes the first use, if the file is still what was shown. What cannot be looked at is not.
    pub(super) fn first_use(&self, now: Option<&FileFacts>) -> Result<(), &'static str> {
        if !self.is_unused() {
            return Ok(());
        }
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = facts.as_ref() {
            let now = now.ok_or("state cannot be read, or it")?;
            if let Some(what) = shown.difference(now) {
                return Err(what);
            }
        }
        *facts = None;
        self.unused.store(false, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use valetkey_approval::FileIdentity;
    use valetkey_model::{FileKind, Timestamp};

    use super::*;

    fn facts(size: u64) -> FileFacts {
        FileFacts {
            kind: FileKind::File,
            size,
            owner: 1000,
            mode: 0o644,
            links: 1,
            modified: Timestamp::from_unix_seconds(5),
            changed: Some(Timestamp::from_unix_seconds(5)),
            identity: Some(FileIdentity::new(1, 2)),
        }
    }

    #[test]
    fn only_what_was_shown_is_used_first() {
        let shown = Shown::new(Some(facts(10)));
        assert_eq!(shown.first_use(Some(&facts(11))), Err("size"));
        assert!(shown.first_use(None).is_err());
        assert!(shown.is_unused());
        assert_eq!(shown.first_use(Some(&facts(10))), Ok(()));
        assert_eq!(
            shown.first_use(Some(&facts(99))),
            Ok(()),
            "the agent's own writes change it"
        );
    }

    #[test]
    fn where_nothing_was_shown_there_is_nothing_to_check() {
        let shown = Shown::new(None);
        assert!(!shown.is_unused());
        assert_eq!(shown.first_use(None), Ok(()));
    }
}
