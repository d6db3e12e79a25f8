//! One version of a masked file: its masked content, for as long as the file stays as it was.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::{Errno, pread};
use valetkey_redact::{Kinds, Masked, mask};

use super::MaskRefusal;
use crate::connection::{Fail, Server};
use crate::host::{Stat, stat_descriptor};
use crate::locks::lock;
use crate::node::{Node, Stamp};

/// Bytes of a file that is masked at most. It is held in memory and looked at as a whole; a longer one is refused.
pub(crate) const MASKED_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of all versions that are kept; beyond it one is made anew for each read.
const KEPT_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How often a file that changes while it is read is read anew.
const READS_MAX: usize = 8;
/// The clock of a file system goes in steps of up to some milliseconds. A file that was changed this lately can change again under the same time.
const UNSETTLED: Duration = Duration::from_millis(30);

/// Memory that versions take, counted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Memory(Arc<AtomicU64>);

/// A part of it.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Memory,
    bytes: u64,
}

impl Memory {
    pub(super) fn take(&self, bytes: u64) -> Option<Share> {
        let fits = |taken: u64| {
            taken
                .checked_add(bytes)
                .filter(|all| *all <= KEPT_BYTES_MAX)
        };
        let taken = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits);
        taken.is_ok().then(|| Share {
            memory: self.clone(),
            bytes,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// What is shown of one version of a file.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) masked: Masked,
    /// The file itself.
    pub(crate) original: Vec<u8>,
    pub(crate) kinds: Kinds,
    pub(super) stamp: Stamp,
    /// Held for as long as it is kept.
    _share: Option<Share>,
}

pub(crate) fn stamp_of(stat: &Stat) -> Stamp {
    let attributes = &stat.attributes;
    (attributes.size, attributes.mtime, attributes.ctime)
}

impl Server {
    /// The version of the file that is there now.
    pub(crate) fn version(&self, node: &Node, file: &OwnedFd) -> Result<Arc<Version>, Fail> {
        let kinds = node.mask.kinds();
        let current = node.mask.current();
        let file = current.as_ref().map_or(file, |current| &current.file);
        let stat = stat_descriptor(file.as_fd())?;
        let kept = lock(&node.mask.version).clone();
        if let Some(kept) = kept.filter(|kept| kept.kinds == kinds && kept.stamp == stamp_of(&stat))
        {
            return Ok(kept);
        }
        let (mut version, stat) = make(file, kinds, stat)?;
        let bytes = u64::try_from(version.original.len().saturating_mul(2)).unwrap_or(u64::MAX);
        let share = if is_settled(&stat) {
            self.shared.mask_memory.take(bytes)
        } else {
            None
        };
        let is_kept = share.is_some();
        version._share = share;
        let version = Arc::new(version);
        *lock(&node.mask.version) = is_kept.then(|| Arc::clone(&version));
        Ok(version)
    }
}

/// Reads and masks a file that stays as it is for as long as that takes.
pub(super) fn make(
    file: &OwnedFd,
    kinds: Kinds,
    mut before: Stat,
) -> Result<(Version, Stat), Fail> {
    for _ in 0..READS_MAX {
        let original = read_whole(file, before.attributes.size)?;
        let after = stat_descriptor(file.as_fd())?;
        let is_whole = u64::try_from(original.len()) == Ok(after.attributes.size);
        if is_whole && stamp_of(&before) == stamp_of(&after) {
            let masked =
                mask(&original, kinds).map_err(|_| Fail::Errno(MaskRefusal::Opaque.errno()))?;
            let version = Version {
                masked,
                original,
                kinds,
                stamp: stamp_of(&after),
                _share: None,
            };
            return Ok((version, after));
        }
        before = after;
    }
    Err(Errno::AGAIN.into())
}

impl Version {
    /// The version that has just been written.
    pub(super) fn of(original: Vec<u8>, kinds: Kinds, stat: &Stat) -> Result<Self, MaskRefusal> {
        Ok(Self {
            masked: mask(&original, kinds).map_err(|_| MaskRefusal::Opaque)?,
            original,
            kinds,
            stamp: stamp_of(stat),
            _share: None,
        })
    }

    pub(super) fn hides(&self) -> bool {
        !self.masked.ranges.is_empty()
    }
}

pub(super) fn read_whole(file: &OwnedFd, size: u64) -> Result<Vec<u8>, Errno> {
    if size > MASKED_BYTES_MAX {
        return Err(MaskRefusal::TooLong.errno());
    }
    let size = usize::try_from(size).map_err(|_| Errno::FBIG)?;
    let mut content = vec![0; size];
    let mut done = 0_usize;
    while let Some(rest) = content.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let offset = u64::try_from(done).map_err(|_| Errno::OVERFLOW)?;
        match pread(file, rest, offset) {
            Ok(0) => break,
            Ok(count) => done = done.saturating_add(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(done);
    Ok(content)
}

/// Whether the file was changed so long ago that a further change would have another time.
fn is_settled(stat: &Stat) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (seconds, nanoseconds) = stat.attributes.mtime.max(stat.attributes.ctime);
    // A time before the epoch is long ago.
    let Ok(seconds) = u64::try_from(seconds) else {
        return true;
    };
    now > Duration::new(seconds, nanoseconds).saturating_add(UNSETTLED)
}
