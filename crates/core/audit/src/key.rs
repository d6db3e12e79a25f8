//! The log's keys: the secret that signs checkpoints, and its public form as a C2SP verifier key.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Longest name of a key in bytes; it is the origin line of every checkpoint.
const NAME_MAX_BYTES: usize = 128;

/// The algorithm byte of Ed25519 in a signed note (C2SP `signed-note`).
const ALGORITHM_ED25519: u8 = 0x01;

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The name cannot stand in a signed note.
    #[error("a log's name is 1 to 128 printable ASCII characters without space or `+`")]
    Name,
    /// The text is not a verifier key.
    #[error("not a verifier key of the form `name+id+key` for Ed25519")]
    Form,
}

/// The secret key that signs a log's checkpoints, with the log's name. Wiped from memory when dropped.
pub struct LogKey {
    signing: SigningKey,
    public: LogPublicKey,
}

impl LogKey {
    /// From the log's name, which is the origin line of its checkpoints, and 32 secret bytes. The caller wipes its copy.
    ///
    /// # Errors
    /// When the name cannot stand in a signed note.
    pub fn new(name: &str, secret: &[u8; 32]) -> Result<Self, KeyError> {
        let signing = SigningKey::from_bytes(secret);
        let public = LogPublicKey::new(name, signing.verifying_key())?;
        Ok(Self { signing, public })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &LogPublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.signing.sign(text).to_bytes()
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.public)
    }
}

/// The public key of a log, written `name+id+key` as C2SP `signed-note` has it.
#[derive(Clone, PartialEq, Eq)]
pub struct LogPublicKey {
    name: String,
    id: [u8; 4],
    verifying: VerifyingKey,
}

impl LogPublicKey {
    fn new(name: &str, verifying: VerifyingKey) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        let digest = Sha256::new()
            .chain_update(name.as_bytes())
            .chain_update([b'\n', ALGORITHM_ED25519])
            .chain_update(verifying.as_bytes())
            .finalize();
        let id = digest.first_chunk::<4>().copied().ok_or(KeyError::Form)?;
        Ok(Self {
            name: name.to_owned(),
            id,
            verifying,
        })
    }

    /// The name of the log: the origin of its checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id: the first four bytes of SHA-256 over name, newline, algorithm and key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The bytes of the key.
    pub(crate) fn point(&self) -> &[u8; 32] {
        self.verifying.as_bytes()
    }

    pub(crate) fn verify(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        self.verifying
            .verify_strict(text, &Signature::from_bytes(signature))
            .is_ok()
    }
}

/// Whether a name can stand in a signed note as that of a log or a witness.
pub(crate) fn is_key_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'+';
    !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.bytes().all(plain)
}

impl fmt::Display for LogPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ALGORITHM_ED25519];
        key.extend_from_slice(self.verifying.as_bytes());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            u32::from_be_bytes(self.id),
            Base64::encode_string(&key)
        )
    }
}

impl fmt::Debug for LogPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LogPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let bytes = Base64::decode_vec(key).map_err(|_| KeyError::Form)?;
        let Some((&ALGORITHM_ED25519, point)) = bytes.split_first() else {
            return Err(KeyError::Form);
        };
        let point: &[u8; 32] = point.try_into().map_err(|_| KeyError::Form)?;
        let verifying = VerifyingKey::from_bytes(point).map_err(|_| KeyError::Form)?;
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
    use super::*;

    #[test]
    fn the_verifier_key_of_the_go_note_package_is_read() {
        // From the documentation of golang.org/x/mod/sumdb/note.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: LogPublicKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(key.id(), [0xc7, 0x4f, 0x20, 0xa3]);
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = LogKey::new("a/log", &[7; 32]).unwrap().public().to_string();
        assert!(text.parse::<LogPublicKey>().is_ok());
        for bad in [
            text.replace("a/log", "b/log"),
            text.replace('=', ""),
            format!("{text} "),
            text.to_uppercase(),
            String::new(),
        ] {
            assert_eq!(bad.parse::<LogPublicKey>().is_ok(), bad == text, "{bad}");
        }
        for name in ["", "a b", "a+b", "a\n", "\u{e9}"] {
            assert_eq!(LogKey::new(name, &[1; 32]).err(), Some(KeyError::Name));
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let key = LogKey::new("a", &[0xab; 32]).unwrap();
        assert!(!format!("{key:?}").to_lowercase().contains("abab"));
    }
}
