//! AuthZEN 1.0: a decision by policy for the peer itself. No capability comes of it, and nobody is asked.

use std::sync::Arc;

use valetkey_api::{
    Ask, DecisionContext, DecisionPoint, Entity, Evaluation, EvaluationDecision,
    EvaluationDecisions, Evaluations, Problem, Reply, Semantic,
};
use valetkey_audit::Event;
use valetkey_model::{
    Action, ActionSet, Constraints, Decision, Digest, Effect, RequestId, Resource,
};

use super::HOW_TO_REQUEST;
use crate::broker::Broker;
use crate::events;
use crate::session::Session;

/// Where the decision point answers. It has no host: a peer reaches it through the socket alone.
pub(super) fn configuration() -> DecisionPoint {
    let at = |path: &str| format!("http://localhost{path}");
    DecisionPoint {
        policy_decision_point: at(""),
        access_evaluation_endpoint: at("/access/v1/evaluation"),
        access_evaluations_endpoint: at("/access/v1/evaluations"),
    }
}

/// Decides one evaluation.
///
/// # Errors
/// When the decision could not be recorded. It is not told then.
pub(super) async fn evaluate(
    broker: &Broker,
    session: &Arc<Session>,
    one: Evaluation,
) -> Result<Reply, Problem> {
    let (decision, event) = decide(broker, session, one)?;
    broker
        .recorder
        .note_each(event.into_iter().collect())
        .await?;
    Ok(Reply::json(&decision))
}

/// Decides a batch in order, as far as its semantic goes.
///
/// # Errors
/// When the decisions could not be recorded. None is told then.
pub(super) async fn evaluate_all(
    broker: &Broker,
    session: &Arc<Session>,
    batch: Evaluations,
) -> Result<Reply, Problem> {
    let semantic = batch.options.evaluations_semantic;
    let (all, is_batch) = batch.spread();
    let mut evaluations = Vec::with_capacity(all.len());
    let mut events = Vec::with_capacity(all.len());
    for one in all {
        let (decision, event) = decide(broker, session, one)?;
        let last = match semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !decision.decision,
            Semantic::PermitOnFirstPermit => decision.decision,
        };
        evaluations.push(decision);
        events.extend(event);
        if last {
            break;
        }
    }
    broker.recorder.note_each(events).await?;
    match (is_batch, evaluations.pop()) {
        (false, Some(only)) => Ok(Reply::json(&only)),
        (_, last) => {
            evaluations.extend(last);
            Ok(Reply::json(&EvaluationDecisions { evaluations }))
        }
    }
}

/// Decides, and gives the event of it where there is a resource that the log can name.
fn decide(
    broker: &Broker,
    session: &Arc<Session>,
    one: Evaluation,
) -> Result<(EvaluationDecision, Option<Event>), Problem> {
    let id = RequestId::new(broker.now(), Broker::random()?);
    let is_self = one
        .subject
        .as_ref()
        .is_some_and(|subject| is_peer(subject, session));
    let ask = match asked(session, one) {
        Ok(ask) => ask,
        Err(why) => {
            let decision = Decision::denied("valetkey/form", &why);
            let own = (&decision, broker.policies.of(session).digest());
            return Ok((said(id, own, &Constraints::default()), None));
        }
    };
    if !is_self {
        let why = "a process may ask about itself alone: as {\"type\":\"agent\",\"id\":\"self\"}";
        let decision = Decision::denied("valetkey/subject", why);
        let own = (&decision, broker.policies.of(session).digest());
        let event = events::decided(session, &ask, &id, own, 0);
        return Ok((said(id, own, &ask.constraints), Some(event)));
    }
    let (decided, event) = broker.decide(session, &ask, &id);
    let own = (&decided.decision, decided.policy_digest);
    Ok((said(id, own, &ask.constraints), Some(event)))
}

/// Whether a subject is the peer: by the word `self`, its attested name, or its session.
fn is_peer(subject: &Entity, session: &Session) -> bool {
    match subject.kind.as_str() {
        "agent" => subject.id == "self" || subject.id == session.opening.agent.id.as_str(),
        "session" => subject.id == session.id.as_str(),
        _ => false,
    }
}

/// An evaluation in Valetkey's words: a resource is its canonical text, or what follows its scheme where that is the type.
fn asked(session: &Session, one: Evaluation) -> Result<Ask, String> {
    let missing = || "it is not whole".to_owned();
    let (action, entity) = (
        one.action.ok_or_else(missing)?,
        one.resource.ok_or_else(missing)?,
    );
    let action: Action = action
        .name
        .parse()
        .map_err(|error: valetkey_model::ParseActionError| error.to_string())?;
    let text = if entity.kind == "resource" {
        entity.id
    } else {
        format!("{}:{}", entity.kind, entity.id)
    };
    let resource: Resource = text
        .parse()
        .map_err(|error: valetkey_model::ParseResourceError| error.to_string())?;
    let context = one.context.unwrap_or_default();
    Ok(Ask {
        session: session.id.clone(),
        resource,
        actions: ActionSet::of(&[action]),
        constraints: context.constraints,
        justification: context.justification,
        file: None,
        change: None,
        may_ask: false,
    })
}

/// What the peer is told. It is a yes only where policy allows the whole of it as it was asked: a limit or an exception that only the
/// answer would name could be passed over by whoever reads no more than the decision.
fn said(
    request_id: RequestId,
    (decision, policy_digest): (&Decision, Digest),
    offered: &Constraints,
) -> EvaluationDecision {
    let reasons = decision.reasons.join("; ");
    let reason = |otherwise: &str| {
        if reasons.is_empty() {
            otherwise.to_owned()
        } else {
            reasons.clone()
        }
    };
    let within = offered.tightest(&decision.constraints) == *offered && decision.except.is_empty();
    let (yes, why, requestable) = match decision.effect {
        Effect::Allow if within => (true, reason("policy allows it"), false),
        Effect::Allow => (
            false,
            "policy allows it only within limits, which a capability carries".to_owned(),
            true,
        ),
        Effect::Ask => (false, "a person must be asked first".to_owned(), true),
        Effect::Deny => (
            false,
            reason("policy does not allow it"),
            decision.requestable,
        ),
    };
    EvaluationDecision {
        decision: yes,
        context: DecisionContext {
            request_id,
            reason_user: why,
            reason_admin: format!("{}: {}", decision.policy_id, reason("no reason is given")),
            requestable,
            how_to_request: requestable.then(|| HOW_TO_REQUEST.to_owned()),
            policy_id: decision.policy_id.clone(),
            policy_digest,
        },
    }
}
