//! Telling the broker what happened: observations are folded, sent in batches, and never hold up the agent.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use valetkey_api::{OperationReport, Report};
use valetkey_model::{Action, ActionSet, Resource, SessionId, Timestamp};
use valetkey_view::Observation;

use crate::holdings::Holdings;
use crate::link::Link;

/// Observations that wait to be folded.
const QUEUE: usize = 16 * 1024;
/// How long an observation may wait: half of the second in which it must be durable.
const FLUSH_EVERY: Duration = Duration::from_millis(400);
/// How long observations gather before they are looked at together. Whoever observes then wakes nobody, which is most of what it would cost.
const GATHERING: Duration = Duration::from_millis(2);
/// Operations that are kept while the broker does not answer.
const UNSENT_MAX: usize = 64 * 1024;
/// Operations in one report.
const BATCH: usize = 512;

/// Why a file with several names was not opened.
const MANY_NAMES: &str = "a rule may forbid another name of this file";
/// Why most that is refused is.
const NOT_COVERED: &str = "no capability covers this";

/// Looking at names and attributes.
const LOOKING: ActionSet = ActionSet::of(&[Action::Metadata, Action::List]);

/// Takes observations from the view.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    thread: Thread,
}

#[derive(Debug)]
enum Message {
    Seen(Observation),
    Stop,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    /// As bytes, which are hashed in one go.
    path: OsString,
    operation: &'static str,
    /// Why it was refused; nothing when it was done.
    reason: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Folded {
    /// Its place among the others.
    number: usize,
    actions: ActionSet,
    count: u64,
    /// Of an open: how often it was closed again before it was told.
    closed: u64,
    bytes_read: u64,
    bytes_written: u64,
}

impl Reporter {
    /// Starts the thread that sends.
    pub(crate) fn start(
        link: Arc<Link>,
        holdings: Arc<Holdings>,
        session: SessionId,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let worker = Worker {
            link,
            holdings,
            session,
            lost: Arc::clone(&lost),
            waiting: HashMap::new(),
            unsent: VecDeque::new(),
        };
        let thread = std::thread::Builder::new()
            .name("reporter".to_owned())
            .spawn(move || worker.run(&receiver))?;
        let reporter = Self {
            sender,
            lost,
            thread: thread.thread().clone(),
        };
        Ok((reporter, thread))
    }

    /// Takes an observation; when the queue is full it is counted as lost, and the count is reported.
    pub(crate) fn observe(&self, observation: Observation) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Message::Seen(observation)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what waits and ends the thread.
    pub(crate) fn stop(&self) {
        // An error means that the thread has ended already.
        drop(self.sender.send(Message::Stop));
        self.thread.unpark();
    }
}

struct Worker {
    link: Arc<Link>,
    holdings: Arc<Holdings>,
    session: SessionId,
    lost: Arc<AtomicU64>,
    waiting: HashMap<Key, Folded>,
    unsent: VecDeque<OperationReport>,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut flush_at = Instant::now().checked_add(FLUSH_EVERY);
        loop {
            let wait = flush_at.map_or(FLUSH_EVERY, |at| {
                at.saturating_duration_since(Instant::now())
            });
            let stop = match receiver.recv_timeout(wait) {
                Ok(Message::Seen(observation)) => {
                    self.fold(observation);
                    std::thread::park_timeout(GATHERING);
                    self.fold_waiting(receiver)
                }
                Err(RecvTimeoutError::Timeout) => false,
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => true,
            };
            let due = flush_at.is_none_or(|at| Instant::now() >= at);
            if stop || due || self.waiting.len() >= BATCH {
                self.flush();
                flush_at = Instant::now().checked_add(FLUSH_EVERY);
            }
            if stop {
                return;
            }
        }
    }

    /// Folds what has come meanwhile; whether the end was among it.
    fn fold_waiting(&mut self, receiver: &Receiver<Message>) -> bool {
        // Bounded, so that nothing waits longer for its record because more keeps coming.
        for _ in 0..QUEUE {
            if self.waiting.len() >= BATCH {
                break;
            }
            match receiver.try_recv() {
                Ok(Message::Seen(observation)) => self.fold(observation),
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
        false
    }

    fn fold(&mut self, observation: Observation) {
        let (path, operation, reason, actions, read, written) = match observation {
            Observation::Opened { path, actions } => (path, "open", None, actions, 0, 0),
            Observation::Created { path, .. } => {
                (path, "create", None, ActionSet::of(&[Action::Create]), 0, 0)
            }
            Observation::Linked { from, to } => {
                self.fold(Observation::Changed { path: from });
                (to, "link", None, ActionSet::of(&[Action::Create]), 0, 0)
            }
            Observation::Renamed { from, to, .. } => {
                self.entry(
                    from,
                    "rename_from",
                    None,
                    ActionSet::of(&[Action::Delete]),
                    0,
                    0,
                );
                (
                    to,
                    "rename_to",
                    None,
                    ActionSet::of(&[Action::Create]),
                    0,
                    0,
                )
            }
            Observation::Deleted { path, .. } => {
                (path, "delete", None, ActionSet::of(&[Action::Delete]), 0, 0)
            }
            Observation::Changed { path } => (
                path,
                "change",
                None,
                ActionSet::of(&[Action::Write, Action::Metadata]),
                0,
                0,
            ),
            Observation::Closed {
                path,
                read_bytes,
                written_bytes,
            } => return self.close(path, read_bytes, written_bytes),
            Observation::Refused { path, wanted } => {
                (path, "refused", Some(NOT_COVERED), wanted, 0, 0)
            }
            Observation::ManyNames { path, wanted } => {
                (path, "refused", Some(MANY_NAMES), wanted, 0, 0)
            }
            Observation::Masked { path, wanted, why } => (
                path,
                "refused",
                Some(crate::authority::mask_words(why)),
                wanted,
                0,
                0,
            ),
            Observation::Limited {
                path,
                wanted,
                limit,
            } => (path, "limited", Some(limit.name()), wanted, 0, 0),
            _ => return,
        };
        self.entry(path, operation, reason, actions, read, written);
    }

    /// A close goes with its open where that was not told yet: most files are read and closed at once.
    fn close(&mut self, path: PathBuf, read: u64, written: u64) {
        let key = Key {
            path: path.into_os_string(),
            operation: "open",
            reason: None,
        };
        match self.waiting.get_mut(&key) {
            Some(opened) if opened.closed < opened.count => {
                opened.closed = opened.closed.saturating_add(1);
                opened.bytes_read = opened.bytes_read.saturating_add(read);
                opened.bytes_written = opened.bytes_written.saturating_add(written);
            }
            _ => {
                let path = PathBuf::from(key.path);
                self.entry(path, "close", None, ActionSet::EMPTY, read, written);
            }
        }
    }

    fn entry(
        &mut self,
        path: PathBuf,
        operation: &'static str,
        reason: Option<&'static str>,
        actions: ActionSet,
        read: u64,
        written: u64,
    ) {
        let number = self.waiting.len();
        let key = Key {
            path: path.into_os_string(),
            operation,
            reason,
        };
        let folded = self.waiting.entry(key).or_insert_with(|| Folded {
            number,
            ..Folded::default()
        });
        folded.actions = folded.actions.union(actions);
        folded.count = folded.count.saturating_add(1);
        folded.bytes_read = folded.bytes_read.saturating_add(read);
        folded.bytes_written = folded.bytes_written.saturating_add(written);
    }

    fn flush(&mut self) {
        let now = self.holdings.now();
        let mut waiting: Vec<(Key, Folded)> =
            std::mem::take(&mut self.waiting).into_iter().collect();
        // As they happened.
        waiting.sort_unstable_by_key(|(_, folded)| folded.number);
        let mut operations: Vec<OperationReport> = waiting
            .into_iter()
            // A single look at what is not there is in the log already, as the request that was refused.
            .filter(|(key, folded)| {
                key.reason.is_none() || folded.count > 1 || !LOOKING.allows_all(folded.actions)
            })
            .filter_map(|(key, folded)| self.report(key, &folded, now))
            .collect();
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            operations.extend(lost_report(lost, now));
        }
        let target = format!("/v1/sessions/{}/operations", self.session);
        self.unsent.extend(operations);
        while !self.unsent.is_empty() {
            let batch: Vec<_> = self.unsent.iter().take(BATCH).cloned().collect();
            let count = batch.len();
            let report = Report {
                operations: batch,
                durable: false,
            };
            if self.link.post::<_, ()>(&target, &report).is_err() {
                // Nothing can be recorded now, so nothing new is opened; what is known is kept and sent when the broker answers.
                self.link.set_down();
                break;
            }
            self.unsent.drain(..count);
        }
        while self.unsent.len() > UNSENT_MAX {
            self.unsent.pop_front();
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn report(&self, key: Key, folded: &Folded, time: Timestamp) -> Option<OperationReport> {
        let path = Path::new(&key.path);
        let resource = Resource::file(path).ok()?;
        let holder = self.holdings.find_for(path, |held| held.speaks_of(path));
        // Under a capability whose uses are recorded before their effect, this open is in the log already; what came of it is not.
        let recorded = holder.as_ref().is_some_and(|held| !held.is_streamed());
        let (mut operation, mut actions, mut count) = (key.operation, folded.actions, folded.count);
        if recorded && operation == "open" {
            if folded.closed == 0 {
                return None;
            }
            (operation, actions, count) = ("close", ActionSet::EMPTY, folded.closed);
        }
        Some(OperationReport {
            time,
            resource,
            actions,
            done: key.reason.is_none(),
            capability_id: holder
                .filter(|_| key.reason.is_none())
                .map(|held| held.id()),
            operation: operation.to_owned(),
            reason: key.reason.map(str::to_owned),
            duration_us: 0,
            bytes_read: folded.bytes_read,
            bytes_written: folded.bytes_written,
            rows: 0,
            count,
            file_hash: None,
            address: None,
            server_name: None,
        })
    }
}

fn lost_report(lost: u64, time: Timestamp) -> Option<OperationReport> {
    Some(OperationReport {
        time,
        resource: Resource::file(std::path::Path::new("/")).ok()?,
        actions: ActionSet::EMPTY,
        done: false,
        capability_id: None,
        operation: "observations_lost".to_owned(),
        reason: Some("the guard's queue was full".to_owned()),
        duration_us: 0,
        bytes_read: 0,
        bytes_written: 0,
        rows: 0,
        count: lost,
        file_hash: None,
        address: None,
        server_name: None,
    })
}
