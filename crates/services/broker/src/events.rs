//! The events that the broker writes, each built in one place.

mod policies;
mod undone;

use valetkey_api::{Auditors, ChangeAuditors, OperationReport};
use valetkey_approval::{
    Appointment, Approver, Asked, BreakGlassRule, Change, SignedApproval, SignedChange,
    SignedEmergency, SignedReview, Verdict,
};
use valetkey_audit::{Actor, Attribute, AuditDecision, Event, EventType, Outcome};
use valetkey_capability::{Capability, Claims};
use valetkey_model::{
    ApprovalId, CapabilityId, Decision, Digest, Effect, EventId, Grant, RequestId, SessionRecord,
    ViewMode,
};

use crate::review::Kept;
use crate::rules::Rules;
use crate::session::Session;
use crate::witness::Allowed;

pub(crate) use policies::{
    Signed, canary_returned, policy_activated, policy_differed, policy_installed, policy_rejected,
    policy_rolled_back, policy_staged, policy_withdrawn,
};
pub(crate) use undone::undone;

/// An event about a session, with what every such event carries.
pub(crate) fn of_session(kind: EventType, actor: Actor, session: &Session) -> Event {
    let opening = &session.opening;
    let event = Event::new(kind, actor)
        .session(session.id.clone())
        .user(opening.user.uid, &opening.user.name)
        .agent(opening.agent.id.clone());
    match opening.agent.digest {
        Some(digest) => event.process_hash(digest),
        None => event,
    }
}

/// The same, with the event that led to it where that is known.
fn caused(event: Event, cause: Option<EventId>) -> Event {
    match cause {
        Some(cause) => event.cause(cause),
        None => event,
    }
}

/// Who acts in a session: its guard, or outside of any cell the agent itself.
fn actor_of(session: &Session) -> Actor {
    if session.opening.agent.attested {
        Actor::Agent
    } else {
        Actor::Guard
    }
}

/// The same with the facts that a decision was made on. Facts beyond their limits are left out: the record is for taking the decision again, and
/// must not stand in the way of taking it once.
pub(crate) fn with_facts<T: serde::Serialize>(event: Event, facts: Option<&T>) -> Event {
    let facts = facts
        .and_then(|facts| serde_json::to_value(facts).ok())
        .and_then(|value| Attribute::facts(&value));
    match facts {
        Some(facts) => event.attribute("facts", facts),
        None => event,
    }
}

/// A session was opened.
pub(crate) fn session_opened(session: &Session, rules: &Rules, record: &SessionRecord) -> Event {
    let opening = &session.opening;
    let mut event = of_session(EventType::SessionOpened, actor_of(session), session)
        .policy(rules.name(), Some(rules.digest()))
        .attribute("grants", opening.grants.count())
        .attribute("attested", opening.agent.attested);
    if let Some(enforcement) = &opening.enforcement {
        event = event
            .attribute("level", enforcement.level.name())
            .attribute("posture", enforcement.posture.as_str());
    }
    if let Some(purpose) = &opening.purpose {
        event = event.justification(purpose);
    }
    if let Some(workspace) = &opening.workspace {
        event = event.resource(workspace.clone());
    }
    with_facts(event, Some(record))
}

/// A session ended.
pub(crate) fn session_closed(
    session: &Session,
    how: &str,
    exit_status: Option<u8>,
    age_ms: u64,
) -> Event {
    let event = caused(
        of_session(EventType::SessionClosed, actor_of(session), session),
        session.opened(),
    )
    .duration_us(age_ms.saturating_mul(1000))
    .attribute("how", how);
    match exit_status {
        Some(status) => event
            .outcome(Outcome::Succeeded)
            .attribute("exit_status", u32::from(status)),
        None => event.outcome(Outcome::Interrupted),
    }
}

/// Policy decided a request.
pub(crate) fn decided(
    session: &Session,
    asked: &valetkey_api::Ask,
    id: &RequestId,
    (decision, policy_digest): (&Decision, Digest),
    took_us: u64,
) -> Event {
    let outcome = match decision.effect {
        Effect::Allow => AuditDecision::Allowed,
        Effect::Deny => AuditDecision::Denied,
        Effect::Ask => AuditDecision::Observed,
    };
    let mut event = caused(
        of_session(EventType::RequestDecided, Actor::Agent, session),
        session.opened(),
    )
    .request(id.clone())
    .resource(asked.resource.clone())
    .action(asked.actions)
    .decision(outcome)
    .policy(&decision.policy_id, Some(policy_digest))
    .duration_us(took_us);
    if let Some(reason) = decision.reasons.first() {
        event = event.attribute("reason", reason.as_str());
    }
    if let Some(text) = &asked.justification {
        event = event.justification(text);
    }
    event
}

/// A capability is about to be minted.
pub(crate) fn minted(session: &Session, allowed: &Allowed, capability: &Capability) -> Event {
    let decision = if allowed.approvals().is_empty() {
        AuditDecision::Allowed
    } else {
        AuditDecision::Approved
    };
    let minted = of_session(EventType::CapabilityMinted, Actor::Broker, session)
        .request(allowed.request().clone())
        .capability(capability.capability_id.clone())
        .resource(capability.resource.clone())
        .action(capability.actions)
        .decision(decision)
        .policy(allowed.policy_id(), Some(allowed.policy_digest()))
        .attribute("ttl_seconds", allowed.ttl_seconds())
        .attribute("single_use", capability.constraints.is_single_use());
    let minted = match allowed.view() {
        ViewMode::Watched => minted,
        ViewMode::QuietIfWanted => minted.attribute("view", "quiet_if_wanted"),
        ViewMode::Quiet => minted.attribute("view", "quiet"),
    };
    if allowed.labels().is_empty() {
        minted
    } else {
        minted.attribute("labels", allowed.labels().join(",").as_str())
    }
}

/// A capability is about to be narrowed from another.
pub(crate) fn narrowed(session: &Session, parent: &Claims, child: &Claims) -> Event {
    let (grant, minted) = (child.grant(), session.minted(&parent.jti));
    caused(
        of_session(EventType::CapabilityNarrowed, Actor::Agent, session),
        minted,
    )
    .capability(child.jti.clone())
    .resource(grant.resource)
    .action(grant.actions)
    .decision(AuditDecision::Allowed)
    .policy(&child.policy_id, Some(child.policy_digest))
    .attribute("parent", parent.jti.as_str())
    .attribute("ttl_seconds", child.exp.saturating_sub(child.iat))
    .attribute("single_use", grant.constraints.is_single_use())
}

/// A capability was not narrowed as asked.
pub(crate) fn not_narrowed(session: &Session, parent: &Claims, asked: &Grant, why: &str) -> Event {
    let minted = session.minted(&parent.jti);
    caused(
        of_session(EventType::CapabilityRefused, Actor::Agent, session),
        minted,
    )
    .capability(parent.jti.clone())
    .resource(asked.resource.clone())
    .action(asked.actions)
    .decision(AuditDecision::Denied)
    .attribute("operation", "narrow")
    .attribute("reason", why)
}

/// The other key could not be put in place: the one before goes on.
pub(crate) fn key_not_rotated(why: &str) -> Event {
    Event::new(EventType::AlertRaised, Actor::Broker)
        .attribute("reason", "the key of capabilities was not rotated")
        .attribute("why", why)
}

/// A question was put to people.
pub(crate) fn asked(session: &Session, asked: &Asked) -> Event {
    let event = of_session(EventType::ApprovalAsked, Actor::Broker, session)
        .request(asked.request_id.clone())
        .resource(asked.grant.resource.clone())
        .action(asked.grant.actions)
        .policy(&asked.policy_id, Some(asked.policy_digest))
        .attribute("expires_seconds", asked.requirement.expires_seconds);
    let event = if asked.also.is_empty() {
        event
    } else {
        let files = asked.also.len().saturating_add(1);
        event.attribute("files", u64::try_from(files).unwrap_or(u64::MAX))
    };
    match asked.reasons.first() {
        Some(reason) => event.attribute("reason", reason.as_str()),
        None => event,
    }
}

/// A request was put to people as a part of the question `first`.
pub(crate) fn asked_with(session: &Session, part: &Asked, first: &RequestId) -> Event {
    asked(session, part).attribute("with", first.as_str())
}

/// A question was not put to people: the session has put as many as it may.
pub(crate) fn not_asked(session: &Session, asked: &Asked, why: &str) -> Event {
    of_session(EventType::ApprovalExpired, Actor::Broker, session)
        .request(asked.request_id.clone())
        .resource(asked.grant.resource.clone())
        .action(asked.grant.actions)
        .decision(AuditDecision::Denied)
        .policy(&asked.policy_id, Some(asked.policy_digest))
        .attribute("why", why)
}

/// What every event of an emergency tells.
fn of_emergency(kind: EventType, session: &Session, emergency: &SignedEmergency) -> Event {
    let signed = &emergency.signed;
    let resources: Vec<String> = signed
        .asked
        .scope
        .iter()
        .map(|grant| format!("{}={}", grant.resource, grant.actions))
        .collect();
    of_session(kind, Actor::Approver, session)
        .justification(&signed.asked.because)
        .attribute("by", signed.by.as_str())
        .attribute("ticket", signed.asked.ticket.as_deref().unwrap_or("none"))
        .attribute("minutes", u64::from(signed.asked.minutes))
        .attribute("scope", resources.join(" ").as_str())
}

/// A person took an emergency scope.
pub(crate) fn glass_broken(
    session: &Session,
    emergency: &SignedEmergency,
    id: &Digest,
    (rule, policy_digest): (&BreakGlassRule, Digest),
    approval: &ApprovalId,
) -> Event {
    of_emergency(EventType::BreakglassOpened, session, emergency)
        .decision(AuditDecision::Approved)
        .policy(&rule.policy_id, Some(policy_digest))
        .attribute("emergency", id.to_string().as_str())
        .attribute("approval_id", approval.as_str())
        .attribute("signature", emergency.signature.as_str())
}

/// A person was not given an emergency scope.
pub(crate) fn glass_held(session: &Session, emergency: &SignedEmergency, why: &str) -> Event {
    of_emergency(EventType::BreakglassRefused, session, emergency)
        .decision(AuditDecision::Denied)
        .attribute("why", why)
}

/// Another person closed the review of an emergency.
pub(crate) fn glass_reviewed(kept: &Kept, review: &SignedReview) -> Event {
    Event::new(EventType::BreakglassReviewed, Actor::Approver)
        .session(kept.emergency.signed.session.clone())
        .justification(&review.signed.findings)
        .attribute("emergency", kept.id.to_string().as_str())
        .attribute("opened_by", kept.item.opened_by())
        .attribute("by", review.signed.by.as_str())
        .attribute("signature", review.signature.as_str())
}

/// The review of an emergency is open still, though its end was recorded.
pub(crate) fn glass_unreviewed(kept: &Kept, why: &str) -> Event {
    Event::new(EventType::BreakglassRefused, Actor::Broker)
        .session(kept.emergency.signed.session.clone())
        .attribute("emergency", kept.id.to_string().as_str())
        .attribute("why", why)
}

/// An agent was denied so often that it has to wait.
pub(crate) fn locked_out(session: &Session, asked: &Asked, seconds: u64) -> Event {
    of_session(EventType::AlertRaised, Actor::Broker, session)
        .request(asked.request_id.clone())
        .attribute(
            "reason",
            "the agent was denied again and again, and has to wait",
        )
        .attribute("seconds", seconds)
}

/// A person answered.
pub(crate) fn answered(
    session: &Session,
    asked: &Asked,
    put: &EventId,
    answer: &SignedApproval,
) -> Event {
    let approval = &answer.approval;
    let (kind, decision) = match approval.verdict {
        Verdict::Approve => (EventType::ApprovalGiven, AuditDecision::Approved),
        Verdict::Deny => (EventType::ApprovalRefused, AuditDecision::Refused),
    };
    let event = of_session(kind, Actor::Approver, session)
        .cause(put.clone())
        .request(asked.request_id.clone())
        .resource(asked.grant.resource.clone())
        .action(asked.grant.actions)
        .decision(decision)
        .policy(&asked.policy_id, Some(asked.policy_digest))
        .attribute("approval_id", approval.approval_id.as_str())
        .attribute("approver", approval.approver.as_str())
        .attribute("method", approval.method.name())
        .attribute("asked_digest", approval.asked_digest.to_string().as_str());
    let event = match &approval.lease {
        Some(lease) => event
            .attribute("lease_scope", lease.scope.name())
            .attribute("lease_seconds", lease.max_seconds),
        None => event,
    };
    match &approval.justification {
        Some(text) => event.justification(text),
        None => event,
    }
}

/// A question closed without an answer.
pub(crate) fn unanswered(session: &Session, asked: &Asked, put: &EventId, why: &str) -> Event {
    of_session(EventType::ApprovalExpired, Actor::Broker, session)
        .cause(put.clone())
        .request(asked.request_id.clone())
        .resource(asked.grant.resource.clone())
        .action(asked.grant.actions)
        .decision(AuditDecision::Expired)
        .policy(&asked.policy_id, Some(asked.policy_digest))
        .attribute("why", why)
}

/// A capability was used, or turned away.
pub(crate) fn used(
    session: &Session,
    capability: &Capability,
    operation: &str,
    taken: bool,
) -> Event {
    let (kind, decision) = if taken {
        (EventType::CapabilityUsed, AuditDecision::Allowed)
    } else {
        (EventType::CapabilityRefused, AuditDecision::Denied)
    };
    let minted = session.minted(&capability.capability_id);
    caused(of_session(kind, Actor::Guard, session), minted)
        .capability(capability.capability_id.clone())
        .resource(capability.resource.clone())
        .action(capability.actions)
        .decision(decision)
        .attribute("operation", operation)
}

/// Its holder gave a capability back, or that from which it was narrowed: `first`.
pub(crate) fn released(session: &Session, ended: &Claims, first: &CapabilityId) -> Event {
    ending(
        EventType::CapabilityReleased,
        actor_of(session),
        session,
        ended,
        first,
    )
}

/// A capability was taken back, or that from which it was narrowed: `first`.
pub(crate) fn revoked(session: &Session, ended: &Claims, first: &CapabilityId) -> Event {
    ending(
        EventType::CapabilityRevoked,
        Actor::Operator,
        session,
        ended,
        first,
    )
}

fn ending(
    kind: EventType,
    actor: Actor,
    session: &Session,
    ended: &Claims,
    first: &CapabilityId,
) -> Event {
    let (grant, minted) = (ended.grant(), session.minted(&ended.jti));
    let event = caused(of_session(kind, actor, session), minted)
        .capability(ended.jti.clone())
        .resource(grant.resource)
        .action(grant.actions);
    if ended.jti == *first {
        event
    } else {
        event.attribute("with", first.as_str())
    }
}

/// A capability ended because of what its session has read.
pub(crate) fn flowed(
    session: &Session,
    ended: &Claims,
    first: &CapabilityId,
    labels: &str,
) -> Event {
    let kind = EventType::CapabilityRevoked;
    ending(kind, Actor::Broker, session, ended, first)
        .attribute("reason", "the session has read what is labelled")
        .attribute("labels", labels)
}

/// Capabilities are signed with another key from now on.
pub(crate) fn key_rotated(before: &str, after: &str) -> Event {
    Event::new(EventType::RegistryKeyRotated, Actor::Operator)
        .attribute("purpose", "capabilities")
        .attribute("kid_before", before)
        .attribute("kid", after)
}

/// The guard did or refused something.
pub(crate) fn operation(session: &Session, report: &OperationReport) -> Event {
    let (kind, decision, outcome) = if report.done {
        (
            EventType::OperationPerformed,
            AuditDecision::Allowed,
            Outcome::Succeeded,
        )
    } else {
        (
            EventType::OperationRefused,
            AuditDecision::Denied,
            Outcome::Blocked,
        )
    };
    let mut event = of_session(kind, Actor::Guard, session)
        .resource(report.resource.clone())
        .action(report.actions)
        .decision(decision)
        .outcome(outcome)
        .duration_us(report.duration_us)
        .attribute("operation", report.operation.as_str());
    if let Some(id) = &report.capability_id {
        event = caused(event.capability(id.clone()), session.minted(id));
    }
    if let Some(reason) = &report.reason {
        event = event.attribute("reason", reason.as_str());
    }
    if let Some(hash) = report.file_hash {
        event = event.file_hash(hash);
    }
    if let Some(address) = &report.address {
        event = event.attribute("address", address.as_str());
    }
    if let Some(name) = &report.server_name {
        event = event.attribute("server_name", name.as_str());
    }
    let counts = [
        ("bytes_read", report.bytes_read),
        ("bytes_written", report.bytes_written),
        ("rows", report.rows),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        event = event.attribute(name, count);
    }
    if report.count > 1 {
        event.attribute("count", report.count)
    } else {
        event
    }
}

/// The first approver came, and was taken on trust.
pub(crate) fn first_approver(approver: &Approver) -> Event {
    of_approver(EventType::RegistryApproverAdded, Actor::Operator, approver)
        .attribute("sequence", 1_u64)
        .attribute("on_trust", true)
}

/// An owner added or removed an approver.
pub(crate) fn approvers_changed(change: &SignedChange) -> Event {
    let signed = &change.signed;
    let kind = match &signed.change {
        Change::Add(_) => EventType::RegistryApproverAdded,
        Change::Remove(_) => EventType::RegistryApproverRemoved,
    };
    of_approver(kind, Actor::Approver, signed.change.approver())
        .attribute("by", signed.by.as_str())
        .attribute("sequence", signed.sequence)
        .attribute("registry", signed.registry.to_string().as_str())
        .attribute("signature", change.signature.as_str())
}

/// Root lets somebody answer for other people's sessions.
pub(crate) fn appointed(one: &Appointment, for_user: Option<&str>) -> Event {
    of_appointment(EventType::RegistryApproverAdded, one, for_user)
}

/// Root ended an appointment.
pub(crate) fn dismissed(one: &Appointment, for_user: Option<&str>) -> Event {
    of_appointment(EventType::RegistryApproverRemoved, one, for_user)
}

fn of_appointment(kind: EventType, one: &Appointment, for_user: Option<&str>) -> Event {
    Event::new(kind, Actor::Operator)
        .attribute("appointed", true)
        .attribute("approver", one.name.as_str())
        .attribute("roles", one.roles.join(",").as_str())
        .attribute("for", for_user.unwrap_or("everyone"))
}

/// A change of the approvers that stands in the log was not made after all.
pub(crate) fn approvers_unchanged(why: &str) -> Event {
    Event::new(EventType::AlertRaised, Actor::Broker)
        .outcome(Outcome::Failed)
        .attribute("reason", "the change of the approvers was not made")
        .attribute("why", why)
}

/// Somebody can open what is sealed from now on, or cannot any more.
pub(crate) fn auditors_changed(change: &ChangeAuditors, before: &Auditors) -> Event {
    let (kind, auditor) = match change {
        ChangeAuditors::Add(auditor) => (EventType::RegistryAuditorAdded, Some(auditor)),
        ChangeAuditors::Remove(name) => {
            let mut list = before.auditors.iter();
            let removed = list.find(|auditor| auditor.name == *name);
            (EventType::RegistryAuditorRemoved, removed)
        }
    };
    let event = Event::new(kind, Actor::Operator);
    match auditor {
        Some(auditor) => event
            .attribute("auditor", auditor.name.as_str())
            .attribute("public_key", auditor.recipient.as_str())
            .attribute("hand", u32::from(auditor.hand)),
        None => event,
    }
}

/// What is sealed of a person is thrown away.
pub(crate) fn erased(person: &str, because: &str) -> Event {
    Event::new(EventType::LogErased, Actor::Operator)
        .justification(because)
        .attribute("person", person)
}

/// Something that stands in the log was not done after all.
pub(crate) fn not_done(what: &str, why: &str) -> Event {
    Event::new(EventType::AlertRaised, Actor::Broker)
        .outcome(Outcome::Failed)
        .attribute("reason", format!("{what} was not made").as_str())
        .attribute("why", why)
}

fn of_approver(kind: EventType, actor: Actor, approver: &Approver) -> Event {
    Event::new(kind, actor)
        .attribute("approver", approver.name.as_str())
        .attribute("roles", approver.roles.join(",").as_str())
        .attribute("public_key", approver.public_key.as_str())
}
