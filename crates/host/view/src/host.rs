//! The real file system, reached one name at a time beneath directory descriptors.
//!
//! Invariant (a path is resolved once): nothing here takes a path of more than one segment once the
//! view is built. Every step is relative to a descriptor, follows no symbolic link and no magic link,
//! and what is opened is compared with what was decided on.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxAttributes, StatxFlags, StatxTimestamp,
    fstatfs, open, openat2, readlinkat, statx,
};
use rustix::io::Errno;
use valetkey_fuse::{Attributes, Time};
use valetkey_model::FileKind;

use crate::authority::{Facts, Identity};
use crate::config::Graft;
use crate::locks::{read, write};

pub(crate) const KIND_MASK: u32 = 0o170_000;
pub(crate) const KIND_DIRECTORY: u32 = 0o040_000;
pub(crate) const KIND_REGULAR: u32 = 0o100_000;
pub(crate) const KIND_SYMLINK: u32 = 0o120_000;
pub(crate) const KIND_PIPE: u32 = 0o010_000;
pub(crate) const KIND_SOCKET: u32 = 0o140_000;
/// Set-user-id and set-group-id.
pub(crate) const SET_ID: u32 = 0o6000;

/// Names that begin so are in no view: a file with what masks hide has one before it takes its place.
pub(crate) const HIDDEN_NAME: &[u8] = b".valetkey-masked-";

/// How every name is resolved.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_SYMLINKS);

/// File systems that are windows into the kernel or into other processes, by `statfs` magic: they
/// are never part of the view, whatever is granted.
const SPECIAL_FILE_SYSTEMS: &[i64] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x1cd1,      // devpts
    0x7363_6673, // securityfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0xcafe_4a11, // bpf
    0x6265_6570, // configfs
    0x4249_4e4d, // binfmt_misc
    0x6e73_6673, // nsfs
    0x1980_0202, // mqueue
    0x0187,      // autofs
    0x6573_5543, // fusectl
];

/// What makes an object the same object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Host {
        dev: u64,
        ino: u64,
        /// Tells an object from a later one with the same inode number.
        birth: Time,
        kind: u32,
        /// For directories: a directory mounted at two places is two directories of the view.
        mount: u64,
    },
    /// Only the view has it.
    Virtual(PathBuf),
}

/// The state of an object of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) dev: u64,
    pub(crate) mount: u64,
    pub(crate) birth: Option<Time>,
    /// With the host's owners.
    pub(crate) attributes: Attributes,
    pub(crate) is_mount_root: bool,
}

impl Stat {
    pub(crate) fn kind(&self) -> u32 {
        self.attributes.mode & KIND_MASK
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind() == KIND_DIRECTORY
    }

    pub(crate) fn key(&self) -> Key {
        let mount = if self.is_directory() { self.mount } else { 0 };
        Key::Host {
            dev: self.dev,
            ino: self.attributes.ino,
            birth: self.birth.unwrap_or_default(),
            kind: self.kind(),
            mount,
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            dev: self.dev,
            ino: self.attributes.ino,
            birth: self.birth,
        }
    }

    pub(crate) fn facts(&self) -> Facts {
        let attributes = &self.attributes;
        Facts {
            kind: file_kind(attributes.mode),
            size: attributes.size,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            nlink: u64::from(attributes.nlink),
            dev: self.dev,
            ino: attributes.ino,
            mtime: attributes.mtime,
            ctime: attributes.ctime,
        }
    }
}

/// The identity of what is open here.
///
/// # Errors
/// When the system does not say.
pub fn identity(descriptor: BorrowedFd<'_>) -> io::Result<Identity> {
    Ok(stat_descriptor(descriptor)?.identity())
}

pub(crate) fn file_kind(mode: u32) -> FileKind {
    match mode & KIND_MASK {
        KIND_REGULAR => FileKind::File,
        KIND_DIRECTORY => FileKind::Directory,
        KIND_SYMLINK => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

/// Mounts whose objects are born anew when they are changed first: what is below a graft. There an object is known by its number alone.
static WITHOUT_BIRTH: RwLock<Vec<u64>> = RwLock::new(Vec::new());

/// A directory in whose place another is shown.
#[derive(Debug)]
struct Grafted {
    path: PathBuf,
    root: Arc<OwnedFd>,
    /// Device and number of what is there without it.
    covered: (u64, u64),
}

/// The host's file system, with what is hidden in it.
#[derive(Debug)]
pub(crate) struct Host {
    root: Arc<OwnedFd>,
    grafts: Vec<Grafted>,
    /// `/proc/self/fd`: the way to an object that a descriptor without access stands for.
    descriptors: OwnedFd,
    hidden_paths: Vec<PathBuf>,
    hidden_objects: HashSet<(u64, u64)>,
    /// Which devices hold a file system that may be shown.
    devices: RwLock<HashMap<u64, bool>>,
}

impl Host {
    pub(crate) fn new(root: &Path, hidden: &[PathBuf]) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(root, flags, Mode::empty())?;
        let descriptors = open("/proc/self/fd", flags, Mode::empty())?;
        let mut host = Self {
            root: Arc::new(root),
            grafts: Vec::new(),
            descriptors,
            hidden_paths: Vec::new(),
            hidden_objects: HashSet::new(),
            devices: RwLock::default(),
        };
        for path in hidden {
            host.hide(path)?;
        }
        Ok(host)
    }

    /// Shows another directory in the place of the one at `graft.path`, whatever leads there.
    pub(crate) fn graft(&mut self, graft: &Graft) -> io::Result<()> {
        let covered = stat_descriptor(self.open_root(&graft.path)?.as_fd())?;
        let shown = stat_descriptor(graft.root.as_fd())?;
        write(&WITHOUT_BIRTH).push(shown.mount);
        self.grafts.push(Grafted {
            path: graft.path.clone(),
            root: Arc::clone(&graft.root),
            covered: (covered.dev, covered.attributes.ino),
        });
        Ok(())
    }

    /// Whether anything is shown in the place of something else.
    pub(crate) fn has_grafts(&self) -> bool {
        !self.grafts.is_empty()
    }

    /// What is shown in the place of this object.
    fn grafted(&self, stat: &Stat) -> Option<&Grafted> {
        let object = (stat.dev, stat.attributes.ino);
        self.grafts
            .iter()
            .find(|graft| graft.covered == object && stat.is_directory())
    }

    /// Hides `path`: by the name given, by the name that it has without links, and as the object that
    /// is there now.
    fn hide(&mut self, path: &Path) -> io::Result<()> {
        let top = self.real_path(self.root.as_fd())?;
        let relative = path.strip_prefix("/").map_err(|_| Errno::INVAL)?;
        let mut existing = relative;
        let opened = loop {
            let at = if existing.as_os_str().is_empty() {
                Path::new(".")
            } else {
                existing
            };
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            match openat2(&self.root, at, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
                Ok(opened) => break opened,
                // What does not exist yet will be where what leads there is.
                Err(Errno::NOENT) => existing = existing.parent().ok_or(Errno::NOENT)?,
                Err(error) => return Err(error.into()),
            }
        };
        if existing == relative {
            let stat = stat_descriptor(opened.as_fd())?;
            self.hidden_objects.insert((stat.dev, stat.attributes.ino));
        }
        let real = self.real_path(opened.as_fd())?;
        let below_top = real.strip_prefix(&top).map_err(|_| Errno::XDEV)?;
        let rest = relative.strip_prefix(existing).map_err(|_| Errno::INVAL)?;
        let mut real = Path::new("/").join(below_top);
        real.extend(rest.components());
        self.hidden_paths.extend([path.to_path_buf(), real]);
        Ok(())
    }

    /// The path, as this process sees it, of what `descriptor` stands for.
    fn real_path(&self, descriptor: BorrowedFd<'_>) -> io::Result<PathBuf> {
        let (directory, name) = self.link_to(descriptor);
        let target = readlinkat(directory, name, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// Opens the directory `path` of the view, which may have several segments: only for the root
    /// of a connection.
    pub(crate) fn open_root(&self, path: &Path) -> Result<Arc<OwnedFd>, Errno> {
        let mut from = (
            &self.root,
            path.strip_prefix("/").map_err(|_| Errno::INVAL)?,
        );
        for graft in &self.grafts {
            if let Ok(below) = path.strip_prefix(&graft.path) {
                from = (&graft.root, below);
            }
        }
        let (root, relative) = from;
        if relative.as_os_str().is_empty() {
            return Ok(Arc::clone(root));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(root, relative, flags, Mode::empty(), RESOLVE).map(Arc::new)
    }

    /// What is at `path` of the view, and the directory that it is in: only to compare, never to act on. No link is followed.
    pub(crate) fn look(&self, path: &Path) -> Result<(Stat, Stat), Errno> {
        let (parent, name) = (path.parent(), path.file_name());
        let (parent, name) = parent.zip(name).ok_or(Errno::INVAL)?;
        let parent = self.open_root(parent)?;
        Ok((
            stat_descriptor(parent.as_fd())?,
            self.stat(parent.as_fd(), name)?,
        ))
    }

    /// Whether `path` or something above it is hidden.
    pub(crate) fn is_hidden(&self, path: &Path) -> bool {
        path.file_name().is_some_and(is_hidden_name)
            || self
                .hidden_paths
                .iter()
                .any(|hidden| path.starts_with(hidden))
    }

    /// Whether something hidden is below `path`.
    pub(crate) fn hides_below(&self, path: &Path) -> bool {
        self.hidden_paths
            .iter()
            .any(|hidden| hidden.starts_with(path))
    }

    /// What `name` in `directory` is. What may never be shown answers `ENOENT`, as if it were not.
    pub(crate) fn stat(&self, directory: BorrowedFd<'_>, name: &OsStr) -> Result<Stat, Errno> {
        if is_hidden_name(name) {
            return Err(Errno::NOENT);
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = convert(&statx(directory, name, flags, STATX_WANTED)?);
        if self
            .hidden_objects
            .contains(&(stat.dev, stat.attributes.ino))
        {
            return Err(Errno::NOENT);
        }
        if let Some(graft) = self.grafted(&stat) {
            return stat_descriptor(graft.root.as_fd());
        }
        if stat.is_mount_root && !self.is_ordinary(&stat, directory, name)? {
            return Err(Errno::NOENT);
        }
        Ok(stat)
    }

    /// Opens `name` in `directory`, never through a link, and with flags that cannot block or have
    /// an effect on a device.
    pub(crate) fn open(
        &self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        flags: OFlags,
        mode: u32,
    ) -> Result<OwnedFd, Errno> {
        let flags = if flags.contains(OFlags::PATH) {
            flags | OFlags::CLOEXEC | OFlags::NOFOLLOW
        } else {
            flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY
        };
        let mode = Mode::from_raw_mode(mode);
        let opened = openat2(directory, name, flags, mode, RESOLVE);
        let opened = match opened {
            Ok(opened) if self.has_grafts() => {
                match self.grafted(&stat_descriptor(opened.as_fd())?) {
                    Some(graft) => openat2(&graft.root, ".", flags, mode, RESOLVE),
                    None => Ok(opened),
                }
            }
            other => other,
        };
        opened.map_err(|error| match error {
            // The name has become a link or a way out: what was decided on is not there any more.
            Errno::LOOP | Errno::XDEV => Errno::STALE,
            other => other,
        })
    }

    /// Opens `name` and makes sure that it is `key`.
    pub(crate) fn open_object(
        &self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        flags: OFlags,
        key: &Key,
    ) -> Result<(OwnedFd, Stat), Errno> {
        let opened = self.open(directory, name, flags, 0)?;
        let stat = stat_descriptor(opened.as_fd())?;
        if stat.key() == *key {
            Ok((opened, stat))
        } else {
            Err(Errno::STALE)
        }
    }

    /// Opens the directory that `descriptor` stands for, to be listed: only for a root, which has no
    /// name to be opened by.
    pub(crate) fn open_itself(&self, descriptor: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(descriptor, ".", flags, Mode::empty(), RESOLVE)
    }

    /// A path, of one segment beneath [`Host::descriptors`], that leads to what `descriptor` stands for.
    pub(crate) fn link_to(&self, descriptor: BorrowedFd<'_>) -> (BorrowedFd<'_>, String) {
        (self.descriptors.as_fd(), descriptor.as_raw_fd().to_string())
    }

    /// The same as one absolute path, for calls that take no directory.
    pub(crate) fn path_to(descriptor: BorrowedFd<'_>) -> String {
        format!("/proc/self/fd/{}", descriptor.as_raw_fd())
    }

    /// Whether the file system mounted at `name` may be shown.
    fn is_ordinary(
        &self,
        stat: &Stat,
        directory: BorrowedFd<'_>,
        name: &OsStr,
    ) -> Result<bool, Errno> {
        if let Some(known) = read(&self.devices).get(&stat.dev) {
            return Ok(*known);
        }
        let at = self.open(directory, name, OFlags::PATH, 0)?;
        let magic = fstatfs(&at)?.f_type;
        let ordinary = !SPECIAL_FILE_SYSTEMS.contains(&magic);
        write(&self.devices).insert(stat.dev, ordinary);
        Ok(ordinary)
    }
}

const STATX_WANTED: StatxFlags = StatxFlags::BASIC_STATS
    .union(StatxFlags::BTIME)
    .union(StatxFlags::MNT_ID);

fn is_hidden_name(name: &OsStr) -> bool {
    name.as_bytes().starts_with(HIDDEN_NAME)
}

/// What an open descriptor stands for.
pub(crate) fn stat_descriptor(descriptor: BorrowedFd<'_>) -> Result<Stat, Errno> {
    statx(descriptor, c"", AtFlags::EMPTY_PATH, STATX_WANTED).map(|stat| convert(&stat))
}

fn convert(stat: &Statx) -> Stat {
    let known = StatxFlags::from_bits_retain(stat.stx_mask);
    let birth = (known.contains(StatxFlags::BTIME)
        && !read(&WITHOUT_BIRTH).contains(&stat.stx_mnt_id))
    .then(|| time(&stat.stx_btime));
    Stat {
        dev: (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor),
        mount: stat.stx_mnt_id,
        birth,
        is_mount_root: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        attributes: Attributes {
            ino: stat.stx_ino,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            atime: time(&stat.stx_atime),
            mtime: time(&stat.stx_mtime),
            ctime: time(&stat.stx_ctime),
            mode: u32::from(stat.stx_mode),
            nlink: stat.stx_nlink,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            rdev: device_number(stat.stx_rdev_major, stat.stx_rdev_minor),
            blksize: stat.stx_blksize,
        },
    }
}

fn time(time: &StatxTimestamp) -> Time {
    (time.tv_sec, time.tv_nsec)
}

/// A device number as the kernel packs it into 32 bits.
fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0x000f_ff00) << 12)
}
