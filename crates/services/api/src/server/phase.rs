//! What a connection is doing, for those who must choose which one to end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// What a connection is doing; the later in this list, the more is lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Nothing: no byte of a request has come since the last answer.
    Idle,
    /// A head is being read.
    Head,
    /// A body is being read. Nothing has been done for it.
    Body,
    /// An answer is being written.
    Writing,
    /// A request is being handled.
    Handling,
}

/// The phase of one connection and since when, shared with the table.
#[derive(Debug)]
pub(super) struct Doing {
    begun: Instant,
    /// Nanoseconds since `begun`, times eight, and the phase.
    packed: AtomicU64,
    /// Whether a request was begun since the connection was last polled.
    began: AtomicBool,
}

impl Doing {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            packed: AtomicU64::new(0),
            began: AtomicBool::new(false),
        }
    }

    pub(super) fn set(&self, phase: Phase) {
        let code = match phase {
            Phase::Idle => 0,
            Phase::Head => 1,
            Phase::Body => 2,
            Phase::Writing => 3,
            Phase::Handling => 4,
        };
        let since = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.packed
            .store(since.saturating_mul(8) | code, Ordering::Release);
    }

    /// The connection is polled anew.
    pub(super) fn begin_poll(&self) {
        self.began.store(false, Ordering::Release);
    }

    /// Whether a request may begin: one in each poll.
    pub(super) fn begin_request(&self) -> bool {
        !self.began.swap(true, Ordering::AcqRel)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.packed.load(Ordering::Acquire) & 7 {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Body,
            3 => Phase::Writing,
            _ => Phase::Handling,
        }
    }

    /// Since when.
    pub(super) fn since(&self) -> Instant {
        let nanos = self.packed.load(Ordering::Acquire) >> 3;
        let passed = std::time::Duration::from_nanos(nanos);
        self.begun.checked_add(passed).unwrap_or(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_kept_with_its_time() {
        let doing = Doing::new();
        let mut last = doing.since();
        for phase in [
            Phase::Head,
            Phase::Body,
            Phase::Writing,
            Phase::Handling,
            Phase::Idle,
        ] {
            doing.set(phase);
            assert_eq!(doing.phase(), phase);
            assert!(doing.since() >= last && doing.since() <= Instant::now());
            last = doing.since();
        }
    }
}
