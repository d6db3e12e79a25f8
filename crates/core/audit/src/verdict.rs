//! What verification finds: the log is whole, or the first event that is not and what was done to it.

use std::fmt;

use valetkey_model::{Digest, EventId};

use crate::checkpoint::Checkpoint;
use crate::key::LogPublicKey;
use crate::merkle::Frontier;

/// The result of verifying a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Every event is as it was signed.
    Intact(Intact),
    /// Something was changed.
    Tampered(Tampering),
}

/// What a whole log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intact {
    /// The number of events, all under a signature.
    pub events: u64,
    /// The root over them.
    pub root: Digest,
    /// The tree over them, to go on with.
    pub frontier: Frontier,
    /// How many signed checkpoints were checked.
    pub checkpoints: u64,
    /// How many segments were read.
    pub segments: u64,
    /// The last signed checkpoint.
    pub last_checkpoint: Option<Checkpoint>,
    /// The keys of its epochs; the last signs next. None where it has no epochs, or signatures are checked elsewhere.
    pub epoch_keys: Vec<LogPublicKey>,
    /// How its last batch stands to epochs.
    pub last_batch: LastBatch,
    /// What a crash left at the end: never acknowledged, and under no signature.
    pub torn_tail: Option<TornTail>,
}

/// How the last batch of a log stands to epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LastBatch {
    /// It is within one, or there is none.
    #[default]
    Within,
    /// It is the first of one.
    Begins,
    /// It is the last of one, and commits this key: the next epoch has not begun.
    Ends(Box<LogPublicKey>),
}

/// An incomplete batch at the end of the log, as a crash leaves one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment, by its first sequence number.
    pub segment: u64,
    /// Where in the segment's file the last whole batch ends.
    pub offset: u64,
    /// How many bytes come after it.
    pub bytes: u64,
    /// How many whole events are among them.
    pub whole_events: u64,
}

/// What was done to a log, at the first place where it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tampering {
    /// What was done.
    pub kind: TamperKind,
    /// The first event that is not as it was signed; for a checkpoint, the first event that it alone vouches for.
    pub first_bad_seq: Option<u64>,
    /// That event's id, as far as its bytes still tell.
    pub event_id: Option<EventId>,
    /// The segment, by its first sequence number.
    pub segment: u64,
    /// Where in the segment's file.
    pub offset: u64,
    /// More, in words.
    pub detail: String,
}

/// Ways to change a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TamperKind {
    /// An event's bytes were changed.
    EventAltered,
    /// The hash stored beside an event was changed.
    HashAltered,
    /// The frame around an event or a checkpoint was changed.
    FrameAltered,
    /// An event was taken out.
    EventMissing,
    /// An event was put in.
    EventInserted,
    /// Events stand in another order.
    EventReordered,
    /// Events of a batch were changed together with their stored hashes.
    EventsRewritten,
    /// The end of the log was taken away.
    Truncated,
    /// A checkpoint was changed, or its signature does not hold.
    CheckpointAltered,
    /// A checkpoint is signed by another key, or is of another log.
    WrongKey,
    /// A checkpoint is not signed with the key of its epoch.
    EpochKeyMissing,
    /// A checkpoint is signed with the key of an epoch that had ended.
    EpochKeyReused,
    /// A checkpoint is signed with the key of a later epoch: the past was signed anew.
    EpochKeyLater,
    /// An epoch does not follow from the one before.
    EpochBroken,
    /// The beginning of a segment was changed.
    HeaderAltered,
    /// A segment was taken out.
    SegmentMissing,
    /// A tile, a bundle of entries or the checkpoint beside them is not there.
    TileMissing,
    /// A tile was changed, or stands in the place of another.
    TileAltered,
    /// The log is consistent in itself, but not with the checkpoint that is trusted.
    HistoryRewritten,
}

impl TamperKind {
    /// The kind in a few words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::EventAltered => "event altered",
            Self::HashAltered => "stored hash altered",
            Self::FrameAltered => "frame altered",
            Self::EventMissing => "event missing",
            Self::EventInserted => "event inserted",
            Self::EventReordered => "events reordered",
            Self::EventsRewritten => "events rewritten",
            Self::Truncated => "end of the log missing",
            Self::CheckpointAltered => "checkpoint altered",
            Self::WrongKey => "signed by another key",
            Self::EpochKeyMissing => "not signed with the key of its epoch",
            Self::EpochKeyReused => "signed with the key of an ended epoch",
            Self::EpochKeyLater => "signed anew with the key of a later epoch",
            Self::EpochBroken => "epochs do not follow each other",
            Self::HeaderAltered => "segment header altered",
            Self::SegmentMissing => "segment missing",
            Self::TileMissing => "tile missing",
            Self::TileAltered => "tile altered",
            Self::HistoryRewritten => "history rewritten",
        }
    }
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.describe())?;
        if let Some(seq) = self.first_bad_seq {
            write!(f, " at event {seq}")?;
        }
        if let Some(id) = &self.event_id {
            write!(f, " ({id})")?;
        }
        write!(
            f,
            " in segment {} at byte {}: {}",
            self.segment, self.offset, self.detail
        )
    }
}
