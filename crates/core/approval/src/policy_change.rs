//! A change of the policy that decides: what approvers sign before a bundle comes into force, and what is signed of its tests.

use std::collections::BTreeSet;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_model::{Digest, Quorum, Timestamp, canonical_json};

use crate::approver::{APPROVERS_MAX, Approver, ApproverKey, Approvers};
use crate::quorum::seated;

/// The domain of the bytes that are signed for a change.
const CHANGE_DOMAIN: &[u8] = b"valetkey policy change v1\n";
/// The domain of the bytes that are signed of tests.
const TESTS_DOMAIN: &[u8] = b"valetkey policy tests v1\n";
/// The domain of the digest by which approvers name the tests that they saw.
const TESTS_DIGEST_DOMAIN: &str = "valetkey policy tests v1";
/// The domain of the digest of a difference in words.
const DIFFERENCE_DOMAIN: &str = "valetkey policy difference v1";

/// What is done with a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PolicyStep {
    /// It may come into force, in the place of the one that decides now.
    Install,
    /// It decided before, and is to decide again.
    RollBack,
}

/// A change of the policy that decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// What is done.
    pub step: PolicyStep,
    /// The bundle's digest.
    pub bundle: Digest,
    /// The bundle's revision.
    pub revision: u64,
    /// The bundle that decides now; nothing where it is the built-in policy.
    pub previous: Option<Digest>,
    /// The number that this change will have: what was signed is good once, and not behind another change.
    pub sequence: u64,
}

/// What one approver signs: the change, and what they were shown of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnsignedPolicyChange {
    /// The change.
    pub change: PolicyChange,
    /// The digest of the difference in words, as it was shown ([`difference_digest`]).
    pub difference: Digest,
    /// The digest of the signed tests that were shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Digest>,
    /// Who signs.
    pub by: String,
    /// When; recorded, and decides nothing.
    pub time: Timestamp,
}

/// A signed change. Its signature covers every other member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedPolicyChange {
    /// What is signed.
    pub signed: UnsignedPolicyChange,
    /// Ed25519 over the domain and the canonical form of `signed`, base64url.
    pub signature: String,
}

/// What came of a bundle's tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnsignedTests {
    /// The bundle's digest.
    pub bundle: Digest,
    /// Tests that passed.
    pub passed: u64,
    /// Tests that did not.
    pub failed: u64,
    /// Rules that the tests reach, in thousandths.
    pub coverage_permille: u32,
    /// Changes of the policy that the tests notice, in thousandths, where that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutants_permille: Option<u32>,
    /// Who ran them.
    pub by: String,
    /// When.
    pub time: Timestamp,
}

/// Signed results of tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedTests {
    /// What is signed.
    pub signed: UnsignedTests,
    /// Ed25519 over the domain and the canonical form of `signed`, base64url.
    pub signature: String,
}

/// Why a signature under a change or under tests does not count.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyChangeError {
    /// It cannot be written in canonical form.
    #[error("what was signed is not of the documented form")]
    Form,
    /// Nobody who may sign has this name.
    #[error("`{0}` is none of those who may approve a policy")]
    UnknownSigner(String),
    /// The signature does not verify.
    #[error("the signature of `{0}` is not valid")]
    Signature(String),
    /// It was signed for another change.
    #[error(
        "`{0}` signed another change: another bundle, revision or step, or the policy has changed since"
    )]
    Other(String),
    /// One person signed twice.
    #[error("`{0}` signed twice, and counts once")]
    Twice(String),
    /// Not enough people, or not in the roles.
    #[error(
        "not enough approvers have signed: needed are {needed}, and there are signatures of {given}"
    )]
    Quorum {
        /// What is needed, in words.
        needed: String,
        /// Who signed.
        given: String,
    },
}

impl UnsignedPolicyChange {
    /// Signs it.
    ///
    /// # Errors
    /// [`PolicyChangeError::Form`] when it has no canonical form.
    pub fn sign(self, key: &ApproverKey) -> Result<SignedPolicyChange, PolicyChangeError> {
        let signature = sign(CHANGE_DOMAIN, &self, key)?;
        Ok(SignedPolicyChange {
            signed: self,
            signature,
        })
    }
}

impl UnsignedTests {
    /// Signs them.
    ///
    /// # Errors
    /// [`PolicyChangeError::Form`] when they have no canonical form.
    pub fn sign(self, key: &ApproverKey) -> Result<SignedTests, PolicyChangeError> {
        let signature = sign(TESTS_DOMAIN, &self, key)?;
        Ok(SignedTests {
            signed: self,
            signature,
        })
    }
}

impl SignedTests {
    /// Checks that one of these people, with this role, signed it.
    ///
    /// # Errors
    /// [`PolicyChangeError::UnknownSigner`] or [`PolicyChangeError::Signature`].
    pub fn verify(&self, people: &Approvers, role: &str) -> Result<(), PolicyChangeError> {
        let name = &self.signed.by;
        let by = people.by_name(name).filter(|by| by.has_role(role));
        let by = by.ok_or_else(|| PolicyChangeError::UnknownSigner(short(name)))?;
        verify(TESTS_DOMAIN, &self.signed, &self.signature, by)
    }

    /// The digest by which approvers name them.
    ///
    /// # Errors
    /// [`PolicyChangeError::Form`] when they have no canonical form.
    pub fn digest(&self) -> Result<Digest, PolicyChangeError> {
        let bytes = canonical_json(&self.signed).map_err(|_| PolicyChangeError::Form)?;
        Ok(Digest::tagged(TESTS_DIGEST_DOMAIN, &bytes))
    }
}

/// The digest of a difference in words, line by line as it was shown.
#[must_use]
pub fn difference_digest(lines: &[String]) -> Digest {
    // Lists of text can always be written.
    Digest::tagged(
        DIFFERENCE_DOMAIN,
        &canonical_json(&lines).unwrap_or_default(),
    )
}

/// Proof that a change was signed by everyone whom the quorum wants. Only [`approved_change`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct ApprovedChange {
    change: PolicyChange,
    by: Vec<String>,
}

impl ApprovedChange {
    /// The change.
    #[must_use]
    pub fn change(&self) -> &PolicyChange {
        &self.change
    }

    /// Everyone who signed it.
    #[must_use]
    pub fn by(&self) -> &[String] {
        &self.by
    }
}

/// Weighs the signatures under a change: each is verified, each person counts once, and each seat of the quorum has a person of its own.
///
/// # Errors
/// The first [`PolicyChangeError`]; one bad signature voids them all.
pub fn approved_change(
    change: &PolicyChange,
    signatures: &[SignedPolicyChange],
    people: &Approvers,
    quorum: &[Quorum],
) -> Result<ApprovedChange, PolicyChangeError> {
    let mut signers: Vec<&Approver> = Vec::new();
    let mut names = BTreeSet::new();
    for one in signatures.iter().take(APPROVERS_MAX.saturating_add(1)) {
        let name = &one.signed.by;
        let by = people
            .by_name(name)
            .ok_or_else(|| PolicyChangeError::UnknownSigner(short(name)))?;
        verify(CHANGE_DOMAIN, &one.signed, &one.signature, by)?;
        if one.signed.change != *change {
            return Err(PolicyChangeError::Other(short(name)));
        }
        // A name that differs in case alone is the same person.
        if !names.insert(name.to_lowercase()) {
            return Err(PolicyChangeError::Twice(short(name)));
        }
        signers.push(by);
    }
    let by = signers.iter().map(|by| by.name.clone()).collect();
    if seated(quorum, &signers).is_none() {
        return Err(too_few(quorum, by));
    }
    Ok(ApprovedChange {
        change: change.clone(),
        by,
    })
}

fn too_few(quorum: &[Quorum], by: Vec<String>) -> PolicyChangeError {
    let seats = quorum
        .iter()
        .map(|seat| format!("{} × `{}`", seat.count, seat.role));
    let given = if by.is_empty() {
        "nobody".to_owned()
    } else {
        by.join(", ")
    };
    PolicyChangeError::Quorum {
        needed: seats.collect::<Vec<_>>().join(" and "),
        given,
    }
}

fn message<T: Serialize>(domain: &[u8], signed: &T) -> Result<Vec<u8>, PolicyChangeError> {
    let mut bytes = domain.to_vec();
    bytes.extend(canonical_json(signed).map_err(|_| PolicyChangeError::Form)?);
    Ok(bytes)
}

fn sign<T: Serialize>(
    domain: &[u8],
    signed: &T,
    key: &ApproverKey,
) -> Result<String, PolicyChangeError> {
    Ok(Base64UrlUnpadded::encode_string(
        &key.sign(&message(domain, signed)?),
    ))
}

fn verify<T: Serialize>(
    domain: &[u8],
    signed: &T,
    signature: &str,
    by: &Approver,
) -> Result<(), PolicyChangeError> {
    let wrong = || PolicyChangeError::Signature(short(&by.name));
    let bytes = Base64UrlUnpadded::decode_vec(signature).map_err(|_| wrong())?;
    let bytes = <[u8; 64]>::try_from(bytes).map_err(|_| wrong())?;
    let message = message(domain, signed)?;
    by.key()
        .and_then(|key| {
            key.verify_strict(&message, &Signature::from_bytes(&bytes))
                .ok()
        })
        .ok_or_else(wrong)
}

fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
