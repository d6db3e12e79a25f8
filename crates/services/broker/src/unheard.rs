//! News for a guard, numbered, for as long as it has not been heard.

use std::collections::VecDeque;

use valetkey_api::{Granted, LookAgain};
use valetkey_model::CapabilityId;

/// News that the guard has not said to have heard. What it has heard is dropped: an agent can make news as often as it likes.
#[derive(Debug, Default)]
pub(crate) struct Unheard {
    /// The number of the piece of news before the first one kept.
    pub(crate) before: u64,
    pub(crate) kept: VecDeque<Piece>,
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A capability is no good any more.
    Ended(CapabilityId),
    /// There are other keys to verify with.
    Keys,
    /// Somebody approved what is to be looked at again first.
    Look(LookAgain),
    /// A capability was given in an emergency.
    Given(Box<Granted>),
}

impl Unheard {
    pub(crate) fn last(&self) -> u64 {
        let kept = u64::try_from(self.kept.len()).unwrap_or(u64::MAX);
        self.before.saturating_add(kept)
    }

    /// Drops what the guard says to have heard. A number that was never given is no word of a guard: nothing is dropped.
    pub(crate) fn heard(&mut self, after: u64) {
        if after > self.last() {
            return;
        }
        while self.before < after && self.kept.pop_front().is_some() {
            self.before = self.before.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_that_was_heard_is_dropped_and_its_numbers_go_on() {
        let mut unheard = Unheard::default();
        unheard.kept.extend([Piece::Keys, Piece::Keys, Piece::Keys]);
        unheard.heard(2);
        assert_eq!((unheard.last(), unheard.kept.len()), (3, 1));
        unheard.heard(1);
        unheard.heard(99);
        assert_eq!(
            (unheard.last(), unheard.kept.len()),
            (3, 1),
            "what was never told cannot have been heard"
        );
        unheard.kept.push_back(Piece::Keys);
        assert_eq!(unheard.last(), 4);
        unheard.heard(4);
        assert!(unheard.kept.is_empty() && unheard.last() == 4);
    }
}
