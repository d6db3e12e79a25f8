//! A new file in the place of a masked one: made beside it under a name that no view shows, and moved over it in one step.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::hash::BuildHasher;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timestamps, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr,
    fsetxattr, fsync, openat, renameat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::draft::write_whole;
use crate::connection::Server;
use crate::host::{HIDDEN_NAME, Host, Key, SET_ID, Stat, stat_descriptor};
use crate::keeper::{self, Renaming};

/// Bytes of the names of a file's attributes, and of one value: what Linux has at most.
const ATTRIBUTES_BYTES_MAX: usize = 64 * 1024;

/// A file by its name, in a directory that is held open.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) name: OsString,
    pub(super) path: PathBuf,
    pub(super) key: Key,
}

/// What is to be put in the place of a file.
pub(super) struct Put<'a> {
    pub(super) place: &'a Place,
    /// Mode, owner and attributes are those of this one.
    pub(super) like: BorrowedFd<'a>,
    pub(super) content: &'a [u8],
    /// When it was changed last, if somebody said so.
    pub(super) times: Option<Timestamps>,
}

impl Server {
    /// Puts a new file in the place of an old one, durable before it is there.
    pub(super) fn put(&self, put: &Put<'_>) -> Result<(OwnedFd, Stat), Errno> {
        let Put { place, content, .. } = put;
        let directory = place.directory.as_fd();
        let beside = name_beside();
        let path = place.path.with_file_name(&beside);
        let making = self.keep_making(directory, &path, None)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(directory, &beside, flags, Mode::RUSR | Mode::WUSR)?;
        let filled = write_whole(&file, content)
            .and_then(|()| take_after(put.like, &file))
            .and_then(|()| match &put.times {
                Some(times) => utimensat(&file, "", times, AtFlags::EMPTY_PATH),
                None => Ok(()),
            })
            .and_then(|()| fsync(&file))
            .and_then(|()| self.move_over(&file, &beside, put));
        match filled {
            Ok(()) => {
                making.done(&[]);
                let stat = stat_descriptor(file.as_fd())?;
                self.kept_made(&place.path, &stat);
                // The new name is there; that it lasts through a power cut is the directory's.
                let _best_effort = self.sync_directory_of(directory);
                Ok((file, stat))
            }
            Err(error) => {
                // What stays behind is the person's alone, and in no view.
                let _best_effort = unlinkat(directory, &beside, AtFlags::empty());
                Err(error)
            }
        }
    }

    fn move_over(&self, file: &OwnedFd, beside: &OsStr, put: &Put<'_>) -> Result<(), Errno> {
        let Put { place, .. } = put;
        let directory = place.directory.as_fd();
        let path = place.path.with_file_name(beside);
        let host = &self.shared.host;
        let (_, old) = host.open_object(directory, &place.name, OFlags::PATH, &place.key)?;
        let new = stat_descriptor(file.as_fd())?;
        let renaming = Renaming {
            parents: [
                keeper::parent(directory, &path),
                keeper::parent(directory, &place.path),
            ],
            moved: keeper::doomed(directory, beside, &path, &new),
            to: &place.path,
            replaced: Some(keeper::doomed(directory, &place.name, &place.path, &old)),
            exchanged: false,
        };
        let kept = self.keep_renaming(&renaming)?;
        let _moving = self.shared.moves.moving();
        renameat(directory, beside, directory, &place.name)?;
        kept.done(&[]);
        Ok(())
    }

    fn sync_directory_of(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        fsync(self.shared.host.open_itself(directory)?)
    }
}

/// A name of its own, of the kind that no view shows.
fn name_beside() -> OsString {
    let number = RandomState::new().hash_one(std::process::id());
    let mut name = OsString::from(OsStr::from_bytes(HIDDEN_NAME));
    name.push(format!("{number:016x}.tmp"));
    name
}

/// Gives `new` the mode, owner and attributes of `old`. What is written to loses its set-id bits.
fn take_after(old: BorrowedFd<'_>, new: &OwnedFd) -> Result<(), Errno> {
    let (stat, own) = (
        stat_descriptor(old)?.attributes,
        stat_descriptor(new.as_fd())?.attributes,
    );
    if (own.uid, own.gid) != (stat.uid, stat.gid) {
        fchown(
            new,
            Some(Uid::from_raw(stat.uid)),
            Some(Gid::from_raw(stat.gid)),
        )?;
    }
    fchmod(new, Mode::from_raw_mode(stat.mode & 0o7777 & !SET_ID))?;
    copy_attributes(old, new)
}

/// The person's own extended attributes, such as tags.
fn copy_attributes(old: BorrowedFd<'_>, new: &OwnedFd) -> Result<(), Errno> {
    let by_descriptor = Host::path_to(old);
    let mut names = vec![0_u8; ATTRIBUTES_BYTES_MAX];
    // A descriptor that only stands for a file has no attributes: they are asked of the file by way of `/proc`.
    let listed = match flistxattr(old, &mut names) {
        Err(Errno::BADF) => rustix::fs::listxattr(&by_descriptor, &mut names),
        listed => listed,
    };
    let Ok(length) = listed else {
        return Ok(());
    };
    let mut value = vec![0_u8; ATTRIBUTES_BYTES_MAX];
    let names = names.get(..length).unwrap_or_default();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| name.starts_with(b"user."))
    {
        let name = OsStr::from_bytes(name);
        let length = match fgetxattr(old, name, &mut value) {
            Err(Errno::BADF) => rustix::fs::getxattr(&by_descriptor, name, &mut value)?,
            length => length?,
        };
        let value = value.get(..length).unwrap_or_default();
        fsetxattr(new, name, value, XattrFlags::empty())?;
    }
    Ok(())
}
