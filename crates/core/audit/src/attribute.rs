//! Attributes: the small typed facts that belong to one type of event.

mod fact;

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::event::MAX_SAFE_INTEGER;
use crate::text::{is_safe, safe};

pub use fact::Fact;

/// Most bytes of an attribute's text: enough for a reason, too little for a file.
pub const ATTRIBUTE_TEXT_MAX_BYTES: usize = 512;

/// Most bytes of an attribute's name.
const ATTRIBUTE_NAME_MAX_BYTES: usize = 40;

/// The name of an attribute: a lower-case letter, then lower-case letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct AttributeName(String);

/// The text is not an attribute's name.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "an attribute's name is a lower-case letter, then up to 39 lower-case letters, digits or `_`"
)]
pub struct AttributeNameError;

impl AttributeName {
    pub(crate) fn fixed(name: &'static str) -> Self {
        debug_assert!(is_name(name), "`{name}` is not an attribute's name");
        Self(if is_name(name) { name } else { "unnamed" }.to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for AttributeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AttributeName {
    type Error = AttributeNameError;

    fn try_from(text: String) -> Result<Self, AttributeNameError> {
        if is_name(&text) {
            Ok(Self(text))
        } else {
            Err(AttributeNameError)
        }
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= ATTRIBUTE_NAME_MAX_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Attribute {
    /// A count or a size.
    Count(u64),
    /// A yes or no.
    Flag(bool),
    /// A name or a short reason.
    Text(String),
    /// Facts with parts: what a decision was made on.
    Facts(BTreeMap<String, Fact>),
}

impl Attribute {
    /// The attribute of a JSON object, if all of it are facts within their limits.
    #[must_use]
    pub fn facts(value: &serde_json::Value) -> Option<Self> {
        match Fact::of(value)? {
            Fact::Members(members) => Some(Self::Facts(members)),
            Fact::Nothing(()) | Fact::Flag(_) | Fact::Count(_) | Fact::Text(_) | Fact::List(_) => {
                None
            }
        }
    }
}

impl From<u64> for Attribute {
    fn from(count: u64) -> Self {
        Self::Count(count.min(MAX_SAFE_INTEGER))
    }
}

impl From<u32> for Attribute {
    fn from(count: u32) -> Self {
        Self::Count(u64::from(count))
    }
}

impl From<bool> for Attribute {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(safe(text, ATTRIBUTE_TEXT_MAX_BYTES))
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Count(u64),
            Flag(bool),
            Text(String),
            Facts(BTreeMap<String, Fact>),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Count(count) if count <= MAX_SAFE_INTEGER => Ok(Self::Count(count)),
            Raw::Flag(flag) => Ok(Self::Flag(flag)),
            Raw::Text(text) if is_safe(&text, ATTRIBUTE_TEXT_MAX_BYTES) => Ok(Self::Text(text)),
            // The limits of each are kept already; those of all together are not.
            Raw::Facts(facts) if Fact::of(&Fact::Members(facts.clone()).to_value()).is_some() => {
                Ok(Self::Facts(facts))
            }
            Raw::Count(_) | Raw::Text(_) | Raw::Facts(_) => Err(D::Error::custom(
                "an attribute is a count up to 2^53, a yes or no, up to 512 bytes of plain text, or facts of up to 16 KiB",
            )),
        }
    }
}
