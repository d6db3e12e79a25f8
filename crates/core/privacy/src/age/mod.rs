//! The `age` format, version 1, with X25519 recipients: what is sealed here any program that speaks it opens.
//!
//! Written on the primitives that the programs have anyway, since the crate of that name brings plugins, terminals and translations with it.

mod bech32;
mod kdf;
mod open;
mod seal;

use std::fmt;
use std::str::FromStr;

use curve25519_dalek::montgomery::MontgomeryPoint;
use thiserror::Error;
use zeroize::Zeroizing;

pub(crate) use kdf::hmac_sha256;
pub use open::open;
pub use seal::{SealError, seal};

/// The first line of every file.
const INTRODUCTION: &str = "age-encryption.org/v1";
/// What the wrapping key of an X25519 stanza is derived for.
const X25519_LABEL: &[u8] = b"age-encryption.org/v1/X25519";
/// How a recipient begins.
const RECIPIENT_PREFIX: &str = "age";
/// How an identity begins, in small letters.
const IDENTITY_PREFIX: &str = "age-secret-key-";
/// Bytes of a file's key.
const FILE_KEY_BYTES: usize = 16;
/// Bytes of a tag.
const TAG_BYTES: usize = 16;
/// Bytes of the payload's nonce.
const NONCE_BYTES: usize = 16;
/// Bytes of content in one piece of the payload.
const CHUNK_BYTES: usize = 64 << 10;

/// An auditor's public key: `age1…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient([u8; 32]);

/// An auditor's secret key: `AGE-SECRET-KEY-1…`. It wipes itself.
#[derive(Clone)]
pub struct Identity(Zeroizing<[u8; 32]>);

/// The text is no key of the age format.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ParseKeyError {
    /// Not a recipient.
    #[error("a recipient is written `age1` and 58 letters and digits, as `age-keygen` prints it")]
    Recipient,
    /// Not an identity.
    #[error(
        "an identity is written `AGE-SECRET-KEY-1` and 58 letters and digits, as `age-keygen` writes it"
    )]
    Identity,
}

/// What is sealed cannot be opened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// It is not of the format.
    #[error("not a file of the age format, version 1")]
    Form,
    /// It is sealed to others.
    #[error("not sealed to this key")]
    NotForThis,
    /// It was changed.
    #[error("changed since it was sealed")]
    Changed,
}

impl FromStr for Recipient {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let (prefix, bytes) = bech32::decode(text).ok_or(ParseKeyError::Recipient)?;
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).ok();
        match bytes.filter(|_| prefix == RECIPIENT_PREFIX && is_lower) {
            // A point of small order has the same secret with everybody.
            Some(bytes) if !is_weak(bytes) => Ok(Self(bytes)),
            Some(_) | None => Err(ParseKeyError::Recipient),
        }
    }
}

fn is_weak(point: [u8; 32]) -> bool {
    MontgomeryPoint(point).mul_clamped([8; 32]).to_bytes() == [0; 32]
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode(RECIPIENT_PREFIX, &self.0))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Identity {
    /// From 32 random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The identities in a file as `age-keygen` writes it: one a line, comments after `#`.
    ///
    /// # Errors
    /// When a line is neither, or there is none.
    pub fn read_file(text: &str) -> Result<Vec<Self>, ParseKeyError> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(str::parse).collect::<Result<Vec<Self>, _>>()?;
        if keys.is_empty() {
            return Err(ParseKeyError::Identity);
        }
        Ok(keys)
    }

    /// Its public half.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(MontgomeryPoint::mul_base_clamped(*self.0).to_bytes())
    }

    /// As `age-keygen` writes it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(bech32::encode(IDENTITY_PREFIX, &*self.0).to_uppercase())
    }
}

impl FromStr for Identity {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let (prefix, bytes) = bech32::decode(text).ok_or(ParseKeyError::Identity)?;
        let bytes = Zeroizing::new(bytes);
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).ok();
        match bytes.filter(|_| prefix == IDENTITY_PREFIX) {
            Some(bytes) => Ok(Self(Zeroizing::new(bytes))),
            None => Err(ParseKeyError::Identity),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.recipient())
    }
}

/// The nonce of a piece: its number, and whether it is the last.
fn chunk_nonce(number: u64, is_last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().skip(3).zip(number.to_be_bytes()) {
        *to = from;
    }
    if let Some(last) = nonce.last_mut() {
        *last = u8::from(is_last);
    }
    nonce
}

#[cfg(test)]
mod tests;
