//! A signed answer to exactly the question that was shown.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_model::{
    ApprovalId, Digest, JustificationFault, Lease, RequestId, Timestamp, canonical_json,
};

use crate::approver::{Approver, ApproverKey};
use crate::asked::Asked;
use crate::reach::is_within;

/// The domain of the bytes that an approver signs.
const APPROVAL_DOMAIN: &[u8] = b"valetkey approval v1\n";
/// The longest reason of an approver, in bytes: it is kept, logged and shown.
const MAX_JUSTIFICATION_BYTES: usize = 4096;

/// A person's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

/// Where the answer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "ApprovalMethod")
)]
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

impl Method {
    /// Its name, as it is signed and recorded.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Desktop => "desktop",
            Self::Console => "console",
            Self::Hub => "hub",
            Self::Passkey => "passkey",
            Self::File => "file",
        }
    }
}

/// An answer before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Unsigned {
    /// The answer's id.
    pub approval_id: ApprovalId,
    /// The request that it answers.
    pub request_id: RequestId,
    /// The digest of the question as shown.
    pub asked_digest: Digest,
    /// The digest of the prompt in which it was shown, with what the door knew beside the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_digest: Option<Digest>,
    /// Yes or no.
    pub verdict: Verdict,
    /// Who answers.
    pub approver: String,
    /// Where.
    pub method: Method,
    /// How far the yes reaches, where that is less than the question says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Why, in the approver's words.
    pub justification: Option<String>,
    /// When.
    pub time: Timestamp,
}

/// A signed answer. Its signature covers every other member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Policy wants a reason, and none that suffices was given.
    #[error(transparent)]
    Justification(#[from] JustificationFault),
    /// It would reach further than the question says.
    #[error("the approval reaches further than the question")]
    Wider,
    /// The person on whose behalf the agent runs says yes, and policy wants others to.
    #[error("`{0}` is the person for whom the agent asks; policy wants another to approve")]
    Requester(String),
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
        let reason = approval.justification.as_deref();
        if reason.is_some_and(|text| text.len() > MAX_JUSTIFICATION_BYTES) {
            return Err(ApprovalError::Form);
        }
        let within =
            |lease: &Lease| approval.verdict == Verdict::Approve && is_within(lease, asked);
        if approval.lease.as_ref().is_some_and(|lease| !within(lease)) {
            return Err(ApprovalError::Wider);
        }
        if approval.verdict == Verdict::Approve {
            asked.requirement.justification.check(reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
