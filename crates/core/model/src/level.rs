//! How much is enforced around an agent, in one word that a person can require.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How strong the enforcement of a session is. Each level has all that those before it have; below the first there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What every cell has: namespaces, the view, no capability, a system call filter, Landlock of any version.
    Basic,
    /// Besides: Landlock with scopes and device control, no further namespace by the kernel's own limits, an own keyring.
    Standard,
    /// Besides: the broker is another user's, so that what runs as the person reaches neither its keys nor its log.
    Strict,
}

/// The text is not a level.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a level is `basic`, `standard` or `strict`")]
pub struct ParseLevelError;

impl Level {
    /// Every level, the weakest first.
    pub const ALL: [Self; 3] = [Self::Basic, Self::Standard, Self::Strict];

    /// The level in one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Standard => "standard",
            Self::Strict => "strict",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = ParseLevelError;

    fn from_str(text: &str) -> Result<Self, ParseLevelError> {
        let named = Self::ALL.into_iter().find(|level| level.name() == text);
        named.ok_or(ParseLevelError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_they_are_written_and_stand_in_order() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(
                serde_json::to_string(&level).unwrap(),
                format!("\"{level}\"")
            );
        }
        assert!(Level::Basic < Level::Standard && Level::Standard < Level::Strict);
        for text in ["", "Strict", "strict ", "none"] {
            assert_eq!(text.parse::<Level>(), Err(ParseLevelError));
        }
    }
}
