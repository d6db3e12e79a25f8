//! Requests that wait for people, the questions that they became, and how they ended.
//!
//! A request waits from the moment it is asked until it has an answer. In between it is gathered with others that are like it, and becomes one
//! of the parts of a question. INVARIANT (what was shown stays): a question never changes once it is open; what comes later is another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use valetkey_api::{Looked, Problem, ProblemKind, RequestState};
use valetkey_approval::{Approvers, Asked, SignedApproval, Verdict, standing};
use valetkey_model::{EventId, RequestId, SessionId, Timestamp};

use crate::witness::Decided;

/// Open questions of one session at once: beyond this the agent is refused, since no person could keep up.
const MAX_OPEN_PER_SESSION: usize = 32;
/// Requests of one session that wait at once.
const MAX_WAITING_PER_SESSION: usize = 256;
/// Requests that have ended and whose end is still kept for the guard to collect, per session.
const MAX_ENDED_PER_SESSION: usize = 256;
/// How long after its question's time a request is still waited for: whoever closes it may be gone before it is done.
const GRACE_MS: u64 = 10_000;

/// A request that waits, or did.
#[derive(Debug)]
pub(crate) struct Waiter {
    id: RequestId,
    session: SessionId,
    expires_at: Timestamp,
    state: watch::Sender<RequestState>,
}

impl Waiter {
    /// How it stands.
    pub(crate) fn state(&self) -> RequestState {
        self.state.borrow().clone()
    }

    /// Whether it has no answer yet.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(*self.state.borrow(), RequestState::Pending { .. })
    }

    /// How it stands once it has an answer, or `wait` is over.
    pub(crate) async fn wait(&self, wait: Duration) -> Result<RequestState, Problem> {
        let mut state = self.state.subscribe();
        let answered = state.wait_for(|state| !matches!(state, RequestState::Pending { .. }));
        match tokio::time::timeout(wait, answered).await {
            Ok(Ok(state)) => Ok(state.clone()),
            Ok(Err(_)) => Err(Problem::new(
                ProblemKind::Unavailable,
                "the question is gone",
            )),
            Err(_) => Ok(self.state()),
        }
    }
}

/// A request on its way to becoming a question.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The question that it would be by itself.
    pub(crate) asked: Asked,
    pub(crate) part: Part,
    /// The event in which policy decided it.
    pub(crate) decided: EventId,
}

/// One request of a question.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) decided: Decided,
    pub(crate) waiter: Arc<Waiter>,
}

impl Part {
    /// The request.
    pub(crate) fn id(&self) -> &RequestId {
        &self.waiter.id
    }
}

/// A question and everything that belongs to it.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) asked: Asked,
    /// The event in which it was put.
    pub(crate) put: EventId,
    /// One for each request that it answers.
    pub(crate) parts: Vec<Part>,
    answers: Mutex<Vec<(SignedApproval, Timestamp)>>,
}

impl Question {
    /// Keeps an answer, the last of each person, and gives all of them. Those of people who may not answer any more are as if they had not been
    /// given. Who says no after a yes has said no, and a no stays: a yes after it is not kept, and nothing is given.
    pub(crate) fn add_answer(
        &self,
        answer: SignedApproval,
        people: &Approvers,
        now: Timestamp,
    ) -> Option<Vec<(SignedApproval, Timestamp)>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|had| standing(&self.asked, std::slice::from_ref(had), people, now).is_ok());
        let of_same = |had: &SignedApproval| had.approval.approver == answer.approval.approver;
        let said_no = answers
            .iter()
            .any(|(had, _)| of_same(had) && had.approval.verdict == Verdict::Deny);
        if said_no && answer.approval.verdict == Verdict::Approve {
            return None;
        }
        answers.retain(|(had, _)| !of_same(had));
        answers.push((answer, now));
        Some(answers.clone())
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_forsaken(&self) -> bool {
        !self.parts.iter().any(|part| part.waiter.is_waiting())
    }
}

/// All requests that wait or have lately ended, and all open questions.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    requests: BTreeMap<RequestId, Arc<Waiter>>,
    gathering: BTreeMap<SessionId, Vec<Gathered>>,
    /// By the first of their requests.
    open: BTreeMap<RequestId, Arc<Question>>,
    /// Who waits for the guard to look at a question's files again.
    looking: BTreeMap<RequestId, oneshot::Sender<Vec<Looked>>>,
}

impl Questions {
    /// Lets a request wait, unless too many of its session do.
    pub(crate) fn expect(
        &self,
        id: &RequestId,
        session: &SessionId,
        expires_at: Timestamp,
    ) -> Option<Arc<Waiter>> {
        let mut table = self.lock();
        let own = table.requests.values();
        let waiting = own.filter(|other| other.session == *session && other.is_waiting());
        if waiting.count() >= MAX_WAITING_PER_SESSION {
            return None;
        }
        let waiter = Arc::new(Waiter {
            id: id.clone(),
            session: session.clone(),
            expires_at,
            state: watch::Sender::new(RequestState::Pending {
                request_id: id.clone(),
                expires_at,
            }),
        });
        table.requests.insert(id.clone(), Arc::clone(&waiter));
        Some(waiter)
    }

    /// The request of that id and session, for one who waits for its end.
    pub(crate) fn request(
        &self,
        id: &RequestId,
        session: &SessionId,
        now: Timestamp,
    ) -> Option<Arc<Waiter>> {
        let table = self.lock();
        let waiter = table.requests.get(id);
        let waiter = waiter.filter(|waiter| waiter.session == *session)?;
        let is_late = now.ms_since(waiter.expires_at) > GRACE_MS;
        (!(is_late && waiter.is_waiting())).then(|| Arc::clone(waiter))
    }

    /// Ends a request, once; whoever waits for it is woken.
    pub(crate) fn settle(&self, waiter: &Waiter, state: RequestState) {
        let mut table = self.lock();
        if !waiter.is_waiting() {
            return;
        }
        waiter.state.send_replace(state);
        let ended = table.requests.values();
        let ended: Vec<RequestId> = ended
            .filter(|other| other.session == waiter.session && !other.is_waiting())
            .map(|other| other.id.clone())
            .collect();
        let excess = ended.len().saturating_sub(MAX_ENDED_PER_SESSION);
        for oldest in ended.iter().take(excess) {
            table.requests.remove(oldest);
        }
    }

    /// Adds requests to those of a session that are being gathered; whether they are the first.
    pub(crate) fn gather(&self, session: &SessionId, gathered: Vec<Gathered>) -> bool {
        let mut table = self.lock();
        let own = table.gathering.entry(session.clone()).or_default();
        let is_first = own.is_empty() && !gathered.is_empty();
        own.extend(gathered);
        is_first
    }

    /// How many requests of a session are being gathered.
    pub(crate) fn gathered(&self, session: &SessionId) -> usize {
        self.lock().gathering.get(session).map_or(0, Vec::len)
    }

    /// Takes what was gathered of a session and still waits.
    pub(crate) fn take_gathered(&self, session: &SessionId) -> Vec<Gathered> {
        let mut gathered = self.lock().gathering.remove(session).unwrap_or_default();
        gathered.retain(|one| one.part.waiter.is_waiting());
        gathered
    }

    /// Opens a question, unless the session has too many.
    pub(crate) fn open(
        &self,
        asked: Asked,
        put: EventId,
        parts: Vec<Part>,
    ) -> Option<Arc<Question>> {
        let mut table = self.lock();
        let open = table.open.values();
        let of_session = open.filter(|question| question.asked.session == asked.session);
        if of_session.count() >= MAX_OPEN_PER_SESSION {
            return None;
        }
        let id = asked.request_id.clone();
        let question = Arc::new(Question {
            asked,
            put,
            parts,
            answers: Mutex::new(Vec::new()),
        });
        table.open.insert(id, Arc::clone(&question));
        Some(question)
    }

    /// The open question of that id.
    pub(crate) fn find(&self, id: &RequestId) -> Option<Arc<Question>> {
        self.lock().open.get(id).cloned()
    }

    /// The open question that a request is part of.
    pub(crate) fn with_part(&self, id: &RequestId) -> Option<Arc<Question>> {
        let table = self.lock();
        let mut open = table.open.values();
        open.find(|question| question.parts.iter().any(|part| part.id() == id))
            .cloned()
    }

    /// Takes an open question out, so that exactly one caller closes it. Its requests wait on until each is settled.
    pub(crate) fn take(&self, id: &RequestId) -> Option<Arc<Question>> {
        self.lock().open.remove(id)
    }

    /// Takes everything of a session out: its open questions; its requests are forgotten.
    pub(crate) fn drop_session(&self, session: &SessionId) -> Vec<Arc<Question>> {
        let mut table = self.lock();
        table.requests.retain(|_, other| other.session != *session);
        table.gathering.remove(session);
        let ids: Vec<_> = table
            .open
            .values()
            .filter(|question| question.asked.session == *session)
            .map(|question| question.asked.request_id.clone())
            .collect();
        ids.iter().filter_map(|id| table.open.remove(id)).collect()
    }

    /// What is open, oldest first.
    pub(crate) fn list(&self) -> Vec<Asked> {
        let table = self.lock();
        let open = table.open.values();
        open.map(|question| question.asked.clone()).collect()
    }

    /// How many requests of these sessions wait for people.
    pub(crate) fn waiting(&self, sessions: &BTreeSet<SessionId>) -> usize {
        let table = self.lock();
        let waiting = table.requests.values();
        waiting
            .filter(|request| sessions.contains(&request.session) && request.is_waiting())
            .count()
    }

    /// Waits for a question's files to be looked at again. Of two that wait for the same, the later one is told.
    pub(crate) fn await_look(&self, id: &RequestId) -> oneshot::Receiver<Vec<Looked>> {
        let (sender, receiver) = oneshot::channel();
        self.lock().looking.insert(id.clone(), sender);
        receiver
    }

    /// Nobody waits for that look any more.
    pub(crate) fn stop_looking(&self, id: &RequestId) {
        self.lock().looking.remove(id);
    }

    /// What a guard saw when it looked again; whether anybody waits for that.
    pub(crate) fn looked(&self, id: &RequestId, session: &SessionId, looked: Vec<Looked>) -> bool {
        let mut table = self.lock();
        let own = table.open.get(id);
        if own.is_none_or(|question| question.asked.session != *session) {
            return false;
        }
        let sender = table.looking.remove(id);
        sender.is_some_and(|sender| sender.send(looked).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
