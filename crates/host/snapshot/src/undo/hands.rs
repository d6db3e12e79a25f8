//! What undo does to the file system, each step kept first so that it can be undone.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags, chmodat, chownat, fsync, ftruncate, linkat, mkdirat, mknodat, removexattr,
    renameat_with, setxattr, symlinkat, unlinkat, utimensat,
};
use rustix::io::{Errno, pwrite};
use valetkey_model::Digest;

use super::{beside, failed};
use crate::SnapshotError;
use crate::history::History;
use crate::keep::{Directory, Keep, Object, Ticket};
use crate::object::{self, Look, Place, open_at, path_to};
use crate::record::{Attribute, Id, Kind, Moment, State};

/// Where content comes from.
pub(crate) trait Source {
    /// The piece of content that has this digest.
    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, SnapshotError>;
}

impl Source for History {
    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, SnapshotError> {
        self.reader.chunk(digest)
    }
}

/// The hands of one undo, or of one commit.
pub(crate) struct Hands<'a> {
    pub(crate) own: &'a Keep,
    source: &'a dyn Source,
}

impl<'a> Hands<'a> {
    pub(crate) fn new(own: &'a Keep, source: &'a dyn Source) -> Self {
        Self { own, source }
    }

    pub(super) fn look(&self, path: &Path) -> Result<Option<Look>, SnapshotError> {
        super::look(path)
    }

    /// Whether the file at `path` has the content of `state` already.
    pub(crate) fn has_content(
        &self,
        path: &Path,
        look: &Look,
        state: &State,
    ) -> Result<bool, SnapshotError> {
        if look.size != state.size || look.kind != state.kind {
            return Ok(false);
        }
        let place = Place::of(path).map_err(failed("read", path))?;
        let nothing = |_: Digest, _: &[u8]| Ok::<(), Errno>(());
        match object::capture(place.directory.as_fd(), place.name, look.id, nothing) {
            Ok(Some(now)) => Ok(now.chunks == state.chunks),
            Ok(None) => Ok(false),
            // Not to be read, since the agent took that away: it is written anew.
            Err(Errno::ACCESS) => Ok(false),
            Err(error) => Err(failed("read", path)(error)),
        }
    }

    /// Gives the file at `path` the content of `state`; gives what the file is then.
    pub(crate) fn write(
        &self,
        path: &Path,
        look: &Look,
        state: &State,
    ) -> Result<Id, SnapshotError> {
        if look.links > 1 {
            // A new file would part it from its other names.
            return self.write_in_place(path, look, state);
        }
        // To its directory nothing has happened.
        let fail = failed("write", path);
        let directory = object::directory(above(path)).map_err(&fail)?;
        let modified = object::look(&directory).map_err(&fail)?.modified;
        let temporary = beside(path);
        let new = self.make(&temporary, state)?;
        let made = new_look(&temporary)?;
        self.rename((&temporary, &made), path, Some(look), RenameFlags::empty())?;
        set_modified(&directory, modified).map_err(&fail)?;
        Ok(new)
    }

    fn write_in_place(&self, path: &Path, look: &Look, state: &State) -> Result<Id, SnapshotError> {
        let place = Place::of(path).map_err(failed("write", path))?;
        let ticket = self.own.before_change(&object_of(&place, path, look))?;
        let filled = open_at(&place.directory, place.name, OFlags::WRONLY, 0)
            .map_err(failed("write", path))
            .and_then(|file| self.fill(path, &file, state));
        self.done(ticket, &[path]);
        filled.map(|()| look.id)
    }

    fn fill(&self, path: &Path, file: &OwnedFd, state: &State) -> Result<(), SnapshotError> {
        let fail = failed("write", path);
        let mut at = 0_u64;
        for chunk in &state.chunks {
            let bytes = self.source.chunk(chunk)?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let count = match pwrite(file, rest, at) {
                    Err(Errno::INTR) => continue,
                    other => other.map_err(&fail)?,
                };
                rest = rest.get(count..).unwrap_or_default();
                at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            }
        }
        ftruncate(file, at).map_err(&fail)?;
        fsync(file).map_err(&fail)
    }

    /// Makes at `path`, where nothing is, what `state` says.
    pub(crate) fn make(&self, path: &Path, state: &State) -> Result<Id, SnapshotError> {
        let fail = failed("make", path);
        if state.kind == Kind::File && !is_temporary(path) {
            // Whole, or not there: made under another name first.
            let temporary = beside(path);
            let id = self.make(&temporary, state)?;
            let look = new_look(&temporary)?;
            self.rename((&temporary, &look), path, None, RenameFlags::NOREPLACE)?;
            return Ok(id);
        }
        let place = Place::of(path).map_err(&fail)?;
        let ticket = self.before_making(&place, path, None)?;
        let mode = Mode::from_raw_mode(0o600);
        let made = match state.kind {
            Kind::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                open_at(&place.directory, place.name, flags, 0o600)
                    .map_err(&fail)
                    .and_then(|file| self.fill(path, &file, state))
            }
            Kind::Directory => {
                mkdirat(&place.directory, place.name, Mode::from_raw_mode(0o700)).map_err(&fail)
            }
            Kind::Link => self.target(state).and_then(|target| {
                symlinkat(target.as_slice(), &place.directory, place.name).map_err(&fail)
            }),
            Kind::Pipe => {
                mknodat(&place.directory, place.name, FileType::Fifo, mode, 0).map_err(&fail)
            }
            Kind::Other => Err(fail(Errno::OPNOTSUPP)),
        };
        if let Err(error) = made {
            self.own.failed(ticket);
            return Err(error);
        }
        self.own.done(ticket, &[]);
        let look = new_look(path)?;
        self.own.made(path, look.id, look.changed);
        self.dress(path, state)?;
        Ok(look.id)
    }

    /// Where a link leads.
    fn target(&self, state: &State) -> Result<Vec<u8>, SnapshotError> {
        let pieces: Result<Vec<_>, _> = state
            .chunks
            .iter()
            .map(|chunk| self.source.chunk(chunk))
            .collect();
        Ok(pieces?.concat())
    }

    /// Gives what is at `path` the mode, owner, attributes and times of `state`; whether that changed anything.
    pub(crate) fn dress(&self, path: &Path, state: &State) -> Result<bool, SnapshotError> {
        let fail = failed("change", path);
        let place = Place::of(path).map_err(&fail)?;
        let Some(look) = place.look().map_err(&fail)? else {
            return Ok(false);
        };
        let at = open_at(&place.directory, place.name, OFlags::PATH, 0).map_err(&fail)?;
        let attributes = object::attributes(at.as_fd(), look.kind).map_err(&fail)?;
        let same_attributes = attributes == state.attributes;
        let same_mode = look.mode == state.mode || look.kind == Kind::Link;
        let same_owner = (look.uid, look.gid) == (state.uid, state.gid);
        let same_time = look.modified == state.modified;
        if same_attributes && same_mode && same_owner && same_time {
            return Ok(false);
        }
        let ticket = self.own.before_change(&object_of(&place, path, &look))?;
        let dressed = dress(&at, &look, state, &attributes).map_err(&fail);
        self.done(ticket, &[path]);
        dressed.map(|()| true)
    }

    /// Removes what is at `path`.
    pub(crate) fn remove(&self, path: &Path, look: &Look) -> Result<(), SnapshotError> {
        let fail = failed("remove", path);
        let place = Place::of(path).map_err(&fail)?;
        let above = above(path);
        let parent = Directory {
            at: place.directory.as_fd(),
            path: above,
        };
        let ticket = self
            .own
            .before_removing(&parent, &object_of(&place, path, look))?;
        let flags = if look.kind == Kind::Directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        // Of what has further names it is to be known how it stands.
        let held = (look.links > 1 && look.kind != Kind::Directory)
            .then(|| open_at(&place.directory, place.name, OFlags::PATH, 0).ok())
            .flatten();
        if let Err(error) = unlinkat(&place.directory, place.name, flags) {
            self.own.failed(ticket);
            return Err(fail(error));
        }
        let held: Vec<_> = held.iter().map(|held| (path, held.as_fd())).collect();
        self.own.done(ticket, &held);
        Ok(())
    }

    /// Gives what is at `other` a second name.
    pub(super) fn link(&self, other: &Path, path: &Path) -> Result<(), SnapshotError> {
        let fail = failed("link", path);
        let from = Place::of(other).map_err(&fail)?;
        let to = Place::of(path).map_err(&fail)?;
        let id = from.look().map_err(&fail)?.map(|look| look.id);
        let ticket = self.before_making(&to, path, id)?;
        let linked = linkat(
            &from.directory,
            from.name,
            &to.directory,
            to.name,
            AtFlags::empty(),
        );
        if let Err(error) = linked {
            self.own.failed(ticket);
            return Err(fail(error));
        }
        self.done(ticket, &[path]);
        Ok(())
    }

    /// Renames what is at `old`; `there` is what is at the new name.
    pub(super) fn rename(
        &self,
        (old, look): (&Path, &Look),
        new: &Path,
        there: Option<&Look>,
        flags: RenameFlags,
    ) -> Result<(), SnapshotError> {
        let fail = failed("rename", old);
        let from = Place::of(old).map_err(&fail)?;
        let to = Place::of(new).map_err(&fail)?;
        let parents = [(&from, old), (&to, new)].map(|(place, path)| Directory {
            at: place.directory.as_fd(),
            path: above(path),
        });
        let [from_parent, to_parent] = &parents;
        let moved = object_of(&from, old, look);
        let replaced = there.map(|there| object_of(&to, new, there));
        let exchanged = flags.contains(RenameFlags::EXCHANGE);
        let ticket = self.own.before_renaming(
            [from_parent, to_parent],
            &moved,
            new,
            replaced.as_ref(),
            exchanged,
        )?;
        let done = renameat_with(&from.directory, from.name, &to.directory, to.name, flags);
        if let Err(error) = done {
            self.own.failed(ticket);
            return Err(fail(error));
        }
        let moved = [new, old];
        self.done(
            ticket,
            moved.get(..if exchanged { 2 } else { 1 }).unwrap_or(&moved),
        );
        Ok(())
    }

    /// Puts `state` in the place of what is at `path`, which goes to `away`: in such steps that `path` is never without a file.
    pub(super) fn swap_in(
        &self,
        path: &Path,
        look: &Look,
        state: &State,
        away: &Path,
    ) -> Result<Id, SnapshotError> {
        let temporary = beside(path);
        let new = self.make(&temporary, state)?;
        let made = new_look(&temporary)?;
        self.rename((&temporary, &made), path, Some(look), RenameFlags::EXCHANGE)?;
        let moved = new_look(&temporary)?;
        self.rename((&temporary, &moved), away, None, RenameFlags::NOREPLACE)?;
        Ok(new)
    }

    fn before_making(
        &self,
        place: &Place<'_>,
        path: &Path,
        second: Option<Id>,
    ) -> Result<Ticket, SnapshotError> {
        let parent = Directory {
            at: place.directory.as_fd(),
            path: above(path),
        };
        self.own.before_making(&parent, path, second)
    }

    /// A change has happened to what is at these names now.
    fn done(&self, ticket: Ticket, paths: &[&Path]) {
        let held: Vec<(&Path, OwnedFd)> = paths
            .iter()
            .filter_map(|path| {
                let place = Place::of(path).ok()?;
                let at = open_at(&place.directory, place.name, OFlags::PATH, 0).ok()?;
                Some((*path, at))
            })
            .collect();
        let now: Vec<_> = held.iter().map(|(path, at)| (*path, at.as_fd())).collect();
        self.own.done(ticket, &now);
    }
}

/// Gives what `at` stands for the owner, attributes, mode and times of `state`.
fn dress(at: &OwnedFd, look: &Look, state: &State, attributes: &[Attribute]) -> Result<(), Errno> {
    if (look.uid, look.gid) != (state.uid, state.gid) {
        let (uid, gid) = (Uid::from_raw(state.uid), Gid::from_raw(state.gid));
        // Only root gives files away; the agent could not, either, so it is as near as it can be.
        let _as_near = chownat(at, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH);
    }
    let by_path = path_to(at);
    for gone in attributes
        .iter()
        .filter(|now| !state.attributes.iter().any(|was| was.name == now.name))
    {
        let _as_near = removexattr(&by_path, gone.name.as_slice());
    }
    for was in state
        .attributes
        .iter()
        .filter(|was| !attributes.contains(was))
    {
        // Labels and capabilities are for root to set.
        let _as_near = setxattr(
            &by_path,
            was.name.as_slice(),
            &was.value,
            XattrFlags::empty(),
        );
    }
    if look.kind != Kind::Link {
        let mode = Mode::from_raw_mode(state.mode);
        chmodat(rustix::fs::CWD, &by_path, mode, AtFlags::empty())?;
    }
    set_modified(at, state.modified)
}

/// A directory through which something comes back, and which goes then.
pub(crate) fn passage() -> State {
    State {
        kind: Kind::Directory,
        mode: 0o700,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        modified: (0, 0),
        size: 0,
        links: 1,
        chunks: Vec::new(),
        attributes: Vec::new(),
    }
}

fn set_modified(at: &OwnedFd, (seconds, nanoseconds): Moment) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        },
    };
    utimensat(at, "", &times, AtFlags::EMPTY_PATH)
}

fn object_of<'o>(place: &'o Place<'_>, path: &'o Path, look: &Look) -> Object<'o> {
    Object {
        directory: place.directory.as_fd(),
        name: place.name,
        path,
        id: look.id,
        changed: look.changed,
        size: if look.kind == Kind::File {
            look.size
        } else {
            0
        },
    }
}

fn above(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn new_look(path: &Path) -> Result<Look, SnapshotError> {
    super::look(path)?.ok_or_else(|| failed("find", path)(Errno::NOENT))
}

fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b".valetkey-undo-"))
}
