//! For those who write policy: what is wrong with a bundle, what its tests reach, why it decides as it does, what another decides otherwise.
//!
//! All of it stands on the engine that decides, and none of it is in the broker.

mod check;
mod corpus;
mod cover;
mod diff;
mod explain;
mod finding;
mod mutate;
mod schema;
mod steps;

pub use check::{check, is_refused};
pub use corpus::{Scene, Trial, corpus};
pub use cover::{Coverage, FileCoverage, Missed, cover};
pub use diff::{Change, Difference, Summary, change, diff};
pub use explain::{DefinitionSeen, Explained, FailedCondition, Layer, RuleSeen, explain, values};
pub use finding::{Finding, Severity};
#[cfg(test)]
pub(crate) use mutate::mutants;
pub use mutate::{Mutant, Mutation, mutate};
