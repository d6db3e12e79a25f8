//! Sessions: one run of an agent, its live capabilities, and the news for its guard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use valetkey_api::News;
use valetkey_capability::Capability;
use valetkey_model::{
    ActionSet, AgentFacts, CapabilityId, Digest, EventId, Grant, Resource, SessionId, Timestamp,
    UserFacts,
};

use crate::identify::PeerIdentity;
use crate::rules::Rules;

/// Sessions open at once.
const MAX_SESSIONS: usize = 128;
/// Live capabilities of one session.
const MAX_LIVE: usize = 4096;
/// Capabilities, live or not, of which the event that minted them is remembered.
const MAX_TRACED: usize = 2 * MAX_LIVE;
/// Requests that are remembered for counting.
const MAX_REMEMBERED: usize = 10_000;

/// What a session is opened with.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) user: UserFacts,
    pub(crate) agent: AgentFacts,
    pub(crate) purpose: Option<String>,
    pub(crate) workspace: Option<Resource>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) rules: Arc<Rules>,
}

/// One run of an agent.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) opening: Opening,
    pub(crate) opened_at: Timestamp,
    guard: PeerIdentity,
    changing: Mutex<Changing>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Changing {
    live: BTreeMap<CapabilityId, Capability>,
    /// The events in which its capabilities were minted, and that of its own opening.
    minted: BTreeMap<CapabilityId, EventId>,
    opened: Option<EventId>,
    revoked: Vec<CapabilityId>,
    /// What a person took back: it is not given again in this session, whatever policy says.
    taken_back: Vec<(Resource, ActionSet)>,
    over: bool,
    asked: VecDeque<Timestamp>,
}

impl Changing {
    fn count_request(&mut self, now: Timestamp) -> (u64, u64) {
        self.asked.push_back(now);
        while self.asked.len() > MAX_REMEMBERED
            || self
                .asked
                .front()
                .is_some_and(|first| now.ms_since(*first) > 3_600_000)
        {
            self.asked.pop_front();
        }
        // They stand in the order of time; a busy session remembers thousands, and asks this for every decision.
        let before = self
            .asked
            .partition_point(|time| now.ms_since(*time) > 60_000);
        let hour = self.asked.len();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        (count(hour.saturating_sub(before)), count(hour))
    }
}

impl Session {
    /// The digest of the policy that this session is decided by.
    pub(crate) fn policy_digest(&self) -> Digest {
        self.opening.rules.digest()
    }

    /// Counts a request; gives how many there were in the last minute and the last hour, this one included.
    pub(crate) fn count_request(&self, now: Timestamp) -> (u64, u64) {
        self.lock().count_request(now)
    }

    /// Keeps a capability as live. Refused when the session is over or holds too many.
    pub(crate) fn add_live(&self, capability: Capability, minted: EventId, now: Timestamp) -> bool {
        let mut changing = self.lock();
        // What has expired counts for nothing wherever it is looked for; it is cleared away when its room is needed.
        if changing.live.len() >= MAX_LIVE {
            changing.live.retain(|_, held| held.expires_at > now);
        }
        if changing.over || changing.live.len() >= MAX_LIVE {
            return false;
        }
        changing
            .minted
            .insert(capability.capability_id.clone(), minted);
        while changing.minted.len() > MAX_TRACED {
            changing.minted.pop_first();
        }
        changing
            .live
            .insert(capability.capability_id.clone(), capability);
        true
    }

    /// The live capability of that id.
    pub(crate) fn find_live(&self, id: &CapabilityId, now: Timestamp) -> Option<Capability> {
        self.lock()
            .live
            .get(id)
            .filter(|held| held.expires_at > now)
            .cloned()
    }

    /// All live capabilities.
    pub(crate) fn live(&self, now: Timestamp) -> Vec<Capability> {
        self.lock()
            .live
            .values()
            .filter(|held| held.expires_at > now)
            .cloned()
            .collect()
    }

    /// Keeps the event that opened it.
    pub(crate) fn set_opened(&self, event: EventId) {
        self.lock().opened = Some(event);
    }

    /// The event that opened it.
    pub(crate) fn opened(&self) -> Option<EventId> {
        self.lock().opened.clone()
    }

    /// The event in which a capability was minted.
    pub(crate) fn minted(&self, id: &CapabilityId) -> Option<EventId> {
        self.lock().minted.get(id).cloned()
    }

    /// Ends a capability and tells the guard. Whether it was live.
    pub(crate) fn revoke(&self, id: &CapabilityId) -> bool {
        let mut changing = self.lock();
        let Some(taken) = changing.live.remove(id) else {
            return false;
        };
        changing.revoked.push(id.clone());
        changing.taken_back.push((taken.resource, taken.actions));
        drop(changing);
        self.changed.notify_waiters();
        true
    }

    /// Whether a person took back anything of what is asked for.
    pub(crate) fn was_taken_back(&self, resource: &Resource, actions: ActionSet) -> bool {
        self.lock().taken_back.iter().any(|(taken, of)| {
            (taken.covers(resource) || resource.covers(taken))
                && !of.intersection(actions).is_empty()
        })
    }

    /// Takes out a capability that was used up; its guard knows.
    pub(crate) fn forget(&self, id: &CapabilityId) {
        self.lock().live.remove(id);
    }

    /// Ends the session; whether it was not over yet. No capability of it is live afterwards.
    pub(crate) fn end(&self) -> bool {
        let mut changing = self.lock();
        let was_open = !std::mem::replace(&mut changing.over, true);
        changing.live.clear();
        drop(changing);
        self.changed.notify_waiters();
        was_open
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// The news after number `after`; waits for some until `wait` is over.
    pub(crate) async fn news(&self, after: u64, wait: std::time::Duration) -> News {
        let deadline = tokio::time::Instant::now().checked_add(wait);
        loop {
            // Registered before looking, so that nothing between look and wait is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let news = self.news_now(after);
            if news.session_over || !news.revoked.is_empty() {
                return news;
            }
            let Some(deadline) = deadline else {
                return news;
            };
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self.news_now(after);
            }
        }
    }

    fn news_now(&self, after: u64) -> News {
        let changing = self.lock();
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        News {
            last: u64::try_from(changing.revoked.len()).unwrap_or(u64::MAX),
            revoked: changing.revoked.iter().skip(skip).cloned().collect(),
            session_over: changing.over,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All open sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Mutex<BTreeMap<SessionId, Arc<Session>>>,
}

impl Sessions {
    /// Opens a session for a guard, unless there are too many.
    pub(crate) fn open(
        &self,
        id: SessionId,
        guard: PeerIdentity,
        opening: Opening,
        now: Timestamp,
    ) -> Option<Arc<Session>> {
        let mut table = self.lock();
        if table.len() >= MAX_SESSIONS {
            return None;
        }
        let session = Arc::new(Session {
            id: id.clone(),
            opening,
            opened_at: now,
            guard,
            changing: Mutex::default(),
            changed: Notify::new(),
        });
        table.insert(id, Arc::clone(&session));
        Some(session)
    }

    /// The open session of that id, for the guard that opened it and nobody else. A process that speaks for itself is no guard.
    pub(crate) fn of_guard(&self, id: &SessionId, guard: &PeerIdentity) -> Option<Arc<Session>> {
        self.lock()
            .get(id)
            .filter(|session| {
                session.guard == *guard && !session.opening.agent.attested && !session.is_over()
            })
            .cloned()
    }

    /// Takes a session out.
    pub(crate) fn remove(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.lock().remove(id)
    }

    /// All open sessions, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<Session>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_the_minute_and_the_hour() {
        let mut changing = Changing::default();
        let mut at = |seconds: u64| changing.count_request(Timestamp::from_unix_seconds(seconds));
        assert_eq!(at(10_000), (1, 1));
        assert_eq!(at(10_060), (2, 2), "a minute ago still counts");
        assert_eq!(at(10_061), (2, 3));
        assert_eq!(at(13_600), (1, 4), "an hour ago still counts");
        assert_eq!(at(13_601), (2, 4));
    }

    #[test]
    fn no_more_requests_are_remembered_than_there_is_room_for() {
        let mut changing = Changing::default();
        let now = Timestamp::from_unix_seconds(10_000);
        let counted = (0..=MAX_REMEMBERED).map(|_| changing.count_request(now));
        let most = u64::try_from(MAX_REMEMBERED).expect("small");
        assert_eq!(counted.last(), Some((most, most)));
    }
}
