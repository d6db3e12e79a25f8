//! Figures over many events, in memory that is bounded whatever the log holds.

use std::collections::HashMap;

use valetkey_audit::Record;
use valetkey_model::Timestamp;

use crate::words::decision_name;

/// Most different names that are counted in one group: what comes after is counted together.
const NAMES_MAX: usize = 50_000;

const MS_PER_HOUR: u64 = 3_600_000;

/// How often each of some names occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    counts: HashMap<String, u64>,
    others: u64,
}

impl Group {
    fn add(&mut self, name: &str) {
        if let Some(count) = self.counts.get_mut(name) {
            *count = count.saturating_add(1);
        } else if self.counts.len() < NAMES_MAX {
            self.counts.insert(name.to_owned(), 1);
        } else {
            self.others = self.others.saturating_add(1);
        }
    }

    /// The most frequent, most frequent first, equal ones by name.
    #[must_use]
    pub fn top(&self, most: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self
            .counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(most);
        all
    }

    /// How many different names were counted by themselves.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Occurrences of names beyond those that are counted by themselves.
    #[must_use]
    pub fn others(&self) -> u64 {
        self.others
    }
}

/// Figures over events.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How many events.
    pub events: u64,
    /// The time of the earliest.
    pub first: Option<Timestamp>,
    /// The time of the latest.
    pub last: Option<Timestamp>,
    /// By type.
    pub types: Group,
    /// By decision.
    pub decisions: Group,
    /// By agent.
    pub agents: Group,
    /// By person.
    pub users: Group,
    /// By session.
    pub sessions: Group,
    /// By resource.
    pub resources: Group,
    /// By resource, of those denied, refused or expired.
    pub denied: Group,
    /// By hour, as its beginning in RFC 3339.
    pub hours: Group,
}

impl Figures {
    /// Counts an event.
    pub fn add(&mut self, record: &Record) {
        self.events = self.events.saturating_add(1);
        let time = record.timestamp;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        self.types.add(record.kind.name());
        let hour = time.unix_ms() / MS_PER_HOUR;
        let hour = Timestamp::from_unix_ms(hour.saturating_mul(MS_PER_HOUR));
        self.hours.add(&hour.to_string());
        if let Some(decision) = record.decision {
            self.decisions.add(decision_name(decision));
        }
        if let Some(agent) = &record.agent_id {
            self.agents.add(agent.as_str());
        }
        if let Some(user) = &record.user {
            self.users.add(&user.name);
        }
        if let Some(session) = &record.session {
            self.sessions.add(session.as_str());
        }
        if let Some(resource) = &record.resource {
            let text = resource.to_string();
            if crate::format::is_held_back(record) {
                self.denied.add(&text);
            }
            self.resources.add(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_keeps_no_more_names_than_its_bound() {
        let mut group = Group::default();
        for number in 0..NAMES_MAX.saturating_add(10) {
            group.add(&number.to_string());
        }
        group.add("0");
        assert_eq!((group.len(), group.others()), (NAMES_MAX, 10));
        assert_eq!(group.top(2), [("0", 2), ("1", 1)]);
    }
}
