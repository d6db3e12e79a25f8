//! Extended attributes: those of the user's own name space, and no others.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{OFlags, XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;
use valetkey_model::ActionSet;

use super::Outcome;
use crate::authority::{Observation, Purpose, READ, WRITE};
use crate::connection::{Answer, Caller, Fail, Server};
use crate::host::{Host, KIND_DIRECTORY, KIND_REGULAR};

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
        let Some((opened, _)) = self.attributed(caller, node, READ)? else {
            return Err(Errno::NODATA.into());
        };
        let mut value = vec![0; XATTR_BYTES_MAX];
        let count = getxattr(Host::path_to(opened.as_fd()), name, value.as_mut_slice())?;
        value.truncate(count);
        sized(value, size)
    }

    pub(super) fn list_xattrs(&self, caller: &Caller<'_>, node: u64, size: u32) -> Outcome {
        let Some((opened, _)) = self.attributed(caller, node, READ)? else {
            return sized(Vec::new(), size);
        };
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
        let Some((opened, path)) = self.attributed(caller, node, WRITE)? else {
            return Err(Errno::PERM.into());
        };
        let flags = XattrFlags::from_bits(flags).ok_or(Errno::INVAL)?;
        setxattr(Host::path_to(opened.as_fd()), name, value, flags)?;
        self.shared.authority.report(Observation::Changed { path });
        Ok(Answer::Done)
    }

    pub(super) fn remove_xattr(&self, caller: &Caller<'_>, node: u64, name: &OsStr) -> Outcome {
        if !is_users(name) {
            return Err(refused(name).into());
        }
        let Some((opened, path)) = self.attributed(caller, node, WRITE)? else {
            return Err(Errno::PERM.into());
        };
        removexattr(Host::path_to(opened.as_fd()), name)?;
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
    ) -> Result<Option<(OwnedFd, std::path::PathBuf)>, Fail> {
        let node = self.node(node)?;
        if node.is_virtual() || node.id == valetkey_fuse::ROOT_NODE {
            return Ok(None);
        }
        let places = self.places(&node)?;
        let Some(first) = places.first() else {
            return Ok(None);
        };
        if !matches!(first.stat.kind(), KIND_REGULAR | KIND_DIRECTORY) {
            return Ok(None);
        }
        for place in &places {
            self.permit(caller, &place.path, wanted, Purpose::Change, || {
                place.stat.facts()
            })?;
        }
        let (directory, name) = (first.directory.as_fd(), &first.name.name);
        let (opened, _) = self
            .shared
            .host
            .open_object(directory, name, OFlags::PATH, &node.key)?;
        Ok(Some((opened, first.path.clone())))
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
