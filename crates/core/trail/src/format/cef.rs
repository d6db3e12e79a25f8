//! Events in the ArcSight Common Event Format, one line each.

use std::fmt::Write as _;

use valetkey_audit::Record;

use super::{PRODUCT, attribute, file_path, ids, severity};
use crate::harmless::harmless;
use crate::words::{actor_name, decision_name, outcome_name};

/// An event as one line of CEF.
#[must_use]
pub fn cef(record: &Record) -> String {
    // CEF counts severity to ten.
    let severity = severity(record)
        .saturating_sub(1)
        .saturating_mul(2)
        .saturating_add(1);
    let mut line = format!(
        "CEF:0|{PRODUCT}|{PRODUCT}|{}|{}|{}|{severity}|",
        env!("CARGO_PKG_VERSION"),
        header(record.kind.name()),
        header(record.kind.description()),
    );
    let mut first = true;
    let mut put = |name: &str, value: &str| {
        let space = if std::mem::take(&mut first) { "" } else { " " };
        // Writing to a string does not fail.
        let _written = write!(line, "{space}{name}={}", extension(value));
    };
    for (name, value) in fields(record) {
        if let Some(value) = value {
            put(name, &value);
        }
    }
    for (name, label, value) in labelled(record) {
        if let Some(value) = value {
            put(name, &value);
            put(&format!("{name}Label"), label);
        }
    }
    line
}

type Field = Option<String>;

/// What CEF has a name for.
fn fields(record: &Record) -> [(&'static str, Field); 13] {
    let user = record.user.as_ref();
    [
        ("rt", Some(record.timestamp.unix_ms().to_string())),
        ("externalId", Some(record.event_id.as_str().to_owned())),
        ("suser", user.map(|user| user.name.clone())),
        (
            "suid",
            user.and_then(|user| user.uid).map(|uid| uid.to_string()),
        ),
        ("filePath", record.resource.as_ref().and_then(file_path)),
        (
            "fileHash",
            record.evidence.file_hash.map(|digest| digest.to_string()),
        ),
        ("act", record.action.map(|actions| actions.to_string())),
        (
            "outcome",
            record
                .outcome
                .map(|outcome| outcome_name(outcome).to_owned()),
        ),
        ("reason", attribute(record, &["reason", "why"])),
        ("request", record.resource.as_ref().map(ToString::to_string)),
        ("msg", record.justification.clone()),
        ("cn1", Some(record.seq.to_string())),
        ("cn1Label", Some("seq".to_owned())),
    ]
}

/// What it has numbered places for.
fn labelled(record: &Record) -> [(&'static str, &'static str, Field); 8] {
    let [session, agent, capability, request, cause] =
        ids(record).map(|(_, id)| id.map(str::to_owned));
    let decision = record
        .decision
        .map(|decision| decision_name(decision).to_owned());
    [
        ("cs1", "session", session),
        ("cs2", "agent", agent),
        ("cs3", "capability", capability),
        ("cs4", "request", request),
        ("cs5", "decision", decision),
        ("cs6", "policy", record.policy_id.clone()),
        (
            "flexString1",
            "actor",
            Some(actor_name(record.actor).to_owned()),
        ),
        ("flexString2", "cause", cause),
    ]
}

/// A field of the header: the bar and the backslash are escaped.
fn header(text: &str) -> String {
    harmless(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// A value of the extension: the equals sign and the backslash are escaped. Line breaks are, as all that a terminal acts on, written as in JSON.
fn extension(text: &str) -> String {
    harmless(text).replace('\\', "\\\\").replace('=', "\\=")
}
