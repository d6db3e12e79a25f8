//! The agent door in the cell: what a program that knows Valetkey can ask for. Nothing here gives an approval, shows a token or widens the session.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use valetkey_api::{
    AgentAsk, AgentRequestState, Handler, Limits, Problem, ProblemKind, Reply, Request, serve,
};
use valetkey_capability::Capability;
use valetkey_model::RequestId;

use crate::denials::Denial;
use crate::desk::{Answer, Desk, Wanted};
use crate::document::Documents;

/// The longest wait in one call.
const MAX_WAIT_SECONDS: u64 = 55;
/// The longest justification in bytes.
const MAX_JUSTIFICATION: usize = 2000;

/// Serves the agent.
#[derive(Debug)]
pub(crate) struct AgentDoor {
    pub(crate) desk: Arc<Desk>,
    pub(crate) documents: Arc<Documents>,
}

#[derive(Debug, Serialize)]
struct Held {
    capabilities: Vec<Capability>,
}

#[derive(Debug, Serialize)]
struct Refused {
    denials: Vec<Denial>,
}

impl Handler for AgentDoor {
    fn handle(self: Arc<Self>, request: Request) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
        Box::pin(async move {
            // Requests wait for the broker and for people: each on a thread that may block.
            let answered = tokio::task::spawn_blocking(move || self.answer(&request)).await;
            match answered {
                Ok(Ok(reply)) => reply,
                Ok(Err(problem)) => problem.into(),
                Err(_) => {
                    Problem::new(ProblemKind::Unavailable, "the request could not be handled")
                        .into()
                }
            }
        })
    }
}

impl AgentDoor {
    fn answer(&self, request: &Request) -> Result<Reply, Problem> {
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["v1", "requests"]) => self.ask(request.json()?),
            ("GET", ["v1", "requests", id]) => {
                let id: RequestId = id.parse().map_err(|error: valetkey_model::ParseIdError| {
                    Problem::new(ProblemKind::Invalid, error.to_string())
                })?;
                let wait = request
                    .query_number("wait")
                    .unwrap_or(0)
                    .min(MAX_WAIT_SECONDS);
                state(self.desk.look(&id, Duration::from_secs(wait))?)
            }
            ("GET", ["v1", "capabilities"]) => {
                let live = self.desk.holdings.live();
                Ok(Reply::json(&Held {
                    capabilities: live
                        .iter()
                        .map(|held| Capability::clone(&held.capability()))
                        .collect(),
                }))
            }
            ("GET", ["v1", "denials"]) => Ok(Reply::json(&Refused {
                denials: self.desk.denials.list(),
            })),
            ("POST", ["v1", "operations"]) => {
                Ok(Reply::json(&self.documents.perform(request.json()?)?))
            }
            _ => Err(
                Problem::new(ProblemKind::NotFound, "the agent door has no such call")
                    .hinted(false, "read /run/valetkey/README.md"),
            ),
        }
    }

    fn ask(&self, ask: AgentAsk) -> Result<Reply, Problem> {
        if ask.actions.is_empty() {
            return Err(Problem::new(
                ProblemKind::Invalid,
                "no actions are asked for",
            ));
        }
        if ask
            .justification
            .as_ref()
            .is_some_and(|text| text.len() > MAX_JUSTIFICATION)
        {
            return Err(Problem::new(
                ProblemKind::Invalid,
                format!("a justification has at most {MAX_JUSTIFICATION} bytes"),
            ));
        }
        let wanted = Wanted {
            file: crate::facts::of(&ask.resource),
            resource: ask.resource.clone(),
            actions: ask.actions,
            constraints: ask.constraints,
            justification: ask.justification,
            may_ask: true,
        };
        let answer = self.desk.ask(wanted)?;
        if let Answer::Pending(id, _) = &answer {
            self.desk.notices.waiting(id, &ask.resource, ask.actions);
        }
        state(answer)
    }
}

fn state(answer: Answer) -> Result<Reply, Problem> {
    Ok(Reply::json(&match answer {
        Answer::Held(request_id, held) => AgentRequestState::Granted {
            request_id,
            capability: Box::new(Capability::clone(&held.capability())),
        },
        Answer::Pending(request_id, expires_at) => AgentRequestState::Pending {
            request_id,
            expires_at,
        },
    }))
}

/// Serves the door on a thread of its own until the process ends.
///
/// # Errors
/// When the thread or its runtime cannot be started.
pub(crate) fn open(listener: OwnedFd, door: AgentDoor) -> std::io::Result<()> {
    let listener = UnixListener::from(listener);
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(64)
        .build()?;
    let limits = Limits {
        connections: 64,
        ..Limits::default()
    };
    std::thread::Builder::new()
        .name("agent-door".to_owned())
        .spawn(move || {
            // It ends with the session; an unusable listener leaves the agent without a door, and so without a way to ask.
            drop(runtime.block_on(serve(listener, Arc::new(door), limits)));
        })?;
    Ok(())
}
