//! What is known of the objects that a session changes, while several programs change them at once.
//!
//! Invariant (the agent is not taken for somebody else): an object counts as changed by somebody else only when nothing of the agent's is
//! under way on it and it is not open for writing. What stands is looked at under the lock, so that no change comes in between. Otherwise
//! an agent that races with itself could have its own work taken for the person's, and kept from being undone.

use std::collections::{HashMap, HashSet};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::keep::{Object, Ticket};
use crate::object;
use crate::record::{Id, Kind, Moment};

/// The objects of one session.
#[derive(Debug, Default)]
pub(crate) struct Table {
    all: Mutex<All>,
    /// Woken when an object is kept, or could not be.
    kept: Condvar,
}

#[derive(Debug, Default)]
struct All {
    known: HashMap<Id, Known>,
    /// Objects whose state is being taken right now.
    taking: HashSet<Id>,
    under_way: HashMap<u64, UnderWay>,
    last: u64,
}

/// What is known of one object.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// How often it is open for writing.
    open: u32,
    /// Changes that have begun and not ended.
    under_way: u32,
    /// When it was changed last, as far as the agent did; nothing while that is not known.
    changed: Option<Moment>,
    /// Where in the file its state ends; nothing while it is not kept.
    until: Option<u64>,
    /// Whether the agent made it, and nothing is lost with it.
    own: bool,
}

/// A change that has begun.
#[derive(Debug, Default)]
struct UnderWay {
    ids: Vec<Id>,
    /// The record of it.
    record: Option<u64>,
    /// How an object stood before, where that is known.
    before: Vec<(PathBuf, Id, Moment)>,
}

/// What is to be done before an object is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It is kept, and ends there in the file. `stood`: it was known how it stood until now.
    Kept { until: u64, stood: bool },
    /// It is to be kept now. Whoever is told this says [`Table::taken`] or [`Table::not_taken`]. `again`: somebody else has changed it since
    /// the agent did.
    Take { again: bool },
}

/// How an object stands after a change: its name, itself, and when it was changed.
pub(crate) type Stands = (PathBuf, Id, Moment);

impl Table {
    /// A change begins.
    pub(crate) fn begin(&self) -> Ticket {
        let mut all = self.all();
        all.last = all.last.wrapping_add(1);
        let number = all.last;
        all.under_way.insert(number, UnderWay::default());
        Ticket(number)
    }

    /// The record of a change.
    pub(crate) fn recorded(&self, Ticket(number): Ticket, record: u64) {
        if let Some(change) = self.all().under_way.get_mut(&number) {
            change.record = Some(record);
        }
    }

    /// A change concerns an object without taking anything from it: only its names change.
    pub(crate) fn touch(&self, ticket: Ticket, id: Id, path: &Path) {
        self.all().enter(ticket, id, path);
    }

    /// A change is about to take something from an object.
    pub(crate) fn enter(&self, ticket: Ticket, object: &Object<'_>) -> Entered {
        let mut all = self.all();
        while all.taking.contains(&object.id) {
            all = self.kept.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
        let known = all.known.get(&object.id).copied().unwrap_or_default();
        if let Some(until) = known.until
            && known.is_the_agents(object)
        {
            let stood = known.changed.is_some();
            all.enter(ticket, object.id, object.path);
            return Entered::Kept { until, stood };
        }
        all.taking.insert(object.id);
        Entered::Take {
            again: known.until.is_some(),
        }
    }

    /// The state of an object is written down, up to `until`.
    pub(crate) fn taken(&self, ticket: Ticket, object: &Object<'_>, until: u64) {
        let mut all = self.all();
        all.taking.remove(&object.id);
        let known = all.known.entry(object.id).or_default();
        known.until = Some(until);
        known.own = false;
        known.changed = Some(object.changed);
        all.enter(ticket, object.id, object.path);
        self.kept.notify_all();
    }

    /// It could not be.
    pub(crate) fn not_taken(&self, id: Id) {
        self.all().taking.remove(&id);
        self.kept.notify_all();
    }

    /// A directory is kept, or an object that the agent made: nothing more is to be taken from it.
    pub(crate) fn keeps(&self, id: Id, changed: Option<Moment>, own: bool) -> bool {
        let mut all = self.all();
        let known = all.known.entry(id).or_default();
        if known.until.is_some() {
            return false;
        }
        (known.until, known.own) = (Some(0), own);
        if known.under_way == 0 {
            known.changed = changed;
        }
        true
    }

    pub(crate) fn is_kept(&self, id: &Id) -> bool {
        let all = self.all();
        !all.taking.contains(id) && all.known.get(id).is_some_and(|known| known.until.is_some())
    }

    /// Whether nothing is lost with an object.
    pub(crate) fn is_own(&self, id: &Id) -> bool {
        self.all().known.get(id).is_some_and(|known| known.own)
    }

    /// An object is open for writing. Whether until now it was known how it stood.
    pub(crate) fn opened(&self, id: Id) -> bool {
        self.all().known.get_mut(&id).is_some_and(|known| {
            known.open = known.open.saturating_add(1);
            known.changed.take().is_some()
        })
    }

    /// It is open once less. Tells `note` how it stands, where nothing else is under way on it.
    pub(crate) fn closed(&self, path: &Path, at: BorrowedFd<'_>, note: impl FnOnce(Stands)) {
        let mut all = self.all();
        let Ok(look) = object::look(at) else {
            return;
        };
        let Some(known) = all.known.get_mut(&look.id) else {
            return;
        };
        known.open = known.open.saturating_sub(1);
        if let Some(stands) = known.stands(path, &look) {
            note(stands);
        }
    }

    /// A change has happened. Tells `note` how the objects stand on which nothing else is under way.
    pub(crate) fn done(
        &self,
        ticket: Ticket,
        now: &[(&Path, BorrowedFd<'_>)],
        mut note: impl FnMut(Stands),
    ) {
        let mut all = self.all();
        all.leave(ticket);
        for (path, at) in now {
            // What has no name any more is nothing that anybody could change.
            if let Ok(look) = object::look(at)
                && look.links > 0
                && let Some(known) = all.known.get_mut(&look.id)
                && let Some(stands) = known.stands(path, &look)
            {
                note(stands);
            }
        }
        all.forget_unkept(ticket);
    }

    /// A change has not happened: everything stands as before. Gives the record of it.
    pub(crate) fn failed(&self, ticket: Ticket, mut note: impl FnMut(Stands)) -> Option<u64> {
        let mut all = self.all();
        let (record, before) = all.leave(ticket);
        for (path, id, moment) in before {
            if let Some(known) = all.known.get_mut(&id)
                && known.is_quiet()
                && known.changed.is_none()
                && known.until.is_some()
            {
                known.changed = Some(moment);
                note((path, id, moment));
            }
        }
        all.forget_unkept(ticket);
        record
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn enter(&mut self, Ticket(number): Ticket, id: Id, path: &Path) {
        let known = self.known.entry(id).or_default();
        known.under_way = known.under_way.saturating_add(1);
        let stood = known.changed.take();
        let change = self.under_way.entry(number).or_default();
        change.ids.push(id);
        if let Some(stood) = stood {
            change.before.push((path.to_path_buf(), id, stood));
        }
    }

    /// A change is not under way any more.
    fn leave(&mut self, Ticket(number): Ticket) -> (Option<u64>, Vec<(PathBuf, Id, Moment)>) {
        let Some(change) = self.under_way.get_mut(&number) else {
            return (None, Vec::new());
        };
        for id in &change.ids {
            if let Some(known) = self.known.get_mut(id) {
                known.under_way = known.under_way.saturating_sub(1);
            }
        }
        (change.record, std::mem::take(&mut change.before))
    }

    /// Of what is not kept nothing needs to be known.
    fn forget_unkept(&mut self, Ticket(number): Ticket) {
        let ids = self.under_way.remove(&number).unwrap_or_default().ids;
        for id in ids {
            if self
                .known
                .get(&id)
                .is_some_and(|known| known.is_quiet() && known.until.is_none())
            {
                self.known.remove(&id);
            }
        }
    }
}

impl Known {
    const fn is_quiet(&self) -> bool {
        self.open == 0 && self.under_way == 0
    }

    /// Whether an object stands as the agent left it, for all that is known, or the agent is about to change it anyhow.
    fn is_the_agents(&self, object: &Object<'_>) -> bool {
        let Some(changed) = self.changed.filter(|_| self.is_quiet()) else {
            return true;
        };
        if changed == object.changed {
            return true;
        }
        // What was seen of it before may be older than a change of the agent's that has ended since.
        match object::look_at(object.directory, object.name) {
            // A directory is changed by every name in it; that is no word of somebody else's.
            Ok(Some(look)) if look.id == object.id => {
                look.changed == changed || look.kind == Kind::Directory
            }
            _ => false,
        }
    }

    fn stands(&mut self, path: &Path, look: &object::Look) -> Option<Stands> {
        if !self.is_quiet() || self.until.is_none() {
            return None;
        }
        self.changed = Some(look.changed);
        Some((path.to_path_buf(), look.id, look.changed))
    }
}
