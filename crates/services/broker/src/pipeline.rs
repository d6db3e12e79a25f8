//! The one story: identify → canonicalise → decide → (approve) → record → mint.
//!
//! A request comes in with its resource parsed and its session found. Policy decides; where it says `ask`, a question is opened and this
//! ends with `Pending`, to go on in [`Broker::answer`] when people have spoken. The record is durable before a capability is signed:
//! [`Broker::mint`] takes nothing but a `Recorded<(Allowed, Claims)>`. What becomes of a capability afterwards is told in `life.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use valetkey_api::{Ask, Granted, Outcome, Problem, ProblemKind, RequestState};
use valetkey_approval::{Asked, SignedApproval, Standing, standing};
use valetkey_capability::{AUDIENCE_GUARD, AuthorizationDetail, Capability, Claims, Confirmation};
use valetkey_model::{
    CapabilityId, ContextFacts, Decision, Effect, EventId, Grant, Lease, LeaseScope, PolicyInput,
    RequestFacts, RequestId, Resource, ResourceFacts, SessionFacts, SubjectFacts, Timestamp,
};

use crate::broker::Broker;
use crate::events;
use crate::issuer::Issuers;
use crate::life::unkept;
use crate::question::Question;
use crate::session::Session;
use crate::witness::{Allowed, Narrowed, Pending, Recorded, life};

/// Who signs, as capabilities name it.
const ISSUER: &str = "local-broker";

impl Broker {
    /// Takes a request as far as it can go at once.
    ///
    /// # Errors
    /// When something could not be recorded or named. Nothing is granted then.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        session: &Arc<Session>,
        ask: Ask,
    ) -> Result<RequestState, Problem> {
        let id = RequestId::new(self.now(), Self::random()?);
        let (decision, decided) = self.decide(session, &ask, &id);
        let grant = granted(&ask, &decision);
        match decision.effect {
            Effect::Deny => {
                self.recorder.note(vec![decided]).await?;
                Ok(RequestState::Refused {
                    problem: refusal(&id, &decision),
                    request_id: id,
                })
            }
            Effect::Ask if !ask.may_ask => {
                self.recorder.note(vec![decided]).await?;
                let problem = Problem::new(ProblemKind::Denied, "a person must be asked first")
                    .about(&id)
                    .hinted(true, HOW_TO_REQUEST);
                Ok(RequestState::Refused {
                    problem,
                    request_id: id,
                })
            }
            Effect::Ask => {
                self.open_question(session, ask, id, grant, decision, decided)
                    .await
            }
            Effect::Allow => {
                let allowed =
                    Allowed::by_policy(id.clone(), grant, &decision).ok_or_else(|| {
                        Problem::new(ProblemKind::Denied, "policy did not allow this")
                    })?;
                let granted = self
                    .record_and_mint(session, allowed, vec![decided])
                    .await?;
                Ok(RequestState::Granted {
                    request_id: id,
                    granted,
                })
            }
        }
    }

    /// What policy says of a request, and the event that tells of it.
    pub(crate) fn decide(
        &self,
        session: &Session,
        ask: &Ask,
        id: &RequestId,
    ) -> (Decision, valetkey_audit::Event) {
        let started = Instant::now();
        let decision = if session.was_taken_back(&ask.resource, ask.actions) {
            Decision::denied(
                "valetkey/revoked",
                "a person took this back from the session",
            )
        } else {
            let input = self.input(session, ask, id, self.now());
            let age = session.begun_seconds(self.now());
            let mut decision = session.opening.rules.decide(&input);
            if let Some(left) = session.opening.seconds_left(&ask.resource, age) {
                // What the person granted for a time does not outlast it.
                decision.ttl_seconds = decision.ttl_seconds.min(left);
            }
            decision
        };
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let decided = events::decided(session, ask, id, &decision, took_us);
        (decision, decided)
    }

    fn input(&self, session: &Session, ask: &Ask, id: &RequestId, now: Timestamp) -> PolicyInput {
        let age_seconds = now.ms_since(session.opened_at) / 1000;
        let (last_minute, last_hour) = session.count_request(now);
        let opening = &session.opening;
        let mut resource = ResourceFacts::of(&ask.resource);
        if let Some(file) = &ask.file {
            resource.kind = Some(file.kind);
            resource.size = Some(file.size);
            resource.owner = Some(file.owner);
            resource.mode = Some(file.mode);
            resource.links = Some(file.links);
        }
        PolicyInput {
            request: RequestFacts {
                id: id.clone(),
                resource: ask.resource.clone(),
                actions: ask.actions,
                constraints: ask.constraints.clone(),
                justification: ask.justification.clone(),
                granted_by_person: None,
            },
            subject: SubjectFacts {
                user: opening.user.clone(),
                agent: opening.agent.clone(),
                session: SessionFacts {
                    id: session.id.clone(),
                    purpose: opening.purpose.clone(),
                    workspace: opening.workspace.clone(),
                    grants: opening.grants_at(session.begun_seconds(now)),
                    age_seconds,
                    labels: Vec::new(),
                },
            },
            resource,
            context: ContextFacts {
                time: now,
                platform: "linux".to_owned(),
                requests_last_minute: last_minute,
                requests_last_hour: last_hour,
                protected: self
                    .protected_for(&opening.user)
                    .iter()
                    .filter_map(|path| Resource::tree(path).ok())
                    .collect(),
            },
        }
        .with_derived_facts()
    }

    async fn open_question(
        self: &Arc<Self>,
        session: &Arc<Session>,
        ask: Ask,
        id: RequestId,
        grant: Grant,
        decision: Decision,
        decided: valetkey_audit::Event,
    ) -> Result<RequestState, Problem> {
        let asked = question_of(session, ask, &id, grant, &decision, self.now())?;
        let expires_at = asked.expires_at;
        let put = events::asked(session, &asked);
        let put = self.recorder.note(vec![decided, put]).await?;
        let Some(question) = self.questions.open(asked.clone(), put.clone(), decision) else {
            let why = "the session has too many open questions";
            self.recorder
                .note(vec![events::unanswered(session, &asked, &put, why)])
                .await?;
            return Err(Problem::new(ProblemKind::Busy, why)
                .about(&id)
                .hinted(true, "wait until some of them are answered"));
        };
        self.bulletin.changed(session.opening.user.uid);
        // The session may have ended between look-up and here; then nobody would close the question.
        if !session.is_open() {
            self.close_unanswered(&question, session, "the session ended")
                .await?;
        }
        self.close_in_time(&question, session);
        Ok(RequestState::Pending {
            request_id: id,
            expires_at,
        })
    }

    /// Closes a question as unanswered when its time is over.
    fn close_in_time(self: &Arc<Self>, question: &Arc<Question>, session: &Arc<Session>) {
        let (broker, question, session) =
            (Arc::clone(self), Arc::clone(question), Arc::clone(session));
        tokio::spawn(async move {
            let wait = question.asked.expires_at.ms_since(broker.now());
            tokio::time::sleep(Duration::from_millis(wait)).await;
            // It stays refused if the record fails: the waiter gets no grant either way.
            drop(
                broker
                    .close_unanswered(&question, &session, "nobody answered in time")
                    .await,
            );
        });
    }

    /// Closes an open question without an answer, once.
    pub(crate) async fn close_unanswered(
        &self,
        question: &Question,
        session: &Session,
        why: &str,
    ) -> Result<(), Problem> {
        let Some(question) = self.questions.take(&question.asked.request_id) else {
            return Ok(());
        };
        self.bulletin.changed(session.opening.user.uid);
        let id = question.asked.request_id.clone();
        let problem = Problem::new(ProblemKind::Expired, why)
            .about(&id)
            .hinted(true, HOW_TO_REQUEST);
        self.questions.close(
            &question,
            &RequestState::Refused {
                request_id: id,
                problem,
            },
        );
        self.recorder
            .note_each(vec![events::unanswered(
                session,
                &question.asked,
                &question.put,
                why,
            )])
            .await
    }

    /// Takes a person's answer to an open question.
    ///
    /// # Errors
    /// When the answer does not count; the question stays open then.
    pub(crate) async fn answer(&self, answer: SignedApproval) -> Result<Outcome, Problem> {
        let id = answer.approval.request_id.clone();
        let gone = || {
            Problem::new(
                ProblemKind::NotFound,
                format!("no open question has the id {id}"),
            )
            .hinted(false, "`valetkey requests` shows the open ones")
        };
        let question = self.questions.find(&id).ok_or_else(gone)?;
        let session = self
            .sessions
            .all()
            .into_iter()
            .find(|session| session.id == question.asked.session && session.is_open())
            .ok_or_else(gone)?;
        let now = self.now();
        let people = self.approvers_of(&session);
        let invalid = |error: valetkey_approval::ApprovalError| {
            Problem::new(ProblemKind::Invalid, error.to_string()).about(&id)
        };
        // This answer alone first, so that a bad one is never kept beside good ones.
        drop(standing(&question.asked, &[(answer.clone(), now)], &people, now).map_err(invalid)?);
        let answers = question.add_answer(answer.clone(), now);
        let verdict = standing(&question.asked, &answers, &people, now).map_err(invalid)?;
        let given = events::answered(&session, &question.asked, &question.put, &answer);
        match verdict {
            Standing::Open => {
                self.recorder.note(vec![given]).await?;
                Ok(Outcome::Open)
            }
            Standing::Expired => Err(gone()),
            Standing::Refused => {
                let question = self.questions.take(&id).ok_or_else(gone)?;
                self.bulletin.changed(session.opening.user.uid);
                let problem = Problem::new(ProblemKind::Denied, "a person said no")
                    .about(&id)
                    .hinted(false, "do not ask for this again; work without it, or tell the person why you need it");
                self.questions.close(
                    &question,
                    &RequestState::Refused {
                        request_id: id.clone(),
                        problem,
                    },
                );
                self.recorder.note(vec![given]).await?;
                Ok(Outcome::Refused)
            }
            Standing::Approved(approved) => {
                let question = self.questions.take(&id).ok_or_else(gone)?;
                self.bulletin.changed(session.opening.user.uid);
                let allowed = Allowed::by_people(&question.asked, &approved, &question.decision);
                let state = match self.record_and_mint(&session, allowed, vec![given]).await {
                    Ok(granted) => RequestState::Granted {
                        request_id: id.clone(),
                        granted,
                    },
                    Err(problem) => RequestState::Refused {
                        request_id: id.clone(),
                        problem,
                    },
                };
                self.questions.close(&question, &state);
                match state {
                    RequestState::Refused { problem, .. } => Err(problem),
                    RequestState::Granted { .. } | RequestState::Pending { .. } => {
                        Ok(Outcome::Approved)
                    }
                }
            }
        }
    }

    /// Records what was allowed together with the events that led to it, then signs the capability.
    async fn record_and_mint(
        &self,
        session: &Session,
        allowed: Allowed,
        mut events: Vec<valetkey_audit::Event>,
    ) -> Result<Granted, Problem> {
        let now = self.now();
        let id = CapabilityId::new(now, Self::random()?);
        let claims = claims(session, &allowed, id, now);
        events.push(events::minted(
            session,
            &allowed,
            &Capability::from(&claims),
        ));
        let (recorded, minted) = self
            .recorder
            .record(Pending {
                value: (allowed, claims),
                events,
            })
            .await?;
        self.mint(session, recorded, minted)
    }

    /// Signs a capability. What it takes is proof that its issue stands in the durable log.
    fn mint(
        &self,
        session: &Session,
        recorded: Recorded<(Allowed, Claims)>,
        minted: EventId,
    ) -> Result<Granted, Problem> {
        let (allowed, claims) = recorded.into_inner();
        let granted = signed(&self.issuer, &claims, allowed.streamed())?;
        session
            .add_live(&claims, allowed.streamed(), minted, self.now())
            .map_err(unkept)?;
        Ok(granted)
    }

    /// Signs a capability that was narrowed; again only once that stands in the durable log.
    pub(crate) fn mint_narrowed(
        &self,
        session: &Session,
        recorded: Recorded<Narrowed>,
        narrowed: EventId,
    ) -> Result<Granted, Problem> {
        let child = recorded.into_inner();
        let granted = signed(&self.issuer, child.claims(), child.streamed())?;
        // Its parent may have ended meanwhile: then the token goes no further than this.
        session
            .add_live(child.claims(), child.streamed(), narrowed, self.now())
            .map_err(unkept)?;
        Ok(granted)
    }
}

/// The token of a capability and the same in words; called where a `Recorded` value was taken, and nowhere else.
fn signed(issuer: &Issuers, claims: &Claims, streamed: bool) -> Result<Granted, Problem> {
    let token = issuer.sign(claims).map_err(|error| {
        Problem::new(
            ProblemKind::Invalid,
            format!("the capability cannot be signed: {error}"),
        )
    })?;
    Ok(Granted {
        token,
        capability: Capability::from(claims),
        streamed,
    })
}

fn claims(session: &Session, allowed: &Allowed, id: CapabilityId, now: Timestamp) -> Claims {
    let issued = now.unix_seconds();
    let not_before = allowed
        .grant()
        .constraints
        .not_before
        .map_or(issued, |time| time.unix_ms().div_ceil(1000).max(issued));
    let expires = issued.saturating_add(allowed.ttl_seconds());
    Claims {
        iss: ISSUER.to_owned(),
        sub: session.opening.agent.id.clone(),
        aud: AUDIENCE_GUARD.to_owned(),
        jti: id,
        iat: issued,
        nbf: not_before.min(expires),
        exp: expires,
        cnf: Confirmation {
            valetkey_session: session.id.clone(),
        },
        authorization_details: [AuthorizationDetail::of(allowed.grant().clone())],
        parent: None,
        approvals: allowed.approvals().to_vec(),
        policy_id: allowed.policy_id().to_owned(),
        policy_digest: session.policy_digest(),
    }
}

/// What a decision gives of what was asked: never more than either.
fn granted(ask: &Ask, decision: &Decision) -> Grant {
    let mut constraints = ask.constraints.tightest(&decision.constraints);
    let lease = decision
        .approval
        .as_ref()
        .and_then(|approval| approval.lease.as_ref());
    // Listed operations are one use each; this request is one of them at most.
    let once = |lease: &Lease| matches!(lease.scope, LeaseScope::Once | LeaseScope::Operations(_));
    if lease.is_some_and(once) {
        constraints.single_use = Some(true);
    }
    // The one limit whose absence forbids: whoever asks does not bring the leave along.
    if decision.constraints.allow_macros != Some(true) && decision.effect == Effect::Allow {
        constraints.allow_macros = decision.constraints.allow_macros;
    }
    Grant {
        resource: ask.resource.clone(),
        actions: ask.actions,
        constraints,
        except: decision.except.clone(),
    }
}

fn question_of(
    session: &Session,
    ask: Ask,
    id: &RequestId,
    grant: Grant,
    decision: &Decision,
    now: Timestamp,
) -> Result<Asked, Problem> {
    let requirement = decision
        .approval
        .clone()
        .ok_or_else(|| Problem::new(ProblemKind::Denied, "policy asks nobody").about(id))?;
    let lease = requirement
        .lease
        .as_ref()
        .map_or(u64::MAX, |lease| lease.max_seconds);
    let opening = &session.opening;
    Ok(Asked {
        request_id: id.clone(),
        session: session.id.clone(),
        agent: opening.agent.id.clone(),
        agent_digest: opening.agent.digest,
        user: opening.user.name.clone(),
        purpose: opening.purpose.clone(),
        ttl_seconds: life(&grant, decision.ttl_seconds.min(lease)),
        grant,
        also: Vec::new(),
        justification: ask.justification,
        file: ask.file,
        change: None,
        reasons: decision.reasons.clone(),
        policy_id: decision.policy_id.clone(),
        policy_digest: session.policy_digest(),
        expires_at: now.plus_seconds(requirement.expires_seconds),
        requirement,
        asked_at: now,
    })
}

/// What an agent can do after a refusal that asking may change.
const HOW_TO_REQUEST: &str = "POST /v1/requests at /run/valetkey/agent.sock with the resource, the actions and a justification";

fn refusal(id: &RequestId, decision: &Decision) -> Problem {
    let reasons = decision.reasons.join("; ");
    let detail = if reasons.is_empty() {
        "policy does not allow this".to_owned()
    } else {
        reasons
    };
    let problem = Problem::new(ProblemKind::Denied, detail).about(id);
    if decision.requestable {
        problem.hinted(true, HOW_TO_REQUEST)
    } else {
        problem.hinted(
            false,
            "asking again will not help; work without it, or ask the person to change the policy",
        )
    }
}
