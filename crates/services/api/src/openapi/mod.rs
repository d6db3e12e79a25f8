//! OpenAPI 3.1 descriptions of the doors, made from the message types; not part of the programs.
//!
//! Each door has one table of operations. Its paths are those of the door's own table of routes, which the doors' tests hold it to.

mod agent;
mod guard;
mod operator;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::ProblemKind;

/// Makes the schema of a message.
type Maker = fn(&mut SchemaGenerator) -> Schema;

/// The media type of most answers.
const JSON: &str = "application/json";
/// The media type of a JWK set (RFC 7517).
const JWK_SET: &str = "application/jwk-set+json";
/// The media type of a refusal (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// What any call may be answered with: the peer is nobody for this door, asks for too much at once, or the log takes nothing.
const ALWAYS: [ProblemKind; 4] = [
    ProblemKind::Invalid,
    ProblemKind::Denied,
    ProblemKind::Busy,
    ProblemKind::Unavailable,
];

/// One operation of a door.
struct Operation {
    /// A name for it, once in a document.
    id: &'static str,
    method: &'static str,
    /// The path, each argument by its name in braces.
    path: &'static str,
    /// Where it is answered, of doors that come in two places; otherwise the door.
    tags: &'static [&'static str],
    /// What it is for, in a sentence.
    summary: &'static str,
    /// Numbers in the query: name, and what it means.
    query: &'static [(&'static str, &'static str)],
    request: Option<Maker>,
    /// One, or for two tags one for each, in their order.
    answers: &'static [Maker],
    media: &'static str,
    /// Kinds of refusal beside [`ALWAYS`].
    problems: &'static [ProblemKind],
}

impl Operation {
    /// What is asked, and nothing more is said.
    const fn get(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            method: "GET",
            path,
            tags: &[],
            summary,
            query: &[],
            request: None,
            answers: &[],
            media: JSON,
            problems: &[],
        }
    }

    /// What is asked with a message.
    const fn post(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            method: "POST",
            ..Self::get(id, path, summary)
        }
    }
}

/// A door, as its document describes it.
struct Door {
    title: &'static str,
    description: &'static str,
    tags: &'static [(&'static str, &'static str)],
    operations: &'static [Operation],
}

/// The documents by name: `agent`, `guard`, `operator`.
#[must_use]
pub fn openapi(door: &str) -> Option<Value> {
    match door {
        "agent" => Some(document(&agent::DOOR)),
        "guard" => Some(document(&guard::DOOR)),
        "operator" => Some(document(&operator::DOOR)),
        _ => None,
    }
}

fn document(door: &Door) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<crate::Problem>().to_value();
    let mut paths = Map::new();
    for operation in door.operations {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(methods) = path.as_object_mut() {
            let described = described(operation, door, &problem, &mut generator);
            methods.insert(operation.method.to_lowercase(), described);
        }
    }
    let tags: Vec<Value> = door
        .tags
        .iter()
        .map(|(name, description)| json!({"name": name, "description": description}))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": door.title,
            "description": door.description,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        // A Unix socket has no address that a URL could name; a client sends any host.
        "servers": [{"url": "http://localhost", "description": "HTTP/1.1 over a Unix socket"}],
        "tags": tags,
        "paths": paths,
        "components": {"schemas": generator.take_definitions(true)},
    })
}

fn described(
    operation: &Operation,
    door: &Door,
    problem: &Value,
    generator: &mut SchemaGenerator,
) -> Value {
    let tags: Vec<&str> = match operation.tags {
        [] => door.tags.iter().map(|(name, _)| *name).collect(),
        own => own.to_vec(),
    };
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answered(operation, generator));
    let named = names(operation.path).next().is_some();
    let missing = named.then_some(ProblemKind::NotFound);
    let kinds = ALWAYS.iter().chain(operation.problems).chain(&missing);
    for kind in kinds {
        let words = kind.title();
        let entry = responses.entry(kind.status().to_string()).or_insert_with(
            || json!({"description": words, "content": {PROBLEM: {"schema": problem}}}),
        );
        let told = entry.get("description").and_then(Value::as_str);
        let told = told.unwrap_or_default().to_owned();
        if !told.split("; ").any(|part| part == words) {
            put(entry, "description", json!(format!("{told}; {words}")));
        }
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": tags,
        "responses": responses,
    });
    let parameters = parameters(operation, generator);
    if !parameters.is_empty() {
        put(&mut described, "parameters", json!(parameters));
    }
    if let Some(make) = operation.request {
        let schema = make(generator).to_value();
        let body = json!({"required": true, "content": {JSON: {"schema": schema}}});
        put(&mut described, "requestBody", body);
    }
    described
}

fn answered(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let made: Vec<Value> = operation
        .answers
        .iter()
        .map(|make| make(generator).to_value())
        .collect();
    let schema = match made.as_slice() {
        [] => json!({"type": "null"}),
        [one] => one.clone(),
        several => json!({"anyOf": several}),
    };
    json!({"description": "done", "content": {operation.media: {"schema": schema}}})
}

/// Adds a member to an object.
fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// The names in a path's braces.
fn names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut all = Vec::new();
    for name in names(operation.path) {
        let schema = match name {
            "session" => generator.subschema_for::<valetkey_model::SessionId>(),
            "capability_id" => generator.subschema_for::<valetkey_model::CapabilityId>(),
            _ => generator.subschema_for::<valetkey_model::RequestId>(),
        };
        all.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    for (name, description) in operation.query {
        let schema =
            json!({"type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX});
        all.push(
            json!({"name": name, "in": "query", "description": description, "schema": schema}),
        );
    }
    all
}

/// The schema of a message, by its name.
fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

#[cfg(test)]
mod tests;
