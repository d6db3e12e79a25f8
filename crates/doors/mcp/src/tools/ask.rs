//! Asking for access, seeing what there is of it, giving it back, and work on documents.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use valetkey_client::{
    ActionSet, AppendRows, Ask, Capability, CapabilityId, Constraints, Denial, Resource, State,
};

use super::{BAD, Done, read, words};
use crate::access::{denials, door, places};
use crate::fail::Fail;
use crate::name::resolve;

/// How long a question is waited for: longer than any stays open.
const QUESTION: Duration = Duration::from_secs(3600);

pub(super) fn allowed_directories(_: Value) -> Result<Done, Fail> {
    let places: Vec<String> = places()?
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    Ok(Done::text(format!(
        "Allowed directories:\n{}",
        places.join("\n")
    )))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    path: Option<String>,
    #[serde(default)]
    tree: bool,
    resource: Option<String>,
    actions: Vec<String>,
    reason: String,
    #[serde(default)]
    limits: Constraints,
}

pub(super) fn request(arguments: Value) -> Result<Done, Fail> {
    let wanted: Request = read(arguments)?;
    let bad = |why: String| Fail::said(format!("{BAD}{why}"));
    let resource = match (&wanted.path, &wanted.resource) {
        (Some(path), None) => {
            let path = resolve(path)?;
            let named = if wanted.tree {
                Resource::tree(&path)
            } else {
                Resource::file(&path)
            };
            named.map_err(|error| bad(error.to_string()))?
        }
        (None, Some(text)) => text
            .parse()
            .map_err(|error| bad(format!("`{text}` is no resource: {error}")))?,
        _ => return Err(bad("name a `path` or a `resource`".to_owned())),
    };
    let actions: ActionSet = wanted
        .actions
        .join(",")
        .parse()
        .map_err(|error| bad(format!("`actions`: {error}")))?;
    let ask = Ask::new(resource, actions)
        .because(wanted.reason)
        .within(wanted.limits);
    match door()?.ask_and_wait(ask, QUESTION)? {
        State::Granted { capability, .. } => {
            let text = format!("Granted: {}", line(&capability));
            Ok(Done::with(text, "capability", json!(*capability)))
        }
        State::Pending {
            request_id,
            expires_at,
        } => Err(Fail::said(format!(
            "Nobody has answered {request_id}, which closes at {expires_at}. Work without it, or ask again later."
        ))),
    }
}

fn line(capability: &Capability) -> String {
    format!(
        "{} {} until {} ({})",
        capability.actions, capability.resource, capability.expires_at, capability.capability_id
    )
}

pub(super) fn list(_: Value) -> Result<Done, Fail> {
    let held = door()?.capabilities()?;
    let lines: Vec<String> = held.iter().map(line).collect();
    let text = if lines.is_empty() {
        "Nothing is granted.".to_owned()
    } else {
        lines.join("\n")
    };
    Ok(Done::with(text, "capabilities", json!(held)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    capability_id: CapabilityId,
}

pub(super) fn release(arguments: Value) -> Result<Done, Fail> {
    let wanted: Release = read(arguments)?;
    let ended = door()?.release(&wanted.capability_id)?;
    let names: Vec<String> = ended.iter().map(ToString::to_string).collect();
    let text = format!("Given back: {}", names.join(", "));
    Ok(Done::with(text, "released", json!(ended)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explain {
    path: Option<String>,
}

pub(super) fn explain(arguments: Value) -> Result<Done, Fail> {
    let wanted: Explain = read(arguments)?;
    let path = wanted.path.as_deref().map(resolve).transpose()?;
    let concerns = |denial: &Denial| {
        path.as_ref().is_none_or(|path| {
            let pattern = denial.resource.as_file();
            pattern.is_some_and(|pattern| pattern.matches(path))
        })
    };
    let refused: Vec<Denial> = denials()?.into_iter().rev().filter(concerns).collect();
    let told: Vec<String> = refused
        .iter()
        .map(|denial| {
            format!(
                "{} {} {}\n{}",
                denial.time,
                denial.actions,
                denial.resource,
                words(&denial.problem)
            )
        })
        .collect();
    let text = match (told.is_empty(), &path) {
        (false, _) => told.join("\n\n"),
        (true, None) => "Nothing was refused.".to_owned(),
        (true, Some(path)) => format!(
            "Nothing was refused of {} lately. {}",
            path.display(),
            if super::is_visible(path) {
                "It is granted, so that what you see of it is what there is."
            } else {
                "Nothing granted covers it: call `request_access` if the task needs it."
            }
        ),
    };
    Ok(Done::with(text, "denials", json!(refused)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    path: String,
    sheet: String,
    rows: Vec<Vec<Value>>,
    reason: Option<String>,
}

pub(super) fn append_rows(arguments: Value) -> Result<Done, Fail> {
    let wanted: Rows = read(arguments)?;
    let path = resolve(&wanted.path)?;
    let resource = Resource::file(&path).map_err(|error| Fail::said(format!("{BAD}{error}")))?;
    let count = wanted.rows.len();
    let rows = AppendRows {
        resource,
        sheet: wanted.sheet,
        rows: wanted.rows,
        justification: wanted.reason,
    };
    let performed = door()?.append_rows(&rows)?;
    let text = format!(
        "Appended {count} rows to {} under {}",
        wanted.path, performed.capability_id
    );
    Ok(Done::with(text, "report", performed.report))
}
