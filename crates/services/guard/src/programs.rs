//! Programs that are granted by their content: pinned when they are asked for, and held to it whenever they are opened.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::pread;
use valetkey_api::StartGrant;
use valetkey_model::{Action, ActionSet, Digest, DigestStream, Resource};

/// The longest program that is looked at: larger than any that is one.
const PROGRAM_BYTES_MAX: i64 = 1 << 30;
/// Read at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// What a pinned program gives beside being run: whoever starts a script reads it, and what it says is known already.
const BESIDE_RUNNING: ActionSet = ActionSet::of(&[Action::Read, Action::Metadata]);

/// What a program has to be.
#[derive(Debug)]
pub(crate) struct Pin {
    digest: Digest,
    /// The version that was found to be it: it is not read again at each start.
    found: Mutex<Option<Version>>,
}

/// What changes with every change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    object: (u64, u64),
    size: i64,
    changed: (i64, i64),
}

impl Pin {
    /// The pin of a resource, if it is a program with one.
    pub(crate) fn of(resource: &Resource) -> Option<Self> {
        let Resource::Exec(program) = resource else {
            return None;
        };
        program.digest().map(|digest| Self {
            digest: *digest,
            found: Mutex::default(),
        })
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// What may be done with the program where `actions` are given.
    pub(crate) fn widened(actions: ActionSet) -> ActionSet {
        if actions.allows(Action::Execute) {
            actions.union(BESIDE_RUNNING)
        } else {
            actions
        }
    }

    /// Whether the open file is the program.
    pub(crate) fn holds(&self, file: BorrowedFd<'_>) -> bool {
        self.look(file).unwrap_or(false)
    }

    /// Whether the file of this name is the program now.
    pub(crate) fn holds_at(&self, path: &Path) -> bool {
        open(path).is_ok_and(|file| self.holds(file.as_fd()))
    }

    fn look(&self, file: BorrowedFd<'_>) -> io::Result<bool> {
        let before = fstat(file)?;
        let known = *self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if known == Some(version(&before)) {
            return Ok(true);
        }
        let is_it = digest(file)? == self.digest;
        // What changed while it was read is no version of anything.
        if !is_it || version(&fstat(file)?) != version(&before) {
            return Ok(false);
        }
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(version(&before));
        Ok(true)
    }
}

/// One program that is asked for, pinned to what it is now; everything else as it is.
///
/// # Errors
/// When the program cannot be read, or is none.
pub(crate) fn pinned(resource: Resource) -> io::Result<Resource> {
    let Resource::Exec(program) = &resource else {
        return Ok(resource);
    };
    if program.digest().is_some() || !program.path().is_literal() {
        return Ok(resource);
    }
    let file = open(&program.path().literal_prefix())?;
    let text = format!("{program}#{}", digest(file.as_fd())?);
    text.parse()
        .map_err(|error| io::Error::other(format!("{error}")))
}

/// What a person grants, each program as it is now.
///
/// # Errors
/// As [`pinned`].
pub(crate) fn all_pinned(grants: &[StartGrant]) -> io::Result<Vec<StartGrant>> {
    let pin = |start: &StartGrant| {
        let mut start = start.clone();
        start.grant.resource = pinned(start.grant.resource)?;
        Ok(start)
    };
    grants.iter().map(pin).collect()
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    // Without waiting for anybody: a pipe is none.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat2(
        CWD,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS,
    )?)
}

fn digest(file: BorrowedFd<'_>) -> io::Result<Digest> {
    let stat = fstat(file)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || stat.st_size > PROGRAM_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no program",
        ));
    }
    let mut stream = DigestStream::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0_u64;
    loop {
        let read = pread(file, &mut chunk, at)?;
        if read == 0 {
            return Ok(stream.finish());
        }
        stream.update(chunk.get(..read).unwrap_or_default());
        at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

fn version(stat: &Stat) -> Version {
    Version {
        object: (stat.st_dev, stat.st_ino),
        size: stat.st_size,
        changed: (
            stat.st_ctime,
            i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_held_to_its_content() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tool");
        std::fs::write(&path, "#!/bin/sh\n").expect("write");
        let plain: Resource = format!("exec:{}", path.display())
            .parse()
            .expect("a resource");
        let resource = pinned(plain.clone()).expect("pinned");
        assert!(plain.covers(&resource) && !resource.covers(&plain));
        let pin = Pin::of(&resource).expect("a pin");
        assert!(pin.holds_at(&path) && pin.holds_at(&path));
        std::fs::write(&path, "#!/bin/xx\n").expect("write");
        assert!(!pin.holds_at(&path));
        std::fs::write(&path, "#!/bin/sh\n").expect("write");
        assert!(pin.holds_at(&path));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("link");
        assert!(!pin.holds_at(&link) && !pin.holds_at(directory.path()));
        let other: Resource = format!("exec:{}", link.display())
            .parse()
            .expect("a resource");
        assert!(pinned(other).is_err());
        let pattern: Resource = "exec:/opt/**".parse().expect("a resource");
        assert_eq!(pinned(pattern.clone()).expect("as it is"), pattern);
        assert!(Pin::of(&plain).is_none());
    }
}
