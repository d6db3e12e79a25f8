//! Telling the kernel to forget what it has cached.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::abi::notify_code;
use crate::device::Channel;
use crate::packet::Packet;
use crate::reply::write_message;

/// `FUSE_EXPIRE_ONLY`.
const EXPIRE_ONLY: u32 = 1;

/// Sends notifications on one connection.
///
/// The kernel takes locks of the nodes concerned while it handles one, so a call may wait until
/// requests on them are answered: never call from a thread that answers requests.
#[derive(Debug, Clone)]
pub struct Notifier(Arc<Channel>);

impl Notifier {
    pub(crate) fn new(channel: Arc<Channel>) -> Self {
        Self(channel)
    }

    /// Drops cached attributes of `node`, and its cached pages from `offset` for `length` bytes
    /// (0: to the end; a negative offset: attributes only).
    /// Answers whether the kernel knew the node; if not, nothing was cached.
    pub fn invalidate_node(&self, node: u64, offset: i64, length: i64) -> bool {
        let mut packet = Packet::new();
        packet.u64(node).i64(offset).i64(length);
        self.send(notify_code::INVAL_INODE, &packet, &[])
    }

    /// Makes the kernel ask for the entry `name` of the directory `parent` again before it next uses
    /// it, also for one that says "not there". Only where [`crate::Negotiated::expires_entries`].
    /// Answers whether there was one.
    pub fn expire_entry(&self, parent: u64, name: &OsStr) -> bool {
        let mut packet = Packet::new();
        packet.u64(parent).u32(name_bytes(name)).u32(EXPIRE_ONLY);
        self.send(notify_code::INVAL_ENTRY, &packet, name.as_bytes())
    }

    /// Drops the cached entry `name` of the directory `parent`, also one that says "not there". What
    /// is mounted on it or below it is detached.
    /// Answers whether there was one.
    pub fn invalidate_entry(&self, parent: u64, name: &OsStr) -> bool {
        let mut packet = Packet::new();
        packet.u64(parent).u32(name_bytes(name)).u32(0);
        self.send(notify_code::INVAL_ENTRY, &packet, name.as_bytes())
    }

    /// Says that `child` no longer has the name `name` in `parent`, so that watchers hear of it.
    /// Answers whether the kernel had such an entry.
    pub fn deleted(&self, parent: u64, child: u64, name: &OsStr) -> bool {
        let mut packet = Packet::new();
        packet.u64(parent).u64(child).u32(name_bytes(name)).u32(0);
        self.send(notify_code::DELETE, &packet, name.as_bytes())
    }

    fn send(&self, code: i32, packet: &Packet, name: &[u8]) -> bool {
        if name.is_empty() {
            return write_message(&self.0, 0, code, [packet.bytes(), &[]]).is_ok();
        }
        let mut ended = Vec::with_capacity(name.len().saturating_add(1));
        ended.extend_from_slice(name);
        ended.push(0);
        write_message(&self.0, 0, code, [packet.bytes(), &ended]).is_ok()
    }
}

/// A name's length; one that no kernel knows is refused by the kernel for its length.
fn name_bytes(name: &OsStr) -> u32 {
    u32::try_from(name.len()).unwrap_or(u32::MAX)
}
