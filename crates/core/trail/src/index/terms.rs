//! The terms of an event, and those that a filter asks for.

use valetkey_audit::{EventType, Record};
use valetkey_model::{Digest, Resource};

use crate::filter::{Filter, KindTerm, UserTerm};
use crate::words::{actor_name, decision_name, outcome_name};

/// Terms of which an event has to have one.
pub type Terms = Vec<u64>;

fn term(field: &str, value: &str) -> u64 {
    let digest = Digest::tagged("valetkey index v1", format!("{field}\n{value}").as_bytes());
    let first = digest.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first)
}

/// The segments of a file pattern before its first wildcard, each with those before it: `file:`, `file:/a`, `file:/a/b`.
fn prefixes(resource: &Resource) -> Vec<String> {
    let text = resource.to_string();
    let literal = text.split('/').take_while(|segment| !segment.contains('*'));
    let mut all = Vec::new();
    let mut current = String::new();
    for (at, segment) in literal.enumerate() {
        if at > 0 {
            current.push('/');
        }
        current.push_str(segment);
        all.push(current.clone());
    }
    all
}

/// Every term of an event, each once.
#[must_use]
pub fn terms_of(record: &Record) -> Terms {
    let mut terms = vec![
        term("type", record.kind.name()),
        term("actor", actor_name(record.actor)),
    ];
    let mut add = |field: &str, value: Option<&str>| {
        terms.extend(value.map(|value| term(field, value)));
    };
    add("decision", record.decision.map(decision_name));
    add("outcome", record.outcome.map(outcome_name));
    add("agent", record.agent_id.as_ref().map(|id| id.as_str()));
    add("session", record.session.as_ref().map(|id| id.as_str()));
    add("request", record.request_id.as_ref().map(|id| id.as_str()));
    add(
        "capability",
        record.capability_id.as_ref().map(|id| id.as_str()),
    );
    if let Some(user) = &record.user {
        add("user", Some(&user.name));
        add("uid", user.uid.map(|uid| uid.to_string()).as_deref());
    }
    if let Some(resource) = record
        .resource
        .as_ref()
        .filter(|resource| resource.as_file().is_some())
    {
        for prefix in prefixes(resource) {
            add("tree", Some(&prefix));
        }
    }
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// What a filter asks for: of each group an event that matches has at least one term. Without a group every event may match.
#[must_use]
pub fn groups(filter: &Filter) -> Vec<Terms> {
    let kinds = filter.kinds.iter().flat_map(|kind| match kind {
        KindTerm::Exact(kind) => vec![term("type", kind.name())],
        KindTerm::Family(prefix) => EventType::ALL
            .iter()
            .filter(|kind| kind.name().starts_with(prefix.as_str()))
            .map(|kind| term("type", kind.name()))
            .collect(),
    });
    let users = filter.users.iter().map(|user| match user {
        UserTerm::Name(name) => term("user", name),
        UserTerm::Uid(uid) => term("uid", &uid.to_string()),
    });
    let all_files = filter
        .resources
        .iter()
        .all(|resource| resource.as_file().is_some());
    let trees = filter
        .resources
        .iter()
        .filter_map(|resource| prefixes(resource).pop());
    let trees: Terms = trees.map(|prefix| term("tree", &prefix)).collect();
    let groups: [Terms; 10] = [
        kinds.collect(),
        filter
            .decisions
            .iter()
            .map(|word| term("decision", decision_name(*word)))
            .collect(),
        filter
            .outcomes
            .iter()
            .map(|word| term("outcome", outcome_name(*word)))
            .collect(),
        filter
            .actors
            .iter()
            .map(|word| term("actor", actor_name(*word)))
            .collect(),
        filter
            .agents
            .iter()
            .map(|id| term("agent", id.as_str()))
            .collect(),
        users.collect(),
        filter
            .sessions
            .iter()
            .map(|id| term("session", id.as_str()))
            .collect(),
        filter
            .requests
            .iter()
            .map(|id| term("request", id.as_str()))
            .collect(),
        filter
            .capabilities
            .iter()
            .map(|id| term("capability", id.as_str()))
            .collect(),
        // Of other resources it is not settled here what covers what.
        if all_files { trees } else { Terms::new() },
    ];
    let mut groups: Vec<Terms> = groups
        .into_iter()
        .filter(|group| !group.is_empty())
        .collect();
    for group in &mut groups {
        group.sort_unstable();
        group.dedup();
    }
    groups
}
