//! The border between mechanism and policy: what the view asks, and what it is told.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use valetkey_fuse::Interrupt;
use valetkey_model::{Action, ActionSet, FileKind};
use valetkey_redact::Kinds;

use crate::masks::MaskRefusal;

/// Decides what may be done. The guard implements it with verified capabilities and broker calls.
pub trait Authority: Send + Sync {
    /// What the live capabilities in memory say: fast, never blocking. `wanted` may be empty, which
    /// asks whether anything at all covers the path, and so whether its name may be seen.
    fn check(&self, path: &Path, wanted: ActionSet) -> Verdict;

    /// Asks the broker, and through it perhaps a person: may block for minutes. Called on a thread
    /// of its own; must come back soon after `interrupt` is raised. [`Verdict::Unknown`] counts as
    /// refused.
    fn resolve(
        &self,
        path: &Path,
        wanted: ActionSet,
        facts: &Facts,
        why: Why,
        interrupt: &Interrupt,
    ) -> Verdict;

    /// Whether `path` and everything below it, with no exception inside, is covered for `wanted`. A
    /// wrong no costs a walk over the tree; a wrong yes would open what an exception hides.
    fn covers_tree(&self, path: &Path, wanted: ActionSet) -> bool {
        let (_, _) = (path, wanted);
        false
    }

    /// Names in the view of a file that has several, as far as they can be found. `anew`: those of before were not all, so they are
    /// looked for again, which may take seconds. What is told is checked; a name that is not told is missing.
    fn names(&self, object: Identity, anew: bool) -> Vec<PathBuf>;

    /// Whether a rule keeps `wanted` from the file that has this name, by whatever name it is opened. `None`: it is not known at once, and
    /// `may_wait` says that nobody may be waited for. With that leave there is an answer.
    fn forbids(&self, path: &Path, wanted: ActionSet, may_wait: bool) -> Option<bool>;

    /// Whether a file is given by exactly this name by somebody who knows that it may have others: then it need not be
    /// known where they are.
    fn trusts(&self, path: &Path, wanted: ActionSet) -> bool;

    /// What of a file that has this name is masked, by whatever name it is opened. Once masked, masked for as long as the view lives.
    fn redacts(&self, path: &Path) -> Kinds;

    /// Hears what happened. Must not block.
    fn report(&self, observation: Observation);
}

/// An answer to "may this be done?".
#[derive(Debug, Clone)]
#[must_use]
pub enum Verdict {
    /// Yes, as long as the permit lives.
    Permitted(Arc<dyn Permit>),
    /// No. `visible`: the name may be seen all the same.
    Refused {
        /// Whether the name may be seen.
        visible: bool,
    },
    /// Nothing is known yet: ask with [`Authority::resolve`].
    Unknown,
}

/// A live right. It stays attached to what was opened with it, so that revocation and expiry reach
/// open files.
pub trait Permit: Send + Sync + fmt::Debug {
    /// Whether the right still stands. Asked before every read and write: an atomic load, no more.
    fn is_live(&self) -> bool;

    /// What the right allows.
    fn actions(&self) -> ActionSet;

    /// Which limits it has, and so which care is needed.
    fn limits(&self) -> Limits;

    /// Takes `bytes` from what may be read in all; answers how many of them are allowed.
    ///
    /// # Errors
    /// When nothing is left.
    fn take_read(&self, bytes: u64) -> Result<u64, Limit>;

    /// Gives back bytes that were taken and not given to the agent.
    fn return_read(&self, bytes: u64);

    /// Takes `bytes` from what may be written in all: all of them or none.
    ///
    /// # Errors
    /// When fewer are left.
    fn take_write(&self, bytes: u64) -> Result<(), Limit>;

    /// Gives back bytes that were taken and not written.
    fn return_write(&self, bytes: u64);

    /// An operation is about to happen: takes it from what may be done, and its objects from what may be touched, all or
    /// nothing. Called once for each operation, when every right for it is there and nothing has been done yet.
    ///
    /// # Errors
    /// The limit that it would break.
    fn begin(&self, usage: &Use<'_>) -> Result<(), Limit>;

    /// The operation that was begun had no effect: it counts for nothing, and so do `new` objects that were to be made. An
    /// object that was there keeps its count: another operation may rely on it by now.
    fn abandon(&self, new: u64);

    /// The operation that was begun made this object.
    fn made(&self, object: Identity);
}

/// What a right limits besides its actions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The number of bytes. Then nothing is read ahead and nothing is cached, so that the count is what the agent really took.
    pub bytes: bool,
    /// The number of operations or objects, or their content: [`Permit::begin`] has something to say.
    pub uses: bool,
    /// The content. Then [`Permit::begin`] is given what is there to be read.
    pub content: bool,
}

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Bytes read.
    Bytes,
    /// Bytes written.
    WriteBytes,
    /// Operations.
    Operations,
    /// Distinct files.
    Files,
    /// Rows of a document.
    Rows,
    /// What the content is.
    MediaType,
    /// That the content is what was granted.
    Digest,
}

impl Limit {
    /// The constraint's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "max_bytes",
            Self::WriteBytes => "max_write_bytes",
            Self::Operations => "max_operations",
            Self::Files => "max_files",
            Self::Rows => "max_rows",
            Self::MediaType => "media_types",
            Self::Digest => "digest",
        }
    }

    /// What the program is told: a count that is used up is a quota, content that is not given is not given.
    #[must_use]
    pub fn errno(self) -> Errno {
        match self {
            Self::Bytes | Self::WriteBytes | Self::Operations | Self::Files | Self::Rows => {
                Errno::DQUOT
            }
            Self::MediaType | Self::Digest => Errno::ACCESS,
        }
    }
}

/// What makes an object of the host the same one under another name, and another one than a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device.
    pub dev: u64,
    /// The number on it.
    pub ino: u64,
    /// When it was made, where the file system says so.
    pub birth: Option<(i64, u32)>,
}

/// One operation, whatever it touches.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// What is about to be done.
    pub purpose: Purpose,
    /// Each name that is used, with what is there.
    pub touched: &'a [Touched<'a>],
}

impl Use<'_> {
    /// The objects that are to be made.
    #[must_use]
    pub fn new_objects(&self) -> u64 {
        let new = self
            .touched
            .iter()
            .filter(|touched| touched.object.is_none());
        u64::try_from(new.count()).unwrap_or(u64::MAX)
    }
}

/// One name that an operation uses.
#[derive(Debug, Clone, Copy)]
pub struct Touched<'a> {
    /// The name in the view.
    pub path: &'a Path,
    /// What is there; `None` for what is about to be made.
    pub object: Option<Identity>,
    /// What is in it.
    pub content: Content<'a>,
}

/// The content of what is touched, as far as somebody limits it.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// It has none: a directory, a link, a pipe.
    Nothing,
    /// It is a regular file about to be made.
    New,
    /// It can be read here.
    Read(BorrowedFd<'a>),
    /// It was judged when the file was opened.
    Judged,
    /// It is a regular file, and nobody limits content.
    Unread,
}

/// What is known of the object that is asked for, from the object itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "members are those of `struct stat`")]
pub struct Facts {
    pub kind: FileKind,
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u64,
    pub dev: u64,
    pub ino: u64,
    pub mtime: (i64, u32),
    /// The kernel's own time of the last change of any kind.
    pub ctime: (i64, u32),
}

impl Facts {
    /// Nothing is there.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            kind: FileKind::Absent,
            size: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            nlink: 0,
            dev: 0,
            ino: 0,
            mtime: (0, 0),
            ctime: (0, 0),
        }
    }
}

/// What the agent is about to do, and which of its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Why {
    /// What the agent is about to do.
    pub purpose: Purpose,
    /// The process in the cell, as the cell numbers it; 0 when not known.
    pub pid: u32,
    /// Whether people may be asked. In a quiet tree they are not: what is asked for there is asked for by other means.
    pub may_ask: bool,
}

/// What the agent is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// See whether a name exists.
    Lookup,
    /// Open a file that exists.
    Open,
    /// List a directory.
    List,
    /// Make a file, directory, link or pipe.
    Create,
    /// Remove a name.
    Delete,
    /// Move something.
    Rename,
    /// Change size, mode, times or extended attributes.
    Change,
}

/// Something that happened, or was refused. Paths are the view's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observation {
    /// A file was opened for `actions`.
    Opened {
        /// The file.
        path: PathBuf,
        /// What it was opened for.
        actions: ActionSet,
    },
    /// A new name came into being.
    Created {
        /// The name.
        path: PathBuf,
        /// What is there.
        kind: FileKind,
    },
    /// A second name was given to a file.
    Linked {
        /// The name that it had.
        from: PathBuf,
        /// The name that it has now too.
        to: PathBuf,
    },
    /// Something was moved.
    Renamed {
        /// Its old name.
        from: PathBuf,
        /// Its new name.
        to: PathBuf,
        /// Whether the two changed places.
        exchanged: bool,
    },
    /// A name was removed.
    Deleted {
        /// The name.
        path: PathBuf,
        /// What was there.
        kind: FileKind,
    },
    /// Size, mode, times or extended attributes were changed.
    Changed {
        /// The object.
        path: PathBuf,
    },
    /// An open file was closed.
    Closed {
        /// The name that it was opened by.
        path: PathBuf,
        /// Bytes that went to the agent (or to the page cache of its kernel).
        read_bytes: u64,
        /// Bytes that came from it.
        written_bytes: u64,
    },
    /// A limit of the right was reached.
    Limited {
        /// The name that was used.
        path: PathBuf,
        /// What the right was needed for.
        wanted: ActionSet,
        /// The limit.
        limit: Limit,
    },
    /// Something was refused for the sake of what is masked in a file.
    Masked {
        /// The name that was used.
        path: PathBuf,
        /// For what.
        wanted: ActionSet,
        /// Why.
        why: MaskRefusal,
    },
    /// A file was refused because of its other names: a rule forbids one, or they cannot all be found.
    ManyNames {
        /// The name that was used.
        path: PathBuf,
        /// For what.
        wanted: ActionSet,
    },
    /// Something was refused.
    Refused {
        /// What was asked for.
        path: PathBuf,
        /// For what.
        wanted: ActionSet,
    },
}

/// The actions that an open for reading, writing or running wants.
pub(crate) const READ: ActionSet = ActionSet::of(&[Action::Read]);
pub(crate) const WRITE: ActionSet = ActionSet::of(&[Action::Write]);
pub(crate) const APPEND: ActionSet = ActionSet::of(&[Action::Append]);
pub(crate) const CREATE: ActionSet = ActionSet::of(&[Action::Create]);
pub(crate) const DELETE: ActionSet = ActionSet::of(&[Action::Delete]);
pub(crate) const EXECUTE: ActionSet = ActionSet::of(&[Action::Execute]);
pub(crate) const LIST: ActionSet = ActionSet::of(&[Action::List]);
pub(crate) const METADATA: ActionSet = ActionSet::of(&[Action::Metadata]);
/// Any coverage at all: see [`Authority::check`].
pub(crate) const SEE: ActionSet = ActionSet::EMPTY;
