//! The file of a session: frames, appended, each under the SHA-256 of what is in it.
//!
//! One byte says what a frame holds, four how long it is, thirty-two its digest. A piece of content is found by that digest and is there
//! once. A frame that a crash tore is at the end and counts for nothing: what it describes has not happened.
//!
//! Content and records are in one file, so that one `fdatasync` makes a change and what it takes away durable, in that order.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use valetkey_model::Digest;

use crate::SnapshotError;
use crate::record::Record;

/// Bytes of content in one frame: enough that large files are few frames, little enough to hold in memory for each thread.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Most bytes of a record: the digests of the largest file that is kept, and room.
const RECORD_MAX_BYTES: usize = 16 << 20;
const HEAD_BYTES: u64 = 37;
const CHUNK: u8 = 1;
const RECORD: u8 = 2;

/// A record, and where it ends.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) end: u64,
    pub(crate) record: Record,
}

/// Where each piece of content is.
type Index = HashMap<Digest, (u64, u32)>;

/// The file, to be written.
#[derive(Debug)]
pub(crate) struct Frames {
    path: PathBuf,
    file: File,
    end: Mutex<End>,
    /// Up to where it is durable.
    synced: AtomicU64,
    /// Held by whoever waits for the disk.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct End {
    length: u64,
    index: Index,
    /// What is after `length` could not be written or not be made durable: nothing more is taken.
    broken: bool,
}

impl Frames {
    /// Opens the file, or makes it, and takes its lock.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Written>), SnapshotError> {
        let fail = |what| move |error| SnapshotError::io(what, path, error);
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600);
        let file = options
            .custom_flags(flags)
            .open(path)
            .map_err(fail("open"))?;
        lock(&file, path)?;
        let scan = scan(&file, path)?;
        let length = file.metadata().map_err(fail("read"))?.len();
        if length > scan.length {
            file.set_len(scan.length).map_err(fail("write"))?;
        }
        let frames = Self {
            path: path.to_path_buf(),
            file,
            synced: AtomicU64::new(0),
            syncing: Mutex::default(),
            end: Mutex::new(End {
                length: scan.length,
                index: scan.index,
                broken: false,
            }),
        };
        Ok((frames, scan.records))
    }

    /// Bytes in it.
    pub(crate) fn length(&self) -> u64 {
        self.end().length
    }

    /// Adds a piece of content, once.
    pub(crate) fn add_chunk(&self, digest: Digest, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut end = self.end();
        if end.index.contains_key(&digest) {
            return Ok(());
        }
        let at = end.length.saturating_add(HEAD_BYTES);
        self.append(&mut end, CHUNK, digest, bytes)?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        end.index.insert(digest, (at, length));
        Ok(())
    }

    /// Adds a record; gives the place after it, for [`Frames::sync`].
    pub(crate) fn add_record(&self, record: &Record) -> Result<u64, SnapshotError> {
        let bytes = serde_json::to_vec(record)
            .map_err(|error| SnapshotError::io("write", &self.path, std::io::Error::from(error)))?;
        if bytes.len() > RECORD_MAX_BYTES {
            return Err(SnapshotError::Budget("the record is too long".to_owned()));
        }
        let mut end = self.end();
        self.append(&mut end, RECORD, Digest::of(&bytes), &bytes)?;
        Ok(end.length)
    }

    fn append(
        &self,
        end: &mut End,
        kind: u8,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        let fail = |error| SnapshotError::io("write", &self.path, error);
        if end.broken {
            return Err(fail(Errno::IO.into()));
        }
        let length = u32::try_from(bytes.len()).map_err(|_| fail(Errno::FBIG.into()))?;
        let mut frame = Vec::with_capacity(bytes.len().saturating_add(64));
        frame.push(kind);
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(digest.as_bytes());
        frame.extend_from_slice(bytes);
        if let Err(error) = self.file.write_all_at(&frame, end.length) {
            // Half a frame must not stay, since what comes next would stand before its rest.
            end.broken = self.file.set_len(end.length).is_err();
            return Err(fail(error));
        }
        let added = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        end.length = end.length.saturating_add(added);
        Ok(())
    }

    /// Makes everything before `until` durable. Who comes while another waits for the disk shares the next wait.
    pub(crate) fn sync(&self, until: u64) -> Result<(), SnapshotError> {
        if self.synced.load(Ordering::Acquire) >= until {
            return Ok(());
        }
        let _waiting = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.synced.load(Ordering::Acquire) >= until {
            return Ok(());
        }
        let length = {
            let end = self.end();
            if end.broken {
                // The kernel said so to another; asked again it would say that all is well.
                return Err(SnapshotError::io("write", &self.path, Errno::IO));
            }
            end.length
        };
        if let Err(error) = self.file.sync_data() {
            // The kernel says so once and forgets: what it did not write is not known.
            self.end().broken = true;
            return Err(SnapshotError::io("write", &self.path, error));
        }
        self.synced.store(length, Ordering::Release);
        Ok(())
    }

    /// Makes all durable, and its time that of now: until then the session was alive.
    pub(crate) fn beat(&self) -> Result<(), SnapshotError> {
        self.sync(self.length())?;
        let now = std::time::SystemTime::now();
        self.file
            .set_modified(now)
            .map_err(|error| SnapshotError::io("write", &self.path, error))
    }

    fn end(&self) -> std::sync::MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file, to be read.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    index: Index,
}

impl Reader {
    /// Reads what is there. `alone`: nobody may be writing it.
    pub(crate) fn open(path: &Path, alone: bool) -> Result<(Self, Vec<Written>), SnapshotError> {
        let fail = |error| SnapshotError::io("read", path, error);
        let file = File::open(path).map_err(fail)?;
        if alone {
            lock(&file, path)?;
        }
        let scan = scan(&file, path)?;
        let reader = Self {
            path: path.to_path_buf(),
            file,
            index: scan.index,
        };
        Ok((reader, scan.records))
    }

    /// A piece of content, compared with its digest.
    pub(crate) fn chunk(&self, digest: &Digest) -> Result<Vec<u8>, SnapshotError> {
        let damaged = |why: &str| SnapshotError::Damaged {
            path: self.path.clone(),
            why: why.to_owned(),
        };
        let (at, length) = *self
            .index
            .get(digest)
            .ok_or_else(|| damaged("a piece of content is missing"))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(|error| SnapshotError::io("read", &self.path, error))?;
        if Digest::of(&bytes) != *digest {
            return Err(damaged("a piece of content is not what it was"));
        }
        Ok(bytes)
    }
}

fn lock(file: &File, path: &Path) -> Result<(), SnapshotError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(SnapshotError::InUse(path.to_path_buf())),
        Err(error) => Err(SnapshotError::io("lock", path, error)),
    }
}

struct Scan {
    length: u64,
    index: Index,
    records: Vec<Written>,
}

/// Reads heads and records; content is compared when it is used.
fn scan(file: &File, path: &Path) -> Result<Scan, SnapshotError> {
    let fail = |error| SnapshotError::io("read", path, error);
    let size = file.metadata().map_err(fail)?.len();
    let mut scan = Scan {
        length: 0,
        index: Index::new(),
        records: Vec::new(),
    };
    while let Some(body) = scan
        .length
        .checked_add(HEAD_BYTES)
        .filter(|body| *body <= size)
    {
        let mut head = [0_u8; 37];
        file.read_exact_at(&mut head, scan.length).map_err(fail)?;
        let [kind, a, b, c, d, digest @ ..] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        let digest = Digest::from_bytes(digest);
        let Some(end) = body.checked_add(length.into()).filter(|end| *end <= size) else {
            break;
        };
        let is_last = end == size;
        match kind {
            CHUNK => {
                scan.index.insert(digest, (body, length));
            }
            RECORD if usize::try_from(length).is_ok_and(|length| length <= RECORD_MAX_BYTES) => {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
                file.read_exact_at(&mut bytes, body).map_err(fail)?;
                let whole = Digest::of(&bytes) == digest;
                match serde_json::from_slice(&bytes) {
                    Ok(record) if whole => scan.records.push(Written { end, record }),
                    _ if is_last => break,
                    _ => return Err(damaged(path, scan.length)),
                }
            }
            // Nothing was ever written there: a crash of the machine before the data came.
            0 if length == 0 => break,
            _ => return Err(damaged(path, scan.length)),
        }
        scan.length = end;
    }
    Ok(scan)
}

fn damaged(path: &Path, at: u64) -> SnapshotError {
    SnapshotError::Damaged {
        path: path.to_path_buf(),
        why: format!("the record at byte {at} is not what it was"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Change;

    fn on(file: File) -> Frames {
        Frames {
            path: "store".into(),
            file,
            end: Mutex::new(End {
                length: 1,
                index: Index::new(),
                broken: false,
            }),
            synced: AtomicU64::new(0),
            syncing: Mutex::default(),
        }
    }

    fn record() -> Record {
        Record {
            time_ms: 0,
            change: Change::Ended,
        }
    }

    #[test]
    fn what_the_disk_did_not_take_once_is_refused_also_when_asked_again() {
        // A device that cannot be made durable.
        let full = OpenOptions::new().read(true).write(true).open("/dev/full");
        let frames = on(full.unwrap());
        assert!(frames.sync(1).is_err());
        assert!(
            frames.sync(1).is_err(),
            "the kernel tells of a failure once"
        );
        assert!(frames.add_record(&record()).is_err());
        assert!(frames.add_chunk(Digest::of(b"x"), b"x").is_err());
    }

    #[test]
    fn half_a_frame_that_cannot_be_taken_back_ends_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "x").unwrap();
        // Neither written nor cut.
        let frames = on(File::open(file.path()).unwrap());
        assert!(frames.add_record(&record()).is_err());
        assert!(frames.end().broken);
        assert!(frames.sync(1).is_err());
    }
}
