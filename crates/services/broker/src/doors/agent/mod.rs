//! The agent door outside of cells: a program that no guard holds asks for itself, by what the broker sees of it.
//!
//! Nothing here enforces anything. A capability from this door is a signed word for a program that enforces, such as an adapter; the agent
//! carries it there, so its answer holds the token. Agents in cells never see one.

mod authzen;
mod call;
mod session;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use valetkey_api::{
    AgentAsk, Ask, Denial, Denials, Handler, LiveCapabilities, OutsideCapability,
    OutsideRequestState, Problem, ProblemKind, Released, Reply, Request, RequestState,
};
use valetkey_model::{CapabilityId, RequestId};

use crate::attest::Attestor;
use crate::broker::Broker;
use crate::doors::{JWK_SET, reply};
use call::AgentCall;
use session::{Outsider, Outsiders};

/// What an agent outside of a cell can do after a refusal that asking may change.
const HOW_TO_REQUEST: &str =
    "POST /v1/requests at this socket with the resource, the actions and a justification";

/// What else to do while no further question is put to a person.
const CROWDED: &str = "programs outside of cells have as many questions open as a person can answer; ask again when some are closed";

/// Serves programs outside of cells.
#[derive(Debug)]
pub(crate) struct AgentDoor {
    broker: Arc<Broker>,
    outsiders: Arc<Outsiders>,
}

impl Handler for AgentDoor {
    fn handle(self: Arc<Self>, request: Request) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
        Box::pin(async move { reply(self.answer(&request).await) })
    }
}

impl AgentDoor {
    pub(crate) fn new(broker: Arc<Broker>, attestor: Arc<Attestor>) -> Self {
        Self {
            outsiders: Arc::new(Outsiders::new(Arc::clone(&broker), attestor)),
            broker,
        }
    }

    async fn answer(&self, request: &Request) -> Result<Reply, Problem> {
        let identity = self.broker.identify(&request.peer)?;
        let call = AgentCall::try_from(request)?;
        let outsider = match &call {
            AgentCall::Keys => return Ok(Reply::json_as(JWK_SET, &self.broker.jwks())),
            AgentCall::Configuration => return Ok(Reply::json(&authzen::configuration())),
            AgentCall::Ask(_)
            | AgentCall::Look(..)
            | AgentCall::Capabilities
            | AgentCall::Narrow(..)
            | AgentCall::Release(_)
            | AgentCall::Denials
            | AgentCall::Evaluate(_)
            | AgentCall::EvaluateAll(_) => self.outsiders.of(&request.peer, &identity).await?,
        };
        self.perform(&outsider, call).await
    }

    async fn perform(&self, outsider: &Outsider, call: AgentCall) -> Result<Reply, Problem> {
        let (broker, session) = (&self.broker, &outsider.session);
        match call {
            AgentCall::Ask(ask) => self.ask(outsider, *ask).await,
            AgentCall::Look(asked, wait) => self.look(outsider, &asked, wait).await,
            AgentCall::Capabilities => Ok(Reply::json(&LiveCapabilities {
                capabilities: session.live(broker.now()),
                leases: Vec::new(),
            })),
            AgentCall::Narrow(parent, wanted) => {
                let wanted = wanted.in_session(session.id.clone());
                let granted = broker.narrow(session, &parent, wanted).await?;
                Ok(Reply::json(&OutsideCapability::from(granted)))
            }
            AgentCall::Release(held) => self.release(outsider, &held).await,
            AgentCall::Denials => Ok(Reply::json(&Denials {
                denials: outsider.denials(),
            })),
            AgentCall::Keys => Ok(Reply::json_as(JWK_SET, &broker.jwks())),
            AgentCall::Configuration => Ok(Reply::json(&authzen::configuration())),
            AgentCall::Evaluate(one) => authzen::evaluate(broker, session, *one).await,
            AgentCall::EvaluateAll(batch) => authzen::evaluate_all(broker, session, *batch).await,
        }
    }

    async fn ask(&self, outsider: &Outsider, ask: AgentAsk) -> Result<Reply, Problem> {
        let (resource, actions) = (ask.resource.clone(), ask.actions);
        let is_crowded = self.outsiders.ask_enough();
        let ask = Ask {
            session: outsider.session.id.clone(),
            resource: ask.resource,
            actions: ask.actions,
            constraints: ask.constraints,
            justification: ask.justification,
            file: None,
            change: None,
            may_ask: !is_crowded,
        };
        let answered = self.broker.ask(&outsider.session, ask).await;
        if let Ok(RequestState::Pending { request_id, .. }) = &answered {
            outsider.waits_for(request_id.clone(), resource.clone(), actions);
        }
        let told = told(answered).map_err(|problem| {
            if is_crowded && problem.requestable {
                problem.hinted(true, CROWDED)
            } else {
                problem
            }
        });
        told.inspect_err(|problem| {
            outsider.refuse(Denial {
                time: self.broker.now(),
                resource,
                actions,
                problem: problem.clone(),
            });
        })
    }

    async fn look(
        &self,
        outsider: &Outsider,
        asked: &RequestId,
        wait: Duration,
    ) -> Result<Reply, Problem> {
        let broker = &self.broker;
        let state = broker.standing_of(&outsider.session, asked, wait).await;
        told(state).inspect_err(|problem| outsider.was_refused(asked, problem, self.broker.now()))
    }

    /// Takes a capability that its holder gives back out of what is live.
    async fn release(&self, outsider: &Outsider, id: &CapabilityId) -> Result<Reply, Problem> {
        let capabilities = self.broker.release(&outsider.session, id, None).await?;
        if capabilities.is_empty() {
            return Err(Problem::new(
                ProblemKind::NotFound,
                "this process has no such live capability",
            ));
        }
        Ok(Reply::json(&Released { capabilities }))
    }
}

/// What the peer is told of a request: a refusal is a problem, and says how to ask at this door.
fn told(state: Result<RequestState, Problem>) -> Result<Reply, Problem> {
    let here = |mut problem: Problem| {
        if problem.requestable && matches!(problem.kind, ProblemKind::Denied | ProblemKind::Expired)
        {
            problem.how_to_request = Some(HOW_TO_REQUEST.to_owned());
        }
        problem
    };
    let state = state.and_then(|state| OutsideRequestState::of(state).map_err(|problem| *problem));
    state.map(|state| Reply::json(&state)).map_err(here)
}
