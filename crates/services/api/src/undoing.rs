//! The message that a person undoes what a session has changed.

use serde::{Deserialize, Serialize};

/// What a person does with what a session has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// It is put back as it was.
    #[default]
    Undone,
    /// What was held back is put on the host.
    Committed,
    /// What was held back is thrown away.
    Discarded,
}

/// Operator door: a person is about to undo what a session has changed, or to take it or throw it away where it was held back. Names and counts, no content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Undoing {
    /// The session's id, or the name of the undo that is undone.
    pub session: String,
    /// What is done with it.
    #[serde(default)]
    pub did: Did,
    /// Names that are to be put back, taken or thrown away.
    pub changes: u64,
    /// Names that are left as they are.
    pub left: u64,
    /// Names that are put back or taken although somebody else has changed them since.
    pub forced: u64,
}
