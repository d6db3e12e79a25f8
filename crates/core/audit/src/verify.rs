//! Verification of a log from its bytes alone: segments go in, in order, and a verdict comes out.
//!
//! A batch counts when its events hash to the root of a checkpoint that the key signed. Where one does not, `diagnose`
//! says what was done to it. Beside it the key of its epoch must have signed. Bytes after the last signed checkpoint that look as a crash leaves them are a torn tail: they
//! were never acknowledged. A cut at the end that goes further can only be seen with a trusted checkpoint.

mod batch;
mod diagnose;

use valetkey_model::Digest;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::epoch::{EpochChain, Marks, keys_committed_in};
use crate::event::Record;
use crate::key::LogPublicKey;
use crate::merkle::{Frontier, leaf_hash};
use crate::segment::{Frame, SegmentHeader};
use crate::verdict::{Intact, LastBatch, TamperKind, Tampering, TornTail, Verdict};
use batch::{Batch, Next, Slot};

/// Checks a log, segment by segment.
#[derive(Debug)]
pub struct Verifier<'k> {
    key: &'k LogPublicKey,
    trusted: Option<Checkpoint>,
    frontier: Frontier,
    checkpoints: u64,
    segments: u64,
    last_checkpoint: Option<Checkpoint>,
    signatures: Signatures,
    /// The last note, while its signature is still to be checked.
    unchecked: Option<Unchecked>,
    /// Notes whose signatures the caller checks.
    notes: Vec<SignedNote>,
    /// The epochs so far; where not every signature is checked here, it stays as it began.
    chain: EpochChain,
    last_batch: LastBatch,
    /// A note that the key of its epoch did not sign.
    strange: Option<Vec<u8>>,
    state: State,
}

/// A checkpoint whose signature is still to be checked, and what its batch says of epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    /// The signed note.
    pub note: Vec<u8>,
    /// What decides which key must have signed it.
    pub marks: Marks,
}

/// Which checkpoints' signatures are checked. Sizes and roots are compared with the events for every one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signatures {
    Every,
    Last,
    /// By the caller, who takes the notes.
    Elsewhere,
}

#[derive(Debug)]
struct Unchecked {
    note: Vec<u8>,
    segment: u64,
    offset: u64,
}

#[derive(Debug)]
enum State {
    Sound,
    Torn(TornTail),
    Bad(Tampering),
}

/// What a batch that holds leads to.
struct Advance {
    frontier: Frontier,
    checkpoint: Checkpoint,
    marks: Marks,
    keeps_trusted: bool,
}

impl<'k> Verifier<'k> {
    /// A verifier of the whole log of `key`.
    #[must_use]
    pub fn new(key: &'k LogPublicKey) -> Self {
        Self {
            key,
            trusted: None,
            frontier: Frontier::new(),
            checkpoints: 0,
            segments: 0,
            last_checkpoint: None,
            signatures: Signatures::Every,
            unchecked: None,
            notes: Vec::new(),
            chain: EpochChain::new(key.name()),
            last_batch: LastBatch::Within,
            strange: None,
            state: State::Sound,
        }
    }

    /// A verifier of the part of the log that begins after `before`, which the caller answers for.
    #[must_use]
    pub fn after(key: &'k LogPublicKey, before: Frontier) -> Self {
        let mut verifier = Self::new(key);
        verifier.frontier = before;
        verifier
    }

    /// With a checkpoint that was kept elsewhere: the log must continue it.
    #[must_use]
    pub fn trusting(mut self, checkpoint: Checkpoint) -> Self {
        self.trusted = Some(checkpoint);
        self
    }

    /// Checks no signature but that of the last checkpoint. That one covers every event before it: its root is recomputed from all of them,
    /// so whoever changed one would have to sign anew. What this does not find is an earlier checkpoint whose signature line alone was
    /// changed, nor an epoch that does not follow from the one before; so it is enough to write on, and not enough to audit.
    #[must_use]
    pub fn by_last_signature(mut self) -> Self {
        self.signatures = Signatures::Last;
        self
    }

    /// Checks no signature: the caller takes the notes with [`Verifier::take_notes`] and checks them, on other threads for instance. What it
    /// finds before they hold is worth nothing.
    #[must_use]
    pub fn leaving_signatures(mut self) -> Self {
        self.signatures = Signatures::Elsewhere;
        self
    }

    /// The notes whose signatures are still to be checked.
    pub fn take_notes(&mut self) -> Vec<SignedNote> {
        std::mem::take(&mut self.notes)
    }

    /// Whether nothing was found wrong so far.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        matches!(self.state, State::Sound | State::Torn(_))
    }

    /// Takes the next segment: the sequence number in its file's name, and its bytes.
    pub fn segment(&mut self, name: u64, bytes: &[u8]) {
        self.segments = self.segments.saturating_add(1);
        match &self.state {
            State::Bad(_) => self.look_further(bytes, None),
            State::Torn(torn) => {
                let (segment, offset) = (torn.segment, torn.offset);
                self.state = State::Bad(Tampering {
                    kind: TamperKind::Truncated,
                    first_bad_seq: Some(self.frontier.size()),
                    event_id: None,
                    segment,
                    offset,
                    detail: format!("the segment ends in a torn batch, yet segment {name} follows"),
                });
            }
            State::Sound => {
                let result = self
                    .header(name, bytes)
                    .and_then(|start| self.batches(name, bytes, start));
                if let Err(tampering) = result {
                    let from = usize::try_from(tampering.offset).unwrap_or(usize::MAX);
                    self.state = State::Bad(tampering);
                    self.look_further(bytes, Some(from));
                }
            }
        }
    }

    /// The verdict over all segments taken.
    pub fn finish(mut self) -> Verdict {
        if let (true, Some(last)) = (self.is_sound(), self.unchecked.take())
            && let Err(error) = Checkpoint::open(&last.note, self.key)
        {
            return Verdict::Tampered(Tampering {
                kind: TamperKind::CheckpointAltered,
                first_bad_seq: None,
                event_id: None,
                segment: last.segment,
                offset: last.offset,
                detail: error.to_string(),
            });
        }
        let torn_tail = match self.state {
            State::Bad(tampering) => return Verdict::Tampered(tampering),
            State::Torn(torn) => Some(torn),
            State::Sound => None,
        };
        let events = self.frontier.size();
        if let Some(trusted) = self.trusted.filter(|trusted| trusted.size > events) {
            return Verdict::Tampered(Tampering {
                kind: TamperKind::Truncated,
                first_bad_seq: Some(events),
                event_id: None,
                segment: torn_tail.map_or(0, |torn| torn.segment),
                offset: torn_tail.map_or(0, |torn| torn.offset),
                detail: format!(
                    "the trusted checkpoint covers {} events, and {events} are there",
                    trusted.size
                ),
            });
        }
        Verdict::Intact(Intact {
            events,
            root: self.frontier.root(),
            frontier: self.frontier,
            checkpoints: self.checkpoints,
            segments: self.segments,
            last_checkpoint: self.last_checkpoint,
            epoch_keys: self.chain.keys(),
            last_batch: self.last_batch,
            torn_tail,
        })
    }

    fn header(&self, name: u64, bytes: &[u8]) -> Result<usize, Tampering> {
        let expected = self.frontier.size();
        let bad = |kind, detail: String| Tampering {
            kind,
            first_bad_seq: Some(expected),
            event_id: None,
            segment: name,
            offset: 0,
            detail,
        };
        let altered = |detail: &str| bad(TamperKind::HeaderAltered, detail.to_owned());
        let (header, length) =
            SegmentHeader::read(bytes).map_err(|error| altered(&error.to_string()))?;
        let first = header.before.size();
        if first != name {
            return Err(altered("the name of the file and its header differ"));
        }
        if first > expected {
            let detail = format!(
                "events {expected} to {} are not there",
                first.saturating_sub(1)
            );
            return Err(bad(TamperKind::SegmentMissing, detail));
        }
        if first < expected {
            let detail = format!("it begins at event {first}, and {expected} is next");
            return Err(bad(TamperKind::EventInserted, detail));
        }
        if header.before != self.frontier {
            return Err(altered("the tree before the segment is another one"));
        }
        if header.origin == self.key.name() {
            Ok(length)
        } else {
            Err(altered("the segment is of another log"))
        }
    }

    fn batches(&mut self, name: u64, bytes: &[u8], start: usize) -> Result<(), Tampering> {
        let mut offset = start;
        loop {
            match batch::next(bytes, offset) {
                Next::End => return Ok(()),
                Next::Batch(batch) => match self.check(name, &batch) {
                    Ok(advance) => {
                        offset = batch.end;
                        self.advance(name, &batch, advance)?;
                    }
                    Err(tampering) => {
                        if batch.end == bytes.len() && batch::has_lost_sector(bytes, offset) {
                            self.tear(name, bytes, offset, &batch.slots);
                            return Ok(());
                        }
                        return Err(tampering);
                    }
                },
                Next::Broken(broken) => {
                    if let Some(tampering) = self.broken(name, bytes, offset, &broken) {
                        return Err(tampering);
                    }
                    self.tear(name, bytes, offset, &broken.slots);
                    return Ok(());
                }
            }
        }
    }

    fn tear(&mut self, segment: u64, bytes: &[u8], offset: usize, slots: &[Slot<'_>]) {
        let whole = slots.iter().filter(|slot| slot.holds()).count();
        self.state = State::Torn(TornTail {
            segment,
            offset: wide(offset),
            bytes: wide(bytes.len().saturating_sub(offset)),
            whole_events: wide(whole),
        });
    }

    fn check(&self, segment: u64, batch: &Batch<'_>) -> Result<Advance, Tampering> {
        let mut frontier = self.frontier.clone();
        let mut sound = true;
        let mut keeps_trusted = true;
        for slot in &batch.slots {
            let leaf = leaf_hash(slot.payload);
            sound &= leaf == slot.stored;
            frontier.push(leaf);
            if let Some(trusted) = &self.trusted
                && trusted.size == frontier.size()
            {
                keeps_trusted = trusted.root == frontier.root();
            }
        }
        let checkpoint = match self.signatures {
            Signatures::Every => Checkpoint::open(batch.note, self.key),
            Signatures::Last | Signatures::Elsewhere => Checkpoint::read_unverified(batch.note),
        };
        match checkpoint {
            Ok(checkpoint)
                if sound
                    && checkpoint.size == frontier.size()
                    && checkpoint.root == frontier.root() =>
            {
                Ok(Advance {
                    frontier,
                    checkpoint,
                    marks: Marks::of(batch.slots.iter().map(|slot| slot.payload)),
                    keeps_trusted,
                })
            }
            checkpoint => Err(self.diagnose(segment, batch, checkpoint)),
        }
    }

    fn advance(
        &mut self,
        segment: u64,
        batch: &Batch<'_>,
        advance: Advance,
    ) -> Result<(), Tampering> {
        let bad = |kind, first_bad_seq, detail| Tampering {
            kind,
            first_bad_seq,
            event_id: None,
            segment,
            offset: wide(batch.note_offset),
            detail,
        };
        if !advance.keeps_trusted {
            let detail = "the events that the trusted checkpoint covers are others".to_owned();
            return Err(bad(TamperKind::HistoryRewritten, None, detail));
        }
        if self.signatures == Signatures::Every {
            let first = Some(self.frontier.size());
            if let Some(key) = self.chain.signer(&advance.marks)
                && let Err(error) = Checkpoint::open(batch.note, key)
            {
                let of_before = |key| Checkpoint::open(batch.note, key).is_ok();
                let kind = match error {
                    CheckpointError::WrongKey if self.chain.past().iter().any(of_before) => {
                        TamperKind::EpochKeyReused
                    }
                    CheckpointError::WrongKey => TamperKind::EpochKeyMissing,
                    CheckpointError::Origin
                    | CheckpointError::Malformed(_)
                    | CheckpointError::Signature => TamperKind::CheckpointAltered,
                };
                self.strange = Some(batch.note.to_vec());
                let detail = format!("the key of its epoch is {key}: {error}");
                return Err(bad(kind, first, detail));
            }
            self.chain
                .advance(&advance.marks)
                .map_err(|detail| bad(TamperKind::EpochBroken, first, detail))?;
        }
        self.last_batch = match advance.marks.next_key() {
            Some(next) => LastBatch::Ends(Box::new(next.clone())),
            None if advance.marks.begins() => LastBatch::Begins,
            None => LastBatch::Within,
        };
        if self.signatures == Signatures::Last {
            self.unchecked = Some(Unchecked {
                note: batch.note.to_vec(),
                segment,
                offset: wide(batch.note_offset),
            });
        }
        if self.signatures == Signatures::Elsewhere {
            self.notes.push(SignedNote {
                note: batch.note.to_vec(),
                marks: advance.marks,
            });
        }
        self.frontier = advance.frontier;
        self.checkpoints = self.checkpoints.saturating_add(1);
        self.last_checkpoint = Some(advance.checkpoint);
        Ok(())
    }

    /// What stands further on may tell more of what was found.
    fn look_further(&mut self, bytes: &[u8], from: Option<usize>) {
        self.look_for_missing(bytes, from);
        self.look_for_key(bytes);
    }

    /// A key that did not sign the place may be that of a later epoch, which the log names further on: then the past was signed anew.
    fn look_for_key(&mut self, bytes: &[u8]) {
        let (State::Bad(tampering), Some(note)) = (&mut self.state, &self.strange) else {
            return;
        };
        let later = keys_committed_in(bytes, self.key.name());
        if tampering.kind == TamperKind::EpochKeyMissing
            && later.iter().any(|key| Checkpoint::open(note, key).is_ok())
        {
            tampering.kind = TamperKind::EpochKeyLater;
            "the log itself names the key that signed this, as that of a later epoch"
                .clone_into(&mut tampering.detail);
        }
    }

    /// An event that is missing from its place may stand further on: then events were reordered.
    fn look_for_missing(&mut self, bytes: &[u8], from: Option<usize>) {
        let State::Bad(tampering) = &mut self.state else {
            return;
        };
        let Some(missing) = tampering.first_bad_seq else {
            return;
        };
        if tampering.kind != TamperKind::EventMissing {
            return;
        }
        let header = SegmentHeader::read(bytes).map_or(0, |(_, length)| length);
        let mut rest = bytes.get(from.unwrap_or(header)..).unwrap_or_default();
        while let Ok((frame, length)) = Frame::read(rest) {
            if let Frame::Event { payload, .. } = frame
                && let Ok(record) = Record::parse(payload)
                && record.seq == missing
            {
                tampering.kind = TamperKind::EventReordered;
                tampering.event_id = Some(record.event_id);
                tampering.detail = format!("event {missing} stands further on");
                return;
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn root_after(frontier: &Frontier, leaves: impl Iterator<Item = Digest>) -> Digest {
    let mut frontier = frontier.clone();
    leaves.for_each(|leaf| frontier.push(leaf));
    frontier.root()
}

#[cfg(test)]
mod tests;
