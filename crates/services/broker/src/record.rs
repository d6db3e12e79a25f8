//! The recorder: the only way to a [`Recorded`] value goes through the durable log.

use tokio::sync::oneshot;
use valetkey_api::{Problem, ProblemKind};
use valetkey_audit::{Checkpoint, Event};
use valetkey_model::EventId;
use valetkey_store::{Log, Receipt, StoreError};

use crate::privacy::Privacy;
use crate::witness::{Pending, Recorded, seal};

/// How events of one batch hang together.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Each follows from the one before it.
    Chain,
    /// Each has its own cause.
    Apart,
}

/// Writes events; nothing that depends on them happens before they are durable.
#[derive(Debug)]
pub(crate) struct Recorder {
    log: Log,
    privacy: Privacy,
}

impl Recorder {
    pub(crate) fn new(log: Log, privacy: Privacy) -> Self {
        Self { log, privacy }
    }

    /// Makes the events of a pending value durable, in order, and gives the proof.
    pub(crate) async fn record<T>(
        &self,
        pending: Pending<T>,
    ) -> Result<(Recorded<T>, EventId), Problem> {
        let receipt = self.append(pending.events, Order::Chain).await?;
        Ok((seal(pending.value, &receipt), receipt.event_id))
    }

    /// Makes events durable that follow from each other, and that nothing else waits for a proof of; gives the id of the last.
    pub(crate) async fn note(&self, events: Vec<Event>) -> Result<EventId, Problem> {
        Ok(self.append(events, Order::Chain).await?.event_id)
    }

    /// Makes events durable that have each its own cause.
    pub(crate) async fn note_each(&self, events: Vec<Event>) -> Result<(), Problem> {
        if events.is_empty() {
            return Ok(());
        }
        self.append(events, Order::Apart).await.map(drop)
    }

    /// Hands an event over to be durable within one second.
    pub(crate) fn stream(&self, event: Event) -> Result<(), Problem> {
        let event = self.privacy.edit(event, false)?;
        self.log
            .append_streamed(event)
            .map(drop)
            .map_err(|error| unavailable(&error))
    }

    /// What the log may say of people.
    pub(crate) fn privacy(&self) -> &Privacy {
        &self.privacy
    }

    /// The same of an event that others follow which are waited for: the log keeps the order, so that it is durable with them.
    pub(crate) fn precede(&self, event: Event) -> Result<EventId, Problem> {
        let event = self.privacy.edit(event, true)?;
        self.log
            .append_streamed(event)
            .map_err(|error| unavailable(&error))
    }

    /// The number of events in the log.
    pub(crate) fn size(&self) -> u64 {
        Checkpoint::read_unverified(self.log.checkpoint().as_bytes())
            .map_or(0, |checkpoint| checkpoint.size)
    }

    /// Whether the log takes events.
    pub(crate) fn is_recording(&self) -> bool {
        self.log.failure().is_none()
    }

    /// Writes what waits and says that the log ended in good order.
    pub(crate) fn close(&self) {
        self.log.close();
    }

    /// Appends events; in a chain each names the one before it as its cause, but the first, which keeps its own.
    ///
    /// The receipt is that of the last event; the log keeps the order, so the earlier ones are durable with it. Each is awaited all the
    /// same, since one of them may have failed.
    async fn append(&self, events: Vec<Event>, order: Order) -> Result<Receipt, Problem> {
        let events = events.into_iter();
        let events = events
            .map(|event| self.privacy.edit(event, true))
            .collect::<Result<Vec<_>, _>>()?;
        let mut waiting = Vec::with_capacity(events.len());
        let mut before: Option<EventId> = None;
        for mut event in events {
            if let (Order::Chain, Some(cause)) = (order, before) {
                event = event.cause(cause);
            }
            let (sender, receiver) = oneshot::channel::<Result<Receipt, StoreError>>();
            before = self.log.append_with(event, move |result| {
                // The requester may be gone; the event stands in the log all the same.
                drop(sender.send(result));
            });
            waiting.push(receiver);
        }
        let mut last = None;
        for receiver in waiting {
            match receiver.await {
                Ok(Ok(receipt)) => last = Some(receipt),
                Ok(Err(error)) => return Err(unavailable(&error)),
                Err(_) => return Err(Problem::new(ProblemKind::Unavailable, "the log has ended")),
            }
        }
        last.ok_or_else(|| Problem::new(ProblemKind::Unavailable, "nothing was recorded"))
    }
}

fn unavailable(error: &StoreError) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("the event could not be recorded: {error}"),
    )
    .hinted(
        false,
        "free disk space where the log lies, or look at `valetkey status`",
    )
}
