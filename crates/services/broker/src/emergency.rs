//! Break-glass: a person takes a bounded scope at once, within what policy says, loudly, and with a review that stays open.
//!
//! In order: who signed, just now, for which session; what policy says of emergencies; what the guardrails hold back all the same. Then the
//! review is kept, the record is durable, and only then anything is minted.

use std::sync::Arc;

use valetkey_api::{AlertKind, Ask, BrokenGlass, Challenge, Granted, Problem, ProblemKind};
use valetkey_approval::{Approver, BreakGlass, BreakGlassRule, SignedEmergency, SignedReview};
use valetkey_model::{ApprovalId, Effect, Grant, RequestId, UserFacts};

use crate::broker::Broker;
use crate::bulletin::Raised;
use crate::events;
use crate::pipeline::First;
use crate::review::{Kept, no_review};
use crate::session::Session;
use crate::witness::Allowed;

impl Broker {
    /// A fresh value for somebody to sign.
    ///
    /// # Errors
    /// Without randomness there is none.
    pub(crate) fn challenge(&self, uid: u32) -> Result<Challenge, Problem> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| {
            Problem::new(ProblemKind::Unavailable, format!("no randomness: {error}"))
        })?;
        Ok(self.challenges.give(uid, &random, self.now()))
    }

    /// Gives a person's session an emergency scope.
    ///
    /// # Errors
    /// When it is not given; the attempt is recorded. Nothing is given whose record or review cannot be kept.
    pub(crate) async fn break_glass(
        &self,
        user: &UserFacts,
        emergency: SignedEmergency,
    ) -> Result<BrokenGlass, Problem> {
        let session = self.sessions.all().into_iter().find(|session| {
            session.id == emergency.signed.session
                && session.opening.user.uid == user.uid
                && session.is_open()
        });
        // Whoever cannot see the session learns nothing of it.
        let session = session.ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, "you have no such open session")
                .hinted(false, "`valetkey caps list --json` names the sessions")
        })?;
        let admitted = self.admit_emergency(&session, &emergency);
        let (kept, rule, grants) = match admitted {
            Ok(admitted) => admitted,
            Err(problem) => {
                let event = events::glass_held(&session, &emergency, &problem.detail);
                self.recorder.note(vec![event]).await?;
                return Err(problem);
            }
        };
        let (id, minutes) = (kept.id, u64::from(emergency.signed.asked.minutes));
        self.reviews.open(kept)?;
        let now = self.now();
        let approval = ApprovalId::new(now, Self::random()?);
        let digest = self.policies.of(&session).digest();
        let event = events::glass_broken(&session, &emergency, &id, (&rule, digest), &approval);
        let opened = self.recorder.note(vec![event]).await?;
        let signed = &emergency.signed;
        let raised = Raised {
            kind: AlertKind::BreakGlass,
            session: Some(session.id.clone()),
            agent: Some(session.opening.agent.id.clone()),
            text: format!(
                "{} broke the glass for {minutes} minutes: {}",
                signed.by, signed.asked.because
            ),
        };
        self.alert_people_of(user.uid, raised);
        let mut given = Vec::new();
        for grant in grants {
            let request = RequestId::new(self.now(), Self::random()?);
            let seconds = minutes.saturating_mul(60);
            let by = (rule.policy_id.as_str(), digest);
            let allowed = Allowed::by_emergency(request, grant, seconds, by, approval.clone());
            let first = First {
                events: Vec::new(),
                cause: Some(opened.clone()),
            };
            let granted: Granted = self.record_and_mint(&session, allowed, first).await?;
            given.push(granted.capability.clone());
            session.give(granted);
        }
        Ok(BrokenGlass {
            emergency: id,
            capabilities: given,
        })
    }

    /// Everything that is asked before an emergency scope is given; what is given of it.
    fn admit_emergency(
        &self,
        session: &Arc<Session>,
        emergency: &SignedEmergency,
    ) -> Result<(Kept, BreakGlassRule, Vec<Grant>), Problem> {
        let denied = |why: String| Problem::new(ProblemKind::Denied, why);
        let opening = &session.opening;
        let (uid, now) = (opening.user.uid, self.now());
        // First of all: an attempt uses it up, whatever comes of it.
        let challenge = &emergency.signed.challenge;
        if !self.challenges.take(uid, challenge, now) {
            return Err(denied(
                "this was not signed over a challenge that is good now: sign it anew".to_owned(),
            ));
        }
        let by = self.approver(session, &emergency.signed.by)?;
        emergency
            .verify(&by, now)
            .map_err(|error| denied(error.to_string()))?;
        if opening.agent.attested {
            return Err(denied(
                "a program outside of cells asks for itself: no scope can be put into its hands"
                    .to_owned(),
            ));
        }
        let none = || denied("policy knows no emergencies".to_owned());
        let rules = self.policies.of(session);
        let said = rules.break_glass(&opening.user).ok_or_else(none)?;
        // A rule that does not read is none.
        let rule: BreakGlassRule = serde_json::from_value(said).map_err(|_| none())?;
        let mut asked = emergency.signed.asked.clone();
        for grant in &mut asked.scope {
            hold_exceptions(grant, &rule);
        }
        let earlier = self.reviews.earlier(uid, &by.name);
        let admitted = rule
            .admit(&asked, &by, &earlier, now)
            .map_err(|error| denied(error.to_string()))?;
        let grants = self.guarded(session, &asked, admitted.grants())?;
        let id = emergency
            .digest()
            .map_err(|error| denied(error.to_string()))?;
        let kept = Kept {
            uid,
            id,
            emergency: emergency.clone(),
            item: admitted.into_review(),
            closed: None,
        };
        Ok((kept, rule, grants))
    }

    /// What the guardrails leave of the grants. What they deny is not given in an emergency either.
    fn guarded(
        &self,
        session: &Session,
        asked: &BreakGlass,
        grants: &[Grant],
    ) -> Result<Vec<Grant>, Problem> {
        let mut left = Vec::with_capacity(grants.len());
        for grant in grants {
            let ask = Ask {
                session: session.id.clone(),
                resource: grant.resource.clone(),
                actions: grant.actions,
                constraints: grant.constraints.clone(),
                justification: Some(asked.because.clone()),
                file: None,
                change: None,
                may_ask: false,
            };
            let id = RequestId::new(self.now(), Self::random()?);
            let input = self.input(session, &ask, &id, self.now());
            let held = self.policies.of(session).guardrails(&input);
            if held.effect == Effect::Deny {
                let why = format!("not even in an emergency: {}", held.reasons.join("; "));
                return Err(Problem::new(ProblemKind::Denied, why));
            }
            let mut grant = grant.clone();
            grant.constraints = grant.constraints.tightest(&held.constraints);
            grant.except.extend(held.except);
            grant.except.sort();
            grant.except.dedup();
            left.push(grant);
        }
        Ok(left)
    }

    /// Closes the review of an emergency: recorded first.
    ///
    /// # Errors
    /// When the person may not, or it cannot be recorded or kept; it stays open then.
    pub(crate) async fn close_review(
        &self,
        user: &UserFacts,
        review: SignedReview,
    ) -> Result<(), Problem> {
        // One after the other: of two that come at once, the second finds it closed before anything is recorded.
        let _turn = self.reviews.turn().await;
        let kept = self.reviews.find(&review.signed.emergency);
        let kept = kept.filter(|kept| self.is_of_the_people(user.uid, kept.uid));
        let kept = kept.ok_or_else(no_review)?;
        let people = self.people_of(kept.uid, kept.item.opened_by());
        let name = &review.signed.by;
        let unknown = || Problem::new(ProblemKind::Denied, format!("`{name}` is no approver here"));
        let by = people.by_name(name).ok_or_else(unknown)?;
        // The key that broke the glass cannot close it under another name.
        review
            .verify(by)
            .map_err(|error| Problem::new(ProblemKind::Denied, error.to_string()))?;
        let now = self.now();
        let closed = kept.closed_by(&review, by, now)?;
        let event = events::glass_reviewed(&kept, &review).user(user.uid, &user.name);
        let recorded = self.recorder.note(vec![event]).await?;
        if let Err(problem) = self.reviews.close(closed) {
            // The log has said more than was done: it says that too.
            let event = events::glass_unreviewed(&kept, &problem.detail)
                .user(user.uid, &user.name)
                .cause(recorded);
            self.recorder.note(vec![event]).await?;
            return Err(problem);
        }
        self.tell_people_of(kept.uid);
        Ok(())
    }

    fn approver(&self, session: &Session, name: &str) -> Result<Approver, Problem> {
        let people = self.approvers_of(session);
        people.by_name(name).cloned().ok_or_else(|| {
            let name: String = name.chars().take(64).collect();
            Problem::new(ProblemKind::Denied, format!("`{name}` is no approver here"))
        })
    }
}

/// Takes out of a grant what the rule takes out of the scope that covers it: nobody has to know the list to ask.
fn hold_exceptions(grant: &mut Grant, rule: &BreakGlassRule) {
    let most = rule
        .scope
        .iter()
        .find(|most| most.resource.covers(&grant.resource));
    if let Some(most) = most {
        grant.except.extend(most.except.iter().cloned());
        grant.except.dedup();
    }
}
