//! Goes through the events of a log in order, while it is written.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use valetkey_audit::leaf_hash;
use valetkey_audit::segment::{Frame, FrameError, SegmentHeader};
use valetkey_model::Digest;

use crate::reader::{Entry, entry};
use crate::{StoreError, segments};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// Goes through the events of a log in order.
pub struct Entries<'a> {
    pub(crate) directory: PathBuf,
    pub(crate) place: Option<Place>,
    pub(crate) next_segment: u64,
    /// Events before this one are passed over.
    pub(crate) seq: u64,
    /// The segment that begins with this event is not read any more.
    pub(crate) end: u64,
    pub(crate) ready: std::vec::IntoIter<Entry>,
    pub(crate) sieve: Option<Sieve<'a>>,
}

/// Tells from an event's bytes whether anyone asks for it.
type Sift<'a> = dyn Fn(&[u8]) -> bool + Send + 'a;
type Sieve<'a> = Box<Sift<'a>>;

/// A place between two batches of a segment.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    file: File,
    offset: u64,
    seq: u64,
}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries({} from {})", self.directory.display(), self.seq)
    }
}

impl<'a> Entries<'a> {
    /// Without the events whose bytes `may` not match: they are hashed and compared, but not read.
    #[must_use]
    pub fn sieved<'b>(self, may: impl Fn(&[u8]) -> bool + Send + 'b) -> Entries<'b> {
        Entries {
            directory: self.directory,
            place: self.place,
            next_segment: self.next_segment,
            seq: self.seq,
            end: self.end,
            ready: self.ready,
            sieve: Some(Box::new(may)),
        }
    }

    /// Only up to the segment that begins with event `end`.
    pub(crate) fn before_segment(mut self, end: u64) -> Self {
        self.end = end;
        self
    }

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
            let Some(mut batch) = place.next_batch(self.sieve.as_deref())? else {
                let next = place.seq;
                let path = segments::path_of(&self.directory, next);
                if next >= self.end || path == place.path || !path.exists() {
                    return Ok(false);
                }
                self.next_segment = next;
                self.place = None;
                continue;
            };
            batch.retain(|entry| entry.record.seq >= self.seq);
            if !batch.is_empty() {
                self.ready = batch.into_iter();
                return Ok(true);
            }
        }
    }
}

impl Iterator for Entries<'_> {
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

    /// The events of the next whole batch that the sieve lets through; none when there is no whole batch yet.
    fn next_batch(&mut self, sieve: Option<&Sift<'_>>) -> Result<Option<Vec<Entry>>, StoreError> {
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
                        let end = at.saturating_add(length);
                        return self.take(&batch, end, sieve).map(Some);
                    }
                    Err(FrameError::Incomplete) if bytes.len() == most => break,
                    // The end of the file: this batch is still being written, or was torn.
                    Err(FrameError::Incomplete) => return Ok(None),
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
        sieve: Option<&Sift<'_>>,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::with_capacity(batch.len());
        for (leaf, _, payload) in batch {
            if sieve.is_some_and(|may| !may(payload)) && leaf_hash(payload) == *leaf {
                self.seq = self.seq.saturating_add(1);
                continue;
            }
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
