//! What policy requires of an approval: who, with what reason, how far it reaches, and how often people may be asked.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Resource, TicketPattern};

/// Who must approve, and in what way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequirement {
    /// How many people of which roles; every entry must be met, by distinct people.
    pub quorum: Vec<Quorum>,
    /// Whether the person on whose behalf the agent runs may be one of them, where policy says; ask [`Self::requester_may_approve`].
    #[serde(
        default,
        rename = "requester_may_approve",
        skip_serializing_if = "Option::is_none"
    )]
    pub requester: Option<bool>,
    /// Whether the approver must give a reason, and which.
    #[serde(default)]
    pub justification: Justification,
    /// How old the approver's second factor may be, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_max_age_seconds: Option<u64>,
    /// How long the question stays open, in seconds; then it counts as a no.
    #[serde(default = "default_expires_seconds")]
    pub expires_seconds: u64,
    /// How far one yes reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// How often people may be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<PromptLimits>,
    /// What follows from repeated denials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockout: Option<Lockout>,
}

fn default_expires_seconds() -> u64 {
    120
}

impl ApprovalRequirement {
    /// The role that stands for the person whose files they are.
    pub const OWNER: &'static str = "owner";

    /// Whether the person on whose behalf the agent runs may answer with yes.
    ///
    /// Where two or more people must answer, never. Where one must, as policy says; where it says nothing, only if that one is the owner.
    #[must_use]
    pub fn requester_may_approve(&self) -> bool {
        match self.quorum.as_slice() {
            [Quorum { role, count: 1 }] => self.requester.unwrap_or(role == Self::OWNER),
            _ => false,
        }
    }
}

/// A number of distinct people with a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// The role, such as `owner`.
    pub role: String,
    /// How many people.
    pub count: u32,
}

/// How far one approval reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// What the approval is good for.
    pub scope: LeaseScope,
    /// For how long, in seconds.
    pub max_seconds: u64,
}

/// What one approval is good for. In order: each reaches no further than the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LeaseScope {
    /// This request alone.
    Once,
    /// One use of each of these resources, and of no other.
    Operations(Vec<Resource>),
    /// The same resource and actions, as often as wanted, until the lease's seconds are over.
    Minutes,
    /// The same resource and actions for the rest of the task.
    Task,
}

impl LeaseScope {
    /// Its name, as policy writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Operations(_) => "operations",
            Self::Minutes => "minutes",
            Self::Task => "task",
        }
    }

    /// The scope that both give.
    #[must_use]
    pub fn narrower(self, other: Self) -> Self {
        match (self, other) {
            (Self::Once, _) | (_, Self::Once) => Self::Once,
            (Self::Operations(a), Self::Operations(b)) => {
                let both: Vec<_> = a.into_iter().filter(|item| b.contains(item)).collect();
                if both.is_empty() {
                    Self::Once
                } else {
                    Self::Operations(both)
                }
            }
            (Self::Operations(list), Self::Minutes | Self::Task)
            | (Self::Minutes | Self::Task, Self::Operations(list)) => Self::Operations(list),
            (Self::Minutes, Self::Minutes | Self::Task) | (Self::Task, Self::Minutes) => {
                Self::Minutes
            }
            (Self::Task, Self::Task) => Self::Task,
        }
    }
}

/// How often people may be asked by one session. What is over it is denied without a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PromptLimits {
    /// Questions in the session's whole life.
    pub per_session: u32,
    /// Questions within any hour.
    pub per_hour: u32,
}

impl PromptLimits {
    /// Where policy says nothing: more than a person would bear in a day, so that only what has run wild meets it.
    pub const DEFAULT: Self = Self {
        per_session: 1000,
        per_hour: 120,
    };

    /// The lesser of both in each member.
    #[must_use]
    pub fn lesser(self, other: Self) -> Self {
        Self {
            per_session: self.per_session.min(other.per_session),
            per_hour: self.per_hour.min(other.per_hour),
        }
    }
}

/// What follows when people say no again and again, or do not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lockout {
    /// After how many denials in a row the session has to wait.
    pub denials: u32,
    /// The first wait, in seconds; each further denial doubles it.
    pub first_seconds: u64,
    /// The longest wait, in seconds.
    pub max_seconds: u64,
}

impl Lockout {
    /// Where policy says nothing: three denials, then a minute, doubled up to an hour.
    pub const DEFAULT: Self = Self {
        denials: 3,
        first_seconds: 60,
        max_seconds: 3600,
    };

    /// The stricter of both in each member.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            denials: self.denials.min(other.denials),
            first_seconds: self.first_seconds.max(other.first_seconds),
            max_seconds: self.max_seconds.max(other.max_seconds),
        }
    }
}

/// Whether an approver must give a reason. In policy `false`, `true`, or an object of [`JustificationRule`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "JustificationForm", into = "JustificationForm")]
pub enum Justification {
    /// None is needed.
    #[default]
    Optional,
    /// Some reason.
    Needed,
    /// A reason of this form.
    Rule(JustificationRule),
}

/// What a reason must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JustificationRule {
    /// Letters and digits that it must have at least.
    #[serde(default)]
    pub min_length: u32,
    /// Patterns of tickets, one or a list; of each one ticket must be named.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "OneOrMany"))]
    pub ticket: Vec<TicketPattern>,
}

/// What a reason lacks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JustificationFault {
    /// There is none.
    #[error("this approval needs a reason: add --because TEXT")]
    Missing,
    /// It is too short.
    #[error("the reason has to have at least {0} letters and digits")]
    Short(u32),
    /// No ticket of that pattern is named.
    #[error("the reason has to name a ticket of the form `{0}`")]
    NoTicket(TicketPattern),
}

impl Justification {
    /// Whether a reason must be given at all.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !matches!(self, Self::Optional)
    }

    /// Whether `text` is reason enough.
    ///
    /// # Errors
    /// What it lacks.
    pub fn check(&self, text: Option<&str>) -> Result<(), JustificationFault> {
        let rule = match self {
            Self::Optional => return Ok(()),
            Self::Needed => &JustificationRule::default(),
            Self::Rule(rule) => rule,
        };
        // Letters and digits are counted: white space and characters that nobody sees are no reason.
        let text = text.unwrap_or_default();
        let length = text.chars().filter(|c| c.is_alphanumeric()).count();
        if length == 0 {
            return Err(JustificationFault::Missing);
        }
        if length < usize::try_from(rule.min_length).unwrap_or(usize::MAX) {
            return Err(JustificationFault::Short(rule.min_length));
        }
        match rule.ticket.iter().find(|ticket| !ticket.is_named_in(text)) {
            Some(ticket) => Err(JustificationFault::NoTicket(ticket.clone())),
            None => Ok(()),
        }
    }

    /// What meets both.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        match (self, other) {
            (Self::Optional, only) | (only, Self::Optional) => only,
            (Self::Needed, only) | (only, Self::Needed) => only,
            (Self::Rule(a), Self::Rule(b)) => {
                let mut ticket = a.ticket;
                for pattern in b.ticket {
                    if !ticket.contains(&pattern) {
                        ticket.push(pattern);
                    }
                }
                Self::Rule(JustificationRule {
                    min_length: a.min_length.max(b.min_length),
                    ticket,
                })
            }
        }
    }
}

impl Default for JustificationRule {
    fn default() -> Self {
        Self {
            min_length: 1,
            ticket: Vec::new(),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum JustificationForm {
    Flag(bool),
    Rule(JustificationRule),
}

impl From<JustificationForm> for Justification {
    fn from(form: JustificationForm) -> Self {
        match form {
            JustificationForm::Flag(false) => Self::Optional,
            JustificationForm::Flag(true) => Self::Needed,
            JustificationForm::Rule(rule) => Self::Rule(rule),
        }
    }
}

impl From<Justification> for JustificationForm {
    fn from(justification: Justification) -> Self {
        match justification {
            Justification::Optional => Self::Flag(false),
            Justification::Needed => Self::Flag(true),
            Justification::Rule(rule) => Self::Rule(rule),
        }
    }
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum OneOrMany {
    One(TicketPattern),
    Many(Vec<TicketPattern>),
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<TicketPattern>, D::Error> {
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(pattern) => vec![pattern],
        OneOrMany::Many(patterns) => patterns,
    })
}

#[cfg(test)]
mod tests;
