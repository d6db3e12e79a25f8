//! Identifiers as types: a prefix that says what they name and a ULID that sorts by time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Timestamp;

/// Random bytes that a ULID takes beside its 48-bit time (ULID spec, 2019).
pub const ULID_RANDOM_BYTES: usize = 10;

/// Length of a ULID in Crockford base 32.
const ULID_TEXT_LEN: usize = 26;

/// Crockford's base 32 alphabet: no I, L, O or U.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The text is not an identifier of the wanted kind.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not an id of the form `{prefix}-` and 26 base-32 characters")]
pub struct ParseIdError {
    text: String,
    prefix: &'static str,
}

fn ulid_text(time: Timestamp, random: [u8; ULID_RANDOM_BYTES]) -> String {
    let mut bits = u128::from(time.unix_ms() & 0xffff_ffff_ffff);
    for byte in random {
        bits = (bits << 8) | u128::from(byte);
    }
    let mut text = String::with_capacity(ULID_TEXT_LEN);
    for position in (0..ULID_TEXT_LEN).rev() {
        let shift = u32::try_from(position).unwrap_or(0).saturating_mul(5);
        let index = usize::try_from((bits >> shift) & 31).unwrap_or(0);
        text.push(char::from(CROCKFORD.get(index).copied().unwrap_or(b'0')));
    }
    text
}

fn is_ulid(text: &str) -> bool {
    text.len() == ULID_TEXT_LEN
        && text.bytes().all(|byte| CROCKFORD.contains(&byte))
        && text.bytes().next().is_some_and(|first| first <= b'7')
}

macro_rules! id_type {
    ($name:ident, $prefix:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new id from the time and ten random bytes, both given by the caller.
            #[must_use]
            pub fn new(time: Timestamp, random: [u8; ULID_RANDOM_BYTES]) -> Self {
                Self(format!(concat!($prefix, "-{}"), ulid_text(time, random)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                match text.strip_prefix(concat!($prefix, "-")) {
                    Some(rest) if is_ulid(rest) => Ok(Self(text.to_owned())),
                    _ => Err(ParseIdError {
                        text: text.chars().take(64).collect(),
                        prefix: $prefix,
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id_type!(SessionId, "ses", "One run of an agent under one guard.");
id_type!(RequestId, "req", "One request for one resource.");
id_type!(
    CapabilityId,
    "cap",
    "One minted capability; the token's `jti`."
);
id_type!(
    ApprovalId,
    "apr",
    "One person's signed answer to one request."
);
id_type!(EventId, "evt", "One event of the audit log.");

/// The longest agent id, in bytes: it is shown in prompts and logged with every event.
const AGENT_ID_MAX_BYTES: usize = 128;

/// The name by which policy and log know an agent: a program's name, or its id in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentId(String);

impl AgentId {
    /// Takes any text and keeps what is safe to show: ASCII letters, digits, `.`, `_`, `-`, `+` and `@`.
    #[must_use]
    pub fn sanitised(text: &str) -> Self {
        let kept: String = text
            .chars()
            .map(|c| if is_agent_char(c) { c } else { '_' })
            .take(AGENT_ID_MAX_BYTES)
            .collect();
        Self(if kept.is_empty() {
            "unnamed".to_owned()
        } else {
            kept
        })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_agent_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@')
}

impl TryFrom<String> for AgentId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        if !text.is_empty() && text.len() <= AGENT_ID_MAX_BYTES && text.chars().all(is_agent_char) {
            Ok(Self(text))
        } else {
            Err(ParseIdError {
                text: text.chars().take(64).collect(),
                prefix: "agent",
            })
        }
    }
}

impl From<AgentId> for String {
    fn from(id: AgentId) -> String {
        id.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_round_trip() {
        let early = SessionId::new(Timestamp::from_unix_ms(1), [255; 10]);
        let late = SessionId::new(Timestamp::from_unix_ms(2), [0; 10]);
        assert!(early < late);
        assert_eq!(early.as_str().parse::<SessionId>(), Ok(early.clone()));
        assert_eq!(early.as_str().len(), 4 + ULID_TEXT_LEN);
    }

    #[test]
    fn a_ulid_has_the_text_of_the_specification() {
        // The specification's own example time, 1469918176385, begins with 01ARYZ6S41.
        let id = EventId::new(Timestamp::from_unix_ms(1_469_918_176_385), [0; 10]);
        assert_eq!(id.as_str(), "evt-01ARYZ6S410000000000000000");
    }

    #[test]
    fn ids_of_another_kind_or_shape_are_refused() {
        for text in [
            "",
            "ses-",
            "cap-01ARYZ6S410000000000000000",
            "ses-81ARYZ6S410000000000000000",
            "ses-01ARYZ6S41000000000000000i",
            "ses-01ARYZ6S4100000000000000000",
        ] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }

    #[test]
    fn agent_names_lose_what_could_trick_a_reader() {
        assert_eq!(
            AgentId::sanitised("a\u{202e}b\x1b[31m").as_str(),
            "a_b__31m"
        );
        assert_eq!(AgentId::sanitised("").as_str(), "unnamed");
    }
}
