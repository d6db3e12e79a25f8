//! Events in the Open Cybersecurity Schema Framework, version 1.8.

use serde_json::{Value, json};
use valetkey_audit::{EventType, Outcome, Record};
use valetkey_model::Action;

use super::{
    PRODUCT, attribute, attributes, file_path, foremost, is_held_back, object, severity, text,
};
use crate::words::{actor_name, decision_name};

/// The version of the schema.
const VERSION: &str = "1.8.0";

/// The classes that events are mapped to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    FileActivity,
    ApiActivity,
    AuthorizeSession,
    EntityManagement,
    DetectionFinding,
}

impl Class {
    fn of(record: &Record) -> Self {
        use EventType::{AlertRaised, LogGap, LogRecovered};
        if matches!(record.kind, AlertRaised | LogGap | LogRecovered) {
            return Self::DetectionFinding;
        }
        match record.kind.family() {
            "operation" if record.resource.as_ref().and_then(file_path).is_some() => {
                Self::FileActivity
            }
            "capability" | "session" | "breakglass" => Self::AuthorizeSession,
            "policy" | "registry" | "log" => Self::EntityManagement,
            _ => Self::ApiActivity,
        }
    }

    fn uid(self) -> u32 {
        match self {
            Self::FileActivity => 1001,
            Self::ApiActivity => 6003,
            Self::AuthorizeSession => 3003,
            Self::EntityManagement => 3004,
            Self::DetectionFinding => 2004,
        }
    }

    fn category(self) -> u32 {
        self.uid() / 1000
    }

    /// The class's number for what was done.
    fn activity(self, record: &Record) -> u32 {
        const OTHER: u32 = 99;
        let action = foremost(record);
        match self {
            Self::FileActivity => match action {
                Some(Action::Create) => 1,
                Some(Action::Read | Action::List) => 2,
                Some(Action::Write | Action::Append) => 3,
                Some(Action::Delete) => 4,
                Some(Action::Metadata) => 8,
                _ => OTHER,
            },
            Self::ApiActivity => match action {
                Some(Action::Create) => 1,
                Some(Action::Read | Action::List | Action::Metadata) => 2,
                Some(Action::Write | Action::Append) => 3,
                Some(Action::Delete) => 4,
                _ => OTHER,
            },
            Self::AuthorizeSession if gives(record.kind) => 1,
            Self::AuthorizeSession => OTHER,
            Self::EntityManagement => match record.kind.name() {
                "policy.loaded" | "registry.approver_added" | "registry.auditor_added" => 1,
                "registry.key_rotated" => 3,
                "registry.approver_removed"
                | "registry.auditor_removed"
                | "log.erased"
                | "log.pruned" => 4,
                _ => OTHER,
            },
            Self::DetectionFinding => 1,
        }
    }
}

/// Whether an event of this type gives somebody something.
fn gives(kind: EventType) -> bool {
    use EventType::{BreakglassOpened, CapabilityMinted, CapabilityNarrowed, SessionOpened};
    matches!(
        kind,
        CapabilityMinted | CapabilityNarrowed | SessionOpened | BreakglassOpened
    )
}

/// An event as one OCSF event.
#[must_use]
pub fn ocsf(record: &Record) -> Value {
    let class = Class::of(record);
    let activity = class.activity(record);
    let status = match record.outcome {
        _ if is_held_back(record) => 2,
        Some(Outcome::Interrupted) => 2,
        Some(Outcome::Unknown) => 0,
        _ => 1,
    };
    let mut event = object([
        ("class_uid", Some(json!(class.uid()))),
        ("category_uid", Some(json!(class.category()))),
        ("activity_id", Some(json!(activity))),
        (
            "activity_name",
            (activity == 99).then(|| json!(record.kind.name())),
        ),
        (
            "type_uid",
            Some(json!(
                class.uid().saturating_mul(100).saturating_add(activity)
            )),
        ),
        ("time", Some(json!(record.timestamp.unix_ms()))),
        ("duration", record.duration_us.map(|us| json!(us / 1000))),
        ("severity_id", Some(json!(severity(record)))),
        ("status_id", Some(json!(status))),
        (
            "status_detail",
            attribute(record, &["reason", "why", "how"]).and_then(text),
        ),
        ("message", text(record.kind.name())),
        ("metadata", Some(metadata(record))),
        ("unmapped", Some(unmapped(record))),
    ]);
    if let Some(members) = event.as_object_mut() {
        for (name, value) in own_members(class, record) {
            members.insert(name.to_owned(), value);
        }
    }
    event
}

fn metadata(record: &Record) -> Value {
    object([
        ("version", text(VERSION)),
        (
            "product",
            Some(
                json!({"name": PRODUCT, "vendor_name": PRODUCT, "version": env!("CARGO_PKG_VERSION")}),
            ),
        ),
        ("uid", text(record.event_id.as_str())),
        ("sequence", Some(json!(record.seq))),
        ("event_code", text(record.kind.name())),
        (
            "correlation_uid",
            record.request_id.as_ref().and_then(|id| text(id.as_str())),
        ),
    ])
}

/// What the schema has no place for.
fn unmapped(record: &Record) -> Value {
    object([
        (
            "decision",
            record.decision.map(decision_name).and_then(text),
        ),
        ("resource", record.resource.as_ref().and_then(text)),
        ("action", record.action.and_then(text)),
        (
            "capability_id",
            record
                .capability_id
                .as_ref()
                .and_then(|id| text(id.as_str())),
        ),
        (
            "cause",
            record.cause.as_ref().and_then(|id| text(id.as_str())),
        ),
        ("policy_id", record.policy_id.as_ref().and_then(text)),
        ("policy_digest", record.policy_digest.and_then(text)),
        (
            "justification",
            record.justification.as_ref().and_then(text),
        ),
        ("attributes", attributes(record)),
    ])
}

/// The members that the class itself has.
fn own_members(class: Class, record: &Record) -> Vec<(&'static str, Value)> {
    let here = json!({"hostname": "localhost", "type_id": 0});
    match class {
        Class::FileActivity => vec![
            ("actor", actor(record)),
            ("device", here),
            ("file", file(record)),
        ],
        Class::ApiActivity => vec![
            ("actor", actor(record)),
            ("api", json!({"operation": record.kind.name()})),
            ("src_endpoint", here),
        ],
        Class::AuthorizeSession => {
            let privileges = record
                .action
                .map(|actions| actions.iter().map(|action| action.name()).collect());
            let privileges: Vec<&str> = privileges.unwrap_or_default();
            vec![
                ("actor", actor(record)),
                ("user", user(record)),
                ("privileges", json!(privileges)),
            ]
        }
        Class::EntityManagement => {
            let name = attribute(record, &["name", "approver", "kid", "bundle"])
                .or_else(|| record.policy_id.clone())
                .unwrap_or_else(|| "audit log".to_owned());
            vec![
                ("actor", actor(record)),
                (
                    "entity",
                    json!({"name": name, "type": record.kind.family()}),
                ),
            ]
        }
        Class::DetectionFinding => {
            let title =
                attribute(record, &["reason"]).unwrap_or_else(|| record.kind.name().to_owned());
            vec![(
                "finding_info",
                json!({"uid": record.event_id.as_str(), "title": title, "analytic": {"name": record.kind.name(), "type_id": 1}}),
            )]
        }
    }
}

fn user(record: &Record) -> Value {
    record.user.as_ref().map_or_else(
        || json!({"name": "unknown"}),
        |user| {
            object([
                ("name", text(&user.name)),
                ("uid", user.uid.map(|uid| json!(uid.to_string()))),
            ])
        },
    )
}

fn actor(record: &Record) -> Value {
    object([
        ("app_name", text(actor_name(record.actor))),
        (
            "app_uid",
            record
                .agent_id
                .as_ref()
                .and_then(|agent| text(agent.as_str())),
        ),
        ("user", record.user.as_ref().map(|_| user(record))),
        (
            "session",
            record
                .session
                .as_ref()
                .map(|session| json!({"uid": session.as_str()})),
        ),
    ])
}

fn file(record: &Record) -> Value {
    let path = record
        .resource
        .as_ref()
        .and_then(file_path)
        .unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let hashes = record.evidence.file_hash.map(|digest| {
        let text = digest.to_string();
        json!([{"algorithm_id": 3, "value": text.rsplit(':').next().unwrap_or_default()}])
    });
    object([
        ("name", text(name)),
        ("path", text(path)),
        ("type_id", Some(json!(0))),
        ("hashes", hashes),
    ])
}
