//! What the kernel can ask for, read from a request's body.

use std::ffi::OsStr;

use crate::abi::{opcode, setattr_flags};
use crate::init::Offer;
use crate::request::ParseError;
use crate::wire::Reader;

/// One operation. `handle` is what the answer to an open gave; flags are those of `open(2)` and its
/// kin, or of `linux/fuse.h` where a comment says so.
#[derive(Debug, Clone, Copy)]
#[expect(
    missing_docs,
    reason = "members are the arguments of the system call of that name"
)]
pub enum Operation<'a> {
    /// The first request of a connection.
    Init(Offer),
    Lookup {
        name: &'a OsStr,
    },
    /// Not answered.
    Forget {
        lookups: u64,
    },
    /// Not answered.
    BatchForget(Forgets<'a>),
    GetAttributes {
        handle: Option<u64>,
    },
    SetAttributes(SetAttributes),
    Statx {
        handle: Option<u64>,
    },
    ReadLink,
    Symlink {
        name: &'a OsStr,
        target: &'a OsStr,
    },
    MakeNode {
        name: &'a OsStr,
        mode: u32,
        rdev: u32,
    },
    MakeDirectory {
        name: &'a OsStr,
        mode: u32,
    },
    Unlink {
        name: &'a OsStr,
    },
    RemoveDirectory {
        name: &'a OsStr,
    },
    Rename {
        name: &'a OsStr,
        new_parent: u64,
        new_name: &'a OsStr,
        flags: u32,
    },
    Link {
        node: u64,
        name: &'a OsStr,
    },
    /// `kill_set_id`: the caller may not keep set-id bits when it truncates.
    Open {
        flags: u32,
        kill_set_id: bool,
    },
    Create {
        name: &'a OsStr,
        flags: u32,
        mode: u32,
    },
    TemporaryFile {
        flags: u32,
        mode: u32,
    },
    Read {
        handle: u64,
        offset: u64,
        size: u32,
        flags: u32,
    },
    /// `cached`: written back from a shared mapping, through any handle of the node.
    Write {
        handle: u64,
        offset: u64,
        data: &'a [u8],
        flags: u32,
        cached: bool,
        kill_set_id: bool,
    },
    Flush {
        handle: u64,
    },
    Release {
        handle: u64,
    },
    Sync {
        handle: u64,
        data_only: bool,
    },
    OpenDirectory {
        flags: u32,
    },
    ReadDirectory {
        handle: u64,
        offset: u64,
        size: u32,
        plus: bool,
    },
    ReleaseDirectory {
        handle: u64,
    },
    SyncDirectory {
        handle: u64,
        data_only: bool,
    },
    FileSystemStatistics,
    SyncFileSystem,
    SetXattr {
        name: &'a OsStr,
        value: &'a [u8],
        flags: u32,
    },
    GetXattr {
        name: &'a OsStr,
        size: u32,
    },
    ListXattr {
        size: u32,
    },
    RemoveXattr {
        name: &'a OsStr,
    },
    Access {
        mask: u32,
    },
    Seek {
        handle: u64,
        offset: u64,
        whence: u32,
    },
    Allocate {
        handle: u64,
        offset: u64,
        length: u64,
        mode: u32,
    },
    CopyRange {
        handle_in: u64,
        offset_in: u64,
        node_out: u64,
        handle_out: u64,
        offset_out: u64,
        length: u64,
        flags: u64,
    },
    /// `GETLK`, `SETLK` and `SETLKW`: not asked for at `INIT`, so the kernel keeps locks itself.
    Lock,
    Ioctl,
    Poll,
    BlockMap,
    /// The kernel gives up on the request of that number. Not answered.
    Interrupt {
        unique: u64,
    },
    /// The file system is being unmounted.
    Destroy,
    /// Not known to this crate.
    Unknown,
}

/// The members of a `SETATTR`; `valid` says which count ([`setattr_flags`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "members are those of `struct stat`")]
pub struct SetAttributes {
    pub valid: u32,
    pub handle: Option<u64>,
    pub size: u64,
    pub atime: (i64, u32),
    pub mtime: (i64, u32),
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// The pairs of node and number of lookups of a `BATCH_FORGET`.
#[derive(Debug, Clone, Copy)]
pub struct Forgets<'a>(&'a [u8]);

impl Iterator for Forgets<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        let mut reader = Reader::new(self.0);
        let pair = (reader.u64().ok()?, reader.u64().ok()?);
        self.0 = self.0.get(16..)?;
        Some(pair)
    }
}

/// `FUSE_GETATTR_FH`.
const GETATTR_HANDLE: u32 = 1;
/// `FUSE_OPEN_KILL_SUIDGID`.
const OPEN_KILL_SET_ID: u32 = 1;
/// `FUSE_WRITE_CACHE`.
const WRITE_CACHED: u32 = 1;
/// `FUSE_WRITE_KILL_SUIDGID`.
const WRITE_KILL_SET_ID: u32 = 1 << 2;
/// `FUSE_FSYNC_FDATASYNC`.
const SYNC_DATA_ONLY: u32 = 1;

impl<'a> Operation<'a> {
    pub(crate) fn parse(opcode: u32, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let input = &mut reader;
        Ok(match opcode {
            opcode::INIT => Self::Init(Offer::parse(input)?),
            opcode::LOOKUP => Self::Lookup {
                name: input.name()?,
            },
            opcode::FORGET => Self::Forget {
                lookups: input.u64()?,
            },
            opcode::BATCH_FORGET => batch_forget(input)?,
            opcode::GETATTR => Self::GetAttributes {
                handle: optional_handle(input)?,
            },
            opcode::STATX => Self::Statx {
                handle: optional_handle(input)?,
            },
            opcode::SETATTR => Self::SetAttributes(set_attributes(input)?),
            opcode::READLINK => Self::ReadLink,
            opcode::STATFS => Self::FileSystemStatistics,
            opcode::SYNCFS => Self::SyncFileSystem,
            opcode::ACCESS => Self::Access { mask: input.u32()? },
            opcode::INTERRUPT => Self::Interrupt {
                unique: input.u64()?,
            },
            opcode::GETLK | opcode::SETLK | opcode::SETLKW => Self::Lock,
            opcode::IOCTL => Self::Ioctl,
            opcode::POLL => Self::Poll,
            opcode::BMAP => Self::BlockMap,
            opcode::DESTROY => Self::Destroy,
            opcode::SYMLINK
            | opcode::MKNOD
            | opcode::MKDIR
            | opcode::UNLINK
            | opcode::RMDIR
            | opcode::RENAME
            | opcode::RENAME2
            | opcode::LINK => of_names(opcode, input)?,
            opcode::SETXATTR | opcode::GETXATTR | opcode::LISTXATTR | opcode::REMOVEXATTR => {
                of_xattrs(opcode, input)?
            }
            opcode::NOTIFY_REPLY => Self::Unknown,
            _ => of_handles(opcode, input)?,
        })
    }
}

fn of_names<'a>(opcode: u32, input: &mut Reader<'a>) -> Result<Operation<'a>, ParseError> {
    Ok(match opcode {
        opcode::SYMLINK => Operation::Symlink {
            name: input.name()?,
            target: input.string()?,
        },
        opcode::MKNOD => {
            let (mode, rdev) = (input.u32()?, input.u32()?);
            input.skip(8)?;
            Operation::MakeNode {
                name: input.name()?,
                mode,
                rdev,
            }
        }
        opcode::MKDIR => {
            let mode = input.u32()?;
            input.skip(4)?;
            Operation::MakeDirectory {
                name: input.name()?,
                mode,
            }
        }
        opcode::UNLINK => Operation::Unlink {
            name: input.name()?,
        },
        opcode::RMDIR => Operation::RemoveDirectory {
            name: input.name()?,
        },
        opcode::RENAME => {
            let new_parent = input.u64()?;
            let (name, new_name) = (input.name()?, input.name()?);
            Operation::Rename {
                name,
                new_parent,
                new_name,
                flags: 0,
            }
        }
        opcode::RENAME2 => {
            let (new_parent, flags) = (input.u64()?, input.u32()?);
            input.skip(4)?;
            Operation::Rename {
                name: input.name()?,
                new_parent,
                new_name: input.name()?,
                flags,
            }
        }
        opcode::LINK => Operation::Link {
            node: input.u64()?,
            name: input.name()?,
        },
        _ => Operation::Unknown,
    })
}

fn of_xattrs<'a>(opcode: u32, input: &mut Reader<'a>) -> Result<Operation<'a>, ParseError> {
    Ok(match opcode {
        opcode::SETXATTR => {
            let (size, flags) = (input.u32()?, input.u32()?);
            let name = input.string()?;
            Operation::SetXattr {
                name,
                value: sized(input, size)?,
                flags,
            }
        }
        opcode::GETXATTR => {
            let size = input.u32()?;
            input.skip(4)?;
            Operation::GetXattr {
                name: input.string()?,
                size,
            }
        }
        opcode::LISTXATTR => Operation::ListXattr { size: input.u32()? },
        opcode::REMOVEXATTR => Operation::RemoveXattr {
            name: input.string()?,
        },
        _ => Operation::Unknown,
    })
}

fn of_handles<'a>(opcode: u32, input: &mut Reader<'a>) -> Result<Operation<'a>, ParseError> {
    Ok(match opcode {
        opcode::OPEN => {
            let (flags, extra) = (input.u32()?, input.u32()?);
            Operation::Open {
                flags,
                kill_set_id: extra & OPEN_KILL_SET_ID != 0,
            }
        }
        opcode::OPENDIR => Operation::OpenDirectory {
            flags: input.u32()?,
        },
        opcode::CREATE => {
            let (flags, mode) = (input.u32()?, input.u32()?);
            input.skip(8)?;
            Operation::Create {
                name: input.name()?,
                flags,
                mode,
            }
        }
        opcode::TMPFILE => Operation::TemporaryFile {
            flags: input.u32()?,
            mode: input.u32()?,
        },
        opcode::READ | opcode::READDIR | opcode::READDIRPLUS => read(opcode, input)?,
        opcode::WRITE => write(input)?,
        opcode::FLUSH => Operation::Flush {
            handle: input.u64()?,
        },
        opcode::RELEASE => Operation::Release {
            handle: input.u64()?,
        },
        opcode::RELEASEDIR => Operation::ReleaseDirectory {
            handle: input.u64()?,
        },
        opcode::FSYNC | opcode::FSYNCDIR => {
            let (handle, flags) = (input.u64()?, input.u32()?);
            let data_only = flags & SYNC_DATA_ONLY != 0;
            if opcode == opcode::FSYNC {
                Operation::Sync { handle, data_only }
            } else {
                Operation::SyncDirectory { handle, data_only }
            }
        }
        opcode::LSEEK => Operation::Seek {
            handle: input.u64()?,
            offset: input.u64()?,
            whence: input.u32()?,
        },
        opcode::FALLOCATE => Operation::Allocate {
            handle: input.u64()?,
            offset: input.u64()?,
            length: input.u64()?,
            mode: input.u32()?,
        },
        opcode::COPY_FILE_RANGE => Operation::CopyRange {
            handle_in: input.u64()?,
            offset_in: input.u64()?,
            node_out: input.u64()?,
            handle_out: input.u64()?,
            offset_out: input.u64()?,
            length: input.u64()?,
            flags: input.u64()?,
        },
        _ => Operation::Unknown,
    })
}

fn read<'a>(opcode: u32, input: &mut Reader<'a>) -> Result<Operation<'a>, ParseError> {
    let (handle, offset, size) = (input.u64()?, input.u64()?, input.u32()?);
    input.skip(12)?;
    let flags = input.u32()?;
    Ok(match opcode {
        opcode::READ => Operation::Read {
            handle,
            offset,
            size,
            flags,
        },
        _ => Operation::ReadDirectory {
            handle,
            offset,
            size,
            plus: opcode == opcode::READDIRPLUS,
        },
    })
}

fn write<'a>(input: &mut Reader<'a>) -> Result<Operation<'a>, ParseError> {
    let (handle, offset, size, write_flags) =
        (input.u64()?, input.u64()?, input.u32()?, input.u32()?);
    input.skip(8)?;
    let flags = input.u32()?;
    input.skip(4)?;
    Ok(Operation::Write {
        handle,
        offset,
        data: sized(input, size)?,
        flags,
        cached: write_flags & WRITE_CACHED != 0,
        kill_set_id: write_flags & WRITE_KILL_SET_ID != 0,
    })
}

fn sized<'a>(input: &mut Reader<'a>, size: u32) -> Result<&'a [u8], ParseError> {
    input.bytes(usize::try_from(size).map_err(|_| ParseError::Short)?)
}

fn optional_handle(input: &mut Reader<'_>) -> Result<Option<u64>, ParseError> {
    let flags = input.u32()?;
    input.skip(4)?;
    let handle = input.u64()?;
    Ok((flags & GETATTR_HANDLE != 0).then_some(handle))
}

fn batch_forget<'a>(input: &mut Reader<'a>) -> Result<Operation<'a>, ParseError> {
    let count = input.u32()?;
    input.skip(4)?;
    let bytes = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(16));
    Ok(Operation::BatchForget(Forgets(
        input.bytes(bytes.ok_or(ParseError::Short)?)?,
    )))
}

fn set_attributes(input: &mut Reader<'_>) -> Result<SetAttributes, ParseError> {
    let valid = input.u32()?;
    input.skip(4)?;
    let handle = input.u64()?;
    let size = input.u64()?;
    input.skip(8)?;
    let (atime, mtime) = (input.u64()?, input.u64()?);
    input.skip(8)?;
    let (atime_nanoseconds, mtime_nanoseconds) = (input.u32()?, input.u32()?);
    input.skip(4)?;
    let mode = input.u32()?;
    input.skip(4)?;
    let (uid, gid) = (input.u32()?, input.u32()?);
    Ok(SetAttributes {
        valid,
        handle: (valid & setattr_flags::HANDLE != 0).then_some(handle),
        size,
        atime: (atime.cast_signed(), atime_nanoseconds),
        mtime: (mtime.cast_signed(), mtime_nanoseconds),
        mode,
        uid,
        gid,
    })
}
