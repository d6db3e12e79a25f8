//! Content: reading, writing, and what goes with it, on open files.

use std::io::IoSlice;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{
    FallocateFlags, OFlags, SeekFrom, copy_file_range, fallocate, fdatasync, fsync, seek,
};
use rustix::io::{Errno, ReadWriteFlags, pread, pwrite, pwritev2};
use valetkey_fuse::Operation;
use valetkey_model::Action;

use super::Outcome;
use super::open::before_write;
use crate::authority::{Permit, Purpose, Touched, Verdict};
use crate::connection::{Answer, Caller, Fail, Server};
use crate::handle::{FileHandle, Writing};
use crate::host::stat_descriptor;
use crate::locks::lock;
use crate::masks::MaskRefusal;
use crate::uses::{self, Begun};

/// `SEEK_DATA` and `SEEK_HOLE`; every other kind of seek is the kernel's own business.
const SEEK_DATA: u32 = 3;
const SEEK_HOLE: u32 = 4;

/// What a handle is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Read,
    Write,
    /// Any open file will do.
    Either,
}

impl Server {
    pub(super) fn read(
        &self,
        node: u64,
        handle: u64,
        offset: u64,
        size: u32,
        scratch: &mut [u8],
    ) -> Outcome {
        let handle = self.file(node, handle, Need::Read)?;
        let size = usize::try_from(size)
            .unwrap_or(usize::MAX)
            .min(scratch.len());
        let place = scratch.get_mut(..size).unwrap_or_default();
        let count = if handle.node.mask.is_masked() {
            self.read_masked(&handle, offset, place)?
        } else {
            pread(&handle.file, &mut *place, offset)?
        };
        let allowed = handle
            .take_read(count.try_into().unwrap_or(u64::MAX))
            .map_err(|limit| self.limited_handle(&handle, limit))?;
        let allowed = usize::try_from(allowed).unwrap_or(usize::MAX).min(count);
        Ok(Answer::Scratch(allowed))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes nothing else"
    )]
    pub(super) fn run_data(
        &self,
        caller: &Caller<'_>,
        node: u64,
        operation: &Operation<'_>,
    ) -> Outcome {
        match *operation {
            Operation::Write {
                handle,
                offset,
                data,
                flags,
                cached,
                kill_set_id: _,
            } => {
                let appends = !cached && OFlags::from_bits_retain(flags).contains(OFlags::APPEND);
                self.write(node, handle, offset, data, appends, cached)
            }
            // A kernel that sends no opens need not tell of closes either.
            Operation::Flush { .. } if self.is_quiet() => Err(Errno::NOSYS.into()),
            Operation::Flush { handle, .. } => self.flush(caller, handle),
            Operation::Sync { handle, data_only } => self.sync(caller, node, handle, data_only),
            Operation::Seek {
                handle,
                offset,
                whence,
            } => self.seek(node, handle, offset, whence),
            Operation::Allocate {
                handle,
                offset,
                length,
                mode,
            } => self.allocate(node, handle, offset, length, mode),
            Operation::CopyRange {
                handle_in,
                offset_in,
                node_out,
                handle_out,
                offset_out,
                length,
                ..
            } => {
                let from = self.file(node, handle_in, Need::Read)?;
                let to = self.file(node_out, handle_out, Need::Write)?;
                copy_range(&from, offset_in, &to, offset_out, length)
            }
            _ => Err(Errno::NOSYS.into()),
        }
    }

    fn write(
        &self,
        node: u64,
        handle: u64,
        offset: u64,
        data: &[u8],
        appends: bool,
        cached: bool,
    ) -> Outcome {
        let handle = self.file(node, handle, Need::Write)?;
        let at_end = appends || handle.writing == Writing::Append;
        let is_masked = handle.node.mask.is_masked();
        if is_masked && cached {
            return Err(self.refuse_masked(&handle.path, handle.wanted, MaskRefusal::Destroys));
        }
        if cached && handle.writing == Writing::Append {
            // Pages of a shared mapping have a place; what may only be added to has none for them.
            return Err(Errno::ACCESS.into());
        }
        if !is_masked {
            before_write(&handle)?;
        }
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let taken = handle
            .take_write(length)
            .map_err(|limit| self.limited_handle(&handle, limit))?;
        let written = if is_masked {
            self.write_masked(&handle, offset, data, at_end)
        } else {
            write_all(&handle, offset, data, at_end).map_err(Fail::Errno)
        };
        let count = u64::try_from(*written.as_ref().unwrap_or(&0)).unwrap_or(u64::MAX);
        handle.return_write(&taken, length.saturating_sub(count));
        Ok(Answer::Size(written?.try_into().unwrap_or(u32::MAX)))
    }

    /// A descriptor of the file was closed: what was written through a mask is whole now. Nothing else is held back.
    fn flush(&self, caller: &Caller<'_>, handle: u64) -> Outcome {
        if let Ok(handle) = self.files.get(handle) {
            self.commit_masked(&handle, caller.waiting.is_some())?;
        }
        Ok(Answer::Done)
    }

    fn sync(&self, caller: &Caller<'_>, node: u64, handle: u64, data_only: bool) -> Outcome {
        // Syncing changes nothing and shows nothing, so it needs no right.
        let handle = if handle == 0 {
            let Some(handle) = lock(&self.node(node)?.quiet).clone() else {
                return Ok(Answer::Done);
            };
            handle
        } else {
            self.files.get(handle)?
        };
        if handle.through_mask {
            self.commit_masked(&handle, caller.waiting.is_some())?;
            self.sync_masked(&handle.node, &handle.file)?;
        } else if data_only {
            fdatasync(&handle.file)?
        } else {
            fsync(&handle.file)?
        }
        Ok(Answer::Done)
    }

    fn seek(&self, node: u64, handle: u64, offset: u64, whence: u32) -> Outcome {
        let handle = self.file(node, handle, Need::Either)?;
        // Where the holes are tells of the content.
        if !handle.readable && !self.allows(&handle.path, Action::Read) {
            return Err(Fail::Refused { visible: true });
        }
        if handle.node.mask.is_masked() {
            return self.seek_masked(&handle, offset, whence);
        }
        let from = match whence {
            SEEK_DATA => SeekFrom::Data(offset),
            SEEK_HOLE => SeekFrom::Hole(offset),
            _ => return Err(Errno::INVAL.into()),
        };
        Ok(Answer::Offset(seek(&handle.file, from)?))
    }

    /// A masked file has no holes to be seen.
    fn seek_masked(&self, handle: &FileHandle, offset: u64, whence: u32) -> Outcome {
        let size = self.masked_stat(handle)?.attributes.size;
        match whence {
            _ if offset >= size => Err(Errno::NXIO.into()),
            SEEK_DATA => Ok(Answer::Offset(offset)),
            SEEK_HOLE => Ok(Answer::Offset(size)),
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn allocate(&self, node: u64, handle: u64, offset: u64, length: u64, mode: u32) -> Outcome {
        let handle = self.file(node, handle, Need::Write)?;
        if handle.writing != Writing::Anywhere {
            return Err(Errno::ACCESS.into());
        }
        if handle.node.mask.is_masked() {
            return Err(Errno::OPNOTSUPP.into());
        }
        let known =
            FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE;
        let flags = FallocateFlags::from_bits(mode)
            .filter(|flags| known.contains(*flags))
            .ok_or(Errno::OPNOTSUPP)?;
        before_write(&handle)?;
        // A hole overwrites as much as zeros do.
        let taken = handle
            .take_write(length)
            .map_err(|limit| self.limited_handle(&handle, limit))?;
        if let Err(error) = fallocate(&handle.file, flags, offset, length) {
            handle.return_write(&taken, length);
            return Err(error.into());
        }
        Ok(Answer::Done)
    }

    /// The handle for an operation, still allowed what it is needed for.
    fn file(&self, node: u64, handle: u64, need: Need) -> Result<Arc<FileHandle>, Fail> {
        let handle = if handle == 0 && self.is_quiet() {
            self.quiet_file(node, need)?
        } else {
            self.files.get(handle)?
        };
        let able = match need {
            Need::Read => handle.readable,
            Need::Write => handle.writing != Writing::No,
            Need::Either => true,
        };
        if !able {
            return Err(Errno::BADF.into());
        }
        self.live(&handle)?;
        if self.is_quiet() {
            self.tell_opened(&handle);
            handle.used.store(true, Ordering::Relaxed);
        }
        // What was opened before it was masked was not opened to be written so.
        if need == Need::Write && handle.node.mask.is_masked() && !handle.through_mask {
            return Err(self.refuse_masked(&handle.path, handle.wanted, MaskRefusal::Destroys));
        }
        Ok(handle)
    }

    /// Makes sure that the rights behind `handle` stand. When they have been renewed in the meantime
    /// it goes on by the new ones; nothing is asked here, since pages are locked while data moves.
    pub(crate) fn live(&self, handle: &FileHandle) -> Result<(), Fail> {
        if handle.is_live() || self.renew(handle) {
            return Ok(());
        }
        Err(Fail::Refused { visible: true })
    }

    /// Takes up new rights for a handle whose old ones have ended, if there are any by every name.
    pub(crate) fn renew(&self, handle: &FileHandle) -> bool {
        let names = handle.node.names();
        let mut paths: Vec<_> = names
            .iter()
            .filter_map(|name| self.nodes.path_of_name(name))
            .collect();
        if paths.is_empty() {
            paths.push(handle.path.clone());
        }
        let permits: Option<Vec<Arc<dyn Permit>>> = paths
            .iter()
            .map(|path| {
                if self.shared.host.is_hidden(path) {
                    return None;
                }
                match self.shared.authority.check(path, handle.wanted) {
                    Verdict::Permitted(permit) if permit.is_live() => Some(permit),
                    Verdict::Permitted(_) | Verdict::Refused { .. } | Verdict::Unknown => None,
                }
            })
            .collect();
        match permits {
            // A limit in bytes cannot be put on a handle whose pages are cached.
            Some(permits)
                if (handle.counted || !permits.iter().any(|new| new.limits().bytes))
                    && self.takes_up(handle, &permits) =>
            {
                handle.renew(permits);
                true
            }
            _ => false,
        }
    }

    /// Whether going on by other rights is within their limits: to them it is an open.
    fn takes_up(&self, handle: &FileHandle, permits: &[Arc<dyn Permit>]) -> bool {
        if !permits.iter().any(|permit| permit.limits().uses) {
            return true;
        }
        let Ok(stat) = stat_descriptor(handle.file.as_fd()) else {
            return false;
        };
        let touched = [Touched {
            path: &handle.path,
            object: Some(stat.identity()),
            // What was opened for writing alone cannot be read here, and so not judged: it is cut off.
            content: uses::content(&stat, Some(&handle.file)),
        }];
        self.begin(permits, handle.wanted, Purpose::Open, &touched)
            .map(Begun::done)
            .is_ok()
    }
}

/// Writes until all is written or the system says no; what was written is said, and the next write meets the error.
fn write_all(handle: &FileHandle, offset: u64, data: &[u8], at_end: bool) -> Result<usize, Errno> {
    let mut written = 0_usize;
    while let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
        let step = if at_end {
            let slices = [IoSlice::new(rest)];
            pwritev2(&handle.file, &slices, 0, ReadWriteFlags::APPEND)
        } else {
            let at = u64::try_from(written)
                .ok()
                .and_then(|done| offset.checked_add(done));
            pwrite(&handle.file, rest, at.ok_or(Errno::FBIG)?)
        };
        match step {
            Ok(0) => break,
            Ok(count) => written = written.saturating_add(count),
            Err(Errno::INTR) => {}
            Err(error) if written == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(written)
}

fn copy_range(
    from: &FileHandle,
    mut offset_in: u64,
    to: &FileHandle,
    mut offset_out: u64,
    length: u64,
) -> Outcome {
    if to.writing != Writing::Anywhere {
        return Err(Errno::ACCESS.into());
    }
    if from.counted || to.counted || from.node.mask.is_masked() || to.node.mask.is_masked() {
        // Counted bytes go through reads and writes, where they are counted exactly.
        return Err(Errno::XDEV.into());
    }
    before_write(to)?;
    // One answer holds 32 bits; a page less than that keeps the next offset aligned.
    let length = usize::try_from(length.min(0x7fff_f000)).map_err(|_| Errno::OVERFLOW)?;
    let copied = copy_file_range(
        from.file.as_fd(),
        Some(&mut offset_in),
        to.file.as_fd(),
        Some(&mut offset_out),
        length,
    )?;
    let bytes = u64::try_from(copied).unwrap_or(u64::MAX);
    // Neither side is counted: this only adds to what is told when they are closed.
    let _counted = from.take_read(bytes);
    let _counted = to.take_write(bytes);
    Ok(Answer::Size(copied.try_into().unwrap_or(u32::MAX)))
}
