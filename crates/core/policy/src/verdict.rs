//! From whatever a policy returned to a decision that can be acted on: the place where *unsure means no* is kept.

use std::fmt;

use regorus::Value;
use valetkey_model::{
    ApprovalRequirement, Constraints, Decision, Effect, Justification, Lease, LeaseScope, Lockout,
    Obligations, PromptLimits, Resource, read_json,
};

/// The policy named in denials that the engine makes because a policy gave no usable answer.
pub const FAIL_CLOSED_POLICY_ID: &str = "valetkey/fail-closed";
/// The longest life of a grant.
pub const MAX_TTL_SECONDS: u64 = 3600;
/// The longest life of a grant for one use.
pub const SINGLE_USE_TTL_SECONDS: u64 = 60;

/// How long a question may stay open: a day.
const MAX_EXPIRES_SECONDS: u64 = 86_400;
/// How long one yes may reach: a working day.
const MAX_LEASE_SECONDS: u64 = 28_800;
/// Resources that one yes may list: what a person can be expected to read.
const MAX_LEASE_OPERATIONS: usize = 64;
/// Letters that a reason must have, and tickets it must name: nobody writes more.
const MAX_JUSTIFICATION_LENGTH: u32 = 1000;
const MAX_TICKETS: usize = 4;
/// Denials before a session has to wait: with more, the lockout would be one in name only.
const MAX_LOCKOUT_DENIALS: u32 = 100;
/// Roles in a quorum, and people of one role: more than any office can gather within a day.
const MAX_QUORUM: usize = 8;
const MAX_PEOPLE: u32 = 16;
/// What is said and excepted must fit an event of the log (60 KiB) and, for exceptions, a token.
const MAX_REASONS: usize = 16;
const MAX_REASON_CHARS: usize = 400;
const MAX_POLICY_ID_CHARS: usize = 128;
const MAX_EXCEPT: usize = 256;
const MAX_LABELS: usize = 32;
const MAX_LABEL_CHARS: usize = 64;

/// Why a policy's answer could not be used. The text may hold parts of the policy: it is for the log and for authors, not for the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No rule gave an answer.
    Undefined,
    /// The evaluation ended in an error: two rules disagree, a built-in was misused.
    Failed(String),
    /// The evaluation took more steps or time than allowed.
    OverBudget(String),
    /// The answer is not a decision.
    Shape(String),
    /// The input could not be given to the policy.
    Input(String),
}

impl Fault {
    /// What the asker may know.
    #[must_use]
    pub fn public_reason(&self) -> &'static str {
        match self {
            Self::Undefined => "no rule of the policy answers this request",
            Self::Failed(_) => "the policy failed on this request",
            Self::OverBudget(_) => "the policy took too long to decide",
            Self::Shape(_) => "the policy gave no usable answer",
            Self::Input(_) => "the request could not be given to the policy",
        }
    }

    pub(crate) fn denial(&self) -> Decision {
        Decision::denied(FAIL_CLOSED_POLICY_ID, self.public_reason())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public_reason())?;
        match self {
            Self::Undefined => Ok(()),
            Self::Failed(why) | Self::OverBudget(why) | Self::Shape(why) | Self::Input(why) => {
                write!(f, ": {why}")
            }
        }
    }
}

/// Reads a policy's answer, refuses what is not wholly understood, and bounds the rest.
pub(crate) fn read(answer: &Value, asked: &Constraints) -> Result<Decision, Fault> {
    if *answer == Value::Undefined {
        return Err(Fault::Undefined);
    }
    let text = answer
        .to_json_str()
        .map_err(|error| Fault::Shape(error.to_string()))?;
    let decision: Decision =
        read_json(text.as_bytes()).map_err(|error| Fault::Shape(error.to_string()))?;
    check(&decision)?;
    Ok(bounded(decision, asked))
}

fn check(decision: &Decision) -> Result<(), Fault> {
    let shape = |what: &str| Err(Fault::Shape(what.to_owned()));
    let id = &decision.policy_id;
    if id.is_empty() || id.chars().count() > MAX_POLICY_ID_CHARS || id.chars().any(char::is_control)
    {
        return shape("`policy_id` is empty, too long or has control characters");
    }
    if decision.except.len() > MAX_EXCEPT {
        return shape("there are more than 256 entries in `except`");
    }
    let labels = &decision.obligations.labels;
    if labels.len() > MAX_LABELS || labels.iter().any(|label| !is_label(label)) {
        return shape("a label is empty, too long or not plain, or there are more than 32");
    }
    match (decision.effect, &decision.approval) {
        (Effect::Ask, None) => shape("`ask` without an `approval`"),
        (Effect::Ask, Some(approval)) => check_approval(approval),
        (Effect::Allow, Some(_)) => shape("`allow` with an `approval`: it is one or the other"),
        (Effect::Allow, None) | (Effect::Deny, _) => Ok(()),
    }
}

fn is_label(label: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    !label.is_empty() && label.len() <= MAX_LABEL_CHARS && label.chars().all(plain)
}

/// A requirement that nobody could meet, or that anybody would, is none.
fn check_approval(approval: &ApprovalRequirement) -> Result<(), Fault> {
    let quorum = &approval.quorum;
    let unusable = quorum.is_empty()
        || quorum.len() > MAX_QUORUM
        || quorum
            .iter()
            .any(|part| part.count == 0 || part.count > MAX_PEOPLE || !is_label(&part.role))
        || approval.expires_seconds == 0
        || approval.mfa_max_age_seconds == Some(0)
        || approval.budget.is_some_and(|limits| {
            let PromptLimits {
                per_session,
                per_hour,
            } = limits;
            per_session == 0 || per_hour == 0
        })
        || !is_reachable(&approval.justification);
    if unusable {
        return Err(Fault::Shape(
            "the `approval` cannot be met by anyone".to_owned(),
        ));
    }
    if approval.requester == Some(true) && !approval.requester_may_approve() {
        return Err(Fault::Shape(
            "`requester_may_approve` where two people are wanted: they must be others".to_owned(),
        ));
    }
    if approval
        .lease
        .as_ref()
        .is_some_and(|lease| !is_lease(lease))
    {
        return Err(Fault::Shape(
            "the `lease` is for no time, or lists none, too many or no single resources".to_owned(),
        ));
    }
    if approval
        .lockout
        .as_ref()
        .is_some_and(|lockout| !is_lockout(lockout))
    {
        return Err(Fault::Shape(
            "the `lockout` never takes hold, or its longest wait is not within its first and a day"
                .to_owned(),
        ));
    }
    Ok(())
}

fn is_reachable(justification: &Justification) -> bool {
    match justification {
        Justification::Optional | Justification::Needed => true,
        Justification::Rule(rule) => {
            rule.min_length <= MAX_JUSTIFICATION_LENGTH && rule.ticket.len() <= MAX_TICKETS
        }
    }
}

/// A list of operations names each of them: a pattern in it would be a lease for what nobody has seen.
fn is_lease(lease: &Lease) -> bool {
    // A `*` in canonical text is a wildcard, whatever the resource; one that is meant is encoded.
    let single = |resource: &Resource| !resource.to_string().contains('*');
    let listed = match &lease.scope {
        LeaseScope::Once | LeaseScope::Minutes | LeaseScope::Task => true,
        LeaseScope::Operations(list) => {
            !list.is_empty() && list.len() <= MAX_LEASE_OPERATIONS && list.iter().all(single)
        }
    };
    listed && lease.max_seconds > 0
}

fn is_lockout(lockout: &Lockout) -> bool {
    (1..=MAX_LOCKOUT_DENIALS).contains(&lockout.denials)
        && lockout.first_seconds > 0
        && (lockout.first_seconds..=MAX_EXPIRES_SECONDS).contains(&lockout.max_seconds)
}

/// Keeps every number and list within its limit, and the grant within what was asked.
fn bounded(decision: Decision, asked: &Constraints) -> Decision {
    let constraints = decision.constraints.tightest(asked);
    let approval = decision.approval.map(|approval| ApprovalRequirement {
        expires_seconds: approval.expires_seconds.min(MAX_EXPIRES_SECONDS),
        lease: approval.lease.map(|lease| Lease {
            max_seconds: lease.max_seconds.min(MAX_LEASE_SECONDS),
            ..lease
        }),
        ..approval
    });
    if decision.effect == Effect::Deny {
        return Decision {
            ttl_seconds: 0,
            constraints: Constraints::default(),
            except: Vec::new(),
            approval: None,
            obligations: Obligations::default(),
            reasons: shortened(decision.reasons),
            ..decision
        };
    }
    Decision {
        ttl_seconds: clamp_ttl(decision.ttl_seconds, &constraints),
        constraints,
        approval,
        reasons: shortened(decision.reasons),
        ..decision
    }
}

/// The life of a grant within its bounds: from one second to an hour, or a minute for one use.
pub(crate) fn clamp_ttl(seconds: u64, constraints: &Constraints) -> u64 {
    let most = if constraints.is_single_use() {
        SINGLE_USE_TTL_SECONDS
    } else {
        MAX_TTL_SECONDS
    };
    seconds.clamp(1, most)
}

fn shortened(reasons: Vec<String>) -> Vec<String> {
    reasons
        .into_iter()
        .take(MAX_REASONS)
        .map(|reason| match reason.char_indices().nth(MAX_REASON_CHARS) {
            None => reason,
            Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
        })
        .collect()
}

#[cfg(test)]
mod tests;
