//! Whose turn it is: of the processes that wait to be worked for, the one that has used least processor time goes first.
//!
//! A connection is polled (read, parsed, handled, written) only while it holds one of a few turns, and gives it back when the poll returns:
//! what waits for the disk or for a person holds none. So a process with a thousand requests delays one with a single request by no more
//! than the poll that is just running.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::account::Process;

/// Polls at once: as many as the broker has threads for it.
const TURNS: usize = 2;
/// What a process that was away counts for having used less than those at work: enough to come first, too little to hold them up for long.
const CREDIT: Duration = Duration::from_millis(10);

/// The turns of one door.
#[derive(Debug)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    last_ticket: u64,
    waiting: BTreeMap<Process, VecDeque<(u64, Waker)>>,
    /// Tickets whose turn it is and that have not been polled since.
    called: BTreeMap<u64, Process>,
    used: BTreeMap<Process, Duration>,
    /// What the process had used that was called last.
    floor: Duration,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            free: TURNS,
            last_ticket: 0,
            waiting: BTreeMap::new(),
            called: BTreeMap::new(),
            used: BTreeMap::new(),
            floor: Duration::ZERO,
        }))
    }

    /// A future that is polled in turn.
    pub(super) fn in_turn<F: Future>(
        self: &Arc<Self>,
        process: Process,
        inner: F,
    ) -> InTurn<Pin<Box<F>>> {
        InTurn {
            turns: Arc::clone(self),
            process,
            ticket: None,
            inner: Box::pin(inner),
        }
    }

    /// Forgets a process that has left.
    pub(super) fn forget(&self, process: Process) {
        let mut state = self.lock();
        if !state.waiting.contains_key(&process) {
            let _known = state.used.remove(&process);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether it is this ticket's turn; if not, it is called when it is.
    fn come(&mut self, process: Process, ticket: &mut Option<u64>, waker: &Waker) -> bool {
        if let Some(number) = *ticket {
            if self.called.remove(&number).is_some() {
                *ticket = None;
                return true;
            }
            let queue = self.waiting.get_mut(&process);
            let own = queue.and_then(|queue| queue.iter_mut().find(|(own, _)| *own == number));
            if let Some((_, known)) = own {
                known.clone_from(waker);
            }
            return false;
        }
        if self.free > 0 {
            self.free = self.free.saturating_sub(1);
            self.level(process);
            return true;
        }
        self.last_ticket = self.last_ticket.wrapping_add(1);
        *ticket = Some(self.last_ticket);
        self.level(process);
        let queue = self.waiting.entry(process).or_default();
        queue.push_back((self.last_ticket, waker.clone()));
        false
    }

    /// Time that a process did not use is not saved up.
    fn level(&mut self, process: Process) {
        let least = self.floor.saturating_sub(CREDIT);
        let used = self.used.entry(process).or_insert(least);
        *used = (*used).max(least);
    }

    /// Counts what was used, and hands the turn on; gives whom to wake.
    fn leave(&mut self, process: Process, took: Duration) -> Option<Waker> {
        let used = self.used.entry(process).or_default();
        *used = used.saturating_add(took);
        let used = *used;
        let next = self.hand_on();
        if next.is_none() {
            // Nobody waited: that it used much meanwhile is held against it by nobody who comes later.
            self.floor = self.floor.max(used);
        }
        next
    }

    fn hand_on(&mut self) -> Option<Waker> {
        let used = |process: &Process| self.used.get(process).copied().unwrap_or_default();
        let next = self.waiting.keys().copied().min_by_key(used);
        let called = next.and_then(|process| {
            self.floor = self.floor.max(used(&process));
            let queue = self.waiting.get_mut(&process)?;
            let first = queue.pop_front();
            if queue.is_empty() {
                let _empty = self.waiting.remove(&process);
            }
            let (ticket, waker) = first?;
            let _called = self.called.insert(ticket, process);
            Some(waker)
        });
        if called.is_none() {
            self.free = self.free.saturating_add(1);
        }
        called
    }

    /// A ticket that nobody polls any more.
    fn give_up(&mut self, process: Process, ticket: u64) -> Option<Waker> {
        if self.called.remove(&ticket).is_some() {
            return self.hand_on();
        }
        if let Some(queue) = self.waiting.get_mut(&process) {
            queue.retain(|(own, _)| *own != ticket);
            if queue.is_empty() {
                let _empty = self.waiting.remove(&process);
            }
        }
        None
    }
}

/// A future that is polled in turn.
#[derive(Debug)]
pub(super) struct InTurn<F> {
    turns: Arc<Turns>,
    process: Process,
    ticket: Option<u64>,
    inner: F,
}

impl<F: Future + Unpin> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let process = this.process;
        if !this
            .turns
            .lock()
            .come(process, &mut this.ticket, context.waker())
        {
            return Poll::Pending;
        }
        let turn = Turn {
            turns: &this.turns,
            process,
            begun: Instant::now(),
        };
        let polled = Pin::new(&mut this.inner).poll(context);
        drop(turn);
        polled
    }
}

/// A turn that is being used; handed on when dropped, so that a panic in a handler does not keep it.
struct Turn<'t> {
    turns: &'t Turns,
    process: Process,
    begun: Instant,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let next = self.turns.lock().leave(self.process, self.begun.elapsed());
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl<F> Drop for InTurn<F> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let next = self.turns.lock().give_up(self.process, ticket);
            if let Some(next) = next {
                next.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> Process {
        Process {
            uid: 0,
            pid,
            inode: u64::from(pid),
        }
    }

    fn state() -> State {
        let turns = Turns::new();
        turns.0.into_inner().expect("not poisoned")
    }

    /// Who is called when a turn ends, until nobody waits.
    fn order(state: &mut State, mut who: Process, took: Duration) -> Vec<u32> {
        let mut order = Vec::new();
        while state.leave(who, took).is_some() {
            let (_, next) = state.called.pop_first().expect("somebody is called");
            order.push(next.pid);
            who = next;
        }
        order
    }

    #[test]
    fn who_used_least_goes_before_a_queue_of_another() {
        let mut state = state();
        let (greedy, modest) = (process(1), process(2));
        let mut tickets = [None; 6];
        assert!(state.come(greedy, &mut tickets[0], Waker::noop()));
        assert!(state.come(greedy, &mut tickets[1], Waker::noop()));
        for ticket in &mut tickets[2..5] {
            assert!(!state.come(greedy, ticket, Waker::noop()));
        }
        let _none = state.used.insert(greedy, Duration::from_millis(5));
        assert!(!state.come(modest, &mut tickets[5], Waker::noop()));
        let order = order(&mut state, greedy, Duration::from_millis(1));
        assert_eq!(order, [2, 1, 1, 1]);
        assert_eq!(state.free, 1, "the other is still used");
    }

    #[test]
    fn equal_queues_take_turns() {
        let mut state = state();
        let mut tickets = [None; 8];
        let (one, two) = (process(1), process(2));
        for ticket in &mut tickets[..2] {
            assert!(state.come(one, ticket, Waker::noop()));
        }
        for (n, ticket) in tickets[2..].iter_mut().enumerate() {
            let who = if n < 3 { one } else { two };
            assert!(!state.come(who, ticket, Waker::noop()));
        }
        let order = order(&mut state, one, Duration::from_millis(1));
        assert_eq!(order, [2, 1, 2, 1, 2, 1]);
    }

    #[test]
    fn time_away_is_not_saved_up() {
        let mut state = state();
        state.floor = Duration::from_secs(100);
        state.level(process(1));
        assert_eq!(state.used[&process(1)], Duration::from_secs(100) - CREDIT);
    }

    #[test]
    fn a_turn_of_one_who_left_goes_on_to_the_next() {
        let turns = Arc::new(Turns::new());
        let mut waiting: Vec<_> = (1..=5)
            .map(|pid| turns.in_turn(process(pid), std::future::pending::<()>()))
            .collect();
        turns.lock().free = 0;
        let mut context = Context::from_waker(Waker::noop());
        for future in &mut waiting {
            assert!(Pin::new(future).poll(&mut context).is_pending());
        }
        // One leaves while it waits, one after it was called.
        drop(waiting.pop());
        let _woken = turns.lock().hand_on();
        assert_eq!(turns.lock().called.len(), 1);
        drop(waiting.remove(0));
        assert_eq!(turns.lock().called.len(), 1, "the next was called");
        drop(waiting);
        let state = turns.lock();
        assert_eq!((state.free, state.waiting.len()), (1, 0));
    }

    #[test]
    fn a_handler_that_panics_gives_its_turn_back() {
        let turns = Arc::new(Turns::new());
        for _ in 0..2 * TURNS {
            let mut future = turns.in_turn(process(1), async { panic!("as planned") });
            let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Pin::new(&mut future)
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
            }));
            assert!(polled.is_err());
        }
        assert_eq!(turns.lock().free, TURNS);
    }
}
