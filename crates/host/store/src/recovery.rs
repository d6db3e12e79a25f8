//! What happens when a log is opened: its end is checked against the key, and a torn batch is cut away.

use std::path::Path;

use valetkey_audit::segment::{Frame, SegmentHeader};
use valetkey_audit::{
    Checkpoint, EventType, Frontier, Intact, LastBatch, LogPublicKey, Record, TamperKind,
    Tampering, TornTail, Verdict, Verifier,
};

use crate::segments::{self, SegmentFile};
use crate::{LogReader, Signer, StoreError};

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
    pub(crate) epoch: AtEnd,
}

/// How the log's end stands to epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// One must begin, with the key that signs.
    Begins,
    /// The key that signs has signed nothing but the beginning of its epoch.
    Fresh,
    /// It has signed events.
    Used,
}

/// Opens the last segment of `directory`, or makes the first. Only the end is checked here, so that a long log opens fast;
/// the whole is what `verify` is for.
///
/// `signer` is made to sign with the key that the end asks for.
pub(crate) fn open(directory: &Path, signer: &mut Signer) -> Result<End, StoreError> {
    segments::sweep(directory)?;
    let names = segments::list(directory)?;
    let Some((&last, earlier)) = names.split_last() else {
        return create(directory, signer);
    };
    let bytes = read(directory, last)?;
    let (header, header_bytes) = SegmentHeader::read(&bytes)
        .map_err(|error| damaged(TamperKind::HeaderAltered, last, error.to_string()))?;
    let (found, mut signed) = check(directory, signer, last, &header, &bytes)?;
    let mut was_closed = ends_closed(&bytes, found.torn_tail.as_ref());
    if found.last_checkpoint.is_none() {
        // Nothing in this segment is signed yet, so the one before it must vouch for its header.
        (was_closed, signed) = check_earlier(directory, signer, earlier, &header.before)?;
    }
    let epoch = settle(signer, &signed, found.events)?;
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
        epoch,
    })
}

fn create(directory: &Path, signer: &mut Signer) -> Result<End, StoreError> {
    let frontier = Frontier::new();
    Ok(End {
        file: SegmentFile::create(directory, signer.public().name(), &frontier)?,
        frontier,
        epoch: AtEnd::Begins,
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

/// The last checkpoint, and what its batch says of epochs.
struct Signed {
    note: Vec<u8>,
    last_batch: LastBatch,
}

/// Makes `signer` sign with the key that the log's end asks for. A log whose epochs' key is not at hand is not gone on with: it would not verify.
fn settle(signer: &mut Signer, signed: &Signed, events: u64) -> Result<AtEnd, StoreError> {
    let refused = |why: &str| {
        StoreError::WrongKey(Box::new(Tampering {
            kind: TamperKind::EpochKeyMissing,
            first_bad_seq: None,
            event_id: None,
            segment: events,
            offset: 0,
            detail: why.to_owned(),
        }))
    };
    let has_epochs = Checkpoint::own_signatures(&signed.note).is_ok_and(|own| own > 1);
    let Some(keys) = signer.epochs_mut() else {
        return if has_epochs {
            Err(refused("it has epochs, and their key is not at hand"))
        } else {
            Ok(AtEnd::Used)
        };
    };
    let holds = |key: &&LogPublicKey| Checkpoint::open(&signed.note, key).is_ok();
    let by = keys.candidates().into_iter().find(holds).cloned();
    let (signs_next, at_end) = match (&signed.last_batch, by) {
        (LastBatch::Ends(next), Some(_)) => (LogPublicKey::clone(next), AtEnd::Begins),
        (LastBatch::Begins, Some(by)) => (by, AtEnd::Fresh),
        (LastBatch::Within, Some(by)) => (by, AtEnd::Used),
        // A log that was begun without epochs, or a segment without any event.
        (LastBatch::Within, None) if !has_epochs && keys.is_first() => {
            return Ok(AtEnd::Begins);
        }
        (_, None) => {
            return Err(refused(
                "none of the keys at hand is that of its last epoch",
            ));
        }
    };
    keys.settle(&signs_next)?;
    Ok(at_end)
}

fn check(
    directory: &Path,
    signer: &Signer,
    name: u64,
    header: &SegmentHeader,
    bytes: &[u8],
) -> Result<(Intact, Signed), StoreError> {
    let key = signer.public();
    // Every event is hashed, and the last checkpoint commits to all of them: one signature tells whether the key wrote this. A log of many
    // small batches has as many signatures as events, and an audit checks them all.
    let mut quick = Verifier::after(key, header.before.clone()).by_last_signature();
    quick.segment(name, bytes);
    let verdict = match quick.finish() {
        Verdict::Intact(intact) => Verdict::Intact(intact),
        // Whatever is wrong is looked at whole, so that it is named as an audit names it.
        Verdict::Tampered(_) => LogReader::open(directory)?.verify(key, None)?,
    };
    match verdict {
        Verdict::Intact(intact) => {
            let signed = Signed {
                note: last_note(bytes, intact.torn_tail.as_ref()).to_vec(),
                last_batch: intact.last_batch.clone(),
            };
            Ok((intact, signed))
        }
        Verdict::Tampered(tampering) if tampering.kind == TamperKind::WrongKey => {
            Err(StoreError::WrongKey(Box::new(tampering)))
        }
        Verdict::Tampered(tampering) => Err(StoreError::Damaged(Box::new(tampering))),
    }
}

/// Checks that the log before an unsigned segment ends in `expected`, and says whether it was closed there, and who signed that.
fn check_earlier(
    directory: &Path,
    signer: &Signer,
    earlier: &[u64],
    expected: &Frontier,
) -> Result<(bool, Signed), StoreError> {
    let Some(&previous) = earlier.last() else {
        return if expected.size() == 0 {
            let signed = Signed {
                note: Vec::new(),
                last_batch: LastBatch::Within,
            };
            Ok((true, signed))
        } else {
            let detail = "the segment before the last is not there".to_owned();
            Err(damaged(TamperKind::SegmentMissing, expected.size(), detail))
        };
    };
    let bytes = read(directory, previous)?;
    let (header, _) = SegmentHeader::read(&bytes)
        .map_err(|error| damaged(TamperKind::HeaderAltered, previous, error.to_string()))?;
    let (found, signed) = check(directory, signer, previous, &header, &bytes)?;
    if found.frontier != *expected || found.torn_tail.is_some() || found.last_checkpoint.is_none() {
        let detail = "the segments before do not lead to its header".to_owned();
        return Err(damaged(TamperKind::HeaderAltered, expected.size(), detail));
    }
    Ok((ends_closed(&bytes, None), signed))
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

/// What is signed of a segment.
fn signed_part<'a>(bytes: &'a [u8], torn: Option<&TornTail>) -> &'a [u8] {
    let end = torn.map_or(bytes.len(), |torn| {
        usize::try_from(torn.offset).unwrap_or(0)
    });
    bytes.get(..end).unwrap_or_default()
}

/// The last checkpoint of a segment; nothing where there is none.
fn last_note<'a>(bytes: &'a [u8], torn: Option<&TornTail>) -> &'a [u8] {
    match Frame::read_back(signed_part(bytes, torn)) {
        Ok((Frame::Checkpoint { note }, _)) => note,
        Ok((Frame::Event { .. }, _)) | Err(_) => &[],
    }
}

/// Whether the last signed event says that the log was closed.
fn ends_closed(bytes: &[u8], torn: Option<&TornTail>) -> bool {
    let signed = signed_part(bytes, torn);
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
