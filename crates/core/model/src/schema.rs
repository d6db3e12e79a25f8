//! JSON Schemas of the types that are text or have a form of their own; not part of the programs.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::constraint::MAX_METHOD_BYTES;
use crate::resource::MAX_TEXT_BYTES;
use crate::ticket::MAX_BYTES as MAX_TICKET_BYTES;
use crate::{
    Action, ActionSet, AgentId, ApprovalId, ArgumentSchema, CapabilityId, Decision, Digest,
    EventId, Method, PolicyInput, RequestId, Resource, SessionId, TicketPattern, Timestamp, form,
};

/// A type whose JSON is a text of one form.
macro_rules! text {
    ($($type:ty, $name:literal, $form:expr, $description:literal, $example:literal $(, $member:literal: $value:expr)*;)+) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $description,
                    "pattern": $form,
                    "examples": [$example],
                    $($member: $value,)*
                })
            }
        }
    )+};
}

text! {
    SessionId, "SessionId", form::id("ses"), "One run of an agent under one guard.", "ses-01ARYZ6S410000000000000000";
    RequestId, "RequestId", form::id("req"), "One request for one resource.", "req-01ARYZ6S410000000000000000";
    CapabilityId, "CapabilityId", form::id("cap"), "One minted capability; the token's `jti`.", "cap-01ARYZ6S410000000000000000";
    ApprovalId, "ApprovalId", form::id("apr"), "One person's signed answer to one request.", "apr-01ARYZ6S410000000000000000";
    EventId, "EventId", form::id("evt"), "One event of the audit log.", "evt-01ARYZ6S410000000000000000";
    AgentId, "AgentId", form::agent(), "The name by which policy and log know an agent.", "agent-ui-123";
    Digest, "Digest", form::digest(), "A SHA-256 digest (FIPS 180-4).", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    Timestamp, "Timestamp", form::timestamp(), "A time in UTC to the millisecond (RFC 3339).", "2026-01-17T15:12:00.000Z", "format": "date-time";
    Method, "HttpMethod", form::method(), "An HTTP method (RFC 9110, section 9) in capitals.", "GET",
        "maxLength": MAX_METHOD_BYTES, "not": json!({"enum": ["CONNECT", "TRACE"]});
    TicketPattern, "TicketPattern", form::ticket(), "The pattern of a ticket's number: a closed, anchored subset of regular expressions.",
        "^[A-Z]{2,10}-[0-9]+$", "maxLength": MAX_TICKET_BYTES;
    Resource, "Resource", form::resource(),
        "What can be asked for, in canonical text. The pattern says as much of the form as an expression can; the parser is the authority.",
        "file:/home/alice/Reports/**", "maxLength": MAX_TEXT_BYTES;
}

impl JsonSchema for Action {
    fn schema_name() -> Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = Self::ALL.map(Self::name);
        json_schema!({"type": "string", "description": "One thing that can be done to a resource.", "enum": names})
    }
}

impl JsonSchema for ActionSet {
    fn schema_name() -> Cow<'static, str> {
        "ActionSet".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let action = generator.subschema_for::<Action>();
        json_schema!({"type": "array", "description": "A set of actions.", "items": action, "uniqueItems": true})
    }
}

impl JsonSchema for ArgumentSchema {
    fn schema_name() -> Cow<'static, str> {
        "ArgumentSchema".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A JSON Schema (2020-12) that a tool's arguments must meet; `false` is met by nothing. It has no keyword that points or names a place.",
            "oneOf": [{"type": "object"}, {"const": false}]
        })
    }
}

/// The JSON Schema (2020-12) of what policy sees.
#[must_use]
pub fn policy_input_schema() -> Value {
    titled::<PolicyInput>("Input of a Valetkey policy")
}

/// The JSON Schema (2020-12) of what policy answers.
#[must_use]
pub fn policy_decision_schema() -> Value {
    titled::<Decision>("Decision of a Valetkey policy")
}

fn titled<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    if let Some(members) = schema.as_object_mut() {
        members.insert("title".to_owned(), json!(title));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_a_text_is_of_its_form() {
        let schema = policy_input_schema();
        let texts = schema["$defs"].as_object().expect("definitions").values();
        let mut seen = 0;
        for text in texts.filter(|one| one.get("pattern").is_some()) {
            let form = regex::Regex::new(text["pattern"].as_str().unwrap()).unwrap();
            assert!(
                form.is_match(text["examples"][0].as_str().unwrap()),
                "{text}"
            );
            seen += 1;
        }
        assert!(seen >= 7, "{seen}");
    }
}
