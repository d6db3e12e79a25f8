//! Files with several names: a rule about one of them holds for the file, by whatever name it is opened.
//!
//! The host does not tell the names of a file, only how many there are. So they are counted: those that the view knows, and
//! those that the authority finds. Where they are as many as the file has, and no rule forbids one of them, all is known.
//! Where some are missing, the file is refused unless the authority trusts it.
//!
//! Names are counted while nothing is moved through the view. Else an agent could move a name while it is counted, so that it
//! counts twice, and the one that is forbidden not at all.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::io::Errno;
use valetkey_model::ActionSet;

use crate::authority::{Identity, Observation, READ};
use crate::connection::{Caller, Fail, Server};
use crate::host::{KIND_REGULAR, Stat};
use crate::sight::Place;

/// How often a count that was disturbed is made anew. Each takes microseconds.
const COUNTS_MAX: usize = 64;

/// Names that are being moved through the view: how many moves began, and how many ended.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A move that goes on until this is dropped.
pub(crate) struct Moving<'a>(&'a Moves);

impl Moves {
    /// Says that a name is about to be moved or made.
    pub(crate) fn moving(&self) -> Moving<'_> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Moving(self)
    }

    /// The number of moves so far, if none goes on.
    fn at_rest(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun.load(Ordering::SeqCst) == ended).then_some(ended)
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// What came of counting the names of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// Every name is known, and none is forbidden.
    Whole,
    /// There are more names than are known.
    Short,
    /// A rule forbids a name.
    Forbidden,
    /// What the rules say of a name takes a wait to know.
    Unknown,
}

impl Server {
    /// Makes sure that the rules hold by every name of the file at `places`. What has one name costs nothing here.
    pub(crate) fn by_every_name(
        &self,
        caller: &Caller<'_>,
        places: &[Place],
        wanted: ActionSet,
    ) -> Result<(), Fail> {
        let first = places.first().ok_or(Errno::STALE)?;
        if !has_more(&first.stat) {
            return Ok(());
        }
        // A read of a quiet tree waits for nothing: it goes by the count that was made when the name was looked up.
        if caller.waiting.is_none() && wanted == READ && self.may_be_read_by_every_name(&first.stat)
        {
            return Ok(());
        }
        let object = first.stat.identity();
        let known: Vec<PathBuf> = places.iter().map(|place| place.path.clone()).collect();
        let authority = &self.shared.authority;
        let mut count = self.count(object, &known, wanted, false);
        if count == Count::Short {
            let all = with(&known, authority.names(object, false));
            count = self.count(object, &all, wanted, false);
        }
        if matches!(count, Count::Short | Count::Unknown) {
            // To ask about names, or to look for more, takes its time.
            let waiting = caller.waiting.ok_or(Fail::Defer)?;
            waiting.begin()?;
            if count == Count::Unknown {
                let all = with(&known, authority.names(object, false));
                count = self.count(object, &all, wanted, true);
            }
            if count == Count::Short {
                let all = with(&known, authority.names(object, true));
                count = self.count(object, &all, wanted, true);
            }
            waiting.end()?;
        }
        let trusted = || known.iter().all(|path| authority.trusts(path, wanted));
        if count == Count::Whole || (count == Count::Short && trusted()) {
            return Ok(());
        }
        // One answer for both, so that nobody learns where the other names are.
        authority.report(Observation::ManyNames {
            path: first.path.clone(),
            wanted,
        });
        Err(Fail::Refused { visible: true })
    }

    fn count(
        &self,
        object: Identity,
        names: &[PathBuf],
        wanted: ActionSet,
        may_wait: bool,
    ) -> Count {
        let shared = &self.shared;
        for _ in 0..COUNTS_MAX {
            let before = shared.moves.at_rest();
            let (found, links) = self.find(object, names);
            let mut is_known = true;
            for path in found.iter().copied() {
                if shared.host.is_hidden(path) {
                    return Count::Forbidden;
                }
                match shared.authority.forbids(path, wanted, may_wait) {
                    Some(true) => return Count::Forbidden,
                    Some(false) => {}
                    None => is_known = false,
                }
            }
            if !is_known {
                return Count::Unknown;
            }
            if before.is_some() && before == shared.moves.at_rest() {
                return match links {
                    Some(links) if found.len() >= links => Count::Whole,
                    _ => Count::Short,
                };
            }
            thread::yield_now();
        }
        Count::Short
    }

    /// Those of `names` that lead to the file now, each entry of a directory once, and how many it has.
    fn find<'a>(&self, object: Identity, names: &'a [PathBuf]) -> (Vec<&'a Path>, Option<usize>) {
        let mut entries = HashSet::new();
        let mut found = Vec::new();
        let mut links = None;
        for path in names {
            let (Some(name), Ok((parent, stat))) = (path.file_name(), self.shared.host.look(path))
            else {
                continue;
            };
            if stat.identity() != object {
                continue;
            }
            links = usize::try_from(stat.attributes.nlink).ok();
            if entries.insert(((parent.dev, parent.attributes.ino), name)) {
                found.push(path.as_path());
            }
        }
        (found, links)
    }
}

fn has_more(stat: &Stat) -> bool {
    stat.kind() == KIND_REGULAR && stat.attributes.nlink > 1
}

fn with(known: &[PathBuf], found: Vec<PathBuf>) -> Vec<PathBuf> {
    known.iter().cloned().chain(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_disturbs_for_as_long_as_it_lasts_and_is_seen_afterwards() {
        let moves = Moves::default();
        let before = moves.at_rest();
        assert!(before.is_some());
        let one = moves.moving();
        let two = moves.moving();
        assert_eq!(moves.at_rest(), None);
        drop(one);
        assert_eq!(moves.at_rest(), None);
        drop(two);
        let after = moves.at_rest();
        assert!(after.is_some() && after != before);
    }
}
