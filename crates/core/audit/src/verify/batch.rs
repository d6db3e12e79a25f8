//! Takes the bytes of a segment apart into batches, and knows what a crash leaves behind.

use valetkey_model::Digest;

use crate::checkpoint::{Checkpoint, SIGNATURE_PREFIX};
use crate::key::LogPublicKey;
use crate::merkle::leaf_hash;
use crate::segment::{Frame, FrameError};

/// The unit that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Bytes of the length after a frame.
const TAIL_BYTES: usize = 4;

/// One event's frame.
pub(super) struct Slot<'a> {
    pub(super) offset: usize,
    pub(super) stored: Digest,
    pub(super) payload: &'a [u8],
}

impl Slot<'_> {
    pub(super) fn holds(&self) -> bool {
        leaf_hash(self.payload) == self.stored
    }
}

/// Events and the checkpoint after them.
pub(super) struct Batch<'a> {
    pub(super) slots: Vec<Slot<'a>>,
    pub(super) note: &'a [u8],
    pub(super) note_offset: usize,
    pub(super) end: usize,
}

/// Events without a checkpoint, up to where no frame can be read.
pub(super) struct Broken<'a> {
    pub(super) slots: Vec<Slot<'a>>,
    pub(super) at: usize,
    pub(super) error: FrameError,
}

pub(super) enum Next<'a> {
    Batch(Batch<'a>),
    Broken(Broken<'a>),
    End,
}

/// The batch that begins at `start`.
pub(super) fn next(bytes: &[u8], start: usize) -> Next<'_> {
    let mut slots = Vec::new();
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.is_empty() && slots.is_empty() {
            return Next::End;
        }
        match Frame::read(rest) {
            Ok((Frame::Event { leaf, payload }, length)) => {
                slots.push(Slot {
                    offset: at,
                    stored: leaf,
                    payload,
                });
                at = at.saturating_add(length);
            }
            Ok((Frame::Checkpoint { note }, length)) => {
                return Next::Batch(Batch {
                    slots,
                    note,
                    note_offset: at,
                    end: at.saturating_add(length),
                });
            }
            Err(error) => return Next::Broken(Broken { slots, at, error }),
        }
    }
}

/// Whether a sector that the batch from `start` on was to fill is all zero: a disk wrote other sectors and not this one.
/// Events and notes are text, so they never hold so many zeros themselves.
pub(super) fn has_lost_sector(bytes: &[u8], start: usize) -> bool {
    let mut from = start;
    while from < bytes.len() {
        let sector_end = (from / SECTOR_BYTES)
            .saturating_add(1)
            .saturating_mul(SECTOR_BYTES);
        let sector = bytes.get(from..sector_end.min(bytes.len()));
        if sector.is_some_and(|sector| sector.iter().all(|byte| *byte == 0)) {
            return true;
        }
        from = sector_end;
    }
    false
}

/// A checkpoint found in bytes that cannot be read as frames.
pub(super) struct Found {
    pub(super) checkpoint: Checkpoint,
    /// Where its note begins, and where its frame ends.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Looks from `from` on for a checkpoint that `key` signed and that covers more than `size` events. Its text begins with the log's
/// name and a newline, which no event can hold: newlines are escaped in JSON.
pub(super) fn find_checkpoint(
    bytes: &[u8],
    from: usize,
    key: &LogPublicKey,
    size: u64,
) -> Option<Found> {
    let mut needle = key.name().as_bytes().to_vec();
    needle.push(b'\n');
    let mut at = from;
    loop {
        let start = at.saturating_add(find(bytes.get(at..)?, &needle)?);
        at = start.saturating_add(1);
        let rest = bytes.get(start..)?;
        let Some(text) = find(rest, b"\n\n") else {
            continue;
        };
        let Some(length) = signatures_end(rest, text.saturating_add(2)) else {
            continue;
        };
        let end = start.saturating_add(length).saturating_add(TAIL_BYTES);
        let note = rest.get(..length).unwrap_or_default();
        if let Ok(checkpoint) = Checkpoint::open(note, key)
            && checkpoint.size > size
            && end <= bytes.len()
        {
            return Some(Found {
                checkpoint,
                start,
                end,
            });
        }
    }
}

/// Where the last of the signature lines from `from` on ends; none where one is not whole, as in a note that was being written.
fn signatures_end(note: &[u8], from: usize) -> Option<usize> {
    let mut end = from;
    loop {
        let rest = note.get(end..)?;
        if end > from && !rest.starts_with(SIGNATURE_PREFIX.as_bytes()) {
            return Some(end);
        }
        end = end.saturating_add(find(rest, b"\n")?).saturating_add(1);
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}
