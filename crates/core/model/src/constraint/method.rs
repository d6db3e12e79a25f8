//! HTTP methods, as a limit of an https resource names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest method: as long as the longest that is registered (`UPDATEREDIRECTREF`, with some room).
pub(crate) const MAX_METHOD_BYTES: usize = 24;

/// An HTTP method (RFC 9110, section 9) in capitals, as all registered ones are.
///
/// `CONNECT` is none of them here, since it opens a tunnel and names no path; nor is `TRACE`, since its answer repeats the credential that was
/// put in on the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Method(String);

/// The text is not a method that can be granted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a method that can be granted: capital letters and `-`, and neither CONNECT nor TRACE"
)]
pub struct ParseMethodError(String);

impl Method {
    /// The method's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Method {
    type Err = ParseMethodError;

    fn from_str(text: &str) -> Result<Self, ParseMethodError> {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        let valid = text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.len() <= MAX_METHOD_BYTES
            && text.bytes().all(plain)
            && !matches!(text, "CONNECT" | "TRACE");
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseMethodError(text.chars().take(32).collect()))
        }
    }
}

impl TryFrom<String> for Method {
    type Error = ParseMethodError;

    fn try_from(text: String) -> Result<Self, ParseMethodError> {
        text.parse()
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.0
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
