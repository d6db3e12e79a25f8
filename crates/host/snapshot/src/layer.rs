//! What is in the layers of a stage: entries as the kernel's overlay leaves them, and the content of one file.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Mutex;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, getxattr, statat};
use rustix::io::{Errno, pread};
use valetkey_model::Digest;

use crate::SnapshotError;
use crate::object::{self, look_at, open_at, path_to};
use crate::record::{Kind, State};
use crate::undo::{Source, failed};

/// What the kernel notes down in a layer.
const OVERLAY_ATTRIBUTES: &[u8] = b"user.overlay.";
const OPAQUE: &str = "user.overlay.opaque";

/// Whether the entry stands for nothing.
pub(crate) fn is_whiteout(upper: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    let stat = statat(upper, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0)
}

/// Whether of what is below on the host nothing is to be seen.
pub(crate) fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0; 1];
    getxattr(path_to(directory), OPAQUE, &mut value).is_ok_and(|_| value == *b"y")
}

pub(crate) fn names_in(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A directory to be listed, by its path, with no link on the way.
pub(crate) fn directory_of(path: &Path) -> Result<OwnedFd, SnapshotError> {
    let fail = failed("read", path);
    let at = object::directory(path).map_err(&fail)?;
    open_at(&at, OsStr::new("."), OFlags::RDONLY | OFlags::DIRECTORY, 0).map_err(&fail)
}

/// The content of one file of a layer.
pub(crate) struct Layered {
    directory: OwnedFd,
    name: OsString,
    /// Where each piece begins, and how long it is; of a link its target.
    pieces: Mutex<HashMap<Digest, (u64, Vec<u8>)>>,
}

impl Layered {
    /// The state of what is at `staged`, which is to be at `path`.
    pub(crate) fn read(staged: &Path, path: &Path) -> Result<(Self, State), SnapshotError> {
        let fail = failed("read", path);
        let (Some(above), Some(name)) = (staged.parent(), staged.file_name()) else {
            return Err(fail(Errno::INVAL));
        };
        let directory = object::directory(above).map_err(&fail)?;
        let new = look_at(&directory, name).map_err(&fail)?;
        let new = new.ok_or(Errno::NOENT).map_err(&fail)?;
        let mut pieces = HashMap::new();
        let mut at = 0_u64;
        let note = |digest: Digest, bytes: &[u8]| {
            let link = if new.kind == Kind::Link {
                bytes.to_vec()
            } else {
                Vec::new()
            };
            pieces.entry(digest).or_insert((at, link));
            at = at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            Ok::<(), Errno>(())
        };
        let state = object::capture(directory.as_fd(), name, new.id, note).map_err(&fail)?;
        let mut state = state.ok_or(Errno::STALE).map_err(&fail)?;
        state
            .attributes
            .retain(|attribute| !attribute.name.starts_with(OVERLAY_ATTRIBUTES));
        Ok((
            Self {
                directory,
                name: name.to_owned(),
                pieces: Mutex::new(pieces),
            },
            state,
        ))
    }
}

impl Source for Layered {
    fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, SnapshotError> {
        let path = Path::new(&self.name);
        let fail = failed("read", path);
        let pieces = self.pieces.lock().map_err(|_| fail(Errno::IO))?;
        let (at, link) = pieces.get(digest).ok_or(Errno::NOENT).map_err(&fail)?;
        if !link.is_empty() {
            return Ok(link.clone());
        }
        let file = open_at(&self.directory, &self.name, OFlags::RDONLY, 0).map_err(&fail)?;
        let mut bytes = vec![0; crate::CHUNK_BYTES];
        let mut filled = 0_usize;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let offset = at.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match pread(&file, rest, offset) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(Errno::INTR) => {}
                Err(error) => return Err(fail(error)),
            }
        }
        bytes.truncate(filled);
        // Nobody writes to a stage that is taken from; what is not what it was is not put on the host.
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(fail(Errno::STALE))
        }
    }
}

/// For what only removes.
pub(crate) struct Nothing;

impl Source for Nothing {
    fn chunk(&self, _: &Digest) -> Result<Vec<u8>, SnapshotError> {
        Err(failed("read", Path::new("/"))(Errno::NOENT))
    }
}
