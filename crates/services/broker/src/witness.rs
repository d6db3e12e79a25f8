//! Proofs as types: what was allowed, and what was recorded. Only this module and the recorder can make them.

use valetkey_approval::{Approved, Asked};
use valetkey_audit::Event;
use valetkey_capability::{Claims, MAX_SINGLE_USE_TTL_SECONDS, MAX_TTL_SECONDS, NarrowError};
use valetkey_model::{
    Action, ActionSet, ApprovalId, CapabilityId, Decision, Digest, Durability, Effect, Grant,
    RequestId, Timestamp, ViewMode, WitnessDuty,
};

use crate::lease::Given;
use crate::live::Entry;

/// What policy decided, and how many labels the session had then: what came since, it did not see.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    pub(crate) labels_known: usize,
    /// Of the policy that decided.
    pub(crate) policy_digest: Digest,
}

/// Proof that a request was allowed, by policy alone or by people whom policy named.
#[derive(Debug)]
pub(crate) struct Allowed {
    request: RequestId,
    grant: Grant,
    ttl_seconds: u64,
    policy_id: String,
    approvals: Vec<ApprovalId>,
    streamed: bool,
    labels: Vec<String>,
    labels_known: usize,
    view: ViewMode,
    /// Of the policy that decided.
    policy_digest: Digest,
    witness: Option<WitnessDuty>,
}

impl Allowed {
    /// What policy allowed without asking; nothing if that is not what it decided.
    pub(crate) fn by_policy(request: RequestId, grant: Grant, decided: &Decided) -> Option<Self> {
        let decision = &decided.decision;
        match decision.effect {
            Effect::Allow => Some(Self {
                request,
                ttl_seconds: life(&grant, decision.ttl_seconds),
                grant,
                policy_id: decision.policy_id.clone(),
                approvals: Vec::new(),
                streamed: decision.obligations.durability == Durability::Streamed,
                labels: decision.obligations.labels.clone(),
                witness: decision.obligations.witness,
                labels_known: decided.labels_known,
                view: decision.obligations.view,
                policy_digest: decided.policy_digest,
            }),
            Effect::Ask | Effect::Deny => None,
        }
    }

    /// What people approved: exactly one of the grants that they were shown.
    pub(crate) fn by_people(
        request: RequestId,
        grant: Grant,
        asked: &Asked,
        approved: &Approved,
        decided: &Decided,
    ) -> Self {
        let obligations = &decided.decision.obligations;
        Self {
            request,
            ttl_seconds: life(&grant, asked.ttl_seconds),
            grant,
            policy_id: asked.policy_id.clone(),
            approvals: approved.approvals().to_vec(),
            streamed: obligations.durability == Durability::Streamed,
            labels: obligations.labels.clone(),
            witness: obligations.witness,
            labels_known: decided.labels_known,
            view: ViewMode::Watched,
            policy_digest: asked.policy_digest,
        }
    }

    /// What a lease gives that people gave before: no longer than the lease, and only where policy still leaves it to people.
    pub(crate) fn by_lease(
        request: RequestId,
        grant: Grant,
        given: &Given,
        decided: &Decided,
    ) -> Option<Self> {
        let decision = &decided.decision;
        match decision.effect {
            Effect::Ask if given.seconds > 0 => Some(Self {
                request,
                ttl_seconds: life(&grant, decision.ttl_seconds.min(given.seconds)),
                grant,
                policy_id: decision.policy_id.clone(),
                approvals: given.approvals.clone(),
                streamed: decision.obligations.durability == Durability::Streamed,
                labels: decision.obligations.labels.clone(),
                witness: decision.obligations.witness,
                labels_known: decided.labels_known,
                view: ViewMode::Watched,
                policy_digest: decided.policy_digest,
            }),
            Effect::Ask | Effect::Allow | Effect::Deny => None,
        }
    }

    /// What an emergency gives, within what policy and the guardrails leave of it.
    pub(crate) fn by_emergency(
        request: RequestId,
        grant: Grant,
        seconds: u64,
        (policy_id, policy_digest): (&str, Digest),
        approval: ApprovalId,
    ) -> Self {
        Self {
            request,
            ttl_seconds: life(&grant, seconds),
            grant,
            policy_id: policy_id.to_owned(),
            approvals: vec![approval],
            // Every open and change is durable in the log before it happens.
            streamed: false,
            // Policy did not give it, and says nothing of what is read by it.
            labels: Vec::new(),
            labels_known: usize::MAX,
            view: ViewMode::Watched,
            policy_digest,
            // It does not wait for a witness; it is reviewed.
            witness: None,
        }
    }

    /// How lately witnesses must have seen the log.
    pub(crate) fn witness(&self) -> Option<WitnessDuty> {
        self.witness
    }

    pub(crate) fn request(&self) -> &RequestId {
        &self.request
    }

    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    pub(crate) fn ttl_seconds(&self) -> u64 {
        self.ttl_seconds
    }

    pub(crate) fn policy_id(&self) -> &str {
        &self.policy_id
    }

    pub(crate) fn policy_digest(&self) -> Digest {
        self.policy_digest
    }

    pub(crate) fn approvals(&self) -> &[ApprovalId] {
        &self.approvals
    }

    pub(crate) fn streamed(&self) -> bool {
        self.streamed
    }

    /// What sticks to a session that gets at content by it, or may move it to where it gets at it: nothing where names and attributes are all.
    pub(crate) fn labels(&self) -> &[String] {
        if LOOKS.allows_all(self.grant.actions) {
            &[]
        } else {
            &self.labels
        }
    }

    /// How many labels the session had when this was decided.
    pub(crate) fn labels_known(&self) -> usize {
        self.labels_known
    }

    /// How its tree may be served. What people were asked about is watched.
    pub(crate) fn view(&self) -> ViewMode {
        self.view
    }
}

/// Actions by which no content comes to the agent, now or by another name later.
const LOOKS: ActionSet = ActionSet::of(&[Action::List, Action::Metadata]);

/// Proof that a capability was narrowed from a live one, and gives nothing that its parent does not.
#[derive(Debug)]
pub(crate) struct Narrowed {
    claims: Claims,
    streamed: bool,
}

impl Narrowed {
    /// What `asked` leaves of a live capability, for `ttl_seconds` at most.
    pub(crate) fn from_live(
        parent: &Entry,
        asked: &Grant,
        ttl_seconds: u64,
        id: CapabilityId,
        now: Timestamp,
    ) -> Result<Self, NarrowError> {
        Ok(Self {
            claims: parent.claims.narrow(asked, ttl_seconds, id, now)?,
            streamed: parent.streamed,
        })
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(crate) fn streamed(&self) -> bool {
        self.streamed
    }
}

/// The life of a grant, within what a capability may have.
pub(crate) fn life(grant: &Grant, ttl_seconds: u64) -> u64 {
    let longest = if grant.constraints.is_single_use() {
        MAX_SINGLE_USE_TTL_SECONDS
    } else {
        MAX_TTL_SECONDS
    };
    ttl_seconds.clamp(1, longest)
}

/// Proof that `T` stands in the durable log. [`seal`] is called by the recorder alone, after the log has acknowledged.
#[derive(Debug)]
pub(crate) struct Recorded<T>(T);

impl<T> Recorded<T> {
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

/// What the recorder needs to make a [`Recorded`]: the events that were written for it.
pub(crate) struct Pending<T> {
    pub(crate) value: T,
    pub(crate) events: Vec<Event>,
}

/// Turns a pending value into a recorded one. The receipt proves that the log took the last of its events, and so all of them.
pub(crate) fn seal<T>(value: T, _receipt: &valetkey_store::Receipt) -> Recorded<T> {
    Recorded(value)
}
