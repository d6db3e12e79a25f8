//! A sliding window that counts different things, and forgets what is older than it is long.

use std::collections::{HashSet, VecDeque};

use valetkey_model::{EventId, Timestamp};

use super::{Threshold, evidence};
use crate::event::Record;

/// What is counted: things are the same if their text is.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Each different thing's event, oldest first.
    events: VecDeque<(Timestamp, EventId)>,
    /// The things, in the same order.
    things: VecDeque<u64>,
    /// The same things, to be found.
    known: HashSet<u64>,
}

/// A threshold that was reached.
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) evidence: Vec<EventId>,
}

impl Window {
    /// Counts a thing; what there is if the threshold is reached. A thing that is still in the window is not counted again.
    pub(super) fn add(
        &mut self,
        thing: u64,
        record: &Record,
        threshold: Threshold,
    ) -> Option<Counted> {
        if threshold.count == 0 {
            return None;
        }
        let now = record.timestamp;
        let length = u64::from(threshold.seconds).saturating_mul(1000);
        while self
            .events
            .front()
            .is_some_and(|(time, _)| now.ms_since(*time) > length)
        {
            self.drop_first();
        }
        if self.known.contains(&thing) {
            return None;
        }
        // No more than are needed to reach the threshold are kept: that bounds the window.
        let most = usize::try_from(threshold.count).unwrap_or(usize::MAX);
        while self.events.len() >= most {
            self.drop_first();
        }
        self.events.push_back((now, record.event_id.clone()));
        self.things.push_back(thing);
        self.known.insert(thing);
        (self.events.len() >= most).then(|| Counted {
            count: u64::from(threshold.count),
            evidence: evidence(&self.events),
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.things.len()
    }

    fn drop_first(&mut self) {
        self.events.pop_front();
        if let Some(thing) = self.things.pop_front() {
            self.known.remove(&thing);
        }
    }
}
