//! What hears of each change before it is made, so that it can keep what the change takes away.
//!
//! The view knows when something is about to change, and holds the very object; what is kept, and where, is the keeper's business. What
//! the keeper refuses does not happen.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use crate::authority::Identity;
use crate::connection::{Caller, Fail, Server};
use crate::handle::{FileHandle, Writing};
use crate::host::{KIND_REGULAR, Stat};

/// Seconds and nanoseconds since 1970.
type Moment = (i64, u32);

/// An object that is about to be changed, by one of its names.
#[derive(Debug, Clone, Copy)]
pub struct Doomed<'a> {
    /// Its directory, held open.
    pub directory: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a OsStr,
    /// Its path in the view.
    pub path: &'a Path,
    /// What it is.
    pub object: Identity,
    /// When anything about it was changed last.
    pub changed: Moment,
    /// Bytes of content.
    pub size: u64,
}

/// A directory in which a name is about to be made, changed or removed.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    /// The directory.
    pub directory: BorrowedFd<'a>,
    /// Its path in the view.
    pub path: &'a Path,
}

/// A rename that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Renaming<'a> {
    /// The directories of the old name and of the new one.
    pub parents: [Parent<'a>; 2],
    /// What moves, by its old name.
    pub moved: Doomed<'a>,
    /// The new name.
    pub to: &'a Path,
    /// What is at the new name.
    pub replaced: Option<Doomed<'a>>,
    /// Whether the two change places.
    pub exchanged: bool,
}

/// Keeps what changes take away. Each call before a change answers with a number, by which it is told whether the change has happened; until
/// then the change is under way.
pub trait Keeper: Send + Sync + fmt::Debug {
    /// Whether keeping this for the first time takes so long that other requests should not wait for it.
    fn takes_long(&self, object: Identity, size: u64) -> bool;

    /// An object is about to be opened for writing, which may already change what it is on a file system that copies first.
    fn before_opening(&self, object: &Doomed<'_>) {
        let _ = object;
    }

    /// Content or attributes of an object are about to be changed, or it is about to be opened for that.
    ///
    /// # Errors
    /// When it cannot be kept; then it is not changed.
    fn before_change(&self, object: &Doomed<'_>) -> Result<u64, Errno>;

    /// A name is about to be made; `second` is what it will lead to, where that is there already.
    ///
    /// # Errors
    /// When that cannot be written down; then it is not made.
    fn before_making(
        &self,
        parent: &Parent<'_>,
        path: &Path,
        second: Option<Identity>,
    ) -> Result<u64, Errno>;

    /// A name is about to be removed.
    ///
    /// # Errors
    /// When what it leads to cannot be kept; then it is not removed.
    fn before_removing(&self, parent: &Parent<'_>, object: &Doomed<'_>) -> Result<u64, Errno>;

    /// A name is about to be changed.
    ///
    /// # Errors
    /// When what is replaced cannot be kept; then it is not changed.
    fn before_renaming(&self, renaming: &Renaming<'_>) -> Result<u64, Errno>;

    /// The change did not happen.
    fn failed(&self, number: u64);

    /// The change happened, or may have. `now` has the objects that it concerned, each by its name now.
    fn done(&self, number: u64, now: &[(&Path, BorrowedFd<'_>)]);

    /// The object was made.
    fn made(&self, path: &Path, object: Identity, changed: Moment);

    /// The object is open for writing. Told before the opening is done.
    fn opened(&self, object: Identity);

    /// It is open once less.
    fn closed(&self, path: &Path, at: BorrowedFd<'_>);
}

/// What was written down before a change. Unless it is [`Kept::done`], the change did not happen.
#[derive(Debug)]
#[must_use]
pub(crate) struct Kept(Option<(Arc<dyn Keeper>, u64)>);

impl Kept {
    /// The change happened, or may have. `now` has the objects that it concerned, each by its name now.
    pub(crate) fn done(mut self, now: &[(&Path, BorrowedFd<'_>)]) {
        if let Some((keeper, number)) = self.0.take() {
            keeper.done(number, now);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some((keeper, number)) = self.0.take() {
            keeper.failed(number);
        }
    }
}

/// What `stat` says of the object at `path`.
pub(crate) fn doomed<'a>(
    directory: BorrowedFd<'a>,
    name: &'a OsStr,
    path: &'a Path,
    stat: &Stat,
) -> Doomed<'a> {
    let regular = stat.kind() == KIND_REGULAR;
    Doomed {
        directory,
        name,
        path,
        object: stat.identity(),
        changed: stat.attributes.ctime,
        size: if regular { stat.attributes.size } else { 0 },
    }
}

/// The directory above `path`.
pub(crate) fn parent<'a>(directory: BorrowedFd<'a>, path: &'a Path) -> Parent<'a> {
    Parent {
        directory,
        path: path.parent().unwrap_or(Path::new("/")),
    }
}

impl Server {
    /// Something large is kept on a thread that may wait, from the beginning of the request.
    pub(crate) fn may_keep(&self, caller: &Caller<'_>, stat: &Stat) -> Result<(), Fail> {
        let (Some(keeper), None, false) = (&self.shared.keeper, caller.waiting, self.is_quiet())
        else {
            return Ok(());
        };
        let regular = stat.kind() == KIND_REGULAR;
        if regular && keeper.takes_long(stat.identity(), stat.attributes.size) {
            return Err(Fail::Defer);
        }
        Ok(())
    }

    /// Says what is about to be opened for writing, as it is before that.
    pub(crate) fn tell_opening(&self, object: &Doomed<'_>) {
        if let Some(keeper) = &self.shared.keeper {
            keeper.before_opening(object);
        }
    }

    pub(crate) fn keep_change(&self, object: &Doomed<'_>) -> Result<Kept, Errno> {
        self.keep_by(|keeper| keeper.before_change(object))
    }

    pub(crate) fn keep_making(
        &self,
        directory: BorrowedFd<'_>,
        path: &Path,
        second: Option<Identity>,
    ) -> Result<Kept, Errno> {
        self.keep_by(|keeper| keeper.before_making(&parent(directory, path), path, second))
    }

    pub(crate) fn keep_removing(&self, object: &Doomed<'_>) -> Result<Kept, Errno> {
        let above = parent(object.directory, object.path);
        self.keep_by(|keeper| keeper.before_removing(&above, object))
    }

    pub(crate) fn keep_renaming(&self, renaming: &Renaming<'_>) -> Result<Kept, Errno> {
        self.keep_by(|keeper| keeper.before_renaming(renaming))
    }

    fn keep_by(&self, ask: impl FnOnce(&dyn Keeper) -> Result<u64, Errno>) -> Result<Kept, Errno> {
        match &self.shared.keeper {
            Some(keeper) => Ok(Kept(Some((Arc::clone(keeper), ask(&**keeper)?)))),
            None => Ok(Kept(None)),
        }
    }

    /// Tells the keeper what was made.
    pub(crate) fn kept_made(&self, path: &Path, stat: &Stat) {
        if let Some(keeper) = &self.shared.keeper {
            keeper.made(path, stat.identity(), stat.attributes.ctime);
        }
    }

    /// Tells the keeper that a file is open for writing.
    pub(crate) fn kept_opened(&self, handle: &FileHandle, stat: &Stat) {
        if let Some(keeper) = self
            .shared
            .keeper
            .as_ref()
            .filter(|_| writes_the_file(handle))
        {
            keeper.opened(stat.identity());
        }
    }

    /// Tells the keeper that it is closed.
    pub(crate) fn kept_closed(&self, handle: &FileHandle) {
        if let Some(keeper) = &self.shared.keeper
            && writes_the_file(handle)
        {
            keeper.closed(&handle.path, handle.file.as_fd());
        }
    }
}

/// What is written through a mask is put in place in one step, of which the keeper is told by itself.
fn writes_the_file(handle: &FileHandle) -> bool {
    handle.writing != Writing::No && !handle.through_mask
}
