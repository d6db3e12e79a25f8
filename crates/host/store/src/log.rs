//! The log: durable appends from many threads, written in batches by one.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use valetkey_audit::{Actor, EpochEnd, Event, EventType, epoch_began};
use valetkey_model::{EventId, Timestamp};

use crate::batch::{Batch, Callback};
use crate::ending::Ending;
use crate::entropy::Entropy;
use crate::recovery::{self, AtEnd, Recovery};
use crate::writer::{STREAM_BYTES, Writer, write};
use crate::{Signer, StoreError, file};

/// Where the log takes the time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Most bytes that wait while a batch is written; beyond it events are refused, never dropped in silence.
const QUEUE_MAX_BYTES: usize = 16 << 20;

/// A segment that has grown to this is followed by a new one.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Where an event stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence number.
    pub seq: u64,
    /// Its id.
    pub event_id: EventId,
    /// The size of the first signed tree that holds it.
    pub tree_size: u64,
}

/// An append-only, signed, durable log. Cheap to share behind an [`Arc`]; closed when dropped.
pub struct Log {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Holds the lock of the directory.
    _directory: File,
}

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) work: Condvar,
    pub(crate) name: String,
    pub(crate) clock: Clock,
}

pub(crate) struct State {
    /// What the next write will hold.
    pub(crate) open: Batch,
    /// How the batch that is being written ends.
    pub(crate) writing: Option<Arc<Ending>>,
    pub(crate) phase: Phase,
    /// Set by a failed write, and until one succeeds: events are refused.
    pub(crate) failure: Option<Failure>,
    pub(crate) entropy: Entropy,
    /// The last signed checkpoint.
    pub(crate) checkpoint: String,
    /// Somebody asked for the epoch's end.
    pub(crate) end_epoch: bool,
    /// Why the keys cannot be changed.
    pub(crate) keys_failure: Option<String>,
}

/// Where the log is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Closing,
    Closed,
}

/// Why nothing is taken, and how many acknowledged streamed events were lost with it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) lost: u64,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds an event to the open batch, whatever the state of the log.
    pub(crate) fn push(&mut self, event: Event, clock: &Clock) -> Result<Receipt, StoreError> {
        let random = self.entropy.take()?;
        self.open.push(event, clock(), random)
    }

    /// Takes the open batch to be written, and opens the next.
    pub(crate) fn take_batch(&mut self) -> Batch {
        let next = Batch::after(&self.open.after);
        let batch = std::mem::replace(&mut self.open, next);
        self.writing = Some(batch.ending());
        batch
    }

    fn admit(&mut self, event: Event, clock: &Clock) -> Result<Receipt, StoreError> {
        if self.phase != Phase::Open {
            return Err(StoreError::Closed);
        }
        if let Some(failure) = &self.failure {
            return Err(StoreError::Failed(failure.reason.clone()));
        }
        if self.open.bytes.len() >= QUEUE_MAX_BYTES {
            return Err(StoreError::QueueFull);
        }
        self.push(event, clock)
    }
}

impl Log {
    /// Opens the log in `directory`, or makes one there, and says what was found. Its beginning is itself an event, durable on return,
    /// that carries the public key; what a crash left is told in events before it.
    ///
    /// # Errors
    /// When another process has the log, it is damaged or of another key, or the system refuses.
    pub fn open(
        directory: &Path,
        signer: impl Into<Signer>,
        clock: Clock,
    ) -> Result<(Self, Recovery), StoreError> {
        Self::open_with_segments(directory, signer, clock, SEGMENT_BYTES)
    }

    /// As [`Log::open`], with another size at which a segment is full.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_with_segments(
        directory: &Path,
        signer: impl Into<Signer>,
        clock: Clock,
        segment_bytes: u64,
    ) -> Result<(Self, Recovery), StoreError> {
        let mut signer = signer.into();
        let handle = file::private_directory(directory)?;
        file::lock(&handle, directory)?;
        let end = recovery::open(directory, &mut signer)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                open: Batch::after(&end.frontier),
                writing: None,
                phase: Phase::Open,
                failure: None,
                entropy: Entropy::default(),
                checkpoint: String::new(),
                end_epoch: false,
                keys_failure: None,
            }),
            work: Condvar::new(),
            name: signer.public().name().to_owned(),
            clock,
        });
        let mut writer = Writer::new(directory, end.file, segment_bytes, signer);
        begin(&shared, &mut writer, &end.recovery, end.epoch)?;
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("valetkey-log".to_owned())
                .spawn(move || writer.run(&shared))
                .map_err(|error| StoreError::io("start the writer of", directory, error))?
        };
        let log = Self {
            shared,
            writer: Mutex::new(Some(thread)),
            _directory: handle,
        };
        Ok((log, end.recovery))
    }

    /// Appends an event and waits until it is durable and signed.
    ///
    /// # Errors
    /// When it is not recorded; then whatever depends on it must not happen.
    pub fn append(&self, event: Event) -> Result<Receipt, StoreError> {
        let (mut receipt, ending) = {
            let mut state = self.shared.state();
            let receipt = state.admit(event, &self.shared.clock)?;
            state.open.awaited = true;
            (receipt, state.open.ending())
        };
        self.shared.work.notify_one();
        receipt.tree_size = ending.wait()?;
        Ok(receipt)
    }

    /// Appends an event and calls `done` once it is durable and signed, or is not going to be. `done` runs on the writer's
    /// thread, or at once on this one when the event is refused; it must be short and must not append with [`Log::append`].
    ///
    /// Gives the id that the event has if it becomes durable, so that later events can name it as their cause.
    pub fn append_with(
        &self,
        event: Event,
        done: impl FnOnce(Result<Receipt, StoreError>) + Send + 'static,
    ) -> Option<EventId> {
        let admitted = {
            let mut state = self.shared.state();
            match state.admit(event, &self.shared.clock) {
                Ok(receipt) => {
                    let id = receipt.event_id.clone();
                    let callback: Callback = Box::new(done);
                    state.open.call_back(receipt, callback);
                    state.open.awaited = true;
                    Ok(id)
                }
                Err(error) => Err((error, done)),
            }
        };
        match admitted {
            Ok(id) => {
                self.shared.work.notify_one();
                Some(id)
            }
            Err((error, done)) => {
                done(Err(error));
                None
            }
        }
    }

    /// Appends an event without waiting: it is durable within a second. If it is lost in a crash or by a failed write, a `log.gap`
    /// event says so.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn append_streamed(&self, event: Event) -> Result<EventId, StoreError> {
        let (receipt, due) = {
            let mut state = self.shared.state();
            let first = state.open.is_empty();
            let receipt = state.admit(event, &self.shared.clock)?;
            state.open.streamed = state.open.streamed.saturating_add(1);
            (receipt, first || state.open.bytes.len() >= STREAM_BYTES)
        };
        if due {
            self.shared.work.notify_one();
        }
        Ok(receipt.event_id)
    }

    /// Waits until everything taken so far is durable.
    ///
    /// # Errors
    /// When the write fails, or the log takes nothing.
    pub fn flush(&self) -> Result<(), StoreError> {
        let ending = {
            let mut state = self.shared.state();
            if let Some(failure) = &state.failure {
                return Err(StoreError::Failed(failure.reason.clone()));
            }
            if state.open.is_empty() {
                state.writing.clone()
            } else {
                state.open.awaited = true;
                Some(state.open.ending())
            }
        };
        self.shared.work.notify_one();
        ending.map_or(Ok(()), |ending| ending.wait().map(|_| ()))
    }

    /// The last signed checkpoint, as a C2SP signed note. Whoever keeps a copy elsewhere can later show that the log was cut or rewritten.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.shared.state().checkpoint.clone()
    }

    /// Why nothing can be recorded at present; none while all is well.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let state = self.shared.state();
        match (&state.failure, state.phase) {
            (Some(failure), _) => Some(failure.reason.clone()),
            (None, Phase::Open) => None,
            (None, Phase::Closing | Phase::Closed) => Some(StoreError::Closed.to_string()),
        }
    }

    /// Ends the epoch as soon as may be: what was written until then can no more be signed anew, whoever takes the keys.
    pub fn end_epoch(&self) {
        self.shared.state().end_epoch = true;
        self.shared.work.notify_all();
    }

    /// Why the key of an epoch that is over cannot be replaced or erased; none while all is well. The log goes on under the key that it has.
    #[must_use]
    pub fn keys_failure(&self) -> Option<String> {
        self.shared.state().keys_failure.clone()
    }

    /// Writes what is waiting and a last event that says the log was closed in good order. Later appends are refused.
    pub fn close(&self) {
        {
            let mut state = self.shared.state();
            if state.phase == Phase::Open {
                state.phase = Phase::Closing;
            }
        }
        self.shared.work.notify_all();
        let thread = {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.take()
        };
        if let Some(thread) = thread {
            // The writer does not panic; if it did, there is nothing left to close.
            drop(thread.join());
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.shared.name)
    }
}

/// Writes the first batch: what recovery did, what may be missing, and the key that signs from here on. Then the key that lay on the disk meanwhile is changed.
fn begin(
    shared: &Shared,
    writer: &mut Writer,
    recovery: &Recovery,
    epoch: AtEnd,
) -> Result<(), StoreError> {
    let batch = {
        let mut state = shared.state();
        if epoch == AtEnd::Begins
            && let Some(keys) = writer.signer.epochs()
        {
            let held = keys.current();
            state.push(epoch_began(held.epoch, held.key.public()), &shared.clock)?;
        }
        if let Some(torn) = recovery.torn_tail {
            let event = Event::new(EventType::LogRecovered, Actor::Broker)
                .attribute("dropped_bytes", torn.bytes)
                .attribute("dropped_events", torn.whole_events)
                .attribute("segment", torn.segment)
                .attribute("acknowledged", false);
            state.push(event, &shared.clock)?;
        }
        if !recovery.was_closed {
            let event = Event::new(EventType::LogGap, Actor::Broker)
                .attribute("reason", "the log was not closed")
                .attribute("streamed_ms_at_risk", 1000_u64);
            state.push(event, &shared.clock)?;
        }
        let event = Event::new(EventType::LogOpened, Actor::Broker)
            .attribute("key", writer.signer.public().to_string().as_str())
            .attribute("created", recovery.created)
            .attribute("events_before", recovery.events);
        state.push(event, &shared.clock)?;
        state.take_batch()
    };
    write(shared, writer, batch)?;
    writer.erase(shared);
    if epoch == AtEnd::Used {
        writer.turn(shared, EpochEnd::Opened, None)?;
    }
    Ok(())
}
