//! The broker's parts in one place, and the small things that they all need: time and randomness.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;
use valetkey_api::{Problem, ProblemKind, Status};
use valetkey_approval::Approver;
use valetkey_audit::{Actor, Event, EventType};
use valetkey_capability::{Capability, Jwks};
use valetkey_model::{Digest, Timestamp, ULID_RANDOM_BYTES, UserFacts};
use valetkey_store::Ledger;
use valetkey_sys::clock::Clock;

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
    /// The person whom this broker serves.
    pub(crate) user: UserFacts,
    /// Trees that hold the broker's own state, keys and sockets.
    pub(crate) protected: Vec<PathBuf>,
    pub(crate) since: Timestamp,
    pub(crate) stopping: Notify,
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
    pub(crate) user: UserFacts,
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
            user: parts.user,
            protected: parts.protected,
            stopping: Notify::new(),
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

    /// Registers the first approver.
    pub(crate) async fn register_first_approver(&self, approver: Approver) -> Result<(), Problem> {
        let event = Event::new(EventType::RegistryApproverAdded, Actor::Operator)
            .attribute("approver", approver.name.as_str())
            .attribute("roles", approver.roles.join(",").as_str())
            .attribute("public_key", approver.public_key.as_str());
        if !self.people.all().is_empty() {
            return self.people.add_first(approver);
        }
        self.recorder.note(vec![event]).await?;
        self.people.add_first(approver)
    }

    /// Every live capability, oldest session first.
    pub(crate) fn live(&self) -> Vec<Capability> {
        let now = self.now();
        self.sessions
            .all()
            .iter()
            .flat_map(|session| session.live(now))
            .collect()
    }

    /// The broker's state in words and figures.
    pub(crate) fn status(&self) -> Status {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.since,
            sessions: count(self.sessions.all().len()),
            capabilities: count(self.live().len()),
            questions: count(self.questions.list().len()),
            events: self.recorder.size(),
            recording: self.recorder.is_recording(),
            policy_digest: self.policy_digest(),
            posture: vec![
                "user mode: a program that runs as you outside a cell can reach the broker's keys, log and operator door".to_owned(),
                "approver keys are kept without a passphrase".to_owned(),
            ],
        }
    }

    fn policy_digest(&self) -> Digest {
        self.built_in.digest()
    }
}
