//! What a witness is asked and decides, as C2SP `tlog-witness` has it: one consistent history of a log, and never a smaller tree after a larger one.

use base64ct::{Base64, Encoding as _};
use thiserror::Error;
use valetkey_model::Digest;

use crate::checkpoint::{CHECKPOINT_MAX_BYTES, Checkpoint, CheckpointError};
use crate::key::LogPublicKey;
use crate::merkle::verify_consistency;

/// Most hashes of a consistency proof, by the specification.
const PROOF_MAX: usize = 63;

/// Most bytes of a request: an old size, a proof and a checkpoint.
pub const ADD_CHECKPOINT_MAX_BYTES: usize = 32 + PROOF_MAX * 45 + 1 + CHECKPOINT_MAX_BYTES;

/// The body of `add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness last cosigned, as the sender believes.
    pub old: u64,
    /// Shows that the new tree continues the old one.
    pub proof: Vec<Digest>,
    /// The new checkpoint, as it was signed.
    pub note: String,
}

/// Why a witness does not cosign.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The request is not one.
    #[error("not a request of `add-checkpoint`: {0}")]
    Malformed(&'static str),
    /// It does not know the log.
    #[error("this witness does not know the log")]
    UnknownLog,
    /// The log's key did not sign.
    #[error("the checkpoint is not signed by the log's key")]
    NotSigned,
    /// It cosigned another size last.
    #[error("the last checkpoint that was cosigned has {0} entries")]
    OldSize(u64),
    /// The new tree does not continue the old one. What was sent is evidence.
    #[error("the checkpoint does not continue the one that was cosigned last")]
    Inconsistent,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::OldSize(_) => 409,
            Self::Inconsistent => 422,
        }
    }
}

impl AddCheckpoint {
    /// The request's body.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("old {}\n", self.old);
        for hash in &self.proof {
            text.push_str(&Base64::encode_string(hash.as_bytes()));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.note);
        text
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// When it is not in the form that the specification gives.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > ADD_CHECKPOINT_MAX_BYTES {
            return Err(Refusal::Malformed("too long"));
        }
        let body = std::str::from_utf8(body).map_err(|_| Refusal::Malformed("not UTF-8"))?;
        let (head, note) = body
            .split_once("\n\n")
            .ok_or(Refusal::Malformed("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(|size| size.parse::<u64>().ok().filter(|n| n.to_string() == size))
            .ok_or(Refusal::Malformed("no old size"))?;
        let mut proof = Vec::new();
        for line in lines {
            let bytes = Base64::decode_vec(line).ok();
            let hash: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
            let hash = hash.ok_or(Refusal::Malformed("a line of the proof is no hash"))?;
            proof.push(Digest::from_bytes(hash));
        }
        if proof.len() > PROOF_MAX {
            return Err(Refusal::Malformed("the proof is too long"));
        }
        Ok(Self {
            old,
            proof,
            note: note.to_owned(),
        })
    }

    /// Whether a witness that knows these logs and last cosigned `last` of this one cosigns. It must be durable before anyone hears of it.
    ///
    /// `last` is asked for with the log's key.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(
        &self,
        logs: &[LogPublicKey],
        last: impl FnOnce(&LogPublicKey) -> Option<Checkpoint>,
    ) -> Result<Checkpoint, Refusal> {
        let note = self.note.as_bytes();
        let claimed = Checkpoint::read_unverified(note)
            .map_err(|_| Refusal::Malformed("the checkpoint does not read"))?;
        let key = logs
            .iter()
            .find(|key| key.name() == claimed.origin)
            .ok_or(Refusal::UnknownLog)?;
        let checkpoint = Checkpoint::open(note, key).map_err(|error| match error {
            CheckpointError::Malformed(_) => Refusal::Malformed("the checkpoint does not read"),
            CheckpointError::Origin | CheckpointError::WrongKey | CheckpointError::Signature => {
                Refusal::NotSigned
            }
        })?;
        if self.old > checkpoint.size {
            return Err(Refusal::Malformed("the old size is above the new one"));
        }
        let last = last(key);
        let (size, root) = last.map_or((0, crate::merkle::empty_root()), |last| {
            (last.size, last.root)
        });
        if self.old != size {
            return Err(Refusal::OldSize(size));
        }
        if size == checkpoint.size && root != checkpoint.root {
            return Err(if size == 0 {
                Refusal::Inconsistent
            } else {
                Refusal::OldSize(size)
            });
        }
        verify_consistency(size, &root, checkpoint.size, &checkpoint.root, &self.proof)
            .map_err(|_| Refusal::Inconsistent)?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LogKey, MerkleTree, leaf_hash};

    fn key() -> LogKey {
        LogKey::new("valetkey.test/log", &[7; 32]).unwrap()
    }

    fn tree(word: &str, size: u64) -> MerkleTree {
        (0..size)
            .map(|n| leaf_hash(if n < 3 { "same" } else { word }.as_bytes()))
            .collect()
    }

    fn checkpoint(word: &str, size: u64) -> Checkpoint {
        Checkpoint {
            origin: "valetkey.test/log".to_owned(),
            size,
            root: tree(word, size).root(),
            extensions: Vec::new(),
        }
    }

    fn request(word: &str, old: u64, size: u64) -> AddCheckpoint {
        let proof = if old == 0 {
            Vec::new()
        } else {
            tree(word, size).prove_consistency(old, size).unwrap()
        };
        AddCheckpoint {
            old,
            proof,
            note: checkpoint(word, size).sign(&key()),
        }
    }

    fn judge(request: &AddCheckpoint, last: Option<Checkpoint>) -> Result<u64, Refusal> {
        let again = AddCheckpoint::parse(request.text().as_bytes())?;
        assert_eq!(&again, request);
        let logs = [key().public().clone()];
        again
            .judge(&logs, |_| last)
            .map(|checkpoint| checkpoint.size)
    }

    #[test]
    fn one_history_is_cosigned_and_no_other() {
        assert_eq!(judge(&request("one", 0, 5), None), Ok(5));
        let last = Some(checkpoint("one", 5));
        assert_eq!(judge(&request("one", 5, 9), last.clone()), Ok(9));
        assert_eq!(judge(&request("one", 5, 5), last.clone()), Ok(5));
        // Another history, a fork, a smaller tree, an old size that is none.
        assert_eq!(
            judge(&request("two", 5, 9), last.clone()),
            Err(Refusal::Inconsistent)
        );
        assert_eq!(
            judge(&request("two", 5, 5), last.clone()),
            Err(Refusal::OldSize(5))
        );
        assert_eq!(
            judge(&request("two", 0, 9), last.clone()),
            Err(Refusal::OldSize(5))
        );
        assert_eq!(
            judge(&request("one", 3, 4), last.clone()),
            Err(Refusal::OldSize(5))
        );
        let mut back = request("one", 3, 4);
        back.old = 5;
        assert!(matches!(
            judge(&back, last.clone()),
            Err(Refusal::Malformed(_))
        ));
        let mut without = request("one", 5, 9);
        without.proof.clear();
        assert_eq!(judge(&without, last), Err(Refusal::Inconsistent));
    }

    #[test]
    fn only_known_logs_and_their_keys_are_heard() {
        let mut foreign = request("one", 0, 5);
        let stranger = LogKey::new("valetkey.test/log", &[8; 32]).unwrap();
        foreign.note = checkpoint("one", 5).sign(&stranger);
        assert_eq!(judge(&foreign, None), Err(Refusal::NotSigned));
        let mut elsewhere = checkpoint("one", 5);
        elsewhere.origin = "valetkey.test/other".to_owned();
        foreign.note = elsewhere.sign(&key());
        assert_eq!(judge(&foreign, None), Err(Refusal::UnknownLog));
    }

    #[test]
    fn requests_have_one_form() {
        let good = request("one", 3, 5).text();
        assert!(AddCheckpoint::parse(good.as_bytes()).is_ok());
        for bad in [
            good.replace("old 3", "old 03"),
            good.replace("old 3", "old +3"),
            good.replace("old 3\n", ""),
            good.replacen('=', "", 1),
            good.replacen("\n\n", "\n", 1),
            good.replacen("\n\n", &"\nAAAA".repeat(70), 1),
            String::new(),
            "x".repeat(ADD_CHECKPOINT_MAX_BYTES + 1),
        ] {
            assert!(
                matches!(
                    AddCheckpoint::parse(bad.as_bytes()),
                    Err(Refusal::Malformed(_))
                ),
                "{bad:.60}"
            );
        }
    }
}
