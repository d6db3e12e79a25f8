//! Finding a further name of an object that no record names: the agent changed a file by one hard link, and its others were never touched.

use std::path::{Path, PathBuf};

use rustix::fs::{Dir, OFlags};

use crate::history::History;
use crate::object::{self, open_at};
use crate::record::{Change, Id, Kind};

/// Names that are looked at before the search is given up: a minute or so.
const NAMES_MAX: usize = 1_000_000;

/// A name of `id` below the directory that all changes were made in.
pub(super) fn search(history: &History, id: Id) -> Option<PathBuf> {
    let top = common_directory(history)?;
    let mut left = vec![top];
    let mut names = 0_usize;
    while let Some(at) = left.pop() {
        let Ok(directory) = object::directory(&at) else {
            continue;
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let Ok(listing) = open_at(&directory, ".".as_ref(), flags, 0) else {
            continue;
        };
        let Ok(entries) = Dir::read_from(&listing) else {
            continue;
        };
        for entry in entries.flatten() {
            use std::os::unix::ffi::OsStrExt as _;
            let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            names = names.saturating_add(1);
            if names > NAMES_MAX {
                return None;
            }
            let Ok(Some(look)) = object::look_at(&directory, name) else {
                continue;
            };
            if look.id == id {
                return Some(at.join(name));
            }
            // A link does not lead to another file system.
            if look.kind == Kind::Directory && look.id.dev == id.dev {
                left.push(at.join(name));
            }
        }
    }
    None
}

/// The lowest directory above everything that was changed; nothing where that is the root of all.
fn common_directory(history: &History) -> Option<PathBuf> {
    let mut common: Option<PathBuf> = None;
    for record in &history.records {
        let (Change::Kept { path, .. }
        | Change::Made { path, .. }
        | Change::Removed { path, .. }
        | Change::Renamed { from: path, .. }) = &record.change
        else {
            continue;
        };
        let above = path.parent()?;
        common = Some(match common {
            None => above.to_path_buf(),
            Some(common) => shared(&common, above),
        });
    }
    common.filter(|path| path.parent().is_some())
}

fn shared(one: &Path, other: &Path) -> PathBuf {
    one.components()
        .zip(other.components())
        .take_while(|(one, other)| one == other)
        .map(|(one, _)| one)
        .collect()
}
