//! Events in the ArcSight Common Event Format, one line each.

use std::fmt::Write as _;

use valetkey_audit::Record;

use super::{PRODUCT, attribute, file_path, severity};
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
    let path = record.resource.as_ref().and_then(file_path);
    let id = |id: Option<&str>| id.map(str::to_owned);
    let fields = [
        ("rt", Some(record.timestamp.unix_ms().to_string())),
        ("externalId", Some(record.event_id.as_str().to_owned())),
        ("suser", record.user.as_ref().map(|user| user.name.clone())),
        (
            "suid",
            record.user.as_ref().map(|user| user.uid.to_string()),
        ),
        ("filePath", path),
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
    ];
    let labelled = [
        (
            "cs1",
            "session",
            id(record.session.as_ref().map(|session| session.as_str())),
        ),
        (
            "cs2",
            "agent",
            id(record.agent_id.as_ref().map(|agent| agent.as_str())),
        ),
        (
            "cs3",
            "capability",
            id(record
                .capability_id
                .as_ref()
                .map(|capability| capability.as_str())),
        ),
        (
            "cs4",
            "request",
            id(record.request_id.as_ref().map(|request| request.as_str())),
        ),
        (
            "cs5",
            "decision",
            record
                .decision
                .map(|decision| decision_name(decision).to_owned()),
        ),
        ("cs6", "policy", record.policy_id.clone()),
        (
            "flexString1",
            "actor",
            Some(actor_name(record.actor).to_owned()),
        ),
        (
            "flexString2",
            "cause",
            id(record.cause.as_ref().map(|cause| cause.as_str())),
        ),
    ];
    let mut first = true;
    let mut put = |name: &str, value: &str| {
        let space = if std::mem::take(&mut first) { "" } else { " " };
        // Writing to a string does not fail.
        let _written = write!(line, "{space}{name}={}", extension(value));
    };
    for (name, value) in fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    {
        put(name, &value);
    }
    for (name, label, value) in labelled {
        if let Some(value) = value {
            put(name, &value);
            put(&format!("{name}Label"), label);
        }
    }
    line
}

/// A field of the header: the bar and the backslash are escaped.
fn header(text: &str) -> String {
    harmless(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// A value of the extension: the equals sign and the backslash are escaped. Line breaks are, as all that a terminal acts on, written as in JSON.
fn extension(text: &str) -> String {
    harmless(text).replace('\\', "\\\\").replace('=', "\\=")
}
