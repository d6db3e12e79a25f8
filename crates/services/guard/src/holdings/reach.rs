//! Which paths a capability speaks of: its pattern without its exceptions, with a memory of the paths that were asked.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use valetkey_model::{Grant, PathPattern, PatternSet};

/// Paths that are remembered under one capability, at some 100 bytes each; then it begins anew.
const REMEMBERED_MAX: usize = 4096;

/// The paths of a grant. What it answers depends on the path alone, and so may be remembered: one open asks of the same path several times, and a
/// tree under work is asked again and again.
#[derive(Debug)]
pub(super) struct Reach {
    /// What is taken out of the grant, in the form in which it is asked at every look and open.
    except: PatternSet,
    /// Nothing where asking again costs no more than remembering.
    asked: Option<RwLock<HashMap<Box<[u8]>, bool>>>,
}

impl Reach {
    pub(super) fn new(grant: &Grant) -> Self {
        let has_exceptions = grant.except.iter().any(|out| out.as_file().is_some());
        Self {
            except: grant
                .except
                .iter()
                .filter_map(|out| out.as_file().cloned())
                .collect(),
            asked: has_exceptions.then(RwLock::default),
        }
    }

    /// Whether an exception has the path.
    pub(super) fn takes_out(&self, path: &Path) -> bool {
        self.except.matches(path)
    }

    /// Whether `pattern`, the grant's own, has the path, and no exception has it.
    pub(super) fn has(&self, pattern: &PathPattern, path: &Path) -> bool {
        let ask = || pattern.matches(path) && !self.except.matches(path);
        let Some(asked) = &self.asked else {
            return ask();
        };
        let key = path.as_os_str().as_bytes();
        let known = asked
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied();
        known.unwrap_or_else(|| {
            let has = ask();
            let mut asked = asked.write().unwrap_or_else(PoisonError::into_inner);
            if asked.len() >= REMEMBERED_MAX {
                asked.clear();
            }
            asked.insert(key.into(), has);
            has
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_answered() {
        let grant = Grant {
            resource: "file:/w/**".parse().unwrap(),
            actions: "read".parse().unwrap(),
            constraints: valetkey_model::Constraints::default(),
            except: vec!["file:/**/.env".parse().unwrap()],
        };
        let reach = Reach::new(&grant);
        let pattern = grant.resource.as_file().unwrap();
        // More than are remembered, and each more than once.
        for number in 0..REMEMBERED_MAX + 10 {
            let path = format!("/w/{number}");
            for (path, has) in [(&path[..], true), (&format!("{path}/.env"), false)] {
                assert_eq!(reach.has(pattern, Path::new(path)), has);
                assert_eq!(reach.has(pattern, Path::new(path)), has);
            }
        }
        assert!(!reach.has(pattern, Path::new("/x")));
        assert!(reach.asked.unwrap().read().unwrap().len() <= REMEMBERED_MAX);
    }
}
