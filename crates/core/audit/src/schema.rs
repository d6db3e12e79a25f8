//! The JSON Schema of an event, made from the types; not part of the programs.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::event::{
    ATTRIBUTES_MAX, JUSTIFICATION_MAX_BYTES, MAX_SAFE_INTEGER, NAME_MAX_BYTES, Record,
};
use crate::kind::EventType;

/// Stands for the closed list of types, each with its meaning.
pub(crate) struct EventTypeName;

impl JsonSchema for EventTypeName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let types: Vec<_> = EventType::ALL
            .iter()
            .map(|kind| json!({"const": kind.name(), "description": kind.description()}))
            .collect();
        json_schema!({"description": "What happened.", "oneOf": types})
    }
}

/// The form of members that are text.
const PATTERNS: [(&str, &str); 8] = [
    ("agent_id", "^[A-Za-z0-9._@+-]{1,128}$"),
    ("capability_id", "^cap-[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
    ("cause", "^evt-[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
    ("event_id", "^evt-[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
    ("policy_digest", "^sha256:[0-9a-f]{64}$"),
    ("request_id", "^req-[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
    ("session", "^ses-[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
    (
        "timestamp",
        r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
    ),
];

/// The JSON Schema (2020-12) of an event as it stands in the log.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Record).to_value();
    let Some(members) = schema.pointer("/properties").and_then(Value::as_object) else {
        return schema;
    };
    // Every member is always there, null where it does not apply.
    let all: Vec<Value> = members.keys().cloned().map(Value::String).collect();
    for (member, pattern) in PATTERNS {
        set(
            &mut schema,
            &format!("/properties/{member}"),
            "pattern",
            json!(pattern),
        );
    }
    let limits = [
        ("/properties/seq", "maximum", json!(MAX_SAFE_INTEGER)),
        (
            "/properties/duration_us",
            "maximum",
            json!(MAX_SAFE_INTEGER),
        ),
        (
            "/properties/justification",
            "maxLength",
            json!(JUSTIFICATION_MAX_BYTES),
        ),
        ("/properties/policy_id", "maxLength", json!(NAME_MAX_BYTES)),
        (
            "/properties/attributes",
            "maxProperties",
            json!(ATTRIBUTES_MAX),
        ),
        (
            "/properties/attributes",
            "propertyNames",
            json!({"pattern": "^[a-z][a-z0-9_]{0,39}$"}),
        ),
    ];
    for (place, name, value) in limits {
        set(&mut schema, place, name, value);
    }
    set(&mut schema, "", "required", Value::Array(all));
    let evidence = schema
        .pointer("/$defs/Evidence/properties")
        .and_then(Value::as_object);
    let parts: Vec<Value> = evidence
        .map(|members| members.keys().cloned().map(Value::String).collect())
        .unwrap_or_default();
    set(
        &mut schema,
        "/$defs/Evidence",
        "required",
        Value::Array(parts),
    );
    set(
        &mut schema,
        "",
        "title",
        json!("Event of the Valetkey audit log"),
    );
    schema
}

fn set(schema: &mut Value, place: &str, name: &str, value: Value) {
    if let Some(members) = schema.pointer_mut(place).and_then(Value::as_object_mut) {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_that_is_checked_in_is_this_one() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../schemas/audit-event.json"
        );
        let kept = std::fs::read_to_string(file).unwrap();
        let made = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        assert_eq!(
            kept, made,
            "run `cargo run -p valetkey-audit --features schema --example print_schema > schemas/audit-event.json`"
        );
    }
}
