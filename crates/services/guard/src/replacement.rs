//! The file that a document operation writes, and how it takes the place of the old one: in one step, once the old one's state is kept.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, renameat, statat, unlinkat};
use valetkey_api::{Problem, ProblemKind};
use valetkey_view::{Doomed, Keeper, Parent, Renaming, identity};

/// A workbook, opened once; what happens later happens to this object.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    pub(crate) file: File,
    pub(crate) stat: Stat,
}

impl Opened {
    /// Whether the name still leads to the object that was opened, and nobody wrote to it since.
    pub(crate) fn unchanged(&self) -> Result<(), Problem> {
        let changed = || {
            Problem::new(
                ProblemKind::Constraint,
                "the file was changed by somebody else meanwhile; try again",
            )
        };
        let now = statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|_| changed())?;
        let same = |a: &Stat, b: &Stat| {
            (
                a.st_dev,
                a.st_ino,
                a.st_size,
                a.st_mtime,
                a.st_mtime_nsec,
                a.st_ctime,
                a.st_ctime_nsec,
            ) == (
                b.st_dev,
                b.st_ino,
                b.st_size,
                b.st_mtime,
                b.st_mtime_nsec,
                b.st_ctime,
                b.st_ctime_nsec,
            )
        };
        if same(&now, &self.stat) {
            Ok(())
        } else {
            Err(changed())
        }
    }

    fn parent(&self) -> Parent<'_> {
        Parent {
            directory: self.directory.as_fd(),
            path: self.path.parent().unwrap_or(Path::new("/")),
        }
    }
}

/// When anything about an object was changed last.
fn changed(stat: &Stat) -> (i64, u32) {
    let nanoseconds = u32::try_from(stat.st_ctime_nsec).unwrap_or(0);
    (stat.st_ctime, nanoseconds)
}

/// The new workbook under a name of its own beside the old; gone again unless it takes the old one's place.
pub(crate) struct NewFile<'a> {
    workbook: &'a Opened,
    name: OsString,
    pub(crate) file: File,
    /// Told before it was made, and not told yet what became of it.
    keeper: Option<(Arc<dyn Keeper>, u64)>,
}

impl<'a> NewFile<'a> {
    /// Makes it, once it is written down that it will be there.
    pub(crate) fn beside(
        workbook: &'a Opened,
        keeper: Option<&Arc<dyn Keeper>>,
    ) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!(".valetkey-{:016x}.tmp", u64::from_ne_bytes(random));
        let keeper = match keeper {
            Some(keeper) => {
                let path = workbook.path.with_file_name(&name);
                let number = keeper.before_making(&workbook.parent(), &path, None)?;
                Some((Arc::clone(keeper), number))
            }
            None => None,
        };
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let made = rustix::fs::openat(&workbook.directory, &name, flags, Mode::RUSR | Mode::WUSR);
        match made {
            Ok(file) => Ok(Self {
                workbook,
                name: name.into(),
                file: file.into(),
                keeper,
            }),
            Err(error) => {
                if let Some((keeper, number)) = keeper {
                    keeper.failed(number);
                }
                Err(error.into())
            }
        }
    }

    /// Gives the new file the mode, owner and attributes of the old, and makes its content durable.
    pub(crate) fn take_after(&self) -> io::Result<()> {
        let stat = &self.workbook.stat;
        let own = fstat(&self.file)?;
        if (own.st_uid, own.st_gid) != (stat.st_uid, stat.st_gid) {
            let (uid, gid) = (
                rustix::fs::Uid::from_raw(stat.st_uid),
                rustix::fs::Gid::from_raw(stat.st_gid),
            );
            rustix::fs::fchown(&self.file, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(stat.st_mode & 0o777))?;
        copy_attributes(&self.workbook.file, &self.file)?;
        self.file.sync_all()
    }

    /// Puts it in the place of the old one, whose state is kept first.
    pub(crate) fn replace(mut self) -> io::Result<()> {
        let workbook = self.workbook;
        let renaming = self.before_renaming()?;
        let renamed = renameat(
            &workbook.directory,
            &self.name,
            &workbook.directory,
            &workbook.name,
        );
        let Some((keeper, making)) = self.keeper.take() else {
            renamed?;
            self.name.clear();
            return Ok(rustix::fs::fsync(&workbook.directory)?);
        };
        if let Err(error) = renamed {
            if let Some(renaming) = renaming {
                keeper.failed(renaming);
            }
            keeper.failed(making);
            return Err(error.into());
        }
        self.name.clear();
        keeper.done(making, &[]);
        if let Some(renaming) = renaming {
            keeper.done(renaming, &[]);
        }
        let stat = fstat(&self.file)?;
        keeper.made(&workbook.path, identity(self.file.as_fd())?, changed(&stat));
        Ok(rustix::fs::fsync(&workbook.directory)?)
    }

    fn before_renaming(&self) -> io::Result<Option<u64>> {
        let Some((keeper, _)) = &self.keeper else {
            return Ok(None);
        };
        let workbook = self.workbook;
        let path = workbook.path.with_file_name(&self.name);
        let directory = workbook.directory.as_fd();
        let new = fstat(&self.file)?;
        let renaming = Renaming {
            parents: [workbook.parent(), workbook.parent()],
            moved: Doomed {
                directory,
                name: &self.name,
                path: &path,
                object: identity(self.file.as_fd())?,
                changed: changed(&new),
                size: u64::try_from(new.st_size).unwrap_or(u64::MAX),
            },
            to: &workbook.path,
            replaced: Some(Doomed {
                directory,
                name: &workbook.name,
                path: &workbook.path,
                object: identity(workbook.file.as_fd())?,
                changed: changed(&workbook.stat),
                size: u64::try_from(workbook.stat.st_size).unwrap_or(u64::MAX),
            }),
            exchanged: false,
        };
        Ok(Some(keeper.before_renaming(&renaming)?))
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // What stays behind on failure is a private file with a name that says whose it is.
            let _best_effort = unlinkat(&self.workbook.directory, &self.name, AtFlags::empty());
        }
        if let Some((keeper, number)) = self.keeper.take() {
            keeper.failed(number);
        }
    }
}

/// The user's own extended attributes, such as tags; what the system keeps there is not copied.
fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    let mut names = vec![0_u8; 64 * 1024];
    let Ok(length) = rustix::fs::flistxattr(from, &mut names) else {
        return Ok(());
    };
    let mut value = vec![0_u8; 64 * 1024];
    for name in names
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
    {
        let user_owned = name.starts_with(b"user.");
        if user_owned {
            let name = std::ffi::OsStr::from_bytes(name);
            let length = rustix::fs::fgetxattr(from, name, &mut value)?;
            let value = value.get(..length).unwrap_or_default();
            rustix::fs::fsetxattr(to, name, value, rustix::fs::XattrFlags::empty())?;
        }
    }
    Ok(())
}
