//! What the log keeps of a policy's input beside what its events say anyway, so that a decision can be taken again.

use serde::{Deserialize, Serialize};

use crate::{
    AgentFacts, Constraints, ContextFacts, Digest, FileKind, Grant, PolicyInput, RequestFacts,
    Resource, ResourceFacts, SessionFacts, SubjectFacts, Timestamp, UserFacts,
};

/// Of a session, once: in its opening event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRecord {
    /// The user's home directory.
    pub home: String,
    /// The numbers of the user's groups.
    pub groups: Vec<u32>,
    /// `linux`, `macos` or `windows`.
    pub platform: String,
    /// Trees that hold Valetkey's own state, keys and sockets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<Resource>,
    /// What the person granted at the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<TimedGrant>,
}

/// A grant of the start, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedGrant {
    /// What.
    pub grant: Grant,
    /// For how many seconds from the start of the session; for all of it where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

/// Of a request: in the event of its decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRecord {
    /// The time that the policy was told, in milliseconds since 1970.
    pub time_ms: u64,
    /// How old the session was then, in milliseconds.
    pub age_ms: u64,
    /// The session's requests in the last minute and the last hour.
    pub counts: [u64; 2],
    /// What the asker offered to keep.
    #[serde(default, skip_serializing_if = "is_none")]
    pub constraints: Constraints,
    /// Labels of what the session had read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FileKind>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Owner's user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Permission bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Number of hard links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<u64>,
    /// The digest of what policy answered, whole.
    pub answer: Digest,
}

fn is_none(constraints: &Constraints) -> bool {
    *constraints == Constraints::default()
}

impl RequestRecord {
    /// What is kept of an input and of the answer to it.
    #[must_use]
    pub fn of(input: &PolicyInput, age_ms: u64, answer: Digest) -> Self {
        let facts = &input.resource;
        Self {
            time_ms: input.context.time.unix_ms(),
            age_ms,
            counts: [
                input.context.requests_last_minute,
                input.context.requests_last_hour,
            ],
            constraints: input.request.constraints.clone(),
            labels: input.subject.session.labels.clone(),
            kind: facts.kind,
            size: facts.size,
            owner: facts.owner,
            mode: facts.mode,
            links: facts.links,
            answer,
        }
    }
}

/// What the events themselves say of a request and its session.
#[derive(Clone, Debug)]
pub struct Told {
    /// The request's id, resource, actions and justification; its constraints are taken from the record.
    pub request: RequestFacts,
    /// The user's number and name.
    pub user: (u32, String),
    /// The agent.
    pub agent: AgentFacts,
    /// The session's id, purpose and workspace; the rest is taken from the records.
    pub session: SessionFacts,
}

/// The input as the policy had it, from all that was kept of it.
#[must_use]
pub fn restored(told: Told, session: &SessionRecord, request: &RequestRecord) -> PolicyInput {
    let begun_seconds = request.age_ms.div_ceil(1000);
    let is_live = |timed: &&TimedGrant| timed.ttl_seconds.is_none_or(|ttl| begun_seconds < ttl);
    let grants = session.grants.iter().filter(is_live);
    let text = ResourceFacts::of(&told.request.resource);
    PolicyInput {
        request: RequestFacts {
            constraints: request.constraints.clone(),
            granted_by_person: None,
            ..told.request
        },
        subject: SubjectFacts {
            user: UserFacts {
                uid: told.user.0,
                name: told.user.1,
                home: session.home.clone(),
                home_resource: None,
                groups: session.groups.clone(),
            },
            agent: told.agent,
            session: SessionFacts {
                grants: grants.map(|timed| timed.grant.clone()).collect(),
                age_seconds: request.age_ms / 1000,
                labels: request.labels.clone(),
                ..told.session
            },
        },
        resource: ResourceFacts {
            kind: request.kind,
            size: request.size,
            owner: request.owner,
            mode: request.mode,
            links: request.links,
            ..text
        },
        context: ContextFacts {
            time: Timestamp::from_unix_ms(request.time_ms),
            platform: session.platform.clone(),
            requests_last_minute: request.counts.first().copied().unwrap_or_default(),
            requests_last_hour: request.counts.last().copied().unwrap_or_default(),
            protected: session.protected.clone(),
        },
    }
    .with_derived_facts()
}
