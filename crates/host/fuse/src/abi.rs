//! Numbers of the kernel interface (`linux/fuse.h`), under their kernel names where they have one.

/// The protocol's major version.
pub(crate) const MAJOR: u32 = 7;
/// The newest minor version whose messages this crate knows.
pub(crate) const MINOR_NEWEST: u32 = 41;
/// The oldest minor version that is served: Linux 5.4.
pub(crate) const MINOR_OLDEST: u32 = 31;

/// The node id of the root directory.
pub const ROOT_NODE: u64 = 1;

/// Bytes of a request's header.
pub(crate) const IN_HEADER_BYTES: usize = 40;
/// Bytes of a reply's header.
pub(crate) const OUT_HEADER_BYTES: usize = 16;

pub(crate) mod opcode {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const READLINK: u32 = 5;
    pub(crate) const SYMLINK: u32 = 6;
    pub(crate) const MKNOD: u32 = 8;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const LINK: u32 = 13;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const STATFS: u32 = 17;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FSYNC: u32 = 20;
    pub(crate) const SETXATTR: u32 = 21;
    pub(crate) const GETXATTR: u32 = 22;
    pub(crate) const LISTXATTR: u32 = 23;
    pub(crate) const REMOVEXATTR: u32 = 24;
    pub(crate) const FLUSH: u32 = 25;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const OPENDIR: u32 = 27;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const RELEASEDIR: u32 = 29;
    pub(crate) const FSYNCDIR: u32 = 30;
    pub(crate) const GETLK: u32 = 31;
    pub(crate) const SETLK: u32 = 32;
    pub(crate) const SETLKW: u32 = 33;
    pub(crate) const ACCESS: u32 = 34;
    pub(crate) const CREATE: u32 = 35;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const BMAP: u32 = 37;
    pub(crate) const DESTROY: u32 = 38;
    pub(crate) const IOCTL: u32 = 39;
    pub(crate) const POLL: u32 = 40;
    pub(crate) const NOTIFY_REPLY: u32 = 41;
    pub(crate) const BATCH_FORGET: u32 = 42;
    pub(crate) const FALLOCATE: u32 = 43;
    pub(crate) const READDIRPLUS: u32 = 44;
    pub(crate) const RENAME2: u32 = 45;
    pub(crate) const LSEEK: u32 = 46;
    pub(crate) const COPY_FILE_RANGE: u32 = 47;
    pub(crate) const SYNCFS: u32 = 50;
    pub(crate) const TMPFILE: u32 = 51;
    pub(crate) const STATX: u32 = 52;
}

pub(crate) mod notify_code {
    pub(crate) const INVAL_INODE: i32 = 2;
    pub(crate) const INVAL_ENTRY: i32 = 3;
    pub(crate) const DELETE: i32 = 6;
}

pub(crate) mod init_flags {
    pub(crate) const ASYNC_READ: u64 = 1;
    pub(crate) const ATOMIC_O_TRUNC: u64 = 1 << 3;
    pub(crate) const BIG_WRITES: u64 = 1 << 5;
    pub(crate) const AUTO_INVAL_DATA: u64 = 1 << 12;
    pub(crate) const DO_READDIRPLUS: u64 = 1 << 13;
    pub(crate) const READDIRPLUS_AUTO: u64 = 1 << 14;
    pub(crate) const ASYNC_DIO: u64 = 1 << 15;
    pub(crate) const NO_OPEN_SUPPORT: u64 = 1 << 17;
    pub(crate) const PARALLEL_DIROPS: u64 = 1 << 18;
    pub(crate) const MAX_PAGES: u64 = 1 << 22;
    pub(crate) const CACHE_SYMLINKS: u64 = 1 << 23;
    pub(crate) const NO_OPENDIR_SUPPORT: u64 = 1 << 24;
    pub(crate) const HANDLE_KILLPRIV_V2: u64 = 1 << 28;
    pub(crate) const INIT_EXT: u64 = 1 << 30;
    pub(crate) const HAS_EXPIRE_ONLY: u64 = 1 << 35;
}

/// What the answer to an `open` tells the kernel.
pub mod open_flags {
    /// Go past the page cache.
    pub const DIRECT_IO: u32 = 1;
    /// The cached pages of an earlier open are still good.
    pub const KEEP_CACHE: u32 = 1 << 1;
    /// Directory contents may be cached.
    pub const CACHE_DIR: u32 = 1 << 3;
    /// Send no `FLUSH` at close.
    pub const NOFLUSH: u32 = 1 << 5;
    /// Direct writes of one file may run side by side.
    pub const PARALLEL_DIRECT_WRITES: u32 = 1 << 6;
}

/// Which members of a `SETATTR` count.
pub mod setattr_flags {
    /// `FATTR_MODE`.
    pub const MODE: u32 = 1;
    /// `FATTR_UID`.
    pub const UID: u32 = 1 << 1;
    /// `FATTR_GID`.
    pub const GID: u32 = 1 << 2;
    /// `FATTR_SIZE`.
    pub const SIZE: u32 = 1 << 3;
    /// `FATTR_ATIME`.
    pub const ATIME: u32 = 1 << 4;
    /// `FATTR_MTIME`.
    pub const MTIME: u32 = 1 << 5;
    /// `FATTR_FH`.
    pub const HANDLE: u32 = 1 << 6;
    /// `FATTR_ATIME_NOW`.
    pub const ATIME_NOW: u32 = 1 << 7;
    /// `FATTR_MTIME_NOW`.
    pub const MTIME_NOW: u32 = 1 << 8;
    /// `FATTR_KILL_SUIDGID`.
    pub const KILL_SUIDGID: u32 = 1 << 11;
}
