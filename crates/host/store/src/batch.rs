//! The batch that is being filled while the one before it becomes durable.

use std::sync::Arc;
use std::time::Instant;

use valetkey_audit::segment::{write_checkpoint, write_event};
use valetkey_audit::{Checkpoint, Event, Frontier, LogKey};
use valetkey_model::{EventId, Timestamp, ULID_RANDOM_BYTES};

use crate::ending::Ending;
use crate::{Receipt, StoreError};

/// What is called when an event is durable, or is not going to be.
pub(crate) type Callback = Box<dyn FnOnce(Result<Receipt, StoreError>) + Send>;

/// Events that will be written together, under one checkpoint.
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) before: Frontier,
    pub(crate) after: Frontier,
    /// How many of the events were acknowledged before they are durable.
    pub(crate) streamed: u64,
    /// Whether someone waits for this batch.
    pub(crate) awaited: bool,
    /// When the first event came.
    pub(crate) since: Option<Instant>,
    callbacks: Vec<(Receipt, Callback)>,
    ending: Arc<Ending>,
}

impl Batch {
    pub(crate) fn after(frontier: &Frontier) -> Self {
        Self {
            bytes: Vec::new(),
            before: frontier.clone(),
            after: frontier.clone(),
            streamed: 0,
            awaited: false,
            since: None,
            callbacks: Vec::new(),
            ending: Arc::new(Ending::default()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds an event. Its tree size is that of its own place until the batch is signed.
    pub(crate) fn push(
        &mut self,
        event: Event,
        time: Timestamp,
        random: [u8; ULID_RANDOM_BYTES],
    ) -> Result<Receipt, StoreError> {
        let seq = self.after.size();
        let sealed = event.seal(seq, EventId::new(time, random), time)?;
        write_event(&mut self.bytes, &sealed);
        self.after.push(*sealed.leaf());
        self.since.get_or_insert_with(Instant::now);
        Ok(Receipt {
            seq,
            event_id: sealed.event_id().clone(),
            tree_size: self.after.size(),
        })
    }

    pub(crate) fn call_back(&mut self, receipt: Receipt, callback: Callback) {
        self.callbacks.push((receipt, callback));
    }

    pub(crate) fn ending(&self) -> Arc<Ending> {
        Arc::clone(&self.ending)
    }

    /// Puts the signed checkpoint at the end and returns its note.
    pub(crate) fn sign<'a>(&mut self, keys: impl Iterator<Item = &'a LogKey>) -> String {
        let mut keys = keys.peekable();
        let name = keys.peek().map_or("", |key| key.public().name());
        let note = Checkpoint {
            origin: name.to_owned(),
            size: self.after.size(),
            root: self.after.root(),
            extensions: Vec::new(),
        }
        .sign_with(keys);
        write_checkpoint(&mut self.bytes, &note);
        note
    }

    /// Tells everyone who waits how it ended.
    pub(crate) fn end(self, result: Result<u64, StoreError>) {
        self.ending.tell(result.clone());
        for (mut receipt, callback) in self.callbacks {
            let told = result.clone().map(|tree_size| {
                receipt.tree_size = tree_size;
                receipt
            });
            // A caller's panic must not stop the writer that everyone else depends on.
            let call = std::panic::AssertUnwindSafe(|| callback(told));
            drop(std::panic::catch_unwind(call));
        }
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({}..{})", self.before.size(), self.after.size())
    }
}
