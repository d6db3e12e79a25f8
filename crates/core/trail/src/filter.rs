//! Which events are asked for.

use std::fmt;
use std::str::FromStr;

use memchr::memmem;
use serde_json::Value;
use thiserror::Error;
use valetkey_audit::{Actor, AuditDecision, EventType, Outcome, Record};
use valetkey_model::{AgentId, CapabilityId, RequestId, Resource, SessionId, Timestamp};

use crate::words::{actor_name, decision_name, outcome_name};

/// A type of event, or a whole family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindTerm {
    /// One type.
    Exact(EventType),
    /// Every type whose name begins so, up to and with the dot.
    Family(String),
}

/// The text names neither a type nor a family.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is neither a type of event, such as `approval.given`, nor a family, such as `operation`"
)]
pub struct ParseKindError(String);

impl FromStr for KindTerm {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Self, ParseKindError> {
        if let Ok(kind) = text.parse() {
            return Ok(Self::Exact(kind));
        }
        let family = text.strip_suffix(".*").unwrap_or(text);
        if EventType::ALL.iter().any(|kind| kind.family() == family) {
            Ok(Self::Family(format!("{family}.")))
        } else {
            Err(ParseKindError(text.chars().take(64).collect()))
        }
    }
}

impl KindTerm {
    fn matches(&self, kind: EventType) -> bool {
        match self {
            Self::Exact(exact) => *exact == kind,
            Self::Family(prefix) => kind.name().starts_with(prefix.as_str()),
        }
    }
}

/// A person, by login name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserTerm {
    /// The login name.
    Name(String),
    /// The user id.
    Uid(u32),
}

impl From<&str> for UserTerm {
    fn from(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Uid)
    }
}

/// Which events are asked for. Of each list any entry may fit, of the texts all must; what is empty does not narrow.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Types and families.
    pub kinds: Vec<KindTerm>,
    /// Decisions.
    pub decisions: Vec<AuditDecision>,
    /// Outcomes.
    pub outcomes: Vec<Outcome>,
    /// Who acted.
    pub actors: Vec<Actor>,
    /// Agents.
    pub agents: Vec<AgentId>,
    /// Persons.
    pub users: Vec<UserTerm>,
    /// Sessions.
    pub sessions: Vec<SessionId>,
    /// Requests.
    pub requests: Vec<RequestId>,
    /// Capabilities.
    pub capabilities: Vec<CapabilityId>,
    /// Patterns that cover the event's resource.
    pub resources: Vec<Resource>,
    /// Words that stand somewhere in the event's own texts, in any case of ASCII letters.
    pub texts: Vec<String>,
}

impl Filter {
    /// Whether every event passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.resources.is_empty() && {
            self.users.is_empty() && self.texts.is_empty() && self.sieve().is_open()
        }
    }

    /// Whether this event is asked for.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.matches_time(record.timestamp)
            && any(&self.kinds, |term| term.matches(record.kind))
            && among(&self.decisions, record.decision.as_ref())
            && among(&self.outcomes, record.outcome.as_ref())
            && among(&self.actors, Some(&record.actor))
            && among(&self.agents, record.agent_id.as_ref())
            && any(&self.users, |term| is_user(term, record))
            && among(&self.sessions, record.session.as_ref())
            && among(&self.requests, record.request_id.as_ref())
            && among(&self.capabilities, record.capability_id.as_ref())
            && any(&self.resources, |pattern| {
                let resource = record.resource.as_ref();
                resource.is_some_and(|resource| pattern.covers(resource))
            })
            && self.matches_text(record)
    }

    fn matches_time(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    fn matches_text(&self, record: &Record) -> bool {
        if self.texts.is_empty() {
            return true;
        }
        let mut text = String::new();
        if let Ok(value) = serde_json::to_value(record) {
            gather(&value, &mut text);
        }
        text.make_ascii_lowercase();
        let holds = |wanted: &String| text.contains(wanted.to_ascii_lowercase().as_str());
        self.texts.iter().all(holds)
    }

    /// What can be told from an event's bytes without reading it.
    #[must_use]
    pub fn sieve(&self) -> Sieve {
        let member = |name: &str, value: &str| format!("\"{name}\":\"{value}\"");
        let mut sieve = Sieve::default();
        sieve.add(self.kinds.iter().map(|term| match term {
            KindTerm::Exact(kind) => member("type", kind.name()),
            KindTerm::Family(prefix) => format!("\"type\":\"{prefix}"),
        }));
        let decisions = self.decisions.iter();
        sieve.add(decisions.map(|decision| member("decision", decision_name(*decision))));
        let outcomes = self.outcomes.iter();
        sieve.add(outcomes.map(|outcome| member("outcome", outcome_name(*outcome))));
        sieve.add(
            self.actors
                .iter()
                .map(|actor| member("actor", actor_name(*actor))),
        );
        sieve.add(
            self.agents
                .iter()
                .map(|agent| member("agent_id", agent.as_str())),
        );
        let sessions = self.sessions.iter();
        sieve.add(sessions.map(|session| member("session", session.as_str())));
        let requests = self.requests.iter();
        sieve.add(requests.map(|request| member("request_id", request.as_str())));
        let capabilities = self.capabilities.iter();
        sieve.add(capabilities.map(|capability| member("capability_id", capability.as_str())));
        sieve
    }
}

fn any<T>(terms: &[T], fits: impl Fn(&T) -> bool) -> bool {
    terms.is_empty() || terms.iter().any(fits)
}

fn among<T: PartialEq>(terms: &[T], value: Option<&T>) -> bool {
    terms.is_empty() || value.is_some_and(|value| terms.contains(value))
}

fn is_user(term: &UserTerm, record: &Record) -> bool {
    record.user.as_ref().is_some_and(|user| match term {
        UserTerm::Name(name) => user.name == *name,
        UserTerm::Uid(uid) => user.uid == Some(*uid),
    })
}

/// Every text of a value, each on a line of its own, so that none runs over into the next.
fn gather(value: &Value, into: &mut String) {
    match value {
        Value::String(text) => {
            into.push_str(text);
            into.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, into)),
        Value::Object(members) => members.values().for_each(|member| gather(member, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A coarse sieve over an event's canonical bytes: what it holds back does not match; what it lets through may.
#[derive(Clone, Default)]
pub struct Sieve {
    groups: Vec<Vec<memmem::Finder<'static>>>,
}

impl Sieve {
    fn add(&mut self, needles: impl Iterator<Item = String>) {
        let finders: Vec<_> = needles
            .map(|needle| memmem::Finder::new(needle.as_bytes()).into_owned())
            .collect();
        if !finders.is_empty() {
            self.groups.push(finders);
        }
    }

    /// Whether it holds nothing back.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether an event of these bytes may match.
    #[must_use]
    pub fn may_match(&self, bytes: &[u8]) -> bool {
        let hit = |group: &Vec<memmem::Finder<'_>>| {
            group.iter().any(|finder| finder.find(bytes).is_some())
        };
        self.groups.iter().all(hit)
    }
}

impl fmt::Debug for Sieve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sieve({} groups)", self.groups.len())
    }
}

#[cfg(test)]
mod tests;
