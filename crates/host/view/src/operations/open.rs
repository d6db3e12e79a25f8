//! Opening and making files.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, OFlags, fchmod, ftruncate};
use rustix::io::Errno;
use valetkey_fuse::open_flags;
use valetkey_model::{Action, ActionSet, FileKind};

use super::Outcome;
use crate::authority::{
    APPEND, CREATE, Content, EXECUTE, Facts, Observation, Permit, Purpose, READ, Touched, WRITE,
};
use crate::connection::{Answer, Caller, Fail, Server};
use crate::handle::{FileHandle, Writing};
use crate::host::{KIND_REGULAR, SET_ID, Stat, stat_descriptor};
use crate::keeper;
use crate::locks::lock;
use crate::masks::MaskRefusal;
use crate::node::{Node, Stamp};
use crate::sight::Place;
use crate::uses;

/// `FMODE_EXEC` among the flags of an open: the file is about to be run.
const FOR_EXECUTION: u32 = 0x20;

/// How a file is to be opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    flags: OFlags,
    pub(super) readable: bool,
    writable: bool,
    appends: bool,
    truncates: bool,
    executes: bool,
}

impl How {
    pub(super) fn from_flags(raw: u32) -> Self {
        let flags = OFlags::from_bits_retain(raw);
        let access = flags & OFlags::RWMODE;
        let truncates = flags.contains(OFlags::TRUNC);
        let writable = access == OFlags::WRONLY || access == OFlags::RDWR;
        Self {
            flags,
            readable: access == OFlags::RDONLY || access == OFlags::RDWR,
            writable,
            appends: writable && flags.contains(OFlags::APPEND) && !truncates,
            truncates,
            executes: raw & FOR_EXECUTION != 0,
        }
    }

    /// The actions that this takes. `append_only`: with no more than the end to be written.
    pub(super) fn wanted(&self, append_only: bool) -> ActionSet {
        let mut wanted = ActionSet::EMPTY;
        if self.executes {
            wanted = wanted.union(EXECUTE);
        } else if self.readable {
            wanted = wanted.union(READ);
        }
        if self.truncates || (self.writable && !append_only) {
            wanted = wanted.union(WRITE);
        } else if self.writable {
            wanted = wanted.union(APPEND);
        }
        wanted
    }

    /// The flags for the host's file. Truncation comes later, when it is sure what was opened; the
    /// end of the file is found at each write.
    pub(super) fn host_flags(&self) -> OFlags {
        let access = match (self.readable, self.writable || self.truncates) {
            (true, true) => OFlags::RDWR,
            (_, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        access | (self.flags & (OFlags::SYNC | OFlags::DSYNC))
    }
}

/// Rights that a file is opened by.
pub(super) struct Rights {
    pub(super) permits: Vec<Arc<dyn Permit>>,
    pub(super) wanted: ActionSet,
    pub(super) writing: Writing,
}

impl Server {
    pub(super) fn open(
        &self,
        caller: &Caller<'_>,
        node: u64,
        flags: u32,
        kill_set_id: bool,
    ) -> Outcome {
        if self.without_opens.load(Ordering::Acquire) {
            return Err(Errno::NOSYS.into());
        }
        let node = self.node(node)?;
        if node.is_virtual() {
            return Err(Errno::ACCESS.into());
        }
        let how = How::from_flags(flags);
        let (handle, flags) = self.open_node(caller, &node, how, kill_set_id)?;
        Ok(Answer::Opened {
            handle: self.files.insert(handle),
            flags,
        })
    }

    /// Opens the file that `node` is, by all its names.
    pub(super) fn open_node(
        &self,
        caller: &Caller<'_>,
        node: &Arc<Node>,
        how: How,
        kill_set_id: bool,
    ) -> Result<(Arc<FileHandle>, u32), Fail> {
        let places = self.places(node)?;
        let first = places.first().ok_or(Errno::STALE)?;
        if first.stat.kind() != KIND_REGULAR {
            return Err(Errno::ACCESS.into());
        }
        let rights = self.rights(caller, &places, how)?;
        self.by_every_name(caller, &places, rights.wanted)?;
        let changes = how.writable || how.truncates;
        if changes {
            self.may_keep(caller, &first.stat)?;
        }
        let kinds = self.put_mask(caller, node, self.redactions(&places))?;
        let (directory, name) = (first.directory.as_fd(), &first.name.name);
        let host = &self.shared.host;
        let through_mask = !kinds.is_none() && changes;
        // A kernel that sends no handles says of no write that it was the last.
        if through_mask && self.is_quiet() {
            return Err(self.refuse_masked(&first.path, rights.wanted, MaskRefusal::Destroys));
        }
        let host_flags = if through_mask {
            OFlags::RDONLY
        } else {
            how.host_flags()
        };
        if changes && !through_mask {
            self.tell_opening(&keeper::doomed(directory, name, &first.path, &first.stat));
        }
        let (file, stat) = host.open_object(directory, name, host_flags, &node.key)?;
        if !kinds.is_none() {
            let of = (first.path.as_path(), rights.wanted);
            self.can_be_masked(caller, node, &file, &stat, of)?;
        }
        let readable = self.readable(&rights.permits, directory, name, &stat)?;
        // By every name, since what is in it must suit each.
        let touched: Vec<_> = places
            .iter()
            .map(|place| Touched {
                path: &place.path,
                object: Some(stat.identity()),
                content: uses::content(&stat, readable.as_ref()),
            })
            .collect();
        let begun = self.begin(&rights.permits, rights.wanted, Purpose::Open, &touched)?;
        let kept = (changes && !through_mask)
            .then(|| self.keep_change(&keeper::doomed(directory, name, &first.path, &stat)))
            .transpose()?;
        if through_mask {
            if how.truncates {
                self.empty_masked(node, &file)?;
            }
        } else if how.truncates
            && let Err(error) = truncate(&file, &stat, kill_set_id)
        {
            if let Some(kept) = kept {
                kept.done(&[(&first.path, file.as_fd())]);
            }
            return Err(error.into());
        }
        begun.done();
        let path = first.path.clone();
        let opened = self.opened(node, file, &stat, path, how, rights);
        if let Some(kept) = kept {
            kept.done(&[(&first.path, opened.0.file.as_fd())]);
        }
        Ok(opened)
    }

    pub(super) fn create(
        &self,
        caller: &Caller<'_>,
        parent: u64,
        name: &OsStr,
        flags: u32,
        mode: u32,
    ) -> Outcome {
        if self.without_opens.load(Ordering::Acquire) {
            // The kernel makes the node and opens it then, which costs no handle.
            return Err(Errno::NOSYS.into());
        }
        let how = How::from_flags(flags);
        let parent = self.node(parent)?;
        let path = self.child_path(&parent, name)?;
        if let Some(stat) = self.stat_child(&parent, name)?
            && self.is_in_sight(&path)
        {
            // Somebody was faster, or the kernel did not know.
            if how.flags.contains(OFlags::EXCL) {
                return Err(Errno::EXIST.into());
            }
            return self.create_existing(caller, &parent, name, &path, &stat, how);
        }
        if self.shared.host.hides_below(&path) {
            return Err(Errno::ACCESS.into());
        }
        let rights = self
            .creation_rights(caller, &path, how)
            .map_err(Fail::plainly)?;
        let kinds = self.shared.authority.redacts(&path);
        let directory = self.directory(&parent)?;
        let touched = [Touched {
            path: &path,
            object: None,
            content: Content::New,
        }];
        let begun = self.begin(&rights.permits, rights.wanted, Purpose::Create, &touched)?;
        let kept = self.keep_making(directory.as_fd(), &path, None)?;
        let access = if kinds.is_none() {
            how.host_flags()
        } else {
            // What is written through a mask is read first.
            OFlags::RDWR
        };
        let host_flags = access | OFlags::CREATE | OFlags::EXCL;
        let file = self
            .shared
            .host
            .open(directory.as_fd(), name, host_flags, mode & 0o1777)?;
        // From here on the file is there, whatever fails.
        kept.done(&[]);
        begun.made(
            stat_descriptor(file.as_fd())
                .ok()
                .map(|stat| stat.identity()),
        );
        let stat = self.fix_mode(&file, mode)?;
        self.kept_made(&path, &stat);
        let entry = self.new_entry(&parent, name, &path, &stat);
        let node = self.node(entry.node)?;
        self.put_mask(caller, &node, kinds)?;
        let created = Observation::Created {
            path: path.clone(),
            kind: FileKind::File,
        };
        self.shared.authority.report(created);
        let (handle, flags) = self.opened(&node, file, &stat, path, how, rights);
        Ok(Answer::Created {
            entry,
            handle: self.files.insert(handle),
            flags,
        })
    }

    fn create_existing(
        &self,
        caller: &Caller<'_>,
        parent: &Arc<Node>,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
        how: How,
    ) -> Outcome {
        let entry = self.new_entry(parent, name, path, stat);
        let node = self.node(entry.node)?;
        match self.open_node(caller, &node, how, true) {
            Ok((handle, flags)) => Ok(Answer::Created {
                entry,
                handle: self.files.insert(handle),
                flags,
            }),
            Err(fail) => {
                drop(self.nodes.forget(entry.node, 1));
                Err(fail)
            }
        }
    }

    /// The right to open by every name. Where only the end may be written, only that is asked for.
    fn rights(&self, caller: &Caller<'_>, places: &[Place], how: How) -> Result<Rights, Fail> {
        let whole = how.wanted(false);
        let allowed = |place: &Place| whole.iter().all(|action| self.allows(&place.path, action));
        let append_only = how.appends && !places.iter().all(allowed);
        let wanted = how.wanted(append_only);
        let permits = places
            .iter()
            .map(|place| {
                self.permit(caller, &place.path, wanted, Purpose::Open, || {
                    place.stat.facts()
                })
            })
            .collect::<Result<Vec<_>, Fail>>()?;
        if !permits.iter().all(|permit| self.suits(permit)) {
            return Err(Errno::ACCESS.into());
        }
        Ok(Rights {
            writing: writing(how, append_only, &permits),
            permits,
            wanted,
        })
    }

    fn creation_rights(&self, caller: &Caller<'_>, path: &Path, how: How) -> Result<Rights, Fail> {
        let whole = how.wanted(false).union(CREATE);
        let append_only = how.appends && !whole.iter().all(|action| self.allows(path, action));
        let wanted = how.wanted(append_only).union(CREATE);
        let permits = vec![self.permit(caller, path, wanted, Purpose::Create, Facts::absent)?];
        Ok(Rights {
            writing: writing(how, append_only, &permits),
            permits,
            wanted,
        })
    }

    pub(super) fn opened(
        &self,
        node: &Arc<Node>,
        file: OwnedFd,
        stat: &Stat,
        path: PathBuf,
        how: How,
        rights: Rights,
    ) -> (Arc<FileHandle>, u32) {
        let Rights {
            permits,
            wanted,
            writing,
        } = rights;
        let has_set_id = stat.attributes.mode & SET_ID != 0;
        let readable = how.readable;
        let handle = Arc::new(FileHandle::new(
            Arc::clone(node),
            file,
            path,
            wanted,
            readable,
            writing,
            permits,
            has_set_id,
        ));
        node.add_handle(&handle);
        if !self.is_quiet() {
            self.tell_opened(&handle);
        }
        self.kept_opened(&handle, stat);
        let is_draft = handle.through_mask && (writing != Writing::No || node.mask.has_draft());
        let flags = if handle.counted || writing == Writing::Append || is_draft {
            // Nothing read ahead, nothing kept, and every write seen as it was made.
            open_flags::DIRECT_IO
        } else {
            keep_cache(node, stat, how) | if how.writable { 0 } else { open_flags::NOFLUSH }
        };
        (handle, flags)
    }

    /// Closes a file.
    pub(crate) fn release(&self, id: u64) {
        if let Some(handle) = self.files.remove(id) {
            let node = Arc::clone(&handle.node);
            self.close(&handle);
            drop(handle);
            if node.mask.is_masked() && node.handles().is_empty() {
                node.mask.rest();
            }
        }
    }

    /// Ends what was open: what was written through a mask is put in place, and told.
    pub(super) fn close(&self, handle: &Arc<FileHandle>) {
        handle.node.remove_handle(handle);
        self.end_draft(handle);
        self.report_closed(handle);
    }

    /// Tells once that a file was opened.
    pub(super) fn tell_opened(&self, handle: &FileHandle) {
        if handle.told.load(Ordering::Relaxed) || handle.told.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shared.authority.report(Observation::Opened {
            path: handle.path.clone(),
            actions: handle.wanted,
        });
    }

    pub(crate) fn report_closed(&self, handle: &FileHandle) {
        self.kept_closed(handle);
        if !handle.told.load(Ordering::Acquire) {
            return;
        }
        self.shared.authority.report(Observation::Closed {
            path: handle.path.clone(),
            read_bytes: handle.read_bytes.load(Ordering::Relaxed),
            written_bytes: handle.written_bytes.load(Ordering::Relaxed),
        });
    }
}

fn writing(how: How, append_only: bool, permits: &[Arc<dyn Permit>]) -> Writing {
    let anywhere = permits
        .iter()
        .all(|permit| permit.actions().allows(Action::Write));
    match (how.writable || how.truncates, append_only && !anywhere) {
        (false, _) => Writing::No,
        (true, true) => Writing::Append,
        (true, false) => Writing::Anywhere,
    }
}

/// Whether pages cached by an earlier open are still those of the file.
fn keep_cache(node: &Node, stat: &Stat, how: How) -> u32 {
    let now: Stamp = (
        stat.attributes.size,
        stat.attributes.mtime,
        stat.attributes.ctime,
    );
    let mut cached = lock(&node.cached);
    let same = *cached == Some(now);
    *cached = if how.truncates { None } else { Some(now) };
    if same && !how.truncates {
        open_flags::KEEP_CACHE
    } else {
        0
    }
}

/// Takes the content away, and the bits that would let it run as somebody else.
fn truncate(file: &OwnedFd, stat: &Stat, kill_set_id: bool) -> Result<(), Errno> {
    if kill_set_id && stat.attributes.mode & SET_ID != 0 {
        clear_set_id(file, stat)?;
    }
    ftruncate(file, 0)
}

/// Clears set-id bits as the kernel does when content changes: set-group-id only where it means
/// running, not locking.
pub(super) fn clear_set_id(file: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
    let mode = stat.attributes.mode;
    let group = if mode & 0o010 != 0 { 0o2000 } else { 0 };
    fchmod(file, Mode::from_raw_mode(mode & 0o7777 & !(0o4000 | group)))
}

/// Clears set-id bits before the first write through a handle.
pub(super) fn before_write(handle: &FileHandle) -> Result<(), Errno> {
    if handle.has_set_id.load(Ordering::Relaxed) && handle.has_set_id.swap(false, Ordering::AcqRel)
    {
        clear_set_id(&handle.file, &stat_descriptor(handle.file.as_fd())?)?;
    }
    Ok(())
}
