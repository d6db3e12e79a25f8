//! What the broker and its attestors say to each other: one message each way, with descriptors beside it.

use serde::{Deserialize, Serialize};
use valetkey_model::Digest;

/// The longest message: a path of the kernel's longest kind, escaped, and some members.
pub(super) const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Broker to attestor, with the process's pidfd: which program does it run?
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Tells the answers apart.
    pub(super) id: u64,
    /// What was attested of this process before, if that may still be so: the same again is not read again.
    pub(super) known: Option<Mark>,
}

/// Attestor to broker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// The question's.
    pub(super) id: u64,
    /// What was seen.
    pub(super) seen: Seen,
}

/// What an attestor saw.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Seen {
    /// Still what the question said that it was.
    Same,
    /// This program; a descriptor that names the file comes beside the message.
    Program(Program),
    /// It could not be seen, for this reason.
    Nothing(String),
}

/// An executable as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    /// SHA-256 of the whole file.
    pub(crate) digest: Digest,
    /// Its path, as the kernel shows it in the process's own tree of mounts; bytes that are no text are shown as U+FFFD.
    pub(crate) path: String,
    /// Which file it is, and in which state.
    pub(super) mark: Mark,
    /// Whether a later change of the file is sure to change the mark: not so within the grain of its clock.
    pub(super) settled: bool,
}

/// A file and its state, as far as the kernel tells without reading it. While somebody holds the file open, no other file can have the
/// same mark: its file system stays, and its inode is not given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) changed: (i64, u32),
    pub(super) modified: (i64, u32),
}
