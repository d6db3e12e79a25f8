//! What is new for people: alerts, and a number that changes with whatever waits for them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use valetkey_api::{Alert, AlertKind};
use valetkey_model::{AgentId, SessionId, Timestamp};

use crate::identify::Scope;

/// Alerts of one user that are kept.
const MAX_ALERTS: usize = 64;
/// Users of whom anything is remembered.
const MAX_USERS: usize = 10_000;

/// The bulletin of one broker.
#[derive(Debug)]
pub(crate) struct Bulletin {
    /// Numbers begin with the broker's, so that nobody takes a number of an earlier one for a number of this.
    first: u64,
    board: Mutex<Board>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Board {
    changes: u64,
    users: BTreeMap<u32, User>,
}

#[derive(Debug, Default)]
struct User {
    /// The number of the last change that this user can see: others' changes are nobody else's business.
    last: u64,
    alerts: VecDeque<Alert>,
}

/// An alert before it has a number.
#[derive(Clone, Debug)]
pub(crate) struct Raised {
    pub(crate) kind: AlertKind,
    pub(crate) session: Option<SessionId>,
    pub(crate) agent: Option<AgentId>,
    pub(crate) text: String,
}

impl Bulletin {
    /// An empty one; its numbers go on from any that was given before `since`.
    pub(crate) fn new(since: Timestamp) -> Self {
        Self {
            first: since.unix_ms(),
            board: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Says that something which waits for a user's people has changed.
    pub(crate) fn changed(&self, uid: u32) {
        let mut board = self.lock();
        board.change(uid);
        drop(board);
        self.changed.notify_waiters();
    }

    /// Raises an alert among a user's people.
    pub(crate) fn raise(&self, uid: u32, raised: Raised, now: Timestamp) {
        let mut board = self.lock();
        let first = self.first;
        if let Some(user) = board.change(uid) {
            let alert = Alert {
                number: first.saturating_add(user.last),
                time: now,
                kind: raised.kind,
                session: raised.session,
                agent: raised.agent,
                text: raised.text,
            };
            user.alerts.push_back(alert);
            while user.alerts.len() > MAX_ALERTS {
                user.alerts.pop_front();
            }
        }
        drop(board);
        self.changed.notify_waiters();
    }

    /// The alerts in sight, oldest first.
    pub(crate) fn alerts(&self, scope: Scope) -> Vec<Alert> {
        let board = self.lock();
        let seen = board.users.iter().filter(|(uid, _)| scope.holds(**uid));
        let mut alerts: Vec<Alert> = seen
            .flat_map(|(_, user)| user.alerts.iter().cloned())
            .collect();
        alerts.sort_by_key(|alert| alert.number);
        alerts
    }

    /// The number of what is in sight.
    pub(crate) fn number(&self, scope: Scope) -> u64 {
        let board = self.lock();
        let seen = board.users.iter().filter(|(uid, _)| scope.holds(**uid));
        let last = seen.map(|(_, user)| user.last).max().unwrap_or(0);
        self.first.saturating_add(last)
    }

    /// Waits until the number of what is in sight is not `after`, or the wait is over; the number then.
    pub(crate) async fn wait(&self, scope: Scope, after: u64, wait: Duration) -> u64 {
        let deadline = tokio::time::Instant::now().checked_add(wait);
        loop {
            // Registered before looking, so that nothing between look and wait is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let number = self.number(scope);
            let Some(deadline) = deadline.filter(|_| number == after) else {
                return number;
            };
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self.number(scope);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn change(&mut self, uid: u32) -> Option<&mut User> {
        if self.users.len() >= MAX_USERS && !self.users.contains_key(&uid) {
            return None;
        }
        self.changes = self.changes.saturating_add(1);
        let user = self.users.entry(uid).or_default();
        user.last = self.changes;
        Some(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(text: &str) -> Raised {
        Raised {
            kind: AlertKind::Lockout,
            session: None,
            agent: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_user_sees_what_is_theirs_and_no_sign_of_the_rest() {
        let now = Timestamp::from_unix_seconds(100);
        let bulletin = Bulletin::new(now);
        let before = bulletin.number(Scope::Of(1000));
        bulletin.changed(1001);
        bulletin.raise(1001, raised("theirs"), now);
        assert_eq!(bulletin.number(Scope::Of(1000)), before);
        assert!(bulletin.alerts(Scope::Of(1000)).is_empty());
        assert!(bulletin.number(Scope::Of(1001)) > before);
        assert_eq!(bulletin.alerts(Scope::Everyone).len(), 1);
        let seen = bulletin.number(Scope::Everyone);
        bulletin.changed(1000);
        assert!(bulletin.number(Scope::Everyone) > seen);
    }

    #[test]
    fn no_more_alerts_are_kept_than_there_is_room_for() {
        let now = Timestamp::from_unix_seconds(100);
        let bulletin = Bulletin::new(now);
        for number in 0..2 * MAX_ALERTS {
            bulletin.raise(1000, raised(&number.to_string()), now);
        }
        let alerts = bulletin.alerts(Scope::Of(1000));
        assert_eq!(alerts.len(), MAX_ALERTS);
        assert!(alerts.is_sorted_by_key(|alert| alert.number));
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_next_change_or_its_time() {
        let now = Timestamp::from_unix_seconds(100);
        let bulletin = std::sync::Arc::new(Bulletin::new(now));
        let scope = Scope::Of(1000);
        let first = bulletin.number(scope);
        assert_eq!(bulletin.wait(scope, first, Duration::ZERO).await, first);
        let at_once = bulletin.wait(scope, 0, Duration::from_secs(60)).await;
        assert_eq!(at_once, first, "an unknown number is answered at once");
        let waiting = std::sync::Arc::clone(&bulletin);
        let wait =
            tokio::spawn(async move { waiting.wait(scope, first, Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        bulletin.changed(1000);
        assert!(wait.await.expect("ends") > first);
    }
}
