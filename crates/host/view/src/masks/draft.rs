//! Writing through a mask: what is written is held here until it is whole, and put in the file's place then.
//!
//! Invariant (the file is old or new): nothing is written to a masked file of the host. What a writer leaves is compared with what it was shown
//! when it is closed or synced; what keeps every mask becomes a new file, with what the masks hide put back, and takes the old
//! one's place in one step. All else is refused with the reason, and the file stays as it was.
//!
//! One node has one draft, whoever writes: readers of the node see it, as they would see what was written.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags, Timestamps, fdatasync, ftruncate, utimensat};
use rustix::io::{Errno, pwrite};
use valetkey_redact::{Kinds, Refusal, reconcile};

use super::names::AT_ONCE_BYTES_MAX;
use super::replace::{Place, Put};
use super::version::{MASKED_BYTES_MAX, Share, Version, read_whole, stamp_of};
use super::{MaskRefusal, NodeMask};
use crate::connection::{Fail, Server};
use crate::handle::{FileHandle, Writing};
use crate::host::{Key, Stat, stat_descriptor};
use crate::keeper;
use crate::locks::lock;
use crate::node::Node;

/// Memory is taken for a draft in steps of this, so that small writes do not count one by one.
const STEP_BYTES: u64 = 64 * 1024;

/// What was written of a node and is not in the file yet.
#[derive(Debug)]
pub(crate) struct Draft {
    content: Vec<u8>,
    /// What the writer was shown.
    base: Arc<Version>,
    /// Whether anything was written.
    written: bool,
    /// Whether it began with nothing, because the writer asked for that.
    emptied: bool,
    /// Why it is not taken as it is, once that was told.
    refused: Option<MaskRefusal>,
    /// When it is to have been changed last, if somebody has said so since it was written.
    times: Option<Timestamps>,
    /// Counts what was done to it.
    edits: u64,
    shares: Vec<Share>,
    reserved: u64,
}

/// The file that has taken the place of the one that a node was: who has the node open goes on with this one.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) file: OwnedFd,
    key: Key,
    directory: Arc<OwnedFd>,
    name: OsString,
    path: PathBuf,
}

/// What is to be put in the file's place.
struct Whole {
    content: Vec<u8>,
    base: Arc<Version>,
    edits: u64,
    written: bool,
    times: Option<Timestamps>,
    refused: Option<MaskRefusal>,
}

impl NodeMask {
    /// How long the node is for who looks at it now, if that is not the file's length.
    pub(crate) fn draft_size(&self) -> Option<u64> {
        if !self.is_masked() {
            return None;
        }
        let draft = lock(&self.draft);
        let length = draft.as_ref()?.content.len();
        u64::try_from(length).ok()
    }

    pub(crate) fn has_draft(&self) -> bool {
        lock(&self.draft).is_some()
    }

    /// The file that is read in place of the one that was opened.
    pub(crate) fn current(&self) -> Option<Arc<Current>> {
        lock(&self.current).clone()
    }

    /// Reads of what was written: so many bytes. `None`: nothing was.
    pub(super) fn read_draft(&self, offset: u64, place: &mut [u8]) -> Option<usize> {
        let draft = lock(&self.draft);
        let content = &draft.as_ref()?.content;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.get(start..).unwrap_or_default();
        let count = rest.len().min(place.len());
        place.get_mut(..count)?.copy_from_slice(rest.get(..count)?);
        Some(count)
    }

    fn whole(&self) -> Option<Whole> {
        let draft = lock(&self.draft);
        let draft = draft.as_ref()?;
        (draft.written || draft.emptied).then(|| Whole {
            content: draft.content.clone(),
            base: Arc::clone(&draft.base),
            edits: draft.edits,
            written: draft.written,
            times: draft.times.clone(),
            refused: draft.refused,
        })
    }
}

impl Server {
    /// Begins to write, with nothing in the file.
    pub(crate) fn empty_masked(&self, node: &Arc<Node>, file: &OwnedFd) -> Result<(), Fail> {
        self.edit(node, file, |server, draft| {
            server.resize_draft(draft, 0)?;
            draft.emptied = true;
            draft.written = false;
            Ok(())
        })
    }

    /// Writes to the draft of a masked node.
    pub(crate) fn write_masked(
        &self,
        handle: &FileHandle,
        offset: u64,
        data: &[u8],
        at_end: bool,
    ) -> Result<usize, Fail> {
        self.edit(&handle.node, &handle.file, |server, draft| {
            let start = if at_end {
                draft.content.len()
            } else {
                usize::try_from(offset).map_err(|_| Errno::FBIG)?
            };
            let end = start.checked_add(data.len()).ok_or(Errno::FBIG)?;
            if end > draft.content.len() {
                server.resize_draft(draft, end)?;
            }
            let place = draft.content.get_mut(start..end).ok_or(Errno::IO)?;
            place.copy_from_slice(data);
            draft.written = true;
            Ok(data.len())
        })
    }

    /// Gives the draft of a masked node another length.
    pub(crate) fn resize_masked(&self, handle: &FileHandle, size: u64) -> Result<(), Fail> {
        let size = usize::try_from(size).map_err(|_| Errno::FBIG)?;
        self.edit(&handle.node, &handle.file, |server, draft| {
            server.resize_draft(draft, size)?;
            draft.written = true;
            Ok(())
        })
    }

    /// The times that a masked file is to have when what was written is in it.
    pub(crate) fn time_masked(&self, node: &Node, times: &Timestamps) {
        if let Some(draft) = lock(&node.mask.draft).as_mut() {
            draft.times = Some(times.clone());
        }
    }

    /// What the file of a masked handle is like, with what was written.
    pub(crate) fn masked_stat(&self, handle: &FileHandle) -> Result<Stat, Errno> {
        let mask = &handle.node.mask;
        if !mask.is_masked() {
            return stat_descriptor(handle.file.as_fd());
        }
        let mut stat = match mask.current() {
            Some(current) => stat_descriptor(current.file.as_fd())?,
            None => stat_descriptor(handle.file.as_fd())?,
        };
        stat.attributes.size = mask.draft_size().unwrap_or(stat.attributes.size);
        Ok(stat)
    }

    /// Changes the draft; one that is not there begins as what is shown.
    fn edit<T>(
        &self,
        node: &Arc<Node>,
        file: &OwnedFd,
        change: impl FnOnce(&Self, &mut Draft) -> Result<T, Errno>,
    ) -> Result<T, Fail> {
        let mut slot = lock(&node.mask.draft);
        if slot.is_none() {
            let base = self.version(node, file)?;
            let mut draft = Draft {
                content: Vec::new(),
                base,
                written: false,
                emptied: false,
                refused: None,
                times: None,
                edits: 0,
                shares: Vec::new(),
                reserved: 0,
            };
            let shown = Arc::clone(&draft.base);
            self.resize_draft(&mut draft, shown.masked.content.len())?;
            draft.content.clone_from(&shown.masked.content);
            *slot = Some(draft);
        }
        let draft = slot.as_mut().ok_or(Errno::IO)?;
        let done = change(self, draft)?;
        draft.edits = draft.edits.wrapping_add(1);
        draft.refused = None;
        draft.times = None;
        Ok(done)
    }

    fn resize_draft(&self, draft: &mut Draft, size: usize) -> Result<(), Errno> {
        let bytes = u64::try_from(size).map_err(|_| Errno::FBIG)?;
        if bytes > MASKED_BYTES_MAX {
            return Err(Errno::FBIG);
        }
        if bytes > draft.reserved {
            let more = bytes.saturating_sub(draft.reserved).max(STEP_BYTES);
            let share = self.shared.mask_memory.take(more).ok_or(Errno::NOSPC)?;
            draft.shares.push(share);
            draft.reserved = draft.reserved.saturating_add(more);
        }
        draft.content.resize(size, 0);
        Ok(())
    }

    /// Puts what was written in the file's place, if it is whole: at a close, a sync, or when nobody writes any more. `at_once`: it is done
    /// by a thread that others do not wait for.
    pub(crate) fn commit_masked(&self, handle: &FileHandle, at_once: bool) -> Result<(), Fail> {
        let node = &handle.node;
        if handle.writing == Writing::No || !handle.through_mask {
            return Ok(());
        }
        let _turn = match node.mask.committing.try_lock() {
            Ok(turn) => turn,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) if at_once => lock(&node.mask.committing),
            Err(std::sync::TryLockError::WouldBlock) => return Err(Fail::Defer),
        };
        let Some(whole) = node.mask.whole() else {
            return Ok(());
        };
        let bytes = whole.content.len().max(whole.base.original.len());
        if !at_once && u64::try_from(bytes).unwrap_or(u64::MAX) > AT_ONCE_BYTES_MAX {
            return Err(Fail::Defer);
        }
        self.live(handle)?;
        if let Some(why) = whole.refused {
            return Err(Fail::Errno(why.errno()));
        }
        match self.put_in_place(handle, &whole) {
            Ok(Some(version)) => {
                self.committed(node, &whole, version);
                Ok(())
            }
            // It has no name any more, and lives as long as it is open.
            Ok(None) => Ok(()),
            Err(Refused::Mask(_)) if !whole.written => {
                // Emptied, and nothing written yet: a shell does so before the command begins.
                Ok(())
            }
            Err(Refused::Mask(why)) => {
                if let Some(draft) = lock(&node.mask.draft).as_mut() {
                    draft.refused = Some(why);
                }
                Err(self.refuse_masked(&handle.path, handle.wanted, why))
            }
            Err(Refused::Fail(fail)) => Err(fail),
        }
    }

    /// What was written is in the file; what was written since goes on from there.
    fn committed(&self, node: &Arc<Node>, whole: &Whole, version: Version) {
        let version = Arc::new(version);
        let mut slot = lock(&node.mask.draft);
        match slot.as_mut() {
            Some(draft) if draft.edits != whole.edits => draft.base = version,
            _ => *slot = None,
        }
        drop(slot);
        *lock(&node.mask.version) = None;
        self.forget_kept(node);
    }

    /// A writer of the node has closed it. What nobody writes any more is put in place now, or is nothing.
    pub(crate) fn end_draft(&self, handle: &FileHandle) {
        let node = &handle.node;
        let writes = |other: &Arc<FileHandle>| other.through_mask && other.writing != Writing::No;
        if !handle.through_mask
            || handle.writing == Writing::No
            || node.handles().iter().any(writes)
        {
            return;
        }
        // A close that was interrupted has not done it. What is refused has nobody left who could be told but by the record.
        let refused = self.commit_masked(handle, true).is_err();
        let left = lock(&node.mask.draft).take();
        let Some(draft) = left else { return };
        if !refused && draft.emptied && !draft.written && lock(&node.removed).is_none() {
            let _told = self.refuse_masked(&handle.path, handle.wanted, MaskRefusal::Destroys);
        }
        self.forget_kept(node);
    }

    fn put_in_place(&self, handle: &FileHandle, whole: &Whole) -> Result<Option<Version>, Refused> {
        let node = &handle.node;
        let Some((place, stat)) = self.draft_place(handle)? else {
            return Ok(None);
        };
        if stamp_of(&stat) != whole.base.stamp && !self.is_still(&place, &whole.base) {
            return Err(Refused::Mask(MaskRefusal::Changed));
        }
        if stat.attributes.nlink > 1 && !whole.base.masked.ranges.is_empty() {
            return Err(Refused::Mask(MaskRefusal::Names));
        }
        let kinds = node
            .mask
            .kinds()
            .union(self.shared.authority.redacts(&place.path));
        let inherited = if whole.base.original.is_empty() {
            self.inherit(&place, &whole.content, kinds)?
        } else {
            None
        };
        let outcome = match inherited {
            Some(outcome) => outcome,
            None => self.put_back(&whole.base, &whole.content, kinds)?,
        };
        let is_new = whole.base.original.is_empty();
        let now = if is_new || stat.attributes.nlink > 1 {
            self.fill(&place, &outcome, whole.times.as_ref())?
        } else {
            self.replace(handle, place.clone(), &outcome, whole.times.clone())?
        };
        self.note_committed(&place.path, &outcome);
        Ok(Some(
            Version::of(outcome, kinds, &now).map_err(Refused::Mask)?,
        ))
    }

    /// Whether the file has the content that was shown, whatever else of it was changed.
    fn is_still(&self, place: &Place, base: &Version) -> bool {
        let host = &self.shared.host;
        let directory = place.directory.as_fd();
        let opened = host.open_object(directory, &place.name, OFlags::RDONLY, &place.key);
        opened.is_ok_and(|(file, stat)| {
            read_whole(&file, stat.attributes.size).is_ok_and(|content| content == base.original)
        })
    }

    /// What is to be in the file, with what the masks hide.
    pub(super) fn put_back(
        &self,
        base: &Version,
        written: &[u8],
        kinds: Kinds,
    ) -> Result<Vec<u8>, Refused> {
        let probes = &self.shared.mask_writes;
        if probes.are_too_many() {
            return Err(Refused::Mask(MaskRefusal::Unclear));
        }
        reconcile(&base.original, &base.masked, written, kinds).map_err(|why| {
            if why == Refusal::Uncovers {
                probes.count();
            }
            Refused::Mask(why.into())
        })
    }

    /// The file that a draft belongs to, as it is there now. `None`: it has lost its name in the view.
    fn draft_place(&self, handle: &FileHandle) -> Result<Option<(Place, Stat)>, Refused> {
        let node = &handle.node;
        let changed = Refused::Mask(MaskRefusal::Changed);
        let place = if let Some(current) = node.mask.current() {
            Place {
                directory: Arc::clone(&current.directory),
                name: current.name.clone(),
                path: current.path.clone(),
                key: current.key.clone(),
            }
        } else {
            match self.places(node) {
                Ok(places) => {
                    let first = places.into_iter().next().ok_or(Errno::STALE)?;
                    Place {
                        directory: first.directory,
                        name: first.name.name,
                        path: first.path,
                        key: node.key.clone(),
                    }
                }
                Err(Errno::STALE) if lock(&node.removed).is_some() => return Ok(None),
                Err(Errno::STALE) => return Err(changed),
                Err(error) => return Err(error.into()),
            }
        };
        let host = &self.shared.host;
        match host.open_object(
            place.directory.as_fd(),
            &place.name,
            OFlags::PATH,
            &place.key,
        ) {
            Ok((_, stat)) => Ok(Some((place, stat))),
            Err(Errno::STALE | Errno::NOENT) => Err(changed),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what nothing is lost by: the file was empty, or nothing in it is masked and it has further names.
    fn fill(
        &self,
        place: &Place,
        content: &[u8],
        times: Option<&Timestamps>,
    ) -> Result<Stat, Refused> {
        let host = &self.shared.host;
        let (directory, name) = (place.directory.as_fd(), place.name.as_os_str());
        let (file, stat) = host.open_object(directory, name, OFlags::WRONLY, &place.key)?;
        let doomed = keeper::doomed(directory, name, &place.path, &stat);
        let kept = self.keep_change(&doomed)?;
        let written = write_whole(&file, content).and_then(|()| match times {
            Some(times) => utimensat(&file, "", times, AtFlags::EMPTY_PATH),
            None => Ok(()),
        });
        if written.is_err() && stat.attributes.size == 0 {
            // As it was.
            let _best_effort = ftruncate(&file, 0);
        }
        kept.done(&[(&place.path, file.as_fd())]);
        written?;
        Ok(stat_descriptor(file.as_fd())?)
    }

    /// Puts a new file in the old one's place.
    fn replace(
        &self,
        handle: &FileHandle,
        place: Place,
        content: &[u8],
        times: Option<Timestamps>,
    ) -> Result<Stat, Refused> {
        let like = handle.node.mask.current();
        let like = like.as_ref().map_or(&handle.file, |current| &current.file);
        let put = Put {
            place: &place,
            like: like.as_fd(),
            content,
            times,
        };
        let (file, stat) = self.put(&put)?;
        for name in handle.node.names() {
            handle.node.remove_name(&name.parent, &name.name);
            self.expire_name(&name.parent, &name.name);
        }
        self.nodes.bury(&handle.node);
        *lock(&handle.node.mask.current) = Some(Arc::new(Current {
            file,
            key: stat.key(),
            directory: place.directory,
            name: place.name,
            path: place.path,
        }));
        Ok(stat)
    }

    /// Makes durable what is in the file's place.
    pub(crate) fn sync_masked(&self, node: &Node, file: &OwnedFd) -> Result<(), Errno> {
        match node.mask.current() {
            Some(current) => fdatasync(&current.file),
            None => fdatasync(file),
        }
    }

    /// Makes the kernel forget what it keeps of a node: it is something else now.
    fn forget_kept(&self, node: &Arc<Node>) {
        if let Some(watch) = self.watch.get() {
            watch.forget_pages(node);
        }
    }

    pub(super) fn expire_name(&self, parent: &Node, name: &std::ffi::OsStr) {
        if let Some(watch) = self.watch.get() {
            watch.expire(vec![(parent.id, name.to_owned())]);
        }
    }
}

/// Why a draft is not put in place.
pub(super) enum Refused {
    Mask(MaskRefusal),
    Fail(Fail),
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        Self::Fail(error.into())
    }
}

impl From<Fail> for Refused {
    fn from(fail: Fail) -> Self {
        Self::Fail(fail)
    }
}

impl Refused {
    /// The same for who is told at once.
    pub(super) fn tell(
        self,
        server: &Server,
        path: &Path,
        wanted: valetkey_model::ActionSet,
    ) -> Fail {
        match self {
            Self::Mask(why) => server.refuse_masked(path, wanted, why),
            Self::Fail(fail) => fail,
        }
    }
}

/// Writes all of `content` from the beginning of `file`, which then ends there.
pub(super) fn write_whole(file: &OwnedFd, content: &[u8]) -> Result<(), Errno> {
    let mut done = 0_usize;
    while let Some(rest) = content.get(done..).filter(|rest| !rest.is_empty()) {
        let offset = u64::try_from(done).map_err(|_| Errno::FBIG)?;
        match pwrite(file, rest, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => done = done.saturating_add(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    ftruncate(file, u64::try_from(content.len()).map_err(|_| Errno::FBIG)?)
}
