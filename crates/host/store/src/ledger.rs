//! The ledger of capabilities: which were used up and which were taken back, durable before anyone relies on it.
//!
//! One append-only file of checked records. A record that a crash tore is at the end and is cut away; nobody was told of it.
//! A damaged record anywhere else makes the ledger unusable, because what it said is not known. Entries are dropped, when the ledger is
//! opened, once their capability has expired; the time by which that was judged is kept, so that a clock set back brings no
//! capability back to life.

mod record;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use valetkey_model::{CapabilityId, SessionId, Timestamp};

use crate::ending::Ending;
use crate::{StoreError, file};
use record::{Record, Subject, parse};

/// Most bytes of records that wait for a disk that takes none.
const WAITING_MAX_BYTES: usize = 1 << 20;

/// What can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One capability.
    Capability(CapabilityId),
    /// Every capability of a session.
    Session(SessionId),
}

/// Remembers used and revoked capabilities across crashes.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    state: Mutex<State>,
    synced: Condvar,
    /// Holds the lock.
    _lock: File,
}

#[derive(Debug)]
struct State {
    entries: HashMap<Subject, Timestamp>,
    /// The latest time by which entries were dropped.
    floor: Timestamp,
    file: File,
    /// Bytes that are durable.
    length: u64,
    /// Whether something may come after them.
    torn: bool,
    /// Records that wait to be written.
    waiting: Vec<u8>,
    /// How the write that takes them ends.
    ending: Arc<Ending>,
    writing: bool,
}

impl Ledger {
    /// Opens the ledger at `path`, or makes one, and drops the entries whose capabilities had expired by `now`.
    ///
    /// # Errors
    /// When another process has it, it is damaged, or the system refuses.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let lock = lock_beside(path)?;
        let bytes = if path.exists() {
            read(path)?
        } else {
            Vec::new()
        };
        let (mut entries, floor) = parse(&bytes).map_err(|why| StoreError::Unreadable {
            path: path.to_path_buf(),
            why,
        })?;
        let floor = floor.max(now);
        entries.retain(|_, expires| *expires > floor);
        let kept = record::write_all(&entries, floor);
        file::write_atomically(path, &kept, 0o600)?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|error| StoreError::io("open", path, error))?;
        Ok(Self {
            path: path.to_path_buf(),
            state: Mutex::new(State {
                entries,
                floor,
                file,
                length: u64::try_from(kept.len()).unwrap_or(u64::MAX),
                torn: false,
                waiting: Vec::new(),
                ending: Arc::default(),
                writing: false,
            }),
            synced: Condvar::new(),
            _lock: lock,
        })
    }

    /// Uses up a capability that expires at `expires`. True for the first, and only the first, who does; durable on return.
    /// A capability that had expired when the ledger was opened counts as used up.
    ///
    /// # Errors
    /// When the use is not recorded. The capability is used up all the same, at least until the next opening.
    pub fn consume(
        &self,
        capability: &CapabilityId,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let subject = Subject::Used(capability.clone());
        if expires <= state.floor || state.entries.contains_key(&subject) {
            return Ok(false);
        }
        let ending = state.take(Record { subject, expires })?;
        self.settle(state, &ending)?;
        Ok(true)
    }

    /// Takes a capability or a session back. `expires` is the time at which the last capability that this concerns has expired
    /// anyway; durable on return. In force at once, whether or not it can be recorded.
    ///
    /// # Errors
    /// When it is not recorded: it is in force until the next opening only.
    pub fn revoke(&self, what: &Revoked, expires: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        let subject = Subject::Revoked(what.clone());
        let known = state.entries.get(&subject).copied();
        let expires = known.map_or(expires, |known| known.max(expires));
        // Written again even if it is known: the earlier record may not have reached the disk.
        let ending = state.take(Record { subject, expires })?;
        self.settle(state, &ending)
    }

    /// Whether the capability, or its whole session, was taken back.
    #[must_use]
    pub fn is_revoked(&self, capability: &CapabilityId, session: &SessionId) -> bool {
        let state = self.state();
        let one = Subject::Revoked(Revoked::Capability(capability.clone()));
        let all = Subject::Revoked(Revoked::Session(session.clone()));
        state.entries.contains_key(&one) || state.entries.contains_key(&all)
    }

    /// Whether the capability was used up.
    #[must_use]
    pub fn is_consumed(&self, capability: &CapabilityId) -> bool {
        let used = Subject::Used(capability.clone());
        self.state().entries.contains_key(&used)
    }

    /// A time that has certainly passed, even if the clock says otherwise: nothing that expired by it may be honoured.
    #[must_use]
    pub fn time_floor(&self) -> Timestamp {
        self.state().floor
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a write has ended. Whoever finds no one writing writes for all who wait.
    fn settle<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        ending: &Ending,
    ) -> Result<(), StoreError> {
        loop {
            if let Some(result) = ending.get() {
                return result.map(|_| ());
            }
            state = if state.writing {
                let woken = self.synced.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            } else {
                self.write_waiting(state)
            };
        }
    }

    fn write_waiting<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let mut bytes = std::mem::take(&mut state.waiting);
        let ending = std::mem::take(&mut state.ending);
        let cut_to = state.torn.then_some(state.length);
        let file = state.file.try_clone();
        state.writing = true;
        state.torn = true;
        drop(state);
        let written = file
            .map_err(|error| StoreError::io("open", &self.path, error))
            .and_then(|file| append(&file, &self.path, &bytes, cut_to));
        let mut state = self.state();
        match &written {
            Ok(()) => {
                let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                state.length = state.length.saturating_add(more);
                state.torn = false;
            }
            Err(_) => {
                // They are in force already, so they go with the next write.
                bytes.append(&mut state.waiting);
                state.waiting = bytes;
            }
        }
        state.writing = false;
        let length = state.length;
        ending.tell(written.map(|()| length));
        self.synced.notify_all();
        state
    }
}

impl State {
    fn take(&mut self, record: Record) -> Result<Arc<Ending>, StoreError> {
        let full = self.waiting.len() > WAITING_MAX_BYTES;
        if !full {
            record.write(&mut self.waiting);
        }
        // In force even if it cannot be recorded.
        self.entries.insert(record.subject, record.expires);
        if full {
            return Err(StoreError::QueueFull);
        }
        Ok(Arc::clone(&self.ending))
    }
}

/// Appends durably, first taking away what an earlier append left half-done.
fn append(
    mut file: &File,
    path: &Path,
    bytes: &[u8],
    cut_to: Option<u64>,
) -> Result<(), StoreError> {
    if let Some(length) = cut_to {
        file.set_len(length)
            .map_err(|error| StoreError::io("cut back", path, error))?;
    }
    file.write_all(bytes)
        .map_err(|error| StoreError::io("write", path, error))?;
    file.sync_data()
        .map_err(|error| StoreError::io("sync", path, error))
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut bytes = Vec::new();
    OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0))
        .open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(failed)?;
    Ok(bytes)
}

/// The ledger is replaced when it is opened, so its lock is a file beside it.
fn lock_beside(path: &Path) -> Result<File, StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    let lock = path.with_file_name(name);
    let handle = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock)
        .map_err(|error| StoreError::io("open", &lock, error))?;
    file::lock(&handle, path)?;
    Ok(handle)
}

#[cfg(test)]
mod tests;
