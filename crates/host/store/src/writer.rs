//! The thread that makes batches durable, and what it does when the disk will not have them.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use valetkey_audit::{Actor, EpochEnd, Event, EventType, epoch_began, epoch_ended};

use crate::batch::Batch;
use crate::epoch_keys::{EpochKeys, EpochLimits};
use crate::log::{Failure, Phase, Shared, State};
use crate::segments::SegmentFile;
use crate::{Signer, StoreError};

/// How long a streamed event waits for company when nobody waits for it: well below the second that it may be lost for.
const STREAM_DELAY: Duration = Duration::from_millis(200);

/// Streamed bytes that are written without further delay.
pub(crate) const STREAM_BYTES: usize = 256 << 10;

/// How long after a failed write the disk is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How long after keys could not be changed it is tried again.
const KEYS_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The one who writes.
pub(crate) struct Writer {
    directory: PathBuf,
    file: SegmentFile,
    segment_bytes: u64,
    pub(crate) signer: Signer,
    epoch: Epoch,
}

/// The epoch that is being written.
struct Epoch {
    /// Events in it, and since when.
    events: u64,
    since: Instant,
    /// The epoch before has ended, and the event that begins this one is not written.
    owed: bool,
    /// Keys are not changed before.
    not_before: Option<Instant>,
}

impl Epoch {
    fn new() -> Self {
        Self {
            events: 0,
            since: Instant::now(),
            owed: false,
            not_before: None,
        }
    }

    /// How long until the epoch is to end, and why; none while nothing is in it.
    fn due(&self, limits: EpochLimits) -> Option<(Duration, EpochEnd)> {
        if self.events == 0 {
            return None;
        }
        let (wait, why) = if self.events >= limits.events {
            (Duration::ZERO, EpochEnd::Events)
        } else {
            let wait = limits.age.saturating_sub(self.since.elapsed());
            (wait, EpochEnd::Age)
        };
        let held = self
            .not_before
            .map(|at| at.saturating_duration_since(Instant::now()));
        Some((wait.max(held.unwrap_or_default()), why))
    }
}

enum Task {
    Write(Batch),
    Retry,
    Turn(EpochEnd),
    Finish,
}

impl Writer {
    pub(crate) fn new(
        directory: &Path,
        file: SegmentFile,
        segment_bytes: u64,
        signer: Signer,
    ) -> Self {
        Self {
            directory: directory.to_path_buf(),
            file,
            segment_bytes,
            signer,
            epoch: Epoch::new(),
        }
    }

    /// Writes until the log is closed.
    pub(crate) fn run(mut self, shared: &Shared) {
        loop {
            let limits = self.signer.epochs().map(EpochKeys::limits);
            let due = limits.and_then(|limits| self.epoch.due(limits));
            match next_task(shared, due) {
                // A failure is kept in the state, where every later append meets it.
                Task::Write(batch) => drop(write(shared, &mut self, batch)),
                Task::Retry => drop(self.mend(shared, None)),
                Task::Turn(why) => drop(self.turn(shared, why, None)),
                Task::Finish => {
                    let closed = || Some(Event::new(EventType::LogClosed, Actor::Broker));
                    if self.turn(shared, EpochEnd::Closed, closed()).is_err() {
                        // There is no one left to tell: the missing event tells it at the next opening.
                        drop(self.mend(shared, closed()));
                    }
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
            if self.epoch.owed
                && let Some(keys) = self.signer.epochs()
            {
                let held = keys.current();
                state.push(epoch_began(held.epoch, held.key.public()), &shared.clock)?;
            }
            push_gap(&mut state, shared)?;
            if let Some(last) = last {
                state.push(last, &shared.clock)?;
            }
            state.take_batch()
        };
        write(shared, self, batch)?;
        if std::mem::take(&mut self.epoch.owed) {
            self.erase(shared);
        }
        Ok(())
    }

    /// Ends the epoch and begins the next, with `then` as its next event. A log of one key has one epoch, and only writes `then`.
    ///
    /// # Errors
    /// When a write failed. Keys that cannot be changed are no failure of the log: it goes on with the one that it has, and says so.
    pub(crate) fn turn(
        &mut self,
        shared: &Shared,
        why: EpochEnd,
        then: Option<Event>,
    ) -> Result<(), StoreError> {
        let prepared = match self.signer.epochs_mut().map(EpochKeys::prepare) {
            // An epoch that did not begin cannot end.
            _ if self.epoch.owed => None,
            None => None,
            Some(Ok(next)) => Some((next.epoch, next.key.public().clone())),
            Some(Err(error)) => {
                self.keys_failed(shared, &error);
                None
            }
        };
        shared.state().end_epoch = false;
        let Some((epoch, next)) = prepared else {
            return if then.is_some() {
                self.mend(shared, then)
            } else {
                Ok(())
            };
        };
        self.file.cut_back()?;
        let last = {
            let mut state = shared.state();
            push_gap(&mut state, shared)?;
            let ended = epoch_ended(epoch.saturating_sub(1), &next, why);
            state.push(ended, &shared.clock)?;
            let last = state.take_batch();
            // In one breath with the end, so that nothing comes between.
            state.push(epoch_began(epoch, &next), &shared.clock)?;
            if let Some(then) = then {
                state.push(then, &shared.clock)?;
            }
            state.open.awaited = true;
            last
        };
        write(shared, self, last)?;
        if let Some(keys) = self.signer.epochs_mut() {
            keys.step();
        }
        self.epoch = Epoch::new();
        self.epoch.owed = true;
        let first = shared.state().take_batch();
        write(shared, self, first)?;
        self.epoch = Epoch::new();
        self.erase(shared);
        Ok(())
    }

    /// Erases the key of the epoch before.
    pub(crate) fn erase(&mut self, shared: &Shared) {
        match self.signer.epochs_mut().map(EpochKeys::erase) {
            Some(Err(error)) => self.keys_failed(shared, &error),
            Some(Ok(())) => shared.state().keys_failure = None,
            None => {}
        }
    }

    fn keys_failed(&mut self, shared: &Shared, error: &StoreError) {
        shared.state().keys_failure = Some(error.to_string());
        self.epoch.not_before = Instant::now().checked_add(KEYS_RETRY_DELAY);
    }

    fn put(&mut self, shared: &Shared, batch: &Batch) -> Result<(), StoreError> {
        if self.file.is_full(self.segment_bytes) {
            self.file = SegmentFile::create(&self.directory, &shared.name, &batch.before)?;
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
    let note = batch.sign(writer.signer.keys());
    match writer.put(shared, &batch) {
        Ok(()) => {
            let written = batch.after.size().saturating_sub(batch.before.size());
            writer.epoch.events = writer.epoch.events.saturating_add(written);
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

/// Adds what was lost in a failure, if there was one.
fn push_gap(state: &mut State, shared: &Shared) -> Result<(), StoreError> {
    if let Some(failure) = state.failure.clone() {
        let gap = Event::new(EventType::LogGap, Actor::Broker)
            .attribute("reason", failure.reason.as_str())
            .attribute("streamed_events_lost", failure.lost);
        state.push(gap, &shared.clock)?;
    }
    Ok(())
}

/// What to do next; `due` says when the epoch is to end, and why.
fn next_task(shared: &Shared, due: Option<(Duration, EpochEnd)>) -> Task {
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
            if state.end_epoch {
                return Task::Turn(EpochEnd::Asked);
            }
            let until = due.map(|(wait, why)| (wait.saturating_sub(began.elapsed()), why));
            if let Some((wait, why)) = until
                && wait.is_zero()
            {
                return Task::Turn(why);
            }
            let wait = state.open.since.map(|since| {
                let due = state.open.awaited || state.open.bytes.len() >= STREAM_BYTES;
                let delay = if due { Duration::ZERO } else { STREAM_DELAY };
                delay.saturating_sub(since.elapsed())
            });
            if wait.is_some_and(|wait| wait.is_zero()) {
                return Task::Write(state.take_batch());
            }
            [wait, until.map(|(wait, _)| wait)]
                .into_iter()
                .flatten()
                .min()
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
