//! A session's records gone through forwards: where everything is now that it changed, and what is gone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::history::translated;
use crate::record::{Change, Id, Kind, Record, State};

/// Where everything is after a session.
#[derive(Debug, Default)]
pub(crate) struct Forward {
    /// What was changed, by its name now.
    pub(crate) now: BTreeMap<PathBuf, Slot>,
    /// What was removed, by the name that it had.
    pub(crate) gone: BTreeMap<PathBuf, Gone>,
    /// Where what is gone would be now, and the name that it had: to find what lies below a directory.
    places: BTreeSet<(PathBuf, PathBuf)>,
}

/// What a session did to one object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) id: Option<Id>,
    pub(crate) was: Option<PathBuf>,
    pub(crate) made: bool,
    pub(crate) changed: bool,
    pub(crate) before: Option<State>,
    pub(crate) lost: bool,
}

/// Something that is not there any more.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    pub(crate) slot: Slot,
    /// Where it would be now, had it not been removed: directories above it may have other names. Nowhere, when they are gone too.
    pub(crate) place: Option<PathBuf>,
}

type Moved = Vec<(PathBuf, Slot)>;

impl Forward {
    pub(crate) fn through(records: &[Record]) -> Self {
        let mut all = Self::default();
        let mut states: HashMap<Id, &State> = HashMap::new();
        for record in records {
            if let Change::Kept { id, state, .. } = &record.change {
                states.entry(*id).or_insert(state);
            }
            all.step(&record.change, &states);
        }
        all
    }

    fn step(&mut self, change: &Change, states: &HashMap<Id, &State>) {
        match change {
            Change::Kept {
                path, id, state, ..
            } if state.kind != Kind::Directory => {
                let slot = self.changed(path, *id);
                slot.before.get_or_insert_with(|| state.clone());
            }
            Change::Lost { path, id, .. } => self.changed(path, *id).lost = true,
            Change::Made { path, id } => {
                let slot = Slot {
                    id: *id,
                    made: true,
                    ..Slot::default()
                };
                self.now.insert(path.clone(), slot);
            }
            Change::After { path, id, .. } => {
                if let Some(slot) = self.now.get_mut(path) {
                    slot.id.get_or_insert(*id);
                }
            }
            Change::Removed { path, id } => self.remove(path, *id, states),
            Change::Renamed {
                from,
                to,
                id,
                replaced,
                exchanged,
            } => {
                if let Some(replaced) = replaced.filter(|_| !exchanged) {
                    self.remove(to, replaced, states);
                }
                let there = exchanged.then(|| self.take(to, replaced.unwrap_or(*id)));
                let moved = self.take(from, *id);
                self.put(moved, from, to);
                if let Some(there) = there {
                    self.put(there, to, from);
                }
                self.move_places(from, to, *exchanged);
            }
            Change::Kept { .. }
            | Change::Open { .. }
            | Change::Not { .. }
            | Change::Reborn { .. }
            | Change::Whole
            | Change::Ended => {}
        }
    }

    fn changed(&mut self, path: &Path, id: Id) -> &mut Slot {
        let slot = self.now.entry(path.to_path_buf()).or_default();
        slot.id = Some(id);
        slot.changed = true;
        slot.was.get_or_insert_with(|| path.to_path_buf());
        slot
    }

    fn remove(&mut self, path: &Path, id: Id, states: &HashMap<Id, &State>) {
        let slot = self.now.remove(path).unwrap_or_default();
        for (_, was) in self.take_places(path) {
            if let Some(gone) = self.gone.get_mut(&was) {
                gone.place = None;
            }
        }
        if slot.made && !states.contains_key(&id) {
            return;
        }
        let was = slot.was.clone().unwrap_or_else(|| path.to_path_buf());
        let before = states.get(&id).map(|state| (*state).clone());
        if let Entry::Vacant(entry) = self.gone.entry(was.clone()) {
            entry.insert(Gone {
                slot: Slot { before, ..slot },
                place: Some(path.to_path_buf()),
            });
            self.places.insert((path.to_path_buf(), was));
        }
    }

    /// What is gone would have moved with the directory that it was in.
    fn move_places(&mut self, from: &Path, to: &Path, exchanged: bool) {
        let there = if exchanged {
            self.take_places(to)
        } else {
            Vec::new()
        };
        for (places, from, to) in [(self.take_places(from), from, to), (there, to, from)] {
            for (place, was) in places {
                let place = translated(&place, from, to);
                if let Some(gone) = self.gone.get_mut(&was) {
                    gone.place = Some(place.clone());
                }
                self.places.insert((place, was));
            }
        }
    }

    /// Takes out the places below a directory.
    fn take_places(&mut self, directory: &Path) -> Vec<(PathBuf, PathBuf)> {
        let first = (directory.to_path_buf(), PathBuf::new());
        let below: Vec<_> = self
            .places
            .range(first..)
            .take_while(|(place, _)| place.starts_with(directory))
            .filter(|(place, _)| place != directory)
            .cloned()
            .collect();
        for found in &below {
            self.places.remove(found);
        }
        below
    }

    /// What stands at `path` and below, which at least is the object itself.
    fn take(&mut self, path: &Path, id: Id) -> Moved {
        let now = &mut self.now;
        let below: Vec<PathBuf> = now
            .range(path.to_path_buf()..)
            .map(|(at, _)| at.clone())
            .take_while(|at| {
                at.as_os_str()
                    .as_encoded_bytes()
                    .starts_with(path.as_os_str().as_encoded_bytes())
            })
            .filter(|at| at.starts_with(path))
            .collect();
        let mut moved: Moved = below
            .into_iter()
            .filter_map(|at| now.remove(&at).map(|slot| (at, slot)))
            .collect();
        if !moved.iter().any(|(at, _)| at == path) {
            let slot = Slot {
                id: Some(id),
                was: Some(path.to_path_buf()),
                ..Slot::default()
            };
            moved.push((path.to_path_buf(), slot));
        }
        moved
    }

    fn put(&mut self, moved: Moved, from: &Path, to: &Path) {
        for (at, slot) in moved {
            let path = translated(&at, from, to);
            self.now.insert(path, slot);
        }
    }
}
