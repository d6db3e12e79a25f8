//! What is written down of a session's changes: one record a change, and one for each state that a change would take away.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use valetkey_model::Digest;

use crate::text;

/// What makes an object the same one under another name, and another one than a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    /// The device.
    pub dev: u64,
    /// The number on it.
    pub ino: u64,
    /// When it was made, where the file system says so.
    pub birth: Option<(i64, u32)>,
}

/// Seconds and nanoseconds since 1970.
pub type Moment = (i64, u32);

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A socket or a device, which is not made again.
    Other,
}

/// The state of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When its content was changed last.
    pub modified: Moment,
    /// Bytes of content.
    pub size: u64,
    /// Names that it has.
    pub links: u32,
    /// The content in pieces, each but the last of [`crate::CHUNK_BYTES`]; of a link, its target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<Digest>,
    /// Extended attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    #[serde(with = "text::value")]
    pub name: Vec<u8>,
    /// Its value.
    #[serde(with = "text::value")]
    pub value: Vec<u8>,
}

/// A change, or what belongs to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub(crate) enum Change {
    /// The state of an object before it is changed or removed. Durable before that happens.
    Kept {
        /// Its name then.
        #[serde(with = "text::path")]
        path: PathBuf,
        /// The object.
        id: Id,
        /// Its state.
        state: State,
        /// Whether somebody else had changed it since the agent last did: going back ends here.
        again: bool,
    },
    /// The same of an object whose state was not kept. Durable, here and in the log, before it is changed.
    Lost {
        /// Its name then.
        #[serde(with = "text::path")]
        path: PathBuf,
        /// The object.
        id: Id,
        /// Why.
        why: String,
    },
    /// A name was made where there was none.
    Made {
        /// The name.
        #[serde(with = "text::path")]
        path: PathBuf,
        /// What it leads to, where that was there before: a second name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
    },
    /// A name was removed.
    Removed {
        /// The name.
        #[serde(with = "text::path")]
        path: PathBuf,
        /// What it led to.
        id: Id,
    },
    /// A name was changed.
    Renamed {
        /// The old name.
        #[serde(with = "text::path")]
        from: PathBuf,
        /// The new name.
        #[serde(with = "text::path")]
        to: PathBuf,
        /// What moved.
        id: Id,
        /// What the new name led to before.
        replaced: Option<Id>,
        /// Whether the two changed places.
        exchanged: bool,
    },
    /// An object that was kept or made before is changed further: until the next word it is not known how it stands.
    Open {
        /// The object.
        id: Id,
    },
    /// How an object stands after a change.
    After {
        /// Its name.
        #[serde(with = "text::path")]
        path: PathBuf,
        /// The object.
        id: Id,
        /// When anything about it was changed last: its `ctime`.
        changed: Moment,
    },
    /// What an earlier record says did not happen.
    Not {
        /// The end of that record in the file.
        of: u64,
    },
    /// An object was made anew in the place of another: by undo.
    Reborn {
        /// The object that was there.
        old: Id,
        /// The one that stands for it.
        new: Id,
    },
    /// Of an undo: all that the session did was meant, and was undone as far as it could be.
    Whole,
    /// The session has ended in good order.
    Ended,
}

/// A change with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// What it was.
    #[serde(flatten)]
    pub(crate) change: Change,
}
