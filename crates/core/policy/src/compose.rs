//! Several policies as one: the most restrictive answer of all layers, in every part.

use std::collections::BTreeSet;
use std::path::Path;

use valetkey_model::{
    ApprovalRequirement, Constraints, Decision, Digest, Durability, Effect, Lease, Lockout,
    Obligations, PolicyInput, PromptLimits, Quorum, Resource, UserFacts, WitnessDuty,
};

use crate::policy::rego_value;
use crate::reads::{Reads, union};
use crate::verdict::{Fault, clamp_ttl, read};
use crate::{Bundle, Policy, PolicyError, starter};

/// The domain of a set's digest. The hashed bytes are the digests of the layers, in order.
const DIGEST_DOMAIN: &str = "valetkey-policy-set-v1";

/// The domain of the digest of a question.
const QUESTION_DOMAIN: &str = "valetkey-policy-question-v1";
/// What is read of the input to make one decision of all layers' answers.
const OWN_READS: [[&str; 2]; 2] = [["request", "constraints"], ["request", "resource"]];

/// What the broker decides with: guardrails first, then the policy that may grant, then layers that narrow.
///
/// Every layer is asked, and a request is granted only if *all* grant it; so no layer can widen what another holds back, and
/// the order matters only for the order of reasons. The difference between layers lies in what they say when they have no
/// opinion: guardrails allow what they do not speak of, the granting policy denies it.
#[derive(Clone, Debug)]
pub struct PolicySet {
    layers: Vec<Policy>,
    /// What of the input its layers can read, or this module; nothing where that is all of it.
    reads: Reads,
    /// What the granting policy says of emergencies.
    break_glass: Option<Policy>,
}

/// A decision, and what went wrong on the way to it.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The decision.
    pub decision: Decision,
    /// Layers that gave no usable answer; each of them is a denial in the decision. For the log, not for the agent.
    pub faults: Vec<Fault>,
}

impl PolicySet {
    /// The built-in guardrails and the policy of `bundle`.
    ///
    /// # Errors
    /// When the bundle does not define `data.valetkey.decision` or does not compile.
    pub fn new(bundle: &Bundle) -> Result<Self, PolicyError> {
        let guardrails = Policy::compile_guardrails(&starter("guardrails")?)?;
        let granting = Policy::compile(bundle)?;
        let own = OWN_READS.map(|path| path.map(str::to_owned).to_vec());
        let reads = union(guardrails.reads(), Some(own.into_iter().collect()));
        Ok(Self {
            reads: union(reads, granting.reads()),
            break_glass: Policy::compile_break_glass(bundle)?,
            layers: vec![guardrails, granting],
        })
    }

    /// This set and one more layer, which must also grant what is granted.
    #[must_use]
    pub fn narrowed_by(mut self, policy: Policy) -> Self {
        self.reads = union(self.reads, policy.reads());
        self.layers.push(policy);
        self
    }

    /// The digest of the digests of all layers, as recorded with every decision.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let bytes: Vec<u8> = self
            .layers
            .iter()
            .flat_map(|layer| *layer.digest().as_bytes())
            .collect();
        Digest::tagged(DIGEST_DOMAIN, &bytes)
    }

    /// A digest of all that the decision on this input can depend on, if that is not the whole input: inputs with equal digests have equal
    /// decisions, as long as no evaluation runs out of time.
    #[must_use]
    pub fn question(&self, input: &PolicyInput) -> Option<Digest> {
        self.question_of(&Prepared::of(input))
    }

    /// The same of an input that is made ready.
    #[must_use]
    pub fn question_of(&self, prepared: &Prepared) -> Option<Digest> {
        let paths = self.reads.as_ref()?;
        let input = prepared.json.as_ref().ok()?;
        let mut bytes = Vec::with_capacity(1024);
        for path in paths {
            let member = path.iter().try_fold(input, |at, name| at.get(name));
            // The paths are the same for every input, so that an absent member and the next one's cannot be confused.
            match member {
                None => bytes.push(b'-'),
                Some(member) => serde_json::to_writer(&mut bytes, member).ok()?,
            }
            bytes.push(b'\n');
        }
        Some(Digest::tagged(QUESTION_DOMAIN, &bytes))
    }

    /// What policy says of emergencies of this user: the members of a rule, to be read by whoever keeps to it. Nothing where it says nothing,
    /// or nothing usable: then there are none.
    #[must_use]
    pub fn break_glass(&self, user: &UserFacts) -> Option<serde_json::Value> {
        let user = UserFacts {
            home_resource: Resource::file(Path::new(&user.home)).ok(),
            ..user.clone()
        };
        let input = serde_json::json!({"subject": {"user": user}});
        let said = self.break_glass.as_ref()?.evaluate(input.into()).ok()?;
        serde_json::to_value(said)
            .ok()
            .filter(serde_json::Value::is_object)
    }

    /// What the guardrails alone say: what they deny is not given in an emergency either.
    #[must_use]
    pub fn guardrails(&self, input: &PolicyInput) -> Decision {
        match self.layers.first() {
            Some(guardrails) => guardrails.decide(input),
            None => Fault::Undefined.denial(),
        }
    }

    /// The decision. Never fails: whatever is wrong is a denial.
    #[must_use]
    pub fn decide(&self, input: &PolicyInput) -> Decision {
        self.judge(input).decision
    }

    /// The decision and the faults behind it.
    #[must_use]
    pub fn judge(&self, input: &PolicyInput) -> Judgement {
        self.judge_prepared(Prepared::of(input))
    }

    /// The same of an input that is made ready.
    #[must_use]
    pub fn judge_prepared(&self, prepared: Prepared) -> Judgement {
        let Prepared {
            asked,
            within,
            json,
        } = prepared;
        let mut faults = Vec::new();
        let value = json.and_then(rego_value);
        let answers = self
            .layers
            .iter()
            .map(|layer| {
                value
                    .clone()
                    .and_then(|value| read(&layer.evaluate(value)?, &within))
                    .unwrap_or_else(|fault| {
                        let denial = fault.denial();
                        faults.push(fault);
                        denial
                    })
            })
            .collect();
        Judgement {
            decision: all_of(answers, &asked),
            faults,
        }
    }
}

/// An input made ready, to be looked up by its question and decided without being made ready again. Its derived facts are worked out anew.
#[derive(Debug)]
pub struct Prepared {
    asked: Resource,
    within: Constraints,
    json: Result<serde_json::Value, Fault>,
}

impl Prepared {
    /// Makes an input ready.
    #[must_use]
    pub fn of(input: &PolicyInput) -> Self {
        let input = input.clone().with_derived_facts();
        Self {
            json: serde_json::to_value(&input).map_err(|error| Fault::Input(error.to_string())),
            asked: input.request.resource,
            within: input.request.constraints,
        }
    }
}

/// The most restrictive of all answers.
fn all_of(answers: Vec<Decision>, asked: &Resource) -> Decision {
    let Some(joined) = answers.into_iter().reduce(both) else {
        return Fault::Undefined.denial();
    };
    within_exceptions(joined, asked)
}

/// What both answers grant.
pub(crate) fn both(a: Decision, b: Decision) -> Decision {
    match (a.effect, b.effect) {
        (Effect::Deny, Effect::Deny) => Decision {
            policy_id: joined_id(&a, &b),
            requestable: a.requestable && b.requestable,
            reasons: joined(a.reasons, b.reasons),
            ..a
        },
        (Effect::Deny, Effect::Ask | Effect::Allow) => a,
        (Effect::Ask | Effect::Allow, Effect::Deny) => b,
        (Effect::Ask, Effect::Ask) => granted(joined_id(&a, &b), Effect::Ask, a, b),
        (Effect::Ask, Effect::Allow) => granted(a.policy_id.clone(), Effect::Ask, a, b),
        // A layer that allows has no more to say than one that allowed before it: the later one, which granted, is named.
        (Effect::Allow, Effect::Ask) => granted(b.policy_id.clone(), Effect::Ask, a, b),
        (Effect::Allow, Effect::Allow) => granted(b.policy_id.clone(), Effect::Allow, a, b),
    }
}

fn granted(policy_id: String, effect: Effect, a: Decision, b: Decision) -> Decision {
    let constraints = a.constraints.tightest(&b.constraints);
    Decision {
        effect,
        policy_id,
        ttl_seconds: clamp_ttl(a.ttl_seconds.min(b.ttl_seconds), &constraints),
        constraints,
        reasons: joined(a.reasons, b.reasons),
        except: joined(a.except, b.except),
        approval: match (a.approval, b.approval) {
            (Some(a), Some(b)) => Some(both_approvals(a, b)),
            (a, b) => a.or(b),
        },
        obligations: Obligations {
            durability: match (a.obligations.durability, b.obligations.durability) {
                (Durability::Streamed, Durability::Streamed) => Durability::Streamed,
                (Durability::BeforeEffect, _) | (_, Durability::BeforeEffect) => {
                    Durability::BeforeEffect
                }
            },
            labels: joined(a.obligations.labels, b.obligations.labels),
            view: a.obligations.view.min(b.obligations.view),
            witness: match (a.obligations.witness, b.obligations.witness) {
                (Some(a), Some(b)) => Some(WitnessDuty {
                    max_age_seconds: a.max_age_seconds.min(b.max_age_seconds),
                }),
                (a, b) => a.or(b),
            },
        },
        requestable: false,
    }
}

/// A requirement that meets both: of each role the larger number, since one person's yes answers both questions.
fn both_approvals(a: ApprovalRequirement, b: ApprovalRequirement) -> ApprovalRequirement {
    let requester = both_requesters(&a, &b);
    let mut quorum: Vec<Quorum> = a.quorum;
    for part in b.quorum {
        match quorum.iter_mut().find(|there| there.role == part.role) {
            Some(there) => there.count = there.count.max(part.count),
            None => quorum.push(part),
        }
    }
    ApprovalRequirement {
        quorum,
        requester,
        justification: a.justification.both(b.justification),
        mfa_max_age_seconds: either(a.mfa_max_age_seconds, b.mfa_max_age_seconds, u64::min),
        expires_seconds: a.expires_seconds.min(b.expires_seconds),
        // No lease means that a yes reaches no further than its request.
        lease: match (a.lease, b.lease) {
            (Some(a), Some(b)) => Some(Lease {
                scope: a.scope.narrower(b.scope),
                max_seconds: a.max_seconds.min(b.max_seconds),
            }),
            (None, _) | (_, None) => None,
        },
        budget: either(a.budget, b.budget, PromptLimits::lesser),
        lockout: either(a.lockout, b.lockout, Lockout::stricter),
    }
}

/// Whether both let the requester answer. Said outright wherever one of them does not, since a role alone can mean yes.
fn both_requesters(a: &ApprovalRequirement, b: &ApprovalRequirement) -> Option<bool> {
    if a.requester_may_approve() && b.requester_may_approve() {
        a.requester.or(b.requester)
    } else {
        Some(false)
    }
}

fn either<T>(a: Option<T>, b: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (a, b) => a.or(b),
    }
}

/// A grant whose exceptions cover what was asked is none; and for a single file, no other exception matters.
fn within_exceptions(decision: Decision, asked: &Resource) -> Decision {
    let (Effect::Allow | Effect::Ask) = decision.effect else {
        return decision;
    };
    if decision.except.iter().any(|out| out.covers(asked)) {
        return Decision::denied(
            &decision.policy_id,
            "what was asked for is among the exceptions",
        );
    }
    if asked.as_file().is_some_and(|pattern| pattern.is_literal()) {
        return Decision {
            except: Vec::new(),
            ..decision
        };
    }
    decision
}

fn joined_id(a: &Decision, b: &Decision) -> String {
    if a.policy_id == b.policy_id {
        a.policy_id.clone()
    } else {
        format!("{}+{}", a.policy_id, b.policy_id)
    }
}

/// Both lists without what is there twice.
fn joined<T: Ord + Clone>(a: Vec<T>, b: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    a.into_iter()
        .chain(b)
        .filter(|item| seen.insert(item.clone()))
        .collect()
}

#[cfg(test)]
mod question_tests;
#[cfg(test)]
mod tests;
