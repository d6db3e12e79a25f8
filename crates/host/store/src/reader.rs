//! Reads a log while it is written: forwards from any event, backwards from the end, and by id.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use valetkey_audit::segment::{FRAME_MAX_BYTES, Frame, SegmentHeader};
use valetkey_audit::{Gathered, ProofError, Prove, Record, leaf_hash};
use valetkey_model::{Digest, EventId, Timestamp};

use crate::entries::Entries;
use crate::{StoreError, segments};

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
            for entry in self.entries(first)?.before_segment(end) {
                let entry = entry?;
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
    pub fn entries(&self, seq: u64) -> Result<Entries<'static>, StoreError> {
        let list = segments::list(&self.directory)?;
        let first = list.iter().rev().find(|first| **first <= seq);
        Ok(Entries {
            directory: self.directory.clone(),
            place: None,
            next_segment: first.or(list.first()).copied().unwrap_or(0),
            seq,
            end: u64::MAX,
            ready: Vec::new().into_iter(),
            sieve: None,
        })
    }

    /// The last `count` events whose bytes `may` match and which `matches`, oldest first. The newest segments are read first, and no more than needed.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn tail_where(
        &self,
        count: usize,
        may: impl Fn(&[u8]) -> bool + Sync,
        matches: impl Fn(&Record) -> bool,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut found: VecDeque<Entry> = VecDeque::new();
        let mut end = u64::MAX;
        for first in segments::list(&self.directory)?.into_iter().rev() {
            let wanted = count.saturating_sub(found.len());
            if wanted == 0 {
                break;
            }
            let mut here = VecDeque::new();
            for entry in self.entries(first)?.before_segment(end).sieved(&may) {
                let entry = entry?;
                if matches(&entry.record) {
                    here.push_back(entry);
                    if here.len() > wanted {
                        here.pop_front();
                    }
                }
            }
            here.append(&mut found);
            found = here;
            end = first;
        }
        Ok(found.into())
    }

    /// The first event of the segment in which events of `since` begin: the broker's clock never goes back within a log, so none before it
    /// is as late.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn first_segment_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        let list = segments::list(&self.directory)?;
        for first in list.iter().rev() {
            let earlier = match self.entries(*first)?.next().transpose()? {
                Some(entry) => entry.record.timestamp < since,
                None => false,
            };
            if earlier {
                return Ok(*first);
            }
        }
        Ok(list.first().copied().unwrap_or(0))
    }

    /// The events of the segment that holds event `seq`, from its beginning, and of all after it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn entries_of_segment_with(&self, seq: u64) -> Result<Entries<'static>, StoreError> {
        let list = segments::list(&self.directory)?;
        let first = list.iter().rev().find(|first| **first <= seq);
        self.entries(first.copied().unwrap_or(0))
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

    /// Calls `f` with the leaf hash of every signed event, in order, until it answers no. Each is computed from its event.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn leaves(&self, mut f: impl FnMut(Digest) -> bool) -> Result<(), StoreError> {
        for first in segments::list(&self.directory)? {
            let path = segments::path_of(&self.directory, first);
            let bytes =
                std::fs::read(&path).map_err(|error| StoreError::io("read", &path, error))?;
            let signed = last_batch_end(&bytes);
            let mut at = SegmentHeader::read(&bytes).map_or(signed, |(_, header)| header);
            while at < signed {
                let Ok((frame, length)) = Frame::read(bytes.get(at..signed).unwrap_or_default())
                else {
                    break;
                };
                if let Frame::Event { payload, .. } = frame
                    && !f(leaf_hash(payload))
                {
                    return Ok(());
                }
                at = at.saturating_add(length);
            }
        }
        Ok(())
    }

    /// Makes a proof from the first `size` events. Whether it holds is seen by whoever checks it.
    ///
    /// # Errors
    /// When the log cannot be read, or has not so many events.
    pub fn prove(&self, proof: &impl Prove, size: u64) -> Result<Vec<Digest>, StoreError> {
        let unprovable = |error: ProofError| StoreError::Unreadable {
            path: self.directory.clone(),
            why: error.to_string(),
        };
        let mut gathered = Gathered::for_proof(proof).map_err(unprovable)?;
        self.leaves(|leaf| {
            if gathered.size() < size {
                gathered.push(leaf);
            }
            gathered.size() < size
        })?;
        proof.prove(&gathered).map_err(unprovable)
    }

    /// The files that verification reads: each segment's first event, and its bytes.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub(crate) fn segment_paths(&self) -> Result<Vec<(u64, PathBuf)>, StoreError> {
        let list = segments::list(&self.directory)?;
        let path = |first| (first, segments::path_of(&self.directory, first));
        Ok(list.into_iter().map(path).collect())
    }
}

pub(crate) fn entry(path: &Path, stored: Digest, payload: &[u8]) -> Result<Entry, StoreError> {
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
