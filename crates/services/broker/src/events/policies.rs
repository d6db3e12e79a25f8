//! The events of policies on their way into force.

use serde_json::json;
use valetkey_api::Compared;
use valetkey_approval::{ApprovedChange, SignedPolicyChange, SignedTests};
use valetkey_audit::{Actor, Attribute, AuditDecision, Event, EventType};
use valetkey_model::Digest;
use valetkey_rollout::{CanaryOf, Installed, Stage};

use crate::policies::{Kind, Like};

/// Lines of a difference that stand in the event, and characters of each; its digest is over all of it.
const LINES_MAX: usize = 24;
const LINE_MAX: usize = 200;

/// What came with a signed change.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) approvals: &'a [SignedPolicyChange],
    pub(crate) difference: &'a [String],
    pub(crate) tests: &'a [SignedTests],
}

fn of_bundle(kind: EventType, actor: Actor, one: Installed) -> Event {
    Event::new(kind, actor)
        .attribute("bundle", one.bundle.to_string().as_str())
        .attribute("revision", one.revision)
}

/// A change that was signed: who, what it changes, which tests.
fn signed_change(kind: EventType, approved: &ApprovedChange, signed: &Signed<'_>) -> Event {
    let change = approved.change();
    let previous = change.previous.map(|digest| digest.to_string());
    let one = Installed {
        bundle: change.bundle,
        revision: change.revision,
    };
    let event = of_bundle(kind, Actor::Approver, one)
        .decision(AuditDecision::Approved)
        .attribute("previous", previous.as_deref().unwrap_or("base"))
        .attribute("sequence", change.sequence)
        .attribute("by", approved.by().join(", ").as_str())
        .attribute("difference", signed.difference.join("; ").as_str());
    match facts(signed) {
        Some(facts) => event.attribute("facts", facts),
        // A text that could trick a reader: what is above was made safe, and the signatures name the digests.
        None => event,
    }
}

fn facts(signed: &Signed<'_>) -> Option<Attribute> {
    let approvals = signed.approvals.iter().map(|one| {
        json!({
            "by": one.signed.by, "difference": one.signed.difference, "tests": one.signed.tests, "signature": one.signature,
        })
    });
    let lines = signed.difference.iter().take(LINES_MAX);
    let lines = lines.map(|line| line.chars().take(LINE_MAX).collect::<String>());
    let tests = signed.tests.iter().map(|one| {
        let tests = &one.signed;
        json!({
            "by": tests.by, "digest": one.digest().ok(), "passed": tests.passed, "failed": tests.failed,
            "coverage_permille": tests.coverage_permille, "mutants_permille": tests.mutants_permille,
        })
    });
    Attribute::facts(&json!({
        "approvals": approvals.collect::<Vec<_>>(), "difference": lines.collect::<Vec<_>>(),
        "lines": signed.difference.len(), "tests": tests.collect::<Vec<_>>(),
    }))
}

/// A bundle is about to be installed.
pub(crate) fn policy_installed(
    approved: &ApprovedChange,
    signed: &Signed<'_>,
    digest: Digest,
    signed_by: Option<&str>,
) -> Event {
    let name = format!("installed-{}", approved.change().revision);
    signed_change(EventType::PolicyInstalled, approved, signed)
        .policy(&name, Some(digest))
        .attribute("signed_by", signed_by.unwrap_or("nobody"))
}

/// A bundle that decided before is about to decide again.
pub(crate) fn policy_rolled_back(approved: &ApprovedChange, signed: &Signed<'_>) -> Event {
    signed_change(EventType::PolicyRolledBack, approved, signed)
}

/// The candidate is about to be asked, or to decide for some.
pub(crate) fn policy_staged(one: Installed, stage: &Stage) -> Event {
    let Stage::Canary(canary) = stage else {
        return of_bundle(EventType::PolicyShadowed, Actor::Approver, one);
    };
    let of = match &canary.of {
        CanaryOf::Agents(names) => {
            let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
            format!("agents {}", names.join(" "))
        }
        CanaryOf::Users(names) => format!("users {}", names.join(" ")),
        CanaryOf::Resources(places) => {
            let places: Vec<_> = places.iter().map(ToString::to_string).collect();
            format!("resources {}", places.join(" "))
        }
        CanaryOf::Percent(percent) => format!("{percent} % of sessions"),
    };
    of_bundle(EventType::PolicyCanaryStarted, Actor::Approver, one)
        .attribute("of", of.as_str())
        .attribute("max_rise_percent", canary.max_rise_percent)
        .attribute("window_seconds", canary.window_seconds)
        .attribute("min_requests", canary.min_requests)
}

/// The candidate is about to be in force.
pub(crate) fn policy_activated(
    one: Installed,
    before: Option<Installed>,
    compared: Option<Compared>,
) -> Event {
    let before = before.map(|before| before.bundle.to_string());
    let event = of_bundle(EventType::PolicyActivated, Actor::Approver, one)
        .attribute("previous", before.as_deref().unwrap_or("base"));
    with_figures(event, compared)
}

/// How a candidate's answers compared up to now.
fn with_figures(event: Event, compared: Option<Compared>) -> Event {
    let Some(compared) = compared else {
        return event;
    };
    event
        .attribute("same", compared.same)
        .attribute("wider", compared.wider)
        .attribute("narrower", compared.narrower)
        .attribute("otherwise", compared.otherwise)
        .attribute("failed", compared.failed)
        .attribute("skipped", compared.skipped)
}

/// The candidate is about to be taken away.
pub(crate) fn policy_withdrawn(one: Installed, compared: Option<Compared>) -> Event {
    with_figures(
        of_bundle(EventType::PolicyWithdrawn, Actor::Approver, one),
        compared,
    )
}

/// A canary was taken back.
pub(crate) fn canary_returned(one: Installed, compared: Compared) -> Event {
    let event = of_bundle(EventType::PolicyCanaryReturned, Actor::Broker, one)
        .attribute("reason", "it denied more than the policy in force");
    with_figures(event, Some(compared))
}

/// A candidate decided otherwise, so many times.
pub(crate) fn policy_differed(one: Installed, digest: Digest, kind: &Kind, like: &Like) -> Event {
    of_bundle(EventType::PolicyDiffered, Actor::Broker, one)
        .policy(&kind.policy_id, Some(digest))
        .resource(like.resource.clone())
        .action(like.actions)
        .attribute("difference", kind.difference.name())
        .attribute("live", kind.live)
        .attribute("candidate", kind.candidate)
        .attribute("count", like.count)
}

/// Something was not done with a policy.
pub(crate) fn policy_rejected(why: &str) -> Event {
    Event::new(EventType::PolicyRejected, Actor::Broker).attribute("reason", why)
}
