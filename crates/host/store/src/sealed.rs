//! Sealed originals beside the log: one append-only file a person, so that all of a person's can be thrown away and no hash in the log depends on it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use valetkey_model::{Digest, Timestamp};

use crate::file::{private_directory, sync_directory};
use crate::{StoreError, write_atomically};

/// Bytes before a blob: its digest, when it was sealed, its length.
const HEAD_BYTES: usize = 32 + 8 + 4;

/// Most bytes of one blob: the originals of one event, sealed twice to many auditors.
const BLOB_MAX_BYTES: usize = 1 << 20;

/// The originals that policy keeps.
#[derive(Debug)]
pub struct SealedStore {
    directory: PathBuf,
    /// Files whose end is known to be whole, and where it is.
    ends: Mutex<HashMap<String, u64>>,
}

/// A blob as it lies in a file.
struct Piece {
    digest: Digest,
    time: Timestamp,
    blob: Vec<u8>,
}

impl SealedStore {
    /// The store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// When the directory is not private, or the system refuses.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        private_directory(directory)?;
        Ok(Self {
            directory: directory.to_path_buf(),
            ends: Mutex::default(),
        })
    }

    /// Puts a blob beside the others of a person, by which it is found and erased; its digest. It is durable on return where that is asked for, and with the next that is.
    ///
    /// # Errors
    /// When it cannot be written; then there is no trace of it.
    pub fn put(
        &self,
        person: &str,
        time: Timestamp,
        blob: &[u8],
        durable: bool,
    ) -> Result<Digest, StoreError> {
        let path = self.path(person)?;
        let digest = digest_of(blob);
        let length = u32::try_from(blob.len()).unwrap_or(u32::MAX);
        if blob.len() > BLOB_MAX_BYTES {
            return Err(unreadable(&path, "a sealed original is too long"));
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES.saturating_add(blob.len()));
        bytes.extend(digest.as_bytes());
        bytes.extend(time.unix_ms().to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(blob);
        let mut ends = self.ends();
        let failed = |error| StoreError::io("write", &path, error);
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .append(true)
            .read(true)
            .create(true)
            .mode(0o600)
            .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0))
            .open(&path)
            .map_err(failed)?;
        let end = match ends.get(person) {
            Some(end) => *end,
            None => whole_end(&file).map_err(failed)?,
        };
        // What an earlier write left half-done is taken away, or nothing behind it would be found.
        file.set_len(end).map_err(failed)?;
        let written = file.write_all(&bytes).and_then(|()| match durable {
            true => file.sync_data(),
            false => Ok(()),
        });
        if let Err(error) = written {
            drop(file.set_len(end));
            return Err(failed(error));
        }
        if is_new {
            sync_directory(&self.directory)?;
        }
        let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        ends.insert(person.to_owned(), end.saturating_add(added));
        Ok(digest)
    }

    /// Throws away everything of a person; how many blobs that were. What a disk or a backup still holds is sealed.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn erase(&self, person: &str) -> Result<u64, StoreError> {
        let path = self.path(person)?;
        let mut ends = self.ends();
        let count = match File::open(&path) {
            Ok(file) => pieces(&file).filter(Result::is_ok).count(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        std::fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
        ends.remove(person);
        sync_directory(&self.directory)?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Throws away what was sealed before a time; how many blobs that were.
    ///
    /// # Errors
    /// When the system refuses; each file is as it was, or without what is too old.
    pub fn erase_before(&self, time: Timestamp) -> Result<u64, StoreError> {
        let mut ends = self.ends();
        let mut count = 0_u64;
        for path in files(&self.directory)? {
            let failed = |error| StoreError::io("read", &path, error);
            let file = File::open(&path).map_err(failed)?;
            let (mut kept, mut dropped) = (Vec::new(), 0_u64);
            for piece in pieces(&file) {
                let piece = piece.map_err(failed)?;
                if piece.time < time {
                    dropped = dropped.saturating_add(1);
                } else {
                    kept.extend(piece.digest.as_bytes());
                    kept.extend(piece.time.unix_ms().to_be_bytes());
                    kept.extend(u32::try_from(piece.blob.len()).unwrap_or(0).to_be_bytes());
                    kept.extend(piece.blob);
                }
            }
            if dropped > 0 {
                write_atomically(&path, &kept, 0o600)?;
                ends.clear();
                count = count.saturating_add(dropped);
            }
        }
        Ok(count)
    }

    /// The blob with this digest in a store's directory, whoever's it is; nothing where it was erased or never kept.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn find(directory: &Path, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        for path in files(directory)? {
            let failed = |error| StoreError::io("read", &path, error);
            let file = File::open(&path).map_err(failed)?;
            for piece in pieces(&file) {
                let piece = piece.map_err(failed)?;
                if piece.digest == *digest {
                    // What lies under the digest is what was sealed, or it is not given out.
                    let is_whole = digest_of(&piece.blob) == *digest;
                    return is_whole
                        .then_some(Some(piece.blob))
                        .ok_or_else(|| unreadable(&path, "a sealed original was changed"));
                }
            }
        }
        Ok(None)
    }

    /// A person's file. The name is a keyed hash: nothing else leads anywhere.
    fn path(&self, person: &str) -> Result<PathBuf, StoreError> {
        if is_name(person) {
            Ok(self.directory.join(person))
        } else {
            Err(unreadable(
                &self.directory,
                "not the name of a person's file",
            ))
        }
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest_of(blob: &[u8]) -> Digest {
    Digest::tagged("valetkey sealed v1", blob)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| StoreError::io("list", directory, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_str().is_some_and(is_name) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, why: &str) -> StoreError {
    StoreError::Unreadable {
        path: path.to_path_buf(),
        why: why.to_owned(),
    }
}

/// Where the last whole piece of a file ends.
fn whole_end(file: &File) -> io::Result<u64> {
    let mut end = 0_u64;
    for piece in pieces(file) {
        let length = HEAD_BYTES.saturating_add(piece?.blob.len());
        end = end.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
    }
    Ok(end)
}

/// The whole pieces of a file. What a crash left half-written at its end is none.
fn pieces(file: &File) -> impl Iterator<Item = io::Result<Piece>> + '_ {
    let mut at = 0_u64;
    std::iter::from_fn(move || piece(file, &mut at).transpose())
}

fn piece(file: &File, at: &mut u64) -> io::Result<Option<Piece>> {
    let mut head = [0_u8; HEAD_BYTES];
    if !filled(file, &mut head, *at)? {
        return Ok(None);
    }
    let (digest, rest) = head.split_at(32);
    let (time, length) = rest.split_at(8);
    let digest = <[u8; 32]>::try_from(digest).map(Digest::from_bytes);
    let time = <[u8; 8]>::try_from(time).map(u64::from_be_bytes);
    let length = <[u8; 4]>::try_from(length).map(u32::from_be_bytes);
    let (Ok(digest), Ok(time), Ok(length)) = (digest, time, length) else {
        return Ok(None);
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > BLOB_MAX_BYTES {
        return Ok(None);
    }
    let mut blob = vec![0; length];
    let body = at.saturating_add(u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX));
    if !filled(file, &mut blob, body)? {
        return Ok(None);
    }
    *at = body.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
    Ok(Some(Piece {
        digest,
        time: Timestamp::from_unix_ms(time),
        blob,
    }))
}

/// Whether the file has as much as the buffer takes.
fn filled(file: &File, buffer: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    #[test]
    fn what_was_put_is_found_until_it_is_erased() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("sealed");
        let store = SealedStore::open(&home).unwrap();
        let a = store.put("hmac-a", at(1), b"alice", true).unwrap();
        let b = store.put("hmac-b", at(2), b"bob", false).unwrap();
        let c = store.put("hmac-a", at(3), b"", true).unwrap();
        let found = |digest| SealedStore::find(&home, digest).unwrap();
        assert_eq!(found(&a).as_deref(), Some(&b"alice"[..]));
        assert_eq!(found(&c).as_deref(), Some(&b""[..]));
        assert_eq!(store.erase_before(at(2)).unwrap(), 1);
        assert_eq!((found(&a), found(&c).as_deref()), (None, Some(&b""[..])));
        assert_eq!(store.erase("hmac-a").unwrap(), 1);
        assert_eq!(store.erase("hmac-a").unwrap(), 0);
        assert_eq!((found(&c), found(&b).as_deref()), (None, Some(&b"bob"[..])));
        for name in ["", "../x", "a/b", "A", ".x"] {
            assert!(store.put(name, at(1), b"x", true).is_err(), "{name}");
            assert!(store.erase(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_torn_at_any_byte_loses_what_was_torn_and_nothing_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("sealed");
        let store = SealedStore::open(&home).unwrap();
        let first = store.put("hmac-a", at(1), b"first", true).unwrap();
        let path = home.join("hmac-a");
        let whole = std::fs::metadata(&path).unwrap().len();
        store.put("hmac-a", at(1), b"second", true).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for cut in usize::try_from(whole).unwrap()..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let store = SealedStore::open(&home).unwrap();
            let third = store.put("hmac-a", at(1), b"third", true).unwrap();
            let found = |digest| SealedStore::find(&home, digest).unwrap();
            assert_eq!(found(&first).as_deref(), Some(&b"first"[..]), "{cut}");
            assert_eq!(found(&third).as_deref(), Some(&b"third"[..]), "{cut}");
        }
        let mut changed = bytes;
        changed[HEAD_BYTES] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(SealedStore::find(&home, &first).is_err());
    }
}
