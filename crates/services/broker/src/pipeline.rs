//! The one story: identify → canonicalise → decide → (approve) → record → mint.
//!
//! A request comes in with its resource parsed and its session found. Policy decides; where it says `ask`, a question is opened and this
//! ends with `Pending`, to go on in `asking.rs`, and in `answering.rs` when people have spoken. The record is durable before a capability is signed:
//! [`Broker::mint`] takes nothing but a `Recorded<(Allowed, Claims)>`. What becomes of a capability afterwards is told in `life.rs`.

use std::sync::Arc;
use std::time::Instant;

use valetkey_api::{Ask, Considered, Granted, Problem, ProblemKind, RequestState};
use valetkey_capability::{AUDIENCE_GUARD, AuthorizationDetail, Capability, Claims, Confirmation};
use valetkey_model::{
    CapabilityId, Constraints, ContextFacts, Decision, Effect, EventId, Grant, Lease, LeaseScope,
    PolicyInput, RequestFacts, RequestId, RequestRecord, Resource, ResourceFacts, SessionFacts,
    SessionRecord, SubjectFacts, TimedGrant, Timestamp, UserFacts, ViewMode,
};

use crate::asking::{Begun, question_of};
use crate::broker::Broker;
use crate::events;
use crate::issuer::Issuers;
use crate::life::unkept;
use crate::session::{Living, Session, Unkept};
use crate::witness::{Allowed, Decided, Narrowed, Pending, Recorded};

/// Who signs, as capabilities name it.
const ISSUER: &str = "local-broker";
/// How a person has the log witnessed.
const HOW_TO_WITNESS: &str = "a person runs `valetkey audit witness --hand-in`, or a timer does";
/// What policy is told of the platform.
const PLATFORM: &str = "linux";

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
        Ok(match self.begin(session, ask, self.now()).await? {
            Begun::Settled(state) => *state,
            Begun::ForPeople(gathered) => self.put_soon(session, *gathered).await,
        })
    }

    /// Takes a request as far as it goes without people.
    pub(crate) async fn begin(
        &self,
        session: &Session,
        ask: Ask,
        now: Timestamp,
    ) -> Result<Begun, Problem> {
        let id = RequestId::new(now, Self::random()?);
        let (judged, decided) = self.decide(session, &ask, &id);
        let decision = &judged.decision;
        let grant = granted(&ask, decision);
        match decision.effect {
            Effect::Deny => {
                self.recorder.note(vec![decided]).await?;
                Ok(Begun::settled(RequestState::Refused {
                    problem: refusal(&id, decision),
                    request_id: id,
                }))
            }
            Effect::Ask => {
                if let Some(leased) = self.leased(session, &id, &grant, &judged)? {
                    let granted = self.mint_leased(session, leased, decided).await?;
                    return Ok(settled(id, granted));
                }
                if !ask.may_ask {
                    self.recorder.note(vec![decided]).await?;
                    let problem = unasked(&id, decision);
                    return Ok(Begun::settled(RequestState::Refused {
                        problem,
                        request_id: id,
                    }));
                }
                let on = (decision, judged.policy_digest);
                let asked = question_of(session, ask, &id, grant, on, now)?;
                self.for_people(session, asked, judged, decided).await
            }
            Effect::Allow => {
                let allowed = Allowed::by_policy(id.clone(), grant, &judged).ok_or_else(|| {
                    Problem::new(ProblemKind::Denied, "policy did not allow this")
                })?;
                let first = First::after(decided);
                let granted = self.record_and_mint(session, allowed, first).await?;
                Ok(settled(id, granted))
            }
        }
    }

    /// What a lease of the session gives of a request that policy leaves to people. A use of a list is taken here, before anything is minted.
    fn leased(
        &self,
        session: &Session,
        id: &RequestId,
        grant: &Grant,
        judged: &Decided,
    ) -> Result<Option<LeasedMint>, Problem> {
        let now = self.now();
        let capability = CapabilityId::new(now, Self::random()?);
        let given = session.take_lease(grant, &judged.decision.policy_id, &capability, now);
        Ok(given.and_then(|given| {
            let allowed = Allowed::by_lease(id.clone(), grant.clone(), &given, judged)?;
            Some(LeasedMint {
                allowed,
                capability,
                until: given.until,
            })
        }))
    }

    async fn mint_leased(
        &self,
        session: &Session,
        leased: LeasedMint,
        decided: valetkey_audit::Event,
    ) -> Result<Granted, Problem> {
        let first = First::after(decided);
        let LeasedMint {
            allowed,
            capability,
            until,
        } = leased;
        let minted = self.record_and_mint_as(session, allowed, capability, first);
        let mut granted = minted.await?;
        granted.lease_until = until;
        Ok(granted)
    }

    /// What policy says of a request, and the event that tells of it.
    pub(crate) fn decide(
        &self,
        session: &Session,
        ask: &Ask,
        id: &RequestId,
    ) -> (Decided, valetkey_audit::Event) {
        let started = Instant::now();
        let mut facts = None;
        let mut labels_known = 0;
        let chosen = self.policies.choose(session, &ask.resource);
        let policy_digest = chosen.rules.digest();
        let decision = if session.was_taken_back(&ask.resource, ask.actions) {
            Decision::denied(
                "valetkey/revoked",
                "a person took this back from the session",
            )
        } else {
            // One time for both: a grant that policy saw as live is not over when its end is looked at.
            let now = self.now();
            let input = self.input(session, ask, id, now);
            labels_known = input.subject.session.labels.len();
            let mut decision = chosen.rules.decide(&input);
            self.policies.compare(chosen, &input, &decision);
            let age_ms = now.ms_since(session.opened_at);
            facts = Some(RequestRecord::of(&input, age_ms, decision.digest()));
            let given = input.request.granted_by_person.as_ref();
            let left = given.and_then(|given| {
                let begun = session.begun_seconds(now);
                session.opening.grants.seconds_left(given, begun)
            });
            if let Some(left) = left {
                // What the person granted for a time does not outlast it.
                decision.ttl_seconds = decision.ttl_seconds.min(left);
            }
            self.unless_unwitnessed(decision, now)
        };
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let decided = events::decided(session, ask, id, (&decision, policy_digest), took_us);
        let decided = events::with_facts(decided, facts.as_ref());
        let decided_on = Decided {
            decision,
            labels_known,
            policy_digest,
        };
        (decided_on, decided)
    }

    /// The decision, or a denial where it asks for a witness that has not lately seen the log.
    fn unless_unwitnessed(&self, decision: Decision, now: Timestamp) -> Decision {
        let duty = decision.obligations.witness;
        match duty.and_then(|duty| self.witnesses.unmet(duty, now)) {
            Some(why) if decision.effect != Effect::Deny => Decision {
                requestable: true,
                ..Decision::denied(&decision.policy_id, format!("{why}; {HOW_TO_WITNESS}"))
            },
            Some(_) | None => decision,
        }
    }

    /// What policy would say of a file by another of its names. No capability comes of it; the log has it, marked as what it is.
    ///
    /// # Errors
    /// When it could not be recorded. It is not told then.
    pub(crate) fn consider(&self, session: &Session, ask: &Ask) -> Result<Considered, Problem> {
        let id = RequestId::new(self.now(), Self::random()?);
        let (Decided { decision, .. }, decided) = self.decide(session, ask, &id);
        self.recorder
            .stream(decided.attribute("considered", "another name of a file"))?;
        // What labels a session is had by the name that the label is for, and by no other.
        let labels = session.labels();
        let mut own = decision.obligations.labels.iter();
        Ok(Considered {
            effect: decision.effect,
            limited: decision.constraints != Constraints::default()
                || !own.all(|label| labels.contains(label)),
        })
    }

    /// What policy is asked about a request, which counts as one.
    pub(crate) fn input(
        &self,
        session: &Session,
        ask: &Ask,
        id: &RequestId,
        now: Timestamp,
    ) -> PolicyInput {
        let (last_minute, last_hour) = session.count_request(now);
        let mut input = self.uncounted_input(session, ask, id, now, session.labels());
        input.context.requests_last_minute = last_minute;
        input.context.requests_last_hour = last_hour;
        input
    }

    /// The same with these labels, of something that is no request of the agent's.
    pub(crate) fn uncounted_input(
        &self,
        session: &Session,
        ask: &Ask,
        id: &RequestId,
        now: Timestamp,
        labels: Vec<String>,
    ) -> PolicyInput {
        let age_seconds = now.ms_since(session.opened_at) / 1000;
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
                    grants: opening.grants.live(session.begun_seconds(now)),
                    age_seconds,
                    labels,
                },
            },
            resource,
            context: ContextFacts {
                time: now,
                platform: PLATFORM.to_owned(),
                requests_last_minute: 0,
                requests_last_hour: 0,
                protected: self.protected_trees(&opening.user),
            },
        }
        .with_derived_facts()
    }

    /// What the log keeps of a session beside what its opening event says anyway, so that its decisions can be taken again.
    pub(crate) fn session_record(&self, session: &Session) -> SessionRecord {
        let opening = &session.opening;
        let grants = opening.grants.all().iter().map(|start| TimedGrant {
            grant: start.grant.clone(),
            ttl_seconds: start.ttl_seconds,
        });
        SessionRecord {
            home: opening.user.home.clone(),
            groups: opening.user.groups.clone(),
            platform: PLATFORM.to_owned(),
            protected: self.protected_trees(&opening.user),
            grants: grants.collect(),
        }
    }

    fn protected_trees(&self, user: &UserFacts) -> Vec<Resource> {
        let paths = self.protected_for(user);
        let trees = paths.iter().filter_map(|path| Resource::tree(path).ok());
        trees.collect()
    }

    /// Records what was allowed together with the events that led to it, then signs the capability.
    pub(crate) async fn record_and_mint(
        &self,
        session: &Session,
        allowed: Allowed,
        first: First,
    ) -> Result<Granted, Problem> {
        let id = CapabilityId::new(self.now(), Self::random()?);
        self.record_and_mint_as(session, allowed, id, first).await
    }

    async fn record_and_mint_as(
        &self,
        session: &Session,
        allowed: Allowed,
        id: CapabilityId,
        first: First,
    ) -> Result<Granted, Problem> {
        // Labels stick before anything can be read by this, and what they forbid has ended by then.
        let flowed = self.stick(session, &allowed).await?;
        let now = self.now();
        if let Some(why) = allowed
            .witness()
            .and_then(|duty| self.witnesses.unmet(duty, now))
        {
            // Since it was asked, the last cosignature has become too old.
            return Err(Problem::new(ProblemKind::Denied, why).hinted(true, HOW_TO_WITNESS));
        }
        let claims = claims(session, &allowed, id, now);
        let mut events = first.events;
        let mut minted = events::minted(session, &allowed, &Capability::from(&claims));
        if let Some(cause) = first.cause {
            minted = minted.cause(cause);
        }
        events.push(minted);
        let (recorded, minted) = self
            .recorder
            .record(Pending {
                value: (allowed, claims),
                events,
            })
            .await?;
        let mut granted = self.mint(session, recorded, minted)?;
        granted.ended = flowed;
        Ok(granted)
    }

    /// Signs a capability. What it takes is proof that its issue stands in the durable log.
    fn mint(
        &self,
        session: &Session,
        recorded: Recorded<(Allowed, Claims)>,
        minted: EventId,
    ) -> Result<Granted, Problem> {
        let (allowed, claims) = recorded.into_inner();
        // Recording took its time: what another policy allowed meanwhile is no reason to mint.
        let resource = &allowed.grant().resource;
        if !self
            .policies
            .decides(session, resource, &allowed.policy_digest())
        {
            return Err(changed_meanwhile());
        }
        let granted = signed(&self.issuer, &claims, allowed.streamed(), allowed.view())?;
        loop {
            // A label that came since the decision may forbid what was decided.
            let seen = self.holds_under_labels(session, &allowed)?;
            let live = Living {
                claims: &claims,
                streamed: allowed.streamed(),
                minted: minted.clone(),
                labels_seen: seen,
            };
            match session.add_live(live, self.now()) {
                Err(Unkept::Labelled) => {}
                other => return other.map(|()| granted).map_err(unkept),
            }
        }
    }

    /// Signs a capability that was narrowed; again only once that stands in the durable log.
    pub(crate) fn mint_narrowed(
        &self,
        session: &Session,
        recorded: Recorded<Narrowed>,
        narrowed: EventId,
    ) -> Result<Granted, Problem> {
        let child = recorded.into_inner();
        let granted = signed(
            &self.issuer,
            child.claims(),
            child.streamed(),
            ViewMode::Watched,
        )?;
        // Its parent may have ended meanwhile: then the token goes no further than this.
        let live = Living {
            claims: child.claims(),
            streamed: child.streamed(),
            minted: narrowed,
            // What a label forbids it ended with the parent, without which this is not taken.
            labels_seen: usize::MAX,
        };
        session.add_live(live, self.now()).map_err(unkept)?;
        Ok(granted)
    }
}

/// The token of a capability and the same in words; called where a `Recorded` value was taken, and nowhere else.
fn signed(
    issuer: &Issuers,
    claims: &Claims,
    streamed: bool,
    view: ViewMode,
) -> Result<Granted, Problem> {
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
        view,
        lease_until: None,
        ended: Vec::new(),
    })
}

/// What led to a mint: events that are recorded with it, or one that stands in the log already.
#[derive(Debug, Default)]
pub(crate) struct First {
    pub(crate) events: Vec<valetkey_audit::Event>,
    pub(crate) cause: Option<EventId>,
}

impl First {
    /// One event, recorded with the mint.
    pub(crate) fn after(event: valetkey_audit::Event) -> Self {
        Self {
            events: vec![event],
            cause: None,
        }
    }
}

fn changed_meanwhile() -> Problem {
    Problem::new(
        ProblemKind::Busy,
        "the policy was changed at this moment: nothing was given",
    )
    .hinted(true, "ask again")
}

/// What a lease gives, before it is minted.
struct LeasedMint {
    allowed: Allowed,
    capability: CapabilityId,
    until: Option<Timestamp>,
}

fn settled(request_id: RequestId, granted: Granted) -> Begun {
    Begun::settled(RequestState::Granted {
        request_id,
        granted,
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
        policy_digest: allowed.policy_digest(),
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

/// What an agent can do after a refusal that asking may change.
pub(crate) const HOW_TO_REQUEST: &str = "POST /v1/requests at /run/valetkey/agent.sock with the resource, the actions and a justification";

/// What is said where a person would be asked and none may be.
fn unasked(id: &RequestId, decision: &Decision) -> Problem {
    let reasons = decision.reasons.join("; ");
    let detail = if reasons.is_empty() {
        "a person must be asked first".to_owned()
    } else {
        format!("a person must be asked first: {reasons}")
    };
    Problem::new(ProblemKind::Denied, detail)
        .about(id)
        .hinted(true, HOW_TO_REQUEST)
}

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
