//! The capabilities that this guard holds: verified once, counted and watched for as long as they live.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use valetkey_api::Granted;
use valetkey_capability::{Capability, TokenError};
use valetkey_model::{
    ActionSet, CapabilityId, Constraints, Grant, PathPattern, PatternSet, Resource, Timestamp,
};
use valetkey_sys::clock::Clock;
use valetkey_view::{Exhausted, Permit};

use crate::keyring::KeyRing;

/// How many ended capabilities are remembered, to tell the agent why they are no good.
const ENDED_KEPT: usize = 256;

/// A verified capability with its remaining counts. It is dead for good once it is revoked, expired or used up.
#[derive(Debug)]
pub(crate) struct Held {
    grant: Grant,
    /// What is taken out of the grant, in the form in which it is asked at every look and open.
    except: PatternSet,
    capability: RwLock<Arc<Capability>>,
    streamed: bool,
    live: AtomicBool,
    /// How long it lives from its issue, in seconds.
    life_seconds: u64,
    /// Its one use has been made: what was opened with it goes on, nothing more is opened.
    spent: AtomicBool,
    read_left: Option<AtomicU64>,
    write_left: Option<AtomicU64>,
    rows_left: Option<AtomicU64>,
}

impl Held {
    pub(crate) fn id(&self) -> CapabilityId {
        self.capability().capability_id.clone()
    }

    /// The capability in words.
    pub(crate) fn capability(&self) -> Arc<Capability> {
        Arc::clone(
            &self
                .capability
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Whether a new capability may take its place when its time runs out: it was given by policy alone, and counts nothing.
    pub(crate) fn is_renewable(&self) -> bool {
        let capability = self.capability();
        capability.approvals.is_empty() && self.grant.constraints == Constraints::default()
    }

    /// Whether a fifth of its life, or less, is left.
    pub(crate) fn nears_its_end(&self, now: Timestamp) -> bool {
        let life_ms = self.life_seconds.saturating_mul(1000);
        self.capability().expires_at.ms_since(now) <= life_ms / 5
    }

    pub(crate) fn constraints(&self) -> &Constraints {
        &self.grant.constraints
    }

    /// Whether opens under it may be recorded after they happen.
    pub(crate) fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// The file pattern that it speaks of.
    pub(crate) fn pattern(&self) -> Option<&PathPattern> {
        self.grant.resource.as_file()
    }

    /// Whether it gives all of `wanted` on the path. Constraints that the view cannot hold make it useless there: fail closed.
    pub(crate) fn permits_path(&self, path: &Path, wanted: ActionSet) -> bool {
        let constraints = &self.grant.constraints;
        let unenforceable = constraints.max_files.is_some()
            || constraints.max_operations.is_some()
            || constraints.media_types.is_some();
        // The path last: that takes the longest.
        !self.spent.load(Ordering::Acquire)
            && self.grant.actions.allows_all(wanted)
            && (!unenforceable || wanted.is_empty())
            && self.speaks_of(path)
    }

    /// Whether it speaks of the path at all, live, and with no exception there.
    pub(crate) fn speaks_of(&self, path: &Path) -> bool {
        self.is_live()
            && self.pattern().is_some_and(|pattern| pattern.matches(path))
            && !self.except.matches(path)
    }

    /// Whether it gives all of `wanted` on the path and everything below, with no exception inside.
    pub(crate) fn permits_tree(&self, path: &Path, wanted: ActionSet) -> bool {
        let Ok(tree) = PathPattern::tree(path) else {
            return false;
        };
        let free = |out: &PathPattern| !out.may_match_below(path) && !out.matches(path);
        self.permits_path(path, wanted)
            && self.pattern().is_some_and(|pattern| pattern.covers(&tree))
            && self
                .grant
                .except
                .iter()
                .all(|out| out.as_file().is_some_and(free))
    }

    /// Whether it gives `wanted` on the resource.
    pub(crate) fn permits(&self, resource: &Resource, wanted: ActionSet) -> bool {
        self.is_live()
            && !self.spent.load(Ordering::Acquire)
            && self.grant.covers(resource)
            && self.grant.actions.allows_all(wanted)
    }

    /// Takes rows from what may be appended in all, or nothing.
    pub(crate) fn take_rows(&self, rows: u64) -> Result<(), u64> {
        take_all(self.rows_left.as_ref(), rows)
    }

    /// Gives rows back that were taken and not appended.
    pub(crate) fn return_rows(&self, rows: u64) {
        if let Some(left) = &self.rows_left {
            left.fetch_add(rows, Ordering::AcqRel);
        }
    }

    /// The bytes that may still be written.
    pub(crate) fn write_left(&self) -> Option<u64> {
        self.write_left
            .as_ref()
            .map(|left| left.load(Ordering::Acquire))
    }

    /// Makes its one use; whether it was the first.
    pub(crate) fn spend(&self) -> bool {
        !self.spent.swap(true, Ordering::AcqRel)
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.live.store(false, Ordering::Release);
    }
}

fn take_all(left: Option<&AtomicU64>, amount: u64) -> Result<(), u64> {
    let Some(left) = left else { return Ok(()) };
    left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |had| {
        had.checked_sub(amount)
    })
    .map(drop)
}

impl Permit for Held {
    fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    fn actions(&self) -> ActionSet {
        self.grant.actions
    }

    fn take_read(&self, bytes: u64) -> Result<u64, Exhausted> {
        let Some(left) = &self.read_left else {
            return Ok(bytes);
        };
        let had = left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |had| {
                Some(had.saturating_sub(bytes))
            })
            .unwrap_or(0);
        if had == 0 && bytes > 0 {
            Err(Exhausted)
        } else {
            Ok(bytes.min(had))
        }
    }

    fn take_write(&self, bytes: u64) -> Result<(), Exhausted> {
        take_all(self.write_left.as_ref(), bytes).map_err(|_| Exhausted)
    }

    fn is_counted(&self) -> bool {
        self.read_left.is_some() || self.write_left.is_some()
    }
}

/// All capabilities of the session.
#[derive(Debug)]
pub(crate) struct Holdings {
    verifier: KeyRing,
    clock: Clock,
    held: RwLock<Table>,
    ended: Mutex<VecDeque<(CapabilityId, End)>>,
}

/// Capabilities for one path by that path, since there may be thousands; the few for trees and other patterns in a list.
#[derive(Debug, Default)]
struct Table {
    of_path: HashMap<PathBuf, Vec<Arc<Held>>>,
    others: Vec<Arc<Held>>,
}

impl Table {
    fn all(&self) -> impl Iterator<Item = &Arc<Held>> {
        self.others.iter().chain(self.of_path.values().flatten())
    }

    fn for_path(&self, path: &Path) -> impl Iterator<Item = &Arc<Held>> {
        self.others
            .iter()
            .chain(self.of_path.get(path).into_iter().flatten())
    }
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
}

impl End {
    /// The end in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Expired => "the capability has expired",
            Self::Revoked => "the capability was revoked",
            Self::Released => "the capability was given back",
            Self::UsedUp => "the capability was good for a single use, which has been made",
        }
    }
}

impl Holdings {
    pub(crate) fn new(verifier: KeyRing) -> Self {
        Self {
            verifier,
            clock: Clock::start(0),
            held: RwLock::default(),
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
    /// When the token does not verify; nothing is held then.
    pub(crate) fn add(&self, granted: &Granted) -> Result<Arc<Held>, TokenError> {
        let verified = self.verifier.verify(&granted.token, self.now())?;
        let grant = verified.claims().grant();
        let count = |limit: Option<u64>| limit.map(AtomicU64::new);
        let held = Arc::new(Held {
            read_left: count(grant.constraints.max_bytes),
            write_left: count(grant.constraints.max_write_bytes),
            rows_left: count(grant.constraints.max_rows),
            capability: RwLock::new(Arc::new(Capability::from(verified.claims()))),
            streamed: granted.streamed,
            live: AtomicBool::new(true),
            life_seconds: verified.claims().exp.saturating_sub(verified.claims().iat),
            spent: AtomicBool::new(false),
            except: grant
                .except
                .iter()
                .filter_map(|out| out.as_file().cloned())
                .collect(),
            grant,
        });
        let mut table = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match held.pattern().filter(|pattern| pattern.is_literal()) {
            Some(path) => table
                .of_path
                .entry(path.literal_prefix())
                .or_default()
                .push(Arc::clone(&held)),
            None => table.others.push(Arc::clone(&held)),
        }
        drop(table);
        Ok(held)
    }

    /// Lets a new token go on where a held capability would end, under what is open with it too. Only a token that gives exactly the same can.
    ///
    /// # Errors
    /// When the token does not verify or gives anything else; the held capability then ends in its own time.
    pub(crate) fn renew(&self, held: &Held, token: &str) -> Result<(), TokenError> {
        let verified = self.verifier.verify(token, self.now())?;
        if verified.claims().grant() != held.grant {
            return Err(TokenError::Claims);
        }
        let mut capability = held
            .capability
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *capability = Arc::new(Capability::from(verified.claims()));
        Ok(())
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

    /// Ends the capabilities that `ends` names, and gives them.
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
        let mut table = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let mut over: Vec<Arc<Held>> = table.others.extract_if(.., |held| ends(held)).collect();
        for held in table.of_path.values_mut() {
            over.extend(held.extract_if(.., |held| ends(held)));
        }
        table.of_path.retain(|_, held| !held.is_empty());
        drop(table);
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        for held in &over {
            held.end();
            ended.push_back((held.id(), how));
        }
        while ended.len() > ENDED_KEPT {
            ended.pop_front();
        }
        over
    }

    /// Ends what has expired.
    pub(crate) fn end_expired(&self) -> Vec<Arc<Held>> {
        let now = self.now();
        self.end(End::Expired, |held| held.capability().expires_at <= now)
    }
}
