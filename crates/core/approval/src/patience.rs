//! How long people bear being asked: the wait that follows repeated denials, and the number of questions a session may put.

use std::collections::VecDeque;

use thiserror::Error;
use valetkey_model::{Lockout, PromptLimits, Timestamp};

/// Times of questions that are kept for one session: within an hour nobody answers more.
const MAX_PER_HOUR: u32 = 1000;
const HOUR_MS: u64 = 3_600_000;

/// The denials of one session, and the wait that follows from them. A question that nobody answers counts as a denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    lockout: Lockout,
    in_a_row: u32,
    last: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// The session has to wait before it can ask a person again.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("people said no several times: do not ask again for {seconds} s; work without it, or end")]
pub struct Wait {
    /// How long, in whole seconds, rounded up.
    pub seconds: u64,
}

impl Patience {
    /// A session that was denied nothing yet.
    #[must_use]
    pub fn new(lockout: Lockout) -> Self {
        Self {
            lockout,
            in_a_row: 0,
            last: None,
            until: None,
        }
    }

    /// Goes on under another rule: the one of the question that is denied next. The row of denials and a wait that runs stay.
    pub fn go_on_under(&mut self, lockout: Lockout) {
        self.lockout = lockout;
    }

    /// Whether a question may be put now.
    ///
    /// # Errors
    /// [`Wait`] while the session is locked out.
    pub fn check(&self, now: Timestamp) -> Result<(), Wait> {
        match self.until {
            Some(until) if now < until => Err(Wait {
                seconds: until.ms_since(now).div_ceil(1000),
            }),
            _ => Ok(()),
        }
    }

    /// A person said no, or nobody answered. Returns the wait that begins with it: an event worth an alert.
    pub fn denied(&mut self, now: Timestamp) -> Option<Wait> {
        if self.is_forgotten(now) {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last = self.last.max(Some(now));
        let over = self.in_a_row.checked_sub(self.lockout.denials.max(1))?;
        let seconds = 1u64
            .checked_shl(over)
            .map_or(u64::MAX, |factor| {
                self.lockout.first_seconds.saturating_mul(factor)
            })
            .min(self.lockout.max_seconds);
        // Answers to questions that were open before can come late: they never shorten a wait.
        self.until = self.until.max(Some(now.plus_seconds(seconds)));
        Some(Wait { seconds })
    }

    /// A person said yes: the row of denials ends. A wait that runs goes on.
    pub fn approved(&mut self) {
        self.in_a_row = 0;
    }

    /// Denials in a row so far.
    #[must_use]
    pub fn denials(&self) -> u32 {
        self.in_a_row
    }

    /// The row is forgotten when nothing was denied for the longest wait, counted from the end of the last one.
    fn is_forgotten(&self, now: Timestamp) -> bool {
        self.last
            .max(self.until)
            .is_some_and(|last| now.ms_since(last) > self.lockout.max_seconds.saturating_mul(1000))
    }
}

/// The questions that one session has put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptBudget {
    limits: PromptLimits,
    in_all: u32,
    recent: VecDeque<Timestamp>,
}

/// The session has asked people as often as policy lets it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OverBudget {
    /// In its whole life.
    #[error(
        "this session has asked people {0} times, as often as policy lets it: do not ask again"
    )]
    Session(u32),
    /// Within the last hour.
    #[error("this session has asked people too often within an hour: do not ask for {seconds} s")]
    Hour {
        /// How long until it may ask again.
        seconds: u64,
    },
}

impl PromptBudget {
    /// A session that has asked nothing yet.
    #[must_use]
    pub fn new(limits: PromptLimits) -> Self {
        Self {
            limits: PromptLimits {
                per_hour: limits.per_hour.min(MAX_PER_HOUR),
                ..limits
            },
            in_all: 0,
            recent: VecDeque::new(),
        }
    }

    /// Goes on under other limits: those of the question that is put next. What was put counts on.
    pub fn go_on_under(&mut self, limits: PromptLimits) {
        self.limits = Self::new(limits).limits;
    }

    /// Takes one question from the budget.
    ///
    /// # Errors
    /// [`OverBudget`], and nothing is taken.
    pub fn take(&mut self, now: Timestamp) -> Result<(), OverBudget> {
        if self.in_all >= self.limits.per_session {
            return Err(OverBudget::Session(self.limits.per_session));
        }
        // A clock that stands still or goes back frees nothing.
        while self
            .recent
            .front()
            .is_some_and(|first| now.ms_since(*first) >= HOUR_MS)
        {
            self.recent.pop_front();
        }
        let per_hour = usize::try_from(self.limits.per_hour).unwrap_or(usize::MAX);
        if self.recent.len() >= per_hour {
            let waited = self.recent.front().map_or(0, |first| now.ms_since(*first));
            return Err(OverBudget::Hour {
                seconds: HOUR_MS.saturating_sub(waited).div_ceil(1000),
            });
        }
        self.in_all = self.in_all.saturating_add(1);
        self.recent.push_back(now);
        Ok(())
    }

    /// How many questions are left in the session's whole life.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.limits.per_session.saturating_sub(self.in_all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testkit::at;

    #[test]
    fn repeated_denials_lock_out_for_longer_and_longer() {
        let mut patience = Patience::new(Lockout::DEFAULT);
        assert_eq!(patience.denied(at(0)), None);
        assert_eq!(patience.denied(at(1)), None);
        assert_eq!(patience.check(at(1)), Ok(()));
        let mut now = 2;
        for expected in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            assert_eq!(patience.denied(at(now)), Some(Wait { seconds: expected }));
            assert_eq!(patience.check(at(now)), Err(Wait { seconds: expected }));
            assert!(patience.check(at(now + expected - 1)).is_err());
            now += expected;
            assert_eq!(patience.check(at(now)), Ok(()));
        }
    }

    #[test]
    fn an_approval_or_a_quiet_time_ends_the_row_and_not_the_wait() {
        let mut patience = Patience::new(Lockout::DEFAULT);
        for second in 0..3 {
            let _wait = patience.denied(at(second));
        }
        patience.approved();
        assert!(patience.check(at(3)).is_err());
        assert_eq!(patience.denied(at(100)), None);
        for second in 101..103 {
            let _wait = patience.denied(at(second));
        }
        let quiet = 103 + 60 + 3601;
        assert_eq!(patience.denied(at(quiet)), None);
        assert_eq!(patience.denials(), 1);
    }

    #[test]
    fn a_budget_ends_for_the_hour_and_for_good() {
        let mut budget = PromptBudget::new(PromptLimits {
            per_session: 3,
            per_hour: 2,
        });
        assert_eq!(budget.take(at(0)), Ok(()));
        assert_eq!(budget.take(at(10)), Ok(()));
        assert_eq!(budget.take(at(20)), Err(OverBudget::Hour { seconds: 3580 }));
        assert_eq!(budget.take(at(3600)), Ok(()));
        assert_eq!(budget.take(at(99_999)), Err(OverBudget::Session(3)));
        assert_eq!(budget.left(), 0);
    }

    proptest! {
        #[test]
        fn no_history_shortens_a_wait(steps in prop::collection::vec((0u8..3, 0u64..4000), 1..60)) {
            let mut patience = Patience::new(Lockout::DEFAULT);
            let mut now = 0;
            let mut until = 0;
            for (step, seconds) in steps {
                match step {
                    0 => now += seconds,
                    1 => patience.approved(),
                    _ => {
                        if let Some(wait) = patience.denied(at(now)) {
                            prop_assert!((60..=3600).contains(&wait.seconds));
                            until = until.max(now + wait.seconds);
                        }
                    }
                }
                prop_assert_eq!(patience.check(at(now)).is_err(), now < until);
            }
        }

        #[test]
        fn within_any_hour_no_more_is_asked_than_the_budget_has(
            gaps in prop::collection::vec(0u64..1200, 1..80), per_hour in 1u32..6, per_session in 1u32..40,
        ) {
            let mut budget = PromptBudget::new(PromptLimits { per_session, per_hour });
            let mut now = 0;
            let mut taken = Vec::new();
            for gap in gaps {
                now += gap;
                if budget.take(at(now)).is_ok() {
                    taken.push(now);
                }
                let recent = taken.iter().filter(|then| now - **then < 3600).count();
                prop_assert!(recent <= per_hour as usize && taken.len() <= per_session as usize);
            }
        }
    }
}
