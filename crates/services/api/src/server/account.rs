//! What one process has taken of a door: bytes of bodies and waits, each given back when its holder is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Peer;

/// A process, named so that it cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Process {
    pub(super) uid: u32,
    pub(super) pid: u32,
    /// The pidfd's inode, unique to the process since Linux 6.9; 0 where the kernel does not give a pidfd.
    pub(super) inode: u64,
}

/// A figure that is counted up to a bound.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicUsize);

/// A part of one or two counts, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    counts: Vec<Arc<Count>>,
    amount: usize,
}

impl Count {
    fn take(&self, amount: usize, most: usize) -> bool {
        let more = |had: usize| had.checked_add(amount).filter(|sum| *sum <= most);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }

    fn give_back(&self, amount: usize) {
        self.0.fetch_sub(amount, Ordering::AcqRel);
    }
}

impl Held {
    /// Takes `amount` of one count, if there is so much.
    pub(super) fn of(count: &Arc<Count>, amount: usize, most: usize) -> Option<Self> {
        count.take(amount, most).then(|| Self {
            counts: vec![Arc::clone(count)],
            amount,
        })
    }

    /// Takes `amount` of both counts, if there is so much in both.
    pub(super) fn of_both(
        (own, own_most): (&Arc<Count>, usize),
        (all, all_most): (&Arc<Count>, usize),
        amount: usize,
    ) -> Option<Self> {
        let mut held = Self::of(own, amount, own_most)?;
        // What was taken of the first is given back with `held`.
        all.take(amount, all_most).then(|| {
            held.counts.push(Arc::clone(all));
            held
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for count in &self.counts {
            count.give_back(self.amount);
        }
    }
}

/// One process at a door.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) process: Process,
    pub(super) peer: Arc<Peer>,
    pub(super) body_bytes: Arc<Count>,
    pub(super) waits: Arc<Count>,
}

impl Account {
    pub(super) fn new(process: Process, peer: Peer) -> Self {
        Self {
            process,
            peer: Arc::new(peer),
            body_bytes: Arc::default(),
            waits: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back_and_no_more_than_there_is_is_given() {
        let (own, all) = (Arc::<Count>::default(), Arc::<Count>::default());
        let both = |amount| Held::of_both((&own, 10), (&all, 12), amount);
        let first = both(6).expect("room");
        assert!(both(5).is_none(), "more than its own");
        let others = Held::of(&all, 4, 12).expect("room");
        assert!(both(3).is_none(), "more than all");
        assert!(both(2).is_some(), "what was refused holds nothing");
        drop(others);
        assert!(both(4).is_some());
        drop(first);
        assert!(both(10).is_some());
        assert!(both(usize::MAX).is_none());
    }
}
