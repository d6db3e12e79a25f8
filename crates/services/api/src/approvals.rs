//! Messages about questions and what comes of them: waiting for a change, looking again at what was shown, leases, several requests at once.

use serde::{Deserialize, Serialize};
use valetkey_approval::{Asked, FileFacts, ReviewItem};
use valetkey_capability::Capability;
use valetkey_model::{
    ActionSet, AgentId, CapabilityId, Digest, RequestId, Resource, SessionId, Timestamp,
};

use crate::{AgentAsk, Ask, Problem, RequestState};

/// Operator door: what waits for people, answered when it is not what it was at number `after`, or the wait is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// The number of this state; to be sent as `after` with the next wait.
    pub last: u64,
    /// Every open question, oldest first.
    pub questions: Vec<Asked>,
    /// The last alerts, oldest first.
    pub alerts: Vec<Alert>,
}

/// Operator door: the last alerts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Oldest first.
    pub alerts: Vec<Alert>,
}

/// Something that people should see soon and that no answer is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its number; greater than that of every earlier one.
    pub number: u64,
    /// When it was raised.
    pub time: Timestamp,
    /// What it is about.
    pub kind: AlertKind,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// In words. They may hold words of an agent or a person: to be made safe before they are shown.
    pub text: String,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// An agent was denied so often that it has to wait.
    Lockout,
    /// Somebody took an emergency scope.
    BreakGlass,
    /// A rule over the stream of events was met, such as many files in a short time.
    Watch,
    /// The policy that decides for everyone has changed by itself: a canary was taken back.
    Policy,
}

/// Guard door: files that are to be looked at again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LookAgain {
    /// The question that they were shown in.
    pub request_id: RequestId,
    /// The files.
    pub resources: Vec<Resource>,
}

/// Guard door: what the guard saw when it looked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LookedAgain {
    /// Each file that was to be looked at.
    pub files: Vec<Looked>,
}

/// One file as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Looked {
    /// The file.
    pub resource: Resource,
    /// What is there; nothing if it could not be looked at.
    pub file: Option<FileFacts>,
}

/// Guard door: several requests of one session at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AskAll {
    /// The session.
    pub session: SessionId,
    /// The requests, at most 64.
    pub requests: Vec<Ask>,
}

/// Guard door: how several requests stand, in the order in which they were asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AskedAll {
    /// One for each.
    pub requests: Vec<RequestState>,
}

/// Agent door in a cell: several requests at once. Those that are like each other become one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentAskAll {
    /// The requests, at most 64.
    pub requests: Vec<AgentAsk>,
}

/// Agent door in a cell: how several requests stand, in the order in which they were asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentAskedAll {
    /// One for each.
    pub requests: Vec<AgentStanding>,
}

/// Agent door in a cell: how one of several requests stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum AgentStanding {
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
    /// Refused.
    Refused {
        /// Why, and what to do.
        problem: Box<Problem>,
    },
}

/// Operator door: what people gave beyond the capabilities that are live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LiveLease {
    /// The session that has it.
    pub session: SessionId,
    /// What was given under it last; to take that back ends the lease.
    pub capability_id: CapabilityId,
    /// What was approved.
    pub resource: Resource,
    /// Which actions.
    pub actions: ActionSet,
    /// What it is good for.
    pub kind: LeaseKind,
    /// Of a list of operations, what has not been used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Resource>,
    /// When it ends.
    pub until: Timestamp,
}

/// What a lease is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseKind {
    /// One use of each of a list.
    Operations,
    /// The same for some time.
    Minutes,
    /// The same for the rest of the session, at most for some time.
    Task,
}

/// Operator door: a fresh value, to be signed at once with what breaks the glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// 32 random bytes, hexadecimal.
    pub challenge: String,
    /// When it is good for nothing any more; it is good once.
    pub expires_at: Timestamp,
}

/// Operator door: an emergency scope that was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BrokenGlass {
    /// The digest by which it is reviewed.
    pub emergency: Digest,
    /// What the session holds now; each ends by itself.
    pub capabilities: Vec<Capability>,
}

/// Operator door: the reviews of emergencies.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReviewList {
    /// Oldest first, closed ones too for as long as there is room.
    pub reviews: Vec<Review>,
}

/// Operator door: the review of one emergency.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The digest of the emergency.
    pub emergency: Digest,
    /// Whether it waits for somebody.
    pub is_open: bool,
    /// The session that was given the scope.
    pub session: SessionId,
    /// What was asked for, by whom, and what was found.
    pub item: ReviewItem,
}
