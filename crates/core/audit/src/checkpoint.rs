//! Checkpoints: what a log says it holds, as a C2SP signed note.

use base64ct::{Base64, Encoding as _};
use thiserror::Error;
use valetkey_model::Digest;

use crate::key::{LogKey, LogPublicKey};

/// Most bytes of a checkpoint with its signatures: room for sixteen witnesses and more.
pub const CHECKPOINT_MAX_BYTES: usize = 8 * 1024;

/// Most signatures that are looked at: what the note package of Go accepts is 100; a log needs few.
const SIGNATURES_MAX: usize = 32;

/// What begins every signature line: an em dash and a space.
pub(crate) const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// What a log says it holds: so many events, with this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// The number of events.
    pub size: u64,
    /// The RFC 6962 root over them.
    pub root: Digest,
    /// Further lines, which the signature covers too.
    pub extensions: Vec<String>,
}

/// Why a signed checkpoint is not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// The bytes are not a signed note with a checkpoint in it.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// It is of another log.
    #[error("the checkpoint is of another log")]
    Origin,
    /// This key did not sign it.
    #[error("the checkpoint is not signed by this key")]
    WrongKey,
    /// The signature of this key does not hold.
    #[error("the checkpoint's signature does not hold")]
    Signature,
}

impl Checkpoint {
    /// The text that is signed: origin, size, root and extension lines, each ended by a newline.
    #[must_use]
    pub fn text(&self) -> String {
        let root = Base64::encode_string(self.root.as_bytes());
        let mut text = format!("{}\n{}\n{root}\n", self.origin, self.size);
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The signed note: the text, an empty line, and the key's signature line.
    #[must_use]
    pub fn sign(&self, key: &LogKey) -> String {
        self.sign_with([key])
    }

    /// The note with a signature line of each key.
    #[must_use]
    pub fn sign_with<'a>(&self, keys: impl IntoIterator<Item = &'a LogKey>) -> String {
        let text = self.text();
        let mut note = format!("{text}\n");
        for key in keys {
            let mut signature = key.public().id().to_vec();
            signature.extend_from_slice(&key.sign(text.as_bytes()));
            let line = Base64::encode_string(&signature);
            note.push_str(&format!(
                "{SIGNATURE_PREFIX}{} {line}\n",
                key.public().name()
            ));
        }
        note
    }

    /// How many signature lines of the log's own name a note has: its key's, and an epoch's. Whether they hold is not looked at.
    ///
    /// # Errors
    /// When the note is malformed.
    pub fn own_signatures(note: &[u8]) -> Result<usize, CheckpointError> {
        let (text, signatures) = split(note)?;
        let origin = Self::parse_text(text)?.origin;
        let mut own = 0_usize;
        for line in signatures {
            let (name, _, _) = parse_signature(line)?;
            own = own.saturating_add(usize::from(name == origin));
        }
        Ok(own)
    }

    /// Reads a signed note and checks that `key` signed it and that it is of the key's own log.
    /// Well-formed signatures of other keys are passed over, as C2SP `signed-note` asks.
    ///
    /// # Errors
    /// When the note is malformed, of another log, or not signed by `key`.
    pub fn open(note: &[u8], key: &LogPublicKey) -> Result<Self, CheckpointError> {
        let (text, signatures) = split(note)?;
        let checkpoint = Self::parse_text(text)?;
        let mut signed = None;
        for line in signatures {
            let (name, id, signature) = parse_signature(line)?;
            if name == key.name() && id == key.id() {
                let bytes: &[u8; 64] = signature
                    .as_slice()
                    .try_into()
                    .map_err(|_| CheckpointError::Signature)?;
                let holds = key.verify(text.as_bytes(), bytes);
                // A second line by the same key is of no use to anyone honest.
                if !holds || signed.is_some() {
                    return Err(CheckpointError::Signature);
                }
                signed = Some(());
            }
        }
        signed.ok_or(CheckpointError::WrongKey)?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Origin)
        }
    }

    /// Reads a signed note without checking who signed it: to show it, never to rely on it.
    ///
    /// # Errors
    /// When the note is malformed.
    pub fn read_unverified(note: &[u8]) -> Result<Self, CheckpointError> {
        Self::parse_text(split(note)?.0)
    }

    fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        const MALFORMED: fn(&'static str) -> CheckpointError = CheckpointError::Malformed;
        let mut lines = text
            .strip_suffix('\n')
            .ok_or(MALFORMED("no newline at the end of the text"))?
            .split('\n');
        let origin = lines.next().unwrap_or_default();
        let size = lines.next().ok_or(MALFORMED("no size"))?;
        let root = lines.next().ok_or(MALFORMED("no root"))?;
        let root = Base64::decode_vec(root).map_err(|_| MALFORMED("the root is not base64"))?;
        let root: [u8; 32] = root
            .try_into()
            .map_err(|_| MALFORMED("the root is not 32 bytes"))?;
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size
                .parse()
                .map_err(|_| MALFORMED("the size is not a number"))?,
            root: Digest::from_bytes(root),
            extensions: lines.map(str::to_owned).collect(),
        };
        let lines_filled = !checkpoint.extensions.iter().any(String::is_empty);
        if checkpoint.origin.is_empty() || !lines_filled || checkpoint.text() != text {
            return Err(MALFORMED("not in canonical form"));
        }
        Ok(checkpoint)
    }
}

/// Parts a note into its text, with the final newline, and its signature lines.
fn split(note: &[u8]) -> Result<(&str, Vec<&str>), CheckpointError> {
    const MALFORMED: fn(&'static str) -> CheckpointError = CheckpointError::Malformed;
    if note.len() > CHECKPOINT_MAX_BYTES {
        return Err(MALFORMED("too long"));
    }
    let note = std::str::from_utf8(note).map_err(|_| MALFORMED("not UTF-8"))?;
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(MALFORMED("holds control characters"));
    }
    let (text, signatures) = note
        .rsplit_once("\n\n")
        .ok_or(MALFORMED("no empty line before the signatures"))?;
    let text = note
        .get(..text.len().saturating_add(1))
        .ok_or(MALFORMED("no newline at the end of the text"))?;
    let lines: Vec<_> = signatures
        .strip_suffix('\n')
        .ok_or(MALFORMED("no newline at the end"))?
        .split('\n')
        .collect();
    if lines.len() > SIGNATURES_MAX {
        return Err(MALFORMED("too many signatures"));
    }
    Ok((text, lines))
}

/// A signature line: a name, a key id and what follows it.
type SignatureLine<'a> = (&'a str, [u8; 4], Vec<u8>);

/// The text that was signed, and the signature lines.
pub(crate) fn signature_lines(
    note: &[u8],
) -> Result<(&str, Vec<SignatureLine<'_>>), CheckpointError> {
    let (text, lines) = split(note)?;
    let lines = lines.into_iter().map(parse_signature);
    Ok((text, lines.collect::<Result<_, _>>()?))
}

fn parse_signature(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), CheckpointError> {
    const FORM: CheckpointError = CheckpointError::Malformed("a signature line is not one");
    let (name, base64) = line
        .strip_prefix(SIGNATURE_PREFIX)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(FORM)?;
    if name.is_empty() || name.contains(['+', ' ']) {
        return Err(FORM);
    }
    let bytes = Base64::decode_vec(base64).map_err(|_| FORM)?;
    let (id, signature) = bytes.split_first_chunk::<4>().ok_or(FORM)?;
    if signature.is_empty() {
        return Err(FORM);
    }
    Ok((name, *id, signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LogKey {
        LogKey::new("valetkey.test/log", &[9; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: "valetkey.test/log".to_owned(),
            size: 12,
            root: Digest::of(b"root"),
            extensions: Vec::new(),
        }
    }

    #[test]
    fn the_note_of_the_go_note_package_verifies() {
        // From the documentation of golang.org/x/mod/sumdb/note: not a checkpoint, but signed as one is.
        let key: LogPublicKey =
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
                .parse()
                .unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let (text, lines) = split(note.as_bytes()).unwrap();
        let (name, id, signature) = parse_signature(lines[0]).unwrap();
        assert_eq!((name, id), (key.name(), key.id()));
        assert!(key.verify(text.as_bytes(), signature.as_slice().try_into().unwrap()));
    }

    #[test]
    fn a_checkpoint_survives_its_note() {
        let mut checkpoint = checkpoint();
        checkpoint.extensions.push("time 2026".to_owned());
        let note = checkpoint.sign(&key());
        assert_eq!(
            Checkpoint::open(note.as_bytes(), key().public()),
            Ok(checkpoint)
        );
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let note = checkpoint().sign(&key()).into_bytes();
        for at in 0..note.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = note.clone();
                changed[at] ^= flip;
                assert!(
                    Checkpoint::open(&changed, key().public()).is_err(),
                    "byte {at}"
                );
            }
            assert!(
                Checkpoint::open(&note[..at], key().public()).is_err(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn other_keys_and_logs_are_told_apart() {
        let note = checkpoint().sign(&key());
        let other = LogKey::new("valetkey.test/log", &[8; 32]).unwrap();
        assert_eq!(
            Checkpoint::open(note.as_bytes(), other.public()),
            Err(CheckpointError::WrongKey)
        );
        let mut elsewhere = checkpoint();
        elsewhere.origin = "valetkey.test/other".to_owned();
        assert_eq!(
            Checkpoint::open(elsewhere.sign(&key()).as_bytes(), key().public()),
            Err(CheckpointError::Origin)
        );
    }

    #[test]
    fn a_witness_beside_the_log_is_passed_over_and_a_double_is_not() {
        let note = checkpoint().sign(&key());
        let witness = LogKey::new("witness", &[8; 32]).unwrap();
        let (_, theirs) = checkpoint()
            .sign(&witness)
            .split_once("\n\n")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert!(Checkpoint::open(format!("{note}{theirs}").as_bytes(), key().public()).is_ok());
        let (_, ours) = note.split_once("\n\n").unwrap();
        assert!(Checkpoint::open(format!("{note}{ours}").as_bytes(), key().public()).is_err());
    }
}
