//! What a view is made from.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a view is set up.
#[derive(Debug, Clone)]
pub struct ViewConfig {
    /// The host directory that is the view's root: `/`, but for tests.
    pub root: PathBuf,
    /// How owners are shown.
    pub ids: IdMap,
    /// Host directories and files that are never there, whatever is granted and whatever leads to
    /// them. Paths as the view numbers them (beneath `root`).
    pub hidden: Vec<PathBuf>,
    /// What is always there: mount points of the cell, and links beside them.
    pub skeleton: Vec<SkeletonEntry>,
    /// Directories in whose place another one is shown, with all that is below: the root of a mount that takes what is changed.
    pub grafts: Vec<Graft>,
    /// How long the kernel may keep names and attributes without asking again.
    pub valid: Duration,
    /// How long a refusal is remembered, so that repeated tries do not reach the broker.
    pub refusal_memory: Duration,
    /// Requests that may wait for an answer at one time; more are refused.
    pub waiting_max: usize,
    /// Directory descriptors that are kept open.
    pub directories_max: usize,
}

impl ViewConfig {
    /// A view of `root` for the user with these ids, with the usual limits.
    #[must_use]
    pub fn new(root: PathBuf, ids: IdMap) -> Self {
        Self {
            root,
            ids,
            hidden: Vec::new(),
            skeleton: Vec::new(),
            grafts: Vec::new(),
            valid: Duration::from_secs(1),
            refusal_memory: Duration::from_secs(3),
            waiting_max: 256,
            directories_max: 2048,
        }
    }
}

/// A directory that is shown in the place of another.
#[derive(Debug, Clone)]
pub struct Graft {
    /// Where, as the view numbers paths.
    pub path: PathBuf,
    /// What is there.
    pub root: Arc<OwnedFd>,
}

/// How owners are shown. The namespace that mounts the view maps one user and one group only, so
/// whatever belongs to somebody else is shown as nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// The user on the host.
    pub own_uid: u32,
    /// The groups on the host of which the user is a member, the first one first.
    pub own_gids: Vec<u32>,
    /// What the user is in the mount's namespace.
    pub shown_uid: u32,
    /// What the user's groups are there.
    pub shown_gid: u32,
}

/// The id that stands for everybody else (`/proc/sys/kernel/overflowuid`).
pub(crate) const NOBODY: u32 = 65534;

impl IdMap {
    /// The user appears as 0:0, as the namespace that mounted the view knows them.
    #[must_use]
    pub fn to_root(own_uid: u32, own_gids: Vec<u32>) -> Self {
        Self {
            own_uid,
            own_gids,
            shown_uid: 0,
            shown_gid: 0,
        }
    }

    pub(crate) fn show_uid(&self, uid: u32) -> u32 {
        if uid == self.own_uid {
            self.shown_uid
        } else {
            NOBODY
        }
    }

    pub(crate) fn show_gid(&self, gid: u32) -> u32 {
        if self.own_gids.contains(&gid) {
            self.shown_gid
        } else {
            NOBODY
        }
    }
}

/// Something that is always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkeletonEntry {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub kind: SkeletonKind,
}

/// What is always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkeletonKind {
    /// A directory, to be mounted over or to lead to something: the host's where it has one.
    Directory,
    /// An empty file that cannot be opened, to be mounted over.
    File,
    /// A symbolic link to this target, followed within the view.
    Symlink(PathBuf),
}

/// What kind of connection is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// The whole view: every open is decided.
    Watched,
    /// A tree that is granted whole: opens cost no message; lookups, first reads, writes and changes
    /// are still decided.
    Quiet {
        /// The tree.
        root: PathBuf,
    },
}
