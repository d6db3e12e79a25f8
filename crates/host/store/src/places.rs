//! Segments one by one, with the place of each event in its file: for those who keep an index beside the log.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use valetkey_audit::segment::{FRAME_MAX_BYTES, Frame, SegmentHeader};
use valetkey_model::Digest;

use crate::reader::{Entry, entry};
use crate::{LogReader, StoreError};

/// A segment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPlace {
    first: u64,
    path: PathBuf,
}

/// How far a segment was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTo {
    /// Bytes up to the end of the last whole batch.
    pub bytes: u64,
    /// Where the checkpoint of that batch begins.
    pub checkpoint_at: u64,
    /// The digest of the checkpoint's frame.
    pub checkpoint: Digest,
}

impl LogReader {
    /// The segments, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn segments(&self) -> Result<Vec<SegmentPlace>, StoreError> {
        let paths = self.segment_paths()?.into_iter();
        Ok(paths
            .map(|(first, path)| SegmentPlace { first, path })
            .collect())
    }
}

impl SegmentPlace {
    /// Its first event.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that the file has now.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let metadata = std::fs::metadata(&self.path);
        Ok(metadata
            .map_err(|error| StoreError::io("read", &self.path, error))?
            .len())
    }

    /// Gives every event of whole batches from byte `from` on, a place between two batches, with where it begins; 0 is the beginning of all.
    ///
    /// # Errors
    /// When the segment cannot be read, or an event is not what was recorded.
    pub fn scan(
        &self,
        from: u64,
        mut f: impl FnMut(u64, Entry),
    ) -> Result<Option<ReadTo>, StoreError> {
        let bytes =
            std::fs::read(&self.path).map_err(|error| StoreError::io("read", &self.path, error))?;
        let (_, header) =
            SegmentHeader::read(&bytes).map_err(|error| self.unreadable(&error.to_string()))?;
        let mut at = usize::try_from(from).unwrap_or(usize::MAX).max(header);
        let (mut batch, mut read) = (Vec::new(), None);
        while let Ok((frame, length)) = Frame::read(bytes.get(at..).unwrap_or_default()) {
            let end = at.saturating_add(length);
            match frame {
                Frame::Event { leaf, payload } => batch.push((at, leaf, payload)),
                Frame::Checkpoint { .. } => {
                    for (at, leaf, payload) in batch.drain(..) {
                        f(wide(at), entry(&self.path, leaf, payload)?);
                    }
                    let frame = bytes.get(at..end).unwrap_or_default();
                    read = Some(ReadTo {
                        bytes: wide(end),
                        checkpoint_at: wide(at),
                        checkpoint: Digest::of(frame),
                    });
                }
            }
            at = end;
        }
        Ok(read)
    }

    /// Reads single events of it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self) -> Result<EventAt, StoreError> {
        let file =
            File::open(&self.path).map_err(|error| StoreError::io("open", &self.path, error))?;
        Ok(EventAt {
            file,
            path: self.path.clone(),
        })
    }

    fn unreadable(&self, why: &str) -> StoreError {
        StoreError::Unreadable {
            path: self.path.clone(),
            why: format!("{why}: run `valetkey audit verify`"),
        }
    }
}

/// Reads single events of a segment.
#[derive(Debug)]
pub struct EventAt {
    file: File,
    path: PathBuf,
}

impl EventAt {
    /// The event that begins at a byte, checked against its hash; nothing where none begins there.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was recorded.
    pub fn read(&self, at: u64) -> Result<Option<Entry>, StoreError> {
        let mut most = 4096;
        loop {
            let bytes = self.bytes(at, most)?;
            match Frame::read(&bytes) {
                Ok((Frame::Event { leaf, payload }, _)) => {
                    return entry(&self.path, leaf, payload).map(Some);
                }
                Err(_) if most < FRAME_MAX_BYTES && bytes.len() == most => most = FRAME_MAX_BYTES,
                Ok((Frame::Checkpoint { .. }, _)) | Err(_) => return Ok(None),
            }
        }
    }

    /// The digest of the bytes between two places; nothing where the file is shorter.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn digest(&self, from: u64, to: u64) -> Result<Option<Digest>, StoreError> {
        let wanted = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        if wanted > FRAME_MAX_BYTES {
            return Ok(None);
        }
        let bytes = self.bytes(from, wanted)?;
        Ok((bytes.len() == wanted).then(|| Digest::of(&bytes)))
    }

    /// At most so many bytes from a place on.
    fn bytes(&self, at: u64, most: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; most];
        let mut filled = 0_usize;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let place = at.saturating_add(wide(filled));
            match self.file.read_at(rest, place) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("read", &self.path, error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
