//! The question as it was shown, and a signed answer to exactly that question.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_model::{
    AgentId, ApprovalId, ApprovalRequirement, Digest, FileKind, Grant, RequestId, SessionId,
    Timestamp, canonical_json,
};

use crate::approver::{Approver, ApproverKey};

/// The domain of the digest of a question.
const ASKED_DOMAIN: &str = "valetkey asked v1";
/// The domain of the bytes that an approver signs.
const APPROVAL_DOMAIN: &[u8] = b"valetkey approval v1\n";

/// A question to a person: everything that the answer depends on, and so everything that is shown and signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The request.
    pub request_id: RequestId,
    /// The session that asks.
    pub session: SessionId,
    /// The agent's name.
    pub agent: AgentId,
    /// The digest of the agent's executable.
    pub agent_digest: Option<Digest>,
    /// The person on whose behalf it runs.
    pub user: String,
    /// What the person said that the session is for.
    pub purpose: Option<String>,
    /// What would be granted, whole.
    pub grant: Grant,
    /// Why, in the agent's words.
    pub justification: Option<String>,
    /// Facts about the file at the time of asking.
    pub file: Option<FileFacts>,
    /// Why policy wants a person.
    pub reasons: Vec<String>,
    /// Which policy asks.
    pub policy_id: String,
    /// The digest of that policy.
    pub policy_digest: Digest,
    /// Life of the grant in seconds, from the approval on.
    pub ttl_seconds: u64,
    /// Who must answer, and how.
    pub requirement: ApprovalRequirement,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When the question closes, and counts as a no.
    pub expires_at: Timestamp,
}

/// What is known of a file from its handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// What is there.
    pub kind: FileKind,
    /// Size in bytes.
    pub size: u64,
    /// Owner's user id.
    pub owner: u32,
    /// Permission bits.
    pub mode: u32,
    /// Number of hard links.
    pub links: u64,
    /// Last change of content.
    pub modified: Timestamp,
}

impl Asked {
    /// The digest that an approval signs.
    ///
    /// # Errors
    /// [`ApprovalError::Form`] when the question has no canonical form.
    pub fn digest(&self) -> Result<Digest, ApprovalError> {
        let bytes = canonical_json(self).map_err(|_| ApprovalError::Form)?;
        Ok(Digest::tagged(ASKED_DOMAIN, &bytes))
    }
}

/// A person's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

/// Where the answer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// `valetkey approve` or `deny` at a terminal.
    Terminal,
    /// A desktop notification or window.
    Desktop,
    /// The web console.
    Console,
    /// The fleet's hub.
    Hub,
    /// A WebAuthn authenticator.
    Passkey,
    /// An exported file, signed elsewhere.
    File,
}

/// An answer before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsigned {
    /// The answer's id.
    pub approval_id: ApprovalId,
    /// The request that it answers.
    pub request_id: RequestId,
    /// The digest of the question as shown.
    pub asked_digest: Digest,
    /// Yes or no.
    pub verdict: Verdict,
    /// Who answers.
    pub approver: String,
    /// Where.
    pub method: Method,
    /// Why, in the approver's words.
    pub justification: Option<String>,
    /// When.
    pub time: Timestamp,
}

/// A signed answer. Its signature covers every other member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedApproval {
    /// What is signed.
    pub approval: Unsigned,
    /// Ed25519 over the domain and the canonical form of `approval`, base64url.
    pub signature: String,
}

/// Why an answer does not count.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApprovalError {
    /// It cannot be written in canonical form.
    #[error("the approval is not of the documented form")]
    Form,
    /// It answers another request.
    #[error("the approval is for another request")]
    OtherRequest,
    /// It answers a question that was shown differently.
    #[error("the approval is for a question that was shown differently")]
    OtherQuestion,
    /// No registered approver has this name.
    #[error("`{0}` is not a registered approver")]
    UnknownApprover(String),
    /// The signature does not verify with that approver's key.
    #[error("the approval's signature is not valid")]
    Signature,
    /// Given after the question closed, or before it was asked.
    #[error("the approval was not given while the question was open")]
    OutOfTime,
    /// Policy wants a second factor, and approvals do not carry one yet.
    #[error(
        "policy wants a second factor (`mfa_max_age_seconds`), which an approval cannot show yet"
    )]
    NoSecondFactor,
    /// Policy wants a reason, and none was given.
    #[error("this approval needs a reason: add --because TEXT")]
    NoJustification,
}

impl Unsigned {
    fn signed_bytes(&self) -> Result<Vec<u8>, ApprovalError> {
        let mut bytes = APPROVAL_DOMAIN.to_vec();
        bytes.extend(canonical_json(self).map_err(|_| ApprovalError::Form)?);
        Ok(bytes)
    }

    /// Signs the answer.
    ///
    /// # Errors
    /// [`ApprovalError::Form`] when it has no canonical form.
    pub fn sign(self, key: &ApproverKey) -> Result<SignedApproval, ApprovalError> {
        let signature = Base64UrlUnpadded::encode_string(&key.sign(&self.signed_bytes()?));
        Ok(SignedApproval {
            approval: self,
            signature,
        })
    }
}

impl SignedApproval {
    /// Checks that the answer was signed by `approver`, for exactly this question, while it was open.
    ///
    /// # Errors
    /// The first [`ApprovalError`] found.
    pub fn verify(
        &self,
        asked: &Asked,
        approver: &Approver,
        now: Timestamp,
    ) -> Result<(), ApprovalError> {
        let approval = &self.approval;
        if approval.approver != approver.name {
            return Err(ApprovalError::UnknownApprover(
                approval.approver.chars().take(64).collect(),
            ));
        }
        let bytes =
            Base64UrlUnpadded::decode_vec(&self.signature).map_err(|_| ApprovalError::Signature)?;
        let bytes = <[u8; 64]>::try_from(bytes).map_err(|_| ApprovalError::Signature)?;
        let message = approval.signed_bytes()?;
        approver
            .key()
            .and_then(|key| {
                key.verify_strict(&message, &Signature::from_bytes(&bytes))
                    .ok()
            })
            .ok_or(ApprovalError::Signature)?;
        if approval.request_id != asked.request_id {
            return Err(ApprovalError::OtherRequest);
        }
        if approval.asked_digest != asked.digest()? {
            return Err(ApprovalError::OtherQuestion);
        }
        // The broker's own clock decides; the approver's time is only recorded.
        if now < asked.asked_at || now >= asked.expires_at {
            return Err(ApprovalError::OutOfTime);
        }
        if asked.requirement.mfa_max_age_seconds.is_some() && approval.verdict == Verdict::Approve {
            return Err(ApprovalError::NoSecondFactor);
        }
        let reason = approval.justification.as_deref().map_or("", str::trim);
        if asked.requirement.justification
            && approval.verdict == Verdict::Approve
            && reason.is_empty()
        {
            return Err(ApprovalError::NoJustification);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
