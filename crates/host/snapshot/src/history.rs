//! What a session did, read from its records: what became of each name, what each was before, and whether somebody else has changed it since.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::SnapshotError;
use crate::forward::{Forward, Gone, Slot};
use crate::frames::{Reader, Written};
use crate::object::{Look, Place};
use crate::record::{Change, Id, Kind, Moment, Record, State};
use crate::sessions::{FILE_NAME, sessions};

/// A guard that is killed shows its life once a second; what it changed after that is within this.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// Records at the end of which each may be of a change that did not happen: more than a guard has under way at once.
const ENDINGS_MAX: usize = 1024;

/// What a session did.
#[derive(Debug)]
pub struct History {
    pub(crate) reader: Reader,
    /// In order, without what did not happen.
    pub(crate) records: Vec<Record>,
    /// What undo made in the place of what was there.
    pub(crate) reborn: HashMap<Id, Id>,
    /// How objects stand after the session's changes, and after those of an undo that was cut off.
    after: HashMap<Id, Moment>,
    /// Until when the session can have changed something of which it is not known how it stands after.
    alive_until: Option<Moment>,
    /// The undo of it that has come to its end.
    pub undone_by: Option<String>,
}

/// What happened to a file, link or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was not there before.
    Made,
    /// Its content, mode, times or attributes were changed.
    Changed,
    /// It is not there any more.
    Removed,
    /// It had another name.
    Moved,
}

/// One name that a session changed.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name now; of what was removed, the name that it had.
    pub path: PathBuf,
    /// The name before, where it had another.
    pub was: Option<PathBuf>,
    /// What happened.
    pub happened: Happened,
    /// The state before, where it was kept.
    pub before: Option<State>,
    /// Why undo leaves it alone.
    pub conflict: Option<String>,
    /// Whether what was there was not kept.
    pub lost: bool,
}

/// What of a session is to be undone.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only what is at or below these; everything when there are none.
    pub only: Vec<PathBuf>,
    /// What is undone although somebody else has changed it since.
    pub force: Vec<PathBuf>,
}

impl History {
    /// Reads what is kept in `directory`. `live`: although the session still runs.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or still runs.
    pub fn read(directory: &Path, live: bool) -> Result<Self, SnapshotError> {
        let file = directory.join(FILE_NAME);
        let (reader, written) = Reader::open(&file, !live)?;
        let ended = written
            .iter()
            .find(|written| written.record.change == Change::Ended)
            .map(|written| moment(written.record.time_ms));
        let mut history = Self {
            reader,
            records: without_undone_endings(happened(written)),
            reborn: HashMap::new(),
            after: HashMap::new(),
            alive_until: ended.or_else(|| last_breath(&file)),
            undone_by: None,
        };
        history.learn_after();
        history.learn_undos(directory)?;
        Ok(history)
    }

    fn learn_after(&mut self) {
        for record in &self.records {
            match &record.change {
                Change::After { id, changed, .. } => {
                    self.after.insert(*id, *changed);
                }
                Change::Kept { id, .. }
                | Change::Lost { id, .. }
                | Change::Open { id }
                | Change::Removed { id, .. }
                | Change::Renamed { id, .. } => {
                    self.after.remove(id);
                }
                Change::Made { .. }
                | Change::Not { .. }
                | Change::Reborn { .. }
                | Change::Whole
                | Change::Ended => {}
            }
        }
    }

    /// What undos of this session have done so far: one that was cut off is gone on with.
    fn learn_undos(&mut self, directory: &Path) -> Result<(), SnapshotError> {
        let (Some(above), Some(name)) = (directory.parent(), directory.file_name()) else {
            return Ok(());
        };
        let prefix = format!("{}{UNDO_MARK}", name.to_string_lossy());
        let mut undos = sessions(above)?;
        undos.reverse();
        for undo in undos.iter().filter(|undo| {
            undo.name
                .strip_prefix(&prefix)
                .is_some_and(|rest| !rest.contains(UNDO_MARK))
        }) {
            let file = undo.directory.join(FILE_NAME);
            let (_, written) = Reader::open(&file, false)?;
            let (mut ended, mut whole) = (false, false);
            for record in happened(written) {
                match record.change {
                    Change::Reborn { old, new } => {
                        self.reborn.insert(old, new);
                    }
                    Change::After { id, changed, .. } => {
                        self.after.insert(id, changed);
                    }
                    Change::Ended => ended = true,
                    Change::Whole => whole = true,
                    Change::Kept { .. }
                    | Change::Lost { .. }
                    | Change::Made { .. }
                    | Change::Removed { .. }
                    | Change::Renamed { .. }
                    | Change::Open { .. }
                    | Change::Not { .. } => {}
                }
            }
            if whole {
                self.undone_by = Some(undo.name.clone());
            }
            if !ended {
                self.alive_until = self.alive_until.max(last_breath(&file));
            }
        }
        Ok(())
    }

    /// Each name that was changed, in order.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        let Forward { now, gone, .. } = Forward::through(&self.records);
        let mut items: Vec<Item> = now
            .iter()
            .filter_map(|(path, slot)| self.item(path.clone(), slot.clone()))
            .collect();
        let numbers: HashMap<PathBuf, usize> = items
            .iter()
            .enumerate()
            .map(|(number, item)| (item.path.clone(), number))
            .collect();
        for (path, Gone { slot, place }) in gone {
            let there = place
                .as_ref()
                .filter(|place| **place == path)
                .and_then(|place| numbers.get(place))
                .and_then(|number| items.get_mut(*number));
            if let Some(item) = there {
                // Something else of the agent's is there now: to a person, the file was changed.
                item.happened = Happened::Changed;
                item.before = slot.before;
                item.lost |= slot.lost;
                continue;
            }
            let there = place
                .filter(|place| !now.contains_key(place))
                .and_then(|place| Place::of(&place).ok()?.look().ok()?)
                .filter(|look| !self.stands(look));
            items.push(Item {
                conflict: there.map(|_| "something else is there now".to_owned()),
                path,
                was: None,
                happened: Happened::Removed,
                before: slot.before,
                lost: slot.lost,
            });
        }
        items.sort_by(|one, other| one.path.cmp(&other.path));
        items
    }

    /// The state before, as bytes.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn content(&self, state: &State) -> Result<Vec<u8>, SnapshotError> {
        let mut content = Vec::new();
        for chunk in &state.chunks {
            content.extend(self.reader.chunk(chunk)?);
        }
        Ok(content)
    }

    fn item(&self, path: PathBuf, slot: Slot) -> Option<Item> {
        let moved = slot.was.as_ref().is_some_and(|was| *was != path);
        let happened = if slot.made {
            Happened::Made
        } else if slot.changed {
            Happened::Changed
        } else if moved {
            Happened::Moved
        } else {
            return None;
        };
        let conflict = self.conflict(&path, &slot);
        Some(Item {
            path,
            was: slot.was.filter(|_| moved),
            happened,
            before: slot.before,
            conflict,
            lost: slot.lost,
        })
    }

    fn conflict(&self, path: &Path, slot: &Slot) -> Option<String> {
        let look = match Place::of(path).and_then(|place| place.look()) {
            Ok(Some(look)) => look,
            // Of what the agent made nothing is left to be undone.
            Ok(None) if slot.made => return None,
            Ok(None) => return Some("it has been removed since".to_owned()),
            Err(_) => return Some("the way to it has changed".to_owned()),
        };
        let expected = slot.id.is_none_or(|id| {
            look.id == id || self.reborn.get(&id).is_some_and(|new| *new == look.id)
        });
        if !expected && !self.stands(&look) {
            return Some("something else is there now".to_owned());
        }
        let judged = (slot.made || slot.changed) && look.kind != Kind::Directory;
        (judged && !self.is_own(&look)).then(|| "it has been changed since".to_owned())
    }

    /// Whether an object stands as the agent, or undo, has left it, for all that is known.
    pub(crate) fn is_own(&self, look: &Look) -> bool {
        match self.after.get(&look.id) {
            Some(changed) => *changed == look.changed,
            // What was open when the session ended is not known one by one.
            None => self.alive_until.is_some_and(|until| look.changed <= until),
        }
    }

    /// Whether an object surely stands as the agent, or undo, has left it.
    pub(crate) fn stands(&self, look: &Look) -> bool {
        self.after.get(&look.id) == Some(&look.changed)
    }

    /// The records that concern what is at or below `paths` now, or was there before.
    pub(crate) fn concerning(&self, paths: &[PathBuf]) -> HashSet<usize> {
        let mut tracked: HashSet<PathBuf> = paths.iter().cloned().collect();
        let touches = |tracked: &HashSet<PathBuf>, path: &Path| {
            tracked.iter().any(|top| path.starts_with(top))
        };
        // A directory that was renamed takes along what is in it.
        let follow = |tracked: &mut HashSet<PathBuf>, from: &Path, to: &Path| {
            if touches(tracked, from) {
                tracked.insert(to.to_path_buf());
            }
            let below: Vec<PathBuf> = tracked
                .iter()
                .filter(|top| top.starts_with(from))
                .map(|top| translated(top, from, to))
                .collect();
            tracked.extend(below);
        };
        for record in &self.records {
            if let Change::Renamed {
                from,
                to,
                exchanged,
                ..
            } = &record.change
            {
                follow(&mut tracked, from, to);
                if *exchanged {
                    follow(&mut tracked, to, from);
                }
            }
        }
        for record in self.records.iter().rev() {
            if let Change::Renamed {
                from,
                to,
                exchanged,
                ..
            } = &record.change
            {
                follow(&mut tracked, to, from);
                if *exchanged {
                    follow(&mut tracked, from, to);
                }
            }
        }
        let concerns = |record: &Record| match &record.change {
            Change::Kept { path, .. } | Change::Made { path, .. } | Change::After { path, .. } => {
                touches(&tracked, path)
            }
            // A directory that was removed comes back with what was in it.
            Change::Removed { path, .. } => {
                touches(&tracked, path) || tracked.iter().any(|top| top.starts_with(path))
            }
            Change::Renamed { from, to, .. } => touches(&tracked, from) || touches(&tracked, to),
            Change::Lost { .. }
            | Change::Open { .. }
            | Change::Not { .. }
            | Change::Reborn { .. }
            | Change::Whole
            | Change::Ended => false,
        };
        (0..)
            .zip(&self.records)
            .filter(|(_, record)| concerns(record))
            .map(|(number, _)| number)
            .collect()
    }
}

/// What comes between a session's name and the number of an undo of it.
pub(crate) const UNDO_MARK: &str = ".undo-";

/// `path` with `to` in the place of `from` at its beginning.
pub(crate) fn translated(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_path_buf(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_path_buf(),
    }
}

/// The records that did happen.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all others say for themselves what happened"
)]
fn happened(written: Vec<Written>) -> Vec<Record> {
    let not: HashSet<u64> = written
        .iter()
        .filter_map(|written| {
            if let Change::Not { of } = written.record.change {
                Some(of)
            } else {
                None
            }
        })
        .collect();
    written
        .into_iter()
        .filter(|written| !not.contains(&written.end))
        .map(|written| written.record)
        .filter(|record| match &record.change {
            Change::Not { .. } => false,
            // From one name of an object to another of the same: nothing happens.
            Change::Renamed { id, replaced, .. } => *replaced != Some(*id),
            _ => true,
        })
        .collect()
}

/// Without the last changes of names that were written down and did not happen, since the guard was killed in between: what they would have
/// moved or removed is still where it was.
fn without_undone_endings(mut records: Vec<Record>) -> Vec<Record> {
    let is_at = |path: &Path, id: Id| {
        let look = Place::of(path).and_then(|place| place.look());
        look.is_ok_and(|look| look.is_some_and(|look| look.id == id))
    };
    let mut later: Vec<PathBuf> = Vec::new();
    let mut not = HashSet::new();
    for (number, record) in records.iter().enumerate().rev().take(ENDINGS_MAX) {
        // A name that was changed later, also by a directory above it, says nothing any more.
        let is_last = |path: &Path| !later.iter().any(|other| path.starts_with(other));
        let happened = match &record.change {
            Change::Removed { path, id } => {
                let happened = !is_last(path) || !is_at(path, *id);
                later.push(path.clone());
                happened
            }
            Change::Renamed { from, to, id, .. } => {
                let happened = !is_last(from) || !is_last(to) || !is_at(from, *id);
                later.extend([from.clone(), to.clone()]);
                happened
            }
            Change::Made { path, .. } => {
                later.push(path.clone());
                true
            }
            Change::Kept { .. }
            | Change::Lost { .. }
            | Change::Open { .. }
            | Change::After { .. }
            | Change::Not { .. }
            | Change::Reborn { .. }
            | Change::Whole
            | Change::Ended => true,
        };
        if !happened {
            not.insert(number);
        }
    }
    let mut number = 0_usize;
    records.retain(|_| {
        let happened = !not.contains(&number);
        number = number.saturating_add(1);
        happened
    });
    records
}

fn moment(time_ms: u64) -> Moment {
    let seconds = i64::try_from(time_ms / 1000).unwrap_or(i64::MAX);
    // The whole of the millisecond.
    let rest = u32::try_from(time_ms % 1000).unwrap_or(0);
    (
        seconds,
        rest.saturating_mul(1_000_000).saturating_add(999_999),
    )
}

/// Until when whoever wrote `file` can have changed something.
fn last_breath(file: &Path) -> Option<Moment> {
    let modified = std::fs::metadata(file)
        .and_then(|data| data.modified())
        .ok()?;
    let until = modified.checked_add(LAST_BREATH)?.min(SystemTime::now());
    let since = until.duration_since(UNIX_EPOCH).ok()?;
    Some((i64::try_from(since.as_secs()).ok()?, since.subsec_nanos()))
}
