//! Going back: each record is undone, the last one first, so that every name is as the record knew it.
//!
//! Each file is replaced by a rename, or changes places with what stands there: who stops this in the middle finds it old or new. What
//! undo does is itself kept first, by the same [`Keep`], and so can be undone. What somebody else has changed is left alone.

mod hands;
mod names;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;
use rustix::io::Errno;

use crate::SnapshotError;
use crate::history::{Choice, History, Item, translated};
use crate::keep::Keep;
use crate::object::{Look, Place};
use crate::record::{Change, Id, Kind, Record, State};
pub(crate) use hands::{Hands, Source, passage};

/// What became of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The name.
    pub path: PathBuf,
    /// Why it was left as it is.
    pub why: String,
}

/// What an undo did.
#[derive(Clone, Debug, Default)]
pub struct Undone {
    /// Names that were changed.
    pub changed: Vec<PathBuf>,
    /// Names that were left as they are.
    pub left: Vec<Told>,
}

/// Undoes what `choice` says of a session. What it takes away is kept by `own`.
///
/// # Errors
/// When what it does cannot be kept, or what was kept is damaged. What was done until then stays, and is gone on with the next time.
pub fn undo(
    history: &History,
    items: &[Item],
    choice: &Choice,
    own: &Keep,
) -> Result<Undone, SnapshotError> {
    let all = || 0..history.records.len();
    let mut wanted: HashSet<usize> = if choice.only.is_empty() {
        all().collect()
    } else {
        history.concerning(&choice.only)
    };
    let mut told = Vec::new();
    for item in items {
        let forced = choice.force.contains(&item.path);
        let why = match (&item.conflict, item.lost) {
            (Some(why), _) if !forced => why.clone(),
            (_, true) => "what was there was not kept".to_owned(),
            _ => continue,
        };
        let concerning = history.concerning(std::slice::from_ref(&item.path));
        if wanted.is_disjoint(&concerning) {
            continue;
        }
        for number in concerning {
            // What is above it comes back all the same.
            if !history
                .records
                .get(number)
                .is_some_and(|record| is_above(record, &item.path))
            {
                wanted.remove(&number);
            }
        }
        told.push(Told {
            path: item.path.clone(),
            why,
        });
    }
    let mut back = Back {
        history,
        hands: Hands::new(own, history),
        displaced: Vec::new(),
        reborn: history.reborn.clone(),
        barred: HashSet::new(),
        kept_names: HashSet::new(),
        remade: HashSet::new(),
        undone: Undone {
            changed: Vec::new(),
            left: told,
        },
    };
    for (number, record) in history.records.iter().enumerate().rev() {
        back.step(number, record, wanted.contains(&number))?;
    }
    if choice.only.is_empty() {
        own.whole()?;
    }
    Ok(back.undone)
}

fn is_above(record: &Record, path: &Path) -> bool {
    matches!(&record.change, Change::Removed { path: removed, .. } if path != removed && path.starts_with(removed))
}

struct Back<'a> {
    history: &'a History,
    hands: Hands<'a>,
    /// Renames that are left as they are: names before them are other names now. The last found is the first that happened.
    displaced: Vec<(PathBuf, PathBuf)>,
    /// What stands for an object that was made anew.
    reborn: HashMap<Id, Id>,
    /// Objects that somebody else changed in between: they are taken back that far and no further.
    barred: HashSet<Id>,
    /// Names that such objects have been given back.
    kept_names: HashSet<PathBuf>,
    /// Directories of the agent's that were made anew: they go again.
    remade: HashSet<Id>,
    undone: Undone,
}

impl Back<'_> {
    fn step(&mut self, number: usize, record: &Record, wanted: bool) -> Result<(), SnapshotError> {
        let goes_again = matches!(&record.change, Change::Made { path, .. }
            if self.made_id(number, path).is_some_and(|id| self.remade.contains(&id)));
        if !wanted && !goes_again {
            if let Change::Renamed { from, to, .. } = &record.change {
                self.displaced.push((from.clone(), to.clone()));
            }
            return Ok(());
        }
        let tried = match &record.change {
            Change::Kept {
                path,
                id,
                state,
                again,
            } => self.restore(path, *id, state, *again),
            Change::Made { path, id } => self.unmake(number, path, *id),
            Change::Removed { path, id } => self.bring_back(number, path, *id),
            Change::Renamed {
                from,
                to,
                id,
                replaced,
                exchanged,
            } => self.move_back(number, (from, to), *id, *replaced, *exchanged),
            Change::Lost { .. }
            | Change::Open { .. }
            | Change::After { .. }
            | Change::Not { .. }
            | Change::Reborn { .. }
            | Change::Whole
            | Change::Ended => Ok(()),
        };
        match tried {
            Ok(()) => Ok(()),
            // The way to one name is gone or closed: the others can be undone.
            Err(SnapshotError::Io { path, source, .. })
                if matches!(
                    Errno::from_io_error(&source),
                    Some(
                        Errno::NOENT
                            | Errno::NOTDIR
                            | Errno::LOOP
                            | Errno::XDEV
                            | Errno::ACCESS
                            | Errno::PERM
                            | Errno::NOTEMPTY
                            | Errno::EXIST
                            | Errno::STALE
                    )
                ) =>
            {
                let why = source.to_string();
                self.leave(path, &why);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The name now of what had this name when the record was made.
    fn now(&self, path: &Path) -> PathBuf {
        self.displaced
            .iter()
            .rev()
            .fold(path.to_path_buf(), |at, (from, to)| {
                translated(&at, from, to)
            })
    }

    fn leave(&mut self, path: PathBuf, why: &str) {
        if !self.undone.left.iter().any(|told| told.path == path) {
            let why = why.to_owned();
            self.undone.left.push(Told { path, why });
        }
    }

    fn is(&self, look: &Look, id: Id) -> bool {
        let mut id = id;
        // Made anew more than once: follow, and not in circles.
        for _ in 0..16 {
            if look.id == id {
                return true;
            }
            match self.reborn.get(&id) {
                Some(next) => id = *next,
                None => return false,
            }
        }
        false
    }

    fn restore(
        &mut self,
        path: &Path,
        id: Id,
        state: &State,
        again: bool,
    ) -> Result<(), SnapshotError> {
        if self.barred.contains(&id) {
            return Ok(());
        }
        if again {
            self.barred.insert(id);
            self.kept_names.insert(path.to_path_buf());
        }
        let path = self.now(path);
        let Some(look) = self.hands.look(&path)? else {
            return Ok(());
        };
        if !self.is(&look, id) {
            return Ok(());
        }
        let new = match state.kind {
            Kind::File if !self.hands.has_content(&path, &look, state)? => {
                let new = self.hands.write(&path, &look, state)?;
                self.born(id, new)?;
                true
            }
            Kind::File | Kind::Directory | Kind::Link | Kind::Pipe | Kind::Other => false,
        };
        if self.hands.dress(&path, state)? || new {
            self.undone.changed.push(path);
        }
        Ok(())
    }

    fn born(&mut self, old: Id, new: Id) -> Result<(), SnapshotError> {
        if old != new {
            let mut last = old;
            for _ in 0..16 {
                match self.reborn.get(&last) {
                    Some(next) if *next != new => last = *next,
                    _ => break,
                }
            }
            if last != new {
                self.hands.own.reborn(last, new)?;
                self.reborn.insert(last, new);
            }
        }
        Ok(())
    }

    fn unmake(
        &mut self,
        number: usize,
        path: &Path,
        second: Option<Id>,
    ) -> Result<(), SnapshotError> {
        if self.kept_names.contains(path) {
            return Ok(());
        }
        let made = second.or_else(|| self.made_id(number, path));
        let path = self.now(path);
        let Some(look) = self.hands.look(&path)? else {
            return Ok(());
        };
        let is_made = match made {
            Some(id) => self.is(&look, id),
            // Made in the moment in which the session was cut off.
            None => self.history.is_own(&look) && self.born_after(number, &look),
        };
        if !is_made {
            self.leave(path, "something else is there now");
            return Ok(());
        }
        match self.hands.remove(&path, &look) {
            Err(SnapshotError::Io { source, .. })
                if Errno::from_io_error(&source) == Some(Errno::NOTEMPTY) =>
            {
                self.leave(path, "it holds what the agent has not made");
                Ok(())
            }
            other => {
                other?;
                self.undone.changed.push(path);
                Ok(())
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only some kinds of record name an object"
    )]
    /// What a record says was made.
    fn made_id(&self, number: usize, path: &Path) -> Option<Id> {
        let later = self.history.records.get(number.checked_add(1)?..)?;
        for record in later {
            match &record.change {
                Change::After { path: at, id, .. } if at == path => return Some(*id),
                Change::Made { path: at, .. } if at == path => return None,
                Change::Removed { path: at, id } if at == path => return Some(*id),
                Change::Renamed { from, id, .. } if from == path => return Some(*id),
                _ => {}
            }
        }
        None
    }

    fn born_after(&self, number: usize, look: &Look) -> bool {
        let (Some((seconds, nanoseconds)), Some(record)) =
            (look.id.birth, self.history.records.get(number))
        else {
            return false;
        };
        let born_ms = u64::try_from(seconds)
            .unwrap_or(0)
            .saturating_mul(1000)
            .saturating_add(u64::from(nanoseconds / 1_000_000));
        // The kernel's clock for files goes in steps of up to ten milliseconds.
        born_ms.saturating_add(10) >= record.time_ms
    }

    fn bring_back(&mut self, number: usize, path: &Path, id: Id) -> Result<(), SnapshotError> {
        let (state, again) = match self.state_before(number, id) {
            Some((state, again)) => (state.clone(), again),
            // The agent made it itself, or it was not kept, which is told already. What it had taken in there comes back through it.
            None if self.held_something(number, path) => {
                self.remade.insert(id);
                (passage(), false)
            }
            None => return Ok(()),
        };
        if again {
            self.kept_names.insert(path.to_path_buf());
        }
        let at = self.now(path);
        if let Some(look) = self.hands.look(&at)? {
            if !self.is(&look, id) {
                self.leave(at, "something else is there now");
            }
            return Ok(());
        }
        if let Some(other) = self.other_name(&state, id)? {
            self.hands.link(&other, &at)?;
        } else if state.kind == Kind::Other {
            self.leave(at, "sockets and devices are not made again");
            return Ok(());
        } else {
            let new = self.hands.make(&at, &state)?;
            self.born(id, new)?;
        }
        self.undone.changed.push(at);
        Ok(())
    }

    /// Whether something was removed in a directory, or moved out of it, before this record, that comes back.
    fn held_something(&self, number: usize, directory: &Path) -> bool {
        let mut directory = directory.to_path_buf();
        let Some(before) = self.history.records.get(..number) else {
            return false;
        };
        for (number, record) in before.iter().enumerate().rev() {
            let (path, id) = match &record.change {
                Change::Made { path, .. } if *path == directory => return false,
                Change::Removed { path, id } => (path, *id),
                Change::Renamed {
                    from,
                    to,
                    replaced,
                    exchanged,
                    ..
                } => {
                    if directory.starts_with(to) {
                        directory = translated(&directory, to, from);
                    } else if *exchanged && directory.starts_with(from) {
                        directory = translated(&directory, from, to);
                    }
                    // What was moved out goes back through it.
                    let below = |path: &Path| path != directory && path.starts_with(&directory);
                    if below(from) || (*exchanged && below(to)) {
                        return true;
                    }
                    let Some(replaced) = replaced.filter(|_| !exchanged) else {
                        continue;
                    };
                    (to, replaced)
                }
                Change::Made { .. }
                | Change::Kept { .. }
                | Change::Lost { .. }
                | Change::Open { .. }
                | Change::After { .. }
                | Change::Not { .. }
                | Change::Reborn { .. }
                | Change::Whole
                | Change::Ended => continue,
            };
            if path != &directory
                && path.starts_with(&directory)
                && self.state_before(number, id).is_some()
            {
                return true;
            }
        }
        false
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only some kinds of record name an object"
    )]
    /// Another name of an object that has, or had, more than one.
    fn other_name(&self, state: &State, id: Id) -> Result<Option<PathBuf>, SnapshotError> {
        if state.links < 2 || state.kind == Kind::Directory {
            return Ok(None);
        }
        for record in &self.history.records {
            let path = match &record.change {
                Change::Kept { path, id: of, .. }
                | Change::Removed { path, id: of }
                | Change::After { path, id: of, .. }
                    if *of == id =>
                {
                    path
                }
                _ => continue,
            };
            let at = self.now(path);
            if let Ok(Some(look)) = self.hands.look(&at)
                && self.is(&look, id)
            {
                return Ok(Some(at));
            }
        }
        Ok([Some(id), self.reborn.get(&id).copied()]
            .into_iter()
            .flatten()
            .find_map(|id| names::search(self.history, id)))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only some kinds of record name an object"
    )]
    fn state_before(&self, number: usize, of: Id) -> Option<(&State, bool)> {
        let before = self.history.records.get(..number)?;
        before.iter().rev().find_map(|record| match &record.change {
            Change::Kept {
                id, state, again, ..
            } if *id == of => Some((state, *again)),
            _ => None,
        })
    }

    fn move_back(
        &mut self,
        number: usize,
        (old_from, old_to): (&Path, &Path),
        id: Id,
        replaced: Option<Id>,
        exchanged: bool,
    ) -> Result<(), SnapshotError> {
        let (from, to) = (self.now(old_from), self.now(old_to));
        let there = self.hands.look(&to)?.filter(|look| self.is(look, id));
        let here = self.hands.look(&from)?;
        if exchanged {
            let here = here.filter(|look| replaced.is_some_and(|id| self.is(look, id)));
            return self.change_places(&from, here, &to, there);
        }
        let Some(moved) = there else {
            // It was removed later, or has been moved back already: what it replaced is still owed.
            if let Some(replaced) = replaced {
                return self.bring_back(number, old_to, replaced);
            }
            return Ok(());
        };
        if here.is_some_and(|look| look.id == moved.id) {
            // Two names of one object: the rename did nothing.
            return Ok(());
        }
        if here.is_some() {
            self.leave(from, "something else is there now");
            self.displaced.push((old_from.into(), old_to.into()));
            return Ok(());
        }
        let owed = replaced.and_then(|id| Some((id, self.state_before(number, id)?.0.clone())));
        match owed {
            // What stood there comes back in one step, and what stands there goes where it came from.
            Some((id, state))
                if state.kind == Kind::File && self.other_name(&state, id)?.is_none() =>
            {
                let new = self.hands.swap_in(&to, &moved, &state, &from)?;
                self.born(id, new)?;
            }
            _ => {
                let flags = RenameFlags::NOREPLACE;
                self.hands.rename((&to, &moved), &from, None, flags)?;
                if let Some(replaced) = replaced {
                    self.bring_back(number, old_to, replaced)?;
                }
            }
        }
        self.undone.changed.push(from);
        Ok(())
    }
}

impl Back<'_> {
    /// Undoes an exchange: of two things that changed places, what is still there goes back.
    fn change_places(
        &mut self,
        from: &Path,
        here: Option<Look>,
        to: &Path,
        there: Option<Look>,
    ) -> Result<(), SnapshotError> {
        let alone = RenameFlags::NOREPLACE;
        match (here, there) {
            (Some(here), Some(there)) => {
                let flags = RenameFlags::EXCHANGE;
                self.hands.rename((to, &there), from, Some(&here), flags)?;
            }
            (Some(here), None) => self.hands.rename((from, &here), to, None, alone)?,
            (None, Some(there)) => self.hands.rename((to, &there), from, None, alone)?,
            (None, None) => return Ok(()),
        }
        self.undone.changed.push(from.to_path_buf());
        self.undone.changed.push(to.to_path_buf());
        Ok(())
    }
}

/// A name beside others that nobody else has.
fn beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = OsString::from(format!(".valetkey-undo-{}-{count}", std::process::id()));
    path.with_file_name(name)
}

pub(crate) fn failed(what: &'static str, path: &Path) -> impl Fn(Errno) -> SnapshotError {
    let path = path.to_path_buf();
    move |error| SnapshotError::io(what, &path, error)
}

/// What is at `path`; nothing where there is no such name or no way to it.
pub(crate) fn look(path: &Path) -> Result<Option<Look>, SnapshotError> {
    match Place::of(path).and_then(|place| place.look()) {
        Ok(look) => Ok(look),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(failed("look at", path)(error)),
    }
}
