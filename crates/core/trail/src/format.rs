//! Events in the formats of other systems. Each keeps the event's own bytes or ids, so that what arrives can be checked against the log.

mod cef;
mod csv;
mod ecs;
mod ocsf;

pub use cef::cef;
pub use csv::{CSV_HEADER, csv_row};
pub use ecs::ecs;
pub use ocsf::ocsf;

use serde_json::{Map, Value};
use valetkey_audit::{AuditDecision, EventType, Outcome, Record};
use valetkey_model::{Action, Resource};

/// The name under which events are sent.
pub(crate) const PRODUCT: &str = "Valetkey";

/// How much an event matters to someone who watches, on the scale of OCSF: 1 informational to 5 critical.
pub(crate) fn severity(record: &Record) -> u8 {
    use EventType::{
        AlertRaised, BreakglassOpened, BreakglassRefused, LogGap, LogRecovered, PolicyRejected,
        RegistryApproverAdded, RegistryApproverRemoved, RegistryKeyRotated,
    };
    let kind = record.kind;
    if matches!(kind, AlertRaised | BreakglassOpened) {
        return 4;
    }
    if matches!(kind, LogGap | LogRecovered | PolicyRejected) {
        return 3;
    }
    let registry = matches!(
        kind,
        RegistryApproverAdded | RegistryApproverRemoved | RegistryKeyRotated
    );
    if registry || kind == BreakglassRefused || is_held_back(record) {
        return 2;
    }
    1
}

/// Whether something was not let happen.
pub(crate) fn is_held_back(record: &Record) -> bool {
    matches!(
        record.decision,
        Some(AuditDecision::Denied | AuditDecision::Refused | AuditDecision::Expired)
    ) || matches!(record.outcome, Some(Outcome::Blocked | Outcome::Failed))
}

/// The path of a file resource: as the system has it, or for a pattern as the pattern is written.
pub(crate) fn file_path(resource: &Resource) -> Option<String> {
    let pattern = resource.as_file()?;
    if pattern.is_literal() {
        return Some(pattern.literal_prefix().to_string_lossy().into_owned());
    }
    resource
        .to_string()
        .strip_prefix("file:")
        .map(str::to_owned)
}

/// The strongest thing that was done or asked for: writing counts before reading.
pub(crate) fn foremost(record: &Record) -> Option<Action> {
    const ORDER: [Action; 6] = [
        Action::Delete,
        Action::Create,
        Action::Write,
        Action::Append,
        Action::Execute,
        Action::Read,
    ];
    let actions = record.action?;
    ORDER
        .into_iter()
        .find(|action| actions.allows(*action))
        .or_else(|| actions.iter().next())
}

/// A JSON object from members of which some are absent.
pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    let members = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

pub(crate) fn text(value: impl ToString) -> Option<Value> {
    Some(Value::String(value.to_string()))
}

/// The ids of an event, by the names of their members.
pub(crate) fn ids(record: &Record) -> [(&'static str, Option<&str>); 5] {
    [
        ("session", record.session.as_ref().map(|id| id.as_str())),
        ("agent_id", record.agent_id.as_ref().map(|id| id.as_str())),
        (
            "capability_id",
            record.capability_id.as_ref().map(|id| id.as_str()),
        ),
        (
            "request_id",
            record.request_id.as_ref().map(|id| id.as_str()),
        ),
        ("cause", record.cause.as_ref().map(|id| id.as_str())),
    ]
}

/// The attributes of an event as JSON.
pub(crate) fn attributes(record: &Record) -> Option<Value> {
    if record.attributes.is_empty() {
        return None;
    }
    serde_json::to_value(&record.attributes).ok()
}

/// An attribute's text.
pub(crate) fn attribute(record: &Record, names: &[&str]) -> Option<String> {
    let value = names.iter().find_map(|name| record.attributes.get(*name))?;
    let value = serde_json::to_value(value).ok()?;
    Some(
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned),
    )
}

#[cfg(test)]
mod tests;
