//! An event: what it says, how it is built, and the one byte form in which it becomes a leaf of the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_model::{
    ActionSet, AgentId, CapabilityId, Digest, EventId, RequestId, Resource, SessionId, Timestamp,
};

use crate::attribute::{Attribute, AttributeName};
use crate::merkle::leaf_hash;
use crate::text::{is_safe, safe};
use crate::{AuditDecision, EventType, Outcome};

/// Most bytes that one event takes: below the 64 KiB that C2SP `tlog-tiles` allows an entry.
pub const EVENT_MAX_BYTES: usize = 60 * 1024;

/// Most bytes of a justification.
pub const JUSTIFICATION_MAX_BYTES: usize = 2048;

/// Most bytes of any other text in an event.
pub const NAME_MAX_BYTES: usize = 256;

/// Most attributes of one event: they are facts of its type, not a place to put things.
pub const ATTRIBUTES_MAX: usize = 16;

/// The largest integer that JSON readers agree on (RFC 8785, section 3.2.2.3).
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Who did what the event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// The broker itself.
    Broker,
    /// A session's guard.
    Guard,
    /// The agent in the cell.
    Agent,
    /// The person on whose behalf the agent runs.
    User,
    /// A person who answers requests.
    Approver,
    /// A person at the operator door.
    Operator,
    /// A worker that performs a document operation.
    Adapter,
}

/// The person on whose behalf the agent runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The login name, or a keyed hash of it.
    pub name: String,
    /// The user id on this host; null where the name is a keyed hash.
    pub uid: Option<u32>,
}

/// What the event can be checked against.
// Members of this and every other type that is written here stand in the order of their names: that makes serde's output canonical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The agent's version as its registry record has it.
    pub agent_version: Option<String>,
    /// Proof from the platform, by reference.
    pub attestation: Option<String>,
    /// Digest of the file that was read or written.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub file_hash: Option<Digest>,
    /// The person's second factor and its time.
    pub mfa: Option<String>,
    /// The model that the agent says it runs on.
    pub model: Option<String>,
    /// Digest of the agent's executable.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub process_hash: Option<Digest>,
}

/// An event as it stands in the log. Every member is always there; one that does not apply is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What was asked or done to the resource.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub action: Option<ActionSet>,
    /// Who did it.
    pub actor: Actor,
    /// The agent.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub agent_id: Option<AgentId>,
    /// Facts of this type of event: counts, sizes, names; never content.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Attribute>"))]
    pub attributes: BTreeMap<AttributeName, Attribute>,
    /// The capability that it was done under, or that it is about.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub capability_id: Option<CapabilityId>,
    /// The event that led here.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cause: Option<EventId>,
    /// What was decided.
    pub decision: Option<AuditDecision>,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// The event's own id.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub event_id: EventId,
    /// What the event can be checked against.
    pub evidence: Evidence,
    /// Why, in the words of whoever asked or answered.
    pub justification: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Digest of the policy bundle that decided.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub policy_digest: Option<Digest>,
    /// The policy that decided.
    pub policy_id: Option<String>,
    /// The request that it belongs to.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub request_id: Option<RequestId>,
    /// What it was about.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub resource: Option<Resource>,
    /// Its place in the log, from 0.
    pub seq: u64,
    /// The session that it belongs to.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub session: Option<SessionId>,
    /// When it was recorded: UTC, in milliseconds.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub timestamp: Timestamp,
    /// What happened.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::EventTypeName"))]
    pub kind: EventType,
    /// The person on whose behalf the agent runs.
    pub user: Option<User>,
}

/// The bytes are not an event of the log.
#[derive(Debug, Error)]
pub enum ParseEventError {
    /// Not the JSON of an event.
    #[error("not an event: {0}")]
    Json(#[from] serde_json::Error),
    /// Another spelling of an event than the one that is written.
    #[error("the event is not in canonical form")]
    NotCanonical,
    /// A member is outside its limits.
    #[error("`{0}` is outside its limits")]
    Limit(&'static str),
}

impl Record {
    /// Reads an event strictly: unknown, missing or repeated members, other spellings and values outside their limits are refused.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Event::seal`] writes for some event.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseEventError> {
        if bytes.len() > EVENT_MAX_BYTES {
            return Err(ParseEventError::Limit("length"));
        }
        let record: Self = serde_json::from_slice(bytes)?;
        record.check()?;
        if serde_json::to_vec(&record)? == bytes {
            Ok(record)
        } else {
            Err(ParseEventError::NotCanonical)
        }
    }

    fn check(&self) -> Result<(), ParseEventError> {
        let name = |text: &Option<String>| {
            text.as_deref()
                .is_none_or(|text| is_safe(text, NAME_MAX_BYTES))
        };
        let number = |value: u64| value <= MAX_SAFE_INTEGER;
        let evidence = &self.evidence;
        let checks = [
            ("seq", number(self.seq)),
            ("duration_us", self.duration_us.is_none_or(number)),
            ("policy_id", name(&self.policy_id)),
            (
                "justification",
                self.justification
                    .as_deref()
                    .is_none_or(|text| is_safe(text, JUSTIFICATION_MAX_BYTES)),
            ),
            (
                "user",
                self.user
                    .as_ref()
                    .is_none_or(|user| is_safe(&user.name, NAME_MAX_BYTES)),
            ),
            (
                "evidence",
                name(&evidence.agent_version) && name(&evidence.attestation),
            ),
            ("evidence", name(&evidence.mfa) && name(&evidence.model)),
            ("attributes", self.attributes.len() <= ATTRIBUTES_MAX),
        ];
        match checks.into_iter().find(|(_, holds)| !holds) {
            Some((member, _)) => Err(ParseEventError::Limit(member)),
            None => Ok(()),
        }
    }
}

/// An event as its maker tells it, before the log gives it a place, an id and a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an event that is not appended is not recorded"]
pub struct Event {
    kind: EventType,
    actor: Actor,
    pub(crate) user: Option<User>,
    agent_id: Option<AgentId>,
    session: Option<SessionId>,
    request_id: Option<RequestId>,
    pub(crate) resource: Option<Resource>,
    action: Option<ActionSet>,
    decision: Option<AuditDecision>,
    policy_id: Option<String>,
    policy_digest: Option<Digest>,
    capability_id: Option<CapabilityId>,
    pub(crate) justification: Option<String>,
    outcome: Option<Outcome>,
    duration_us: Option<u64>,
    pub(crate) evidence: Evidence,
    cause: Option<EventId>,
    pub(crate) attributes: BTreeMap<AttributeName, Attribute>,
}

/// Why an event cannot become a leaf.
#[derive(Debug, Error)]
pub enum SealError {
    /// It is longer than [`EVENT_MAX_BYTES`].
    #[error("the event takes {0} bytes, more than 61440")]
    TooLong(usize),
    /// It has more than [`ATTRIBUTES_MAX`] attributes.
    #[error("the event has {0} attributes, more than 16")]
    TooManyAttributes(usize),
    /// The log has no more places.
    #[error("the log is full: its sequence numbers are used up")]
    LogFull,
    /// A member cannot be written.
    #[error("the event cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl Event {
    /// An event of `kind`, done by `actor`, with everything else empty.
    pub fn new(kind: EventType, actor: Actor) -> Self {
        Self {
            kind,
            actor,
            user: None,
            agent_id: None,
            session: None,
            request_id: None,
            resource: None,
            action: None,
            decision: None,
            policy_id: None,
            policy_digest: None,
            capability_id: None,
            justification: None,
            outcome: None,
            duration_us: None,
            evidence: Evidence::default(),
            cause: None,
            attributes: BTreeMap::new(),
        }
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> EventType {
        self.kind
    }

    /// With the person on whose behalf the agent runs.
    pub fn user(mut self, uid: u32, name: &str) -> Self {
        let name = safe(name, NAME_MAX_BYTES);
        let uid = Some(uid);
        self.user = Some(User { name, uid });
        self
    }

    /// With the agent.
    pub fn agent(mut self, agent: AgentId) -> Self {
        self.agent_id = Some(agent);
        self
    }

    /// With the session.
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// With the request.
    pub fn request(mut self, request: RequestId) -> Self {
        self.request_id = Some(request);
        self
    }

    /// With the resource.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// With the actions.
    pub fn action(mut self, actions: ActionSet) -> Self {
        self.action = Some(actions);
        self
    }

    /// With what was decided.
    pub fn decision(mut self, decision: AuditDecision) -> Self {
        self.decision = Some(decision);
        self
    }

    /// With the policy that decided, and the digest of its bundle.
    pub fn policy(mut self, id: &str, digest: Option<Digest>) -> Self {
        self.policy_id = Some(safe(id, NAME_MAX_BYTES));
        self.policy_digest = digest;
        self
    }

    /// With the capability.
    pub fn capability(mut self, capability: CapabilityId) -> Self {
        self.capability_id = Some(capability);
        self
    }

    /// With the reason given, made safe to show and cut to [`JUSTIFICATION_MAX_BYTES`].
    pub fn justification(mut self, text: &str) -> Self {
        self.justification = Some(safe(text, JUSTIFICATION_MAX_BYTES));
        self
    }

    /// With how it ended.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// With how long it took.
    pub fn duration_us(mut self, duration_us: u64) -> Self {
        self.duration_us = Some(duration_us.min(MAX_SAFE_INTEGER));
        self
    }

    /// With the digest of the file that was read or written.
    pub fn file_hash(mut self, digest: Digest) -> Self {
        self.evidence.file_hash = Some(digest);
        self
    }

    /// With the digest of the agent's executable.
    pub fn process_hash(mut self, digest: Digest) -> Self {
        self.evidence.process_hash = Some(digest);
        self
    }

    /// With the agent's version.
    pub fn agent_version(mut self, version: &str) -> Self {
        self.evidence.agent_version = Some(safe(version, NAME_MAX_BYTES));
        self
    }

    /// With the model that the agent says it runs on.
    pub fn model(mut self, model: &str) -> Self {
        self.evidence.model = Some(safe(model, NAME_MAX_BYTES));
        self
    }

    /// With the event that led here.
    pub fn cause(mut self, cause: EventId) -> Self {
        self.cause = Some(cause);
        self
    }

    /// With a fact of this type of event: a count (`u64`), a flag (`bool`) or a short text (`&str`), never content.
    /// The name is written in the program, so a wrong one is found by its first test: it is replaced by `unnamed`.
    pub fn attribute(mut self, name: &'static str, value: impl Into<Attribute>) -> Self {
        self.attributes
            .insert(AttributeName::fixed(name), value.into());
        self
    }

    /// Gives the event its place, id and time and turns it into the bytes of a leaf.
    ///
    /// # Errors
    /// When it is too long or cannot be written.
    pub fn seal(
        self,
        seq: u64,
        event_id: EventId,
        timestamp: Timestamp,
    ) -> Result<SealedEvent, SealError> {
        if seq > MAX_SAFE_INTEGER {
            return Err(SealError::LogFull);
        }
        if self.attributes.len() > ATTRIBUTES_MAX {
            return Err(SealError::TooManyAttributes(self.attributes.len()));
        }
        let record = self.into_record(seq, event_id, timestamp);
        let mut bytes = Vec::with_capacity(1024);
        serde_json::to_writer(&mut bytes, &record)?;
        if bytes.len() > EVENT_MAX_BYTES {
            return Err(SealError::TooLong(bytes.len()));
        }
        Ok(SealedEvent {
            leaf: leaf_hash(&bytes),
            seq,
            event_id: record.event_id,
            bytes,
        })
    }

    fn into_record(self, seq: u64, event_id: EventId, timestamp: Timestamp) -> Record {
        Record {
            action: self.action,
            actor: self.actor,
            agent_id: self.agent_id,
            attributes: self.attributes,
            capability_id: self.capability_id,
            cause: self.cause,
            decision: self.decision,
            duration_us: self.duration_us,
            event_id,
            evidence: self.evidence,
            justification: self.justification,
            outcome: self.outcome,
            policy_digest: self.policy_digest,
            policy_id: self.policy_id,
            request_id: self.request_id,
            resource: self.resource,
            seq,
            session: self.session,
            timestamp,
            kind: self.kind,
            user: self.user,
        }
    }
}

/// An event in its final form: canonical JSON and its leaf hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEvent {
    seq: u64,
    event_id: EventId,
    bytes: Vec<u8>,
    leaf: Digest,
}

impl SealedEvent {
    /// Its place in the log.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Its id.
    #[must_use]
    pub fn event_id(&self) -> &EventId {
        &self.event_id
    }

    /// Its canonical JSON.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its RFC 6962 leaf hash.
    #[must_use]
    pub fn leaf(&self) -> &Digest {
        &self.leaf
    }
}

#[cfg(test)]
mod tests;
