//! Says what was done to a batch that does not hold.

use std::collections::BTreeSet;

use valetkey_model::EventId;

use super::batch::{Batch, Broken, Slot, find_checkpoint, has_lost_sector};
use super::{Verifier, root_after, wide};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::event::Record;
use crate::merkle::leaf_hash;
use crate::segment::FrameError;
use crate::verdict::{TamperKind, Tampering};

/// What an event says of itself.
struct Claim {
    seq: u64,
    id: EventId,
}

fn claim(slot: &Slot<'_>) -> Option<Claim> {
    Record::parse(slot.payload).ok().map(|record| Claim {
        seq: record.seq,
        id: record.event_id,
    })
}

/// The id in an event that no longer reads as one.
fn id_in(payload: &[u8]) -> Option<EventId> {
    const BEFORE: &str = "\"event_id\":\"";
    let text = String::from_utf8_lossy(payload);
    let (_, rest) = text.split_once(BEFORE)?;
    rest.split_once('"')?.0.parse().ok()
}

impl Verifier<'_> {
    /// What was done to a batch whose frames can be read.
    pub(super) fn diagnose(
        &self,
        segment: u64,
        batch: &Batch<'_>,
        checkpoint: Result<Checkpoint, CheckpointError>,
    ) -> Tampering {
        let altered = batch.slots.iter().position(|slot| !slot.holds());
        let signed = checkpoint.as_ref().ok();
        let order = self.order(segment, batch, signed);
        if let Some(index) = altered
            && let Some(slot) = batch.slots.get(index)
        {
            let altered = self.altered(segment, batch, index, slot, signed);
            // An event out of place before the altered one is the first that shows.
            return match order {
                Some(order) if order.first_bad_seq < altered.first_bad_seq => order,
                _ => altered,
            };
        }
        if let Some(order) = order {
            return order;
        }
        match checkpoint {
            Err(error) => self.bad_checkpoint(segment, batch, error),
            Ok(_) => self.bad(
                TamperKind::EventsRewritten,
                (
                    segment,
                    batch
                        .slots
                        .first()
                        .map_or(batch.note_offset, |slot| slot.offset),
                ),
                self.frontier.size(),
                None,
                format!(
                    "one or more of {} events do not lead to the signed root",
                    batch.slots.len()
                ),
            ),
        }
    }

    fn altered(
        &self,
        segment: u64,
        batch: &Batch<'_>,
        index: usize,
        slot: &Slot<'_>,
        signed: Option<&Checkpoint>,
    ) -> Tampering {
        let computed = batch.slots.iter().map(|slot| leaf_hash(slot.payload));
        let only_hash = signed
            .is_some_and(|checkpoint| checkpoint.root == root_after(&self.frontier, computed));
        let (kind, detail) = if only_hash {
            (
                TamperKind::HashAltered,
                "the event is as signed; the hash beside it is not",
            )
        } else {
            (
                TamperKind::EventAltered,
                "the event does not have the hash that was recorded for it",
            )
        };
        self.bad(
            kind,
            (segment, slot.offset),
            self.frontier.size().saturating_add(wide(index)),
            id_in(slot.payload),
            detail.to_owned(),
        )
    }

    /// Events out of place: missing, put in, or in another order.
    fn order(
        &self,
        segment: u64,
        batch: &Batch<'_>,
        signed: Option<&Checkpoint>,
    ) -> Option<Tampering> {
        let first = self.frontier.size();
        let claims: Vec<_> = batch.slots.iter().map(claim).collect();
        let seqs: BTreeSet<u64> = claims.iter().flatten().map(|claim| claim.seq).collect();
        let claimed = claims.iter().flatten().count();
        let surplus = signed.is_some_and(|checkpoint| {
            first.saturating_add(wide(batch.slots.len())) > checkpoint.size
        });
        for ((claim, slot), expected) in claims.iter().zip(&batch.slots).zip(first..) {
            let Some(claim) = claim.as_ref().filter(|claim| claim.seq != expected) else {
                continue;
            };
            let foreign = claim.seq < expected || surplus || seqs.len() < claimed;
            let (kind, id) = match seqs.contains(&expected) {
                true if !foreign => (TamperKind::EventReordered, Some(claim.id.clone())),
                false if claim.seq > expected => (TamperKind::EventMissing, None),
                _ => (TamperKind::EventInserted, Some(claim.id.clone())),
            };
            let detail = format!(
                "event {} stands in the place of event {expected}",
                claim.seq
            );
            return Some(self.bad(kind, (segment, slot.offset), expected, id, detail));
        }
        self.count(segment, batch, signed)
    }

    /// All events are in their places, but there are more or fewer than were signed.
    fn count(
        &self,
        segment: u64,
        batch: &Batch<'_>,
        signed: Option<&Checkpoint>,
    ) -> Option<Tampering> {
        let next = self.frontier.size().saturating_add(wide(batch.slots.len()));
        let size = signed?.size;
        if size > next {
            let detail = format!(
                "the checkpoint covers events up to {}",
                size.saturating_sub(1)
            );
            return Some(self.bad(
                TamperKind::EventMissing,
                (segment, batch.note_offset),
                next,
                None,
                detail,
            ));
        }
        if size <= self.frontier.size() {
            let detail = format!(
                "a checkpoint of {size} events stands where {next} are: an earlier one in its place"
            );
            return Some(self.bad(
                TamperKind::CheckpointAltered,
                (segment, batch.note_offset),
                self.frontier.size(),
                None,
                detail,
            ));
        }
        let surplus = usize::try_from(size.saturating_sub(self.frontier.size())).ok()?;
        let slot = batch.slots.get(surplus)?;
        let detail = format!("the checkpoint covers {size} events, and {next} are there");
        let id = claim(slot).map(|claim| claim.id);
        Some(self.bad(
            TamperKind::EventInserted,
            (segment, slot.offset),
            size,
            id,
            detail,
        ))
    }

    fn bad_checkpoint(&self, segment: u64, batch: &Batch<'_>, error: CheckpointError) -> Tampering {
        let kind = match error {
            CheckpointError::WrongKey | CheckpointError::Origin => TamperKind::WrongKey,
            CheckpointError::Malformed(_) | CheckpointError::Signature => {
                TamperKind::CheckpointAltered
            }
        };
        let id = batch.slots.first().and_then(claim).map(|claim| claim.id);
        let place = (segment, batch.note_offset);
        self.bad(kind, place, self.frontier.size(), id, error.to_string())
    }

    /// What was done where no frame can be read; none when it is what a crash leaves.
    pub(super) fn broken(
        &self,
        segment: u64,
        bytes: &[u8],
        start: usize,
        broken: &Broken<'_>,
    ) -> Option<Tampering> {
        let size = self.frontier.size();
        let next = size.saturating_add(wide(broken.slots.len()));
        let lost = has_lost_sector(bytes, start);
        let found = find_checkpoint(bytes, broken.at, self.key, size);
        let explained = match &found {
            // Something signed lies beyond: only the last batch can have lost a sector before its checkpoint was durable.
            Some(found) => lost && found.end == bytes.len(),
            None => lost || broken.error == FrameError::Incomplete,
        };
        if explained {
            return None;
        }
        if let Some((slot, seq)) = broken
            .slots
            .iter()
            .zip(size..)
            .find(|(slot, _)| !slot.holds())
        {
            let detail = "the event does not have the hash that was recorded for it".to_owned();
            let place = (segment, slot.offset);
            return Some(self.bad(
                TamperKind::EventAltered,
                place,
                seq,
                id_in(slot.payload),
                detail,
            ));
        }
        let own = found.is_some_and(|found| {
            found.checkpoint.size == next && found.start.saturating_sub(broken.at) <= 5
        });
        let (seq, id, what) = if own {
            let id = broken.slots.first().and_then(claim).map(|claim| claim.id);
            (size, id, "around the checkpoint")
        } else {
            (
                next,
                id_in(frame_after(bytes, broken.at)),
                "around the event",
            )
        };
        Some(self.bad(
            TamperKind::FrameAltered,
            (segment, broken.at),
            seq,
            id,
            format!("{}, {what}", broken.error),
        ))
    }

    fn bad(
        &self,
        kind: TamperKind,
        (segment, offset): (u64, usize),
        seq: u64,
        event_id: Option<EventId>,
        detail: String,
    ) -> Tampering {
        Tampering {
            kind,
            first_bad_seq: Some(seq),
            event_id,
            segment,
            offset: wide(offset),
            detail,
        }
    }
}

/// Bytes in which the id of an event with a broken frame may still be found.
fn frame_after(bytes: &[u8], at: usize) -> &[u8] {
    let end = at
        .saturating_add(crate::segment::FRAME_MAX_BYTES)
        .min(bytes.len());
    bytes.get(at..end).unwrap_or_default()
}
