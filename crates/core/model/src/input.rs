//! The input that policy sees: request, subject, resource and context, as documented in `docs/contracts.md`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    Action, ActionSet, AgentId, Constraints, Digest, Grant, RequestId, Resource, SessionId,
    Timestamp,
};

/// All that a policy may use to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

impl PolicyInput {
    /// The input with every *derived* fact worked out anew from the others, so that no derived fact can be stale,
    /// forgotten or contradict the request: `request.granted_by_person`, `subject.user.home_resource`, and of `resource`
    /// its `scheme`, `path`, `digest`, `is_pattern`, `in_workspace`, `in_home` and `is_protected`.
    #[must_use]
    pub fn with_derived_facts(mut self) -> Self {
        let asked = &self.request.resource;
        let covered = |tree: &Resource| tree.covers(asked);
        // A program may be read, so it is protected where its file is. What lies in the workspace is files: a policy gives programs by name.
        let place = asked.as_path().cloned().map(Resource::File);
        let protects = |tree: &Resource| tree.covers(place.as_ref().unwrap_or(asked));
        let (home, home_tree) = home_of(&self.subject.user);
        let text = ResourceFacts::of(asked);

        self.resource = ResourceFacts {
            scheme: text.scheme,
            path: text.path,
            digest: text.digest,
            is_pattern: text.is_pattern,
            in_workspace: self.subject.session.workspace.iter().any(covered),
            in_home: home_tree.iter().any(covered),
            is_protected: self.context.protected.iter().any(protects),
            ..self.resource
        };
        self.request.granted_by_person = self
            .subject
            .session
            .grants
            .iter()
            .find(|grant| {
                grant.covers(asked)
                    && with_visibility(grant.actions).allows_all(self.request.actions)
            })
            .cloned();
        self.subject.user.home_resource = home;
        self
    }
}

/// The home directory, and the tree below it. Of a text that is no absolute, normal path there is neither; of the root there is no
/// tree, since then everything would be "in the home".
fn home_of(user: &UserFacts) -> (Option<Resource>, Option<Resource>) {
    let trimmed = user.home.trim_end_matches('/');
    if trimmed.is_empty() {
        let root = user.home.starts_with('/').then_some(Path::new("/"));
        return (root.and_then(|root| Resource::file(root).ok()), None);
    }
    let path = Path::new(trimmed);
    (Resource::file(path).ok(), Resource::tree(path).ok())
}

/// What a person means who grants `actions`: any grant lets the thing be seen, and reading a directory is listing it.
fn with_visibility(actions: ActionSet) -> ActionSet {
    let mut seen = actions;
    if !actions.is_empty() {
        seen = seen.union(ActionSet::of(&[Action::Metadata]));
    }
    if actions.allows(Action::Read) {
        seen = seen.union(ActionSet::of(&[Action::List]));
    }
    seen
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Derived: the first of the session's grants that covers the whole request, where there is one. Any grant lets a
    /// thing's metadata be seen, and one to read lets directories be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_by_person: Option<Grant>,
}

/// Who asks: the person, the agent and the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserFacts {
    /// The user id on this host.
    pub uid: u32,
    /// The login name.
    pub name: String,
    /// The home directory.
    pub home: String,
    /// Derived: the home directory as a resource, for building patterns; absent where `home` is no absolute, normal path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_resource: Option<Resource>,
    /// The numbers of the groups.
    pub groups: Vec<u32>,
}

/// The program: in a cell, or outside of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentFacts {
    /// Its name.
    pub id: AgentId,
    /// The digest of its executable, where it could be read.
    pub digest: Option<Digest>,
    /// Whether the broker itself looked at the process and its executable, outside of any cell. Otherwise the guard that started it
    /// vouches for what is said here, and holds it in its cell.
    #[serde(default)]
    pub attested: bool,
}

/// One run of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResourceFacts {
    /// Derived: the scheme: `file`, `exec`, `https`, `tcp`, `tool`, `secret` or `bus`.
    pub scheme: String,
    /// Derived, for files and programs: the decoded path, lossily, for policies that look at its parts; of a pattern, the longest
    /// prefix of whole segments without a `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Derived: the digest of a program's content, where it is pinned; the guard pins each that is asked for by its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Derived: whether the resource holds a `*`, and so names many things.
    #[serde(default)]
    pub is_pattern: bool,
    /// Derived: whether all of it lies in the session's workspace.
    #[serde(default)]
    pub in_workspace: bool,
    /// Derived: whether all of it lies in the user's home directory; never so if that is `/`.
    #[serde(default)]
    pub in_home: bool,
    /// Derived: whether all of it lies in one of the trees of `context.protected`.
    #[serde(default)]
    pub is_protected: bool,
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
        let is_pattern = match resource {
            Resource::File(pattern) => !pattern.is_literal(),
            Resource::Exec(program) => !program.path().is_literal(),
            Resource::Https(paths) => !paths.path().is_literal(),
            Resource::Tcp { .. }
            | Resource::Tool { .. }
            | Resource::Secret(_)
            | Resource::Bus(_) => false,
        };
        Self {
            scheme: resource.scheme().to_owned(),
            path: resource
                .as_path()
                .map(|pattern| pattern.literal_prefix().to_string_lossy().into_owned()),
            digest: match resource {
                Resource::Exec(program) => program.digest().copied(),
                Resource::File(_)
                | Resource::Https(_)
                | Resource::Tcp { .. }
                | Resource::Tool { .. }
                | Resource::Secret(_)
                | Resource::Bus(_) => None,
            },
            is_pattern,
            in_workspace: false,
            in_home: false,
            is_protected: false,
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContextFacts {
    /// Now.
    pub time: Timestamp,
    /// `linux`, `macos` or `windows`.
    pub platform: String,
    /// Requests of this session in the last minute.
    pub requests_last_minute: u64,
    /// Requests of this session in the last hour.
    pub requests_last_hour: u64,
    /// Trees that hold Valetkey's own state, keys and sockets here; the starter guardrails never give them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<Resource>,
}

#[cfg(test)]
mod tests;
