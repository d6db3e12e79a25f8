//! Renaming: the one operation that carries an object from under one rule to under another.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, OFlags, RenameFlags, renameat_with, statat};
use rustix::io::Errno;
use valetkey_model::{Action, ActionSet};

use super::Outcome;
use crate::authority::{
    CREATE, DELETE, Facts, Observation, Permit, Purpose, SEE, Touched, Verdict,
};
use crate::connection::{Answer, Caller, Fail, Server};
use crate::host::Stat;
use crate::keeper::{self, Kept, Renaming};
use crate::masks::Side;
use crate::node::Node;
use crate::uses::{self, Begun};

/// Objects in a directory that is moved across rules; a bigger one is moved by copying.
const MOVED_MAX: usize = 200_000;
/// Levels of directories in it.
const MOVED_DEPTH_MAX: usize = 256;
/// What may be done to content, and so must not become more by a move.
const CONTENT: ActionSet =
    ActionSet::of(&[Action::Read, Action::Write, Action::Append, Action::Execute]);

/// One end of a rename.
struct End<'a> {
    parent: Arc<Node>,
    name: &'a OsStr,
    path: PathBuf,
    found: Option<Stat>,
}

impl End<'_> {
    fn side<'s>(&'s self, directory: &'s Arc<OwnedFd>, stat: &'s Stat) -> Side<'s> {
        Side {
            parent: &self.parent,
            directory,
            name: self.name,
            path: &self.path,
            stat,
        }
    }

    fn facts(&self) -> Facts {
        self.found.as_ref().map_or_else(Facts::absent, Stat::facts)
    }
}

impl Server {
    pub(super) fn rename(
        &self,
        caller: &Caller<'_>,
        old: (u64, &OsStr),
        new: (u64, &OsStr),
        flags: u32,
    ) -> Outcome {
        let flags = RenameFlags::from_bits(flags)
            .filter(|flags| !flags.contains(RenameFlags::WHITEOUT))
            .ok_or(Errno::INVAL)?;
        let exchanges = flags.contains(RenameFlags::EXCHANGE);
        let old = self.end(old)?;
        let new = self.end(new)?;
        let permits = self.rename_rights(caller, &old, &new, exchanges)?;
        let moved = old.found.ok_or(Errno::NOENT)?;
        if exchanges && new.found.is_none() {
            return Err(Errno::NOENT.into());
        }
        self.may_move(caller, &moved, &old, &new)?;
        if let Some(target) = new.found.as_ref().filter(|_| exchanges) {
            self.may_move(caller, target, &new, &old)?;
        }
        if let Some(target) = new.found.as_ref().filter(|_| !exchanges) {
            self.may_keep(caller, target)?;
        }
        let from = self.directory(&old.parent)?;
        let to = self.directory(&new.parent)?;
        let sides = new
            .found
            .as_ref()
            .filter(|_| !exchanges)
            .map(|target| (old.side(&from, &moved), new.side(&to, target)));
        let merge = match &sides {
            Some((old, new)) => self.merge_masked(caller, old, new)?,
            None => None,
        };
        let begun = self.begin_rename(&permits, (&from, &old), (&to, &new), exchanges)?;
        if let (Some(merge), Some((moved, target))) = (&merge, &sides) {
            self.carry_out(merge, moved, target)?;
            begun.done();
            self.report_renamed(old.path, new.path, exchanges);
            return Ok(Answer::Done);
        }
        if let Some(target) = new.found.as_ref().filter(|_| !exchanges) {
            self.hold_open(target);
        }
        let (moves, replaced, kept) =
            self.keep_rename((&from, &old, &moved), (&to, &new), exchanges)?;
        self.carry_move(&old.path, &new.path);
        if exchanges {
            self.carry_move(&new.path, &old.path);
        }
        self.mask_moved(&moved, &old.path, &new.path);
        if let Some(target) = new.found.as_ref().filter(|_| exchanges) {
            self.mask_moved(target, &new.path, &old.path);
        }
        let _moving = self.shared.moves.moving();
        rename_at(
            (&from, old.name),
            (&to, new.name),
            flags,
            new.found.is_some(),
        )?;
        let now: Vec<_> = moves
            .iter()
            .chain(&replaced)
            .map(|(path, object)| (*path, object.as_fd()))
            .collect();
        kept.done(&now);
        begun.done();
        // What was opened meanwhile by its old name.
        self.mask_moved(&moved, &old.path, &new.path);
        self.renamed(&moved, &old, &new, exchanges);
        self.note_moved(&moved, &old.path, &new.path);
        self.report_renamed(old.path, new.path, exchanges);
        Ok(Answer::Done)
    }

    fn report_renamed(&self, from: PathBuf, to: PathBuf, exchanged: bool) {
        self.shared.authority.report(Observation::Renamed {
            from,
            to,
            exchanged,
        });
    }

    fn end<'a>(&self, (parent, name): (u64, &'a OsStr)) -> Result<End<'a>, Errno> {
        let parent = self.node(parent)?;
        let path = self.child_path(&parent, name)?;
        let found = self.stat_child(&parent, name)?;
        Ok(End {
            parent,
            name,
            path,
            found,
        })
    }

    fn rename_rights(
        &self,
        caller: &Caller<'_>,
        old: &End<'_>,
        new: &End<'_>,
        exchanges: bool,
    ) -> Result<[Arc<dyn Permit>; 2], Fail> {
        let both = CREATE.union(DELETE);
        let leaves = if exchanges { both } else { DELETE };
        let leaving = self.permit(caller, &old.path, leaves, Purpose::Rename, || old.facts())?;
        // A target that is there is replaced, which removes it.
        let arrives = if exchanges || new.found.is_some() {
            both
        } else {
            CREATE
        };
        let arriving = self
            .permit(caller, &new.path, arrives, Purpose::Rename, || new.facts())
            .map_err(Fail::plainly)?;
        Ok([leaving, arriving])
    }

    /// Begins the rename: the object that moves by both names, and what it replaces or changes places with.
    fn begin_rename(
        &self,
        permits: &[Arc<dyn Permit>],
        (from, old): (&OwnedFd, &End<'_>),
        (to, new): (&OwnedFd, &End<'_>),
        exchanges: bool,
    ) -> Result<Begun, Fail> {
        let ends = [(from, old, new, true), (to, new, old, exchanges)];
        let mut readable = Vec::with_capacity(ends.len());
        for (directory, end, _, _) in ends {
            readable.push(match &end.found {
                Some(stat) => self.readable(permits, directory.as_fd(), end.name, stat)?,
                None => None,
            });
        }
        let mut touched = Vec::with_capacity(4);
        for ((_, end, other, moves), readable) in ends.into_iter().zip(&readable) {
            let Some(stat) = &end.found else { continue };
            let by = |path| Touched {
                path,
                object: Some(stat.identity()),
                content: uses::content(stat, readable.as_ref()),
            };
            touched.push(by(&end.path));
            if moves {
                touched.push(by(&other.path));
            }
        }
        self.begin(permits, CREATE.union(DELETE), Purpose::Rename, &touched)
    }

    /// Whether what is at `from` may come to be at `to`: nothing in it may be used there in a way in
    /// which it could not be used before, and nothing in it may be under a rule that keeps it out of
    /// sight, here or there.
    fn may_move(
        &self,
        caller: &Caller<'_>,
        moved: &Stat,
        from: &End<'_>,
        to: &End<'_>,
    ) -> Result<(), Fail> {
        let host = &self.shared.host;
        if host.hides_below(&from.path) || host.hides_below(&to.path) {
            return Err(Errno::BUSY.into());
        }
        let shared = &self.shared;
        if shared.leads_to_quiet(&from.path) || shared.leads_to_quiet(&to.path) {
            return Err(Errno::BUSY.into());
        }
        if self.widens(&from.path, &to.path) {
            return Err(Errno::ACCESS.into());
        }
        if !moved.is_directory() {
            return Ok(());
        }
        let authority = &self.shared.authority;
        let whole = CONTENT.union(DELETE);
        let there = CONTENT.union(CREATE);
        if authority.covers_tree(&from.path, whole) && authority.covers_tree(&to.path, there) {
            return Ok(());
        }
        if caller.waiting.is_none() {
            // A walk takes its time.
            return Err(Fail::Defer);
        }
        let parent = self.directory(&from.parent)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let (top, _) =
            self.shared
                .host
                .open_object(parent.as_fd(), from.name, flags, &moved.key())?;
        let mut walk = Walk {
            server: self,
            left: MOVED_MAX,
        };
        walk.check(&top, &from.path, &to.path, MOVED_DEPTH_MAX)
    }

    /// Has what the rename takes away kept. Gives what moves and what is replaced, to say how they stand afterwards.
    #[expect(clippy::type_complexity, reason = "two objects with their new names")]
    fn keep_rename<'e>(
        &self,
        (from, old, moved): (&OwnedFd, &'e End<'_>, &Stat),
        (to, new): (&OwnedFd, &'e End<'_>),
        exchanged: bool,
    ) -> Result<
        (
            Option<(&'e Path, OwnedFd)>,
            Option<(&'e Path, OwnedFd)>,
            Kept,
        ),
        Errno,
    > {
        let renaming = Renaming {
            parents: [
                keeper::parent(from.as_fd(), &old.path),
                keeper::parent(to.as_fd(), &new.path),
            ],
            moved: keeper::doomed(from.as_fd(), old.name, &old.path, moved),
            to: &new.path,
            replaced: new
                .found
                .as_ref()
                .map(|stat| keeper::doomed(to.as_fd(), new.name, &new.path, stat)),
            exchanged,
        };
        let kept = self.keep_renaming(&renaming)?;
        if self.shared.keeper.is_none() {
            return Ok((None, None, kept));
        }
        let host = &self.shared.host;
        let moves = host.open(from.as_fd(), old.name, OFlags::PATH, 0)?;
        let there = new.found.as_ref().and_then(|stat| {
            if exchanged {
                host.open(to.as_fd(), new.name, OFlags::PATH, 0).ok()
            } else {
                self.by_other_names(renaming.replaced.as_ref()?, stat)
            }
        });
        let then = if exchanged { &old.path } else { &new.path };
        Ok((
            Some((new.path.as_path(), moves)),
            there.map(|object| (then.as_path(), object)),
            kept,
        ))
    }

    /// Brings the names of the nodes concerned up to date.
    fn renamed(&self, moved: &Stat, old: &End<'_>, new: &End<'_>, exchanged: bool) {
        self.reopen_below(&new.path, &old.path);
        if let Some(target) = &new.found
            && target.key() != moved.key()
        {
            if exchanged {
                if let Some(node) = self.nodes.find(&target.key()) {
                    node.remove_name(&new.parent, new.name);
                    node.add_name(&old.parent, old.name);
                }
            } else {
                self.name_gone(&new.parent, new.name, target);
            }
        }
        if let Some(node) = self.nodes.find(&moved.key()) {
            node.remove_name(&old.parent, old.name);
            node.add_name(&new.parent, new.name);
        }
    }
}

/// Renames on the host. Where nothing was to be seen at the new name nothing is replaced: what is there
/// all the same is hidden, or came this moment and was not decided on.
fn rename_at(
    (from, old): (&OwnedFd, &OsStr),
    (to, new): (&OwnedFd, &OsStr),
    flags: RenameFlags,
    replaces: bool,
) -> Result<(), Errno> {
    if replaces || !flags.is_empty() {
        return renameat_with(from, old, to, new, flags);
    }
    match renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        // A file system that cannot promise it: look once more, as closely as can be.
        Err(Errno::INVAL) => match statat(to, new, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => renameat_with(from, old, to, new, flags),
            _ => Err(Errno::BUSY),
        },
        Err(Errno::EXIST) => Err(Errno::BUSY),
        other => other,
    }
}

/// A look at everything below a directory that is to be moved.
struct Walk<'a> {
    server: &'a Server,
    left: usize,
}

impl Walk<'_> {
    fn check(
        &mut self,
        directory: &OwnedFd,
        old: &Path,
        new: &Path,
        depth: usize,
    ) -> Result<(), Fail> {
        let depth = depth.checked_sub(1).ok_or(Errno::XDEV)?;
        let server = self.server;
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            self.left = self.left.checked_sub(1).ok_or(Errno::XDEV)?;
            let (old, new) = (old.join(name), new.join(name));
            if !server.is_covered(&old) || !server.is_covered(&new) || server.widens(&old, &new) {
                return Err(Errno::ACCESS.into());
            }
            let stat = server.shared.host.stat(directory.as_fd(), name)?;
            if stat.is_directory() {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let host = &server.shared.host;
                let (below, _) = host.open_object(directory.as_fd(), name, flags, &stat.key())?;
                self.check(&below, &old, &new, depth)?;
            }
        }
        Ok(())
    }
}

impl Server {
    fn is_covered(&self, path: &Path) -> bool {
        !self.shared.host.is_hidden(path)
            && matches!(
                self.shared.authority.check(path, SEE),
                Verdict::Permitted(_)
            )
    }
}
