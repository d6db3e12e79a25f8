//! The question to a person: everything that the answer depends on, and so everything that is shown and signed.

use serde::{Deserialize, Serialize};
use valetkey_model::{
    AgentId, ApprovalRequirement, Digest, FileKind, Grant, RequestId, Resource, SessionId,
    Timestamp, canonical_json,
};

use crate::change::ChangeSummary;
use crate::memory::Before;
use crate::signed::ApprovalError;

/// The domain of the digest of a question.
const ASKED_DOMAIN: &str = "valetkey asked v1";

/// A question to a person: everything that the answer depends on, and so everything that is shown and signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// The person on whose behalf it runs: the one who requests, where policy wants another to approve.
    pub user: String,
    /// What the person said that the session is for.
    pub purpose: Option<String>,
    /// What would be granted, whole.
    pub grant: Grant,
    /// Further files that were asked for at the same time, in a question that was put together. Each is granted by itself, with the actions
    /// and limits of `grant`, and nothing else is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Listed>,
    /// Why, in the agent's words.
    pub justification: Option<String>,
    /// Facts about the file at the time of asking.
    pub file: Option<FileFacts>,
    /// What would be changed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeSummary>,
    /// Labels of what the session has read: what it knows may go where it is let.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub has_read: Vec<String>,
    /// What was approved for this agent before; absent where the broker does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
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

/// One more file of a question that was put together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// The request that is answered with it.
    pub request_id: RequestId,
    /// The one file.
    pub resource: Resource,
    /// Facts about it at the time of asking.
    pub file: Option<FileFacts>,
}

/// What is known of a file from its handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Last change of content, attributes, names or links, which no program can set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    /// Which object it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("pattern" = "^(?:0|[1-9a-f][0-9a-f]{0,15}):(?:0|[1-9a-f][0-9a-f]{0,15})$")))]
    pub identity: Option<FileIdentity>,
}

/// Which object of which file system: text, since a number of 64 bits has no place in canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The object with this number on this device.
    #[must_use]
    pub fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }
}

impl From<FileIdentity> for String {
    fn from(identity: FileIdentity) -> String {
        format!("{:x}:{:x}", identity.device, identity.inode)
    }
}

impl TryFrom<String> for FileIdentity {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const FORM: &str = "a file's identity is written DEVICE:INODE in lower-case hexadecimal";
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| FORM);
        let (device, inode) = text.split_once(':').ok_or(FORM)?;
        let identity = Self::new(number(device)?, number(inode)?);
        // One spelling: no sign, no leading zero, no capital.
        if String::from(identity.clone()) == text {
            Ok(identity)
        } else {
            Err(FORM)
        }
    }
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

    /// Everything that a yes grants, one by one.
    pub fn grants(&self) -> impl Iterator<Item = (&RequestId, Grant)> {
        let also = self.also.iter().map(|listed| {
            let grant = Grant {
                resource: listed.resource.clone(),
                ..self.grant.clone()
            };
            (&listed.request_id, grant)
        });
        std::iter::once((&self.request_id, self.grant.clone())).chain(also)
    }

    /// Every resource that is asked for, with what is known of it.
    pub fn resources(&self) -> impl Iterator<Item = (&Resource, Option<&FileFacts>)> {
        let also = self
            .also
            .iter()
            .map(|listed| (&listed.resource, listed.file.as_ref()));
        std::iter::once((&self.grant.resource, self.file.as_ref())).chain(also)
    }
}
