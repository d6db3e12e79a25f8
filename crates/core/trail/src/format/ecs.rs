//! Events in the Elastic Common Schema.

use serde_json::{Value, json};
use valetkey_audit::{AuditDecision, EventType, Outcome, Record};

use super::{
    PRODUCT, attribute, attributes, file_path, foremost, ids, is_held_back, object, severity, text,
};
use crate::words::{actor_name, decision_name};

/// The version of the schema.
const VERSION: &str = "8.17.0";

/// An event as one ECS document.
#[must_use]
pub fn ecs(record: &Record) -> Value {
    let observer = json!({"vendor": PRODUCT, "product": PRODUCT, "type": "access-broker"});
    let user = record.user.as_ref().map(|user| {
        object([
            ("id", user.uid.map(|uid| json!(uid.to_string()))),
            ("name", text(&user.name)),
        ])
    });
    let process = record
        .evidence
        .process_hash
        .map(|digest| json!({"hash": {"sha256": hex(&digest.to_string())}}));
    object([
        ("@timestamp", text(record.timestamp)),
        ("ecs", Some(json!({"version": VERSION}))),
        ("message", text(message(record))),
        ("event", Some(event(record))),
        ("observer", Some(observer)),
        ("user", user),
        (
            "file",
            record
                .resource
                .as_ref()
                .and_then(file_path)
                .map(|path| file(record, &path)),
        ),
        ("process", process),
        ("rule", rule(record)),
        ("valetkey", Some(own(record))),
    ])
}

fn file(record: &Record, path: &str) -> Value {
    let name = path.rsplit('/').next().unwrap_or_default();
    let hash = record
        .evidence
        .file_hash
        .map(|digest| json!({"sha256": hex(&digest.to_string())}));
    object([("path", text(path)), ("name", text(name)), ("hash", hash)])
}

/// What the schema has no place for.
fn own(record: &Record) -> Value {
    let ids = ids(record).map(|(name, id)| (name, id.and_then(text)));
    let others = [
        ("seq", Some(json!(record.seq))),
        ("actor", text(actor_name(record.actor))),
        (
            "decision",
            record.decision.map(decision_name).and_then(text),
        ),
        ("resource", record.resource.as_ref().and_then(text)),
        (
            "justification",
            record.justification.as_ref().and_then(text),
        ),
        ("attributes", attributes(record)),
    ];
    object(others.into_iter().chain(ids))
}

fn message(record: &Record) -> String {
    let mut message = record.kind.name().to_owned();
    for part in [
        record
            .decision
            .map(|decision| decision_name(decision).to_owned()),
        record.action.map(|actions| actions.to_string()),
        record.resource.as_ref().map(ToString::to_string),
        attribute(record, &["reason", "operation", "how", "why"]),
    ]
    .into_iter()
    .flatten()
    {
        message.push(' ');
        message.push_str(&part);
    }
    message
}

fn event(record: &Record) -> Value {
    let outcome = match record.outcome {
        Some(Outcome::Succeeded) => "success",
        Some(Outcome::Failed | Outcome::Blocked | Outcome::Interrupted) => "failure",
        Some(Outcome::Unknown) => "unknown",
        None if is_held_back(record) => "failure",
        None => "success",
    };
    let alert = matches!(record.kind, EventType::AlertRaised | EventType::LogGap);
    let kind = if alert { "alert" } else { "event" };
    object([
        ("id", text(record.event_id.as_str())),
        ("kind", text(kind)),
        ("category", Some(json!([category(record)]))),
        ("type", Some(json!(types(record)))),
        ("action", text(record.kind.name())),
        ("outcome", text(outcome)),
        ("severity", Some(json!(severity(record)))),
        ("sequence", Some(json!(record.seq))),
        ("module", text("valetkey")),
        ("dataset", text("valetkey.audit")),
        (
            "reason",
            attribute(record, &["reason", "why"]).and_then(text),
        ),
        // ECS counts nanoseconds.
        (
            "duration",
            record.duration_us.map(|us| json!(us.saturating_mul(1000))),
        ),
    ])
}

fn category(record: &Record) -> &'static str {
    match record.kind.family() {
        "session" => "session",
        "operation" if record.resource.as_ref().and_then(file_path).is_some() => "file",
        "operation" => "process",
        "policy" | "registry" | "log" => "configuration",
        "alert" => "intrusion_detection",
        _ => "iam",
    }
}

fn types(record: &Record) -> Vec<&'static str> {
    use valetkey_model::Action;
    let mut types = vec![match (record.kind, foremost(record)) {
        (EventType::SessionOpened | EventType::LogOpened, _) => "start",
        (EventType::SessionClosed | EventType::LogClosed, _) => "end",
        (EventType::OperationPerformed, Some(Action::Create)) => "creation",
        (EventType::OperationPerformed, Some(Action::Delete)) => "deletion",
        (EventType::OperationPerformed, Some(Action::Write | Action::Append)) => "change",
        (EventType::OperationPerformed, Some(Action::Read | Action::List)) => "access",
        _ => "info",
    }];
    match record.decision {
        Some(AuditDecision::Allowed | AuditDecision::Approved) => types.push("allowed"),
        Some(AuditDecision::Denied | AuditDecision::Refused | AuditDecision::Expired) => {
            types.push("denied");
        }
        Some(AuditDecision::Observed) | None => {}
    }
    types
}

fn rule(record: &Record) -> Option<Value> {
    let id = record.policy_id.as_ref()?;
    Some(object([
        ("id", text(id)),
        ("ruleset", text("valetkey")),
        ("uuid", record.policy_digest.and_then(text)),
    ]))
}

/// A digest's hexadecimal part.
fn hex(digest: &str) -> String {
    digest.rsplit(':').next().unwrap_or_default().to_owned()
}
