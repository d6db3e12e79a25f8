//! What can be said at the agent door outside of cells, read in one place.

use std::time::Duration;

use valetkey_api::{
    AgentAsk, AgentNarrow, EVALUATIONS_MAX, Evaluation, Evaluations, Problem, ProblemKind, Request,
    Route, find,
};
use valetkey_model::{CapabilityId, RequestId};

/// The longest wait for an answer in one call.
const MAX_WAIT_SECONDS: u64 = 60;
/// The longest justification in bytes.
const MAX_JUSTIFICATION: usize = 2000;

/// A call at the agent door.
#[derive(Debug)]
pub(super) enum AgentCall {
    /// Asks for access.
    Ask(Box<AgentAsk>),
    /// How a request stands.
    Look(RequestId, Duration),
    /// What the session holds.
    Capabilities,
    /// Makes a narrower capability from one.
    Narrow(CapabilityId, Box<AgentNarrow>),
    /// Gives a capability back.
    Release(CapabilityId),
    /// What was refused lately.
    Denials,
    /// The keys that tokens verify with.
    Keys,
    /// Where the decision point answers.
    Configuration,
    /// Asks for a decision.
    Evaluate(Box<Evaluation>),
    /// Asks for many.
    EvaluateAll(Box<Evaluations>),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ask,
    Look,
    Capabilities,
    Narrow,
    Release,
    Denials,
    Keys,
    Configuration,
    Evaluate,
    EvaluateAll,
}

const ROUTES: [Route<Kind>; 10] = [
    Route::new("POST", "/v1/requests", Kind::Ask),
    Route::new("GET", "/v1/requests/{}", Kind::Look),
    Route::new("GET", "/v1/capabilities", Kind::Capabilities),
    Route::new("POST", "/v1/capabilities/{}/narrow", Kind::Narrow),
    Route::new("POST", "/v1/capabilities/{}/release", Kind::Release),
    Route::new("GET", "/v1/denials", Kind::Denials),
    Route::new("GET", "/.well-known/jwks.json", Kind::Keys),
    Route::new(
        "GET",
        "/.well-known/authzen-configuration",
        Kind::Configuration,
    ),
    Route::new("POST", "/access/v1/evaluation", Kind::Evaluate),
    Route::new("POST", "/access/v1/evaluations", Kind::EvaluateAll),
];

impl TryFrom<&Request> for AgentCall {
    type Error = Problem;

    fn try_from(request: &Request) -> Result<Self, Problem> {
        let found = find(&ROUTES, request)?;
        Ok(match found.kind {
            Kind::Ask => {
                let ask: AgentAsk = request.json()?;
                if ask.actions.is_empty() {
                    return Err(invalid("no actions are asked for"));
                }
                justified(ask.justification.as_deref())?;
                Self::Ask(Box::new(ask))
            }
            Kind::Look => {
                let wait = request.query_number("wait")?.unwrap_or(0);
                let wait = Duration::from_secs(wait.min(MAX_WAIT_SECONDS));
                Self::Look(found.id(0)?, wait)
            }
            Kind::Capabilities => Self::Capabilities,
            Kind::Narrow => Self::Narrow(found.id(0)?, Box::new(request.json()?)),
            Kind::Release => Self::Release(found.id(0)?),
            Kind::Denials => Self::Denials,
            Kind::Keys => Self::Keys,
            Kind::Configuration => Self::Configuration,
            Kind::Evaluate => {
                let one: Evaluation = request.json()?;
                complete(&one)?;
                Self::Evaluate(Box::new(one))
            }
            Kind::EvaluateAll => {
                let batch: Evaluations = request.json()?;
                if batch.evaluations.len() > EVALUATIONS_MAX {
                    return Err(invalid(&format!("at most {EVALUATIONS_MAX} evaluations")));
                }
                let (all, _) = batch.clone().spread();
                all.iter().try_for_each(complete)?;
                Self::EvaluateAll(Box::new(batch))
            }
        })
    }
}

/// Whether an evaluation has what the specification requires of it.
fn complete(one: &Evaluation) -> Result<(), Problem> {
    for (name, is_there) in [
        ("subject", one.subject.is_some()),
        ("action", one.action.is_some()),
        ("resource", one.resource.is_some()),
    ] {
        if !is_there {
            return Err(invalid(&format!("`{name}` is missing")));
        }
    }
    justified(
        one.context
            .as_ref()
            .and_then(|context| context.justification.as_deref()),
    )
}

fn justified(text: Option<&str>) -> Result<(), Problem> {
    if text.is_some_and(|text| text.len() > MAX_JUSTIFICATION) {
        return Err(invalid(&format!(
            "a justification has at most {MAX_JUSTIFICATION} bytes"
        )));
    }
    Ok(())
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ProblemKind::Invalid, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::described;

    /// The description is made from the types and compared by `cargo xtask check`; here its calls are held against the door's.
    #[test]
    fn every_call_of_the_agent_door_is_described_and_no_other() {
        let own = ROUTES.iter().map(|route| (route.method, route.path));
        assert_eq!(
            described::calls("openapi-agent.json", "outside"),
            described::set(own)
        );
    }
}
