//! The broker's parts in one place, and the small things that they all need: time and randomness.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;
use valetkey_api::{Problem, ProblemKind};
use valetkey_approval::Approver;
use valetkey_audit::{Actor, Event, EventType};
use valetkey_capability::{Capability, Jwks};
use valetkey_model::{Timestamp, ULID_RANDOM_BYTES, UserFacts};
use valetkey_store::Ledger;
use valetkey_sys::clock::Clock;

use crate::diagnostics::Diagnostics;
use crate::identify::{Admission, Scope};
use crate::issuer::Issuers;
use crate::people::People;
use crate::question::Questions;
use crate::record::Recorder;
use crate::rules::Rules;
use crate::session::Sessions;

/// Everything that a broker is.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) clock: Arc<Clock>,
    pub(crate) recorder: Recorder,
    pub(crate) ledger: Ledger,
    pub(crate) people: People,
    pub(crate) sessions: Sessions,
    pub(crate) questions: Questions,
    pub(crate) built_in: Arc<Rules>,
    pub(crate) admission: Admission,
    pub(crate) diagnostics: Arc<Diagnostics>,
    /// Trees that hold the broker's own state, keys and sockets.
    pub(crate) protected: Vec<PathBuf>,
    pub(crate) since: Timestamp,
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
    pub(crate) built_in: Arc<Rules>,
    pub(crate) admission: Admission,
    pub(crate) diagnostics: Arc<Diagnostics>,
    pub(crate) protected: Vec<PathBuf>,
    pub(crate) issuer: Issuers,
}

impl Broker {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            since: Timestamp::from_unix_ms(parts.clock.now_ms()),
            clock: parts.clock,
            recorder: parts.recorder,
            ledger: parts.ledger,
            people: parts.people,
            sessions: Sessions::default(),
            questions: Questions::default(),
            built_in: parts.built_in,
            admission: parts.admission,
            diagnostics: parts.diagnostics,
            protected: parts.protected,
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

    /// Registers the first approver of a user.
    pub(crate) async fn register_first_approver(
        &self,
        user: &UserFacts,
        approver: Approver,
    ) -> Result<(), Problem> {
        let mode = self.admission.mode();
        let event = Event::new(EventType::RegistryApproverAdded, Actor::Operator)
            .user(user.uid, &user.name)
            .attribute("approver", approver.name.as_str())
            .attribute("roles", approver.roles.join(",").as_str())
            .attribute("public_key", approver.public_key.as_str());
        self.people.may_add(mode, user, &approver)?;
        self.recorder.note(vec![event]).await?;
        self.people.add_first(mode, user, approver)
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
