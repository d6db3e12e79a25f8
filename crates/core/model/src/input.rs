//! The input that policy sees: request, subject, resource and context, as documented in `schemas/policy-input.json`.

use serde::{Deserialize, Serialize};

use crate::{
    ActionSet, AgentId, Constraints, Digest, Grant, RequestId, Resource, SessionId, Timestamp,
};

/// All that a policy may use to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInput {
    /// What is asked.
    pub request: RequestFacts,
    /// Who asks.
    pub subject: SubjectFacts,
    /// What is known of the thing asked for.
    pub resource: ResourceFacts,
    /// Time, place and counts.
    pub context: ContextFacts,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFacts {
    /// The request's id.
    pub id: RequestId,
    /// The resource, in canonical text.
    pub resource: Resource,
    /// The actions.
    pub actions: ActionSet,
    /// The constraints that the asker offers to keep.
    pub constraints: Constraints,
    /// Why, in the asker's words.
    pub justification: Option<String>,
}

/// Who asks: the person, the agent and the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectFacts {
    /// The person on whose behalf the agent runs.
    pub user: UserFacts,
    /// The program.
    pub agent: AgentFacts,
    /// This run of it.
    pub session: SessionFacts,
}

/// The person on whose behalf the agent runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFacts {
    /// The user id on this host.
    pub uid: u32,
    /// The login name.
    pub name: String,
    /// The home directory.
    pub home: String,
    /// The numbers of the groups.
    pub groups: Vec<u32>,
}

/// The program that runs in the cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// Its name.
    pub id: AgentId,
    /// The digest of its executable, where the guard could read it.
    pub digest: Option<Digest>,
}

/// One run of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// The session's id.
    pub id: SessionId,
    /// What the person said it is for.
    pub purpose: Option<String>,
    /// The tree that the person gave to work in.
    pub workspace: Option<Resource>,
    /// What the person granted when starting it.
    pub grants: Vec<Grant>,
    /// How long it has run, in seconds.
    pub age_seconds: u64,
    /// Labels of what it has read.
    pub labels: Vec<String>,
}

/// What kind of object a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Nothing is there.
    Absent,
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// Facts from the handle, given by the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceFacts {
    /// The scheme: `file`, `exec`, `tcp`, `tool` or `secret`.
    pub scheme: String,
    /// For files: the decoded path, lossily, for policies that look at its parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
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
}

impl ResourceFacts {
    /// Facts that follow from the resource's text alone.
    #[must_use]
    pub fn of(resource: &Resource) -> Self {
        let path = resource
            .as_file()
            .map(|pattern| pattern.literal_prefix().to_string_lossy().into_owned());
        Self {
            scheme: resource.scheme().to_owned(),
            path,
            kind: None,
            size: None,
            owner: None,
            mode: None,
            links: None,
        }
    }
}

/// Time, place and counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextFacts {
    /// Now.
    pub time: Timestamp,
    /// `linux`, `macos` or `windows`.
    pub platform: String,
    /// Requests of this session in the last minute.
    pub requests_last_minute: u64,
    /// Requests of this session in the last hour.
    pub requests_last_hour: u64,
}
