//! The guard door: sessions, requests, uses and reports, from the guard that opened the session and nobody else.

mod call;
mod ending;
mod opening;

pub(crate) use ending::end_session;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use valetkey_api::{
    Ask, AskAll, AskedAll, Handler, Problem, ProblemKind, Released, Reply, Report, Request,
    RequestState,
};
use valetkey_model::{RequestId, SessionId};

use crate::asking::BATCH_MAX;
use crate::broker::Broker;
use crate::doors::{JWK_SET, reply};
use crate::events;
use crate::identify::PeerIdentity;
use crate::session::Session;
use call::{GuardCall, SessionCall};

/// Operations in one report.
const MAX_REPORT: usize = 1024;

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
        // Who is not a guard learns nothing, not even what there is to call.
        let guard = self.0.identify(&request.peer)?;
        match GuardCall::try_from(request)? {
            GuardCall::Open(open) => self.open(guard, &request.peer, *open).await,
            GuardCall::Keys => Ok(Reply::json_as(JWK_SET, &self.0.jwks())),
            GuardCall::News {
                session,
                after,
                wait,
            } => {
                let session = self.0.sessions.heard_of_guard(&session, &guard);
                let session = session.ok_or_else(no_session)?;
                Ok(Reply::json(&session.news(after, wait).await))
            }
            GuardCall::InSession(session, call) => {
                let session = self.session(&session, &guard)?;
                self.in_session(&session, call).await
            }
        }
    }

    fn session(&self, id: &SessionId, guard: &PeerIdentity) -> Result<Arc<Session>, Problem> {
        self.0.sessions.of_guard(id, guard).ok_or_else(no_session)
    }

    async fn in_session(
        &self,
        session: &Arc<Session>,
        call: SessionCall,
    ) -> Result<Reply, Problem> {
        let broker = &self.0;
        match call {
            SessionCall::Close(close) => {
                let status = Some(close.exit_status);
                end_session(broker, session, "closed by its guard", status).await?;
                Ok(Reply::json(&()))
            }
            SessionCall::Ask(ask) => self.ask(session, *ask).await,
            SessionCall::AskAll(all) => self.ask_all(session, *all).await,
            SessionCall::Consider(ask) => Ok(Reply::json(&broker.consider(session, &ask)?)),
            SessionCall::Looked(asked, looked) => {
                // Nobody may wait for it any more; that is no fault of the guard's.
                let _awaited = broker.questions.looked(&asked, &session.id, looked.files);
                Ok(Reply::json(&()))
            }
            SessionCall::Wait(asked, wait) => Ok(Reply::json(
                &broker.standing_of(session, &asked, wait).await?,
            )),
            SessionCall::Withdraw(asked) => {
                broker.withdraw(session, &asked).await?;
                Ok(Reply::json(&()))
            }
            SessionCall::Report(report) => {
                self.report(session, &report).await?;
                Ok(Reply::json(&()))
            }
            SessionCall::Use(capability, usage) => {
                broker
                    .use_up(session, &capability, &usage.operation)
                    .await?;
                Ok(Reply::json(&()))
            }
            SessionCall::Narrow(parent, narrow) => Ok(Reply::json(
                &broker.narrow(session, &parent, *narrow).await?,
            )),
            SessionCall::Release(capability, release) => {
                let successor = release.successor.as_ref();
                let capabilities = broker.release(session, &capability, successor).await?;
                Ok(Reply::json(&Released { capabilities }))
            }
        }
    }

    async fn ask(&self, session: &Arc<Session>, ask: Ask) -> Result<Reply, Problem> {
        if ask.actions.is_empty() {
            let why = "no actions are asked for";
            return Err(Problem::new(ProblemKind::Invalid, why));
        }
        Ok(Reply::json(&self.0.ask(session, ask).await?))
    }

    async fn ask_all(&self, session: &Arc<Session>, all: AskAll) -> Result<Reply, Problem> {
        let fits = |ask: &Ask| ask.session == session.id && !ask.actions.is_empty();
        if all.requests.len() > BATCH_MAX || !all.requests.iter().all(fits) {
            let why = format!("at most {BATCH_MAX} requests of this session, each with actions");
            return Err(Problem::new(ProblemKind::Invalid, why));
        }
        let mut requests = Vec::with_capacity(all.requests.len());
        for state in self.0.ask_all(session, all.requests).await {
            requests.push(match state {
                Ok(state) => state,
                Err(problem) => RequestState::Refused {
                    request_id: match &problem.request_id {
                        Some(id) => id.clone(),
                        None => RequestId::new(self.0.now(), Broker::random()?),
                    },
                    problem,
                },
            });
        }
        Ok(Reply::json(&AskedAll { requests }))
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
}

fn no_session() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "this process has no such open session",
    )
}
