//! The life of a capability after it was minted: it is narrowed, used, given back or taken back, and what was narrowed from it ends with it.

use std::sync::Arc;

use valetkey_api::{Granted, IssuerKeys, Narrow, Problem, ProblemKind, Revoke, Revoked, Undoing};
use valetkey_capability::{Capability, NarrowError};
use valetkey_model::{CapabilityId, Grant, UserFacts};
use valetkey_store::{Revoked as Subject, StoreError};

use crate::broker::Broker;
use crate::events;
use crate::identify::Scope;
use crate::issuer::NextKey;
use crate::live::{Entry, MAX_CHILDREN, MAX_GENERATIONS, NoRoom};
use crate::session::{Session, Unkept};
use crate::witness::{Narrowed, Pending};

/// A session's id, and a few undos of undos behind it.
const UNDONE_NAME_MAX_BYTES: usize = 128;
/// How a program gets a capability in place of one that is no good.
const ASK_ANEW: &str = "ask for a new one at POST /v1/requests";

impl Broker {
    /// Makes a narrower capability from a live one. Nothing is decided anew: what policy and people gave is only made less.
    ///
    /// # Errors
    /// When it would be wider, would never live, or there is no room; the attempt at more is recorded.
    pub(crate) async fn narrow(
        &self,
        session: &Session,
        parent: &CapabilityId,
        wanted: Narrow,
    ) -> Result<Granted, Problem> {
        let now = self.now();
        let held = session.find_parent(parent, now).map_err(unkept)?;
        let own = held.claims.grant();
        let asked = Grant {
            resource: wanted.resource.unwrap_or(own.resource),
            actions: wanted.actions.unwrap_or(own.actions),
            constraints: wanted.constraints,
            except: wanted.except,
        };
        let refused = async |why: String| {
            let event = events::not_narrowed(session, &held.claims, &asked, &why);
            match self.recorder.note(vec![event]).await {
                Ok(_) => Problem::new(ProblemKind::Capability, why).hinted(true, ASK_ANEW),
                Err(problem) => problem,
            }
        };
        if session.was_taken_back(&asked.resource, asked.actions) {
            let why = "a person took this back from the session";
            return Err(refused(why.to_owned()).await);
        }
        let ttl = wanted.ttl_seconds.unwrap_or(u64::MAX);
        let id = CapabilityId::new(now, Self::random()?);
        let child = match Narrowed::from_live(&held, &asked, ttl, id, now) {
            Ok(child) => child,
            Err(error @ (NarrowError::Resource | NarrowError::Actions | NarrowError::Wider)) => {
                return Err(refused(error.to_string()).await);
            }
            Err(error) => return Err(Problem::new(ProblemKind::Invalid, error.to_string())),
        };
        let event = events::narrowed(session, &held.claims, child.claims());
        let pending = Pending {
            value: child,
            events: vec![event],
        };
        let (recorded, narrowed) = self.recorder.record(pending).await?;
        self.mint_narrowed(session, recorded, narrowed)
    }

    /// Uses a capability up, once for all time and for its whole family: the ledger keeps it across crashes before anybody is told yes.
    ///
    /// # Errors
    /// When it is no good any more, or its use cannot be kept.
    pub(crate) async fn use_up(
        &self,
        session: &Session,
        capability: &CapabilityId,
        operation: &str,
    ) -> Result<(), Problem> {
        let refused = || {
            let why = "the capability is used up, expired or revoked";
            Problem::new(ProblemKind::Capability, why).hinted(true, ASK_ANEW)
        };
        let held = session
            .find_live(capability, self.now())
            .ok_or_else(refused)?;
        let words = held.capability();
        if let Some((root, until)) = held.use_of() {
            let first = self.ledger.consume(root, *until).map_err(|error| {
                Problem::new(
                    ProblemKind::Unavailable,
                    format!("the use could not be kept: {error}"),
                )
            });
            session.use_up(capability);
            if !first? {
                let event = events::used(session, &words, operation, false);
                self.recorder.note(vec![event]).await?;
                return Err(refused());
            }
        }
        let event = events::used(session, &words, operation, true);
        self.recorder.note_each(vec![event]).await
    }

    /// Takes a capability that its holder gives back out of what is live, with all that was narrowed from it; or lets `successor` stand in its
    /// place. What ended, itself first; nothing if it was not live.
    ///
    /// # Errors
    /// When that could not be recorded; it is done all the same.
    pub(crate) async fn release(
        &self,
        session: &Session,
        capability: &CapabilityId,
        successor: Option<&CapabilityId>,
    ) -> Result<Vec<CapabilityId>, Problem> {
        let ended = session.release(capability, successor, self.now());
        self.tell_of_ended(session, &ended);
        let written = ended
            .iter()
            .map(|entry| events::released(session, &entry.claims, capability))
            .collect();
        self.recorder.note_each(written).await?;
        Ok(ended.into_iter().map(|entry| entry.claims.jti).collect())
    }

    /// Takes capabilities back, and what was narrowed from them. They stop being good before the record of it is written: a full disk must not
    /// keep them alive.
    ///
    /// # Errors
    /// When the ledger or the log cannot keep what was done; it is done all the same.
    pub(crate) async fn revoke(&self, what: &Revoke, scope: Scope) -> Result<Revoked, Problem> {
        let now = self.now();
        let (mut written, mut kept) = (Vec::new(), Ok(()));
        let mut revoked = Revoked::default();
        for session in self.sessions_in(scope) {
            for capability in session.live(now) {
                let id = &capability.capability_id;
                if !fits(what, &session, &capability) {
                    continue;
                }
                let ended = session.revoke(id);
                self.tell_of_ended(&session, &ended);
                for entry in ended {
                    let subject = Subject::Capability(entry.claims.jti.clone());
                    // One that cannot be kept does not keep the others from it.
                    kept = kept.and(self.ledger.revoke(&subject, entry.expires_at()));
                    written.push(events::revoked(&session, &entry.claims, id));
                    let meant = entry.claims.jti == *id
                        || fits(what, &session, &Capability::from(&entry.claims));
                    if meant {
                        revoked.capabilities.push(entry.claims.jti);
                    } else {
                        revoked.descendants.push(entry.claims.jti);
                    }
                }
            }
        }
        self.recorder.note_each(written).await?;
        kept.map_err(|error| not_in_ledger(&error))?;
        Ok(revoked)
    }

    /// Says that something has ended which people gave: their screens show it.
    pub(crate) fn tell_of_ended(&self, session: &Session, ended: &[Entry]) {
        if ended.iter().any(|entry| !entry.claims.approvals.is_empty()) {
            self.tell_people_of(session.opening.user.uid);
        }
    }

    /// Records that a person undoes what a session changed. What they do is theirs; the broker only writes it down.
    ///
    /// # Errors
    /// When the name is none, or it cannot be recorded.
    pub(crate) async fn record_undone(
        &self,
        user: &UserFacts,
        what: &Undoing,
    ) -> Result<(), Problem> {
        let may_be_in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let is_name = what.session.len() <= UNDONE_NAME_MAX_BYTES
            && what.session.bytes().all(may_be_in_a_name);
        if !is_name {
            let detail = "that names no session";
            return Err(Problem::new(ProblemKind::Invalid, detail));
        }
        let event = events::undone(user, what);
        self.recorder.note(vec![event]).await.map(drop)
    }

    /// Signs with a new key from now on. Live sessions go on: their guards are told, and what the old key signed lives out its time.
    ///
    /// # Errors
    /// When it cannot be recorded or kept; then the old key goes on.
    pub(crate) async fn rotate_key(self: &Arc<Self>) -> Result<IssuerKeys, Problem> {
        self.issuer.may_rotate(self.now())?;
        let next = NextKey::make()?;
        let event = events::key_rotated(&self.issuer.kid(), next.kid());
        let pending = Pending {
            value: next,
            events: vec![event],
        };
        let (recorded, rotated) = self.recorder.record(pending).await?;
        if let Err(problem) = self.issuer.rotate(recorded, self.now()) {
            let event = events::key_not_rotated(&problem.detail).cause(rotated);
            self.recorder.note(vec![event]).await?;
            return Err(problem);
        }
        for session in self.sessions.all() {
            session.keys_changed();
        }
        Ok(self.issuer.list(self.now()))
    }
}

/// Whether a capability is one of those that are to be taken back.
fn fits(what: &Revoke, session: &Session, capability: &Capability) -> bool {
    match what {
        Revoke::Capability(id) => capability.capability_id == *id,
        Revoke::Session(id) => session.id == *id,
        Revoke::Agent(agent) => session.opening.agent.id == *agent,
        Revoke::Resource(resource) => {
            capability.resource.covers(resource) || resource.covers(&capability.resource)
        }
        Revoke::All => true,
    }
}

/// Why a capability is not kept, as its asker is told.
pub(crate) fn unkept(why: Unkept) -> Problem {
    let busy = |text: String| {
        Problem::new(ProblemKind::Busy, text).hinted(true, "give back what you do not need")
    };
    match why {
        Unkept::NotOpen => Problem::new(ProblemKind::Capability, "the session is over"),
        Unkept::Labelled => busy("the session has read something meanwhile".to_owned()),
        Unkept::Unheard => busy("the session's guard does not hear what has ended".to_owned()),
        Unkept::NoRoom(NoRoom::Full) => busy("the session holds too many capabilities".to_owned()),
        Unkept::NoRoom(NoRoom::NoParent) => Problem::new(
            ProblemKind::Capability,
            "the capability is used up, expired, revoked or not of this session",
        )
        .hinted(true, ASK_ANEW),
        Unkept::NoRoom(NoRoom::TooDeep) => Problem::new(
            ProblemKind::Constraint,
            format!("at most {MAX_GENERATIONS} capabilities are narrowed one from the other"),
        )
        .hinted(true, "narrow one that is nearer to the first"),
        Unkept::NoRoom(NoRoom::TooManyChildren) => busy(format!(
            "at most {MAX_CHILDREN} live capabilities are narrowed from one"
        )),
    }
}

fn not_in_ledger(error: &StoreError) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("the capabilities have ended, but the ledger could not keep that: {error}"),
    )
}
