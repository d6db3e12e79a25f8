//! Which files are masked, by all of their names, and what may not be done to them.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;
use valetkey_model::ActionSet;
use valetkey_redact::{Kinds, Refusal};

use super::version::{Version, make};
use crate::authority::SEE;
use crate::connection::{Caller, Fail, Server};
use crate::host::{KIND_REGULAR, Stat};
use crate::node::Node;
use crate::sight::Place;

/// Content that is looked at by a serving thread at once; for more the open is moved to a waiting thread.
pub(super) const AT_ONCE_BYTES_MAX: u64 = 64 * 1024;

/// Why something is refused for the sake of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MaskRefusal {
    /// It would destroy something that is masked.
    Destroys,
    /// It would bring something that is masked to where it could be seen.
    Uncovers,
    /// What was written cannot be compared with what was shown.
    Unclear,
    /// The content is compressed or encrypted.
    Opaque,
    /// The file is too long to be masked.
    TooLong,
    /// The file has further names, which a new file in its place would not have.
    Names,
    /// Somebody else has changed the file since it was shown.
    Changed,
}

impl MaskRefusal {
    /// What the program is told.
    pub(crate) fn errno(self) -> Errno {
        match self {
            Self::Destroys | Self::Uncovers | Self::Unclear | Self::Names => Errno::PERM,
            Self::Opaque => Errno::ACCESS,
            Self::TooLong => Errno::FBIG,
            Self::Changed => Errno::BUSY,
        }
    }

    /// The refusal that an error stands for.
    fn of(error: Errno) -> Option<Self> {
        match error {
            Errno::ACCESS => Some(Self::Opaque),
            Errno::FBIG => Some(Self::TooLong),
            _ => None,
        }
    }
}

impl From<Refusal> for MaskRefusal {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Destroys => Self::Destroys,
            Refusal::Uncovers => Self::Uncovers,
            Refusal::Unclear => Self::Unclear,
        }
    }
}

impl Server {
    /// What is masked of the file at `places`, by whatever name of it: those that are there, and those that the authority found.
    pub(crate) fn redactions(&self, places: &[Place]) -> Kinds {
        let authority = &self.shared.authority;
        let mut kinds = Kinds::NONE;
        for place in places {
            kinds = kinds.union(authority.redacts(&place.path));
        }
        let Some(first) = places.first() else {
            return kinds;
        };
        if first.stat.kind() == KIND_REGULAR && first.stat.attributes.nlink > 1 {
            let names: Vec<PathBuf> = authority.names(first.stat.identity(), false);
            for name in &names {
                kinds = kinds.union(authority.redacts(name));
            }
        }
        kinds
    }

    /// Makes sure that a masked file can be shown, before it is opened.
    pub(crate) fn can_be_masked(
        &self,
        caller: &Caller<'_>,
        node: &Node,
        file: &OwnedFd,
        stat: &Stat,
        (path, wanted): (&Path, ActionSet),
    ) -> Result<(), Fail> {
        // On a quiet connection this is a read already, and nothing waits then.
        let may_wait = caller.waiting.is_none() && !self.is_quiet();
        if stat.attributes.size > AT_ONCE_BYTES_MAX && may_wait {
            return Err(Fail::Defer);
        }
        match self.version(node, file) {
            Ok(_) => Ok(()),
            Err(Fail::Errno(error)) => Err(match MaskRefusal::of(error) {
                Some(why) => self.refuse_masked(path, wanted, why),
                None => Fail::Errno(error),
            }),
            Err(other) => Err(other),
        }
    }

    /// Whether what is at `from` would be masked less at `to`.
    pub(crate) fn uncovers(&self, from: &Path, to: &Path) -> bool {
        let authority = &self.shared.authority;
        !authority.redacts(to).has(authority.redacts(from))
    }

    /// Refuses to remove or replace the file `name`, if that destroys something in it that is masked.
    pub(crate) fn keep_masked(
        &self,
        caller: &Caller<'_>,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        stat: &Stat,
        (path, wanted): (&Path, ActionSet),
    ) -> Result<(), Fail> {
        if stat.kind() != KIND_REGULAR {
            return Ok(());
        }
        let node = self.nodes.find(&stat.key());
        let mut kinds = self.shared.authority.redacts(path);
        if let Some(node) = &node {
            kinds = kinds.union(node.mask.kinds());
        }
        if kinds.is_none() || stat.attributes.size == 0 {
            return Ok(());
        }
        if stat.attributes.size > AT_ONCE_BYTES_MAX && caller.waiting.is_none() {
            return Err(Fail::Defer);
        }
        let host = &self.shared.host;
        let (file, stat) = host.open_object(directory, name, OFlags::RDONLY, &stat.key())?;
        let is_free = self
            .version_of(node.as_ref(), &file, &stat, kinds)
            .is_ok_and(|version| !version.hides() || self.came_over(&stat, &version.original));
        if is_free {
            return Ok(());
        }
        Err(self.refuse_masked(path, wanted, MaskRefusal::Destroys))
    }

    /// Before a file comes to be at `to` too, what is open of it is masked as it is there: what the host writes at that name later
    /// is not for who opened it by another.
    pub(crate) fn mask_as(&self, node: &Node, to: &Path) {
        let kinds = self.shared.authority.redacts(to);
        if !kinds.is_none() {
            node.mask.grow(kinds);
        }
    }

    /// The same for what is moved from one path to another, with all that is known below it.
    pub(crate) fn mask_moved(&self, moved: &Stat, from: &Path, to: &Path) {
        if !moved.is_directory() {
            if let Some(node) = self.nodes.find(&moved.key()) {
                self.mask_as(&node, to);
            }
            return;
        }
        if self.shared.authority.covers_tree(to, SEE) {
            // Without an exception or a mask inside.
            return;
        }
        for node in self.nodes.all() {
            for name in node.names() {
                let below = self.nodes.path_of_name(&name);
                if let Some(rest) = below.as_deref().and_then(|at| at.strip_prefix(from).ok()) {
                    self.mask_as(&node, &to.join(rest));
                }
            }
        }
    }

    /// The version of the file that is there.
    pub(super) fn version_of(
        &self,
        node: Option<&Arc<Node>>,
        file: &OwnedFd,
        stat: &Stat,
        kinds: Kinds,
    ) -> Result<Arc<Version>, Fail> {
        if let Some(node) = node
            && node.mask.kinds() == kinds
        {
            return self.version(node, file);
        }
        Ok(Arc::new(make(file, kinds, *stat)?.0))
    }

    /// A masked file has no attributes to be read: they are content that nobody looks into.
    pub(crate) fn is_masked_at(&self, node: &Node, places: &[Place]) -> bool {
        node.mask.is_masked() || !self.redactions(places).is_none()
    }
}
