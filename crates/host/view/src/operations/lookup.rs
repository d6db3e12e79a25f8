//! Names: what a name in a directory leads to.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use valetkey_fuse::Entry;

use super::Outcome;
use crate::authority::Facts;
use crate::changes::WATCHED_VALID;
use crate::config::SkeletonKind;
use crate::connection::{Answer, Caller, Fail, Server};
use crate::host::{Key, Stat};
use crate::node::{Name, Node};
use crate::sight::{Place, Sight};
use crate::skeleton::Bone;
use crate::watch::Watch;

/// Bytes of a name beyond which no file system of the host's has it (`NAME_MAX`).
const NAME_MAX_BYTES: usize = 255;
/// How long the kernel may believe in what the cell mounts on: it is there for good, and a kernel that
/// asked again and was disappointed would detach what is mounted.
const FIXED_VALID: Duration = Duration::from_secs(86_400);

impl Server {
    pub(super) fn lookup(&self, caller: &Caller<'_>, parent: u64, name: &OsStr) -> Outcome {
        let parent = self.node(parent)?;
        let path = self.child_path(&parent, name)?;
        // What is looked at before somebody is asked may be old when they have answered.
        let long = parent.is_watched() && caller.waiting.is_none();
        if name.len() > NAME_MAX_BYTES {
            // There is none, here or anywhere: that tells nothing.
            return Err(Errno::NAMETOOLONG.into());
        }
        if self.is_plainly_refused(&path) {
            // Not looked at either: how long that takes would tell whether it is there.
            self.refused_name(parent.id, name);
            return Ok(Answer::Entry(Entry::nothing(
                self.shared.config.refusal_memory,
            )));
        }
        let found = self.stat_child(&parent, name)?;
        let facts = || found.as_ref().map_or_else(Facts::absent, Stat::facts);
        let Some(sight) = self.see(caller, &path, facts)? else {
            self.refused_name(parent.id, name);
            return Ok(Answer::Entry(Entry::nothing(
                self.shared.config.refusal_memory,
            )));
        };
        if let Some(stat) = found.filter(|stat| self.is_stranger(stat, &path)) {
            let place = Place {
                directory: self.directory(&parent)?,
                name: Name {
                    parent: Arc::clone(&parent),
                    name: name.to_owned(),
                },
                path: path.clone(),
                stat,
            };
            self.acquaint(caller, &place)?;
        }
        Ok(Answer::Entry(self.entry(
            &parent,
            name,
            &path,
            found.as_ref(),
            &sight,
            long,
        )))
    }

    /// The entry of a name that is in sight, with one lookup counted unless there is nothing. `long`: that whatever changed since
    /// it was looked at is heard of.
    pub(super) fn entry(
        &self,
        parent: &Arc<Node>,
        name: &OsStr,
        path: &Path,
        found: Option<&Stat>,
        sight: &Sight,
        long: bool,
    ) -> Entry {
        let fixed = match sight {
            Sight::Bone(Bone::Fixed(kind)) => Some(kind.clone()),
            Sight::Covered | Sight::Shown => {
                match crate::locks::read(&self.shared.skeleton).bone(path) {
                    Some(Bone::Fixed(kind)) if found.is_none() => Some(kind),
                    _ => None,
                }
            }
            Sight::Bone(Bone::Ancestor) => None,
        };
        match (fixed, found) {
            (Some(SkeletonKind::Directory), Some(stat)) if stat.is_directory() => {
                self.host_entry(parent, name, path, stat, sight, long)
            }
            (Some(kind), _) => self.virtual_entry(parent, name, path, &kind),
            (None, Some(stat)) => self.host_entry(parent, name, path, stat, sight, long),
            (None, None) => Entry::nothing(self.valid()),
        }
    }

    fn host_entry(
        &self,
        parent: &Arc<Node>,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
        sight: &Sight,
        long: bool,
    ) -> Entry {
        let node = self.nodes.remember(stat.key(), parent, name);
        let mut entry = Entry {
            node: node.id,
            entry_valid: if long && *sight == Sight::Covered {
                WATCHED_VALID
            } else {
                self.entry_valid(sight)
            },
            attributes_valid: self.attributes_valid(&node, stat, sight, long),
            attributes: self.shown(stat, path, sight),
        };
        if let Some(size) = node.mask.draft_size() {
            entry.attributes.size = size;
            entry.attributes_valid = Duration::ZERO;
        }
        entry
    }

    /// How long the kernel may believe in attributes. `long`: that what changes in the directory of the name is heard of.
    pub(super) fn attributes_valid(
        &self,
        node: &Node,
        stat: &Stat,
        sight: &Sight,
        long: bool,
    ) -> Duration {
        if self.is_uncounted(stat) {
            return Duration::ZERO;
        }
        // What a file's other names bring is heard of elsewhere, if at all; what is made in a directory, in there.
        let heard_of = if stat.is_directory() {
            node.is_watched()
        } else {
            stat.attributes.nlink == 1
        };
        if long && heard_of && *sight == Sight::Covered {
            WATCHED_VALID
        } else {
            self.valid()
        }
    }

    /// Watches a directory for what the host changes in it.
    pub(super) fn hear_of(&self, node: &Arc<Node>, directory: BorrowedFd<'_>) {
        // Whoever changes what a graft covers is not heard through it.
        if let Some(changes) = &self.changes
            && !self.shared.host.has_grafts()
            && self.watch.get().is_some_and(Watch::listens)
        {
            changes.watch(node, directory);
        }
    }

    fn virtual_entry(
        &self,
        parent: &Arc<Node>,
        name: &OsStr,
        path: &Path,
        kind: &SkeletonKind,
    ) -> Entry {
        let node = self
            .nodes
            .remember(Key::Virtual(path.to_path_buf()), parent, name);
        Entry {
            node: node.id,
            entry_valid: FIXED_VALID,
            attributes_valid: self.valid(),
            attributes: self.shown_virtual(path, kind),
        }
    }

    fn entry_valid(&self, sight: &Sight) -> Duration {
        match sight {
            Sight::Bone(Bone::Fixed(_)) => FIXED_VALID,
            Sight::Bone(Bone::Ancestor) | Sight::Covered | Sight::Shown => self.valid(),
        }
    }

    /// The path of `name` in the directory `parent`.
    pub(super) fn child_path(&self, parent: &Arc<Node>, name: &OsStr) -> Result<PathBuf, Errno> {
        self.nodes
            .path(parent)
            .map(|path| path.join(name))
            .ok_or(Errno::STALE)
    }

    /// What the host has at `name` in `parent`; `None` when there is nothing to be shown.
    pub(super) fn stat_child(
        &self,
        parent: &Arc<Node>,
        name: &OsStr,
    ) -> Result<Option<Stat>, Errno> {
        if parent.is_virtual() {
            return Ok(None);
        }
        let directory = self.directory(parent)?;
        match self.shared.host.stat(directory.as_fd(), name) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The entry of something just made at `name`, which is covered.
    pub(super) fn new_entry(
        &self,
        parent: &Arc<Node>,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
    ) -> Entry {
        self.host_entry(parent, name, path, stat, &Sight::Covered, false)
    }

    /// What stands at a virtual node.
    pub(super) fn virtual_kind(&self, node: &Node) -> Result<(PathBuf, SkeletonKind), Fail> {
        let Key::Virtual(path) = &node.key else {
            return Err(Errno::STALE.into());
        };
        match crate::locks::read(&self.shared.skeleton).bone(path) {
            Some(Bone::Fixed(kind)) => Ok((path.clone(), kind)),
            _ => Err(Errno::STALE.into()),
        }
    }
}
