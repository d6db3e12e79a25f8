//! Listing directories.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::fs::{OFlags, RawDir, SeekFrom, fsync, seek, statvfs};
use rustix::io::Errno;
use valetkey_fuse::{DirectoryBuffer, Entry, FileSystemStatistics, open_flags};

use super::Outcome;
use crate::authority::{LIST, Purpose};
use crate::changes::LISTING_VALID;
use crate::connection::{Answer, Caller, Fail, Server};
use crate::handle::DirectoryHandle;
use crate::host::{Host, KIND_DIRECTORY, stat_descriptor};
use crate::locks::{lock, read};
use crate::node::{Listed, Node};
use crate::sight::{Glance, Sight};

/// Where the offsets of names begin that the real directory does not have: above every offset that
/// a file system gives out, and still positive as a signed number.
const EXTRA_BASE: u64 = 0x7fff_ffff_ffff_0000;
/// The offset that ext4 gives its last name.
const REAL_END: u64 = 0x7fff_ffff_ffff_ffff;
/// Bytes read from the real directory at one time, at most.
const LISTING_BYTES: usize = 32 * 1024;

impl Server {
    pub(super) fn open_directory(&self, caller: &Caller<'_>, node: u64) -> Outcome {
        if self.is_quiet() {
            return Err(Errno::NOSYS.into());
        }
        let node = self.node(node)?;
        let handle = self.directory_handle(caller, &node)?;
        let flags = self.listing_flags(&node, &handle);
        let handle = self.directories.insert(Arc::new(handle));
        Ok(Answer::OpenedDirectory { handle, flags })
    }

    /// Whether the kernel may keep the listing, and go on by the one that it has: where it is of names that the host has alone,
    /// whatever changes there is heard of, and nothing was heard, granted or taken back since that one was begun.
    fn listing_flags(&self, node: &Node, handle: &DirectoryHandle) -> u32 {
        if handle.real.is_none() || !handle.extra.is_empty() || !node.is_watched() {
            return 0;
        }
        let kept = *lock(&node.listed);
        let is_good = |listed: Listed| {
            listed.changes == node.changes.load(Ordering::Acquire)
                && listed.grants == self.grants.load(Ordering::Acquire)
                && listed.at.elapsed() < LISTING_VALID
        };
        if kept.is_some_and(is_good) {
            open_flags::CACHE_DIR | open_flags::KEEP_CACHE
        } else {
            open_flags::CACHE_DIR
        }
    }

    fn directory_handle(
        &self,
        caller: &Caller<'_>,
        node: &Arc<Node>,
    ) -> Result<DirectoryHandle, Fail> {
        let path = self.nodes.path(node).ok_or(Errno::STALE)?;
        let on_skeleton = read(&self.shared.skeleton).bone(&path).is_some();
        let real = if node.is_virtual() {
            None
        } else {
            self.real_directory(caller, node, &path, on_skeleton)?
        };
        let mut extra = read(&self.shared.skeleton).children(&path);
        if let Some(real) = &real {
            // What the real directory has is listed from there.
            extra.retain(|name| self.shared.host.stat(real.as_fd(), name).is_err());
        }
        extra.retain(|name| !self.shared.host.is_hidden(&path.join(name)));
        Ok(DirectoryHandle {
            node: Arc::clone(node),
            path,
            real,
            extra,
            reading: Mutex::default(),
        })
    }

    /// The real directory, if its names may be listed. A skeleton directory never fails: it lists
    /// what is on the skeleton.
    fn real_directory(
        &self,
        caller: &Caller<'_>,
        node: &Arc<Node>,
        path: &Path,
        on_skeleton: bool,
    ) -> Result<Option<std::os::fd::OwnedFd>, Fail> {
        let descriptor = self.directory(node)?;
        if on_skeleton && !self.is_decided(path) {
            if !self.allows(path, valetkey_model::Action::List) {
                return Ok(None);
            }
        } else {
            let stat = stat_descriptor(descriptor.as_fd())?;
            match self.permit(caller, path, LIST, Purpose::List, || stat.facts()) {
                Err(Fail::Refused { .. }) if on_skeleton => return Ok(None),
                permitted => drop(permitted?),
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = if node.id == valetkey_fuse::ROOT_NODE {
            self.shared.host.open_itself(descriptor.as_fd())?
        } else {
            let name = node.first_name().ok_or(Errno::STALE)?;
            let parent = self.directory(&name.parent)?;
            self.shared
                .host
                .open_object(parent.as_fd(), &name.name, flags, &node.key)?
                .0
        };
        // Before the first name is read, so that no change goes by unheard.
        self.hear_of(node, opened.as_fd());
        Ok(Some(opened))
    }

    #[expect(clippy::too_many_arguments, reason = "the members of one request")]
    pub(super) fn read_directory(
        &self,
        caller: &Caller<'_>,
        node: u64,
        handle: u64,
        offset: u64,
        size: u32,
        plus: bool,
        scratch: &mut [u8],
    ) -> Outcome {
        let handle = if handle == 0 && self.is_quiet() {
            Arc::new(self.directory_handle(caller, &self.node(node)?)?)
        } else {
            self.directories.get(handle)?
        };
        // The right to list may have ended since the directory was opened.
        let on_skeleton = read(&self.shared.skeleton).bone(&handle.path).is_some();
        let listed =
            handle.real.is_some() && self.allows(&handle.path, valetkey_model::Action::List);
        if handle.real.is_some() && !listed && !on_skeleton {
            return Err(Errno::ACCESS.into());
        }
        if offset == 0 {
            *lock(&handle.node.listed) = Some(Listed {
                at: Instant::now(),
                changes: handle.node.changes.load(Ordering::Acquire),
                grants: self.grants.load(Ordering::Acquire),
            });
        }
        let long = handle.node.is_watched();
        let buffer = DirectoryBuffer::new(scratch, size);
        let path = handle.path.join("x");
        let mut listing = Listing {
            server: self,
            caller,
            handle: &handle,
            buffer,
            plus,
            long,
            path,
        };
        let mut complete = true;
        if offset < EXTRA_BASE {
            complete = listing.real(offset, listed)?;
        }
        if complete {
            // The end of a real directory may itself be the highest offset there is.
            let from = if offset == REAL_END {
                0
            } else {
                offset.saturating_sub(EXTRA_BASE)
            };
            listing.extra(from);
        }
        Ok(Answer::Scratch(listing.buffer.len()))
    }

    pub(super) fn sync_directory(&self, handle: u64) -> Outcome {
        if let Ok(handle) = self.directories.get(handle)
            && let Some(real) = &handle.real
        {
            fsync(real)?;
        }
        Ok(Answer::Done)
    }

    pub(super) fn statistics(&self, node: u64) -> Outcome {
        let node = self.node(node)?;
        let directory = if node.is_directory() {
            self.directory(&node)
                .unwrap_or_else(|_| Arc::clone(&self.root))
        } else {
            match node.first_name() {
                Some(name) => self.directory(&name.parent)?,
                None => Arc::clone(&self.root),
            }
        };
        let figures = statvfs(Host::path_to(directory.as_fd()))?;
        let small = |figure: u64| u32::try_from(figure).unwrap_or(u32::MAX);
        Ok(Answer::Statistics(FileSystemStatistics {
            blocks: figures.f_blocks,
            bfree: figures.f_bfree,
            bavail: figures.f_bavail,
            files: figures.f_files,
            ffree: figures.f_ffree,
            bsize: small(figures.f_bsize),
            namelen: small(figures.f_namemax),
            frsize: small(figures.f_frsize),
        }))
    }
}

/// One answer to a request for names.
struct Listing<'a> {
    server: &'a Server,
    caller: &'a Caller<'a>,
    handle: &'a DirectoryHandle,
    buffer: DirectoryBuffer<'a>,
    plus: bool,
    /// Whether what changes in the directory is heard of.
    long: bool,
    /// The path of the name in hand; only its last segment changes.
    path: PathBuf,
}

impl Listing<'_> {
    /// Names of the real directory from `offset` on; answers whether all were listed.
    fn real(&mut self, offset: u64, listed: bool) -> Result<bool, Fail> {
        let Some(real) = self.handle.real.as_ref().filter(|_| listed) else {
            return Ok(self.dots(offset));
        };
        let _reading = lock(&self.handle.reading);
        seek(real, SeekFrom::Start(offset))?;
        let mut bytes = [MaybeUninit::<u8>::uninit(); LISTING_BYTES];
        // No more than about what fits, since what does not fit is read again.
        let room = self.buffer.room().clamp(1024, LISTING_BYTES);
        let mut entries = RawDir::new(real, bytes.get_mut(..room).unwrap_or_default());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let next = entry.next_entry_cookie();
            let kind = directory_type(entry.file_type());
            if !self.real_name(name, entry.ino(), kind, next)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `.` and `..` of a directory whose real names are not listed.
    fn dots(&mut self, offset: u64) -> bool {
        for (number, name) in [(1, "."), (2, "..")] {
            if number > offset
                && !self.push(
                    &Entry::default(),
                    OsStr::new(name),
                    1,
                    KIND_DIRECTORY >> 12,
                    number,
                )
            {
                return false;
            }
        }
        true
    }

    /// Adds a real name if it is in sight; answers whether there was room.
    ///
    /// A name of which nothing is known is asked about before it is listed: that it exists is information.
    fn real_name(&mut self, name: &OsStr, ino: u64, kind: u32, next: u64) -> Result<bool, Fail> {
        if name == "." || name == ".." {
            return Ok(self.push(&Entry::default(), name, ino, kind, next));
        }
        if !self.buffer.fits(name.len(), self.plus) {
            return Ok(false);
        }
        self.path.set_file_name(name);
        let glance = match self.server.glance(&self.path) {
            Glance::Known(Sight::Bone(_)) if self.server.is_decided(&self.path) => Glance::Unknown,
            known @ (Glance::Known(_) | Glance::Unknown | Glance::Nothing) => known,
        };
        let sight = match glance {
            Glance::Known(sight) => sight,
            // What has been collected so far is sent first: a request that is put off begins anew.
            Glance::Unknown if self.caller.waiting.is_none() && !self.buffer.is_empty() => {
                return Ok(false);
            }
            Glance::Unknown => match self.ask_about(name)? {
                Some(sight) => sight,
                None => return Ok(true),
            },
            Glance::Nothing => return Ok(true),
        };
        let Some(real) = &self.handle.real else {
            return Ok(true);
        };
        if !self.plus {
            return Ok(self.push(&Entry::default(), name, ino, kind, next));
        }
        // Hidden objects, special file systems, and what has gone in the meantime are left out.
        let Ok(stat) = self.server.shared.host.stat(real.as_fd(), name) else {
            return Ok(true);
        };
        let parent = &self.handle.node;
        // What is not known of it yet is found out when it is looked up by itself.
        if self.server.is_stranger(&stat, &self.path) {
            return Ok(self.push(&Entry::default(), name, ino, kind, next));
        }
        let entry = self
            .server
            .entry(parent, name, &self.path, Some(&stat), &sight, self.long);
        Ok(self.push(&entry, name, ino, kind, next))
    }

    fn ask_about(&self, name: &OsStr) -> Result<Option<Sight>, Fail> {
        let Some(real) = &self.handle.real else {
            return Ok(None);
        };
        // Gone in the meantime, or nothing that is ever shown.
        let Ok(stat) = self.server.shared.host.stat(real.as_fd(), name) else {
            return Ok(None);
        };
        self.server.see(self.caller, &self.path, || stat.facts())
    }

    /// Names besides, from number `from` on.
    fn extra(&mut self, from: u64) {
        for (number, name) in (0_u64..).zip(&self.handle.extra) {
            if number < from {
                continue;
            }
            if !self.buffer.fits(name.len(), self.plus) {
                return;
            }
            self.path.set_file_name(name);
            let found = self
                .server
                .stat_child(&self.handle.node, name)
                .ok()
                .flatten();
            let Glance::Known(sight) = self.server.glance(&self.path) else {
                continue;
            };
            let parent = &self.handle.node;
            let entry = self
                .server
                .entry(parent, name, &self.path, found.as_ref(), &sight, false);
            if entry.node == 0 {
                continue;
            }
            let attributes = entry.attributes;
            let next = EXTRA_BASE.saturating_add(number).saturating_add(1);
            let kind = attributes.mode >> 12;
            if !self.plus {
                // The entry was only to know what is there; the kernel does not hear of its node.
                drop(self.server.nodes.forget(entry.node, 1));
            }
            if !self.push(&entry, name, attributes.ino, kind, next) {
                return;
            }
        }
    }

    fn push(&mut self, entry: &Entry, name: &OsStr, ino: u64, kind: u32, next: u64) -> bool {
        if self.plus {
            self.buffer.push_plus(entry, name, ino, kind, next)
        } else {
            self.buffer.push(name, ino, kind, next)
        }
    }
}

/// The kind as `d_type` numbers it.
fn directory_type(kind: rustix::fs::FileType) -> u32 {
    kind.as_raw_mode() >> 12
}
