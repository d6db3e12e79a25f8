//! What can be said at the agent door outside of cells, read in one place.

use std::time::Duration;

use valetkey_api::{
    AgentAsk, EVALUATIONS_MAX, Evaluation, Evaluations, Problem, ProblemKind, Request,
};
use valetkey_model::{CapabilityId, RequestId};

use crate::doors::{id, parts};

/// The longest wait for an answer in one call.
const MAX_WAIT_SECONDS: u64 = 60;
/// The longest justification in bytes.
const MAX_JUSTIFICATION: usize = 2000;

/// A call at the agent door.
#[derive(Debug)]
pub(super) enum AgentCall {
    /// Asks for access.
    Ask(AgentAsk),
    /// How a request stands.
    Look(RequestId, Duration),
    /// What the session holds.
    Capabilities,
    /// Gives a capability back.
    Release(CapabilityId),
    /// What was refused lately.
    Denials,
    /// The keys that tokens verify with.
    Keys,
    /// Where the decision point answers.
    Configuration,
    /// Asks for a decision.
    Evaluate(Evaluation),
    /// Asks for many.
    EvaluateAll(Evaluations),
}

impl AgentCall {
    /// Reads a call.
    ///
    /// # Errors
    /// When the door has no such call, or it is not of the documented form.
    pub(super) fn parse(request: &Request) -> Result<Self, Problem> {
        match (request.method.as_str(), parts(&request.path).as_slice()) {
            ("POST", ["v1", "requests"]) => {
                let ask: AgentAsk = request.json()?;
                if ask.actions.is_empty() {
                    return Err(invalid("no actions are asked for"));
                }
                justified(ask.justification.as_deref())?;
                Ok(Self::Ask(ask))
            }
            ("GET", ["v1", "requests", asked]) => {
                let wait = request.query_number("wait").unwrap_or(0);
                let wait = Duration::from_secs(wait.min(MAX_WAIT_SECONDS));
                Ok(Self::Look(id(asked)?, wait))
            }
            ("GET", ["v1", "capabilities"]) => Ok(Self::Capabilities),
            ("POST", ["v1", "capabilities", held, "release"]) => Ok(Self::Release(id(held)?)),
            ("GET", ["v1", "denials"]) => Ok(Self::Denials),
            ("GET", [".well-known", "jwks.json"]) => Ok(Self::Keys),
            ("GET", [".well-known", "authzen-configuration"]) => Ok(Self::Configuration),
            ("POST", ["access", "v1", "evaluation"]) => {
                let one: Evaluation = request.json()?;
                complete(&one)?;
                Ok(Self::Evaluate(one))
            }
            ("POST", ["access", "v1", "evaluations"]) => {
                let batch: Evaluations = request.json()?;
                if batch.evaluations.len() > EVALUATIONS_MAX {
                    return Err(invalid(&format!("at most {EVALUATIONS_MAX} evaluations")));
                }
                let (all, _) = batch.clone().spread();
                all.iter().try_for_each(complete)?;
                Ok(Self::EvaluateAll(batch))
            }
            _ => Err(super::super::unknown(request).hinted(
                false,
                "this door has `/v1/requests`, `/v1/capabilities`, `/v1/denials`, `/access/v1/evaluation` and `/access/v1/evaluations`",
            )),
        }
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
