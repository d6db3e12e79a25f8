//! The guard door: sessions, requests, uses and reports, from the guard that opened the session and nobody else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use valetkey_api::{
    Ask, CloseSession, Handler, OpenSession, Problem, ProblemKind, RefusedGrant, ReleaseCapability,
    Reply, Report, Request, RequestState, SessionOpened, UseCapability,
};
use valetkey_model::{AgentFacts, CapabilityId, Constraints, Grant, RequestId, SessionId};

use crate::broker::Broker;
use crate::doors::{id, parts, reply, unknown};
use crate::events;
use crate::identify::PeerIdentity;
use crate::rules::Rules;
use crate::session::{Opening, Session};

/// The longest wait for news or an answer in one call.
const MAX_WAIT_SECONDS: u64 = 60;
/// Operations in one report.
const MAX_REPORT: usize = 1024;
/// Grants at the start of a session.
const MAX_GRANTS: usize = 64;

/// Serves guards.
#[derive(Debug)]
pub(crate) struct GuardDoor(pub(crate) Arc<Broker>);

impl Handler for GuardDoor {
    fn handle(self: Arc<Self>, request: Request) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
        Box::pin(async move { reply(self.answer(&request).await) })
    }
}

impl GuardDoor {
    async fn answer(&self, request: &Request) -> Result<Reply, Problem> {
        let guard = self.0.identify(&request.peer)?;
        match (request.method.as_str(), parts(&request.path).as_slice()) {
            ("POST", ["v1", "sessions"]) => self.open(guard, request).await,
            ("POST", ["v1", "sessions", session, "close"]) => {
                let session = self.session(session, &guard)?;
                let close: CloseSession = request.json()?;
                end_session(
                    &self.0,
                    &session,
                    "closed by its guard",
                    Some(close.exit_status),
                )
                .await?;
                Ok(Reply::json(&()))
            }
            ("POST", ["v1", "requests"]) => {
                let ask: Ask = request.json()?;
                let session = self.session(ask.session.as_str(), &guard)?;
                if ask.actions.is_empty() {
                    return Err(Problem::new(
                        ProblemKind::Invalid,
                        "no actions are asked for",
                    ));
                }
                Ok(Reply::json(&self.0.ask(&session, ask).await?))
            }
            ("GET", ["v1", "sessions", session, "requests", asked]) => {
                let session = self.session(session, &guard)?;
                Ok(Reply::json(
                    &self.wait(&session, &id(asked)?, wait_of(request)).await?,
                ))
            }
            ("POST", ["v1", "sessions", session, "requests", asked, "withdraw"]) => {
                let session = self.session(session, &guard)?;
                self.withdraw(&session, &id(asked)?).await?;
                Ok(Reply::json(&()))
            }
            ("POST", ["v1", "sessions", session, "operations"]) => {
                let session = self.session(session, &guard)?;
                self.report(&session, &request.json()?).await?;
                Ok(Reply::json(&()))
            }
            ("GET", ["v1", "sessions", session, "news"]) => {
                let session = self.session(session, &guard)?;
                let after = request.query_number("after").unwrap_or(0);
                Ok(Reply::json(&session.news(after, wait_of(request)).await))
            }
            ("POST", ["v1", "capabilities", capability, "use"]) => {
                let usage: UseCapability = request.json()?;
                let session = self.session(usage.session.as_str(), &guard)?;
                self.use_up(&session, &id(capability)?, &usage.operation)
                    .await?;
                Ok(Reply::json(&()))
            }
            ("POST", ["v1", "capabilities", capability, "release"]) => {
                let release: ReleaseCapability = request.json()?;
                let session = self.session(release.session.as_str(), &guard)?;
                self.release(&session, &id(capability)?).await?;
                Ok(Reply::json(&()))
            }
            _ => Err(unknown(request)),
        }
    }

    fn session(&self, text: &str, guard: &PeerIdentity) -> Result<Arc<Session>, Problem> {
        let session: SessionId = id(text)?;
        self.0.sessions.of_guard(&session, guard).ok_or_else(|| {
            Problem::new(
                ProblemKind::NotFound,
                "this process has no such open session",
            )
        })
    }

    async fn open(&self, guard: PeerIdentity, request: &Request) -> Result<Reply, Problem> {
        let open: OpenSession = request.json()?;
        if open.grants.len() > MAX_GRANTS {
            return Err(Problem::new(
                ProblemKind::Invalid,
                format!("at most {MAX_GRANTS} grants at the start"),
            ));
        }
        let rules = match open.policy {
            None => Arc::clone(&self.0.built_in),
            Some(files) => Arc::new(self.load_rules(files).await?),
        };
        let opening = Opening {
            user: self.0.admit(&guard)?,
            agent: AgentFacts {
                id: open.agent,
                digest: open.agent_digest,
            },
            purpose: open.purpose,
            workspace: open.workspace.clone(),
            grants: open.grants.clone(),
            rules,
        };
        let now = self.0.now();
        let session_id = SessionId::new(now, Broker::random()?);
        let session = self
            .0
            .sessions
            .open(session_id.clone(), guard, opening, now)
            .ok_or_else(|| Problem::new(ProblemKind::Busy, "too many sessions are open"))?;
        match self
            .0
            .recorder
            .note(vec![events::session_opened(&session)])
            .await
        {
            Ok(event) => session.set_opened(event),
            Err(problem) => {
                self.0.sessions.remove(&session_id);
                return Err(problem);
            }
        }
        if let Err(problem) = watch_guard(&self.0, &session, request) {
            end_session(&self.0, &session, "its guard could not be watched", None).await?;
            return Err(problem);
        }
        self.grant_start(&session, open.workspace, open.grants)
            .await
    }

    async fn load_rules(&self, files: Vec<valetkey_api::BundleFile>) -> Result<Rules, Problem> {
        match Rules::load(files) {
            Ok(rules) => Ok(rules),
            Err(error) => {
                let event = valetkey_audit::Event::new(
                    valetkey_audit::EventType::PolicyRejected,
                    valetkey_audit::Actor::Broker,
                )
                .attribute("reason", error.as_str());
                self.0.recorder.note(vec![event]).await?;
                Err(Problem::new(ProblemKind::Invalid, error))
            }
        }
    }

    /// Asks, for the person who starts the session, for the workspace and the grants of the command line.
    async fn grant_start(
        &self,
        session: &Arc<Session>,
        workspace: Option<valetkey_model::Resource>,
        grants: Vec<Grant>,
    ) -> Result<Reply, Problem> {
        use valetkey_model::{Action, ActionSet};
        const WORK: ActionSet = ActionSet::of(&[
            Action::Read,
            Action::Write,
            Action::Append,
            Action::Create,
            Action::Delete,
            Action::Execute,
            Action::List,
            Action::Metadata,
        ]);
        let work = workspace.map(|resource| Grant {
            resource,
            actions: WORK,
            constraints: Constraints::default(),
            except: Vec::new(),
        });
        let mut opened = SessionOpened {
            session: session.id.clone(),
            keys: self.0.jwks(),
            granted: Vec::new(),
            refused: Vec::new(),
            policy_digest: session.policy_digest(),
        };
        for grant in work.into_iter().chain(grants) {
            let ask = Ask {
                session: session.id.clone(),
                resource: grant.resource.clone(),
                actions: grant.actions,
                constraints: grant.constraints,
                justification: session.opening.purpose.clone(),
                file: None,
                may_ask: false,
            };
            match self.0.ask(session, ask).await? {
                RequestState::Granted { granted, .. } => opened.granted.push(granted),
                RequestState::Refused { problem, .. } => opened.refused.push(RefusedGrant {
                    resource: grant.resource,
                    actions: grant.actions,
                    problem,
                }),
                RequestState::Pending { .. } => {
                    return Err(Problem::new(
                        ProblemKind::Unavailable,
                        "a question was opened where none may be",
                    ));
                }
            }
        }
        Ok(Reply::json(&opened))
    }

    async fn wait(
        &self,
        session: &Session,
        asked: &RequestId,
        wait: Duration,
    ) -> Result<RequestState, Problem> {
        let own = self
            .0
            .questions
            .awaited(asked, self.0.now())
            .filter(|question| question.asked.session == session.id);
        if let Some(question) = own {
            let mut state = question.state.subscribe();
            let answered = state.wait_for(|state| !matches!(state, RequestState::Pending { .. }));
            return match tokio::time::timeout(wait, answered).await {
                Ok(Ok(state)) => Ok(state.clone()),
                Ok(Err(_)) => Err(Problem::new(
                    ProblemKind::Unavailable,
                    "the question is gone",
                )),
                Err(_) => Ok(question.state.borrow().clone()),
            };
        }
        self.0
            .questions
            .ended(asked, &session.id)
            .ok_or_else(|| Problem::new(ProblemKind::NotFound, "this session has no such request"))
    }

    async fn withdraw(&self, session: &Session, asked: &RequestId) -> Result<(), Problem> {
        match self
            .0
            .questions
            .find(asked)
            .filter(|question| question.asked.session == session.id)
        {
            Some(question) => {
                self.0
                    .close_unanswered(&question, session, "the agent stopped waiting")
                    .await
            }
            None => Ok(()),
        }
    }

    async fn report(&self, session: &Session, report: &Report) -> Result<(), Problem> {
        if report.operations.len() > MAX_REPORT {
            return Err(Problem::new(
                ProblemKind::Invalid,
                format!("at most {MAX_REPORT} operations in one report"),
            ));
        }
        let events = report
            .operations
            .iter()
            .map(|operation| events::operation(session, operation));
        if report.durable && !report.operations.is_empty() {
            return self.0.recorder.note_each(events.collect()).await;
        }
        for event in events {
            self.0.recorder.stream(event)?;
        }
        Ok(())
    }

    /// Uses a capability up, once for all time: the ledger keeps it across crashes before anybody is told yes.
    async fn use_up(
        &self,
        session: &Session,
        capability: &CapabilityId,
        operation: &str,
    ) -> Result<(), Problem> {
        let refused = || {
            Problem::new(
                ProblemKind::Capability,
                "the capability is used up, expired or revoked",
            )
            .hinted(true, "ask for a new one at POST /v1/requests")
        };
        let held = session
            .find_live(capability, self.0.now())
            .ok_or_else(refused)?;
        if held.constraints.is_single_use() {
            let first = self
                .0
                .ledger
                .consume(capability, held.expires_at)
                .map_err(|error| {
                    Problem::new(
                        ProblemKind::Unavailable,
                        format!("the use could not be kept: {error}"),
                    )
                })?;
            session.forget(capability);
            if !first {
                self.0
                    .recorder
                    .note(vec![events::used(session, &held, operation, false)])
                    .await?;
                return Err(refused());
            }
        }
        self.0
            .recorder
            .note_each(vec![events::used(session, &held, operation, true)])
            .await
    }
}

impl GuardDoor {
    /// Takes a capability that its holder gives back out of what is live.
    async fn release(&self, session: &Session, capability: &CapabilityId) -> Result<(), Problem> {
        match session.find_live(capability, self.0.now()) {
            Some(held) => {
                session.forget(capability);
                self.0
                    .recorder
                    .note_each(vec![events::released(session, &held)])
                    .await
            }
            None => Ok(()),
        }
    }
}

fn wait_of(request: &Request) -> Duration {
    Duration::from_secs(
        request
            .query_number("wait")
            .unwrap_or(0)
            .min(MAX_WAIT_SECONDS),
    )
}

/// Ends a session: nothing of it is good any more, its questions close, and the log says how it ended.
pub(crate) async fn end_session(
    broker: &Broker,
    session: &Session,
    how: &str,
    exit_status: Option<u8>,
) -> Result<(), Problem> {
    if !session.end() {
        return Ok(());
    }
    broker.sessions.remove(&session.id);
    let mut written = Vec::new();
    for question in broker.questions.drop_session(&session.id) {
        written.push(events::unanswered(
            session,
            &question.asked,
            &question.put,
            "the session ended",
        ));
    }
    let age = broker.now().ms_since(session.opened_at);
    written.push(events::session_closed(session, how, exit_status, age));
    broker.recorder.note_each(written).await
}

/// Ends the session when its guard's process ends, however it ends.
fn watch_guard(
    broker: &Arc<Broker>,
    session: &Arc<Session>,
    request: &Request,
) -> Result<(), Problem> {
    let gone = |error: std::io::Error| {
        Problem::new(
            ProblemKind::Unavailable,
            format!("the guard cannot be watched: {error}"),
        )
    };
    let pidfd = request
        .peer
        .pidfd
        .as_ref()
        .ok_or_else(|| Problem::new(ProblemKind::Denied, "the kernel does not name this process"))?
        .try_clone()
        .map_err(gone)?;
    #[expect(
        deprecated,
        reason = "the replacement is unsafe; an `OwnedFd`, which stays open while it is registered, is what it asks for"
    )]
    let watched = AsyncFd::with_interest(pidfd, Interest::READABLE).map_err(gone)?;
    let (broker, session) = (Arc::clone(broker), Arc::clone(session));
    tokio::spawn(async move {
        // An error here is as good as the end: a guard that cannot be watched is not trusted further.
        drop(
            watched
                .readable()
                .await
                .map(|mut ready| ready.retain_ready()),
        );
        // The session is over in memory whether or not its end could be recorded.
        drop(end_session(&broker, &session, "its guard died", None).await);
    });
    Ok(())
}
