//! Requests that wait, and the kernel giving up on them (`FUSE_INTERRUPT`).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::locks::lock;

/// Interrupts that are kept for a request that does not wait yet. One is kept for the moment between
/// reading a request and beginning to wait; more than this can only be left over from races.
const EARLY_MAX: usize = 256;

type Hook = Box<dyn FnOnce() + Send>;

/// Whether somebody still wants an answer. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    raised: bool,
    hooks: Vec<Hook>,
}

impl Interrupt {
    /// An interrupt that has not been raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the caller has given up.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        lock(&self.0.state).raised
    }

    /// Raises the interrupt: wakes whoever waits, and runs the hooks on this thread.
    pub fn raise(&self) {
        let hooks = {
            let mut state = lock(&self.0.state);
            state.raised = true;
            std::mem::take(&mut state.hooks)
        };
        self.0.changed.notify_all();
        for hook in hooks {
            hook();
        }
    }

    /// Runs `hook` when the interrupt is raised; at once when it is already.
    pub fn on_raise(&self, hook: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.0.state);
        if state.raised {
            drop(state);
            hook();
        } else {
            state.hooks.push(Box::new(hook));
        }
    }

    /// Waits until the interrupt is raised or `timeout` has passed; answers whether it is raised.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = lock(&self.0.state);
        while !state.raised {
            let left = deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.raised
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt")
            .field("raised", &self.is_raised())
            .finish_non_exhaustive()
    }
}

/// The waiting requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Interrupts {
    waiting: Mutex<Waiting>,
    /// How many entries `Waiting::early` has, to be read without the lock.
    early: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: HashMap<u64, Interrupt>,
    early: VecDeque<u64>,
}

impl Interrupts {
    /// The request `unique` begins to wait.
    pub(crate) fn register(&self, unique: u64) -> Interrupt {
        let interrupt = Interrupt::new();
        let mut waiting = lock(&self.waiting);
        if self.take_early(&mut waiting, unique) {
            drop(waiting);
            interrupt.raise();
            return interrupt;
        }
        waiting.requests.insert(unique, interrupt.clone());
        interrupt
    }

    /// The request `unique` has been answered.
    pub(crate) fn finished(&self, unique: u64, registered: bool) {
        if !registered && self.early.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut waiting = lock(&self.waiting);
        waiting.requests.remove(&unique);
        self.take_early(&mut waiting, unique);
    }

    /// The kernel gives up on `unique`.
    pub(crate) fn interrupt(&self, unique: u64) {
        let interrupt = {
            let mut waiting = lock(&self.waiting);
            let found = waiting.requests.remove(&unique);
            if found.is_none() {
                if waiting.early.len() >= EARLY_MAX {
                    waiting.early.pop_front();
                }
                waiting.early.push_back(unique);
                self.early.store(waiting.early.len(), Ordering::Release);
            }
            found
        };
        if let Some(interrupt) = interrupt {
            interrupt.raise();
        }
    }

    /// Raises everything: the connection has ended and nobody waits for an answer any more.
    pub(crate) fn interrupt_all(&self) {
        let all: Vec<Interrupt> = lock(&self.waiting)
            .requests
            .drain()
            .map(|(_, interrupt)| interrupt)
            .collect();
        for interrupt in all {
            interrupt.raise();
        }
    }

    fn take_early(&self, waiting: &mut Waiting, unique: u64) -> bool {
        let Some(at) = waiting.early.iter().position(|early| *early == unique) else {
            return false;
        };
        waiting.early.remove(at);
        self.early.store(waiting.early.len(), Ordering::Release);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_reaches_who_waits_and_who_comes_late() {
        let interrupts = Interrupts::default();
        let waiting = interrupts.register(4);
        assert!(!waiting.wait(Duration::ZERO));
        interrupts.interrupt(4);
        assert!(waiting.wait(Duration::from_secs(5)));
        interrupts.interrupt(6);
        assert!(interrupts.register(6).is_raised());
        assert!(
            !interrupts.register(6).is_raised(),
            "an early interrupt counts once"
        );
    }

    #[test]
    fn an_answered_request_leaves_nothing_behind() {
        let interrupts = Interrupts::default();
        interrupts.interrupt(8);
        interrupts.finished(8, false);
        assert!(!interrupts.register(8).is_raised());
        for unique in 0..10_000 {
            interrupts.interrupt(unique);
        }
        assert_eq!(interrupts.early.load(Ordering::Relaxed), EARLY_MAX);
    }

    #[test]
    fn hooks_run_once() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let interrupt = Interrupt::new();
        let again = sender.clone();
        interrupt.on_raise(move || sender.send(1).expect("send"));
        interrupt.raise();
        interrupt.raise();
        interrupt.on_raise(move || again.send(2).expect("send"));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    }
}
