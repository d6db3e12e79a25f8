//! Reads a log while it is written: forwards from any event, backwards from the end, and by id.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use valetkey_audit::segment::{FRAME_MAX_BYTES, Frame, FrameError, SegmentHeader};
use valetkey_audit::{Checkpoint, LogPublicKey, Record, Verdict, Verifier, leaf_hash};
use valetkey_model::{Digest, EventId};

use crate::{StoreError, segments};

/// Bytes read at once when going forwards.
const READ_BYTES: usize = 256 << 10;

/// Bytes read first when looking at the end.
const TAIL_BYTES: u64 = 64 << 10;

/// An event as it is read from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub record: Record,
    /// Its canonical JSON.
    pub bytes: Vec<u8>,
    /// Its leaf hash, which was checked against its bytes.
    pub leaf: Digest,
}

/// Reads the log in a directory. It takes no lock and checks no signature: [`LogReader::verify`] does that.
#[derive(Clone, Debug)]
pub struct LogReader {
    directory: PathBuf,
}

impl LogReader {
    /// A reader of the log in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        segments::list(directory)?;
        Ok(Self {
            directory: directory.to_path_buf(),
        })
    }

    /// The last `count` events, oldest first. Only the end of the log is read.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn tail(&self, count: usize) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for first in segments::list(&self.directory)?.into_iter().rev() {
            if entries.len() >= count {
                break;
            }
            let path = segments::path_of(&self.directory, first);
            let wanted = count.saturating_sub(entries.len());
            let mut last = tail_of_segment(&path, wanted)?;
            last.append(&mut entries);
            entries = last;
        }
        Ok(entries)
    }

    /// The event at `seq`, if it is there.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn get(&self, seq: u64) -> Result<Option<Entry>, StoreError> {
        self.entries(seq)?.next().transpose()
    }

    /// The event with this id, if it is there. Looks at the newest segment first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn find(&self, id: &EventId) -> Result<Option<Entry>, StoreError> {
        let mut end = u64::MAX;
        for first in segments::list(&self.directory)?.into_iter().rev() {
            for entry in self.entries(first)? {
                let entry = entry?;
                if entry.record.seq >= end {
                    break;
                }
                if entry.record.event_id == *id {
                    return Ok(Some(entry));
                }
            }
            end = first;
        }
        Ok(None)
    }

    /// The events from `seq` on. After the last one the iterator gives `None`, and goes on when it is asked again after more were written.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn entries(&self, seq: u64) -> Result<Entries, StoreError> {
        let list = segments::list(&self.directory)?;
        let first = list.iter().rev().find(|first| **first <= seq);
        Ok(Entries {
            directory: self.directory.clone(),
            place: None,
            next_segment: first.or(list.first()).copied().unwrap_or(0),
            seq,
            ready: Vec::new().into_iter(),
        })
    }

    /// The last checkpoint in the log as it was signed, unverified; none before the first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn checkpoint(&self) -> Result<Option<String>, StoreError> {
        for first in segments::list(&self.directory)?.into_iter().rev() {
            let path = segments::path_of(&self.directory, first);
            let end = signed_end(&path, FRAME_MAX_BYTES)?;
            if let Ok((Frame::Checkpoint { note }, _)) = Frame::read_back(&end) {
                return Ok(std::str::from_utf8(note).ok().map(str::to_owned));
            }
        }
        Ok(None)
    }

    /// Verifies the whole log from its files: every event against the checkpoints that `key` signed, and against a checkpoint kept elsewhere, if one is given.
    ///
    /// # Errors
    /// When a file cannot be read. What is wrong with the log itself is in the verdict.
    pub fn verify(
        &self,
        key: &LogPublicKey,
        trusted: Option<Checkpoint>,
    ) -> Result<Verdict, StoreError> {
        let mut verifier = Verifier::new(key);
        if let Some(trusted) = trusted {
            verifier = verifier.trusting(trusted);
        }
        for first in segments::list(&self.directory)? {
            let path = segments::path_of(&self.directory, first);
            let bytes =
                std::fs::read(&path).map_err(|error| StoreError::io("read", &path, error))?;
            verifier.segment(first, &bytes);
        }
        Ok(verifier.finish())
    }
}

fn entry(path: &Path, stored: Digest, payload: &[u8]) -> Result<Entry, StoreError> {
    let unreadable = |why: String| StoreError::Unreadable {
        path: path.to_path_buf(),
        why,
    };
    if leaf_hash(payload) != stored {
        let why =
            "an event does not have the hash that was recorded for it: run `valetkey audit verify`";
        return Err(unreadable(why.to_owned()));
    }
    let record = Record::parse(payload).map_err(|error| unreadable(error.to_string()))?;
    Ok(Entry {
        record,
        bytes: payload.to_vec(),
        leaf: stored,
    })
}

/// The last bytes of a segment, at least `wanted` of them where it has so many, up to its last whole batch.
fn signed_end(path: &Path, wanted: usize) -> Result<Vec<u8>, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).min(length);
    let start = length.saturating_sub(wanted);
    let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
    file.read_exact_at(&mut bytes, start).map_err(failed)?;
    if matches!(Frame::read_back(&bytes), Ok((Frame::Checkpoint { .. }, _))) {
        return Ok(bytes);
    }
    // The end is being written, or is torn: only from the beginning can whole batches be told.
    let bytes = std::fs::read(path).map_err(failed)?;
    let end = last_batch_end(&bytes);
    let start = end.saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
    Ok(bytes.get(start..end).unwrap_or_default().to_vec())
}

fn last_batch_end(bytes: &[u8]) -> usize {
    let Ok((_, header)) = SegmentHeader::read(bytes) else {
        return 0;
    };
    let (mut at, mut end) = (header, header);
    while let Ok((frame, length)) = Frame::read(bytes.get(at..).unwrap_or_default()) {
        at = at.saturating_add(length);
        if matches!(frame, Frame::Checkpoint { .. }) {
            end = at;
        }
    }
    end
}

/// The last `count` events of a segment, oldest first.
fn tail_of_segment(path: &Path, count: usize) -> Result<Vec<Entry>, StoreError> {
    let length = std::fs::metadata(path)
        .map_err(|error| StoreError::io("read", path, error))?
        .len();
    let mut wanted = TAIL_BYTES;
    loop {
        let bytes = signed_end(path, usize::try_from(wanted).unwrap_or(usize::MAX))?;
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        while entries.len() < count {
            let Ok((frame, length)) = Frame::read_back(rest) else {
                break;
            };
            if let Frame::Event { leaf, payload } = frame {
                entries.push(entry(path, leaf, payload)?);
            }
            rest = rest
                .get(..rest.len().saturating_sub(length))
                .unwrap_or_default();
        }
        if entries.len() >= count || wanted >= length {
            entries.reverse();
            return Ok(entries);
        }
        wanted = wanted.saturating_mul(4);
    }
}

/// Goes through the events of a log in order.
#[derive(Debug)]
pub struct Entries {
    directory: PathBuf,
    place: Option<Place>,
    next_segment: u64,
    /// Events before this one are passed over.
    seq: u64,
    ready: std::vec::IntoIter<Entry>,
}

/// A place between two batches of a segment.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    file: File,
    offset: u64,
    seq: u64,
}

impl Entries {
    /// Reads on until there are events to give. Only batches whose checkpoint is there count: the rest is still being written.
    fn fill(&mut self) -> Result<bool, StoreError> {
        loop {
            if self.place.is_none() {
                let path = segments::path_of(&self.directory, self.next_segment);
                self.place = Place::open(path)?;
            }
            let Some(place) = &mut self.place else {
                return Ok(false);
            };
            let mut batch = place.next_batch()?;
            if batch.is_empty() {
                let next = place.seq;
                let path = segments::path_of(&self.directory, next);
                if path == place.path || !path.exists() {
                    return Ok(false);
                }
                self.next_segment = next;
                self.place = None;
                continue;
            }
            batch.retain(|entry| entry.record.seq >= self.seq);
            if !batch.is_empty() {
                self.ready = batch.into_iter();
                return Ok(true);
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.ready.next() {
            return Some(Ok(entry));
        }
        match self.fill() {
            Ok(true) => self.ready.next().map(Ok),
            Ok(false) => None,
            Err(error) => {
                // Whoever asks again after an error gets the end, not the same error for ever.
                self.place = None;
                self.next_segment = u64::MAX;
                Some(Err(error))
            }
        }
    }
}

impl Place {
    fn open(path: PathBuf) -> Result<Option<Self>, StoreError> {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        let mut place = Self {
            path,
            file,
            offset: 0,
            seq: 0,
        };
        let bytes = place.read(READ_BYTES)?;
        let (header, length) =
            SegmentHeader::read(&bytes).map_err(|error| place.unreadable(&error.to_string()))?;
        place.offset = u64::try_from(length).unwrap_or(u64::MAX);
        place.seq = header.before.size();
        Ok(Some(place))
    }

    fn unreadable(&self, why: &str) -> StoreError {
        StoreError::Unreadable {
            path: self.path.clone(),
            why: format!(
                "{why}, at byte {}: run `valetkey audit verify`",
                self.offset
            ),
        }
    }

    fn read(&self, most: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; most];
        let mut filled: usize = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = self
                .offset
                .saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match self.file.read_at(rest, at) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("read", &self.path, error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The events of the next whole batch; empty when there is none yet.
    fn next_batch(&mut self) -> Result<Vec<Entry>, StoreError> {
        let mut most = READ_BYTES;
        loop {
            let bytes = self.read(most)?;
            let mut batch = Vec::new();
            let mut at: usize = 0;
            loop {
                match Frame::read(bytes.get(at..).unwrap_or_default()) {
                    Ok((Frame::Event { leaf, payload }, length)) => {
                        batch.push((leaf, at, payload));
                        at = at.saturating_add(length);
                    }
                    Ok((Frame::Checkpoint { .. }, length)) => {
                        return self.take(&batch, at.saturating_add(length));
                    }
                    Err(FrameError::Incomplete) if bytes.len() == most => break,
                    // The end of the file: this batch is still being written, or was torn.
                    Err(FrameError::Incomplete) => return Ok(Vec::new()),
                    Err(FrameError::Malformed(why)) => return Err(self.unreadable(why)),
                }
            }
            most = most.saturating_mul(4);
        }
    }

    fn take(
        &mut self,
        batch: &[(Digest, usize, &[u8])],
        length: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::with_capacity(batch.len());
        for (leaf, _, payload) in batch {
            let entry = entry(&self.path, *leaf, payload)?;
            if entry.record.seq != self.seq {
                return Err(self.unreadable("an event is out of its place"));
            }
            self.seq = self.seq.saturating_add(1);
            entries.push(entry);
        }
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(length);
        Ok(entries)
    }
}
