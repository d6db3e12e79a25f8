//! Facts with parts: what a decision was made on, as far as it is neither text for people nor content.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::event::MAX_SAFE_INTEGER;
use crate::text::is_safe;

/// Most bytes of a text in a fact: the longest resource that is worth naming.
const FACT_TEXT_MAX_BYTES: usize = 4096;
/// Most bytes of all facts of one attribute together, so that an event with them stays far below its limit.
const FACTS_MAX_BYTES: usize = 16 * 1024;
/// How deep facts are nested at most.
const FACTS_MAX_DEPTH: usize = 8;
/// Most bytes of a member's name.
const FACT_NAME_MAX_BYTES: usize = 64;

/// A fact, or several by their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Fact {
    /// Nothing, where something could be.
    Nothing(()),
    /// A yes or no.
    Flag(bool),
    /// A count or a size, or what counts below nothing.
    Count(u64),
    /// A name, a resource, a time.
    Text(String),
    /// Several in a row.
    List(Vec<Fact>),
    /// Several by their names.
    Members(BTreeMap<String, Fact>),
}

impl Fact {
    /// The fact that a JSON value is, if it is one within all limits: no text that could trick a reader, no number that readers disagree on.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let fact = Self::at_depth(value, 0)?;
        let fits = serde_json::to_vec(&fact).is_ok_and(|bytes| bytes.len() <= FACTS_MAX_BYTES);
        fits.then_some(fact)
    }

    fn at_depth(value: &Value, depth: usize) -> Option<Self> {
        if depth > FACTS_MAX_DEPTH {
            return None;
        }
        let below = depth.saturating_add(1);
        Some(match value {
            Value::Null => Self::Nothing(()),
            Value::Bool(flag) => Self::Flag(*flag),
            Value::Number(number) => {
                Self::Count(number.as_u64().filter(|count| *count <= MAX_SAFE_INTEGER)?)
            }
            Value::String(text) => {
                if !is_safe(text, FACT_TEXT_MAX_BYTES) {
                    return None;
                }
                Self::Text(text.clone())
            }
            Value::Array(items) => {
                let items = items.iter().map(|item| Self::at_depth(item, below));
                Self::List(items.collect::<Option<_>>()?)
            }
            Value::Object(members) => {
                let members = members.iter().map(|(name, member)| {
                    is_name(name).then_some(())?;
                    Some((name.clone(), Self::at_depth(member, below)?))
                });
                Self::Members(members.collect::<Option<_>>()?)
            }
        })
    }

    /// The same as a JSON value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Nothing(()) => Value::Null,
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Count(count) => Value::from(*count),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Members(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, member)| (name.clone(), member.to_value()))
                    .collect(),
            ),
        }
    }
}

/// Names of ASCII alone sort alike by bytes and, as RFC 8785 wants it, by UTF-16.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= FACT_NAME_MAX_BYTES
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$'))
}

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::of(&value).ok_or_else(|| D::Error::custom("facts are not within their limits"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_read_as_they_are_written() {
        let value = json!({"b": [1, null, {"x": "file:/a"}], "a": true});
        let fact = Fact::of(&value).expect("facts");
        assert_eq!(fact.to_value(), value);
        let text = serde_json::to_string(&fact).expect("text");
        assert_eq!(text, r#"{"a":true,"b":[1,null,{"x":"file:/a"}]}"#);
        let read: Fact = serde_json::from_str(&text).expect("facts");
        assert_eq!(read, fact);
    }

    #[test]
    fn what_is_outside_the_limits_is_no_fact() {
        let mut deep = json!(1);
        for _ in 0..10 {
            deep = json!([deep]);
        }
        for value in [
            json!(-1),
            json!(1.5),
            json!(1_u64 << 60),
            json!("a\u{1b}[31m"),
            json!({"": 1}),
            json!({"ü": 1}),
            json!("x".repeat(5000)),
            json!(vec!["x".repeat(4000); 5]),
            deep,
        ] {
            assert_eq!(Fact::of(&value), None);
            let read: Result<Fact, _> = serde_json::from_str(&value.to_string());
            assert!(read.is_err());
        }
    }
}
