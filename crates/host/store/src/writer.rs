//! The thread that makes batches durable, and what it does when the disk will not have them.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use valetkey_audit::{Actor, Event, EventType};

use crate::StoreError;
use crate::batch::Batch;
use crate::log::{Failure, Phase, Shared, State};
use crate::segments::SegmentFile;

/// How long a streamed event waits for company when nobody waits for it: well below the second that it may be lost for.
const STREAM_DELAY: Duration = Duration::from_millis(200);

/// Streamed bytes that are written without further delay.
pub(crate) const STREAM_BYTES: usize = 256 << 10;

/// How long after a failed write the disk is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The one who writes.
pub(crate) struct Writer {
    pub(crate) directory: PathBuf,
    pub(crate) file: SegmentFile,
    pub(crate) segment_bytes: u64,
}

enum Task {
    Write(Batch),
    Retry,
    Finish,
}

impl Writer {
    /// Writes until the log is closed.
    pub(crate) fn run(mut self, shared: &Shared) {
        loop {
            match next_task(shared) {
                // A failure is kept in the state, where every later append meets it.
                Task::Write(batch) => drop(write(shared, &mut self, batch)),
                Task::Retry => drop(self.mend(shared, None)),
                Task::Finish => {
                    let closed = Event::new(EventType::LogClosed, Actor::Broker);
                    // There is no one left to tell: the missing event tells it at the next opening.
                    drop(self.mend(shared, Some(closed)));
                    shared.state().phase = Phase::Closed;
                    return;
                }
            }
        }
    }

    /// Writes a batch that begins with what was lost in a failure, if there was one, and ends with `last`.
    fn mend(&mut self, shared: &Shared, last: Option<Event>) -> Result<(), StoreError> {
        self.file.cut_back()?;
        let batch = {
            let mut state = shared.state();
            if let Some(failure) = state.failure.clone() {
                let gap = Event::new(EventType::LogGap, Actor::Broker)
                    .attribute("reason", failure.reason.as_str())
                    .attribute("streamed_events_lost", failure.lost);
                state.push(gap, &shared.clock)?;
            }
            if let Some(last) = last {
                state.push(last, &shared.clock)?;
            }
            state.take_batch()
        };
        write(shared, self, batch)
    }

    fn put(&mut self, shared: &Shared, batch: &Batch) -> Result<(), StoreError> {
        if self.file.is_full(self.segment_bytes) {
            let origin = shared.key.public().name();
            self.file = SegmentFile::create(&self.directory, origin, &batch.before)?;
        }
        self.file.append(&batch.bytes)
    }
}

/// Signs a batch, makes it durable and tells those who wait.
pub(crate) fn write(
    shared: &Shared,
    writer: &mut Writer,
    mut batch: Batch,
) -> Result<(), StoreError> {
    let note = batch.sign(&shared.key);
    match writer.put(shared, &batch) {
        Ok(()) => {
            let mut state = shared.state();
            state.checkpoint = note;
            state.failure = None;
            state.writing = None;
            drop(state);
            let size = batch.after.size();
            batch.end(Ok(size));
            Ok(())
        }
        Err(error) => {
            // The log is closed to events before anyone hears of the failure, so that no one who was refused finds it open.
            let refused = fail(&mut shared.state(), &error, &batch);
            batch.end(Err(error.clone()));
            refused.end(Err(error.clone()));
            Err(error)
        }
    }
}

/// Closes the log to events and puts its open end back to where the durable log ends. Returns what was taken meanwhile.
fn fail(state: &mut State, error: &StoreError, batch: &Batch) -> Batch {
    let refused = std::mem::replace(&mut state.open, Batch::after(&batch.before));
    let lost = batch.streamed.saturating_add(refused.streamed);
    let before = state.failure.as_ref().map_or(0, |failure| failure.lost);
    state.failure = Some(Failure {
        reason: error.to_string(),
        lost: before.saturating_add(lost),
    });
    state.writing = None;
    refused
}

fn next_task(shared: &Shared) -> Task {
    let began = Instant::now();
    let mut state = shared.state();
    loop {
        if state.phase != Phase::Open {
            return Task::Finish;
        }
        let wait = if state.failure.is_some() {
            let wait = RETRY_DELAY.saturating_sub(began.elapsed());
            if wait.is_zero() {
                return Task::Retry;
            }
            Some(wait)
        } else {
            let wait = state.open.since.map(|since| {
                let due = state.open.awaited || state.open.bytes.len() >= STREAM_BYTES;
                let delay = if due { Duration::ZERO } else { STREAM_DELAY };
                delay.saturating_sub(since.elapsed())
            });
            if wait.is_some_and(|wait| wait.is_zero()) {
                return Task::Write(state.take_batch());
            }
            wait
        };
        state = match wait {
            Some(wait) => {
                let woken = shared.work.wait_timeout(state, wait);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let woken = shared.work.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}
