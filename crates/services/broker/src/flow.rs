//! Flow rules: what a session has read labels it, and what it holds is judged anew when a label comes.
//!
//! INVARIANT (labels first): a label sticks, and what it forbids has ended, before anything can be read by the capability that brings it. A
//! capability that was decided on before a label came is live only after policy, asked again with the label, says the same.

use valetkey_api::{Ask, Problem, ProblemKind};
use valetkey_model::{CapabilityId, Decision, Grant, RequestId};
use valetkey_store::Revoked as Subject;

use crate::broker::Broker;
use crate::events;
use crate::session::Session;
use crate::witness::Allowed;

/// Labels of one session: each makes every later decision dearer.
const MAX_LABELS: usize = 64;

impl Broker {
    /// Lets the labels of what is about to be given stick to the session, and ends what policy would not give under them. What has ended.
    ///
    /// # Errors
    /// When there are too many labels, or an end cannot be recorded: nothing is given then, the labels stay, and what has ended stays so.
    pub(crate) async fn stick(
        &self,
        session: &Session,
        allowed: &Allowed,
    ) -> Result<Vec<CapabilityId>, Problem> {
        if allowed.labels().is_empty() {
            return Ok(Vec::new());
        }
        let added = session.add_labels(allowed.labels(), MAX_LABELS);
        let (before, all) = added.ok_or_else(|| {
            let why =
                "the session has read so much of different kinds that no more labels are kept";
            Problem::new(ProblemKind::Denied, why)
                .about(allowed.request())
                .hinted(false, "begin another session")
        })?;
        if before == all.len() {
            return Ok(Vec::new());
        }
        let fresh = all.get(before..).unwrap_or_default().join(",");
        let (mut gone, mut written, mut kept) = (Vec::new(), Vec::new(), Ok(()));
        for held in session.live(self.now()) {
            let grant = Grant {
                resource: held.resource,
                actions: held.actions,
                constraints: held.constraints,
                except: held.except,
            };
            if !self.differs(session, &grant, before)? {
                continue;
            }
            let ended = session.end_live(&held.capability_id);
            self.tell_of_ended(session, &ended);
            for entry in ended {
                let subject = Subject::Capability(entry.claims.jti.clone());
                kept = kept.and(self.ledger.revoke(&subject, entry.expires_at()));
                written.push(events::flowed(
                    session,
                    &entry.claims,
                    &held.capability_id,
                    &fresh,
                ));
                gone.push(entry.claims.jti);
            }
        }
        self.recorder.note_each(written).await?;
        kept.map_err(|error| {
            let why = format!("what has ended could not be kept: {error}");
            Problem::new(ProblemKind::Unavailable, why).about(allowed.request())
        })?;
        Ok(gone)
    }

    /// Holds what was decided against the labels that came since; how many there are. What the request itself brings is not held against it.
    ///
    /// # Errors
    /// When policy says otherwise now.
    pub(crate) fn holds_under_labels(
        &self,
        session: &Session,
        allowed: &Allowed,
    ) -> Result<usize, Problem> {
        let labels = session.labels();
        let known = allowed.labels_known().min(labels.len());
        let since = labels.get(known..).unwrap_or_default();
        let others = since.iter().any(|label| !allowed.labels().contains(label));
        if others && self.differs(session, allowed.grant(), known)? {
            return Err(Problem::new(
                ProblemKind::Denied,
                "the session has read something meanwhile that changes what policy says of this",
            )
            .about(allowed.request())
            .hinted(true, crate::pipeline::HOW_TO_REQUEST));
        }
        Ok(labels.len())
    }

    /// Whether policy gives less, or otherwise, under all labels of a session than under the first `known` of them. The facts of a file are not
    /// known here: a rule that joins them with labels is judged by what it says without them.
    fn differs(&self, session: &Session, grant: &Grant, known: usize) -> Result<bool, Problem> {
        let all = session.labels();
        let ask = Ask {
            session: session.id.clone(),
            resource: grant.resource.clone(),
            actions: grant.actions,
            constraints: grant.constraints.clone(),
            justification: None,
            file: None,
            change: None,
            may_ask: false,
        };
        let now = self.now();
        let id = RequestId::new(now, Self::random()?);
        let rules = self.policies.choose(session, &grant.resource).rules;
        let decide = |labels: &[String]| {
            let input = self.uncounted_input(session, &ask, &id, now, labels.to_vec());
            rules.decide(&input)
        };
        let then = decide(all.get(..known).unwrap_or_default());
        let now = decide(&all);
        Ok(gives(&then) != gives(&now))
    }
}

/// What of a decision says how much is given.
fn gives(decision: &Decision) -> impl PartialEq + use<'_> {
    (
        decision.effect,
        &decision.constraints,
        &decision.except,
        &decision.approval,
    )
}
