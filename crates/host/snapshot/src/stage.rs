//! What a session changed, held back until the person takes it: layers that took the changes in place of the host, and how each name was
//! before.
//!
//! A layer is the upper one of the kernel's overlay: a file in it stands for the one below, a character device 0:0 for one that was removed, a
//! directory marked opaque for one of which nothing below is left. What the session based its change on is noted before the change is let through.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::SnapshotError;
use crate::record::Moment;
use crate::sessions::make_private;

/// The file in a stage's directory that tells what the session based its changes on.
const NOTES: &str = "notes";
/// Notes of one session at most: some million names. More is refused, as every note that cannot be written is.
const NOTES_BYTES_MAX: u64 = 512 << 20;

/// What was at a name when the session first changed it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its number.
    pub ino: u64,
    /// When anything about it was changed last.
    pub changed: Moment,
}

/// One line of the notes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Note {
    /// A tree whose changes are held back.
    Tree(#[serde(with = "crate::text::path")] PathBuf),
    /// A name that is about to be changed.
    Was {
        #[serde(with = "crate::text::path")]
        path: PathBuf,
        /// `None`: nothing was there.
        base: Option<Base>,
    },
    /// A name of which what was changed was taken or thrown away.
    Settled(#[serde(with = "crate::text::path")] PathBuf),
}

/// Where one tree's changes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedTree {
    /// The tree.
    pub path: PathBuf,
    /// The layer that takes them.
    pub upper: PathBuf,
    /// What the kernel needs beside it.
    pub work: PathBuf,
}

/// The stage of a running session.
#[derive(Debug)]
pub struct Stage {
    trees: Vec<StagedTree>,
    notes: Mutex<Notes>,
}

#[derive(Debug)]
struct Notes {
    path: PathBuf,
    file: File,
    bytes: u64,
    known: HashSet<PathBuf>,
}

impl Stage {
    /// Begins a stage in `directory`, which is made, for what is changed in `trees`.
    ///
    /// # Errors
    /// When it cannot be made, or is open to others.
    pub fn begin(directory: &Path, trees: &[PathBuf]) -> Result<Self, SnapshotError> {
        make_private(directory)?;
        let path = directory.join(NOTES);
        let fail = |error| SnapshotError::io("make", &path, error);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| SnapshotError::InUse(directory.to_path_buf()))?;
        let mut notes = Notes {
            path,
            file,
            bytes: 0,
            known: HashSet::new(),
        };
        let trees = layers(directory, trees);
        for tree in &trees {
            for layer in [&tree.upper, &tree.work] {
                DirBuilder::new()
                    .mode(0o700)
                    .create(layer)
                    .map_err(|error| SnapshotError::io("make", layer, error))?;
            }
            notes.add(&Note::Tree(tree.path.clone()))?;
        }
        Ok(Self {
            trees,
            notes: Mutex::new(notes),
        })
    }

    /// The trees whose changes it takes.
    #[must_use]
    pub fn trees(&self) -> &[StagedTree] {
        &self.trees
    }

    /// Whether what is changed at `path` is held back.
    #[must_use]
    pub fn holds(&self, path: &Path) -> bool {
        self.trees.iter().any(|tree| path.starts_with(&tree.path))
    }

    /// Something at `path` is about to be changed for the first time, and is `base` now. What was noted before stays.
    ///
    /// # Errors
    /// When it cannot be written down; then nothing may be changed.
    pub fn note(&self, path: &Path, base: Option<Base>) -> Result<(), SnapshotError> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.known.contains(path) {
            return Ok(());
        }
        notes.add(&Note::Was {
            path: path.to_path_buf(),
            base,
        })?;
        notes.known.insert(path.to_path_buf());
        Ok(())
    }
}

impl Notes {
    fn add(&mut self, note: &Note) -> Result<(), SnapshotError> {
        let fail = |error| SnapshotError::io("write", &self.path, error);
        let mut line = serde_json::to_vec(note).map_err(|error| fail(error.into()))?;
        line.push(b'\n');
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes.saturating_add(bytes) > NOTES_BYTES_MAX {
            let why = format!("at most {NOTES_BYTES_MAX} bytes of notes are kept of one session");
            return Err(SnapshotError::Full(why));
        }
        self.file.write_all(&line).map_err(fail)?;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }
}

fn layers(directory: &Path, trees: &[PathBuf]) -> Vec<StagedTree> {
    let layer = |(number, path): (usize, &PathBuf)| StagedTree {
        path: path.clone(),
        upper: directory.join(format!("upper-{number}")),
        work: directory.join(format!("work-{number}")),
    };
    trees.iter().enumerate().map(layer).collect()
}

/// What a session that has ended has left on its stage.
#[derive(Debug)]
pub struct Staged {
    pub(crate) directory: PathBuf,
    pub(crate) trees: Vec<StagedTree>,
    pub(crate) bases: HashMap<PathBuf, Option<Base>>,
    settled: Mutex<HashSet<PathBuf>>,
    /// Held, so that two do not take from it at once.
    _lock: File,
}

impl Staged {
    /// Reads the stage in `directory`. `live`: that of a session that still runs too, to look at it.
    ///
    /// # Errors
    /// When it is in use, cannot be read, or is damaged.
    pub fn read(directory: &Path, live: bool) -> Result<Self, SnapshotError> {
        let path = directory.join(NOTES);
        let fail = |error| SnapshotError::io("read", &path, error);
        let lock = File::open(&path).map_err(fail)?;
        let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        if locked.is_err() && !live {
            return Err(SnapshotError::InUse(directory.to_path_buf()));
        }
        let mut paths = Vec::new();
        let mut settled = HashSet::new();
        let mut bases = HashMap::new();
        for line in BufReader::new(File::open(&path).map_err(fail)?).split(b'\n') {
            let line = line.map_err(fail)?;
            match serde_json::from_slice(&line) {
                Ok(Note::Tree(path)) => paths.push(path),
                Ok(Note::Was { path, base }) => {
                    bases.entry(path).or_insert(base);
                }
                Ok(Note::Settled(path)) => drop(settled.insert(path)),
                // The last one of a guard that was killed. What it was about to change is as it was, or is not known and so left alone.
                Err(_) => {}
            }
        }
        let trees = layers(directory, &paths);
        Ok(Self {
            directory: directory.to_path_buf(),
            trees,
            bases,
            settled: Mutex::new(settled),
            _lock: lock,
        })
    }

    /// What was changed at `path` waits no longer. Where a directory covers the host no entry of a layer says so.
    pub(crate) fn settle(&self, path: &Path) -> Result<(), SnapshotError> {
        let notes = self.directory.join(NOTES);
        let fail = |error| SnapshotError::io("write", &notes, error);
        let file = OpenOptions::new().append(true).open(&notes).map_err(fail)?;
        let mut notes = Notes {
            path: notes.clone(),
            file,
            bytes: 0,
            known: HashSet::new(),
        };
        // A guard that was killed may have left half a line.
        notes.file.write_all(b"\n").map_err(fail)?;
        notes.add(&Note::Settled(path.to_path_buf()))?;
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(path.to_path_buf());
        Ok(())
    }

    pub(crate) fn is_settled(&self, path: &Path) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.contains(path)
    }
}

/// The names of the sessions that have a stage below `directory`, the latest first.
///
/// # Errors
/// When it cannot be read.
pub fn stages(directory: &Path) -> Result<Vec<String>, SnapshotError> {
    let fail = |error| SnapshotError::io("read", directory, error);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if entry.path().join(NOTES).is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    // Ids begin with their time.
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names)
}

/// Throws a stage away, with all that is on it.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_stage(staged: Staged) -> Result<(), SnapshotError> {
    let directory = &staged.directory;
    for tree in &staged.trees {
        open_up(&tree.work);
    }
    fs::remove_dir_all(directory).map_err(|error| SnapshotError::io("remove", directory, error))
}

/// The kernel leaves a directory without rights in there, which its owner cannot look into to remove it.
fn open_up(work: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let inner = work.join("work");
    if fs::symlink_metadata(&inner).is_ok_and(|metadata| metadata.is_dir()) {
        // What cannot be opened is met by the removal.
        drop(fs::set_permissions(
            &inner,
            fs::Permissions::from_mode(0o700),
        ));
    }
}
