//! Approvers: people with a name, roles and an Ed25519 key.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// A person's signing key. Wipes itself; never shown by `Debug`.
pub struct ApproverKey(SigningKey);

impl ApproverKey {
    /// The key from its 32 secret bytes (RFC 8032 seed).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The approver that this key makes, with a name and roles.
    #[must_use]
    pub fn approver(&self, name: &str, roles: &[&str]) -> Approver {
        Approver {
            name: name.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            public_key: Base64UrlUnpadded::encode_string(self.0.verifying_key().as_bytes()),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for ApproverKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApproverKey").finish_non_exhaustive()
    }
}

/// A registered approver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The name under which answers are given.
    pub name: String,
    /// The roles in which the person may answer.
    pub roles: Vec<String>,
    /// The Ed25519 public key, base64url.
    pub public_key: String,
}

impl Approver {
    /// The key, if it is a usable one: canonical base64url, on the curve, not of small order.
    #[must_use]
    pub fn key(&self) -> Option<VerifyingKey> {
        let bytes = Base64UrlUnpadded::decode_vec(&self.public_key).ok()?;
        let key = VerifyingKey::from_bytes(&<[u8; 32]>::try_from(bytes).ok()?).ok()?;
        (!key.is_weak()).then_some(key)
    }
}

/// Everyone who may answer. Names and keys are distinct, so that one person cannot count as two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvers {
    approvers: Vec<Approver>,
}

impl Approvers {
    /// Registers an approver. Returns whether it was taken: a name or key that is registered already, an empty name, or an unusable key is not.
    #[must_use]
    pub fn add(&mut self, approver: Approver) -> bool {
        let taken = self
            .approvers
            .iter()
            .any(|known| known.name == approver.name || known.public_key == approver.public_key);
        let usable =
            !approver.name.is_empty() && approver.name.len() <= 128 && approver.key().is_some();
        if taken || !usable {
            return false;
        }
        self.approvers.push(approver);
        true
    }

    /// The approver of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Approver> {
        self.approvers.iter().find(|approver| approver.name == name)
    }

    /// All of them, in the order in which they were registered.
    pub fn iter(&self) -> impl Iterator<Item = &Approver> {
        self.approvers.iter()
    }

    /// Whether nobody is registered yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.approvers.is_empty()
    }
}
