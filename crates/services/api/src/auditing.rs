//! Messages about the log's own keeping: who can open what is sealed, and what is thrown away.

use serde::{Deserialize, Serialize};

/// Somebody to whom originals are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Auditor {
    /// The name.
    pub name: String,
    /// Their public key in the age format, `age1…`.
    pub recipient: String,
    /// The hand, 1 or 2: where policy wants two hands, what is sealed is opened by one of each.
    pub hand: u8,
}

/// Operator door: everyone to whom originals are sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Auditors {
    /// In the order in which they were added.
    pub auditors: Vec<Auditor>,
}

/// Operator door: a change of the auditors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ChangeAuditors {
    /// What is sealed from now on is sealed to this one, too.
    Add(Auditor),
    /// What is sealed from now on is not sealed to the one of this name.
    Remove(String),
}

/// Operator door: whose sealed originals are to be thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// The person's login name, or the keyed hash that stands for it in the log.
    pub user: String,
    /// Why; it is recorded.
    pub because: String,
}

/// Operator door: what was thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// Sealed originals, one an event or for several events that say the same.
    pub originals: u64,
}
