//! What the kernel is told about a node: attributes, entries, and figures of a file system.

use std::time::Duration;

use crate::packet::Packet;

/// A point in time as file systems keep it: seconds since 1970, and nanoseconds.
pub type Time = (i64, u32);

/// Attributes of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each member is the member of `struct stat` of that name"
)]
pub struct Attributes {
    pub ino: u64,
    pub size: u64,
    pub blocks: u64,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub blksize: u32,
}

impl Attributes {
    pub(crate) fn write(&self, packet: &mut Packet) {
        packet.u64(self.ino).u64(self.size).u64(self.blocks);
        packet.i64(self.atime.0).i64(self.mtime.0).i64(self.ctime.0);
        packet.u32(self.atime.1).u32(self.mtime.1).u32(self.ctime.1);
        packet
            .u32(self.mode)
            .u32(self.nlink)
            .u32(self.uid)
            .u32(self.gid);
        packet.u32(self.rdev).u32(self.blksize).u32(0);
    }
}

/// A name's answer: the node that it leads to, and how long the kernel may believe that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entry {
    /// The node; 0 says that there is nothing of that name.
    pub node: u64,
    /// How long the name leads there.
    pub entry_valid: Duration,
    /// How long the attributes hold.
    pub attributes_valid: Duration,
    /// The node's attributes.
    pub attributes: Attributes,
}

impl Entry {
    /// There is nothing of that name, and this stays so for `valid`.
    #[must_use]
    pub fn nothing(valid: Duration) -> Self {
        Self {
            entry_valid: valid,
            ..Self::default()
        }
    }

    pub(crate) fn write(&self, packet: &mut Packet) {
        packet.u64(self.node).u64(0);
        packet
            .u64(self.entry_valid.as_secs())
            .u64(self.attributes_valid.as_secs());
        packet
            .u32(self.entry_valid.subsec_nanos())
            .u32(self.attributes_valid.subsec_nanos());
        self.attributes.write(packet);
    }
}

/// Figures of a file system (`statvfs`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each member is the member of `struct statvfs` of that name"
)]
pub struct FileSystemStatistics {
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub bsize: u32,
    pub namelen: u32,
    pub frsize: u32,
}

impl FileSystemStatistics {
    pub(crate) fn write(&self, packet: &mut Packet) {
        packet
            .u64(self.blocks)
            .u64(self.bfree)
            .u64(self.bavail)
            .u64(self.files)
            .u64(self.ffree);
        packet
            .u32(self.bsize)
            .u32(self.namelen)
            .u32(self.frsize)
            .zeros(28);
    }
}

/// The answer to a `STATX`: attributes, and the time of birth where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatxAnswer {
    /// What `stat` would say.
    pub attributes: Attributes,
    /// When the object came into being.
    pub birth: Option<Time>,
    /// How long the attributes hold.
    pub valid: Duration,
}

/// `STATX_BASIC_STATS`.
const STATX_BASIC: u32 = 0x7ff;
/// `STATX_BTIME`.
const STATX_BIRTH: u32 = 0x800;

impl StatxAnswer {
    pub(crate) fn write(&self, packet: &mut Packet) {
        let attributes = &self.attributes;
        let birth_known = if self.birth.is_some() { STATX_BIRTH } else { 0 };
        packet
            .u64(self.valid.as_secs())
            .u32(self.valid.subsec_nanos())
            .u32(0)
            .zeros(16);
        packet
            .u32(STATX_BASIC | birth_known)
            .u32(attributes.blksize)
            .u64(0);
        packet
            .u32(attributes.nlink)
            .u32(attributes.uid)
            .u32(attributes.gid);
        packet
            .u16(u16::try_from(attributes.mode).unwrap_or(0))
            .u16(0);
        packet
            .u64(attributes.ino)
            .u64(attributes.size)
            .u64(attributes.blocks)
            .u64(0);
        let times = [
            attributes.atime,
            self.birth.unwrap_or_default(),
            attributes.ctime,
            attributes.mtime,
        ];
        for (seconds, nanoseconds) in times {
            packet.i64(seconds).u32(nanoseconds).u32(0);
        }
        packet
            .u32(attributes.rdev >> 8)
            .u32(attributes.rdev & 0xff)
            .u32(0)
            .u32(0);
        packet.zeros(14 * 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(write: impl FnOnce(&mut Packet)) -> usize {
        let mut packet = Packet::new();
        write(&mut packet);
        packet.bytes().len()
    }

    #[test]
    fn structures_have_the_sizes_of_the_kernel_header() {
        assert_eq!(size(|packet| Attributes::default().write(packet)), 88);
        assert_eq!(size(|packet| Entry::default().write(packet)), 128);
        assert_eq!(
            size(|packet| FileSystemStatistics::default().write(packet)),
            80
        );
        let statx = StatxAnswer {
            attributes: Attributes::default(),
            birth: None,
            valid: Duration::ZERO,
        };
        assert_eq!(size(|packet| statx.write(packet)), 32 + 256);
    }
}
