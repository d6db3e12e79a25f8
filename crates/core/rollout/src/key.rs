//! Keys that sign bundles, in the PEM files that OpenSSL and OPA read: PKCS #8 for the secret part, SubjectPublicKeyInfo for the public.

use std::fmt;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey};
use thiserror::Error;

use crate::signature::public_key;

/// What stands before the 32 secret bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const SECRET_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What stands before the 32 bytes of a public key (RFC 8410, section 4).
const PUBLIC_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The text is not such a key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not an Ed25519 key in PEM: `openssl genpkey -algorithm ed25519` makes one")]
pub struct KeyError;

/// A key that signs bundles. Wipes itself; never shown by `Debug`.
pub struct BundleKey(SigningKey);

impl BundleKey {
    /// The key of a PEM text.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let bytes = pem(text, "PRIVATE KEY").ok_or(KeyError)?;
        let seed = bytes.strip_prefix(&SECRET_PREFIX).ok_or(KeyError)?;
        let seed = <[u8; 32]>::try_from(seed).map_err(|_| KeyError)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The public part, base64url.
    #[must_use]
    pub fn public_key(&self) -> String {
        Base64UrlUnpadded::encode_string(self.0.verifying_key().as_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for BundleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleKey").finish_non_exhaustive()
    }
}

/// The PEM text of a key, of its 32 secret bytes (RFC 8032 seed).
#[must_use]
pub fn secret_pem(seed: &[u8; 32]) -> String {
    let bytes = [SECRET_PREFIX.as_slice(), seed].concat();
    let body = Base64::encode_string(&bytes);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// A public key from a PEM text, of the key itself or of its secret part, or from base64url; as base64url.
///
/// # Errors
/// [`KeyError`] when it is none, or a weak one.
pub fn read_public_key(text: &str) -> Result<String, KeyError> {
    let text = text.trim();
    if let Ok(secret) = BundleKey::from_pem(text) {
        return Ok(secret.public_key());
    }
    let key = match pem(text, "PUBLIC KEY") {
        Some(bytes) => {
            let key = bytes.strip_prefix(&PUBLIC_PREFIX).ok_or(KeyError)?;
            Base64UrlUnpadded::encode_string(key)
        }
        None => text.to_owned(),
    };
    public_key(&key).ok_or(KeyError).map(|_| key)
}

/// The bytes between the two lines of a PEM text that has one part.
fn pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let body = text
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))?
        .strip_suffix(&format!("-----END {label}-----"))?;
    let body: String = body.split_ascii_whitespace().collect();
    Base64::decode_vec(&body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of RFC 8410, section 10.3, and its public part of section 10.1.
    const SECRET: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_read_as_other_programs_write_them() {
        let key = BundleKey::from_pem(SECRET).unwrap();
        assert_eq!(read_public_key(PUBLIC), Ok(key.public_key()));
        assert_eq!(read_public_key(SECRET), Ok(key.public_key()));
        assert_eq!(read_public_key(&key.public_key()), Ok(key.public_key()));
        for bad in [
            "",
            "x",
            PUBLIC.trim_end_matches('\n').trim_end_matches('-'),
            &"A".repeat(43),
        ] {
            assert_eq!(read_public_key(bad), Err(KeyError), "{bad}");
        }
        let again = BundleKey::from_pem(&secret_pem(&key.0.to_bytes())).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert!(BundleKey::from_pem(PUBLIC).is_err());
        assert!(!format!("{key:?}").contains("1072"));
    }
}
