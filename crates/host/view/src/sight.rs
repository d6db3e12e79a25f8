//! What there is to see and to do: every decision of the view goes through here.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;
use valetkey_fuse::Attributes;
use valetkey_model::{Action, ActionSet};

use crate::authority::{Facts, METADATA, Observation, Permit, Purpose, SEE, Verdict, Why};
use crate::config::{Connection, NOBODY, SkeletonKind};
use crate::connection::{Caller, Fail, Server};
use crate::host::{KIND_DIRECTORY, KIND_REGULAR, KIND_SYMLINK, Stat};
use crate::locks::{lock, read};
use crate::node::{Kept, Name, Node};
use crate::skeleton::Bone;

/// Why a name is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// A capability covers it.
    Covered,
    /// The skeleton has it.
    Bone(Bone),
    /// Policy lets it be seen, and nothing else.
    Shown,
}

/// An object of the host at a name that leads to it now.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: Arc<OwnedFd>,
    pub(crate) name: Name,
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
}

impl Server {
    /// Whether and why `path` is there; `None` when it is not.
    pub(crate) fn see(
        &self,
        caller: &Caller<'_>,
        path: &Path,
        facts: impl FnOnce() -> Facts,
    ) -> Result<Option<Sight>, Fail> {
        if self.shared.host.is_hidden(path) {
            return Ok(None);
        }
        let verdict = self.shared.authority.check(path, SEE);
        if let Verdict::Permitted(_) = verdict {
            return Ok(Some(Sight::Covered));
        }
        let bone = read(&self.shared.skeleton).bone(path).map(Sight::Bone);
        match verdict {
            _ if bone.is_some() && !self.is_decided(path) => Ok(bone),
            Verdict::Refused { visible } => Ok(bone.or(visible.then_some(Sight::Shown))),
            Verdict::Permitted(_) | Verdict::Unknown => {
                match self.permit(caller, path, METADATA, Purpose::Lookup, facts) {
                    Ok(_) => Ok(Some(Sight::Covered)),
                    Err(Fail::Refused { visible }) => Ok(bone.or(visible.then_some(Sight::Shown))),
                    Err(other) => Err(other),
                }
            }
        }
    }

    /// Whether `path` is not to be seen, whatever is there, and nobody need be asked.
    pub(crate) fn is_plainly_refused(&self, path: &Path) -> bool {
        if self.shared.host.is_hidden(path) {
            return true;
        }
        let refused = matches!(
            self.shared.authority.check(path, SEE),
            Verdict::Refused { visible: false }
        );
        refused && read(&self.shared.skeleton).bone(path).is_none()
    }

    /// Whether `path` is decided on although it may stand on the skeleton: it does so as the way to a grant alone, and is
    /// in another one.
    pub(crate) fn is_decided(&self, path: &Path) -> bool {
        let skeleton = read(&self.shared.skeleton);
        !matches!(skeleton.bone(path), Some(Bone::Fixed(_))) && skeleton.is_within_grant(path)
    }

    /// What the capabilities in memory say of a name in a listing.
    pub(crate) fn glance(&self, path: &Path) -> Glance {
        if self.shared.host.is_hidden(path) {
            return Glance::Nothing;
        }
        match self.shared.authority.check(path, SEE) {
            Verdict::Permitted(_) => Glance::Known(Sight::Covered),
            Verdict::Refused { visible: true } => Glance::Known(Sight::Shown),
            other @ (Verdict::Refused { .. } | Verdict::Unknown) => {
                match (read(&self.shared.skeleton).bone(path), other) {
                    (Some(bone), _) => Glance::Known(Sight::Bone(bone)),
                    (None, Verdict::Unknown) => Glance::Unknown,
                    (None, _) => Glance::Nothing,
                }
            }
        }
    }

    /// The right to do `wanted` to `path`, asking for it if need be.
    pub(crate) fn permit(
        &self,
        caller: &Caller<'_>,
        path: &Path,
        wanted: ActionSet,
        purpose: Purpose,
        facts: impl FnOnce() -> Facts,
    ) -> Result<Arc<dyn Permit>, Fail> {
        let shared = &self.shared;
        let hidden = shared.host.is_hidden(path);
        let checked = if hidden {
            Verdict::Refused { visible: false }
        } else {
            shared.authority.check(path, wanted)
        };
        let verdict = match (checked, shared.refusals.recent(path, wanted)) {
            (Verdict::Unknown, Some(visible)) => Verdict::Refused { visible },
            (Verdict::Unknown, None) => self.ask(caller, path, wanted, purpose, facts)?,
            (known, _) => known,
        };
        match verdict {
            Verdict::Permitted(permit) => Ok(permit),
            Verdict::Refused { visible } => {
                let path = path.to_path_buf();
                let visible = visible || (!hidden && self.is_in_sight(&path));
                shared
                    .authority
                    .report(Observation::Refused { path, wanted });
                Err(Fail::Refused { visible })
            }
            Verdict::Unknown => Err(Fail::Refused { visible: false }),
        }
    }

    fn ask(
        &self,
        caller: &Caller<'_>,
        path: &Path,
        wanted: ActionSet,
        purpose: Purpose,
        facts: impl FnOnce() -> Facts,
    ) -> Result<Verdict, Fail> {
        let Some(waiting) = caller.waiting else {
            return Err(Fail::Defer);
        };
        waiting.begin()?;
        let why = Why {
            purpose,
            pid: caller.pid,
            may_ask: !self.is_quiet(),
        };
        let authority = &self.shared.authority;
        let verdict = authority.resolve(path, wanted, &facts(), why, &waiting.interrupt);
        // An answer that came because the agent gave up is no answer to be remembered.
        waiting.end()?;
        let visible = match verdict {
            Verdict::Permitted(permit)
                if permit.is_live() && permit.actions().allows_all(wanted) =>
            {
                return Ok(Verdict::Permitted(permit));
            }
            Verdict::Refused { visible } => visible,
            Verdict::Permitted(_) | Verdict::Unknown => false,
        };
        self.shared.refusals.remember(path, wanted, visible);
        Ok(Verdict::Refused { visible })
    }

    /// Whether `path` can be seen without asking anybody.
    pub(crate) fn is_in_sight(&self, path: &Path) -> bool {
        matches!(self.glance(path), Glance::Known(_))
    }

    /// What is allowed at `path` without asking, as far as content goes.
    pub(crate) fn allows(&self, path: &Path, action: Action) -> bool {
        self.allows_all(path, ActionSet::of(&[action]))
    }

    fn allows_all(&self, path: &Path, wanted: ActionSet) -> bool {
        !self.shared.host.is_hidden(path)
            && match self.shared.authority.check(path, wanted) {
                Verdict::Permitted(permit) => self.suits(&permit),
                Verdict::Refused { .. } | Verdict::Unknown => false,
            }
    }

    /// Whether an object at `new` could be used in a way that it could not be used at `old`, or is masked less there.
    pub(crate) fn widens(&self, old: &Path, new: &Path) -> bool {
        self.uncovers(old, new)
            || [Action::Read, Action::Write, Action::Append, Action::Execute]
                .into_iter()
                .any(|action| self.allows(new, action) && !self.allows(old, action))
    }

    /// Every name that leads to `node` now, the first one first; names that have come to lead
    /// elsewhere are forgotten.
    pub(crate) fn places(&self, node: &Arc<Node>) -> Result<Vec<Place>, Errno> {
        let mut places = Vec::with_capacity(1);
        for name in node.names() {
            let found = self.directory(&name.parent).and_then(|directory| {
                let stat = self.shared.host.stat(directory.as_fd(), &name.name)?;
                Ok((directory, stat))
            });
            match found {
                Ok((directory, stat)) if stat.key() == node.key => {
                    let path = self.nodes.path_of_name(&name).ok_or(Errno::STALE)?;
                    places.push(Place {
                        directory,
                        name,
                        path,
                        stat,
                    });
                }
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::STALE) => {
                    node.remove_name(&name.parent, &name.name);
                }
                // A name that cannot be looked at may be one whose rules forbid: no answer.
                Err(error) => return Err(error),
            }
        }
        if places.is_empty() {
            Err(Errno::STALE)
        } else {
            Ok(places)
        }
    }

    /// A descriptor that stands for the directory `node`, found true within the last moment.
    pub(crate) fn directory(&self, node: &Arc<Node>) -> Result<Arc<OwnedFd>, Errno> {
        let now = Instant::now();
        // Upwards to a directory that is known to be where it was, then down again.
        let mut way = Vec::new();
        let mut at = Arc::clone(node);
        let mut found = loop {
            if at.id == valetkey_fuse::ROOT_NODE {
                if !self.root_stands(now) {
                    return Err(Errno::STALE);
                }
                break Arc::clone(&self.root);
            }
            if let Some(descriptor) = self.fresh(&at, now) {
                break descriptor;
            }
            if !at.is_directory() {
                return Err(if at.is_virtual() {
                    Errno::NOENT
                } else {
                    Errno::NOTDIR
                });
            }
            let name = at.first_name().ok_or(Errno::STALE)?;
            let parent = Arc::clone(&name.parent);
            way.push((at, name));
            at = parent;
        };
        for (node, name) in way.into_iter().rev() {
            found = self.step(&found, &node, &name, now)?;
        }
        Ok(found)
    }

    fn fresh(&self, node: &Node, now: Instant) -> Option<Arc<OwnedFd>> {
        let kept = lock(&node.kept);
        let kept = kept.as_ref()?;
        let age = now.saturating_duration_since(kept.found_true);
        (age <= self.shared.config.valid).then(|| {
            node.used.store(true, Ordering::Relaxed);
            Arc::clone(&kept.descriptor)
        })
    }

    fn step(
        &self,
        parent: &Arc<OwnedFd>,
        node: &Arc<Node>,
        name: &Name,
        now: Instant,
    ) -> Result<Arc<OwnedFd>, Errno> {
        let host = &self.shared.host;
        let stat = host.stat(parent.as_fd(), &name.name)?;
        if stat.key() != node.key {
            return Err(Errno::STALE);
        }
        if let Some(kept) = lock(&node.kept).as_mut() {
            kept.found_true = now;
            return Ok(Arc::clone(&kept.descriptor));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let (descriptor, _) = host.open_object(parent.as_fd(), &name.name, flags, &node.key)?;
        let descriptor = Arc::new(descriptor);
        *lock(&node.kept) = Some(Kept {
            descriptor: Arc::clone(&descriptor),
            found_true: now,
        });
        self.keep(node);
        Ok(descriptor)
    }

    /// Counts one more kept descriptor; closes the one longest unused when there are too many.
    fn keep(&self, node: &Arc<Node>) {
        let mut kept = lock(&self.kept);
        kept.push_back(Arc::downgrade(node));
        let mut tries = kept.len();
        while kept.len() > self.shared.config.directories_max && tries > 0 {
            tries = tries.saturating_sub(1);
            let Some(oldest) = kept.pop_front() else {
                break;
            };
            let Some(node) = oldest.upgrade() else {
                continue;
            };
            if node.used.swap(false, Ordering::Relaxed) {
                kept.push_back(oldest);
            } else {
                *lock(&node.kept) = None;
            }
        }
    }

    /// How an object of the host is shown.
    pub(crate) fn shown(&self, stat: &Stat, path: &Path, sight: &Sight) -> Attributes {
        let ids = &self.shared.config.ids;
        let mut attributes = Attributes {
            uid: ids.show_uid(stat.attributes.uid),
            gid: ids.show_gid(stat.attributes.gid),
            ..stat.attributes
        };
        if matches!(sight, Sight::Bone(_)) && stat.is_directory() {
            // Sizes and times of a directory tell of names in it that are not there to see.
            let made = self.shared.made;
            attributes = Attributes {
                size: 4096,
                blocks: 8,
                nlink: 2,
                atime: made,
                mtime: made,
                ctime: made,
                ..attributes
            };
        }
        if matches!(self.connection, Connection::Quiet { .. }) {
            attributes.mode &= !self.denied_bits(path, stat);
        }
        attributes
    }

    /// Permission bits that no capability backs. Where opens send no message they decide.
    fn denied_bits(&self, path: &Path, stat: &Stat) -> u32 {
        const CONTENT: ActionSet = ActionSet::of(&[Action::Read, Action::Write, Action::Execute]);
        if !self.may_be_read_by_every_name(stat) {
            return 0o777;
        }
        let kind = stat.kind();
        if kind == KIND_REGULAR && self.allows_all(path, CONTENT) {
            return 0;
        }
        let bit = |action, bits| if self.allows(path, action) { 0 } else { bits };
        match kind {
            KIND_REGULAR => {
                bit(Action::Read, 0o444) | bit(Action::Write, 0o222) | bit(Action::Execute, 0o111)
            }
            KIND_DIRECTORY => bit(Action::List, 0o444),
            _ => 0,
        }
    }

    /// How something is shown that the host does not have.
    pub(crate) fn shown_virtual(&self, path: &Path, kind: &SkeletonKind) -> Attributes {
        let made = self.shared.made;
        let (mode, nlink, size) = match kind {
            SkeletonKind::Directory => (KIND_DIRECTORY | 0o555, 2, 0),
            SkeletonKind::File => (KIND_REGULAR | 0o444, 1, 0),
            SkeletonKind::Symlink(target) => (
                KIND_SYMLINK | 0o777,
                1,
                u64::try_from(target.as_os_str().len()).unwrap_or(0),
            ),
        };
        Attributes {
            ino: virtual_ino(path),
            size,
            mode,
            nlink,
            uid: NOBODY,
            gid: NOBODY,
            blksize: 4096,
            atime: made,
            mtime: made,
            ctime: made,
            ..Attributes::default()
        }
    }

    pub(crate) fn valid(&self) -> Duration {
        self.shared.config.valid
    }
}

/// What a listing may say of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Glance {
    /// It is there, with its attributes.
    Known(Sight),
    /// Nothing is known of it yet: it must be asked about.
    Unknown,
    /// It is not there.
    Nothing,
}

/// An inode number from a path, with the top bit set so as not to meet a real one (FNV-1a).
fn virtual_ino(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash | (1 << 63)
}
