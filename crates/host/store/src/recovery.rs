//! What happens when a log is opened: its end is checked against the key, and a torn batch is cut away.

use std::path::Path;

use valetkey_audit::segment::{Frame, SegmentHeader};
use valetkey_audit::{
    EventType, Frontier, Intact, LogPublicKey, Record, TamperKind, Tampering, TornTail, Verdict,
    Verifier,
};

use crate::StoreError;
use crate::segments::{self, SegmentFile};

/// What was found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the log was made just now.
    pub created: bool,
    /// How many events were there.
    pub events: u64,
    /// Whether the log had been closed in good order. If not, streamed events of its last second may be missing.
    pub was_closed: bool,
    /// What a crash left at the end, and was cut away: never acknowledged.
    pub torn_tail: Option<TornTail>,
}

/// The end of a log, ready to be written on.
pub(crate) struct End {
    pub(crate) file: SegmentFile,
    pub(crate) frontier: Frontier,
    pub(crate) recovery: Recovery,
}

/// Opens the last segment of `directory`, or makes the first. Only the end is checked here, so that a long log opens fast;
/// the whole is what `verify` is for.
pub(crate) fn open(directory: &Path, key: &LogPublicKey) -> Result<End, StoreError> {
    segments::sweep(directory)?;
    let names = segments::list(directory)?;
    let Some((&last, earlier)) = names.split_last() else {
        return create(directory, key);
    };
    let bytes = read(directory, last)?;
    let (header, header_bytes) = SegmentHeader::read(&bytes)
        .map_err(|error| damaged(TamperKind::HeaderAltered, last, error.to_string()))?;
    let found = check(key, last, &header, &bytes)?;
    let mut was_closed = ends_closed(&bytes, found.torn_tail.as_ref());
    if found.last_checkpoint.is_none() {
        // Nothing in this segment is signed yet, so the one before it must vouch for its header.
        was_closed = check_earlier(directory, key, earlier, &header.before)?;
    }
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let length = found
        .torn_tail
        .map_or(wide(bytes.len()), |torn| torn.offset);
    Ok(End {
        file: SegmentFile::open(directory, last, wide(header_bytes), length)?,
        recovery: Recovery {
            created: false,
            events: found.events,
            was_closed,
            torn_tail: found.torn_tail,
        },
        frontier: found.frontier,
    })
}

fn create(directory: &Path, key: &LogPublicKey) -> Result<End, StoreError> {
    let frontier = Frontier::new();
    Ok(End {
        file: SegmentFile::create(directory, key.name(), &frontier)?,
        frontier,
        recovery: Recovery {
            created: true,
            events: 0,
            was_closed: true,
            torn_tail: None,
        },
    })
}

fn read(directory: &Path, first: u64) -> Result<Vec<u8>, StoreError> {
    let path = segments::path_of(directory, first);
    std::fs::read(&path).map_err(|error| StoreError::io("read", &path, error))
}

fn check(
    key: &LogPublicKey,
    name: u64,
    header: &SegmentHeader,
    bytes: &[u8],
) -> Result<Intact, StoreError> {
    // Every event is hashed, and the last checkpoint commits to all of them: one signature tells whether the key wrote this. A log of many
    // small batches has as many signatures as events, and an audit checks them all.
    let mut quick = Verifier::after(key, header.before.clone()).by_last_signature();
    quick.segment(name, bytes);
    if let Verdict::Intact(intact) = quick.finish() {
        return Ok(intact);
    }
    // Whatever is wrong is looked at whole, so that it is named as an audit names it.
    let mut verifier = Verifier::after(key, header.before.clone());
    verifier.segment(name, bytes);
    match verifier.finish() {
        Verdict::Intact(intact) => Ok(intact),
        Verdict::Tampered(tampering) if tampering.kind == TamperKind::WrongKey => {
            Err(StoreError::WrongKey(Box::new(tampering)))
        }
        Verdict::Tampered(tampering) => Err(StoreError::Damaged(Box::new(tampering))),
    }
}

/// Checks that the log before an unsigned segment ends in `expected`, and says whether it was closed there.
fn check_earlier(
    directory: &Path,
    key: &LogPublicKey,
    earlier: &[u64],
    expected: &Frontier,
) -> Result<bool, StoreError> {
    let Some(&previous) = earlier.last() else {
        return if expected.size() == 0 {
            Ok(true)
        } else {
            let detail = "the segment before the last is not there".to_owned();
            Err(damaged(TamperKind::SegmentMissing, expected.size(), detail))
        };
    };
    let bytes = read(directory, previous)?;
    let (header, _) = SegmentHeader::read(&bytes)
        .map_err(|error| damaged(TamperKind::HeaderAltered, previous, error.to_string()))?;
    let found = check(key, previous, &header, &bytes)?;
    if found.frontier != *expected || found.torn_tail.is_some() || found.last_checkpoint.is_none() {
        let detail = "the segments before do not lead to its header".to_owned();
        return Err(damaged(TamperKind::HeaderAltered, expected.size(), detail));
    }
    Ok(ends_closed(&bytes, None))
}

fn damaged(kind: TamperKind, segment: u64, detail: String) -> StoreError {
    StoreError::Damaged(Box::new(Tampering {
        kind,
        first_bad_seq: Some(segment),
        event_id: None,
        segment,
        offset: 0,
        detail,
    }))
}

/// Whether the last signed event says that the log was closed.
fn ends_closed(bytes: &[u8], torn: Option<&TornTail>) -> bool {
    let end = torn.map_or(bytes.len(), |torn| {
        usize::try_from(torn.offset).unwrap_or(0)
    });
    let signed = bytes.get(..end).unwrap_or_default();
    let before_checkpoint = match Frame::read_back(signed) {
        Ok((Frame::Checkpoint { .. }, length)) => signed.len().saturating_sub(length),
        _ => return false,
    };
    let events = signed.get(..before_checkpoint).unwrap_or_default();
    match Frame::read_back(events) {
        Ok((Frame::Event { payload, .. }, _)) => {
            Record::parse(payload).is_ok_and(|record| record.kind == EventType::LogClosed)
        }
        _ => false,
    }
}
