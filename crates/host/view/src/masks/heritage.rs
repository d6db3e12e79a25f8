//! Saving by way of a backup: a masked file is moved away, a new one is written in its place, and the backup is removed.
//!
//! What was written to the new file is compared with what was shown of the one that was moved away. Where every mask came over, the
//! backup hides nothing that is not in the new file, and may go. That is known from what was put back, never by looking whether
//! two files hold the same: such an answer would tell whoever writes guesses which of them is right.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;
use valetkey_model::Digest;
use valetkey_redact::Kinds;

use super::draft::Refused;
use super::replace::Place;
use super::version::{Version, make};
use crate::connection::Server;
use crate::host::{KIND_REGULAR, Key, Stat};
use crate::locks::lock;

/// Files moved away that are remembered; of more the oldest is forgotten, and its backup can then not be removed.
const MOVED_MAX: usize = 256;
/// Writes that would have uncovered something. Each tells a little of the form of what is masked, since whether it would be masked elsewhere
/// depends on it; nobody needs as many.
const UNCOVERING_MAX: u32 = 64;

/// What the view remembers of writes through masks.
#[derive(Debug, Default)]
pub(crate) struct MaskWrites {
    moved: Mutex<VecDeque<Moved>>,
    uncovering: AtomicU32,
}

/// A masked file that was moved away from `name`.
#[derive(Debug, Clone)]
struct Moved {
    name: PathBuf,
    now: PathBuf,
    key: Key,
    /// What it was, and what is at its old name since all that it hides came over.
    came_over: Option<(Digest, Digest)>,
}

impl MaskWrites {
    pub(super) fn count(&self) {
        self.uncovering.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.uncovering.load(Ordering::Relaxed) >= UNCOVERING_MAX
    }

    fn of(&self, name: &Path) -> Option<Moved> {
        let moved = lock(&self.moved);
        moved.iter().rev().find(|moved| moved.name == name).cloned()
    }

    fn of_object(&self, key: &Key) -> Option<Moved> {
        let moved = lock(&self.moved);
        moved.iter().find(|moved| moved.key == *key).cloned()
    }
}

impl Server {
    /// Remembers that the masked file `stat` was moved.
    pub(crate) fn note_moved(&self, stat: &Stat, from: &Path, to: &Path) {
        let authority = &self.shared.authority;
        if stat.kind() != KIND_REGULAR || authority.redacts(from).is_none() {
            return;
        }
        let key = stat.key();
        let mut moved = lock(&self.shared.mask_writes.moved);
        moved.retain(|moved| moved.key != key);
        while moved.len() >= MOVED_MAX {
            moved.pop_front();
        }
        moved.push_back(Moved {
            name: from.to_path_buf(),
            now: to.to_path_buf(),
            key,
            came_over: None,
        });
    }

    /// What is to be in the new file at `place`, if it is written in place of one that was moved away. A file that has no mask of the other in it is
    /// another file.
    pub(super) fn inherit(
        &self,
        place: &Place,
        written: &[u8],
        kinds: Kinds,
    ) -> Result<Option<Vec<u8>>, Refused> {
        let Some(moved) = self.shared.mask_writes.of(&place.path) else {
            return Ok(None);
        };
        let Some((file, stat)) = self.moved_file(&moved) else {
            return Ok(None);
        };
        let (version, _) = make(&file, kinds, stat)?;
        if version.masked.ranges.is_empty() {
            return Ok(None);
        }
        match self.put_back(&version, written, kinds) {
            Ok(outcome) => {
                let mut all = lock(&self.shared.mask_writes.moved);
                if let Some(found) = all.iter_mut().find(|other| other.key == moved.key) {
                    found.came_over = Some((Digest::of(&version.original), Digest::of(&outcome)));
                }
                Ok(Some(outcome))
            }
            Err(refused) if has_masks(&version, written) => Err(refused),
            Err(_) => Ok(None),
        }
    }

    /// What was committed at `path` keeps what came over to it.
    pub(super) fn note_committed(&self, path: &Path, content: &[u8]) {
        let mut moved = lock(&self.shared.mask_writes.moved);
        for moved in moved.iter_mut().filter(|moved| moved.name == path) {
            if let Some((_, now)) = &mut moved.came_over {
                *now = Digest::of(content);
            }
        }
    }

    /// Whether all that the file hides is at the name that it was moved away from, and nobody has changed either since.
    pub(super) fn came_over(&self, stat: &Stat, original: &[u8]) -> bool {
        let Some(moved) = self.shared.mask_writes.of_object(&stat.key()) else {
            return false;
        };
        let Some((was, now)) = &moved.came_over else {
            return false;
        };
        if Digest::of(original) != *was {
            return false;
        }
        let host = &self.shared.host;
        let (Some(parent), Some(name)) = (moved.name.parent(), moved.name.file_name()) else {
            return false;
        };
        let read = || {
            let directory = host.open_root(parent)?;
            let stat = host.stat(directory.as_fd(), name)?;
            let (file, stat) =
                host.open_object(directory.as_fd(), name, OFlags::RDONLY, &stat.key())?;
            super::version::read_whole(&file, stat.attributes.size)
        };
        read().is_ok_and(|content| Digest::of(&content) == *now)
    }

    fn moved_file(&self, moved: &Moved) -> Option<(OwnedFd, Stat)> {
        let host = &self.shared.host;
        let directory: Arc<OwnedFd> = host.open_root(moved.now.parent()?).ok()?;
        let name = moved.now.file_name()?;
        host.open_object(directory.as_fd(), name, OFlags::RDONLY, &moved.key)
            .ok()
    }
}

/// Whether a line in which something is masked is a line of what was written.
fn has_masks(version: &Version, written: &[u8]) -> bool {
    let lines: std::collections::HashSet<&[u8]> = written.split(|byte| *byte == b'\n').collect();
    let shown = &version.masked.content;
    version.masked.ranges.iter().any(|range| {
        let start = shown
            .get(..range.start)
            .and_then(|before| before.iter().rposition(|byte| *byte == b'\n'))
            .map_or(0, |at| at.saturating_add(1));
        let line = shown
            .get(start..)
            .and_then(|rest| rest.split(|byte| *byte == b'\n').next());
        line.is_some_and(|line| lines.contains(line))
    })
}
