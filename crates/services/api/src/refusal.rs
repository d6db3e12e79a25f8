//! The last refusals, as the agent door tells them in a cell and outside.

use serde::{Deserialize, Serialize};
use valetkey_model::{ActionSet, Resource, Timestamp};

use crate::Problem;

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Denial {
    /// When.
    pub time: Timestamp,
    /// What was asked for.
    pub resource: Resource,
    /// Which actions.
    pub actions: ActionSet,
    /// Why not, and what to do.
    #[serde(flatten)]
    pub problem: Problem,
}

/// Agent door: the last refusals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Denials {
    /// Newest last.
    pub denials: Vec<Denial>,
}
