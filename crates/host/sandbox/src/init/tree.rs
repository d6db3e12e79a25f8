//! Mounts that are not anywhere yet, and directories by descriptor: the bricks of the cell's tree.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, statat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use valetkey_sys::tree::{Reach, add_attributes};

use crate::error::{AtStep, Fault, Step};

/// What every mount of a cell has.
pub(super) const NO_SUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
pub(super) const NO_DEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
pub(super) const NO_EXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
pub(super) const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// A new file system, mounted nowhere.
pub(super) fn new_mount(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(&context, *name)?;
        } else {
            fsconfig_set_string(&context, *name, *value)?;
        }
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A file system in memory, mounted nowhere.
pub(super) fn memory(mode: &str, bytes: u64, attributes: MountAttrFlags) -> Result<OwnedFd, Fault> {
    let size = bytes.to_string();
    let inodes = (bytes / BYTES_PER_INODE).max(INODES_MIN).to_string();
    new_mount(
        "tmpfs",
        &[("mode", mode), ("size", &size), ("nr_inodes", &inodes)],
        attributes,
    )
    .at(Step::MountTmpfs, "")
}

/// An inode takes about a kilobyte of the kernel's memory, so their number is limited like bytes.
const BYTES_PER_INODE: u64 = 4096;
/// Enough for the cell's own small file systems.
const INODES_MIN: u64 = 1024;

/// A copy of the mounts at and below `path`, mounted nowhere, with `attributes` added throughout.
pub(super) fn copy_tree(
    at: BorrowedFd<'_>,
    path: &Path,
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let tree = open_tree(at, path, flags)?;
    add_attributes(tree.as_fd(), Reach::Tree, attributes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(tree)
}

/// Puts a mount at an absolute path of the tree that is now the root.
pub(super) fn attach(mount: &OwnedFd, path: &Path) -> Result<(), Fault> {
    move_mount(
        mount,
        "",
        CWD,
        path,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .at(Step::Attach, path.display())
}

/// A directory by descriptor, in which the cell's own files are made.
pub(super) struct Directory<'a>(pub(super) BorrowedFd<'a>);

impl Directory<'_> {
    /// Makes the directories of a relative path, as far as they are not there.
    pub(super) fn make_all(&self, path: &Path) -> Result<(), Fault> {
        let mut made = PathBuf::new();
        for part in path.components() {
            let Component::Normal(name) = part else {
                return Err(Fault::new(
                    Step::WriteFiles,
                    format!("`{}`", path.display()),
                ));
            };
            made.push(name);
            match mkdirat(self.0, &made, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error).at(Step::WriteFiles, made.display()),
            }
        }
        Ok(())
    }

    /// Writes a new file, and the directories that it is in.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Fault> {
        self.make_parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(self.0, path, flags, Mode::from_raw_mode(mode))
            .at(Step::WriteFiles, path.display())?;
        File::from(file)
            .write_all(bytes)
            .at(Step::WriteFiles, path.display())
    }

    /// Makes a symbolic link, and the directories that it is in.
    pub(super) fn link(&self, path: &Path, target: &Path) -> Result<(), Fault> {
        self.make_parent(path)?;
        symlinkat(target, self.0, path).at(Step::WriteFiles, path.display())
    }

    /// Makes what a copy of `like`, a host's or the view's file or directory, can be mounted over.
    pub(super) fn make_place_for(&self, path: &Path, like: &OwnedFd) -> Result<(), Fault> {
        let kind = statat(like, "", AtFlags::EMPTY_PATH).at(Step::WriteFiles, path.display())?;
        if FileType::from_raw_mode(kind.st_mode) == FileType::Directory {
            return self.make_all(path);
        }
        if statat(self.0, path, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Ok(());
        }
        self.write(path, b"", 0o644)
    }

    fn make_parent(&self, path: &Path) -> Result<(), Fault> {
        path.parent().map_or(Ok(()), |parent| self.make_all(parent))
    }
}
