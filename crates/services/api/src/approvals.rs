//! Messages of the operator door about questions and alerts: what a program that shows them waits for.

use serde::{Deserialize, Serialize};
use valetkey_approval::Asked;
use valetkey_model::{AgentId, SessionId, Timestamp};

/// Operator door: what waits for people, answered when it is not what it was at number `after`, or the wait is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// The number of this state; to be sent as `after` with the next wait.
    pub last: u64,
    /// Every open question, oldest first.
    pub questions: Vec<Asked>,
    /// The last alerts, oldest first.
    pub alerts: Vec<Alert>,
}

/// Operator door: the last alerts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Oldest first.
    pub alerts: Vec<Alert>,
}

/// Something that people should see soon and that no answer is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its number; greater than that of every earlier one.
    pub number: u64,
    /// When it was raised.
    pub time: Timestamp,
    /// What it is about.
    pub kind: AlertKind,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// In words. They may hold words of an agent or a person: to be made safe before they are shown.
    pub text: String,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// An agent was denied so often that it has to wait.
    Lockout,
    /// Somebody took an emergency scope.
    BreakGlass,
}
