//! From a request that policy leaves to people to an open question: patience, gathering like with like, and closing what nobody answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use valetkey_api::{AlertKind, Ask, Problem, ProblemKind, RequestState};
use valetkey_approval::{Asked, lease_within, may_be_listed, put_together};
use valetkey_model::{Decision, Digest, Grant, Lease, LeaseScope, RequestId, Timestamp};

use crate::broker::Broker;
use crate::bulletin::Raised;
use crate::events;
use crate::pipeline::HOW_TO_REQUEST;
use crate::question::{Gathered, Part, Question};
use crate::session::Session;
use crate::witness::{Decided, life};

/// How long a request that could be listed with others waits for them. People do not see that; parallel readers of a folder are quicker.
const GATHER: Duration = Duration::from_millis(50);
/// How often that time is waited again while more of them come: a person sees the first after half a second at the latest.
const GATHER_ROUNDS_MAX: usize = 10;
/// Requests of one call.
pub(crate) const BATCH_MAX: usize = 64;

/// How far a request came at once.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It has its answer.
    Settled(Box<RequestState>),
    /// A person is to be asked.
    ForPeople(Box<Gathered>),
}

impl Begun {
    /// An answer at once.
    pub(crate) fn settled(state: RequestState) -> Self {
        Self::Settled(Box::new(state))
    }
}

impl Broker {
    /// Takes several requests of a session at once. Those for people that are like each other become one question.
    ///
    /// # Errors
    /// When something could not be recorded or named; what was granted before that stays granted, and is told of in its own state.
    pub(crate) async fn ask_all(
        self: &Arc<Self>,
        session: &Arc<Session>,
        asks: Vec<Ask>,
    ) -> Vec<Result<RequestState, Problem>> {
        // One time for all of them: none came before the other.
        let now = self.now();
        let mut begun = JoinSet::new();
        for (place, ask) in asks.into_iter().enumerate() {
            let (broker, session) = (Arc::clone(self), Arc::clone(session));
            begun.spawn(async move { (place, broker.begin(&session, ask, now).await) });
        }
        let mut all = begun.join_all().await;
        all.sort_by_key(|(place, _)| *place);
        let (mut states, mut gathered) = (Vec::new(), Vec::new());
        for (_, one) in all {
            states.push(match one {
                Ok(Begun::Settled(state)) => Ok(*state),
                Err(problem) => Err(problem),
                Ok(Begun::ForPeople(one)) => {
                    let state = one.part.waiter.state();
                    gathered.push(*one);
                    Ok(state)
                }
            });
        }
        self.put_all(session, gathered).await;
        states
    }

    /// Prepares the question of one request; the request waits from now on.
    pub(crate) async fn for_people(
        &self,
        session: &Session,
        asked: Asked,
        decided: Decided,
        event: valetkey_audit::Event,
    ) -> Result<Begun, Problem> {
        let id = asked.request_id.clone();
        let event = self.recorder.note(vec![event]).await?;
        if let Err(problem) = self.endurance.check(session, self.now()) {
            return Ok(Begun::settled(RequestState::Refused {
                problem: problem.about(&id),
                request_id: id,
            }));
        }
        let waiter = self
            .questions
            .expect(&id, &session.id, asked.expires_at)
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::Busy,
                    "too many requests of the session wait for people",
                )
                .about(&id)
                .hinted(true, "wait until some of them are answered")
            })?;
        Ok(Begun::ForPeople(Box::new(Gathered {
            asked,
            part: Part { decided, waiter },
            decided: event,
        })))
    }

    /// Puts a request to people: at once where it is asked by itself, with others that are like it shortly after.
    pub(crate) async fn put_soon(
        self: &Arc<Self>,
        session: &Arc<Session>,
        gathered: Gathered,
    ) -> RequestState {
        let waiter = Arc::clone(&gathered.part.waiter);
        if may_be_listed(&gathered.asked) {
            if self.questions.gather(&session.id, vec![gathered]) {
                let (broker, session) = (Arc::clone(self), Arc::clone(session));
                tokio::spawn(async move {
                    let mut had = 1;
                    for _ in 0..GATHER_ROUNDS_MAX {
                        tokio::time::sleep(GATHER).await;
                        let gathered = broker.questions.gathered(&session.id);
                        if gathered <= had {
                            break;
                        }
                        had = gathered;
                    }
                    let gathered = broker.questions.take_gathered(&session.id);
                    broker.put_all(&session, gathered).await;
                });
            }
        } else {
            self.put_all(session, vec![gathered]).await;
        }
        waiter.state()
    }

    /// Puts requests to people, like with like.
    async fn put_all(self: &Arc<Self>, session: &Arc<Session>, gathered: Vec<Gathered>) {
        let mut waiting = gathered;
        // In the order in which they were asked, whichever was recorded first.
        waiting.sort_by_key(|one| one.asked.asked_at);
        let questions = waiting.iter().map(|one| one.asked.clone()).collect();
        for mut asked in put_together(questions) {
            narrow_lease(&mut asked);
            asked.before = self.remembered.before(session.opening.user.uid, &asked);
            let listed: Vec<RequestId> = asked.grants().map(|(id, _)| id.clone()).collect();
            let (own, others): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|one| listed.contains(one.part.id()));
            waiting = others;
            let parts: Vec<Part> = own.iter().map(|one| one.part.clone()).collect();
            if let Err(problem) = self.put(session, asked, own).await {
                for part in &parts {
                    self.refuse(part, &problem);
                }
            }
        }
    }

    /// Ends a request that was to be answered by people.
    pub(crate) fn refuse(&self, part: &Part, problem: &Problem) {
        let request_id = part.id().clone();
        let problem = problem.clone().about(&request_id);
        self.questions.settle(
            &part.waiter,
            RequestState::Refused {
                request_id,
                problem,
            },
        );
    }

    async fn put(
        self: &Arc<Self>,
        session: &Arc<Session>,
        asked: Asked,
        own: Vec<Gathered>,
    ) -> Result<(), Problem> {
        let over = || Problem::new(ProblemKind::Expired, "the session ended");
        if !session.is_open() {
            return Err(over());
        }
        let taken = self.endurance.take(session, &asked.requirement, self.now());
        if let Err(problem) = taken {
            let event = events::not_asked(session, &asked, &problem.detail);
            self.recorder.note(vec![event]).await?;
            return Err(problem);
        }
        let cause = own.iter().find(|one| *one.part.id() == asked.request_id);
        let mut event = events::asked(session, &asked);
        if let Some(cause) = cause {
            event = event.cause(cause.decided.clone());
        }
        let put = self.recorder.note(vec![event]).await?;
        let others = own.iter().filter(|one| *one.part.id() != asked.request_id);
        let listed = others
            .map(|one| {
                events::asked_with(session, &one.asked, &asked.request_id).cause(put.clone())
            })
            .collect();
        self.recorder.note_each(listed).await?;
        let parts = own.into_iter().map(|one| one.part).collect();
        let Some(question) = self.questions.open(asked.clone(), put.clone(), parts) else {
            let why = "the session has too many open questions";
            self.recorder
                .note(vec![events::unanswered(session, &asked, &put, why)])
                .await?;
            return Err(Problem::new(ProblemKind::Busy, why)
                .hinted(true, "wait until some of them are answered"));
        };
        self.tell_people_of(session.opening.user.uid);
        // The session may have ended between look-up and here; then nobody would close the question.
        if !session.is_open() {
            self.close_unanswered(&question, session, "the session ended")
                .await?;
        }
        self.close_in_time(&question, session);
        Ok(())
    }

    /// Closes a question as unanswered when its time is over.
    fn close_in_time(self: &Arc<Self>, question: &Arc<Question>, session: &Arc<Session>) {
        let (broker, question, session) =
            (Arc::clone(self), Arc::clone(question), Arc::clone(session));
        tokio::spawn(async move {
            let wait = question.asked.expires_at.ms_since(broker.now());
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let why = match question.asked.requirement.mfa_max_age_seconds {
                None => NOBODY_ANSWERED,
                Some(_) => NO_SECOND_FACTOR,
            };
            // It stays refused if the record fails: the waiter gets no grant either way.
            drop(broker.close_unanswered(&question, &session, why).await);
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
        self.tell_people_of(session.opening.user.uid);
        let problem = Problem::new(ProblemKind::Expired, why);
        let problem = if why == NO_SECOND_FACTOR {
            problem.hinted(
                false,
                "asking again will not help; work without it, or tell the person what the policy wants",
            )
        } else {
            problem.hinted(true, HOW_TO_REQUEST)
        };
        for part in &question.parts {
            self.refuse(part, &problem);
        }
        let event = events::unanswered(session, &question.asked, &question.put, why);
        self.recorder.note_each(vec![event]).await?;
        if [NOBODY_ANSWERED, NO_SECOND_FACTOR].contains(&why) {
            self.count_denial(session, &question.asked).await?;
        }
        Ok(())
    }

    /// Counts a denial; the wait that may begin with it is an alert, in the log and to people.
    pub(crate) async fn count_denial(
        &self,
        session: &Session,
        asked: &Asked,
    ) -> Result<(), Problem> {
        let now = self.now();
        let Some(wait) = self.endurance.denied(session, &asked.requirement, now) else {
            return Ok(());
        };
        let agent = session.opening.agent.id.clone();
        let raised = Raised {
            kind: AlertKind::Lockout,
            session: Some(session.id.clone()),
            text: format!(
                "{agent} was denied again and again: it cannot ask for {} s",
                wait.seconds
            ),
            agent: Some(agent),
        };
        self.bulletin.raise(session.opening.user.uid, raised, now);
        let event = events::locked_out(session, asked, wait.seconds);
        self.recorder.note(vec![event]).await.map(drop)
    }

    /// How a request of a session stands; waits for an answer until `wait` is over.
    ///
    /// # Errors
    /// When there is no such request, or what was granted is over: its token is not told again, since whoever took it for new would hold it
    /// with amounts of its own.
    pub(crate) async fn standing_of(
        &self,
        session: &Session,
        asked: &RequestId,
        wait: Duration,
    ) -> Result<RequestState, Problem> {
        let own = self.questions.request(asked, &session.id, self.now());
        let own =
            own.ok_or_else(|| Problem::new(ProblemKind::NotFound, "there is no such request"))?;
        let state = own.wait(wait).await?;
        if let RequestState::Granted { granted, .. } = &state
            && session
                .find_live(&granted.capability.capability_id, self.now())
                .is_none()
        {
            let why = "what was granted has ended, was used up or was renewed";
            return Err(Problem::new(ProblemKind::Capability, why)
                .about(asked)
                .hinted(
                    true,
                    "GET /v1/capabilities lists what is held; ask anew for more",
                ));
        }
        Ok(state)
    }

    /// Takes a request back that its agent does not wait for any more. A question that was shown stays as it is while anyone waits for a part of it.
    pub(crate) async fn withdraw(&self, session: &Session, id: &RequestId) -> Result<(), Problem> {
        const WHY: &str = "the agent stopped waiting";
        let Some(waiter) = self.questions.request(id, &session.id, self.now()) else {
            return Ok(());
        };
        let problem = Problem::new(ProblemKind::Expired, WHY).about(id);
        let question = self.questions.with_part(id);
        let request_id = id.clone();
        let state = RequestState::Refused {
            request_id,
            problem,
        };
        self.questions.settle(&waiter, state);
        match question {
            Some(question) if question.is_forsaken() => {
                self.close_unanswered(&question, session, WHY).await
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Why a question is closed that counts as a denial.
const NOBODY_ANSWERED: &str = "nobody answered in time";
/// Why a question closes that nobody could have said yes to.
const NO_SECOND_FACTOR: &str =
    "policy wants a second factor, which no approval can show yet: nobody could say yes";

/// The question of one request by itself.
pub(crate) fn question_of(
    session: &Session,
    ask: Ask,
    id: &RequestId,
    grant: Grant,
    (decision, policy_digest): (&Decision, Digest),
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
    let mut asked = Asked {
        request_id: id.clone(),
        session: session.id.clone(),
        agent: opening.agent.id.clone(),
        agent_digest: opening.agent.digest,
        user: opening.user.name.clone(),
        purpose: opening.purpose.clone(),
        ttl_seconds: decision.ttl_seconds.min(lease),
        grant,
        also: Vec::new(),
        justification: ask.justification,
        file: ask.file,
        change: ask.change,
        has_read: session.labels(),
        before: None,
        reasons: decision.reasons.clone(),
        policy_id: decision.policy_id.clone(),
        policy_digest,
        expires_at: now.plus_seconds(requirement.expires_seconds),
        requirement,
        asked_at: now,
    };
    narrow_lease(&mut asked);
    asked.ttl_seconds = life(&asked.grant, asked.ttl_seconds);
    Ok(asked)
}

/// Cuts the lease that policy offers to what a question of its risk may have, before it is shown: what people see is what they give.
fn narrow_lease(asked: &mut Asked) {
    let offered = asked.requirement.lease.clone().unwrap_or(Lease {
        scope: LeaseScope::Minutes,
        max_seconds: asked.ttl_seconds,
    });
    let mut scope = lease_within(offered.scope.clone(), asked);
    // A request that is not among the operations is one by itself; and several files at once are no list of operations.
    if let LeaseScope::Operations(list) = &scope
        && (!asked.also.is_empty() || !list.contains(&asked.grant.resource))
    {
        scope = LeaseScope::Once;
    }
    if matches!(scope, LeaseScope::Once | LeaseScope::Operations(_)) {
        asked.grant.constraints.single_use = Some(true);
        asked.ttl_seconds = life(&asked.grant, asked.ttl_seconds);
    }
    if asked.requirement.lease.is_some() || scope == LeaseScope::Once {
        asked.requirement.lease = Some(Lease { scope, ..offered });
    }
}
