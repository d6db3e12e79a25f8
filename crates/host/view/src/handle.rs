//! What is open: files and directories, with the rights that they were opened by.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use rustix::io::Errno;
use valetkey_model::ActionSet;

use crate::authority::{Limit, Permit};
use crate::locks::{read, write};
use crate::node::{Node, shard_of};
use crate::uses;

/// Parts of a table; as many as [`shard_of`] counts.
const SHARDS: usize = 32;

/// How a file may be written through a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Not at all.
    No,
    /// At its end only, whatever offset is asked for.
    Append,
    /// Anywhere.
    Anywhere,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct FileHandle {
    pub(crate) node: Arc<Node>,
    pub(crate) file: OwnedFd,
    /// The name that it was opened by.
    pub(crate) path: PathBuf,
    /// What it was opened for.
    pub(crate) wanted: ActionSet,
    pub(crate) readable: bool,
    pub(crate) writing: Writing,
    /// Whether it was opened as a masked file: what is written by it is held until it is whole.
    pub(crate) through_mask: bool,
    /// One for every name that the file was known by. All must live.
    permits: RwLock<Vec<Arc<dyn Permit>>>,
    pub(crate) counted: bool,
    /// Whether the file may still have set-id bits that a write must clear.
    pub(crate) has_set_id: AtomicBool,
    /// Whether the kernel has been told to drop what it cached through this handle.
    pub(crate) cut_off: AtomicBool,
    /// Whether it was told that the file was opened. What stands in for a kernel that sends no opens is told at its first use.
    pub(crate) told: AtomicBool,
    /// Whether it was used since the last look at it.
    pub(crate) used: AtomicBool,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
}

impl FileHandle {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one open file, made in one place"
    )]
    pub(crate) fn new(
        node: Arc<Node>,
        file: OwnedFd,
        path: PathBuf,
        wanted: ActionSet,
        readable: bool,
        writing: Writing,
        permits: Vec<Arc<dyn Permit>>,
        has_set_id: bool,
    ) -> Self {
        let through_mask = node.mask.is_masked();
        let permits = uses::distinct(permits);
        let counted = permits.iter().any(|permit| permit.limits().bytes);
        Self {
            node,
            file,
            path,
            wanted,
            readable,
            writing,
            through_mask,
            permits: RwLock::new(permits),
            counted,
            has_set_id: AtomicBool::new(has_set_id),
            cut_off: AtomicBool::new(false),
            told: AtomicBool::new(false),
            used: AtomicBool::new(false),
            read_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
        }
    }

    /// Whether every right that the file was opened by still stands.
    pub(crate) fn is_live(&self) -> bool {
        let permits = read(&self.permits);
        !permits.is_empty() && permits.iter().all(|permit| permit.is_live())
    }

    /// Whether each right that it is open by gives `wanted`, whatever it was opened for.
    pub(crate) fn permits_all(&self, wanted: ActionSet) -> bool {
        let permits = read(&self.permits);
        !permits.is_empty()
            && permits
                .iter()
                .all(|permit| permit.actions().allows_all(wanted))
    }

    /// Goes on by other rights: those that it was opened by have been renewed.
    pub(crate) fn renew(&self, permits: Vec<Arc<dyn Permit>>) {
        *write(&self.permits) = uses::distinct(permits);
        self.cut_off.store(false, Ordering::Release);
    }

    /// From now on it lives no longer than this right as well.
    pub(crate) fn join(&self, permit: Arc<dyn Permit>) {
        let mut permits = write(&self.permits);
        permits.push(permit);
        *permits = uses::distinct(std::mem::take(&mut *permits));
    }

    /// The rights that it is open by.
    pub(crate) fn permits(&self) -> Vec<Arc<dyn Permit>> {
        read(&self.permits).clone()
    }

    /// How many of `bytes` may be read.
    pub(crate) fn take_read(&self, bytes: u64) -> Result<u64, Limit> {
        let allowed = if self.counted && bytes > 0 {
            uses::take_read(&read(&self.permits), bytes)?
        } else {
            bytes
        };
        self.read_bytes.fetch_add(allowed, Ordering::Relaxed);
        Ok(allowed)
    }

    /// Takes `bytes` from what may be written; answers what they were taken from.
    pub(crate) fn take_write(&self, bytes: u64) -> Result<Vec<Arc<dyn Permit>>, Limit> {
        let taken = if self.counted {
            let permits = self.permits();
            uses::take_write(&permits, bytes)?;
            permits
        } else {
            Vec::new()
        };
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(taken)
    }

    /// Gives back what was taken and not written.
    pub(crate) fn return_write(&self, taken: &[Arc<dyn Permit>], bytes: u64) {
        uses::return_write(taken, bytes);
        self.written_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct DirectoryHandle {
    pub(crate) node: Arc<Node>,
    pub(crate) path: PathBuf,
    /// The real directory, when its names may be listed.
    pub(crate) real: Option<OwnedFd>,
    /// Names that are there besides: of the skeleton, or granted one by one.
    pub(crate) extra: Vec<OsString>,
    /// Held while the real directory is read, since its descriptor has one position.
    pub(crate) reading: Mutex<()>,
}

/// What is open, by number.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    shards: Vec<RwLock<HashMap<u64, Arc<T>>>>,
    next: AtomicU64,
}

impl<T> Handles<T> {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        // 0 is what the kernel sends when it has no handle.
        Self {
            shards,
            next: AtomicU64::new(1),
        }
    }

    pub(crate) fn insert(&self, handle: Arc<T>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(shard) = self.shards.get(shard_of(id)) {
            write(shard).insert(id, handle);
        }
        id
    }

    pub(crate) fn get(&self, id: u64) -> Result<Arc<T>, Errno> {
        let shard = self.shards.get(shard_of(id)).ok_or(Errno::BADF)?;
        read(shard).get(&id).cloned().ok_or(Errno::BADF)
    }

    pub(crate) fn remove(&self, id: u64) -> Option<Arc<T>> {
        write(self.shards.get(shard_of(id))?).remove(&id)
    }

    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.shards
            .iter()
            .flat_map(|shard| read(shard).values().cloned().collect::<Vec<_>>())
            .collect()
    }
}
