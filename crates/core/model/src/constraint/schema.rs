//! A JSON Schema for a tool's arguments, as a bounded value that can be joined with another.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::canonical_json;

/// The longest schema in canonical JSON: with more, no token would hold it (4096 bytes in all).
const MAX_SCHEMA_BYTES: usize = 2048;
/// The deepest nesting: enough for arguments that people write schemas for, and no burden for whoever checks them.
const MAX_SCHEMA_DEPTH: usize = 16;

/// Keywords that point somewhere, or say where a schema stands or how it is read. Joined with another below an `allOf` they would
/// mean something else, so a schema has none.
const PLACE_KEYWORDS: [&str; 9] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
];

/// A JSON Schema (2020-12) that a tool's arguments must meet: an object, or `false`, which nothing meets.
///
/// Here it is a value to be carried, compared and joined; whether its keywords make sense is for the point that enforces it, which
/// refuses the call when it cannot tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct ArgumentSchema(Value);

/// Why a value is not a schema that can be carried.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// Neither an object nor `false`.
    #[error("a schema of arguments is an object, or false")]
    Form,
    /// A keyword of place, or an `allOf` of another form.
    #[error(
        "a schema of arguments has no `$ref`, `$id`, `$schema` or other keyword that points or names a place"
    )]
    Place,
    /// Too long or too deep.
    #[error(
        "a schema of arguments is at most {MAX_SCHEMA_BYTES} bytes and {MAX_SCHEMA_DEPTH} levels"
    )]
    Size,
    /// A number that is not an integer up to 2^53.
    #[error("numbers in a schema of arguments are integers up to 2^53")]
    Number,
}

impl ArgumentSchema {
    /// The schema as JSON.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// What meets both schemas: `allOf` of the parts of both, each once. Where that would be too long to carry, nothing meets it.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        if self.0 == Value::Bool(false) || other.0 == Value::Bool(false) {
            return Self(Value::Bool(false));
        }
        let mut parts = parts(&self.0);
        let own = parts.len();
        for part in self::parts(&other.0) {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        if parts.len() == own {
            return self.clone();
        }
        let joined = json!({ "allOf": parts });
        Self::try_from(joined).unwrap_or(Self(Value::Bool(false)))
    }
}

impl TryFrom<Value> for ArgumentSchema {
    type Error = SchemaError;

    fn try_from(value: Value) -> Result<Self, SchemaError> {
        if !(value.is_object() || value == Value::Bool(false)) {
            return Err(SchemaError::Form);
        }
        check(&value, MAX_SCHEMA_DEPTH)?;
        let text = canonical_json(&value).map_err(|_| SchemaError::Number)?;
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(SchemaError::Size);
        }
        Ok(Self(value))
    }
}

impl From<ArgumentSchema> for Value {
    fn from(schema: ArgumentSchema) -> Value {
        schema.0
    }
}

/// A keyword of place is refused wherever it stands: which members are keywords depends on those around them.
fn check(value: &Value, levels: usize) -> Result<(), SchemaError> {
    let below = |value: &Value| match levels.checked_sub(1) {
        Some(left) => check(value, left),
        None => Err(SchemaError::Size),
    };
    match value {
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            if PLACE_KEYWORDS.contains(&name.as_str()) {
                return Err(SchemaError::Place);
            }
            below(member)
        }),
        Value::Array(items) => items.iter().try_for_each(below),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// The schemas that all must be met: those of an `allOf` that stands alone, or the one schema.
fn parts(schema: &Value) -> Vec<Value> {
    let alone = schema
        .as_object()
        .filter(|members| members.len() == 1)
        .and_then(|members| members.get("allOf"))
        .and_then(Value::as_array)
        .filter(|items| !items.is_empty());
    match alone {
        Some(items) => items.iter().flat_map(parts).collect(),
        None => vec![schema.clone()],
    }
}
