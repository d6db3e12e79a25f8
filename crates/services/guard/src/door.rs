//! The agent door in the cell: what a program that knows Valetkey can ask for. Nothing here gives an approval, shows a token or widens the session.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use valetkey_api::{
    AgentAsk, AgentAskAll, AgentAskedAll, AgentNarrow, AgentRequestState, AgentStanding, Denials,
    DocumentOperation, Handler, Limits, LiveCapabilities, Problem, ProblemKind, Reply, Request,
    Route, find, serve,
};
use valetkey_capability::Capability;
use valetkey_model::{CapabilityId, RequestId};

use crate::desk::{Answer, Desk, Wanted};
use crate::document::Documents;
use crate::programs;

/// The longest wait in one call.
const MAX_WAIT_SECONDS: u64 = 55;
/// Requests of one call.
const MAX_REQUESTS: usize = 64;
/// The longest justification in bytes.
const MAX_JUSTIFICATION: usize = 2000;

/// Serves the agent.
#[derive(Debug)]
pub(crate) struct AgentDoor {
    pub(crate) desk: Arc<Desk>,
    pub(crate) documents: Arc<Documents>,
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

/// One call at the agent door in a cell. There is none that gives an approval, shows a token or widens the session.
#[derive(Debug)]
enum AgentCall {
    Ask(Box<AgentAsk>),
    AskAll(Vec<AgentAsk>),
    Look(RequestId, Duration),
    Capabilities,
    Narrow(CapabilityId, Box<AgentNarrow>),
    Release(CapabilityId),
    Denials,
    Operate(Box<DocumentOperation>),
    Keys,
}

/// A look at what is asked, to read it as one thing or as several.
#[derive(Debug, Deserialize)]
struct AskBody {
    requests: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ask,
    Look,
    Capabilities,
    Narrow,
    Release,
    Denials,
    Operate,
    Keys,
}

const ROUTES: [Route<Kind>; 8] = [
    Route::new("POST", "/v1/requests", Kind::Ask),
    Route::new("GET", "/v1/requests/{}", Kind::Look),
    Route::new("GET", "/v1/capabilities", Kind::Capabilities),
    Route::new("POST", "/v1/capabilities/{}/narrow", Kind::Narrow),
    Route::new("POST", "/v1/capabilities/{}/release", Kind::Release),
    Route::new("GET", "/v1/denials", Kind::Denials),
    Route::new("POST", "/v1/operations", Kind::Operate),
    Route::new("GET", "/.well-known/jwks.json", Kind::Keys),
];

impl TryFrom<&Request> for AgentCall {
    type Error = Problem;

    fn try_from(request: &Request) -> Result<Self, Problem> {
        let found = find(&ROUTES, request)
            .map_err(|problem| problem.hinted(false, "read /run/valetkey/README.md"))?;
        Ok(match found.kind {
            Kind::Ask if request.json::<AskBody>()?.requests.is_some() => {
                Self::AskAll(request.json::<AgentAskAll>()?.requests)
            }
            Kind::Ask => Self::Ask(Box::new(request.json()?)),
            Kind::Look => {
                let wait = request.query_number("wait")?.unwrap_or(0);
                let wait = Duration::from_secs(wait.min(MAX_WAIT_SECONDS));
                Self::Look(found.id(0)?, wait)
            }
            Kind::Capabilities => Self::Capabilities,
            Kind::Narrow => Self::Narrow(found.id(0)?, Box::new(request.json()?)),
            Kind::Release => Self::Release(found.id(0)?),
            Kind::Denials => Self::Denials,
            Kind::Operate => Self::Operate(Box::new(request.json()?)),
            Kind::Keys => Self::Keys,
        })
    }
}

impl AgentDoor {
    fn answer(&self, request: &Request) -> Result<Reply, Problem> {
        match AgentCall::try_from(request)? {
            AgentCall::Ask(ask) => self.ask(*ask),
            AgentCall::AskAll(all) => self.ask_all(all),
            AgentCall::Look(id, wait) => state(self.desk.look(&id, wait)?),
            AgentCall::Capabilities => {
                let live = self.desk.holdings.live();
                Ok(Reply::json(&LiveCapabilities {
                    capabilities: live
                        .iter()
                        .map(|held| Capability::clone(&held.capability()))
                        .collect(),
                    leases: Vec::new(),
                }))
            }
            AgentCall::Narrow(parent, wanted) => {
                let held = self.desk.narrow(&parent, *wanted)?;
                Ok(Reply::json(&*held.capability()))
            }
            AgentCall::Release(id) => Ok(Reply::json(&self.desk.release(&id)?)),
            AgentCall::Denials => Ok(Reply::json(&Denials {
                denials: self.desk.denials.list(),
            })),
            AgentCall::Operate(operation) => Ok(Reply::json(&self.documents.perform(*operation)?)),
            AgentCall::Keys => Ok(Reply::json_as(
                "application/jwk-set+json",
                &self.desk.holdings.keys().keys(),
            )),
        }
    }

    fn ask(&self, ask: AgentAsk) -> Result<Reply, Problem> {
        let (resource, actions) = (ask.resource.clone(), ask.actions);
        let answer = self.desk.ask(wanted(ask)?)?;
        if let Answer::Pending(id, _) = &answer {
            self.desk.notices.waiting(id, &resource, actions);
        }
        state(answer)
    }

    fn ask_all(&self, all: Vec<AgentAsk>) -> Result<Reply, Problem> {
        if all.is_empty() || all.len() > MAX_REQUESTS {
            let why = format!("between one and {MAX_REQUESTS} requests at once");
            return Err(Problem::new(ProblemKind::Invalid, why));
        }
        let of: Vec<_> = all
            .iter()
            .map(|ask| (ask.resource.clone(), ask.actions))
            .collect();
        let all = all.into_iter().map(wanted).collect::<Result<_, _>>()?;
        let answers = self.desk.ask_all(all)?;
        // One word to the person for all of them.
        let waiting = answers
            .iter()
            .zip(&of)
            .find_map(|(answer, of)| match answer {
                Ok(Answer::Pending(id, _)) => Some((id, of)),
                Ok(Answer::Held(..)) | Err(_) => None,
            });
        if let Some((id, (resource, actions))) = waiting {
            self.desk.notices.waiting(id, resource, *actions);
        }
        let requests = answers.into_iter().map(standing).collect();
        Ok(Reply::json(&AgentAskedAll { requests }))
    }
}

fn wanted(ask: AgentAsk) -> Result<Wanted, Problem> {
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
    // A program is asked for as it is now, so that policy and people know what they give.
    let resource = programs::pinned(ask.resource).map_err(|error| {
        Problem::new(
            ProblemKind::NotFound,
            format!("the program cannot be looked at: {error}"),
        )
    })?;
    Ok(Wanted {
        file: crate::facts::of(&resource),
        resource,
        actions: ask.actions,
        constraints: ask.constraints,
        justification: ask.justification,
        change: None,
        may_ask: true,
    })
}

fn standing(answer: Result<Answer, Problem>) -> AgentStanding {
    match answer {
        Ok(Answer::Held(request_id, held)) => AgentStanding::Granted {
            request_id,
            capability: Box::new(Capability::clone(&held.capability())),
        },
        Ok(Answer::Pending(request_id, expires_at)) => AgentStanding::Pending {
            request_id,
            expires_at,
        },
        Err(problem) => AgentStanding::Refused {
            problem: Box::new(problem),
        },
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The description is made from the types and compared by `cargo xtask check`; here its calls are held against the door's.
    #[test]
    fn every_call_of_the_door_in_a_cell_is_described_and_no_other() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../schemas/openapi-agent.json"
        );
        let text = std::fs::read_to_string(file).expect("read");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            let parts = path.split('/');
            let plain = parts.map(|part| if part.starts_with('{') { "{}" } else { part });
            let path = plain.collect::<Vec<_>>().join("/");
            for (method, operation) in methods.as_object().expect("methods") {
                let tags = operation["tags"].as_array().expect("tags");
                if tags.iter().any(|tag| tag == "cell") {
                    described.insert((method.to_uppercase(), path.clone()));
                }
            }
        }
        let own = ROUTES.iter();
        let own = own.map(|route| (route.method.to_owned(), route.path.to_owned()));
        assert_eq!(described, own.collect());
    }
}
