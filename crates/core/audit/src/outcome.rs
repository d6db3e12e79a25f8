//! The two short answers that every event can carry: what was decided, and how it ended.

use serde::{Deserialize, Serialize};

/// What was decided, as the log keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AuditDecision {
    /// Policy, or a live capability, allowed it.
    Allowed,
    /// Policy, or the lack of a capability, denied it.
    Denied,
    /// A person said yes.
    Approved,
    /// A person said no.
    Refused,
    /// Nobody answered in time, or the grant ran out.
    Expired,
    /// Nothing was decided: it was seen.
    Observed,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Done as asked.
    Succeeded,
    /// Tried, and not done; an attribute `error` says why.
    Failed,
    /// Stopped before anything was done.
    Blocked,
    /// Stopped half-way by a signal, a crash or the other side.
    Interrupted,
    /// Not known: the one who would have told is gone.
    Unknown,
}
