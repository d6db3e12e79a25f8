//! The messages that cross the doors; plain data with a closed shape.

use serde::{Deserialize, Serialize};
use valetkey_approval::{Approver, Asked, ChangeSummary, FileFacts, SignedApproval, SignedChange};
use valetkey_capability::{Capability, Jwks};
use valetkey_model::{
    ActionSet, AgentId, CapabilityId, Constraints, Digest, Grant, Level, RequestId, Resource,
    SessionId, Timestamp, ViewMode,
};

use crate::{LiveLease, LookAgain, Mode, Problem};

/// Guard door: opens a session. The guard vouches for these facts; the broker adds what it sees of the peer itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// The agent's name.
    pub agent: AgentId,
    /// The digest of the agent's executable, where it could be read.
    pub agent_digest: Option<Digest>,
    /// What the person said that it is for.
    pub purpose: Option<String>,
    /// The tree to work in.
    pub workspace: Option<Resource>,
    /// What the person grants at the start.
    pub grants: Vec<StartGrant>,
    /// A policy bundle for this session, as its files; the built-in one otherwise.
    pub policy: Option<Vec<BundleFile>>,
    /// What is enforced around the agent, as its guard measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
}

/// What is enforced around an agent. The command does not start where less comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Enforcement {
    /// The level reached.
    pub level: Level,
    /// The facts behind it, in words.
    pub posture: String,
}

/// What the person grants when starting a session, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StartGrant {
    /// What.
    pub grant: Grant,
    /// For how many seconds from the start of the session; for all of it where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

impl From<Grant> for StartGrant {
    fn from(grant: Grant) -> Self {
        Self {
            grant,
            ttl_seconds: None,
        }
    }
}

/// One file of a policy bundle.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// Path below the bundle's root.
    pub path: String,
    /// The text.
    pub text: String,
}

/// Guard door: the answer to [`OpenSession`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionOpened {
    /// The session's id.
    pub session: SessionId,
    /// The keys that its tokens verify with.
    pub keys: Jwks,
    /// What was granted of the workspace and the grants.
    pub granted: Vec<Granted>,
    /// What was not, and why.
    pub refused: Vec<RefusedGrant>,
    /// The policy's digest.
    pub policy_digest: Digest,
}

/// A part of what was asked at the start that was not given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefusedGrant {
    /// What was asked.
    pub resource: Resource,
    /// Which actions.
    pub actions: ActionSet,
    /// Why not.
    pub problem: Problem,
}

/// A capability and the token that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// The signed token.
    pub token: String,
    /// The same in words.
    pub capability: Capability,
    /// Whether operations under it may be recorded as they stream.
    pub streamed: bool,
    /// How its tree may be served, where it is given when the session starts.
    #[serde(default, skip_serializing_if = "ViewMode::is_watched")]
    pub view: ViewMode,
    /// Until when the same is given again without asking, where people gave more than this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// What ended with it, since the session reads by it what is labelled: no good any more before this one is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<CapabilityId>,
}

/// Guard door: asks for access, with facts from the handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The session.
    pub session: SessionId,
    /// What is wanted.
    pub resource: Resource,
    /// Which actions.
    pub actions: ActionSet,
    /// Limits that the asker offers to keep.
    #[serde(default)]
    pub constraints: Constraints,
    /// Why, in the agent's words.
    #[serde(default)]
    pub justification: Option<String>,
    /// Facts from the handle, for files.
    #[serde(default)]
    pub file: Option<FileFacts>,
    /// What it would change, where the guard knows that before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeSummary>,
    /// Whether a person may be asked; without it, `ask` is answered as a refusal that can be requested.
    pub may_ask: bool,
}

/// Agent door: asks for access. The guard adds the session and the facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentAsk {
    /// What is wanted.
    pub resource: Resource,
    /// Which actions.
    pub actions: ActionSet,
    /// Limits that the asker offers to keep.
    #[serde(default)]
    pub constraints: Constraints,
    /// Why.
    #[serde(default)]
    pub justification: Option<String>,
}

/// The state of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "lowercase")]
#[expect(
    clippy::large_enum_variant,
    reason = "one answer at a time is held, and sent at once"
)]
pub enum RequestState {
    /// Granted.
    Granted {
        /// The request.
        request_id: RequestId,
        /// What was granted.
        granted: Granted,
    },
    /// Refused, by policy or by a person.
    Refused {
        /// The request.
        request_id: RequestId,
        /// Why, and what to do.
        problem: Problem,
    },
    /// A person is being asked.
    Pending {
        /// The request.
        request_id: RequestId,
        /// When the question closes.
        expires_at: Timestamp,
    },
}

/// What the agent is told of a request: never the token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum AgentRequestState {
    /// Granted.
    Granted {
        /// The request.
        request_id: RequestId,
        /// What was granted.
        capability: Box<Capability>,
    },
    /// A person is being asked.
    Pending {
        /// The request.
        request_id: RequestId,
        /// When the question closes.
        expires_at: Timestamp,
    },
}

/// Guard door: uses a capability that must be counted by the broker, such as one that is good for a single use.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UseCapability {
    /// The session.
    pub session: SessionId,
    /// The operation in words, for the log.
    pub operation: String,
}

/// Guard door: gives a capability back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseCapability {
    /// The session.
    pub session: SessionId,
    /// The capability that takes its place, where it was renewed: what was narrowed from the old one then stands under this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<CapabilityId>,
}

/// Guard door and agent door: what ended when a capability was given back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Released {
    /// It, and all that was narrowed from it; nothing if it was not live.
    pub capabilities: Vec<CapabilityId>,
}

/// Guard door: asks for a narrower capability. What is absent is as in the one that is narrowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Narrow {
    /// The session.
    pub session: SessionId,
    /// Part of its resource.
    #[serde(default)]
    pub resource: Option<Resource>,
    /// Some of its actions.
    #[serde(default)]
    pub actions: Option<ActionSet>,
    /// Further limits; of two, the tighter holds.
    #[serde(default)]
    pub constraints: Constraints,
    /// What else is taken out of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Resource>,
    /// How long it lives: never longer than the one that is narrowed.
    #[serde(default)]
    pub ttl_seconds: Option<u64>,
}

/// Agent door: asks for a narrower capability. The guard adds the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentNarrow {
    /// Part of its resource.
    #[serde(default)]
    pub resource: Option<Resource>,
    /// Some of its actions.
    #[serde(default)]
    pub actions: Option<ActionSet>,
    /// Further limits; of two, the tighter holds.
    #[serde(default)]
    pub constraints: Constraints,
    /// What else is taken out of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Resource>,
    /// How long it lives: never longer than the one that is narrowed.
    #[serde(default)]
    pub ttl_seconds: Option<u64>,
}

impl AgentNarrow {
    /// The same for the guard door.
    #[must_use]
    pub fn in_session(self, session: SessionId) -> Narrow {
        Narrow {
            session,
            resource: self.resource,
            actions: self.actions,
            constraints: self.constraints,
            except: self.except,
            ttl_seconds: self.ttl_seconds,
        }
    }
}

/// Guard door: what the guard must know, answered when there is news or the wait is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct News {
    /// The number of the last piece of news; to be sent with the next wait.
    pub last: u64,
    /// Capabilities that are no longer good.
    pub revoked: Vec<CapabilityId>,
    /// Whether there are other keys to verify with: they are at `/v1/keys`.
    #[serde(default)]
    pub keys_changed: bool,
    /// What is to be looked at again, since a person said yes to what was shown of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look_again: Vec<LookAgain>,
    /// What was given in an emergency.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Granted>,
    /// Whether the whole session is over.
    pub session_over: bool,
}

impl News {
    /// Whether there is anything to tell.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.session_over
            || self.keys_changed
            || !self.revoked.is_empty()
            || !self.look_again.is_empty()
            || !self.given.is_empty()
    }
}

/// Guard door: closes a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CloseSession {
    /// The command's exit status as a shell would see it.
    pub exit_status: u8,
}

/// Operator door: the open questions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenQuestions {
    /// Oldest first.
    pub questions: Vec<Asked>,
}

/// Operator door and agent door: the live capabilities.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LiveCapabilities {
    /// At the operator door, oldest first.
    pub capabilities: Vec<Capability>,
    /// What people gave beyond them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LiveLease>,
}

/// Operator door: which capabilities to take back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Revoke {
    /// One.
    Capability(CapabilityId),
    /// Every one of a session.
    Session(SessionId),
    /// Every one that an agent of this name holds.
    Agent(AgentId),
    /// Every one that gives anything of this resource: that covers it, or is covered by it.
    Resource(Resource),
    /// Every one.
    All,
}

/// Operator door: what was taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// What was meant; oldest session first.
    pub capabilities: Vec<CapabilityId>,
    /// What ended with it, since it was narrowed from it.
    #[serde(default)]
    pub descendants: Vec<CapabilityId>,
}

/// Operator door: a checkpoint of the log that witnesses cosigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HandIn {
    /// The signed note, with the cosignatures.
    pub checkpoint: String,
}

/// Operator door: how much of the log is witnessed, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Witnessed {
    /// The number of events.
    pub events: u64,
    /// The time of the quorum's oldest cosignature, in Unix seconds.
    pub since: u64,
}

/// Operator door: the keys that capabilities are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IssuerKeys {
    /// The one that signs first.
    pub keys: Vec<KeyInfo>,
}

/// One key of the issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyInfo {
    /// Its id: the RFC 7638 thumbprint.
    pub kid: String,
    /// What it is good for.
    pub state: KeyState,
    /// When it is dropped, if it only verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a key of the issuer is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It signs, and verifies.
    Signing,
    /// Its secret part is gone; it verifies what it signed.
    VerifyingOnly,
}

/// Operator door: a signed answer, and the approver's public part for the first use.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The answer.
    pub approval: SignedApproval,
}

/// Operator door: a person whose key may answer from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AddApprover {
    /// The first of all, taken on trust; refused as soon as somebody is registered.
    First(Approver),
    /// Anyone later, signed by an owner.
    Signed(SignedChange),
}

/// Operator door: how a question stands after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Granted.
    Approved,
    /// Refused.
    Refused,
    /// More people must answer.
    Open,
}

/// Operator door: what an answer led to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// How the question stands.
    pub outcome: Outcome,
}

/// Operator door: the broker's state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The broker's process.
    pub pid: u32,
    /// Since when it runs.
    pub since: Timestamp,
    /// In which way it runs.
    pub mode: Mode,
    /// Whether the figures below are of everyone, or only of the person who asks.
    pub of_everyone: bool,
    /// Open sessions.
    pub sessions: u64,
    /// The lowest level of enforcement among those in cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest_level: Option<Level>,
    /// Live capabilities.
    pub capabilities: u64,
    /// Open questions.
    pub questions: u64,
    /// Events in the log.
    pub events: u64,
    /// Whether the log takes events; nothing is granted otherwise.
    pub recording: bool,
    /// What decides where a session brings nothing of its own: `base`, or `installed-` and the revision.
    #[serde(default)]
    pub policy: String,
    /// The digest of what decides then.
    pub policy_digest: Digest,
    /// What this way of running cannot keep, in words.
    pub posture: Vec<String>,
    /// Where the broker writes what happens to itself.
    pub diagnostics: String,
    /// Its last error, for whoever sees everyone's figures.
    pub last_error: Option<String>,
}

/// Agent door in a cell: a typed operation on a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "operation", deny_unknown_fields)]
pub enum DocumentOperation {
    /// Appends rows to a sheet of a workbook.
    #[serde(rename = "sheet.append_rows")]
    AppendRows {
        /// The workbook.
        resource: Resource,
        /// The sheet's name.
        sheet: String,
        /// Rows of cells: null, booleans, numbers and text. Text is never a formula.
        rows: Vec<Vec<serde_json::Value>>,
        /// The capability to use; without it, any that covers the operation, or a new request.
        #[serde(default)]
        capability_id: Option<CapabilityId>,
        /// Why.
        #[serde(default)]
        justification: Option<String>,
    },
}

/// Agent door in a cell: what a document operation did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OperationDone {
    /// Under which capability.
    pub capability_id: CapabilityId,
    /// What was done, in the operation's own terms.
    pub report: serde_json::Value,
}
