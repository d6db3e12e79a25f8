//! Cosignatures: what a witness says of a checkpoint, as C2SP `tlog-cosignature` has it (Ed25519).

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::checkpoint::{Checkpoint, CheckpointError, SIGNATURE_PREFIX, signature_lines};
use crate::key::{KeyError, is_key_name};

/// The algorithm byte of an Ed25519 cosignature.
const ALGORITHM: u8 = 0x04;

/// Bytes of a cosignature: a time and a signature.
const COSIGNATURE_BYTES: usize = 8 + 64;

/// What stands before a witness's secret key in a file.
const SECRET_PREFIX: &str = "PRIVATE+KEY+";

/// The secret key of a witness. Wiped from memory when dropped.
pub struct WitnessKey {
    signing: SigningKey,
    public: WitnessPublicKey,
}

impl WitnessKey {
    /// From the witness's name and 32 secret bytes. The caller wipes its copy.
    ///
    /// # Errors
    /// When the name cannot stand in a signed note.
    pub fn new(name: &str, secret: &[u8; 32]) -> Result<Self, KeyError> {
        let signing = SigningKey::from_bytes(secret);
        let public = WitnessPublicKey::new(name, signing.verifying_key())?;
        Ok(Self { signing, public })
    }

    /// From `PRIVATE+KEY+name+id+key`, as the note package of Go writes signer keys.
    ///
    /// # Errors
    /// When the text is not such a key.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(SECRET_PREFIX).ok_or(KeyError::Form)?;
        let (name, id, bytes) = parts(rest)?;
        let key = Self::new(name, &bytes)?;
        if format!("{:08x}", u32::from_be_bytes(key.public.id)) == id {
            Ok(key)
        } else {
            Err(KeyError::Form)
        }
    }

    /// The key as [`WitnessKey::from_text`] reads it: a secret.
    #[must_use]
    pub fn secret_text(&self) -> String {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(self.signing.as_bytes());
        let id = u32::from_be_bytes(self.public.id);
        format!(
            "{SECRET_PREFIX}{}+{id:08x}+{}",
            self.public.name,
            Base64::encode_string(&key)
        )
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &WitnessPublicKey {
        &self.public
    }

    /// The signature line, with its newline, that says: at this time this was the largest consistent tree of the log that I have seen.
    #[must_use]
    pub fn cosign(&self, checkpoint: &Checkpoint, unix_seconds: u64) -> String {
        let message = message(&checkpoint.text(), unix_seconds);
        let mut bytes = self.public.id.to_vec();
        bytes.extend_from_slice(&unix_seconds.to_be_bytes());
        bytes.extend_from_slice(&self.signing.sign(message.as_bytes()).to_bytes());
        let line = Base64::encode_string(&bytes);
        format!("{SIGNATURE_PREFIX}{} {line}\n", self.public.name)
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessKey({})", self.public)
    }
}

/// The public key of a witness, written `name+id+key` with the algorithm of cosignatures.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessPublicKey {
    name: String,
    id: [u8; 4],
    verifying: VerifyingKey,
}

impl WitnessPublicKey {
    fn new(name: &str, verifying: VerifyingKey) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        let digest = Sha256::new()
            .chain_update(name.as_bytes())
            .chain_update([b'\n', ALGORITHM])
            .chain_update(verifying.as_bytes())
            .finalize();
        let id = digest.first_chunk::<4>().copied().ok_or(KeyError::Form)?;
        Ok(Self {
            name: name.to_owned(),
            id,
            verifying,
        })
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes of the key: a witness is who has them, whatever its name.
    #[must_use]
    pub fn point(&self) -> &[u8; 32] {
        self.verifying.as_bytes()
    }

    /// When this witness cosigned a checkpoint, in Unix seconds; none if it did not. Of several times the latest counts.
    ///
    /// # Errors
    /// When the note is malformed, or a line of this witness does not hold.
    pub fn cosigned(&self, note: &[u8]) -> Result<Option<u64>, CheckpointError> {
        let (text, lines) = signature_lines(note)?;
        let mut latest = None;
        for (name, id, bytes) in lines {
            if name != self.name || id != self.id {
                continue;
            }
            let bytes: [u8; COSIGNATURE_BYTES] = bytes
                .as_slice()
                .try_into()
                .map_err(|_| CheckpointError::Signature)?;
            let (time, signature) = bytes.split_at(8);
            let time = time.try_into().map(u64::from_be_bytes);
            let signature = Signature::from_slice(signature);
            let (Ok(time), Ok(signature)) = (time, signature) else {
                return Err(CheckpointError::Signature);
            };
            let message = message(text, time);
            if i64::try_from(time).is_err()
                || self
                    .verifying
                    .verify_strict(message.as_bytes(), &signature)
                    .is_err()
            {
                return Err(CheckpointError::Signature);
            }
            latest = latest.max(Some(time));
        }
        Ok(latest)
    }
}

fn message(text: &str, unix_seconds: u64) -> String {
    format!("cosignature/v1\ntime {unix_seconds}\n{text}")
}

/// `name+id+key`, with the algorithm of cosignatures.
fn parts(text: &str) -> Result<(&str, &str, [u8; 32]), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Form);
    };
    let bytes = Base64::decode_vec(key).map_err(|_| KeyError::Form)?;
    let Some((&ALGORITHM, key)) = bytes.split_first() else {
        return Err(KeyError::Form);
    };
    Ok((name, id, key.try_into().map_err(|_| KeyError::Form)?))
}

impl fmt::Display for WitnessPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(self.verifying.as_bytes());
        let id = u32::from_be_bytes(self.id);
        write!(f, "{}+{id:08x}+{}", self.name, Base64::encode_string(&key))
    }
}

impl fmt::Debug for WitnessPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for WitnessPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, _, point) = parts(text)?;
        let verifying = VerifyingKey::from_bytes(&point).map_err(|_| KeyError::Form)?;
        if verifying.is_weak() {
            return Err(KeyError::Form);
        }
        let public = Self::new(name, verifying)?;
        // Writing it again catches a wrong id and other spellings of the same key.
        if public.to_string() == text {
            Ok(public)
        } else {
            Err(KeyError::Form)
        }
    }
}

#[cfg(test)]
mod tests {
    use valetkey_model::Digest;

    use super::*;
    use crate::LogKey;

    fn note() -> (Checkpoint, String) {
        let checkpoint = Checkpoint {
            origin: "valetkey.test/log".to_owned(),
            size: 12,
            root: Digest::of(b"root"),
            extensions: vec!["of the log".to_owned()],
        };
        let key = LogKey::new("valetkey.test/log", &[7; 32]).unwrap();
        let note = checkpoint.sign(&key);
        (checkpoint, note)
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        // A checkpoint with a cosignature, from C2SP tlog-cosignature; the keys are not given there, so only its form is tried.
        let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
                    \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
                    \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let (_, lines) = signature_lines(note.as_bytes()).unwrap();
        assert_eq!(lines[1].2.len(), COSIGNATURE_BYTES);
        let (time, _) = lines[1].2.split_at(8);
        assert_eq!(u64::from_be_bytes(time.try_into().unwrap()), 1_679_315_147);
    }

    #[test]
    fn a_cosignature_holds_for_its_checkpoint_time_and_witness_alone() {
        let (checkpoint, note) = note();
        let key = WitnessKey::new("witness.test/w1", &[9; 32]).unwrap();
        let line = key.cosign(&checkpoint, 1_700_000_000);
        let signed = format!("{note}{line}");
        let public = key.public();
        assert_eq!(public.cosigned(signed.as_bytes()), Ok(Some(1_700_000_000)));
        assert_eq!(public.cosigned(note.as_bytes()), Ok(None));
        let later = format!("{signed}{}", key.cosign(&checkpoint, 1_700_000_009));
        assert_eq!(public.cosigned(later.as_bytes()), Ok(Some(1_700_000_009)));
        let other = WitnessKey::new("witness.test/w1", &[8; 32]).unwrap();
        assert_eq!(other.public().cosigned(signed.as_bytes()), Ok(None));
        let bigger = Checkpoint {
            size: 13,
            ..checkpoint
        };
        let moved = format!("{note}{}", key.cosign(&bigger, 1_700_000_000));
        assert!(public.cosigned(moved.as_bytes()).is_err());
        let bytes = signed.as_bytes();
        for at in note.len()..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert_ne!(public.cosigned(&changed), Ok(Some(1_700_000_000)), "{at}");
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = WitnessKey::new("witness.test/w1", &[9; 32]).unwrap();
        let again = WitnessKey::from_text(&key.secret_text()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(key.public().to_string().parse(), Ok(key.public().clone()));
        // The key of a log is not that of a witness, nor the other way round.
        let log = LogKey::new("witness.test/w1", &[9; 32]).unwrap();
        assert!(
            log.public()
                .to_string()
                .parse::<WitnessPublicKey>()
                .is_err()
        );
        assert!(
            key.public()
                .to_string()
                .parse::<crate::LogPublicKey>()
                .is_err()
        );
        assert!(WitnessKey::from_text(&key.public().to_string()).is_err());
        assert!(!format!("{key:?}").contains(&key.secret_text()[40..]));
    }
}
