//! Plans of operations, and one step of a plan on one tree.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use proptest::prelude::*;
use rustix::fs::{
    AtFlags, Dir, FallocateFlags, FileType, Mode, OFlags, RenameFlags, SeekFrom, Timespec,
    Timestamps, UTIME_OMIT, XattrFlags, chmodat, copy_file_range, fallocate, fchmod, fgetxattr,
    flistxattr, fremovexattr, fsetxattr, fstat, ftruncate, linkat, mkdirat, mknodat, openat,
    readlinkat, renameat_with, seek, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::{Errno, pread, pwrite, write};

/// Files that a plan may hold open.
const SLOTS: usize = 3;

/// One operation. Paths are numbers of [`path`], so that plans meet themselves.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Open(usize, usize, u32, u32),
    Temporary(usize, usize, u32),
    LinkOpen(usize, usize),
    Close(usize),
    Read(usize, u64, usize),
    Write(usize, u64, usize, u8),
    WriteOn(usize, usize, u8),
    Resize(usize, u64),
    Allocate(usize, u32, u64, u64),
    Copy(usize, u64, usize, u64, usize),
    Holes(usize, u64),
    OpenMode(usize, u32),
    MakeDirectory(usize, u32),
    MakeNode(usize, bool, u32),
    Remove(usize, bool),
    Rename(usize, usize, u32),
    Link(usize, usize, bool),
    Symlink(usize, usize),
    ReadLink(usize),
    Mode(usize, u32),
    Times(usize, bool, i64, u32),
    SetAttribute(usize, usize, usize, u32),
    Attributes(usize),
    RemoveAttribute(usize, usize),
    Stat(usize, bool),
    OpenStat(usize),
    List(usize),
}

/// The paths of plans: short ones that meet, and those at the edges of what a name is.
pub(crate) fn path(number: usize) -> OsString {
    const PLAIN: [&str; 14] = [
        "a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/f", "a/x", "d/", "d/../a", "d/.", ".", "",
    ];
    match number {
        14 => OsString::from("n".repeat(255)),
        15 => OsString::from("n".repeat(256)),
        16 => OsString::from_vec(vec![b'u', 0xff, 0xfe]),
        17 => OsString::from("a/"),
        other => OsString::from(PLAIN[other % PLAIN.len()]),
    }
}

const PATHS: usize = 18;

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..most)
}

fn at() -> impl Strategy<Value = usize> {
    // Mostly the first ones, which meet.
    prop_oneof![5 => 0..8_usize, 1 => 8..PATHS]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => step_on_names(),
        2 => step_on_open_files(),
        1 => step_on_attributes(),
    ]
}

fn step_on_open_files() -> impl Strategy<Value = Step> {
    let slot = || 0..SLOTS;
    let offset = || prop_oneof![0..5000_u64, Just(1 << 20)];
    let flags = prop::sample::subsequence(
        vec![
            OFlags::CREATE,
            OFlags::EXCL,
            OFlags::TRUNC,
            OFlags::APPEND,
            OFlags::NOFOLLOW,
            OFlags::DIRECTORY,
            OFlags::SYNC,
            OFlags::NONBLOCK,
            OFlags::NOATIME,
        ],
        0..4,
    );
    let access = prop_oneof![
        1 => Just(OFlags::RDONLY),
        1 => Just(OFlags::WRONLY),
        3 => Just(OFlags::RDWR)
    ];
    let opening = (access, flags).prop_map(|(access, more)| {
        let all = more.into_iter().fold(access, |all, flag| all | flag);
        // A pipe without somebody at the other end would wait.
        (all | OFlags::NONBLOCK).bits()
    });
    prop_oneof![
        6 => (slot(), at(), opening, 0..0o1000_u32).prop_map(|(s, p, f, m)| Step::Open(s, p, f, m)),
        1 => (slot(), at(), 0..0o1000_u32).prop_map(|(s, p, m)| Step::Temporary(s, p, m)),
        1 => (slot(), at()).prop_map(|(s, p)| Step::LinkOpen(s, p)),
        1 => slot().prop_map(Step::Close),
        3 => (slot(), offset(), 0..9000_usize).prop_map(|(s, o, l)| Step::Read(s, o, l)),
        3 => (slot(), offset(), 0..9000_usize, any::<u8>())
            .prop_map(|(s, o, l, b)| Step::Write(s, o, l, b)),
        2 => (slot(), 0..9000_usize, any::<u8>()).prop_map(|(s, l, b)| Step::WriteOn(s, l, b)),
        1 => (slot(), offset()).prop_map(|(s, l)| Step::Resize(s, l)),
        // To insert or to collapse is no operation of FUSE: the kernel refuses it by itself.
        2 => (slot(), prop::sample::select(vec![0, 1, 2, 3, 0x10, 0x11]), offset(), 0..9000_u64)
            .prop_map(|(s, m, o, l)| Step::Allocate(s, m, o, l)),
        1 => (slot(), offset(), slot(), offset(), 0..9000_usize)
            .prop_map(|(s, o, t, p, l)| Step::Copy(s, o, t, p, l)),
        1 => (slot(), offset()).prop_map(|(s, o)| Step::Holes(s, o)),
        1 => (slot(), 0..0o1000_u32).prop_map(|(s, m)| Step::OpenMode(s, m)),
    ]
}

fn step_on_names() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (at(), 0..0o1000_u32).prop_map(|(p, m)| Step::MakeDirectory(p, m | 0o700)),
        1 => (at(), any::<bool>(), 0..0o1000_u32).prop_map(|(p, f, m)| Step::MakeNode(p, f, m)),
        2 => (at(), any::<bool>()).prop_map(|(p, d)| Step::Remove(p, d)),
        3 => (at(), at(), 0..4_u32).prop_map(|(p, q, f)| Step::Rename(p, q, f)),
        2 => (at(), at(), any::<bool>()).prop_map(|(p, q, f)| Step::Link(p, q, f)),
        2 => (at(), at()).prop_map(|(p, q)| Step::Symlink(p, q)),
        1 => at().prop_map(Step::ReadLink),
        2 => at().prop_map(Step::List),
    ]
}

fn step_on_attributes() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (at(), 0..0o2000_u32).prop_map(|(p, m)| Step::Mode(p, m)),
        1 => (at(), any::<bool>(), -9..2_000_000_000_i64, 0..1_000_000_000_u32)
            .prop_map(|(p, f, s, n)| Step::Times(p, f, s, n)),
        1 => (0..SLOTS, 0..4_usize, 0..300_usize, 0..3_u32)
            .prop_map(|(s, n, l, f)| Step::SetAttribute(s, n, l, f)),
        1 => (0..SLOTS).prop_map(Step::Attributes),
        2 => (0..SLOTS).prop_map(Step::OpenStat),
        1 => (0..SLOTS, 0..4_usize).prop_map(|(s, n)| Step::RemoveAttribute(s, n)),
        2 => (at(), any::<bool>()).prop_map(|(p, f)| Step::Stat(p, f)),
    ]
}

/// A tree that plans are carried out on, with the files that they hold open.
pub(crate) struct Tree {
    root: OwnedFd,
    open: Vec<Option<OwnedFd>>,
}

impl Tree {
    pub(crate) fn new(root: &std::path::Path) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self {
            root: rustix::fs::open(root, flags, Mode::empty()).expect("root"),
            open: (0..SLOTS).map(|_| None).collect(),
        }
    }

    fn file(&self, slot: usize) -> Result<&OwnedFd, Errno> {
        self.open[slot].as_ref().ok_or(Errno::BADF)
    }

    /// An open file that still has a name, or is a regular one: of a directory or a pipe that was removed nothing but its
    /// state is to be had through the view.
    fn changeable(&self, slot: usize) -> Result<&OwnedFd, Errno> {
        let file = self.file(slot)?;
        let stat = fstat(file)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        (regular || stat.st_nlink > 0)
            .then_some(file)
            .ok_or(Errno::STALE)
    }

    /// Carries out one step; answers what a program would see of it.
    pub(crate) fn run(&mut self, step: &Step) -> Result<String, Errno> {
        match *step {
            Step::Open(slot, at, flags, mode) => {
                let flags = OFlags::from_bits_retain(flags) | OFlags::CLOEXEC;
                self.open[slot] = None;
                self.keep(
                    slot,
                    openat(&self.root, path(at), flags, Mode::from_raw_mode(mode)),
                )
            }
            Step::Temporary(slot, at, mode) => {
                let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
                self.open[slot] = None;
                self.keep(
                    slot,
                    openat(&self.root, path(at), flags, Mode::from_raw_mode(mode)),
                )
            }
            Step::Close(slot) => {
                self.open[slot] = None;
                Ok(String::new())
            }
            Step::Stat(at, follows) => {
                let flags = if follows {
                    AtFlags::empty()
                } else {
                    AtFlags::SYMLINK_NOFOLLOW
                };
                statat(&self.root, path(at), flags).map(|stat| seen(&stat))
            }
            Step::List(at) => self.list(&path(at)),
            _ => self.run_on_open(step),
        }
    }

    fn keep(&mut self, slot: usize, opened: Result<OwnedFd, Errno>) -> Result<String, Errno> {
        let opened = opened?;
        let seen = seen(&fstat(&opened)?);
        self.open[slot] = Some(opened);
        Ok(seen)
    }

    fn list(&self, at: &OsStr) -> Result<String, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&self.root, at, flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let kind = entry.file_type();
            names.push(format!("{:?} {kind:?}", entry.file_name()));
        }
        names.sort();
        Ok(names.join("\n"))
    }

    fn run_on_open(&mut self, step: &Step) -> Result<String, Errno> {
        match *step {
            Step::Read(slot, offset, length) => {
                let mut bytes = vec![0; length];
                let count = pread(self.file(slot)?, &mut bytes, offset)?;
                Ok(format!("{count} {:?}", digest(&bytes[..count])))
            }
            Step::Write(slot, offset, length, byte) => {
                pwrite(self.file(slot)?, &vec![byte; length], offset).map(|n| n.to_string())
            }
            Step::WriteOn(slot, length, byte) => {
                write(self.file(slot)?, &vec![byte; length]).map(|n| n.to_string())
            }
            Step::Resize(slot, length) => ftruncate(self.file(slot)?, length).map(nothing),
            Step::Allocate(slot, mode, offset, length) => {
                let mode = FallocateFlags::from_bits_retain(mode);
                fallocate(self.file(slot)?, mode, offset, length).map(nothing)
            }
            Step::Copy(from, mut offset, to, mut offset_to, length) => {
                let (from, to) = (self.file(from)?, self.file(to)?);
                let (offset, offset_to) = (Some(&mut offset), Some(&mut offset_to));
                copy_file_range(from, offset, to, offset_to, length).map(|n| n.to_string())
            }
            Step::Holes(slot, offset) => {
                let file = self.file(slot)?;
                // Where a directory has holes is not anything that a program asks.
                if FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::Directory {
                    return Err(Errno::ISDIR);
                }
                let hole = seek(file, SeekFrom::Hole(offset));
                let data = seek(file, SeekFrom::Data(offset));
                seek(file, SeekFrom::Start(0))?;
                Ok(format!("{hole:?} {data:?}"))
            }
            Step::OpenStat(slot) => fstat(self.file(slot)?).map(|stat| seen(&stat)),
            Step::OpenMode(slot, mode) => {
                fchmod(self.changeable(slot)?, Mode::from_raw_mode(mode)).map(nothing)
            }
            Step::SetAttribute(slot, name, length, flags) => {
                let flags = XattrFlags::from_bits_retain(flags);
                fsetxattr(
                    self.changeable(slot)?,
                    attribute(name),
                    &vec![7; length],
                    flags,
                )
                .map(nothing)
            }
            Step::Attributes(slot) => attributes(self.file(slot)?),
            Step::RemoveAttribute(slot, name) => {
                fremovexattr(self.changeable(slot)?, attribute(name)).map(nothing)
            }
            Step::LinkOpen(slot, at) => {
                use std::os::fd::AsRawFd as _;
                let number = self.file(slot)?.as_raw_fd();
                let from = format!("/proc/self/fd/{number}");
                let flags = AtFlags::SYMLINK_FOLLOW;
                linkat(rustix::fs::CWD, from, &self.root, path(at), flags).map(nothing)
            }
            _ => self.run_on_names(step),
        }
    }

    fn run_on_names(&self, step: &Step) -> Result<String, Errno> {
        let root = self.root.as_fd();
        match *step {
            Step::MakeDirectory(at, mode) => {
                mkdirat(root, path(at), Mode::from_raw_mode(mode)).map(nothing)
            }
            Step::MakeNode(at, pipe, mode) => {
                let kind = if pipe {
                    FileType::Fifo
                } else {
                    FileType::RegularFile
                };
                mknodat(root, path(at), kind, Mode::from_raw_mode(mode), 0).map(nothing)
            }
            Step::Remove(at, directory) => {
                let flags = if directory {
                    AtFlags::REMOVEDIR
                } else {
                    AtFlags::empty()
                };
                unlinkat(root, path(at), flags).map(nothing)
            }
            Step::Rename(from, to, flags) => {
                let flags = RenameFlags::from_bits_retain(flags);
                renameat_with(root, path(from), root, path(to), flags).map(nothing)
            }
            Step::Link(from, to, follows) => {
                let flags = if follows {
                    AtFlags::SYMLINK_FOLLOW
                } else {
                    AtFlags::empty()
                };
                linkat(root, path(from), root, path(to), flags).map(nothing)
            }
            Step::Symlink(target, at) => symlinkat(path(target), root, path(at)).map(nothing),
            Step::ReadLink(at) => {
                readlinkat(root, path(at), Vec::new()).map(|target| format!("{target:?}"))
            }
            Step::Mode(at, mode) => {
                let mode = Mode::from_raw_mode(mode);
                chmodat(root, path(at), mode, AtFlags::empty()).map(nothing)
            }
            Step::Times(at, follows, seconds, nanoseconds) => {
                let time = Timespec {
                    tv_sec: seconds,
                    tv_nsec: nanoseconds.into(),
                };
                let left = Timespec {
                    tv_sec: 0,
                    tv_nsec: UTIME_OMIT,
                };
                let times = Timestamps {
                    last_access: left,
                    last_modification: time,
                };
                let flags = if follows {
                    AtFlags::empty()
                } else {
                    AtFlags::SYMLINK_NOFOLLOW
                };
                utimensat(root, path(at), &times, flags)?;
                let stat = statat(root, path(at), flags)?;
                Ok(format!("{} {}", stat.st_mtime, stat.st_mtime_nsec))
            }
            _ => unreachable!("every step is carried out above"),
        }
    }
}

fn nothing((): ()) -> String {
    String::new()
}

fn attribute(number: usize) -> String {
    match number {
        3 => format!("user.{}", "x".repeat(200)),
        other => format!("user.{other}"),
    }
}

fn attributes(file: &OwnedFd) -> Result<String, Errno> {
    let mut list = vec![0_u8; 4096];
    let count = flistxattr(file, &mut list)?;
    let mut names: Vec<_> = list[..count]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect();
    names.sort();
    let mut text = String::new();
    for name in names {
        let mut value = vec![0_u8; 1024];
        let length = fgetxattr(file, &name, &mut value)?;
        writeln!(text, "{name:?} {length}").expect("a string");
    }
    Ok(text)
}

/// What of a `stat` must be the same on both sides.
fn seen(stat: &rustix::fs::Stat) -> String {
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    // How long a directory is and how many blocks it takes depends on what was in it before.
    let size = if directory { 0 } else { stat.st_size };
    format!(
        "{:o} {} {} {} {}",
        stat.st_mode, stat.st_nlink, size, stat.st_uid, stat.st_gid
    )
}

/// Content as runs of equal bytes, short enough to be read in a failure.
pub(crate) fn digest(bytes: &[u8]) -> Vec<(u8, usize)> {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    for byte in bytes {
        match runs.last_mut() {
            Some((last, count)) if last == byte => *count += 1,
            _ => runs.push((*byte, 1)),
        }
    }
    runs
}
