//! Events as rows of CSV (RFC 4180). The last column is the event itself, so that an export can be proved.

use valetkey_audit::Record;

use super::attribute;
use crate::harmless::{harmless, harmless_json};
use crate::words::{actor_name, decision_name, outcome_name};

/// The first row.
pub const CSV_HEADER: &str = "seq,timestamp,type,actor,user,uid,agent,session,request,capability,decision,outcome,actions,resource,policy,reason,justification,event";

/// An event as a row, without the line break. `bytes` is its canonical JSON.
#[must_use]
pub fn csv_row(record: &Record, bytes: &str) -> String {
    let id = |id: Option<&str>| id.unwrap_or_default().to_owned();
    let user = record.user.as_ref();
    let cells = [
        record.seq.to_string(),
        record.timestamp.to_string(),
        record.kind.name().to_owned(),
        actor_name(record.actor).to_owned(),
        user.map_or(String::new(), |user| user.name.clone()),
        user.and_then(|user| user.uid)
            .map_or(String::new(), |uid| uid.to_string()),
        id(record.agent_id.as_ref().map(|agent| agent.as_str())),
        id(record.session.as_ref().map(|session| session.as_str())),
        id(record.request_id.as_ref().map(|request| request.as_str())),
        id(record
            .capability_id
            .as_ref()
            .map(|capability| capability.as_str())),
        record.decision.map_or("", decision_name).to_owned(),
        record.outcome.map_or("", outcome_name).to_owned(),
        record
            .action
            .map_or(String::new(), |actions| actions.to_string()),
        record
            .resource
            .as_ref()
            .map_or(String::new(), ToString::to_string),
        record.policy_id.clone().unwrap_or_default(),
        attribute(record, &["reason", "operation", "how", "why"]).unwrap_or_default(),
        record.justification.clone().unwrap_or_default(),
    ];
    let mut row = String::new();
    for text in cells {
        cell(&mut row, &harmless(&text));
        row.push(',');
    }
    cell(&mut row, &harmless_json(bytes));
    row
}

/// A cell. What a spreadsheet would run as a formula gets a quote before it.
fn cell(row: &mut String, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if formula || text.contains([',', '"']) {
        row.push('"');
        row.push_str(&text.replace('"', "\"\""));
        row.push('"');
    } else {
        row.push_str(&text);
    }
}
