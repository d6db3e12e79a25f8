//! From a person's answer to what it grants: every answer is weighed again, and nothing is given for what is no longer what was shown.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use valetkey_api::{Outcome, Problem, ProblemKind, RequestState};
use valetkey_approval::{Approved, SignedApproval, Standing, standing, still_valid};

use crate::broker::Broker;
use crate::events;
use crate::lease::Leased;
use crate::pipeline::{First, HOW_TO_REQUEST};
use crate::question::{Part, Question};
use crate::session::Session;
use crate::witness::Allowed;

/// How long a guard may take to look at files again.
const LOOK_TIME: Duration = Duration::from_secs(5);

impl Broker {
    /// Takes a person's answer to an open question.
    ///
    /// # Errors
    /// When the answer does not count, or nothing is given for it.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        answer: SignedApproval,
    ) -> Result<Outcome, Problem> {
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
        let answers = question
            .add_answer(answer.clone(), &people, now)
            .ok_or_else(gone)?;
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
                self.refused(&session, &question, given).await
            }
            Standing::Approved(approved) => {
                self.hold_valid(&session, &question, &given).await?;
                let question = self.questions.take(&id).ok_or_else(gone)?;
                self.approved(&session, &question, approved, given).await
            }
        }
    }

    async fn refused(
        &self,
        session: &Session,
        question: &Question,
        given: valetkey_audit::Event,
    ) -> Result<Outcome, Problem> {
        self.tell_people_of(session.opening.user.uid);
        let problem = Problem::new(ProblemKind::Denied, "a person said no").hinted(
            false,
            "do not ask for this again; work without it, or tell the person why you need it",
        );
        for part in &question.parts {
            self.refuse(part, &problem);
        }
        self.recorder.note(vec![given]).await?;
        self.count_denial(session, &question.asked).await?;
        Ok(Outcome::Refused)
    }

    /// Checks that session, policy and files are what they were when they were shown. What has changed is closed; what cannot be looked at
    /// stays open, and nothing is given.
    async fn hold_valid(
        &self,
        session: &Session,
        question: &Question,
        given: &valetkey_audit::Event,
    ) -> Result<(), Problem> {
        let asked = &question.asked;
        let looked = self.look_again(session, question).await?;
        let facts = |resource: &valetkey_model::Resource| {
            let seen = looked.iter().find(|looked| looked.resource == *resource);
            seen.and_then(|looked| looked.file.clone())
        };
        // Of several files each has its policy, where a canary is for some of them.
        let policy_now = asked
            .resources()
            .map(|(resource, _)| self.policies.choose(session, resource).rules.digest());
        let other = policy_now
            .into_iter()
            .find(|now| *now != asked.policy_digest);
        let policy_now = other.unwrap_or(asked.policy_digest);
        let valid = still_valid(asked, &session.id, &policy_now, facts);
        let Err(changed) = valid else { return Ok(()) };
        let Some(question) = self.questions.take(&asked.request_id) else {
            return Err(Problem::new(ProblemKind::NotFound, "it is closed already"));
        };
        self.tell_people_of(session.opening.user.uid);
        let problem = Problem::new(
            ProblemKind::Denied,
            format!("{changed}; the approval does not count"),
        )
        .about(&asked.request_id)
        .hinted(true, HOW_TO_REQUEST);
        for part in &question.parts {
            self.refuse(part, &problem);
        }
        let void = events::unanswered(session, asked, &question.put, &changed.to_string());
        self.recorder.note_each(vec![given.clone(), void]).await?;
        Err(problem)
    }

    /// Has the session's guard look at the files of a question again: it holds the handles, the broker can reach none.
    async fn look_again(
        &self,
        session: &Session,
        question: &Question,
    ) -> Result<Vec<valetkey_api::Looked>, Problem> {
        let asked = &question.asked;
        let seen = asked.resources().filter(|(_, file)| file.is_some());
        let resources: Vec<_> = seen.map(|(resource, _)| resource.clone()).collect();
        if resources.is_empty() || session.opening.agent.attested {
            return Ok(Vec::new());
        }
        let waiting = self.questions.await_look(&asked.request_id);
        session.ask_to_look(&asked.request_id, resources);
        let looked = tokio::time::timeout(LOOK_TIME, waiting).await;
        if let Ok(Ok(looked)) = looked {
            return Ok(looked);
        }
        self.questions.stop_looking(&asked.request_id);
        Err(Problem::new(
            ProblemKind::Unavailable,
            "the session's guard did not say whether the file is still what was shown: nothing was granted",
        )
        .about(&asked.request_id)
        .hinted(true, "answer again, or end the session"))
    }

    async fn approved(
        self: &Arc<Self>,
        session: &Arc<Session>,
        question: &Question,
        approved: Approved,
        given: valetkey_audit::Event,
    ) -> Result<Outcome, Problem> {
        self.tell_people_of(session.opening.user.uid);
        self.endurance.approved(session);
        self.remember(session, &question.asked);
        let waiting = question
            .parts
            .iter()
            .filter(|part| part.waiter.is_waiting());
        let waiting: Vec<Part> = waiting.cloned().collect();
        // One grant follows from the answer in the same batch; several are each caused by it.
        let (mut before, mut cause) = (Some(given), None);
        if waiting.len() != 1
            && let Some(given) = before.take()
        {
            match self.recorder.note(vec![given]).await {
                Ok(event) => cause = Some(event),
                Err(problem) => {
                    waiting.iter().for_each(|part| self.refuse(part, &problem));
                    return Err(problem);
                }
            }
        }
        // What is given is the question as it was shown, or as much less of it as people chose.
        let asked = question.asked.reaching(approved.lease());
        let approved = Arc::new(approved);
        let mut minted = JoinSet::new();
        for part in waiting {
            let grants = asked.grants();
            let grant = grants
                .filter(|(id, _)| *id == part.id())
                .map(|(_, grant)| grant);
            let Some(grant) = grant.last() else { continue };
            let allowed =
                Allowed::by_people(part.id().clone(), grant, &asked, &approved, &part.decided);
            let asked = asked.clone();
            let (broker, session) = (Arc::clone(self), Arc::clone(session));
            let approved = Arc::clone(&approved);
            let first = First {
                events: before.take().into_iter().collect(),
                cause: cause.clone(),
            };
            minted.spawn(async move {
                let result = broker
                    .mint_part(&session, &asked, allowed, &approved, &part, first)
                    .await;
                result.err()
            });
        }
        match minted.join_all().await.into_iter().flatten().next() {
            Some(problem) => Err(problem),
            None => Ok(Outcome::Approved),
        }
    }

    /// Remembers that people said yes, so that later questions can say what is new. Nobody waits for the disk.
    fn remember(&self, session: &Session, asked: &valetkey_approval::Asked) {
        let uid = session.opening.user.uid;
        self.remembered.remember(uid, asked);
        let (remembered, diagnostics) =
            (Arc::clone(&self.remembered), Arc::clone(&self.diagnostics));
        drop(tokio::task::spawn_blocking(move || {
            remembered.write(uid, &diagnostics);
        }));
    }

    async fn mint_part(
        &self,
        session: &Session,
        asked: &valetkey_approval::Asked,
        allowed: Allowed,
        approved: &Approved,
        part: &Part,
        first: First,
    ) -> Result<(), Problem> {
        let grant = allowed.grant().clone();
        let minted = self.record_and_mint(session, allowed, first).await;
        let state = minted.map(|mut granted| {
            let id = granted.capability.capability_id.clone();
            if let Some(lease) = Leased::of(asked, &grant, approved, id, self.now()) {
                granted.lease_until = lease.again_until();
                session.add_lease(lease, self.now());
            }
            granted
        });
        match state {
            Ok(granted) => {
                let request_id = part.id().clone();
                let state = RequestState::Granted {
                    request_id,
                    granted,
                };
                self.questions.settle(&part.waiter, state);
                // The question closed before this was live: who asked then has not seen it.
                self.tell_people_of(session.opening.user.uid);
                Ok(())
            }
            Err(problem) => {
                self.refuse(part, &problem);
                Err(problem)
            }
        }
    }
}
