//! Proof that an export is what the log holds: its events, in their places, and of the range it names no others but those that it says it left out.

use thiserror::Error;
use valetkey_model::Digest;

use crate::checkpoint::{CHECKPOINT_MAX_BYTES, Checkpoint, CheckpointError};
use crate::event::{ParseEventError, Record};
use crate::key::LogPublicKey;
use crate::merkle::{ProofError, Selection, leaf_hash};
use crate::proof_file::{read_hashes, write_hashes};

/// The first line.
const HEADER: &str = "valetkey-export-proof@v1";

/// Proof of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportProof {
    /// The form of the export's rows, such as `csv`.
    pub format: String,
    /// The first event of the range.
    pub from: u64,
    /// The event after the range.
    pub to: u64,
    /// How many events the export has. Where that is the whole range, it is complete.
    pub events: u64,
    /// What was asked for, in words. Nothing vouches for it.
    pub asked: String,
    /// The roots of all that lies between and around the exported events.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, as it was issued.
    pub checkpoint: String,
}

/// What a proved export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// The checkpoint that vouches for it.
    pub checkpoint: Checkpoint,
    /// How many events of the range are not in it.
    pub left_out: u64,
}

/// What is wrong with an export.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The proof's bytes are not one.
    #[error("not a proof of an export: {0}")]
    Malformed(&'static str),
    /// The checkpoint does not hold.
    #[error("the proof's checkpoint does not hold: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A row is no event.
    #[error("row altered: row {row} is not an event of the log: {source}")]
    Row {
        /// The row, from 1.
        row: u64,
        /// What is wrong with it.
        source: ParseEventError,
    },
    /// A row says something else than its own event.
    #[error("row altered: row {0} is not what its event is printed as")]
    Spelling(u64),
    /// Rows stand in another order, or twice.
    #[error("rows reordered: row {0} comes after one that it should come before")]
    Order(u64),
    /// A row is outside of the range.
    #[error("row inserted: row {0} is outside of the range")]
    Outside(u64),
    /// Rows are missing.
    #[error("rows missing: the proof is of {expected} events, and {found} are there")]
    Missing {
        /// How many the proof is of.
        expected: u64,
        /// How many are there.
        found: u64,
    },
    /// There are too many rows.
    #[error("rows inserted: the proof is of {expected} events, and {found} are there")]
    Surplus {
        /// How many the proof is of.
        expected: u64,
        /// How many are there.
        found: u64,
    },
    /// The rows are as many as they should be, and do not lead to the signed root.
    #[error(
        "rows rewritten: the events do not lead to the signed root ({0}); compare the export with the log (`--log`) to learn which"
    )]
    Rewritten(ProofError),
}

impl ExportProof {
    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{HEADER}\nformat {}\nfrom {}\nto {}\nevents {}\nasked {}\n",
            self.format, self.from, self.to, self.events, self.asked
        );
        write_hashes(&mut text, &self.hashes);
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a file, strictly.
    ///
    /// # Errors
    /// When it is not a proof of an export.
    pub fn parse(bytes: &[u8]) -> Result<Self, ExportError> {
        const MALFORMED: fn(&'static str) -> ExportError = ExportError::Malformed;
        let text = std::str::from_utf8(bytes).map_err(|_| MALFORMED("not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(MALFORMED("no empty line before the checkpoint"))?;
        if checkpoint.len() > CHECKPOINT_MAX_BYTES {
            return Err(MALFORMED("the checkpoint is too long"));
        }
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(MALFORMED("the first line is another"));
        }
        let mut word = |name: &str| {
            let line = lines.next()?.strip_prefix(name)?;
            line.strip_prefix(' ').map(str::to_owned)
        };
        let format = word("format").ok_or(MALFORMED("no format"))?;
        let mut number = |name| word(name)?.parse().ok();
        let proof = Self {
            format,
            from: number("from").ok_or(MALFORMED("no beginning"))?,
            to: number("to").ok_or(MALFORMED("no end"))?,
            events: number("events").ok_or(MALFORMED("no number of events"))?,
            asked: word("asked").ok_or(MALFORMED("no words of what was asked"))?,
            hashes: read_hashes(lines).ok_or(MALFORMED("a line is no hash"))?,
            checkpoint: checkpoint.to_owned(),
        };
        if proof.text() == text {
            Ok(proof)
        } else {
            Err(MALFORMED("not in canonical form"))
        }
    }

    /// Checks the export. `rows` gives each row's event in canonical JSON, and `spelled` says whether the row that is there is
    /// exactly how this event is printed.
    ///
    /// # Errors
    /// When anything is not as it was signed; the first that shows is named.
    pub fn verify<'a>(
        &self,
        rows: impl Iterator<Item = &'a [u8]>,
        mut spelled: impl FnMut(u64, &Record) -> bool,
        key: &LogPublicKey,
    ) -> Result<Proved, ExportError> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), key)?;
        if self.from > self.to || self.to > checkpoint.size {
            return Err(ExportError::Malformed(
                "the range is not in the checkpoint's tree",
            ));
        }
        let (mut places, mut leaves) = (Vec::new(), Vec::new());
        for (row, bytes) in (1_u64..).zip(rows) {
            let record = Record::parse(bytes).map_err(|source| ExportError::Row { row, source })?;
            if !spelled(row, &record) {
                return Err(ExportError::Spelling(row));
            }
            if places.last().is_some_and(|last| *last >= record.seq) {
                return Err(ExportError::Order(row));
            }
            if !(self.from..self.to).contains(&record.seq) {
                return Err(ExportError::Outside(row));
            }
            places.push(record.seq);
            leaves.push(leaf_hash(bytes));
        }
        let (expected, found) = (self.events, u64::try_from(places.len()).unwrap_or(u64::MAX));
        if found < expected {
            return Err(ExportError::Missing { expected, found });
        }
        if found > expected {
            return Err(ExportError::Surplus { expected, found });
        }
        let selection = Selection::new(places, checkpoint.size)
            .ok_or(ExportError::Malformed("there are no events"))?;
        let root = selection
            .root(&leaves, &self.hashes)
            .map_err(ExportError::Rewritten)?;
        if root != checkpoint.root {
            return Err(ExportError::Rewritten(ProofError::Root));
        }
        Ok(Proved {
            checkpoint,
            left_out: self.to.saturating_sub(self.from).saturating_sub(found),
        })
    }
}
