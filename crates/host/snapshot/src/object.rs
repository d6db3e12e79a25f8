//! Objects of the host, reached beneath directory descriptors and never along a link.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags, getxattr, listxattr, open, openat2,
    readlinkat, statx,
};
use rustix::io::{Errno, pread};
use valetkey_model::Digest;

use crate::frames::CHUNK_BYTES;
use crate::record::{Attribute, Id, Kind, Moment, State};

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_SYMLINKS);
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);
/// Linux's limit for one attribute and for a list of names.
const ATTRIBUTE_BYTES_MAX: usize = 65_536;
/// How often a file is read again because somebody changed it meanwhile.
const READS_MAX: usize = 4;

/// What the system says of an object now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) id: Id,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) links: u32,
    pub(crate) modified: Moment,
    pub(crate) changed: Moment,
}

fn look_of(stat: &Statx) -> Look {
    let known = StatxFlags::from_bits_retain(stat.stx_mask);
    let birth = known
        .contains(StatxFlags::BTIME)
        .then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec));
    let kind = match u32::from(stat.stx_mode) & 0o170_000 {
        0o100_000 => Kind::File,
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Link,
        0o010_000 => Kind::Pipe,
        _ => Kind::Other,
    };
    Look {
        id: Id {
            dev: (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor),
            ino: stat.stx_ino,
            birth,
        },
        kind,
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        size: stat.stx_size,
        links: stat.stx_nlink,
        modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
    }
}

/// What is open here.
pub(crate) fn look(at: impl AsFd) -> Result<Look, Errno> {
    statx(at, c"", AtFlags::EMPTY_PATH, WANTED).map(|stat| look_of(&stat))
}

/// What `name` in `directory` leads to; nothing when there is no such name.
pub(crate) fn look_at(directory: impl AsFd, name: &OsStr) -> Result<Option<Look>, Errno> {
    match statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, WANTED) {
        Ok(stat) => Ok(Some(look_of(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name in a directory that is held open, so that nothing on the way to it can be swapped.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    pub(crate) directory: OwnedFd,
    pub(crate) name: &'p OsStr,
}

impl<'p> Place<'p> {
    /// The place of an absolute path without links.
    pub(crate) fn of(path: &'p Path) -> Result<Self, Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let directory = directory(path.parent().ok_or(Errno::INVAL)?)?;
        Ok(Self { directory, name })
    }

    pub(crate) fn look(&self) -> Result<Option<Look>, Errno> {
        look_at(&self.directory, self.name)
    }
}

/// A directory by its path, with no link on the way.
pub(crate) fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open("/", flags, Mode::empty())?;
    let below = path.strip_prefix("/").map_err(|_| Errno::INVAL)?;
    if below.as_os_str().is_empty() {
        return Ok(root);
    }
    openat2(root, below, flags, Mode::empty(), RESOLVE)
}

/// Opens `name` in `directory`; a pipe does not hold this up, and a terminal is not taken.
pub(crate) fn open_at(
    directory: impl AsFd,
    name: &OsStr,
    flags: OFlags,
    mode: u32,
) -> Result<OwnedFd, Errno> {
    let own = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let flags = if flags.contains(OFlags::PATH) {
        flags | own
    } else {
        flags | own | OFlags::NONBLOCK | OFlags::NOCTTY
    };
    openat2(directory, name, flags, Mode::from_raw_mode(mode), RESOLVE)
}

/// A path to what `descriptor` stands for, for calls that take no descriptor without access.
pub(crate) fn path_to(descriptor: impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

/// Extended attributes that this process may read.
pub(crate) fn attributes(at: BorrowedFd<'_>, kind: Kind) -> Result<Vec<Attribute>, Errno> {
    if !matches!(kind, Kind::File | Kind::Directory) {
        return Ok(Vec::new());
    }
    let path = path_to(at);
    let mut names = vec![0; ATTRIBUTE_BYTES_MAX];
    let length = match listxattr(&path, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    names.truncate(length);
    let mut found = Vec::new();
    let mut buffer = Vec::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        buffer.resize(ATTRIBUTE_BYTES_MAX, 0);
        match getxattr(&path, name, buffer.as_mut_slice()) {
            Ok(length) => found.push(Attribute {
                name: name.to_vec(),
                value: buffer.get(..length).unwrap_or_default().to_vec(),
            }),
            // Gone meanwhile, or not for this user to read, and so not for its agent to change.
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Takes the state of `name` in `directory`, with `keep` for each piece of its content.
///
/// `Ok(None)` when it is not `id`. Read again when somebody writes meanwhile; who never stops is refused.
pub(crate) fn capture<E: From<Errno>>(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    id: Id,
    mut keep: impl FnMut(Digest, &[u8]) -> Result<(), E>,
) -> Result<Option<State>, E> {
    for _ in 0..READS_MAX {
        let at = open_at(directory, name, OFlags::PATH, 0)?;
        let before = look(&at)?;
        if before.id != id {
            return Ok(None);
        }
        let chunks = match before.kind {
            Kind::File => read_file(directory, name, &before, &mut keep)?,
            Kind::Link => {
                let target = readlinkat(&at, c"", Vec::new())?.into_bytes();
                let digest = Digest::of(&target);
                keep(digest, &target)?;
                vec![digest]
            }
            Kind::Directory | Kind::Pipe | Kind::Other => Vec::new(),
        };
        let attributes = attributes(at.as_fd(), before.kind)?;
        let after = look(&at)?;
        if (before.changed, before.size) == (after.changed, after.size)
            || before.kind == Kind::Directory
        {
            return Ok(Some(state_of(&before, chunks, attributes)));
        }
    }
    Err(Errno::BUSY.into())
}

pub(crate) fn state_of(look: &Look, chunks: Vec<Digest>, attributes: Vec<Attribute>) -> State {
    State {
        kind: look.kind,
        mode: look.mode,
        uid: look.uid,
        gid: look.gid,
        modified: look.modified,
        size: look.size,
        links: look.links,
        chunks,
        attributes,
    }
}

fn read_file<E: From<Errno>>(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    expected: &Look,
    keep: &mut impl FnMut(Digest, &[u8]) -> Result<(), E>,
) -> Result<Vec<Digest>, E> {
    if expected.size == 0 {
        return Ok(Vec::new());
    }
    let file = open_at(directory, name, OFlags::RDONLY, 0)?;
    if look(&file)?.id != expected.id {
        return Err(Errno::STALE.into());
    }
    let mut chunks = Vec::new();
    let most = usize::try_from(expected.size).unwrap_or(usize::MAX);
    let mut buffer = vec![0; CHUNK_BYTES.min(most)];
    let mut at = 0_u64;
    while at < expected.size {
        let count = fill(&file, &mut buffer, at)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            break;
        };
        let digest = Digest::of(piece);
        keep(digest, piece)?;
        chunks.push(digest);
        at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    Ok(chunks)
}

/// Reads until `buffer` is full or the file ends.
fn fill(file: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let offset = at.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match pread(file, rest, offset) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
