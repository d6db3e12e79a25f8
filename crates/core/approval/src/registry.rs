//! A change of who may answer: signed by an owner, good for one state of one registry, and so once.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_model::{Digest, Timestamp, canonical_json};

use crate::approver::{APPROVERS_MAX, Approver, ApproverKey, Approvers, OWNER};

/// The domain of the bytes that an owner signs.
const CHANGE_DOMAIN: &[u8] = b"valetkey approver change v1\n";

/// What changes. Both name the approver whole: what is signed is what is there, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// This person may answer from now on.
    Add(Approver),
    /// This person may not answer any more.
    Remove(Approver),
}

impl Change {
    /// Who is added or removed.
    #[must_use]
    pub fn approver(&self) -> &Approver {
        match self {
            Self::Add(approver) | Self::Remove(approver) => approver,
        }
    }
}

/// A change before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnsignedChange {
    /// The digest of the registry as it is before.
    pub registry: Digest,
    /// The number that the registry has afterwards.
    pub sequence: u64,
    /// What changes.
    pub change: Change,
    /// The owner who wants it.
    pub by: String,
    /// When it was signed; recorded, and decides nothing.
    pub time: Timestamp,
}

/// A signed change. Its signature covers every other member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedChange {
    /// What is signed.
    pub signed: UnsignedChange,
    /// Ed25519 over the domain and the canonical form of `signed`, base64url.
    pub signature: String,
}

/// Why a change is not made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeError {
    /// It cannot be written in canonical form.
    #[error("the change is not of the documented form")]
    Form,
    /// No registered approver has the signer's name.
    #[error("`{0}` is not a registered approver")]
    UnknownSigner(String),
    /// The signature does not verify with the signer's key.
    #[error("the change's signature is not valid")]
    Signature,
    /// The signer is not an owner.
    #[error("`{0}` does not have the role `owner`, and only an owner changes who may answer")]
    NotOwner(String),
    /// It was signed for another state of the registry: it was made already, another came first, or it is of another broker.
    #[error("the change was signed for other approvers than there are now")]
    Stale,
    /// The name, the roles or the key cannot be registered.
    #[error(
        "the approver's name, roles or key is not usable: names and roles are 1 to 64 of `A-Z a-z 0-9 . _ @ + -`"
    )]
    Unusable,
    /// Somebody has the name or the key already.
    #[error("an approver with this name or key is registered already")]
    Taken,
    /// There are as many as there can be.
    #[error("there are {APPROVERS_MAX} approvers, and no room for more")]
    Full,
    /// Nobody is registered exactly so.
    #[error("no approver is registered with this name, these roles and this key")]
    NotRegistered,
    /// Nobody could change anything afterwards.
    #[error("the last owner cannot be removed: add another owner first")]
    LastOwner,
}

impl UnsignedChange {
    /// A change of the registry as it is.
    ///
    /// # Errors
    /// [`ChangeError::Form`] when the registry has no canonical form.
    pub fn of(
        approvers: &Approvers,
        change: Change,
        by: &str,
        time: Timestamp,
    ) -> Result<Self, ChangeError> {
        Ok(Self {
            registry: approvers.digest().ok_or(ChangeError::Form)?,
            sequence: approvers.sequence().saturating_add(1),
            change,
            by: by.to_owned(),
            time,
        })
    }

    fn signed_bytes(&self) -> Result<Vec<u8>, ChangeError> {
        let mut bytes = CHANGE_DOMAIN.to_vec();
        bytes.extend(canonical_json(self).map_err(|_| ChangeError::Form)?);
        Ok(bytes)
    }

    /// Signs the change.
    ///
    /// # Errors
    /// [`ChangeError::Form`] when it has no canonical form.
    pub fn sign(self, key: &ApproverKey) -> Result<SignedChange, ChangeError> {
        let signature = Base64UrlUnpadded::encode_string(&key.sign(&self.signed_bytes()?));
        Ok(SignedChange {
            signed: self,
            signature,
        })
    }
}

impl Approvers {
    /// The registry after a signed change. The signer is looked up as the registry is now: who was removed changes nothing any more.
    ///
    /// # Errors
    /// The first [`ChangeError`] found; whether the signature is good is found out before anything else is told of the registry.
    pub fn changed(&self, change: &SignedChange) -> Result<Self, ChangeError> {
        let signed = &change.signed;
        let signer = self
            .by_name(&signed.by)
            .ok_or_else(|| ChangeError::UnknownSigner(signed.by.chars().take(64).collect()))?;
        verify(change, signer)?;
        if !signer.has_role(OWNER) {
            return Err(ChangeError::NotOwner(signer.name.clone()));
        }
        let now = self.digest().ok_or(ChangeError::Form)?;
        if signed.registry != now || signed.sequence != self.sequence().saturating_add(1) {
            return Err(ChangeError::Stale);
        }
        let mut next = self.clone();
        match &signed.change {
            Change::Add(approver) => {
                if !approver.is_usable() {
                    return Err(ChangeError::Unusable);
                }
                if self.iter().count() >= APPROVERS_MAX {
                    return Err(ChangeError::Full);
                }
                if !next.add(approver.clone()) {
                    return Err(ChangeError::Taken);
                }
            }
            Change::Remove(approver) => {
                if !self.iter().any(|known| known == approver) {
                    return Err(ChangeError::NotRegistered);
                }
                next.take_out(approver);
                if next.owners() == 0 {
                    return Err(ChangeError::LastOwner);
                }
            }
        }
        next.set_sequence(signed.sequence);
        Ok(next)
    }
}

fn verify(change: &SignedChange, signer: &Approver) -> Result<(), ChangeError> {
    let bytes =
        Base64UrlUnpadded::decode_vec(&change.signature).map_err(|_| ChangeError::Signature)?;
    let bytes = <[u8; 64]>::try_from(bytes).map_err(|_| ChangeError::Signature)?;
    let message = change.signed.signed_bytes()?;
    signer
        .key()
        .and_then(|key| {
            key.verify_strict(&message, &Signature::from_bytes(&bytes))
                .ok()
        })
        .ok_or(ChangeError::Signature)
}

#[cfg(test)]
mod tests;
