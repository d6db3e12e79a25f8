//! Where the other names of a file are: an index of the files that have several, made by walking the places where they can matter.
//!
//! The places are the trees that are granted and the person's home: there are the secrets that a rule takes out of a tree, and the
//! stores from which package managers link their files. The index only proposes; the view looks at each name itself and counts.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx,
};
use valetkey_view::Identity;

/// Entries that one walk looks at, at about a microsecond each. Beyond it names are missing, and what has them is refused.
const ENTRIES_MAX: usize = 2_000_000;
/// Names that are remembered, at some 150 bytes each.
const NAMES_MAX: usize = 500_000;
/// How long one walk takes at most: somebody waits for it.
const WALK_MAX: Duration = Duration::from_secs(10);
/// A walk is made again after this many times what the last one took, so that no agent keeps the guard at it.
const REST_FACTOR: u32 = 4;
/// And not sooner than this.
const REST_MIN: Duration = Duration::from_millis(100);

/// A device and a number on it.
type Object = (u64, u64);

/// The names of files that have several.
#[derive(Debug)]
pub(crate) struct Links {
    home: PathBuf,
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    names: HashMap<Object, Vec<PathBuf>>,
    /// Before this, it is not made anew.
    due: Option<Instant>,
}

impl Links {
    pub(crate) fn new(home: PathBuf) -> Self {
        Self {
            home,
            index: Mutex::default(),
        }
    }

    /// Names of `object`. `anew`: walks again first, if the last walk is not too lately; `granted` are the tops of granted trees.
    pub(crate) fn names(
        &self,
        object: Identity,
        anew: bool,
        granted: impl FnOnce() -> Vec<PathBuf>,
    ) -> Vec<PathBuf> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if anew && index.due.is_none_or(|due| Instant::now() >= due) {
            let mut tops = granted();
            tops.push(self.home.clone());
            let begun = Instant::now();
            index.names = walk(tops, begun.checked_add(WALK_MAX));
            let rest = begun.elapsed().saturating_mul(REST_FACTOR).max(REST_MIN);
            index.due = Instant::now().checked_add(rest);
        }
        let names = index.names.get(&(object.dev, object.ino));
        names.cloned().unwrap_or_default()
    }
}

/// Walks the trees, each once, and across no mount: a name is on the file's own file system.
fn walk(mut tops: Vec<PathBuf>, until: Option<Instant>) -> HashMap<Object, Vec<PathBuf>> {
    tops.sort();
    tops.dedup_by(|below, above| below.starts_with(above.as_path()));
    let mut walk = Walk {
        names: HashMap::new(),
        entries_left: ENTRIES_MAX,
        names_left: NAMES_MAX,
        until,
    };
    for top in tops {
        if walk.tree(&top).is_none() {
            break;
        }
    }
    walk.names
}

struct Walk {
    names: HashMap<Object, Vec<PathBuf>>,
    entries_left: usize,
    names_left: usize,
    until: Option<Instant>,
}

impl Walk {
    /// `None`: there is no budget left.
    fn tree(&mut self, top: &Path) -> Option<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // What cannot be opened has names that are not found, and what is missing is refused.
        let Ok(root) = openat2(CWD, top, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) else {
            return Some(());
        };
        let mut waiting = vec![PathBuf::from(".")];
        while let Some(below) = waiting.pop() {
            if self.until.is_none_or(|until| Instant::now() >= until) {
                return None;
            }
            let Some(directory) = enter(&root, &below) else {
                continue;
            };
            self.directory(&directory, top, &below, &mut waiting)?;
        }
        Some(())
    }

    fn directory(
        &mut self,
        directory: &OwnedFd,
        top: &Path,
        below: &Path,
        waiting: &mut Vec<PathBuf>,
    ) -> Option<()> {
        let Ok(entries) = Dir::read_from(directory) else {
            return Some(());
        };
        for entry in entries.flatten() {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            self.entries_left = self.entries_left.checked_sub(1)?;
            match entry.file_type() {
                FileType::Directory => waiting.push(below.join(name)),
                FileType::RegularFile | FileType::Unknown => {
                    if let Some(object) = of_many(directory, name) {
                        self.names_left = self.names_left.checked_sub(1)?;
                        let path = top
                            .join(below.strip_prefix(".").unwrap_or(below))
                            .join(name);
                        self.names.entry(object).or_default().push(path);
                    }
                }
                FileType::Symlink
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice => {}
            }
        }
        Some(())
    }
}

fn enter(root: &OwnedFd, below: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOATIME;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    openat2(root, below, flags, Mode::empty(), resolve)
        // Another user's directory may be read without, and not with that flag.
        .or_else(|_| {
            openat2(
                root,
                below,
                flags & !OFlags::NOATIME,
                Mode::empty(),
                resolve,
            )
        })
        .ok()
}

/// The object that `name` is, if it is a regular file with several names.
fn of_many(directory: &OwnedFd, name: &OsStr) -> Option<Object> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::TYPE | StatxFlags::NLINK | StatxFlags::INO;
    let stat = statx(directory.as_fd(), name, flags, wanted).ok()?;
    let regular = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::RegularFile;
    let dev = (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor);
    (regular && stat.stx_nlink > 1).then_some((dev, stat.stx_ino))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::open;

    use super::*;

    fn object(path: &Path) -> Identity {
        let file = open(path, OFlags::RDONLY, Mode::empty()).unwrap();
        valetkey_view::identity(file.as_fd()).unwrap()
    }

    #[test]
    fn all_names_in_the_trees_are_found_each_once_and_no_link_is_followed() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::create_dir_all(at("home/.ssh")).unwrap();
        fs::create_dir_all(at("work/deep/er")).unwrap();
        fs::write(at("home/.ssh/key"), "k").unwrap();
        fs::hard_link(at("home/.ssh/key"), at("work/deep/er/notes")).unwrap();
        fs::write(at("work/alone"), "a").unwrap();
        std::os::unix::fs::symlink(at("home"), at("work/link")).unwrap();
        let links = Links::new(at("home"));
        let key = object(&at("home/.ssh/key"));
        assert!(links.names(key, false, Vec::new).is_empty());
        let granted = || vec![at("work"), at("work/deep"), at("gone")];
        let mut names = links.names(key, true, granted);
        names.sort();
        assert_eq!(names, [at("home/.ssh/key"), at("work/deep/er/notes")]);
        assert!(
            links
                .names(object(&at("work/alone")), false, Vec::new)
                .is_empty()
        );
    }

    #[test]
    fn it_is_not_walked_again_at_once() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::write(at("a"), "a").unwrap();
        fs::hard_link(at("a"), at("b")).unwrap();
        let links = Links::new(top.path().to_path_buf());
        let object = object(&at("a"));
        assert_eq!(links.names(object, true, Vec::new).len(), 2);
        fs::hard_link(at("a"), at("c")).unwrap();
        assert_eq!(links.names(object, true, Vec::new).len(), 2);
        std::thread::sleep(REST_MIN);
        assert_eq!(links.names(object, true, Vec::new).len(), 3);
    }

    #[test]
    fn a_walk_without_time_or_room_finds_less_and_ends() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("a"), "a").unwrap();
        fs::hard_link(top.path().join("a"), top.path().join("b")).unwrap();
        assert!(walk(vec![top.path().to_path_buf()], Some(Instant::now())).is_empty());
        let mut short = Walk {
            names: HashMap::new(),
            entries_left: 1,
            names_left: 10,
            until: Instant::now().checked_add(WALK_MAX),
        };
        assert_eq!(short.tree(top.path()), None);
        assert_eq!(short.names.values().flatten().count(), 1);
    }
}
