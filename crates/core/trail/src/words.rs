//! The words of an event's short answers, as they stand in the log.

use valetkey_audit::{Actor, AuditDecision, Outcome};

/// The word of a decision.
#[must_use]
pub fn decision_name(decision: AuditDecision) -> &'static str {
    match decision {
        AuditDecision::Allowed => "allowed",
        AuditDecision::Denied => "denied",
        AuditDecision::Approved => "approved",
        AuditDecision::Refused => "refused",
        AuditDecision::Expired => "expired",
        AuditDecision::Observed => "observed",
    }
}

/// The word of an actor.
#[must_use]
pub fn actor_name(actor: Actor) -> &'static str {
    match actor {
        Actor::Broker => "broker",
        Actor::Guard => "guard",
        Actor::Agent => "agent",
        Actor::User => "user",
        Actor::Approver => "approver",
        Actor::Operator => "operator",
        Actor::Adapter => "adapter",
    }
}

/// The word of an outcome.
#[must_use]
pub fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Blocked => "blocked",
        Outcome::Interrupted => "interrupted",
        Outcome::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_log() {
        use serde_json::json;
        for decision in [
            AuditDecision::Allowed,
            AuditDecision::Denied,
            AuditDecision::Approved,
            AuditDecision::Refused,
            AuditDecision::Expired,
            AuditDecision::Observed,
        ] {
            assert_eq!(json!(decision), json!(decision_name(decision)));
        }
        for actor in [
            Actor::Broker,
            Actor::Guard,
            Actor::Agent,
            Actor::User,
            Actor::Approver,
            Actor::Operator,
            Actor::Adapter,
        ] {
            assert_eq!(json!(actor), json!(actor_name(actor)));
        }
        for outcome in [
            Outcome::Succeeded,
            Outcome::Failed,
            Outcome::Blocked,
            Outcome::Interrupted,
            Outcome::Unknown,
        ] {
            assert_eq!(json!(outcome), json!(outcome_name(outcome)));
        }
    }
}
