//! What becomes of capabilities after they are held: renewed, narrowed, used, given back, and told of as over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use valetkey_api::{
    AgentNarrow, Ask, Granted, OperationReport, Problem, ProblemKind, ReleaseCapability, Released,
    Report, RequestState, UseCapability,
};
use valetkey_capability::{Capability, Jwks, TokenError};
use valetkey_model::{CapabilityId, Constraints};

use super::{Desk, MAX_GONE, lock, problem_of};
use crate::holdings::{End, Held};

impl Desk {
    /// Holds what was given at the start of the session, for as long as the session lasts.
    pub(crate) fn hold_on(&self, granted: &Granted) -> Result<(), Problem> {
        let held = self.hold(granted)?;
        held.begins_the_session();
        if held.is_renewable() {
            lock(&self.renewable).push(held);
        }
        Ok(())
    }

    /// What is asked for again before it ends.
    pub(crate) fn renewable(&self) -> Vec<Arc<Held>> {
        lock(&self.renewable).clone()
    }

    /// Lets a capability end in its time.
    pub(crate) fn stop_renewing(&self, held: &Arc<Held>) {
        lock(&self.renewable).retain(|other| !Arc::ptr_eq(other, held));
    }

    /// Asks for the same again and lets the new token go on where the old one ends.
    ///
    /// # Errors
    /// When the broker does not give the same again.
    pub(crate) fn renew(&self, held: &Held, old: &Capability) -> Result<(), Problem> {
        let ask = Ask {
            session: self.session.clone(),
            resource: old.resource.clone(),
            actions: old.actions,
            constraints: Constraints::default(),
            justification: None,
            file: None,
            change: None,
            may_ask: false,
        };
        let state = self
            .link
            .post("/v1/requests", &ask)
            .map_err(|error| problem_of(&error))?;
        let RequestState::Granted { granted, .. } = state else {
            return Err(Problem::new(
                ProblemKind::Denied,
                "the grant was not renewed",
            ));
        };
        if !granted.ended.is_empty() {
            self.end_gone(End::Revoked, &granted.ended);
        }
        let renewed = match self.holdings.renew(held, &granted.token) {
            Err(TokenError::Header) if self.ask_for_keys() => {
                self.holdings.renew(held, &granted.token)
            }
            other => other,
        };
        renewed.map_err(|error| Problem::new(ProblemKind::Capability, error.to_string()))?;
        // Its token goes on elsewhere: it is not held beside itself.
        self.remember_gone(std::iter::once(old.capability_id.clone()));
        let target = format!("/v1/capabilities/{}/release", old.capability_id);
        let release = ReleaseCapability {
            session: self.session.clone(),
            successor: Some(granted.capability.capability_id),
        };
        self.link
            .post::<_, Released>(&target, &release)
            .map(drop)
            .map_err(|error| problem_of(&error))
    }

    /// Has the broker make a narrower capability from one, and holds it.
    ///
    /// # Errors
    /// When the broker refuses, or does not answer.
    pub(crate) fn narrow(
        &self,
        parent: &CapabilityId,
        wanted: AgentNarrow,
    ) -> Result<Arc<Held>, Problem> {
        let target = format!("/v1/capabilities/{parent}/narrow");
        let granted: Granted = self
            .link
            .post(&target, &wanted.in_session(self.session.clone()))
            .map_err(|error| problem_of(&error))?;
        self.hold(&granted)
    }

    /// Gives a capability back, with all that was narrowed from it. It is no good here before the broker is told.
    ///
    /// # Errors
    /// When this session holds no such capability, or the broker could not record its end; it has ended all the same.
    pub(crate) fn release(&self, id: &CapabilityId) -> Result<Released, Problem> {
        let ended = self.holdings.end(End::Released, |held| held.id() == *id);
        self.remember_gone(ended.iter().map(|held| held.id()));
        if ended.is_empty() {
            return Err(Problem::new(
                ProblemKind::NotFound,
                "this session holds no such capability",
            )
            .hinted(false, "GET /v1/capabilities lists what it holds"));
        }
        self.forget(&ended);
        let target = format!("/v1/capabilities/{id}/release");
        let release = ReleaseCapability {
            session: self.session.clone(),
            successor: None,
        };
        let released: Released = self
            .link
            .post(&target, &release)
            .map_err(|error| problem_of(&error))?;
        self.end_gone(End::Released, &released.capabilities);
        Ok(released)
    }

    /// Ends what the broker says is over, also what is not held yet because its token is still on its way.
    pub(crate) fn end_gone(&self, how: End, ids: &[CapabilityId]) {
        self.remember_gone(ids.iter().cloned());
        let ended = self.holdings.end(how, |held| ids.contains(&held.id()));
        self.forget(&ended);
    }

    /// A token of these that is still on its way is not held.
    fn remember_gone(&self, ids: impl Iterator<Item = CapabilityId>) {
        let mut gone = lock(&self.gone);
        gone.extend(ids);
        while gone.len() > MAX_GONE {
            gone.pop_front();
        }
    }

    /// Takes the keys that the broker signs with now.
    pub(crate) fn learn_keys(&self) -> bool {
        let keys = self.link.get::<Jwks>("/v1/keys", Duration::ZERO);
        keys.is_ok_and(|keys| self.holdings.keys().replace(keys).is_ok())
    }

    pub(super) fn ask_for_keys(&self) -> bool {
        self.holdings.keys().may_ask(Instant::now()) && self.learn_keys()
    }

    /// Uses a capability up, or has its use recorded, before the effect.
    ///
    /// # Errors
    /// When the broker says no or cannot record it.
    pub(crate) fn use_up(&self, held: &Held, operation: &str) -> Result<(), Problem> {
        let target = format!("/v1/capabilities/{}/use", held.id());
        let usage = UseCapability {
            session: self.session.clone(),
            operation: operation.to_owned(),
        };
        self.link
            .post(&target, &usage)
            .map_err(|error| problem_of(&error))
    }

    /// Has operations recorded durably.
    ///
    /// # Errors
    /// When the broker cannot.
    pub(crate) fn record(&self, operation: OperationReport) -> Result<(), Problem> {
        let target = format!("/v1/sessions/{}/operations", self.session);
        let report = Report {
            operations: vec![operation],
            durable: true,
        };
        self.link
            .post(&target, &report)
            .map_err(|error| problem_of(&error))
    }
}
