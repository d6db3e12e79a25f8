//! The broker's parts in one place, and the small things that they all need: time and randomness.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;
use valetkey_api::{AddApprover, Mode, Problem, ProblemKind};
use valetkey_approval::{Approvers, Change, SignedChange};
use valetkey_audit::Event;
use valetkey_capability::{Capability, Jwks};
use valetkey_model::{Timestamp, ULID_RANDOM_BYTES, UserFacts};
use valetkey_store::Ledger;
use valetkey_sys::clock::Clock;

use crate::appointed::Appointed;
use crate::bulletin::Bulletin;
use crate::challenge::Challenges;
use crate::diagnostics::Diagnostics;
use crate::events;
use crate::identify::{Admission, Scope};
use crate::issuer::Issuers;
use crate::patience::Endurance;
use crate::people::People;
use crate::policies::Policies;
use crate::question::Questions;
use crate::record::Recorder;
use crate::remembered::Remembered;
use crate::review::Reviews;
use crate::session::Sessions;
use crate::witnessed::Witnesses;

/// Everything that a broker is.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) clock: Arc<Clock>,
    pub(crate) recorder: Recorder,
    pub(crate) ledger: Ledger,
    pub(crate) people: People,
    /// Who answers for other people, as root says.
    pub(crate) appointed: Appointed,
    /// What they approved before.
    pub(crate) remembered: Arc<Remembered>,
    pub(crate) sessions: Sessions,
    pub(crate) questions: Questions,
    /// How long people bear each agent's questions.
    pub(crate) endurance: Endurance,
    /// The reviews of emergencies.
    pub(crate) reviews: Reviews,
    /// What witnesses say of the log.
    pub(crate) witnesses: Witnesses,
    /// What is to be signed with the next emergencies.
    pub(crate) challenges: Challenges,
    /// What is new for people.
    pub(crate) bulletin: Bulletin,
    /// What decides.
    pub(crate) policies: Policies,
    pub(crate) admission: Admission,
    pub(crate) diagnostics: Arc<Diagnostics>,
    /// Trees that hold the broker's own state, keys and sockets.
    pub(crate) protected: Vec<PathBuf>,
    pub(crate) since: Timestamp,
    /// One change of the auditors, or erasure, at a time.
    pub(crate) auditing: tokio::sync::Mutex<()>,
    pub(crate) stopping: Notify,
    /// Set once the broker ends: no session begins any more.
    pub(crate) ending: AtomicBool,
    /// The keys that capabilities are signed with; signing is for [`crate::pipeline`] alone.
    pub(crate) issuer: Issuers,
}

/// The parts that start-up has made ready.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) clock: Arc<Clock>,
    pub(crate) recorder: Recorder,
    pub(crate) ledger: Ledger,
    pub(crate) people: People,
    pub(crate) appointed: Appointed,
    pub(crate) remembered: Remembered,
    pub(crate) reviews: Reviews,
    pub(crate) policies: Policies,
    pub(crate) witnesses: Witnesses,
    pub(crate) admission: Admission,
    pub(crate) diagnostics: Arc<Diagnostics>,
    pub(crate) protected: Vec<PathBuf>,
    pub(crate) issuer: Issuers,
}

impl Broker {
    pub(crate) fn new(parts: Parts) -> Self {
        let since = Timestamp::from_unix_ms(parts.clock.now_ms());
        Self {
            since,
            bulletin: Bulletin::new(since),
            clock: parts.clock,
            recorder: parts.recorder,
            ledger: parts.ledger,
            people: parts.people,
            appointed: parts.appointed,
            remembered: Arc::new(parts.remembered),
            reviews: parts.reviews,
            witnesses: parts.witnesses,
            challenges: Challenges::default(),
            sessions: Sessions::default(),
            questions: Questions::default(),
            endurance: Endurance::default(),
            policies: parts.policies,
            admission: parts.admission,
            diagnostics: parts.diagnostics,
            protected: parts.protected,
            auditing: tokio::sync::Mutex::default(),
            stopping: Notify::new(),
            ending: AtomicBool::new(false),
            issuer: parts.issuer,
        }
    }

    /// Now, by a clock that cannot be set back.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.clock.now_ms())
    }

    /// Random bytes for an id. Without randomness nothing can be named, and so nothing is granted.
    pub(crate) fn random() -> Result<[u8; ULID_RANDOM_BYTES], Problem> {
        let mut bytes = [0; ULID_RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| {
            Problem::new(ProblemKind::Unavailable, format!("no randomness: {error}"))
        })?;
        Ok(bytes)
    }

    /// The public keys of the capabilities.
    pub(crate) fn jwks(&self) -> Jwks {
        self.issuer.jwks(self.now())
    }

    /// Registers an approver: the first of all on trust, everyone later by an owner's signature.
    pub(crate) async fn add_approver(
        &self,
        user: &UserFacts,
        added: AddApprover,
    ) -> Result<(), Problem> {
        let before = self.people.of(user.uid);
        match added {
            AddApprover::First(approver) => {
                let mode = self.admission.mode();
                let next = self.people.with_first(mode, user, approver.clone())?;
                let event = events::first_approver(&approver);
                self.change_people(user, before, next, event).await
            }
            AddApprover::Signed(_) if self.admission.mode() == Mode::System => Err(Problem::new(
                ProblemKind::Denied,
                "this broker serves many people: who else may answer is not an owner's to say",
            )
            .hinted(
                false,
                "root appoints: `valetkey approver appoint NAME --role ROLE`",
            )),
            AddApprover::Signed(change) => match change.signed.change {
                Change::Add(_) => self.change_approvers(user, &change).await,
                Change::Remove(_) => Err(misdirected()),
            },
        }
    }

    /// Removes an approver, by an owner's signature.
    pub(crate) async fn remove_approver(
        &self,
        user: &UserFacts,
        change: SignedChange,
    ) -> Result<(), Problem> {
        match change.signed.change {
            Change::Remove(_) => self.change_approvers(user, &change).await,
            Change::Add(_) => Err(misdirected()),
        }
    }

    async fn change_approvers(
        &self,
        user: &UserFacts,
        change: &SignedChange,
    ) -> Result<(), Problem> {
        let before = self.people.of(user.uid);
        let next = self.people.with_change(user.uid, change)?;
        self.change_people(user, before, next, events::approvers_changed(change))
            .await
    }

    /// Records a change of the approvers, then makes it. Of two that come at once the second was signed for what is no more.
    async fn change_people(
        &self,
        user: &UserFacts,
        before: Approvers,
        next: Approvers,
        event: Event,
    ) -> Result<(), Problem> {
        self.recorder
            .note(vec![event.user(user.uid, &user.name)])
            .await?;
        let made = self.people.replace(user.uid, &before, next);
        if let Err(problem) = &made {
            // The log has said more than was done: it says that too.
            self.recorder
                .note(vec![
                    events::approvers_unchanged(&problem.detail).user(user.uid, &user.name),
                ])
                .await?;
        }
        made
    }

    /// Every lease in sight.
    pub(crate) fn leases(&self, scope: Scope) -> Vec<valetkey_api::LiveLease> {
        let now = self.now();
        self.sessions_in(scope)
            .iter()
            .flat_map(|session| session.leases(now))
            .collect()
    }

    /// Every live capability in sight, oldest session first.
    pub(crate) fn live(&self, scope: Scope) -> Vec<Capability> {
        let now = self.now();
        self.sessions_in(scope)
            .iter()
            .flat_map(|session| session.live(now))
            .collect()
    }
}

fn misdirected() -> Problem {
    Problem::new(
        ProblemKind::Invalid,
        "the signed change is not of the kind that is taken here",
    )
}
