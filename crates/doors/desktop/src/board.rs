//! What should be on the desktop, and what a press means: pure, from the broker's lists and from what was heard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use valetkey_api::{Alert, Review};
use valetkey_approval::Asked;
use valetkey_capability::Capability;
use valetkey_model::{CapabilityId, RequestId, Timestamp};

use crate::link::{Button, Heard, Key, Notice, Order};
use crate::text;

/// Questions that have a notification of their own; one more stands for all others, so that no agent can fill the desktop.
const QUESTIONS_MAX: usize = 5;
/// Leases that have one.
const LEASES_MAX: usize = 5;

/// Alerts that have one: the newest.
const ALERTS_MAX: usize = 5;

/// What a notification is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// Exactly this question: another digest is another question.
    Question(RequestId, String),
    Lease(CapabilityId),
    More(usize),
    /// By its number.
    Alert(u64),
    /// All emergencies that wait for a review, by their digests: one more is something else.
    Reviews(Vec<String>),
}

/// What is to be done for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Open the inbox, on this question.
    Inbox(Option<RequestId>),
    /// Refuse this question, as it was shown.
    Deny(RequestId, String),
    /// End this lease.
    End(CapabilityId),
}

/// What is shown.
#[derive(Debug, Default)]
pub(crate) struct Board {
    home: Option<PathBuf>,
    last: u64,
    shown: BTreeMap<Subject, Key>,
    /// What the person, or the desktop, took away: it is not shown again.
    dismissed: BTreeSet<Subject>,
    /// What lived already when this began: no news.
    old: Option<BTreeSet<CapabilityId>>,
    /// Refused from here already.
    denied: BTreeSet<RequestId>,
    /// Alerts that nobody has taken away yet, oldest first.
    alerts: Vec<Alert>,
    /// Emergencies that wait for a review.
    reviews: Vec<Review>,
    /// The broker has told something: what is raised from now on is news.
    began: bool,
}

impl Board {
    pub(crate) fn new(home: Option<PathBuf>) -> Self {
        Self {
            home,
            ..Self::default()
        }
    }

    /// Takes in what was raised, and what waits for a review now. Alerts from before this began are no news; a review is one for as long as it is
    /// open.
    pub(crate) fn told(&mut self, alerts: &[Alert], reviews: &[Review]) {
        if std::mem::replace(&mut self.began, true) {
            self.alerts.extend(alerts.iter().cloned());
            let excess = self.alerts.len().saturating_sub(ALERTS_MAX);
            drop(self.alerts.drain(..excess));
        }
        let open = reviews.iter().filter(|review| review.is_open);
        self.reviews = open.cloned().collect();
    }

    /// What has to change on the desktop, now that these questions wait and these capabilities live.
    pub(crate) fn update(
        &mut self,
        questions: &[Asked],
        held: &[Capability],
        now: Timestamp,
    ) -> Vec<Order> {
        let leases = || {
            let held = held.iter().filter(|held| held.expires_at > now);
            held.filter(|held| is_lease(held))
        };
        let old = self
            .old
            .get_or_insert_with(|| leases().map(|held| held.capability_id.clone()).collect());
        let open = questions.iter().filter(|asked| asked.expires_at > now);
        let (mut subjects, mut rest) = (BTreeMap::new(), 0_usize);
        for asked in open {
            // A question without a digest cannot be answered; the inbox says so.
            let Ok(digest) = asked.digest() else { continue };
            if subjects.len() < QUESTIONS_MAX {
                let subject = Subject::Question(asked.request_id.clone(), digest.to_string());
                let notice = text::question(asked, self.home.as_deref(), now);
                let _none = subjects.insert(subject, notice);
            } else {
                rest = rest.saturating_add(1);
            }
        }
        if rest > 0 {
            let _none = subjects.insert(Subject::More(rest), text::more(rest));
        }
        for held in leases()
            .filter(|held| !old.contains(&held.capability_id))
            .take(LEASES_MAX)
        {
            let subject = Subject::Lease(held.capability_id.clone());
            let _none = subjects.insert(subject, text::lease(held, now));
        }
        subjects.extend(self.alarms());
        self.dismissed
            .retain(|subject| subjects.contains_key(subject));
        let mut orders = Vec::new();
        self.shown.retain(|subject, key| {
            let stays = subjects.contains_key(subject);
            if !stays {
                orders.push(Order::Close(*key));
            }
            stays
        });
        for (subject, notice) in subjects {
            if !self.shown.contains_key(&subject) && !self.dismissed.contains(&subject) {
                self.last = self.last.saturating_add(1);
                let key = Key(self.last);
                let _none = self.shown.insert(subject, key);
                orders.push(Order::Show(key, notice));
            }
        }
        orders
    }

    /// What was raised and what waits for a review.
    fn alarms(&self) -> BTreeMap<Subject, Notice> {
        let alerts = self.alerts.iter();
        let mut alarms: BTreeMap<Subject, Notice> = alerts
            .map(|alert| (Subject::Alert(alert.number), text::alert(alert)))
            .collect();
        if !self.reviews.is_empty() {
            let names = self.reviews.iter().map(|one| one.emergency.to_string());
            let _none = alarms.insert(
                Subject::Reviews(names.collect()),
                text::reviews(&self.reviews),
            );
        }
        alarms
    }

    /// The broker is gone, and with it every question and every lease. What it raised was raised.
    pub(crate) fn clear(&mut self) -> Vec<Order> {
        self.old = None;
        self.dismissed.clear();
        self.denied.clear();
        self.reviews.clear();
        let mut orders = Vec::new();
        self.shown.retain(|subject, key| {
            let stays = matches!(subject, Subject::Alert(_));
            if !stays {
                orders.push(Order::Close(*key));
            }
            stays
        });
        orders
    }

    /// There is nothing on the desktop: the process that spoke to it is another. All is shown again at the next update.
    pub(crate) fn forget_shown(&mut self) {
        self.shown.clear();
    }

    /// What follows from what was heard. Nothing that can be heard approves.
    pub(crate) fn heard(&mut self, heard: Heard) -> Option<Effect> {
        match heard {
            Heard::Ready | Heard::Nobody => None,
            Heard::Gone(key) => {
                let subject = self.subject(key)?;
                let _key = self.shown.remove(&subject);
                if let Subject::Alert(number) = subject {
                    self.alerts.retain(|alert| alert.number != number);
                } else {
                    let _new = self.dismissed.insert(subject);
                }
                None
            }
            Heard::Pressed(key, button) => match (self.subject(key)?, button) {
                (Subject::Question(id, _), Button::Inbox) => Some(Effect::Inbox(Some(id))),
                (Subject::Question(id, digest), Button::Deny) => self
                    .denied
                    .insert(id.clone())
                    .then_some(Effect::Deny(id, digest)),
                (Subject::More(_) | Subject::Alert(_), Button::Inbox) => Some(Effect::Inbox(None)),
                (Subject::Lease(id), Button::End) => Some(Effect::End(id)),
                (Subject::Question(..), Button::End)
                | (Subject::More(_) | Subject::Alert(_), Button::Deny | Button::End)
                | (Subject::Reviews(_), _)
                | (Subject::Lease(_), Button::Inbox | Button::Deny) => None,
            },
        }
    }

    fn subject(&self, key: Key) -> Option<Subject> {
        self.shown
            .iter()
            .find(|(_, own)| **own == key)
            .map(|(subject, _)| subject.clone())
    }
}

/// Whether a person's yes reaches further than one use.
fn is_lease(held: &Capability) -> bool {
    !held.approvals.is_empty() && !held.constraints.is_single_use() && held.parent.is_none()
}

#[cfg(test)]
mod tests;
