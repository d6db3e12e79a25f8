//! Threads for requests that must wait: a few at rest, more on demand, never more than a limit.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::locks::lock;

/// How long a thread with nothing to do stays.
const REST: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// A pool of waiting threads. All clones are one.
#[derive(Clone)]
pub(crate) struct Waiters(Arc<Inner>);

struct Inner {
    threads_max: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Waiters {
    pub(crate) fn new(threads_max: usize) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Inner {
            threads_max: threads_max.max(1),
            state,
            work: Condvar::new(),
        }))
    }

    /// Runs `job` on a thread of its own. Gives it back when too many are waiting already: an agent
    /// that asks for everything at once is slowed by nobody but itself.
    pub(crate) fn run(&self, job: Job) -> Result<(), Job> {
        let mut state = lock(&self.0.state);
        if state.idle > state.jobs.len() {
            state.jobs.push_back(job);
            drop(state);
            self.0.work.notify_one();
            return Ok(());
        }
        if state.threads >= self.0.threads_max {
            return Err(job);
        }
        state.threads = state.threads.saturating_add(1);
        state.jobs.push_back(job);
        drop(state);
        let inner = Arc::clone(&self.0);
        let started = thread::Builder::new()
            .name("view-wait".to_owned())
            .spawn(move || {
                inner.work_off();
            });
        match started {
            Ok(_) => Ok(()),
            Err(_) => {
                let mut state = lock(&self.0.state);
                state.threads = state.threads.saturating_sub(1);
                // Some job is given back: the last one, which may be another's; each is refused alike.
                state.jobs.pop_back().map_or(Ok(()), Err)
            }
        }
    }
}

impl Inner {
    fn work_off(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = lock(&self.state);
                continue;
            }
            state.idle = state.idle.saturating_add(1);
            let (next, waited) = self
                .work
                .wait_timeout(state, REST)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            state.idle = state.idle.saturating_sub(1);
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads = state.threads.saturating_sub(1);
                return;
            }
        }
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters")
            .field("threads", &lock(&self.0.state).threads)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_side_by_side_up_to_the_limit() {
        let waiters = Waiters::new(2);
        let (done, dones) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for _ in 0..2 {
            let (done, gate) = (done.clone(), Arc::clone(&gate));
            let job = Box::new(move || {
                // Opened by dropping the other end.
                assert!(lock(&gate).recv().is_err());
                done.send(()).expect("send");
            });
            assert!(waiters.run(job).is_ok());
        }
        assert!(
            waiters.run(Box::new(|| {})).is_err(),
            "a third job waits for nobody"
        );
        drop(go);
        dones.recv().expect("first");
        dones.recv().expect("second");
        let late = move || done.send(()).expect("send");
        let mut job: Job = Box::new(late);
        // The threads are free again in a moment.
        while let Err(back) = waiters.run(job) {
            job = back;
            thread::yield_now();
        }
        dones.recv().expect("third");
    }
}
