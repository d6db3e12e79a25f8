//! Opening a session: its rules, its guard under watch, and what the person gives it from the start.

use std::sync::Arc;

use valetkey_api::{
    Ask, OpenSession, Peer, Problem, ProblemKind, RefusedGrant, Reply, RequestState, SessionOpened,
    StartGrant,
};
use valetkey_model::{AgentFacts, Constraints, Grant, SessionId};

use crate::broker::Broker;
use crate::doors::guard::GuardDoor;
use crate::doors::guard::ending::{end_session, watch_guard};
use crate::events;
use crate::identify::PeerIdentity;
use crate::rules::OwnRules;
use crate::session::{Opening, Session};

/// Grants at the start of a session.
const MAX_GRANTS: usize = 64;

impl GuardDoor {
    /// Opens a session for the guard at the door.
    pub(super) async fn open(
        &self,
        guard: PeerIdentity,
        peer: &Peer,
        open: OpenSession,
    ) -> Result<Reply, Problem> {
        if open.grants.len() > MAX_GRANTS {
            return Err(Problem::new(
                ProblemKind::Invalid,
                format!("at most {MAX_GRANTS} grants at the start"),
            ));
        }
        let rules = match open.policy {
            None => OwnRules::none(),
            Some(files) => self.load_rules(files).await?,
        };
        let opening = Opening {
            user: self.0.admit(&guard)?,
            agent: AgentFacts {
                id: open.agent,
                digest: open.agent_digest,
                attested: false,
            },
            purpose: open.purpose,
            workspace: open.workspace.clone(),
            grants: open.grants.clone().into(),
            rules,
            enforcement: open.enforcement,
        };
        let now = self.0.now();
        let session_id = SessionId::new(now, Broker::random()?);
        let session = self
            .0
            .sessions
            .open(session_id.clone(), guard, opening, now)
            .ok_or_else(|| Problem::new(ProblemKind::Busy, "too many sessions are open"))?;
        let event = events::session_opened(
            &session,
            &self.0.policies.of(&session),
            &self.0.session_record(&session),
        );
        // Whatever is asked for at the start is recorded after it, and waited for.
        let recorded = if open.workspace.is_some() || !open.grants.is_empty() {
            self.0.recorder.precede(event)
        } else {
            self.0.recorder.note(vec![event]).await
        };
        match recorded {
            Ok(event) => session.set_opened(event),
            Err(problem) => {
                self.0.sessions.remove(&session_id);
                return Err(problem);
            }
        }
        if let Err(problem) = watch_guard(&self.0, &session, peer) {
            end_session(&self.0, &session, "its guard could not be watched", None).await?;
            return Err(problem);
        }
        self.grant_start(&session, open.workspace, open.grants)
            .await
    }

    async fn load_rules(&self, files: Vec<valetkey_api::BundleFile>) -> Result<OwnRules, Problem> {
        match OwnRules::load(files) {
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
        grants: Vec<StartGrant>,
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
            policy_digest: self.0.policies.of(session).digest(),
        };
        for grant in work
            .into_iter()
            .chain(grants.into_iter().map(|start| start.grant))
        {
            let ask = Ask {
                session: session.id.clone(),
                resource: grant.resource.clone(),
                actions: grant.actions,
                constraints: grant.constraints,
                justification: session.opening.purpose.clone(),
                file: None,
                change: None,
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
        session.opening.grants.begin();
        Ok(Reply::json(&opened))
    }
}
