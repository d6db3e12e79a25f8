//! The writing side: hears of each change before it is made, and keeps what it would take away.
//!
//! Invariant (no change without what it takes): what a change takes away is durable before the change is let through. What only adds,
//! such as a new name, is written down before and durable within a second.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use valetkey_model::Digest;

use crate::frames::Frames;
use crate::object::{self, Look};
use crate::record::{Change, Id, Kind, Moment, Record};
use crate::sessions::FILE_NAME;
use crate::table::{Entered, Stands, Table};
use crate::{Budget, SnapshotError};

/// Records beyond the budget for content: some million changes. What is beyond that is refused, since an agent that opens and closes in a loop
/// would fill the disk.
const RECORDS_MAX_BYTES: u64 = 512 << 20;

/// Files above this are kept on a thread that may wait.
pub const QUICK_BYTES: u64 = 4 << 20;

/// An object by a name, in a directory that is held open.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Its directory.
    pub directory: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a OsStr,
    /// Its path.
    pub path: &'a Path,
    /// What it must be.
    pub id: Id,
    /// When anything about it was changed last.
    pub changed: Moment,
    /// Its size.
    pub size: u64,
}

/// A directory in which a name is made or removed.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    /// The directory.
    pub at: BorrowedFd<'a>,
    /// Its path.
    pub path: &'a Path,
}

/// The number of a change that has begun: it ends with [`Keep::done`] or [`Keep::failed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Ticket(pub u64);

/// Tells, durably and before its effect, that something will not be kept.
type Declare = Box<dyn Fn(&Path, &str) -> bool + Send + Sync>;

/// Keeps what one session changes.
pub struct Keep {
    directory: PathBuf,
    frames: Frames,
    budget: Budget,
    table: Table,
    declare: Declare,
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keep")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// Why something was not kept.
enum NotKept {
    Errno(Errno),
    Store(SnapshotError),
}

impl From<Errno> for NotKept {
    fn from(error: Errno) -> Self {
        Self::Errno(error)
    }
}

impl Keep {
    /// Begins to keep a session's changes in `directory`, which is made.
    ///
    /// `declare` is told of what goes beyond the budget; unless it answers that this is recorded, the change is refused.
    ///
    /// # Errors
    /// When the directory cannot be made or somebody else uses it.
    pub fn begin(
        directory: &Path,
        budget: Budget,
        declare: impl Fn(&Path, &str) -> bool + Send + Sync + 'static,
    ) -> Result<Self, SnapshotError> {
        crate::sessions::make_private(directory)?;
        let (frames, _) = Frames::open(&directory.join(FILE_NAME))?;
        Ok(Self {
            directory: directory.to_path_buf(),
            frames,
            budget,
            table: Table::default(),
            declare: Box::new(declare),
        })
    }

    /// An existing object is about to be opened for writing, or changed in another way.
    ///
    /// # Errors
    /// When it cannot be kept: then it must not be changed.
    pub fn before_change(&self, object: &Object<'_>) -> Result<Ticket, SnapshotError> {
        self.start(|ticket| {
            let until = self.keep(ticket, object)?;
            self.frames.sync(until)
        })
    }

    /// Whether keeping this first would take long.
    #[must_use]
    pub fn takes_long(&self, id: &Id, size: u64) -> bool {
        size > QUICK_BYTES && !self.table.is_kept(id)
    }

    /// A name is about to be made; `second` is what it will lead to, where that is there already.
    ///
    /// # Errors
    /// As above.
    pub fn before_making(
        &self,
        parent: &Directory<'_>,
        path: &Path,
        second: Option<Id>,
    ) -> Result<Ticket, SnapshotError> {
        self.start(|ticket| {
            self.keep_directory(parent)?;
            if let Some(id) = second {
                self.table.touch(ticket, id, path);
            }
            let path = path.to_path_buf();
            let until = self.note_new(Change::Made { path, id: second })?;
            self.table.recorded(ticket, until);
            Ok(())
        })
    }

    /// A name is about to be removed.
    ///
    /// # Errors
    /// As above.
    pub fn before_removing(
        &self,
        parent: &Directory<'_>,
        object: &Object<'_>,
    ) -> Result<Ticket, SnapshotError> {
        self.start(|ticket| {
            self.keep_directory(parent)?;
            self.keep(ticket, object)?;
            let until = self.note_new(Change::Removed {
                path: object.path.to_path_buf(),
                id: object.id,
            })?;
            self.table.recorded(ticket, until);
            // Of what the agent itself made nothing is lost.
            if self.table.is_own(&object.id) {
                return Ok(());
            }
            self.frames.sync(until)
        })
    }

    /// A name is about to be changed. `replaced` is what is at the new one.
    ///
    /// # Errors
    /// As above.
    pub fn before_renaming(
        &self,
        parents: [&Directory<'_>; 2],
        moved: &Object<'_>,
        to: &Path,
        replaced: Option<&Object<'_>>,
        exchanged: bool,
    ) -> Result<Ticket, SnapshotError> {
        self.start(|ticket| {
            for parent in parents {
                self.keep_directory(parent)?;
            }
            self.table.touch(ticket, moved.id, moved.path);
            match replaced {
                Some(replaced) if exchanged => {
                    self.table.touch(ticket, replaced.id, replaced.path);
                }
                // Two names of one object: nothing is replaced.
                Some(replaced) if replaced.id != moved.id => {
                    self.keep(ticket, replaced)?;
                }
                Some(_) | None => {}
            }
            let until = self.note_new(Change::Renamed {
                from: moved.path.to_path_buf(),
                to: to.to_path_buf(),
                id: moved.id,
                replaced: replaced.map(|object| object.id),
                exchanged,
            })?;
            self.table.recorded(ticket, until);
            match replaced {
                Some(replaced) if !self.table.is_own(&replaced.id) => self.frames.sync(until),
                Some(_) | None => Ok(()),
            }
        })
    }

    /// The change has happened. `now` has what it concerned, each by its name now.
    pub fn done(&self, ticket: Ticket, now: &[(&Path, BorrowedFd<'_>)]) {
        self.table.done(ticket, now, |stands| self.stands(stands));
    }

    /// The change has not happened.
    pub fn failed(&self, ticket: Ticket) {
        if let Some(of) = self.table.failed(ticket, |stands| self.stands(stands)) {
            // Without it undo looks at what is there, and finds nothing to do.
            drop(self.note(Change::Not { of }));
        }
    }

    /// `new` stands where `old` was.
    pub(crate) fn reborn(&self, old: Id, new: Id) -> Result<(), SnapshotError> {
        self.note(Change::Reborn { old, new }).map(drop)
    }

    /// All that a session did was undone.
    pub(crate) fn whole(&self) -> Result<(), SnapshotError> {
        self.note(Change::Whole).map(drop)
    }

    /// The agent made this object.
    pub fn made(&self, path: &Path, id: Id, changed: Moment) {
        if self.table.keeps(id, Some(changed), true) {
            self.stands((path.to_path_buf(), id, changed));
        }
    }

    /// An object was opened for writing. To be said before the opening is [`Keep::done`].
    pub fn opened(&self, id: Id) {
        if self.table.opened(id) {
            // The agent has just made it. Without this, who is killed before it is closed leaves a file that undo asks about.
            drop(self.note(Change::Open { id }));
        }
    }

    /// It was closed.
    pub fn closed(&self, path: &Path, at: BorrowedFd<'_>) {
        self.table.closed(path, at, |stands| self.stands(stands));
    }

    fn stands(&self, (path, id, changed): Stands) {
        // Without it undo asks before it touches the file: the safe side.
        drop(self.note(Change::After { path, id, changed }));
    }

    /// Begins a change; one that cannot be kept is over.
    fn start(
        &self,
        what: impl FnOnce(Ticket) -> Result<(), SnapshotError>,
    ) -> Result<Ticket, SnapshotError> {
        let ticket = self.table.begin();
        match what(ticket) {
            Ok(()) => Ok(ticket),
            Err(error) => {
                self.failed(ticket);
                Err(error)
            }
        }
    }

    /// Makes durable what is not yet, and shows that the session is alive. To be called every second.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn beat(&self) -> Result<(), SnapshotError> {
        self.frames.beat()
    }

    /// The session has ended.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn end(&self) -> Result<(), SnapshotError> {
        let until = self.note(Change::Ended)?;
        self.frames.sync(until)
    }

    /// Keeps the state of an object, unless it is kept or was made by the agent, and nobody else has changed it since. The place in the
    /// file up to which it must be durable before it is changed.
    fn keep(&self, ticket: Ticket, object: &Object<'_>) -> Result<u64, SnapshotError> {
        match self.table.enter(ticket, object) {
            Entered::Kept { until, stood } => {
                if stood {
                    self.note_new(Change::Open { id: object.id })?;
                }
                Ok(until)
            }
            Entered::Take { again } => {
                let taken = self.take(object, again);
                match &taken {
                    Ok(until) => self.table.taken(ticket, object, *until),
                    Err(_) => self.table.not_taken(object.id),
                }
                taken
            }
        }
    }

    /// Writes down the state of an object, or declares that it is not kept.
    fn take(&self, object: &Object<'_>, again: bool) -> Result<u64, SnapshotError> {
        let (path, id) = (object.path.to_path_buf(), object.id);
        let change = match self.capture(object) {
            Ok(state) => Change::Kept {
                path,
                id,
                state,
                again,
            },
            Err(SnapshotError::Budget(why)) => {
                if !(self.declare)(&path, &why) {
                    return Err(SnapshotError::Budget(why));
                }
                Change::Lost { path, id, why }
            }
            Err(error) => return Err(error),
        };
        self.note_new(change)
    }

    fn capture(&self, object: &Object<'_>) -> Result<crate::State, SnapshotError> {
        self.may_keep(object.size)?;
        let mut total = 0_u64;
        let keep = |digest: Digest, bytes: &[u8]| {
            total = total.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if total > self.budget.file_bytes {
                // It has grown while it was read.
                let why = "the file is larger than what is kept of one".to_owned();
                return Err(NotKept::Store(SnapshotError::Budget(why)));
            }
            self.frames.add_chunk(digest, bytes).map_err(NotKept::Store)
        };
        match object::capture(object.directory, object.name, object.id, keep) {
            Ok(Some(state)) => Ok(state),
            Ok(None) => Err(SnapshotError::io("keep", object.path, Errno::STALE)),
            Err(NotKept::Errno(error)) => Err(SnapshotError::io("keep", object.path, error)),
            Err(NotKept::Store(error)) => Err(error),
        }
    }

    fn may_keep(&self, size: u64) -> Result<(), SnapshotError> {
        let Budget {
            total_bytes,
            file_bytes,
            ..
        } = self.budget;
        if size > file_bytes {
            let why =
                format!("the file has {size} bytes, and of one at most {file_bytes} are kept");
            return Err(SnapshotError::Budget(why));
        }
        if self.frames.length().saturating_add(size) > total_bytes {
            let why = format!("of one session at most {total_bytes} bytes are kept");
            return Err(SnapshotError::Budget(why));
        }
        Ok(())
    }

    /// Times and mode of a directory, before the first name in it changes.
    fn keep_directory(&self, directory: &Directory<'_>) -> Result<(), SnapshotError> {
        let fail = |error: Errno| SnapshotError::io("keep", directory.path, error);
        let look: Look = object::look(directory.at).map_err(fail)?;
        if self.table.is_kept(&look.id) {
            return Ok(());
        }
        let attributes = object::attributes(directory.at, Kind::Directory).map_err(fail)?;
        self.note_new(Change::Kept {
            path: directory.path.to_path_buf(),
            id: look.id,
            state: object::state_of(&look, Vec::new(), attributes),
            again: false,
        })?;
        self.table.keeps(look.id, None, false);
        Ok(())
    }

    /// Writes down a change that begins, while there is room for records.
    fn note_new(&self, change: Change) -> Result<u64, SnapshotError> {
        let most = self.budget.total_bytes.saturating_add(RECORDS_MAX_BYTES);
        if self.frames.length() > most {
            let why =
                format!("of the changes of one session at most {most} bytes are written down");
            return Err(SnapshotError::Full(why));
        }
        self.note(change)
    }

    fn note(&self, change: Change) -> Result<u64, SnapshotError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let time_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.frames.add_record(&Record { time_ms, change })
    }
}
