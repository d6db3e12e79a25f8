//! A file renamed over a masked one, as editors and scripts save: what is at the name then has what the masks of the old one hide.
//!
//! The file that moves may be known by a name where nothing is masked, and is not written to: a new file takes the place of the masked one, and
//! then the one that moves is removed. Whoever is stopped between the two finds the new content, and the file that should have moved
//! still there.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags, Timespec, Timestamps, unlinkat};
use rustix::io::Errno;
use valetkey_redact::hides_as_much;

use super::MaskRefusal;
use super::names::AT_ONCE_BYTES_MAX;
use super::replace::{Place, Put};
use super::version::make;
use crate::authority::DELETE;
use crate::connection::{Caller, Fail, Server};
use crate::host::{KIND_REGULAR, Stat};
use crate::keeper;
use crate::node::Node;

/// One end of a rename.
pub(crate) struct Side<'a> {
    pub(crate) parent: &'a Arc<Node>,
    pub(crate) directory: &'a Arc<OwnedFd>,
    pub(crate) name: &'a OsStr,
    pub(crate) path: &'a Path,
    pub(crate) stat: &'a Stat,
}

/// What is to be at the new name.
pub(crate) struct Merge {
    content: Vec<u8>,
    moved: OwnedFd,
}

impl Server {
    /// What is to be at `target` when `moved` is renamed over it, if that hides something; nothing otherwise: then it is renamed.
    pub(crate) fn merge_masked(
        &self,
        caller: &Caller<'_>,
        moved: &Side<'_>,
        target: &Side<'_>,
    ) -> Result<Option<Merge>, Fail> {
        let (size, key) = (target.stat.attributes.size, target.stat.key());
        if target.stat.kind() != KIND_REGULAR || key == moved.stat.key() {
            return Ok(None);
        }
        let node = self.nodes.find(&key);
        let mut kinds = self.shared.authority.redacts(target.path);
        if let Some(node) = &node {
            kinds = kinds.union(node.mask.kinds());
        }
        if kinds.is_none() || size == 0 {
            return Ok(None);
        }
        if size.max(moved.stat.attributes.size) > AT_ONCE_BYTES_MAX && caller.waiting.is_none() {
            return Err(Fail::Defer);
        }
        let refuse = |why| self.refuse_masked(target.path, DELETE, why);
        let host = &self.shared.host;
        let directory = target.directory.as_fd();
        let (file, stat) = host.open_object(directory, target.name, OFlags::RDONLY, &key)?;
        let Ok(version) = self.version_of(node.as_ref(), &file, &stat, kinds) else {
            return Err(refuse(MaskRefusal::Destroys));
        };
        if !version.hides() || self.came_over(&stat, &version.original) {
            return Ok(None);
        }
        if moved.stat.kind() != KIND_REGULAR {
            return Err(refuse(MaskRefusal::Destroys));
        }
        if moved.stat.attributes.nlink > 1 {
            return Err(refuse(MaskRefusal::Names));
        }
        let (file, stat) = host.open_object(
            moved.directory.as_fd(),
            moved.name,
            OFlags::RDONLY,
            &moved.stat.key(),
        )?;
        let mut kinds = kinds.union(self.shared.authority.redacts(moved.path));
        if let Some(node) = self.nodes.find(&moved.stat.key()) {
            kinds = kinds.union(node.mask.kinds());
        }
        let Ok((new, _)) = make(&file, kinds, stat) else {
            return Err(refuse(MaskRefusal::Unclear));
        };
        let content = self
            .put_back(&version, &new.original, kinds)
            .map_err(|refused| refused.tell(self, target.path, DELETE))?;
        if !hides_as_much(&new.masked, &content, kinds) {
            return Err(refuse(MaskRefusal::Uncovers));
        }
        Ok(Some(Merge {
            content,
            moved: file,
        }))
    }

    /// Does it.
    pub(crate) fn carry_out(
        &self,
        merge: &Merge,
        moved: &Side<'_>,
        target: &Side<'_>,
    ) -> Result<(), Errno> {
        let place = Place {
            directory: Arc::clone(target.directory),
            name: target.name.to_owned(),
            path: target.path.to_path_buf(),
            key: target.stat.key(),
        };
        let put = Put {
            place: &place,
            like: merge.moved.as_fd(),
            content: &merge.content,
            times: Some(times_of(moved.stat)),
        };
        self.put(&put)?;
        self.note_committed(target.path, &merge.content);
        let directory = moved.directory.as_fd();
        let doomed = keeper::doomed(directory, moved.name, moved.path, moved.stat);
        let kept = self.keep_removing(&doomed)?;
        unlinkat(directory, moved.name, AtFlags::empty())?;
        kept.done(&[]);
        for side in [moved, target] {
            if let Some(node) = self.nodes.find(&side.stat.key()) {
                node.remove_name(side.parent, side.name);
                self.nodes.bury(&node);
            }
        }
        self.expire_name(target.parent, target.name);
        Ok(())
    }
}

fn times_of(stat: &Stat) -> Timestamps {
    let time = |(seconds, nanoseconds): (i64, u32)| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    Timestamps {
        last_access: time(stat.attributes.atime),
        last_modification: time(stat.attributes.mtime),
    }
}
