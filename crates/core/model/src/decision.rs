//! What policy answers: an effect, and what goes with it.

use serde::{Deserialize, Serialize};

use crate::{ApprovalRequirement, Constraints, Digest, Resource, canonical_json};

/// The answer's kind. Anything unsure is [`Effect::Deny`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[must_use]
pub enum Effect {
    /// Granted at once.
    Allow,
    /// Granted if the people named in the requirement say yes.
    Ask,
    /// Not granted.
    Deny,
}

/// A decision of policy, whole. Its shape is closed: an unknown member makes the decision void, and so a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Allow, ask or deny.
    pub effect: Effect,
    /// Which policy decided; logged with the event.
    pub policy_id: String,
    /// Why, in words for people; the agent may see them.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Life of the grant in seconds, counted from the decision or, where people were asked, from their approval.
    #[serde(default = "default_ttl_seconds")]
    pub ttl_seconds: u64,
    /// Limits on the grant, beside those asked for.
    #[serde(default)]
    pub constraints: Constraints,
    /// Patterns inside the resource that are not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Resource>,
    /// Who must say yes; needed when the effect is `ask`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRequirement>,
    /// What must go with the grant.
    #[serde(default)]
    pub obligations: Obligations,
    /// Whether asking in another way could help; said to the agent with a denial.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requestable: bool,
}

/// The domain of a decision's digest.
const DIGEST_DOMAIN: &str = "valetkey-decision-v1";

impl Decision {
    /// Life of a grant when policy says nothing: five minutes.
    pub const DEFAULT_TTL_SECONDS: u64 = 300;

    /// The digest of the whole decision, in canonical JSON: two decisions that differ in anything have different ones.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Every member can be written; a decision that could not would be equal to no other.
        let bytes = canonical_json(self).unwrap_or_default();
        Digest::tagged(DIGEST_DOMAIN, &bytes)
    }

    /// A denial with one reason, made by the broker itself where policy gave no usable answer.
    #[must_use]
    pub fn denied(policy_id: &str, reason: impl Into<String>) -> Self {
        Self {
            effect: Effect::Deny,
            policy_id: policy_id.to_owned(),
            reasons: vec![reason.into()],
            ttl_seconds: 0,
            constraints: Constraints::default(),
            except: Vec::new(),
            approval: None,
            obligations: Obligations::default(),
            requestable: false,
        }
    }
}

fn default_ttl_seconds() -> u64 {
    Decision::DEFAULT_TTL_SECONDS
}

/// What must go with a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Obligations {
    /// When the record of operations must be durable.
    #[serde(default)]
    pub durability: Durability,
    /// Labels that stick to the session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How a tree that is granted when a session starts may be served.
    #[serde(default, skip_serializing_if = "ViewMode::is_watched")]
    pub view: ViewMode,
    /// How lately witnesses must have seen the log; nothing is granted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<WitnessDuty>,
}

/// How a tree may be served: the strictest first, so that of two the lesser holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ViewMode {
    /// Each open is decided and recorded.
    #[default]
    Watched,
    /// Quiet where the person who starts the session wants it so, watched otherwise.
    QuietIfWanted,
    /// Files are opened without a message: each name is decided, and the first read and the first write of a file.
    Quiet,
}

impl ViewMode {
    /// Whether each open is decided and recorded.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        *self == Self::Watched
    }
}

/// How lately witnesses must have seen the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WitnessDuty {
    /// At most so many seconds ago.
    pub max_age_seconds: u64,
}

/// When the record of an operation must be durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Before its effect can be seen.
    #[default]
    BeforeEffect,
    /// Within one second.
    Streamed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_decision_is_read() {
        let text = r#"{"effect":"ask","policy_id":"finance-reports","reasons":["writes to a ledger need a person"],"ttl_seconds":300,
            "constraints":{"max_rows":50,"allow_macros":false},
            "approval":{"quorum":[{"role":"owner","count":1}],"justification":true,"mfa_max_age_seconds":900,"expires_seconds":120,
                        "lease":{"scope":"task","max_seconds":600}},
            "obligations":{"durability":"before_effect","labels":["finance"]}}"#;
        let decision: Decision = serde_json::from_str(text).unwrap();
        assert_eq!(decision.effect, Effect::Ask);
        assert_eq!(decision.constraints.max_rows, Some(50));
    }

    #[test]
    fn a_view_is_watched_where_nothing_is_said() {
        let view = |text: &str| serde_json::from_str::<Obligations>(text).unwrap().view;
        assert_eq!(view("{}"), ViewMode::Watched);
        assert_eq!(
            view(r#"{"view":"quiet_if_wanted"}"#),
            ViewMode::QuietIfWanted
        );
        assert!(ViewMode::Watched < ViewMode::QuietIfWanted);
        assert!(ViewMode::QuietIfWanted < ViewMode::Quiet);
    }

    #[test]
    fn another_shape_is_refused() {
        for text in [
            r#"{"effect":"maybe","policy_id":"p"}"#,
            r#"{"policy_id":"p"}"#,
            r#"{"effect":"allow"}"#,
            r#"{"effect":"allow","policy_id":"p","also":1}"#,
            r#"{"effect":"allow","policy_id":"p","constraints":{"max_luck":1}}"#,
            r#"{"effect":"allow","policy_id":"p","obligations":{"view":"silent"}}"#,
        ] {
            assert!(serde_json::from_str::<Decision>(text).is_err(), "{text}");
        }
    }
}
