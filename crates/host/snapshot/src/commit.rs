//! Taking what is on a stage, or throwing it away: whole or by name.
//!
//! Each file of the host is old or new, by the same hands that undo, and what is taken away is kept first, so that a commit can be undone. What
//! is on the stage goes from it once it is on the host; whoever is stopped in the middle gives the same command again. What somebody
//! else has changed since the session first changed it is left alone, and told.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, OFlags, unlinkat};
use rustix::io::Errno;
use valetkey_model::Digest;

use crate::history::Happened;
use crate::keep::Keep;
use crate::layer::{Layered, Nothing, directory_of, is_opaque, is_whiteout, names_in};
use crate::object::{self, Look, look_at, open_at};
use crate::record::Kind;
use crate::stage::{Staged, StagedTree};
use crate::undo::{Hands, Told, Undone, failed, look};
use crate::{Choice, SnapshotError};

/// Levels of directories that are gone into.
const DEPTH_MAX: usize = 512;

/// One name that a session changed and that waits to be taken.
#[derive(Clone, Debug)]
pub struct StagedItem {
    /// The name.
    pub path: PathBuf,
    /// What happened to it.
    pub happened: Happened,
    /// What it is now; nothing when it was removed.
    pub kind: Option<Kind>,
    /// Bytes on the host.
    pub size_before: Option<u64>,
    /// Bytes on the stage.
    pub size: Option<u64>,
    /// Why it is not taken.
    pub conflict: Option<String>,
    /// Where it is on the stage.
    pub staged: Option<PathBuf>,
    /// What it is on the stage: an entry of a layer.
    entry: Entry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// It stands for what is to be there.
    Object,
    /// It stands for nothing.
    Whiteout,
    /// There is none: the directory that it would be in covers what is below.
    Covered,
}

impl Staged {
    /// What waits to be taken, each directory before what is in it.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn items(&self) -> Result<Vec<StagedItem>, SnapshotError> {
        let mut items = Vec::new();
        for tree in &self.trees {
            let upper = directory_of(&tree.upper)?;
            let walk = Walk { staged: self, tree };
            walk.go(&upper, &tree.path, DEPTH_MAX, &mut items)?;
        }
        Ok(items)
    }

    /// Takes what `choice` says of `items`. What that takes away from the host is kept by `own`.
    ///
    /// # Errors
    /// When it cannot be kept, or the disk fails. What was taken until then is taken, and the rest is still on the stage.
    pub fn commit(
        &self,
        items: &[StagedItem],
        choice: &Choice,
        own: &Keep,
    ) -> Result<Undone, SnapshotError> {
        let mut done = Undone::default();
        for item in items.iter().filter(|item| is_meant(item, choice)) {
            let forced = choice.force.contains(&item.path);
            if let Some(why) = item.conflict.clone().filter(|_| !forced) {
                done.left.push(Told {
                    path: item.path.clone(),
                    why,
                });
                continue;
            }
            self.take(item, own)?;
            self.settle(&item.path)?;
            self.drop_entry(item)?;
            done.changed.push(item.path.clone());
        }
        self.drop_empty(items, choice)?;
        Ok(done)
    }

    /// Throws away what `choice` says of `items`, which are then on the host as they were.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn discard(
        &self,
        items: &[StagedItem],
        choice: &Choice,
    ) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut gone = Vec::new();
        for item in items.iter().filter(|item| is_meant(item, choice)) {
            self.settle(&item.path)?;
            self.drop_entry(item)?;
            gone.push(item.path.clone());
        }
        self.drop_empty(items, choice)?;
        Ok(gone)
    }

    fn take(&self, item: &StagedItem, own: &Keep) -> Result<(), SnapshotError> {
        let path = item.path.as_path();
        let there = look(path)?;
        let Some(staged) = &item.staged else {
            let Some(there) = there else { return Ok(()) };
            let hands = Hands::new(own, &Nothing);
            return remove_tree(&hands, path, &there, DEPTH_MAX);
        };
        let (source, state) = Layered::read(staged, path)?;
        let hands = Hands::new(own, &source);
        match there {
            None => {
                make_above(&hands, path)?;
                hands.make(path, &state).map(drop)
            }
            Some(there) if there.kind == Kind::Directory && state.kind == Kind::Directory => {
                hands.dress(path, &state).map(drop)
            }
            Some(there) if there.kind == Kind::File && state.kind == Kind::File => {
                if !hands.has_content(path, &there, &state)? {
                    hands.write(path, &there, &state)?;
                }
                hands.dress(path, &state).map(drop)
            }
            Some(there) => {
                remove_tree(&hands, path, &there, DEPTH_MAX)?;
                hands.make(path, &state).map(drop)
            }
        }
    }

    /// What is on the host is no longer on the stage. Directories go when nothing is left in them.
    fn drop_entry(&self, item: &StagedItem) -> Result<(), SnapshotError> {
        if item.entry == Entry::Covered || item.kind == Some(Kind::Directory) {
            return Ok(());
        }
        let Some(entry) = self.entry_of(&item.path) else {
            return Ok(());
        };
        let (Some(above), Some(name)) = (entry.parent(), entry.file_name()) else {
            return Ok(());
        };
        let directory = directory_of(above)?;
        match unlinkat(&directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed("remove", &entry)(error)),
        }
    }

    fn drop_empty(&self, items: &[StagedItem], choice: &Choice) -> Result<(), SnapshotError> {
        let directories = items
            .iter()
            .rev()
            .filter(|item| item.kind == Some(Kind::Directory) && is_meant(item, choice));
        for item in directories {
            let Some(entry) = self.entry_of(&item.path) else {
                continue;
            };
            let (Some(above), Some(name)) = (entry.parent(), entry.file_name()) else {
                continue;
            };
            match unlinkat(directory_of(above)?, name, AtFlags::REMOVEDIR) {
                // Something in it is still to be taken.
                Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => {}
                Err(error) => return Err(failed("remove", &entry)(error)),
            }
        }
        Ok(())
    }

    /// Where the entry for `path` is in its layer.
    fn entry_of(&self, path: &Path) -> Option<PathBuf> {
        self.trees.iter().find_map(|tree| {
            let below = path.strip_prefix(&tree.path).ok()?;
            (!below.as_os_str().is_empty()).then(|| tree.upper.join(below))
        })
    }

    /// Why what is at `path` on the host is not what the session changed.
    fn conflict(&self, path: &Path, there: Option<&Look>) -> Option<String> {
        let why = match (self.bases.get(path), there) {
            (Some(None) | None, None) => return None,
            (Some(Some(_)), None) => "somebody else has removed it",
            (Some(None), Some(_)) => "somebody else has made it",
            (None, Some(_)) => "it is not known what it was when the session changed it",
            (Some(Some(base)), Some(there)) => {
                let same = base.ino == there.id.ino
                    && (there.kind == Kind::Directory || base.changed == there.changed);
                if same {
                    return None;
                }
                "somebody else has changed it"
            }
        };
        Some(why.to_owned())
    }
}

fn is_meant(item: &StagedItem, choice: &Choice) -> bool {
    choice.only.is_empty()
        || choice.only.iter().any(|only| item.path.starts_with(only))
        // A directory that is new is made for what is in it.
        || (item.kind == Some(Kind::Directory)
            && item.happened == Happened::Made
            && choice.only.iter().any(|only| only.starts_with(&item.path)))
}

/// The way through one layer.
struct Walk<'a> {
    staged: &'a Staged,
    tree: &'a StagedTree,
}

impl Walk<'_> {
    fn go(
        &self,
        upper: &OwnedFd,
        path: &Path,
        depth: usize,
        items: &mut Vec<StagedItem>,
    ) -> Result<(), SnapshotError> {
        let fail = failed("read", path);
        let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG);
        let depth = depth.map_err(&fail)?;
        for name in names_in(upper).map_err(&fail)? {
            let name = OsStr::from_bytes(&name);
            let at = path.join(name);
            self.entry(upper, name, &at, depth, items)?;
        }
        Ok(())
    }

    fn entry(
        &self,
        upper: &OwnedFd,
        name: &OsStr,
        path: &Path,
        depth: usize,
        items: &mut Vec<StagedItem>,
    ) -> Result<(), SnapshotError> {
        let fail = failed("read", path);
        let there = look(path)?;
        if is_whiteout(upper, name).map_err(&fail)? {
            if let Some(there) = there {
                items.push(self.removed(path, &there, Entry::Whiteout, depth)?);
            }
            return Ok(());
        }
        let Some(new) = look_at(upper, name).map_err(&fail)? else {
            return Ok(());
        };
        let same_kind = there.as_ref().is_some_and(|there| there.kind == new.kind);
        let mut item = self.object(path, there.as_ref(), &new);
        if new.kind != Kind::Directory {
            if let Some(there) = there.filter(|_| !same_kind) {
                let gone = self.removed(path, &there, Entry::Object, depth)?;
                item.conflict = item.conflict.or(gone.conflict);
            } else if let Some(there) = there {
                if is_unchanged(&there, &new) {
                    return Ok(());
                }
                // A commit that was stopped has put it there already.
                if item.conflict.is_some() && is_the_same(upper, name, &new, path, &there) {
                    item.conflict = None;
                }
            }
            items.push(item);
            return Ok(());
        }
        let below = open_at(upper, name, OFlags::RDONLY | OFlags::DIRECTORY, 0).map_err(&fail)?;
        let covers = is_opaque(&below);
        if let Some(there) = there.filter(|_| !same_kind) {
            let gone = self.removed(path, &there, Entry::Object, depth)?;
            item.conflict = item.conflict.or(gone.conflict);
        }
        // Of a directory that is there its own state is taken only where the session changed that.
        let dressed = same_kind
            && there.is_some_and(|there| there.mode != new.mode)
            && self.staged.bases.contains_key(path)
            && !self.staged.is_settled(path);
        if !same_kind || dressed {
            items.push(item);
        }
        if covers && same_kind {
            self.covered(&below, path, depth, items)?;
        }
        self.go(&below, path, depth, items)
    }

    fn object(&self, path: &Path, there: Option<&Look>, new: &Look) -> StagedItem {
        let is_file = |look: &Look| (look.kind == Kind::File).then_some(look.size);
        let is_directory = |look: &Look| look.kind == Kind::Directory;
        let both = there.is_some_and(is_directory) && is_directory(new);
        let below = path.strip_prefix(&self.tree.path).unwrap_or(path);
        StagedItem {
            path: path.to_path_buf(),
            happened: if there.is_some() {
                Happened::Changed
            } else {
                Happened::Made
            },
            kind: Some(new.kind),
            size_before: there.and_then(is_file),
            size: is_file(new),
            conflict: if both {
                None
            } else {
                self.staged.conflict(path, there)
            },
            staged: Some(self.tree.upper.join(below)),
            entry: Entry::Object,
        }
    }

    fn removed(
        &self,
        path: &Path,
        there: &Look,
        entry: Entry,
        depth: usize,
    ) -> Result<StagedItem, SnapshotError> {
        let mut conflict = self.staged.conflict(path, Some(there));
        if there.kind == Kind::Directory && conflict.is_none() {
            conflict = self.conflict_below(path, depth)?;
        }
        Ok(StagedItem {
            path: path.to_path_buf(),
            happened: Happened::Removed,
            kind: None,
            size_before: (there.kind == Kind::File).then_some(there.size),
            size: None,
            conflict,
            staged: None,
            entry,
        })
    }

    /// Why a directory of the host cannot go: something in it is not what the session removed.
    fn conflict_below(&self, path: &Path, depth: usize) -> Result<Option<String>, SnapshotError> {
        let fail = failed("read", path);
        let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG);
        let depth = depth.map_err(&fail)?;
        let directory = directory_of(path)?;
        for name in names_in(&directory).map_err(&fail)? {
            let at = path.join(OsStr::from_bytes(&name));
            let Some(there) = look(&at)? else { continue };
            let mut why = self.staged.conflict(&at, Some(&there));
            if there.kind == Kind::Directory && why.is_none() {
                why = self.conflict_below(&at, depth)?;
            }
            if let Some(why) = why {
                let name = at.file_name().unwrap_or_default().to_string_lossy();
                return Ok(Some(format!("`{name}` in it: {why}")));
            }
        }
        Ok(None)
    }

    /// What is on the host in a directory of which the session left nothing, and that it did not make anew.
    fn covered(
        &self,
        upper: &OwnedFd,
        path: &Path,
        depth: usize,
        items: &mut Vec<StagedItem>,
    ) -> Result<(), SnapshotError> {
        let fail = failed("read", path);
        let directory = directory_of(path)?;
        for name in names_in(&directory).map_err(&fail)? {
            let name = OsStr::from_bytes(&name);
            if look_at(upper, name).map_err(&fail)?.is_some() {
                continue;
            }
            let at = path.join(name);
            // What the session did not remove is the person's, or was taken already.
            let was = self.staged.bases.get(&at).copied().flatten();
            if was.is_none() || self.staged.is_settled(&at) {
                continue;
            }
            if let Some(there) = look(&at)? {
                items.push(self.removed(&at, &there, Entry::Covered, depth)?);
            }
        }
        Ok(())
    }
}

/// Copied to the layer, and not changed there.
fn is_unchanged(there: &Look, new: &Look) -> bool {
    let told = |look: &Look| (look.kind, look.size, look.mode, look.modified);
    told(there) == told(new)
}

/// Whether both have one content.
fn is_the_same(upper: &OwnedFd, name: &OsStr, new: &Look, path: &Path, there: &Look) -> bool {
    let capture = |directory: &OwnedFd, name: &OsStr, look: &Look| {
        let nothing = |_: Digest, _: &[u8]| Ok::<(), Errno>(());
        object::capture(directory.as_fd(), name, look.id, nothing)
            .ok()
            .flatten()
            .map(|state| (state.kind, state.size, state.chunks))
    };
    let Ok(place) = object::Place::of(path) else {
        return false;
    };
    let staged = capture(upper, name, new);
    staged.is_some() && staged == capture(&place.directory, place.name, there)
}

/// Removes what is at `path`, and all that is in it.
fn remove_tree(
    hands: &Hands<'_>,
    path: &Path,
    there: &Look,
    depth: usize,
) -> Result<(), SnapshotError> {
    if there.kind == Kind::Directory {
        let fail = failed("read", path);
        let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG);
        let depth = depth.map_err(&fail)?;
        let directory = directory_of(path)?;
        for name in names_in(&directory).map_err(&fail)? {
            let at = path.join(OsStr::from_bytes(&name));
            if let Some(there) = look(&at)? {
                remove_tree(hands, &at, &there, depth)?;
            }
        }
    }
    hands.remove(path, there)
}

/// Makes the directories above `path` that are not there: one was left, and what is in it is taken by name.
fn make_above(hands: &Hands<'_>, path: &Path) -> Result<(), SnapshotError> {
    let Some(above) = path.parent() else {
        return Ok(());
    };
    if look(above)?.is_some() {
        return Ok(());
    }
    make_above(hands, above)?;
    hands.make(above, &crate::undo::passage()).map(drop)
}
