//! Extended attributes: those of the user's own name space, and no others.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{OFlags, XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use valetkey_model::ActionSet;

use super::Outcome;
use crate::authority::{Content, Observation, Permit, Purpose, READ, Touched, WRITE};
use crate::connection::{Answer, Caller, Fail, Server};
use crate::handle::FileHandle;
use crate::host::{Host, KIND_DIRECTORY, KIND_REGULAR, Stat, stat_descriptor};
use crate::keeper::{self, Kept};
use crate::locks::lock;
use crate::node::Node;
use crate::uses::{self, Begun};

/// Linux's limit for the value of an attribute, and for a list of names.
const XATTR_BYTES_MAX: usize = 65_536;

impl Server {
    pub(super) fn get_xattr(
        &self,
        caller: &Caller<'_>,
        node: u64,
        name: &OsStr,
        size: u32,
    ) -> Outcome {
        if !is_users(name) {
            return Err(absent(name).into());
        }
        let attributed = self.attributed(caller, node, READ)?;
        let Some(found) = attributed.filter(|found| found.gives_attributes()) else {
            return Err(Errno::NODATA.into());
        };
        let opened = found.opened;
        let mut value = vec![0; XATTR_BYTES_MAX];
        let count = getxattr(Host::path_to(opened.as_fd()), name, value.as_mut_slice())?;
        value.truncate(count);
        sized(value, size)
    }

    pub(super) fn list_xattrs(&self, caller: &Caller<'_>, node: u64, size: u32) -> Outcome {
        let attributed = self.attributed(caller, node, READ)?;
        let Some(found) = attributed.filter(|found| found.gives_attributes()) else {
            return sized(Vec::new(), size);
        };
        let opened = found.opened;
        let mut names = vec![0; XATTR_BYTES_MAX];
        let count = listxattr(Host::path_to(opened.as_fd()), names.as_mut_slice())?;
        names.truncate(count);
        let users = names
            .split_inclusive(|byte| *byte == 0)
            .filter(|name| is_users(OsStr::from_bytes(name)))
            .flatten()
            .copied()
            .collect();
        sized(users, size)
    }

    pub(super) fn set_xattr(
        &self,
        caller: &Caller<'_>,
        node: u64,
        name: &OsStr,
        value: &[u8],
        flags: u32,
    ) -> Outcome {
        if !is_users(name) {
            return Err(refused(name).into());
        }
        let Some(mut found) = self.attributed(caller, node, WRITE)? else {
            return Err(Errno::PERM.into());
        };
        let flags = XattrFlags::from_bits(flags).ok_or(Errno::INVAL)?;
        let begun = self.begin_change(&found)?;
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        uses::take_write(&found.permits, length)
            .map_err(|limit| self.limited(&found.path, WRITE, limit))?;
        if let Err(error) = setxattr(Host::path_to(found.opened.as_fd()), name, value, flags) {
            uses::return_write(&found.permits, length);
            return Err(error.into());
        }
        begun.done();
        found.is_changed();
        let path = found.path;
        self.shared.authority.report(Observation::Changed { path });
        Ok(Answer::Done)
    }

    pub(super) fn remove_xattr(&self, caller: &Caller<'_>, node: u64, name: &OsStr) -> Outcome {
        if !is_users(name) {
            return Err(refused(name).into());
        }
        let Some(mut found) = self.attributed(caller, node, WRITE)? else {
            return Err(Errno::PERM.into());
        };
        let begun = self.begin_change(&found)?;
        removexattr(Host::path_to(found.opened.as_fd()), name)?;
        begun.done();
        found.is_changed();
        let path = found.path;
        self.shared.authority.report(Observation::Changed { path });
        Ok(Answer::Done)
    }

    /// A descriptor that stands for the object, once `wanted` is permitted by every name. `None` for
    /// what can have no attributes of the user's: links, pipes, and what only the view has.
    fn attributed(
        &self,
        caller: &Caller<'_>,
        node: u64,
        wanted: ActionSet,
    ) -> Result<Option<Attributed>, Fail> {
        let node = self.node(node)?;
        if node.is_virtual() || node.id == valetkey_fuse::ROOT_NODE {
            return Ok(None);
        }
        let places = match self.places(&node) {
            Err(Errno::STALE) if is_special(&node) => return Ok(None),
            Err(Errno::STALE) => return Ok(Some(nameless(&node, wanted)?)),
            places => places?,
        };
        let Some(first) = places.first() else {
            return Ok(None);
        };
        if !matches!(first.stat.kind(), KIND_REGULAR | KIND_DIRECTORY) {
            return Ok(None);
        }
        let mut permits = Vec::with_capacity(places.len());
        for place in &places {
            permits.push(
                self.permit(caller, &place.path, wanted, Purpose::Change, || {
                    place.stat.facts()
                })?,
            );
        }
        self.by_every_name(caller, &places, wanted)?;
        let (directory, name) = (first.directory.as_fd(), &first.name.name);
        let (opened, _) = self
            .shared
            .host
            .open_object(directory, name, OFlags::PATH, &node.key)?;
        let kept = if wanted == WRITE {
            self.may_keep(caller, &first.stat)?;
            let doomed = keeper::doomed(directory, name, &first.path, &first.stat);
            Some(self.keep_change(&doomed)?)
        } else {
            None
        };
        if wanted == READ && self.is_masked_at(&node, &places) {
            return Ok(None);
        }
        Ok(Some(Attributed {
            readable: self.readable(&permits, directory, name, &first.stat)?,
            permits: uses::distinct(permits),
            opened,
            stat: first.stat,
            path: first.path.clone(),
            judged: false,
            kept,
        }))
    }

    fn begin_change(&self, found: &Attributed) -> Result<Begun, Fail> {
        let touched = [Touched {
            path: &found.path,
            object: Some(found.stat.identity()),
            content: if found.judged {
                Content::Judged
            } else {
                uses::content(&found.stat, found.readable.as_ref())
            },
        }];
        self.begin(&found.permits, WRITE, Purpose::Change, &touched)
    }
}

/// An object that may have attributes, with the rights to them.
struct Attributed {
    permits: Vec<Arc<dyn Permit>>,
    opened: OwnedFd,
    /// To read what is in it, where somebody limits that.
    readable: Option<OwnedFd>,
    stat: Stat,
    path: PathBuf,
    /// Whether its content was judged when it was opened.
    judged: bool,
    /// What was written down, where it is to be changed.
    kept: Option<Kept>,
}

/// Whether this is a directory or a pipe that was removed: of those nothing is open here.
fn is_special(node: &Node) -> bool {
    lock(&node.removed).is_some_and(|was| was.kind() != KIND_REGULAR)
}

/// What has no name any more, through a handle that was opened for the like of `wanted`.
fn nameless(node: &Arc<Node>, wanted: ActionSet) -> Result<Attributed, Errno> {
    // Whatever it was opened for: attributes go by the rights to the file.
    let serves = |handle: &FileHandle| handle.is_live() && handle.permits_all(wanted);
    let handles = node.handles();
    let handle = handles.iter().find(|handle| serves(handle));
    let handle = handle.ok_or(Errno::STALE)?;
    Ok(Attributed {
        permits: handle.permits(),
        opened: fcntl_dupfd_cloexec(&handle.file, 0)?,
        readable: None,
        stat: stat_descriptor(handle.file.as_fd())?,
        path: handle.path.clone(),
        judged: true,
        // Nothing of it is there any more to be put back.
        kept: None,
    })
}

impl Attributed {
    /// It has been changed.
    fn is_changed(&mut self) {
        if let Some(kept) = self.kept.take() {
            kept.done(&[(&self.path, self.opened.as_fd())]);
        }
    }

    /// Attributes are neither counted as bytes nor judged as content: who limits those gives none to be read.
    fn gives_attributes(&self) -> bool {
        let limits = self.permits.iter().map(|permit| permit.limits());
        limits
            .into_iter()
            .all(|limits| !limits.bytes && !limits.content)
    }
}

fn is_users(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"user.")
}

/// The answer where a name of another name space is read: capabilities, labels and access lists of the
/// host are not the view's. As a file system without access lists says it, so that programs go by the
/// mode instead.
fn absent(name: &OsStr) -> Errno {
    if name.as_bytes().starts_with(b"system.") {
        Errno::OPNOTSUPP
    } else {
        Errno::NODATA
    }
}

/// The same where one is to be set or removed.
fn refused(name: &OsStr) -> Errno {
    if name.as_bytes().starts_with(b"system.") {
        Errno::OPNOTSUPP
    } else {
        Errno::PERM
    }
}

/// A value, or with a size of nought how long it is.
fn sized(value: Vec<u8>, size: u32) -> Outcome {
    let length = u32::try_from(value.len()).map_err(|_| Errno::RANGE)?;
    match size {
        0 => Ok(Answer::Size(length)),
        size if length > size => Err(Errno::RANGE.into()),
        _ => Ok(Answer::Bytes(value)),
    }
}
