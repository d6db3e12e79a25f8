//! The capabilities that this guard holds: verified once, counted and watched for as long as they live.

mod budget;
mod held;
mod index;
mod masks;
mod reach;
mod shown;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use thiserror::Error;
use valetkey_api::Granted;
use valetkey_approval::FileFacts;
use valetkey_capability::{Capability, TokenError};
use valetkey_model::{Action, ActionSet, CapabilityId, Timestamp};
use valetkey_sys::clock::Clock;
use valetkey_view::Permit as _;

pub(crate) use budget::Budget;
pub(crate) use held::Held;
use index::Index;
use masks::Masks;

use crate::keyring::KeyRing;

/// How many ended capabilities are remembered, to tell the agent why they are no good.
const ENDED_KEPT: usize = 256;
/// How often a capability may be narrowed, one from the other: each use is counted in all of them.
const NARROWED_MAX: usize = 16;

/// Looking at names and attributes: recorded as it streams, whatever the capability says of opens.
pub(crate) const LOOKING: ActionSet = ActionSet::of(&[Action::Metadata, Action::List]);

/// Why a token is not held.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum HoldError {
    /// It does not verify, or is not valid now.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// What it was narrowed from is not held, or has ended: nothing could be counted there, and nothing would end with it.
    #[error("the capability that it was narrowed from is not held, or has ended")]
    Parent,
    /// It gives more than what it was narrowed from.
    #[error("it is wider than the capability that it was narrowed from")]
    Wider,
    /// It masks, and there are more masks than can be remembered.
    #[error("there are too many masks in this session")]
    Masks,
    /// It was narrowed from one that was narrowed, too often.
    #[error("it was narrowed more often than is counted")]
    Depth,
}

/// All capabilities of the session.
#[derive(Debug)]
pub(crate) struct Holdings {
    verifier: KeyRing,
    clock: Clock,
    held: RwLock<Index>,
    masks: Masks,
    ended: Mutex<VecDeque<(CapabilityId, End)>>,
}

/// How a capability ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its time was over.
    Expired,
    /// The broker took it back.
    Revoked,
    /// The agent gave it back.
    Released,
    /// It was good for one use, and that was made.
    UsedUp,
    /// What people were shown of its file was not so any more when it was first used.
    Changed,
    /// What it was narrowed from ended.
    WithParent,
}

impl End {
    /// The end in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Expired => "the capability has expired",
            Self::Revoked => "the capability was revoked",
            Self::Released => "the capability was given back",
            Self::UsedUp => "the capability was good for a single use, which has been made",
            Self::Changed => "the file is no longer what people were shown when they approved",
            Self::WithParent => "the capability ended with the one that it was narrowed from",
        }
    }
}

impl Holdings {
    pub(crate) fn new(verifier: KeyRing) -> Self {
        Self {
            verifier,
            clock: Clock::start(0),
            held: RwLock::default(),
            masks: Masks::default(),
            ended: Mutex::default(),
        }
    }

    /// The keys that tokens verify with.
    pub(crate) fn keys(&self) -> &KeyRing {
        &self.verifier
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.clock.now_ms())
    }

    /// Verifies a token and holds what it gives. What the broker says beside the token is not believed: all comes from the signed claims.
    ///
    /// # Errors
    /// When the token does not verify, or was narrowed from what is not held and live; nothing is held then.
    pub(crate) fn add(&self, granted: &Granted) -> Result<Arc<Held>, HoldError> {
        self.add_shown(granted, None)
    }

    /// The same for what people approved, with what they were shown of the file.
    ///
    /// # Errors
    /// As [`Holdings::add`].
    pub(crate) fn add_shown(
        &self,
        granted: &Granted,
        shown: Option<FileFacts>,
    ) -> Result<Arc<Held>, HoldError> {
        let now = self.now();
        let verified = self.verifier.verify(&granted.token, now)?;
        let claims = verified.claims();
        let grant = claims.grant();
        if grant.constraints.not_before.is_some_and(|from| now < from) {
            return Err(TokenError::NotYet.into());
        }
        // Held until it is in the index: a parent cannot end between the look at it and its child's entry.
        let mut index = self.held.write().unwrap_or_else(PoisonError::into_inner);
        // One budget for one capability: whoever comes second with the same token finds what the first holds.
        if let Some(known) = index.all().find(|held| held.id() == claims.jti) {
            return Ok(Arc::clone(known));
        }
        let parent = match &claims.parent {
            None => None,
            Some(id) => {
                let parent = index.all().find(|held| held.id() == *id && held.is_live());
                let parent = parent.ok_or(HoldError::Parent)?;
                // A single use cannot be shared: the child would be a second one.
                if parent.constraints().is_single_use() || !grant.within(&parent.grant) {
                    return Err(HoldError::Wider);
                }
                if parent.depth >= NARROWED_MAX {
                    return Err(HoldError::Depth);
                }
                Some(Arc::clone(parent))
            }
        };
        // Before anything can be opened by it.
        self.masks.add(&grant).ok_or(HoldError::Masks)?;
        let held = Arc::new(Held::new(claims, granted, shown, parent));
        index.insert(Arc::clone(&held));
        Ok(held)
    }

    /// Lets a new token go on where a held capability would end, under what is open with it too. Only a token that gives exactly the same can.
    ///
    /// # Errors
    /// When the token does not verify or gives anything else; the held capability then ends in its own time.
    pub(crate) fn renew(&self, held: &Held, token: &str) -> Result<(), TokenError> {
        let verified = self.verifier.verify(token, self.now())?;
        if verified.claims().grant() != held.grant || verified.claims().parent.is_some() {
            return Err(TokenError::Claims);
        }
        let mut capability = held
            .capability
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *capability = Arc::new(Capability::from(verified.claims()));
        Ok(())
    }

    /// What is masked in this session.
    pub(crate) fn masks(&self) -> &Masks {
        &self.masks
    }

    /// The first live capability that fits.
    pub(crate) fn find(&self, fits: impl Fn(&Held) -> bool) -> Option<Arc<Held>> {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .all()
            .find(|held| fits(held))
            .cloned()
    }

    /// The first live capability that fits, among those that can speak of `path`.
    pub(crate) fn find_for(&self, path: &Path, fits: impl Fn(&Held) -> bool) -> Option<Arc<Held>> {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .for_path(path)
            .find(|held| fits(held))
            .cloned()
    }

    /// The live capability under which `wanted` may be done to `path` with no word to the broker first.
    pub(crate) fn at_once(&self, path: &Path, wanted: ActionSet) -> Option<Arc<Held>> {
        let looks = LOOKING.allows_all(wanted);
        self.best_for(path, wanted, |held| looks || held.opens_at_once())
    }

    /// The live capability to do `wanted` to `path` under: one that costs nothing before one that must be recorded first, before one that
    /// counts, before one whose limits leave nothing. The last is given too, so that a limit that was reached is what is said.
    pub(crate) fn best_for(
        &self,
        path: &Path,
        wanted: ActionSet,
        fits: impl Fn(&Held) -> bool,
    ) -> Option<Arc<Held>> {
        let index = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let mut best: Option<(u8, &Arc<Held>)> = None;
        for held in index.for_path(path) {
            if !fits(held) || !held.permits_path(path, wanted) {
                continue;
            }
            let limits = held.limits();
            let rank = match (limits.bytes || limits.uses, held.opens_at_once()) {
                (false, true) => return Some(Arc::clone(held)),
                (false, false) => 1,
                (true, _) if !held.is_used_up(wanted) => 2,
                (true, _) => 3,
            };
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, held));
            }
        }
        best.map(|(_, held)| Arc::clone(held))
    }

    /// All live capabilities.
    pub(crate) fn live(&self) -> Vec<Arc<Held>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.all().filter(|held| held.is_live()).cloned().collect()
    }

    /// How a capability that is not held any more ended, if it is remembered.
    pub(crate) fn how_ended(&self, id: &CapabilityId) -> Option<End> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.iter().find(|(had, _)| had == id).map(|(_, how)| *how)
    }

    /// Ends the capabilities that `ends` names and what was narrowed from them, and gives them all.
    pub(crate) fn end(&self, how: End, ends: impl Fn(&Held) -> bool) -> Vec<Arc<Held>> {
        // Most often nothing ends: readers are not held up to find that out.
        if !self
            .held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .all()
            .any(|held| ends(held))
        {
            return Vec::new();
        }
        let mut index = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let mut over = index.extract(ends);
        for held in &over {
            held.end();
        }
        // Whatever was narrowed from these, at any remove, lives no more.
        let children = index.extract(|held| !held.is_live());
        drop(index);
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.extend(over.iter().map(|held| (held.id(), how)));
        ended.extend(children.iter().map(|held| (held.id(), End::WithParent)));
        while ended.len() > ENDED_KEPT {
            ended.pop_front();
        }
        over.extend(children);
        over
    }

    /// Ends what has expired.
    pub(crate) fn end_expired(&self) -> Vec<Arc<Held>> {
        let now = self.now();
        self.end(End::Expired, |held| held.capability().expires_at <= now)
    }
}

#[cfg(test)]
mod beyond_tests;
#[cfg(test)]
mod tests;
