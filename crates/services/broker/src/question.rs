//! Open questions to people, and the answers to requests that waited for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use valetkey_api::RequestState;
use valetkey_approval::{Asked, SignedApproval, Verdict};
use valetkey_model::{Decision, EventId, RequestId, SessionId, Timestamp};

/// Open questions of one session at once: beyond this the agent is refused, since no person could keep up.
const MAX_OPEN_PER_SESSION: usize = 32;
/// Closed questions whose answer is still kept for the guard to collect, per session.
const MAX_CLOSED_PER_SESSION: usize = 256;

/// A question and everything that belongs to it.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) asked: Asked,
    /// The event in which it was put.
    pub(crate) put: EventId,
    pub(crate) decision: Decision,
    pub(crate) state: watch::Sender<RequestState>,
    answers: Mutex<Vec<(SignedApproval, Timestamp)>>,
}

impl Question {
    /// Keeps an answer, the last of each person, and gives all of them. Who says no after a yes has said no, and a no stays: a yes after it is
    /// not kept, and nothing is given.
    pub(crate) fn add_answer(
        &self,
        answer: SignedApproval,
        now: Timestamp,
    ) -> Option<Vec<(SignedApproval, Timestamp)>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
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
}

/// All questions, open and lately closed.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    open: BTreeMap<RequestId, Arc<Question>>,
    /// Taken out to be closed, while its end is being recorded: whoever waits for it goes on waiting.
    closing: BTreeMap<RequestId, Arc<Question>>,
    closed: BTreeMap<RequestId, (SessionId, RequestState)>,
}

impl Questions {
    /// Opens a question, unless the session has too many.
    pub(crate) fn open(
        &self,
        asked: Asked,
        put: EventId,
        decision: Decision,
    ) -> Option<Arc<Question>> {
        let mut table = self.lock();
        let of_session = table
            .open
            .values()
            .filter(|question| question.asked.session == asked.session)
            .count();
        if of_session >= MAX_OPEN_PER_SESSION {
            return None;
        }
        let pending = RequestState::Pending {
            request_id: asked.request_id.clone(),
            expires_at: asked.expires_at,
        };
        let id = asked.request_id.clone();
        let question = Arc::new(Question {
            asked,
            put,
            decision,
            state: watch::Sender::new(pending),
            answers: Mutex::new(Vec::new()),
        });
        table.open.insert(id, Arc::clone(&question));
        Some(question)
    }

    /// The open question of that id.
    pub(crate) fn find(&self, id: &RequestId) -> Option<Arc<Question>> {
        self.lock().open.get(id).cloned()
    }

    /// The question of that id as one who waits for its end sees it: open, or just being closed. Whoever closes it may be gone before it is
    /// done, so nobody waits for that beyond the question's own time.
    pub(crate) fn awaited(&self, id: &RequestId, now: Timestamp) -> Option<Arc<Question>> {
        let table = self.lock();
        let closing = table.closing.get(id);
        let closing = closing.filter(|question| now < question.asked.expires_at);
        table.open.get(id).or(closing).cloned()
    }

    /// Takes an open question out, so that exactly one caller closes it.
    pub(crate) fn take(&self, id: &RequestId) -> Option<Arc<Question>> {
        let mut table = self.lock();
        let question = table.open.remove(id)?;
        table.closing.insert(id.clone(), Arc::clone(&question));
        Some(question)
    }

    /// Keeps how a question ended and wakes whoever waits.
    pub(crate) fn close(&self, question: &Question, state: &RequestState) {
        let mut table = self.lock();
        table.closing.remove(&question.asked.request_id);
        let session = &question.asked.session;
        let oldest = {
            let mut own = table
                .closed
                .iter()
                .filter(|(_, (of, _))| of == session)
                .map(|(id, _)| id);
            let oldest = own.next().cloned();
            if own.count().saturating_add(1) >= MAX_CLOSED_PER_SESSION {
                oldest
            } else {
                None
            }
        };
        if let Some(oldest) = oldest {
            table.closed.remove(&oldest);
        }
        table.closed.insert(
            question.asked.request_id.clone(),
            (session.clone(), state.clone()),
        );
        drop(table);
        question.state.send_replace(state.clone());
    }

    /// How a closed question of `session` ended.
    pub(crate) fn ended(&self, id: &RequestId, session: &SessionId) -> Option<RequestState> {
        self.lock()
            .closed
            .get(id)
            .filter(|(of, _)| of == session)
            .map(|(_, state)| state.clone())
    }

    /// Takes every open question of a session out, and forgets its closed ones.
    pub(crate) fn drop_session(&self, session: &SessionId) -> Vec<Arc<Question>> {
        let mut table = self.lock();
        table.closed.retain(|_, (of, _)| of != session);
        table
            .closing
            .retain(|_, question| question.asked.session != *session);
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
        self.lock()
            .open
            .values()
            .map(|question| question.asked.clone())
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use valetkey_api::{Problem, ProblemKind};

    use super::*;

    fn asked(expires_at: &str) -> Asked {
        serde_json::from_value(json!({
            "request_id": "req-01JHHHHHHHHHHHHHHHHHHHHHHH", "session": "ses-01JHHHHHHHHHHHHHHHHHHHHHHH",
            "agent": "cat", "agent_digest": null, "user": "alice", "purpose": null,
            "grant": {"resource": "file:/home/alice/notes.txt", "actions": ["read"], "constraints": {}, "except": []},
            "justification": null, "file": null, "reasons": ["so"], "policy_id": "p",
            "policy_digest": format!("sha256:{}", "0".repeat(64)), "ttl_seconds": 60,
            "requirement": {"quorum": [{"role": "owner", "count": 1}]},
            "asked_at": "2026-01-17T15:12:00.000Z", "expires_at": expires_at,
        }))
        .expect("a question")
    }

    #[test]
    fn a_question_that_is_being_closed_is_still_there_for_who_waits() {
        let questions = Questions::default();
        let asked = asked("2026-01-17T15:14:00.000Z");
        let (id, session) = (asked.request_id.clone(), asked.session.clone());
        let put = EventId::new(asked.asked_at, [0; 10]);
        let decision = Decision::denied("p", "so");
        drop(questions.open(asked.clone(), put, decision).expect("room"));
        let taken = questions.take(&id).expect("open");
        assert!(questions.take(&id).is_none(), "one caller closes it");
        assert!(questions.find(&id).is_none(), "and nobody answers it again");
        assert!(questions.awaited(&id, asked.asked_at).is_some());
        assert!(questions.awaited(&id, asked.expires_at).is_none());
        let problem = Problem::new(ProblemKind::Denied, "a person said no");
        let state = RequestState::Refused {
            request_id: id.clone(),
            problem,
        };
        questions.close(&taken, &state);
        assert!(questions.awaited(&id, asked.asked_at).is_none());
        assert_eq!(questions.ended(&id, &session), Some(state));
    }
}
