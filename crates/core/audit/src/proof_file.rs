//! Proofs as files: that one event is in the log (C2SP `tlog-proof`).

use base64ct::{Base64, Encoding as _};
use thiserror::Error;
use valetkey_model::Digest;

use crate::checkpoint::{CHECKPOINT_MAX_BYTES, Checkpoint, CheckpointError};
use crate::key::LogPublicKey;
use crate::merkle::{ProofError, leaf_hash, verify_inclusion};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Most hashes of a proof: one a level of a 64-bit tree.
const HASHES_MAX: usize = 64;

/// Most bytes of a proof file: its extra data may hold the event itself.
pub const PROOF_MAX_BYTES: usize = 128 * 1024;

/// Proof that an entry is in the log at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// The entry itself, where the file carries it. Nothing vouches for it but the proof.
    pub extra: Option<Vec<u8>>,
    /// The entry's place.
    pub index: u64,
    /// The audit path, from the leaf's sibling up.
    pub path: Vec<Digest>,
    /// The signed checkpoint, as it was issued.
    pub checkpoint: String,
}

/// Why a proof file does not hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProofFileError {
    /// The bytes are not a proof.
    #[error("not a tlog-proof: {0}")]
    Malformed(&'static str),
    /// The checkpoint does not hold.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the entry to the signed root.
    #[error("the event is not what was signed: {0}")]
    Path(#[from] ProofError),
}

impl TlogProof {
    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", Base64::encode_string(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        write_hashes(&mut text, &self.path);
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a file, strictly: another spelling of the same proof is refused.
    ///
    /// # Errors
    /// When it is not a proof.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        const MALFORMED: fn(&'static str) -> ProofFileError = ProofFileError::Malformed;
        if bytes.len() > PROOF_MAX_BYTES {
            return Err(MALFORMED("too long"));
        }
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
        let mut line = lines.next().unwrap_or_default();
        let mut extra = None;
        if let Some(base64) = line.strip_prefix("extra ") {
            extra = Some(
                Base64::decode_vec(base64)
                    .map_err(|_| MALFORMED("the extra data is not base64"))?,
            );
            line = lines.next().unwrap_or_default();
        }
        let index = line
            .strip_prefix("index ")
            .and_then(|number| number.parse().ok())
            .ok_or(MALFORMED("no index"))?;
        let path = read_hashes(lines).ok_or(MALFORMED("a line of the path is no hash"))?;
        if path.len() > HASHES_MAX {
            return Err(MALFORMED("the path is too long"));
        }
        let proof = Self {
            extra,
            index,
            path,
            checkpoint: checkpoint.to_owned(),
        };
        if proof.text() == text {
            Ok(proof)
        } else {
            Err(MALFORMED("not in canonical form"))
        }
    }

    /// Checks that `entry` is in the log of `key` at this place, and gives the checkpoint that vouches for it.
    ///
    /// # Errors
    /// When the checkpoint is not signed by the key, or the path does not lead to its root.
    pub fn verify(&self, entry: &[u8], key: &LogPublicKey) -> Result<Checkpoint, ProofFileError> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), key)?;
        verify_inclusion(
            &leaf_hash(entry),
            self.index,
            checkpoint.size,
            &self.path,
            &checkpoint.root,
        )?;
        Ok(checkpoint)
    }
}

pub(crate) fn write_hashes(text: &mut String, hashes: &[Digest]) {
    for hash in hashes {
        text.push_str(&Base64::encode_string(hash.as_bytes()));
        text.push('\n');
    }
}

pub(crate) fn read_hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<Digest>> {
    lines
        .map(|line| {
            let bytes: [u8; 32] = Base64::decode_vec(line).ok()?.try_into().ok()?;
            Some(Digest::from_bytes(bytes))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::LogKey;
    use crate::merkle::MerkleTree;

    fn proof() -> (TlogProof, LogKey) {
        let key = LogKey::new("valetkey.test/log", &[9; 32]).unwrap();
        let tree: MerkleTree = (0..7_u8).map(|n| leaf_hash(&[n])).collect();
        let checkpoint = Checkpoint {
            origin: key.public().name().to_owned(),
            size: 7,
            root: tree.root(),
            extensions: Vec::new(),
        };
        let proof = TlogProof {
            extra: Some(vec![5]),
            index: 5,
            path: tree.prove_inclusion(5, 7).unwrap(),
            checkpoint: checkpoint.sign(&key),
        };
        (proof, key)
    }

    #[test]
    fn a_proof_survives_its_file_and_shows_its_entry_alone() {
        let (proof, key) = proof();
        let read = TlogProof::parse(proof.text().as_bytes()).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.verify(&[5], key.public()).unwrap().size, 7);
        assert!(read.verify(&[4], key.public()).is_err());
        let other = LogKey::new("valetkey.test/log", &[8; 32]).unwrap();
        assert_eq!(
            read.verify(&[5], other.public()),
            Err(ProofFileError::Checkpoint(CheckpointError::WrongKey))
        );
    }

    #[test]
    fn every_changed_byte_of_a_proof_is_refused() {
        let (proof, key) = proof();
        let text = proof.text().into_bytes();
        let holds = |bytes: &[u8]| {
            TlogProof::parse(bytes).is_ok_and(|read| {
                // The extra data is the entry: that it is another must show too.
                read.extra
                    .as_deref()
                    .is_some_and(|entry| read.verify(entry, key.public()).is_ok())
            })
        };
        assert!(holds(&text));
        for at in 0..text.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = text.clone();
                changed[at] ^= flip;
                assert!(!holds(&changed), "byte {at}");
            }
            assert!(!holds(&text[..at]), "cut at {at}");
        }
    }
}
