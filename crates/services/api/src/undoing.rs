//! The message that a person undoes what a session has changed.

use serde::{Deserialize, Serialize};

/// Operator door: a person is about to undo what a session has changed. Names and counts, no content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Undoing {
    /// The session's id, or the name of the undo that is undone.
    pub session: String,
    /// Names that are to be put back.
    pub changes: u64,
    /// Names that are left as they are.
    pub left: u64,
    /// Names that are put back although somebody else has changed them since.
    pub forced: u64,
}
