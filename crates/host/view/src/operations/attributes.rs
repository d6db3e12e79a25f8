//! Attributes: what a node is like, and changing that.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{
    AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, chmodat, fchmod, ftruncate,
    readlinkat, utimensat,
};
use rustix::io::Errno;
use valetkey_fuse::{SetAttributes, StatxAnswer, setattr_flags as set};

use super::Outcome;
use super::open::How;
use crate::authority::{Content, Observation, Permit, Purpose, Touched, WRITE};
use crate::config::SkeletonKind;
use crate::connection::{Answer, Caller, Fail, Server};
use crate::handle::{FileHandle, Writing};
use crate::host::{KIND_SYMLINK, SET_ID, Stat, stat_descriptor};
use crate::keeper::{self, Kept};
use crate::locks::lock;
use crate::masks::MaskRefusal;
use crate::node::Node;
use crate::sight::{Glance, Place, Sight};
use crate::uses;

impl Server {
    pub(super) fn get_attributes(
        &self,
        caller: &Caller<'_>,
        node: u64,
        handle: Option<u64>,
    ) -> Outcome {
        let known = self.attributes(caller, &self.node(node)?, handle)?;
        Ok(Answer::Attributes(known.attributes, known.valid))
    }

    pub(super) fn statx(&self, caller: &Caller<'_>, node: u64, handle: Option<u64>) -> Outcome {
        let known = self.attributes(caller, &self.node(node)?, handle)?;
        Ok(Answer::Statx(known))
    }

    fn attributes(
        &self,
        caller: &Caller<'_>,
        node: &Arc<Node>,
        handle: Option<u64>,
    ) -> Result<StatxAnswer, Fail> {
        if node.is_virtual() {
            let (path, kind) = self.virtual_kind(node)?;
            return Ok(StatxAnswer {
                attributes: self.shown_virtual(&path, &kind),
                birth: None,
                valid: self.valid(),
            });
        }
        // Before it is looked at, and by one who waits for nobody: whatever changes from here on is heard of.
        let name = node.first_name().filter(|_| caller.waiting.is_none());
        let long = name.is_some_and(|name| name.parent.is_watched());
        let known = |stat: &Stat, path: &Path, sight: &Sight| {
            let mut attributes = self.shown(stat, path, sight);
            let draft = node.mask.draft_size();
            attributes.size = draft.unwrap_or(attributes.size);
            StatxAnswer {
                attributes,
                birth: stat.birth,
                valid: match draft {
                    Some(_) => Duration::ZERO,
                    None => self.attributes_valid(node, stat, sight, long),
                },
            }
        };
        if let Some(id) = handle.filter(|id| *id != 0) {
            let handle = self.files.get(id)?;
            self.live(&handle)?;
            let stat = self.masked_stat(&handle)?;
            return Ok(known(&stat, &handle.path, &Sight::Covered));
        }
        if node.id == valetkey_fuse::ROOT_NODE {
            return self.root_attributes();
        }
        let places = match self.places(node) {
            Ok(places) => places,
            Err(Errno::STALE) => {
                let (stat, path) = nameless_stat(node)?;
                return Ok(known(&stat, &path, &Sight::Covered));
            }
            Err(error) => return Err(error.into()),
        };
        for place in places {
            if let Some(sight) = self.see(caller, &place.path, || place.stat.facts())? {
                self.acquaint(caller, &place)?;
                return Ok(known(&place.stat, &place.path, &sight));
            }
        }
        Err(Errno::NOENT.into())
    }

    fn root_attributes(&self) -> Result<StatxAnswer, Fail> {
        let stat = stat_descriptor(self.root.as_fd())?;
        let root = self.node(valetkey_fuse::ROOT_NODE)?;
        let path = self.nodes.path(&root).unwrap_or_default();
        match self.glance(&path) {
            Glance::Known(sight) => Ok(StatxAnswer {
                attributes: self.shown(&stat, &path, &sight),
                birth: stat.birth,
                valid: self.valid(),
            }),
            // The root of a quiet tree whose grant has ended.
            Glance::Unknown | Glance::Nothing => Err(Errno::NOENT.into()),
        }
    }

    pub(super) fn set_attributes(
        &self,
        caller: &Caller<'_>,
        node: u64,
        change: &SetAttributes,
    ) -> Outcome {
        let node = self.node(node)?;
        if node.is_virtual() {
            return Err(Errno::ACCESS.into());
        }
        if change.valid & set::SIZE != 0
            && let Some(answer) = self.resize_through_mask(caller, &node, change)?
        {
            return Ok(answer);
        }
        let mut target = self.target(caller, &node, change)?;
        self.check_owner(&target.stat, change)?;
        let touched = [Touched {
            path: &target.path,
            object: Some(target.stat.identity()),
            content: match &target.descriptor {
                Descriptor::Handle(_) => Content::Judged,
                Descriptor::Opened(_) => uses::content(&target.stat, target.readable.as_ref()),
            },
        }];
        let begun = self.begin(&target.permits, WRITE, Purpose::Change, &touched)?;
        let changed = self.change(&node, &target, change);
        // Some of it may have happened.
        if let Some(kept) = target.kept.take() {
            kept.done(&[(&target.path, target.descriptor.as_fd())]);
        }
        changed?;
        begun.done();
        self.shared.authority.report(Observation::Changed {
            path: target.path.clone(),
        });
        let stat = stat_descriptor(target.descriptor.as_fd())?;
        let attributes = self.shown(&stat, &target.path, &Sight::Covered);
        let valid = if self.is_uncounted(&stat) {
            Duration::ZERO
        } else {
            self.valid()
        };
        Ok(Answer::Attributes(attributes, valid))
    }

    /// Gives a masked file another length: held with what else is written of it, or put in place at once. `None`: it is not masked.
    fn resize_through_mask(
        &self,
        caller: &Caller<'_>,
        node: &Arc<Node>,
        change: &SetAttributes,
    ) -> Result<Option<Answer>, Fail> {
        let opened = match change.handle.filter(|id| *id != 0) {
            Some(id) => {
                let handle = self.files.get(id)?;
                self.live(&handle)?;
                (handle.through_mask && handle.writing == Writing::Anywhere).then_some(handle)
            }
            None => None,
        };
        if let Some(handle) = opened {
            self.grow_masked(&handle, change.size)?;
            let stat = self.masked_stat(&handle)?;
            let attributes = self.shown(&stat, &handle.path, &Sight::Covered);
            return Ok(Some(Answer::Attributes(attributes, Duration::ZERO)));
        }
        let Ok(places) = self.places(node) else {
            return Ok(None);
        };
        if !self.is_masked_at(node, &places) {
            return Ok(None);
        }
        let how = How::from_flags(OFlags::WRONLY.bits());
        let (handle, _) = self.open_node(caller, node, how, false)?;
        let resized = self
            .grow_masked(&handle, change.size)
            .and_then(|()| self.commit_masked(&handle, true))
            .and_then(|()| Ok(self.masked_stat(&handle)?));
        self.close(&handle);
        let attributes = self.shown(&resized?, &handle.path, &Sight::Covered);
        Ok(Some(Answer::Attributes(attributes, Duration::ZERO)))
    }

    /// Growing a file writes as many zeros as it grows by.
    fn grow_masked(&self, handle: &FileHandle, size: u64) -> Result<(), Fail> {
        let before = self.masked_stat(handle)?.attributes.size;
        let grows_by = size.saturating_sub(before);
        let taken = handle
            .take_write(grows_by)
            .map_err(|limit| self.limited_handle(handle, limit))?;
        let resized = self.resize_masked(handle, size);
        if resized.is_err() {
            handle.return_write(&taken, grows_by);
        }
        resized
    }

    fn change(&self, node: &Node, target: &Target, change: &SetAttributes) -> Result<(), Fail> {
        self.clear_set_id_for(target, change)?;
        if change.valid & set::SIZE != 0 {
            self.resize(target, change)?;
        }
        if change.valid & set::MODE != 0 {
            self.change_mode(target, change.mode)?;
        }
        if change.valid & (set::ATIME | set::MTIME) != 0 {
            let times = times(change);
            utimensat(&target.descriptor, "", &times, AtFlags::EMPTY_PATH)?;
            self.time_masked(node, &times);
        }
        Ok(())
    }

    /// What is to be changed, once the right to change it is there by every name.
    fn target(
        &self,
        caller: &Caller<'_>,
        node: &Arc<Node>,
        change: &SetAttributes,
    ) -> Result<Target, Fail> {
        // A quiet kernel has no handles and sends nought.
        if let Some(id) = change.handle.filter(|id| *id != 0) {
            let handle = self.files.get(id)?;
            self.live(&handle)?;
            if handle.writing == Writing::Anywhere && !node.mask.is_masked() {
                return handle_target(handle);
            }
        }
        if node.id == valetkey_fuse::ROOT_NODE {
            return Err(Errno::ACCESS.into());
        }
        let places = match self.places(node) {
            Ok(places) => places,
            Err(Errno::STALE) if node.mask.is_masked() => return current_target(node),
            Err(Errno::STALE) => return nameless_target(node),
            Err(error) => return Err(error.into()),
        };
        let mut permits = Vec::with_capacity(places.len());
        for place in &places {
            permits.push(
                self.permit(caller, &place.path, WRITE, Purpose::Change, || {
                    place.stat.facts()
                })?,
            );
        }
        self.by_every_name(caller, &places, WRITE)?;
        // It has come to be masked just now: it is not cut off by the way.
        if change.valid & set::SIZE != 0 && self.is_masked_at(node, &places) {
            let path = places.first().map(|place| place.path.as_path());
            return Err(self.refuse_masked(
                path.ok_or(Errno::STALE)?,
                WRITE,
                MaskRefusal::Destroys,
            ));
        }
        let Some(Place {
            directory,
            name,
            path,
            stat,
        }) = places.into_iter().next()
        else {
            return Err(Errno::STALE.into());
        };
        // To change a size the file itself is opened; for all else a descriptor that only stands for it.
        let flags = if change.valid & set::SIZE == 0 {
            OFlags::PATH
        } else {
            OFlags::WRONLY
        };
        let host = &self.shared.host;
        if change.valid & set::SIZE != 0 {
            self.tell_opening(&keeper::doomed(directory.as_fd(), &name.name, &path, &stat));
        }
        let (opened, stat) = host.open_object(directory.as_fd(), &name.name, flags, &node.key)?;
        let readable = self.readable(&permits, directory.as_fd(), &name.name, &stat)?;
        self.may_keep(caller, &stat)?;
        let doomed = keeper::doomed(directory.as_fd(), &name.name, &path, &stat);
        let kept = Some(self.keep_change(&doomed)?);
        Ok(Target {
            kept,
            permits: uses::distinct(permits),
            readable,
            descriptor: Descriptor::Opened(opened),
            stat,
            path,
        })
    }

    /// Owners cannot be changed; what changes nothing is let through.
    fn check_owner(&self, stat: &Stat, change: &SetAttributes) -> Result<(), Errno> {
        let ids = &self.shared.config.ids;
        let uid = change.valid & set::UID == 0 || change.uid == ids.show_uid(stat.attributes.uid);
        let gid = change.valid & set::GID == 0 || change.gid == ids.show_gid(stat.attributes.gid);
        if uid && gid { Ok(()) } else { Err(Errno::PERM) }
    }

    fn clear_set_id_for(&self, target: &Target, change: &SetAttributes) -> Result<(), Errno> {
        let content = change.valid & (set::SIZE | set::UID | set::GID | set::KILL_SUIDGID) != 0;
        let mode = target.stat.attributes.mode;
        if content && mode & SET_ID != 0 && !target.stat.is_directory() {
            self.change_mode(target, mode & !SET_ID)?;
        }
        Ok(())
    }

    /// Growing a file writes as many zeros as it grows by; cutting it off writes nothing.
    fn resize(&self, target: &Target, change: &SetAttributes) -> Result<(), Fail> {
        let grows_by = change.size.saturating_sub(target.stat.attributes.size);
        uses::take_write(&target.permits, grows_by)
            .map_err(|limit| self.limited(&target.path, WRITE, limit))?;
        if let Err(error) = ftruncate(&target.descriptor, change.size) {
            uses::return_write(&target.permits, grows_by);
            return Err(error.into());
        }
        Ok(())
    }

    fn change_mode(&self, target: &Target, mode: u32) -> Result<(), Errno> {
        let current = target.stat.attributes.mode;
        // A directory may keep the set-group-id bit that it has; nothing gets one.
        let kept = if target.stat.is_directory() {
            current & SET_ID
        } else {
            0
        };
        let mode = Mode::from_raw_mode((mode & 0o1777) | (mode & kept));
        match &target.descriptor {
            Descriptor::Handle(handle) => fchmod(&handle.file, mode),
            Descriptor::Opened(_) if target.stat.kind() == KIND_SYMLINK => Err(Errno::OPNOTSUPP),
            Descriptor::Opened(opened) => {
                let (directory, name) = self.shared.host.link_to(opened.as_fd());
                chmodat(directory, &name, mode, AtFlags::empty())
            }
        }
    }

    /// Gives something just made the mode that was asked for, whatever this process's own umask.
    pub(super) fn fix_mode(&self, made: &OwnedFd, mode: u32) -> Result<Stat, Errno> {
        let stat = stat_descriptor(made.as_fd())?;
        let wanted = (mode & 0o1777) | (stat.attributes.mode & SET_ID);
        if stat.attributes.mode & 0o7777 == wanted {
            return Ok(stat);
        }
        let (directory, name) = self.shared.host.link_to(made.as_fd());
        chmodat(
            directory,
            &name,
            Mode::from_raw_mode(wanted),
            AtFlags::empty(),
        )?;
        stat_descriptor(made.as_fd())
    }

    pub(super) fn read_link(&self, caller: &Caller<'_>, node: u64) -> Outcome {
        let node = self.node(node)?;
        if node.is_virtual() {
            let (_, kind) = self.virtual_kind(&node)?;
            let SkeletonKind::Symlink(target) = kind else {
                return Err(Errno::INVAL.into());
            };
            return Ok(Answer::Bytes(target.into_os_string().into_encoded_bytes()));
        }
        for place in self.places(&node)? {
            if self
                .see(caller, &place.path, || place.stat.facts())?
                .is_some()
            {
                let target = readlinkat(&place.directory, &place.name.name, Vec::new())?;
                return Ok(Answer::Bytes(target.into_bytes()));
            }
        }
        Err(Errno::NOENT.into())
    }
}

struct Target {
    permits: Vec<Arc<dyn Permit>>,
    /// To read what is in it, where somebody limits that.
    readable: Option<OwnedFd>,
    descriptor: Descriptor,
    stat: Stat,
    path: PathBuf,
    /// What was written down before.
    kept: Option<Kept>,
}

enum Descriptor {
    Handle(Arc<FileHandle>),
    Opened(OwnedFd),
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Handle(handle) => handle.file.as_fd(),
            Self::Opened(opened) => opened.as_fd(),
        }
    }
}

/// The state of what has no name any more, but is open, and the name that it had.
fn nameless_stat(node: &Arc<Node>) -> Result<(Stat, PathBuf), Errno> {
    let handles = node.handles();
    let Some(handle) = handles.iter().find(|handle| handle.is_live()) else {
        // A directory that somebody works in, or a pipe, of which the view has nothing open.
        let stat = lock(&node.removed).ok_or(Errno::STALE)?;
        return Ok((stat, PathBuf::from("/")));
    };
    let stat = match node.mask.current() {
        Some(current) => stat_descriptor(current.file.as_fd())?,
        None => stat_descriptor(handle.file.as_fd())?,
    };
    Ok((stat, handle.path.clone()))
}

/// What has no name any more can be changed through a handle that may write, and what is no content of it where the rights
/// of a handle would let it write.
fn nameless_target(node: &Arc<Node>) -> Result<Target, Fail> {
    let handles = node.handles();
    let live = || handles.iter().filter(|handle| handle.is_live());
    if let Some(handle) = live().find(|handle| handle.writing == Writing::Anywhere) {
        return handle_target(Arc::clone(handle));
    }
    let handle = live().find(|handle| handle.permits_all(WRITE));
    handle_target(Arc::clone(handle.ok_or(Errno::STALE)?))
}

/// A masked file that another has taken the place of is changed there, by who has it open.
fn current_target(node: &Arc<Node>) -> Result<Target, Fail> {
    let current = node.mask.current().ok_or(Errno::PERM)?;
    let handles = node.handles();
    let mut live = handles.iter().filter(|handle| handle.is_live());
    let handle = live.find(|handle| handle.through_mask && handle.permits_all(WRITE));
    let handle = handle.ok_or(Errno::PERM)?;
    let opened = rustix::io::fcntl_dupfd_cloexec(&current.file, 0)?;
    Ok(Target {
        // It is the agent's own.
        kept: None,
        permits: handle.permits(),
        readable: None,
        stat: stat_descriptor(opened.as_fd())?,
        descriptor: Descriptor::Opened(opened),
        path: handle.path.clone(),
    })
}

fn handle_target(handle: Arc<FileHandle>) -> Result<Target, Fail> {
    let stat = stat_descriptor(handle.file.as_fd())?;
    let path = handle.path.clone();
    Ok(Target {
        // It was kept when it was opened for writing.
        kept: None,
        permits: handle.permits(),
        readable: None,
        descriptor: Descriptor::Handle(handle),
        stat,
        path,
    })
}

fn times(change: &SetAttributes) -> Timestamps {
    let choose = |given: u32, now: u32, time: (i64, u32)| Timespec {
        tv_sec: time.0,
        tv_nsec: if change.valid & now != 0 {
            UTIME_NOW
        } else if change.valid & given != 0 {
            time.1.into()
        } else {
            UTIME_OMIT
        },
    };
    Timestamps {
        last_access: choose(set::ATIME, set::ATIME_NOW, change.atime),
        last_modification: choose(set::MTIME, set::MTIME_NOW, change.mtime),
    }
}
