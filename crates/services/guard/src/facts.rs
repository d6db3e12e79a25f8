//! Facts about a file that an agent asks for over its door, taken without following any link.

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;
use valetkey_approval::FileFacts;
use valetkey_model::{FileKind, Resource};
use valetkey_view::Facts;

use crate::authority::file_facts;

/// The facts of the one file that `resource` names. A path that leads over a link is reported as not there: its target must be asked for by its own name.
pub(crate) fn of(resource: &Resource) -> Option<FileFacts> {
    let pattern = resource.as_file().filter(|pattern| pattern.is_literal())?;
    let path = pattern.literal_prefix();
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = openat2(
        CWD,
        &path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    );
    let stat = opened.and_then(|handle| fstat(&handle));
    Some(stat.map_or_else(|_| file_facts(&Facts::absent()), |stat| of_stat(&stat)))
}

/// The facts of what a question showed, as they are now. It may lie behind a link, as a view's path does where the machine has one above the
/// person's home; another object than the one that was shown is known by its identity. What cannot be looked at is nothing.
pub(crate) fn again(resource: &Resource) -> Option<FileFacts> {
    let pattern = resource.as_file().filter(|pattern| pattern.is_literal())?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat2(
        CWD,
        pattern.literal_prefix(),
        flags,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS,
    );
    match opened.and_then(|handle| fstat(&handle)) {
        Ok(stat) => Some(of_stat(&stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Some(file_facts(&Facts::absent())),
        Err(_) => None,
    }
}

/// The facts of an object that is open.
pub(crate) fn of_stat(stat: &Stat) -> FileFacts {
    file_facts(&Facts {
        kind: kind_of(stat.st_mode),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        nlink: stat.st_nlink,
        // As the view numbers devices: what one saw the other has to know again.
        dev: (u64::from(rustix::fs::major(stat.st_dev)) << 32)
            | u64::from(rustix::fs::minor(stat.st_dev)),
        ino: stat.st_ino,
        mtime: (
            stat.st_mtime,
            u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        ),
        ctime: (
            stat.st_ctime,
            u32::try_from(stat.st_ctime_nsec).unwrap_or(0),
        ),
    })
}

fn kind_of(mode: u32) -> FileKind {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => FileKind::Other,
    }
}
