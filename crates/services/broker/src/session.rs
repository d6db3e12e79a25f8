//! Sessions: one run of an agent, its live capabilities, and the news for its guard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use valetkey_api::{Enforcement, Granted, LiveLease, LookAgain, News};
use valetkey_capability::{Capability, Claims};
use valetkey_model::{
    ActionSet, AgentFacts, CapabilityId, EventId, Grant, RequestId, Resource, SessionId, Timestamp,
    UserFacts,
};

use crate::identify::PeerIdentity;
use crate::lease::{Given, Leased, Leases};
use crate::live::{Entry, Live, MAX_LIVE, NoRoom};
use crate::rules::OwnRules;
use crate::start_grants::StartGrants;
use crate::unheard::{Piece, Unheard};

/// Sessions open at once.
const MAX_SESSIONS: usize = 128;
/// News that a guard has not heard before its session is given nothing more. A guard asks for it all the time.
const MAX_UNHEARD: usize = 2 * MAX_LIVE;
/// Capabilities, live or not, of which the event that minted them is remembered.
const MAX_TRACED: usize = 2 * MAX_LIVE;
/// Requests that are remembered for counting.
const MAX_REMEMBERED: usize = 10_000;

/// Why a capability is not kept as live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unkept {
    /// The session is not open.
    NotOpen,
    /// The session's guard hears no news.
    Unheard,
    /// A label has come that was not looked at.
    Labelled,
    /// The session's table does not take it.
    NoRoom(NoRoom),
}

/// A capability that becomes live.
#[derive(Debug)]
pub(crate) struct Living<'a> {
    pub(crate) claims: &'a Claims,
    pub(crate) streamed: bool,
    /// The event in which it was minted.
    pub(crate) minted: EventId,
    /// How many labels of the session were looked at before.
    pub(crate) labels_seen: usize,
}

/// What a session is opened with.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) user: UserFacts,
    pub(crate) agent: AgentFacts,
    pub(crate) purpose: Option<String>,
    pub(crate) workspace: Option<Resource>,
    pub(crate) grants: StartGrants,
    /// What it brings of its own to the policy that decides.
    pub(crate) rules: OwnRules,
    /// What its guard says of the cell; nothing outside of one.
    pub(crate) enforcement: Option<Enforcement>,
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

/// How far a session has come. What it holds is there only while it is open: a call in another phase finds nothing that it could change.
#[derive(Debug)]
enum Phase {
    /// It may ask, use, narrow and give back.
    Open(Live),
    /// Nothing of it is good any more; its end is being recorded, and its guard is told.
    Closing,
    /// Its end stands in the log.
    Over,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Open(Live::default())
    }
}

#[derive(Debug, Default)]
struct Changing {
    phase: Phase,
    /// The events in which its capabilities were minted, and that of its own opening.
    minted: BTreeMap<CapabilityId, EventId>,
    opened: Option<EventId>,
    unheard: Unheard,
    /// What a person took back: it is not given again in this session, whatever policy says.
    taken_back: Vec<(Resource, ActionSet)>,
    asked: VecDeque<Timestamp>,
    leases: Leases,
    /// What sticks to it of what it has read, in the order in which it came. They only grow.
    labels: Vec<String>,
}

impl Changing {
    /// What it holds, while it is open.
    fn live(&mut self) -> Option<&mut Live> {
        match &mut self.phase {
            Phase::Open(live) => Some(live),
            Phase::Closing | Phase::Over => None,
        }
    }

    fn tell(&mut self, ended: impl Iterator<Item = CapabilityId>) {
        self.unheard.kept.extend(ended.map(Piece::Ended));
    }

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
    /// How many seconds have begun since it was opened: what is granted for a time is not given for longer.
    pub(crate) fn begun_seconds(&self, now: Timestamp) -> u64 {
        now.ms_since(self.opened_at).div_ceil(1000)
    }

    /// Counts a request; gives how many there were in the last minute and the last hour, this one included.
    pub(crate) fn count_request(&self, now: Timestamp) -> (u64, u64) {
        self.lock().count_request(now)
    }

    /// Keeps a capability as live.
    pub(crate) fn add_live(&self, one: Living<'_>, now: Timestamp) -> Result<(), Unkept> {
        let Living {
            claims,
            streamed,
            minted,
            labels_seen,
        } = one;
        let mut changing = self.lock();
        if changing.labels.len() > labels_seen {
            return Err(Unkept::Labelled);
        }
        // Each live capability may become news; a guard that hears none of it is given nothing more.
        if changing.unheard.kept.len() >= MAX_UNHEARD {
            return Err(Unkept::Unheard);
        }
        let live = changing.live().ok_or(Unkept::NotOpen)?;
        live.add(claims.clone(), streamed, now)
            .map_err(Unkept::NoRoom)?;
        changing.minted.insert(claims.jti.clone(), minted);
        while changing.minted.len() > MAX_TRACED {
            changing.minted.pop_first();
        }
        Ok(())
    }

    /// The live capability of that id.
    pub(crate) fn find_live(&self, id: &CapabilityId, now: Timestamp) -> Option<Entry> {
        self.lock().live()?.get(id, now).cloned()
    }

    /// The live capability of that id, if one may be narrowed from it now.
    pub(crate) fn find_parent(&self, id: &CapabilityId, now: Timestamp) -> Result<Entry, Unkept> {
        let mut changing = self.lock();
        let live = changing.live().ok_or(Unkept::NotOpen)?;
        live.may_add_below(id, now).cloned().map_err(Unkept::NoRoom)
    }

    /// All live capabilities.
    pub(crate) fn live(&self, now: Timestamp) -> Vec<Capability> {
        self.lock().live().map_or_else(Vec::new, |live| {
            live.all(now).map(Entry::capability).collect()
        })
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

    /// Ends what a person takes back, as [`Self::end_live`] does; it is not given again.
    pub(crate) fn revoke(&self, id: &CapabilityId) -> Vec<Entry> {
        self.end_one(id, true)
    }

    /// Ends a capability and all that was narrowed from it, and tells the guard in one piece. What ended, itself first.
    pub(crate) fn end_live(&self, id: &CapabilityId) -> Vec<Entry> {
        self.end_one(id, false)
    }

    fn end_one(&self, id: &CapabilityId, for_good: bool) -> Vec<Entry> {
        let mut changing = self.lock();
        let ended = changing.live().map_or_else(Vec::new, |live| live.end(id));
        changing.leases.end(id);
        if let Some(first) = ended.first().filter(|_| for_good) {
            let grant = first.claims.grant();
            changing.taken_back.push((grant.resource, grant.actions));
        }
        changing.tell(ended.iter().map(|entry| entry.claims.jti.clone()));
        drop(changing);
        self.changed.notify_waiters();
        ended
    }

    /// The labels of what it has read, in the order in which they came.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.lock().labels.clone()
    }

    /// Lets labels stick; gives how many there were before, and all that there are now. Nothing where there would be more than `most`.
    pub(crate) fn add_labels(
        &self,
        labels: &[String],
        most: usize,
    ) -> Option<(usize, Vec<String>)> {
        let mut changing = self.lock();
        let before = changing.labels.len();
        for label in labels {
            if !changing.labels.contains(label) {
                changing.labels.push(label.clone());
            }
        }
        if changing.labels.len() > most {
            changing.labels.truncate(before);
            return None;
        }
        Some((before, changing.labels.clone()))
    }

    /// Ends a capability that its holder gives back, and all that was narrowed from it: unless `successor` takes its place, as one that is
    /// renewed does. The guard is told of the others. What ended, itself first.
    pub(crate) fn release(
        &self,
        id: &CapabilityId,
        successor: Option<&CapabilityId>,
        now: Timestamp,
    ) -> Vec<Entry> {
        let mut changing = self.lock();
        let ended = changing
            .live()
            .map_or_else(Vec::new, |live| match successor {
                Some(successor) => live.succeed(id, successor, now),
                None => live.end(id),
            });
        match successor {
            Some(successor) => changing.leases.succeed(id, successor),
            None => changing.leases.end(id),
        }
        changing.tell(ended.iter().skip(1).map(|entry| entry.claims.jti.clone()));
        drop(changing);
        self.changed.notify_waiters();
        ended
    }

    /// Ends a capability that was used up, with the family that shares its one use. The guard is told of those that it does not know of.
    pub(crate) fn use_up(&self, id: &CapabilityId) {
        let mut changing = self.lock();
        let unaware = changing
            .live()
            .map_or_else(Vec::new, |live| live.use_up(id).unaware);
        changing.tell(unaware.into_iter());
        drop(changing);
        self.changed.notify_waiters();
    }

    /// Keeps a lease that people gave.
    pub(crate) fn add_lease(&self, lease: Leased, now: Timestamp) {
        let mut changing = self.lock();
        if changing.live().is_some() {
            changing.leases.add(lease, now);
        }
    }

    /// What a lease gives of `wanted` now, to be minted as `capability`.
    pub(crate) fn take_lease(
        &self,
        wanted: &Grant,
        policy_id: &str,
        capability: &CapabilityId,
        now: Timestamp,
    ) -> Option<Given> {
        let mut changing = self.lock();
        changing.live()?;
        changing.leases.take(wanted, policy_id, capability, now)
    }

    /// What is leased now.
    pub(crate) fn leases(&self, now: Timestamp) -> Vec<LiveLease> {
        self.lock().leases.list(&self.id, now)
    }

    /// Has the guard look again at files that people were shown.
    pub(crate) fn ask_to_look(&self, request_id: &RequestId, resources: Vec<Resource>) {
        let mut changing = self.lock();
        if changing.unheard.kept.len() < MAX_UNHEARD {
            changing.unheard.kept.push_back(Piece::Look(LookAgain {
                request_id: request_id.clone(),
                resources,
            }));
        }
        drop(changing);
        self.changed.notify_waiters();
    }

    /// Puts a capability into the guard's hands that nobody asked for through it.
    pub(crate) fn give(&self, granted: Granted) {
        let mut changing = self.lock();
        changing
            .unheard
            .kept
            .push_back(Piece::Given(Box::new(granted)));
        drop(changing);
        self.changed.notify_waiters();
    }

    /// Tells the guard that there are other keys to verify with.
    pub(crate) fn keys_changed(&self) {
        let mut changing = self.lock();
        changing.unheard.kept.push_back(Piece::Keys);
        drop(changing);
        self.changed.notify_waiters();
    }

    /// Whether a person took back anything of what is asked for.
    pub(crate) fn was_taken_back(&self, resource: &Resource, actions: ActionSet) -> bool {
        self.lock().taken_back.iter().any(|(taken, of)| {
            (taken.covers(resource) || resource.covers(taken))
                && !of.intersection(actions).is_empty()
        })
    }

    /// Ends the session; whether it was open. No capability of it is live afterwards.
    pub(crate) fn end(&self) -> bool {
        let mut changing = self.lock();
        let was_open = matches!(changing.phase, Phase::Open(_));
        if was_open {
            changing.phase = Phase::Closing;
        }
        drop(changing);
        self.changed.notify_waiters();
        was_open
    }

    /// Says that its end stands in the log.
    pub(crate) fn set_over(&self) {
        self.lock().phase = Phase::Over;
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.lock().phase, Phase::Open(_))
    }

    /// Drops the news of a session that has no guard to hear it: a process that speaks for itself asks for what it holds.
    pub(crate) fn drop_news(&self) {
        let mut changing = self.lock();
        let last = changing.unheard.last();
        changing.unheard.heard(last);
    }

    /// Whether its guard may still hear news: until its end stands in the log.
    fn is_heard(&self) -> bool {
        !matches!(self.lock().phase, Phase::Over)
    }

    /// The news after number `after`; waits for some until `wait` is over.
    pub(crate) async fn news(&self, after: u64, wait: std::time::Duration) -> News {
        let deadline = tokio::time::Instant::now().checked_add(wait);
        self.lock().unheard.heard(after);
        loop {
            // Registered before looking, so that nothing between look and wait is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let news = self.news_now(after);
            if news.is_any() {
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
        let skip = after.saturating_sub(changing.unheard.before);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let pieces = changing.unheard.kept.iter().skip(skip);
        let mut news = News {
            last: changing.unheard.last(),
            session_over: !matches!(changing.phase, Phase::Open(_)),
            ..News::default()
        };
        for piece in pieces {
            match piece {
                Piece::Ended(id) => news.revoked.push(id.clone()),
                Piece::Keys => news.keys_changed = true,
                Piece::Look(look) => news.look_again.push(look.clone()),
                Piece::Given(granted) => news.given.push(Granted::clone(granted)),
            }
        }
        news
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
        self.heard_of_guard(id, guard)
            .filter(|session| session.is_open())
    }

    /// The session of that id, open or closing, for the guard that opened it: it may hear that it ended, and no more.
    pub(crate) fn heard_of_guard(
        &self,
        id: &SessionId,
        guard: &PeerIdentity,
    ) -> Option<Arc<Session>> {
        self.lock()
            .get(id)
            .filter(|session| {
                session.guard == *guard && !session.opening.agent.attested && session.is_heard()
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
