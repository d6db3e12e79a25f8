//! Requests that wait, and questions that are closed.

use serde_json::json;

use valetkey_model::Decision;

use super::*;

pub(crate) fn asked(expires_at: &str) -> Asked {
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

fn part(questions: &Questions, asked: &Asked) -> Part {
    let waiter = questions.expect(&asked.request_id, &asked.session, asked.expires_at);
    Part {
        decided: Decided {
            decision: Decision::denied("p", "so"),
            labels_known: 0,
            policy_digest: asked.policy_digest,
        },
        waiter: waiter.expect("room"),
    }
}

fn refused(asked: &Asked) -> RequestState {
    RequestState::Refused {
        request_id: asked.request_id.clone(),
        problem: Problem::new(ProblemKind::Denied, "a person said no"),
    }
}

#[test]
fn a_question_that_is_being_closed_is_still_there_for_who_waits() {
    let questions = Questions::default();
    let asked = asked("2026-01-17T15:14:00.000Z");
    let (id, session) = (asked.request_id.clone(), asked.session.clone());
    let put = EventId::new(asked.asked_at, [0; 10]);
    let parts = vec![part(&questions, &asked)];
    drop(questions.open(asked.clone(), put, parts).expect("room"));
    let taken = questions.take(&id).expect("open");
    assert!(questions.take(&id).is_none(), "one caller closes it");
    assert!(questions.find(&id).is_none(), "and nobody answers it again");
    assert!(questions.request(&id, &session, asked.asked_at).is_some());
    let long_after = asked.expires_at.plus_seconds(60);
    assert!(
        questions.request(&id, &session, long_after).is_none(),
        "and nobody waits for ever"
    );
    assert!(!taken.is_forsaken());
    questions.settle(&taken.parts[0].waiter, refused(&asked));
    assert!(taken.is_forsaken());
    let ended = questions.request(&id, &session, long_after);
    assert_eq!(ended.expect("kept").state(), refused(&asked));
    let other = SessionId::new(asked.asked_at, [9; 10]);
    assert!(questions.request(&id, &other, asked.asked_at).is_none());
}

#[test]
fn a_request_ends_once() {
    let questions = Questions::default();
    let asked = asked("2026-01-17T15:14:00.000Z");
    let part = part(&questions, &asked);
    questions.settle(&part.waiter, refused(&asked));
    questions.settle(
        &part.waiter,
        RequestState::Pending {
            request_id: asked.request_id.clone(),
            expires_at: asked.expires_at,
        },
    );
    assert_eq!(part.waiter.state(), refused(&asked));
}

#[test]
fn what_was_withdrawn_is_not_put() {
    let questions = Questions::default();
    let asked = asked("2026-01-17T15:14:00.000Z");
    let part = part(&questions, &asked);
    let gathered = |part: &Part| Gathered {
        asked: asked.clone(),
        part: part.clone(),
        decided: EventId::new(asked.asked_at, [0; 10]),
    };
    assert!(questions.gather(&asked.session, vec![gathered(&part)]));
    assert!(!questions.gather(&asked.session, vec![gathered(&part)]));
    questions.settle(&part.waiter, refused(&asked));
    assert!(questions.take_gathered(&asked.session).is_empty());
}

#[test]
fn only_the_session_that_asked_says_what_it_saw() {
    let questions = Questions::default();
    let asked = asked("2026-01-17T15:14:00.000Z");
    let put = EventId::new(asked.asked_at, [0; 10]);
    let parts = vec![part(&questions, &asked)];
    drop(questions.open(asked.clone(), put, parts).expect("room"));
    let mut waiting = questions.await_look(&asked.request_id);
    let other = SessionId::new(asked.asked_at, [9; 10]);
    assert!(!questions.looked(&asked.request_id, &other, Vec::new()));
    assert!(waiting.try_recv().is_err());
    assert!(questions.looked(&asked.request_id, &asked.session, Vec::new()));
    assert!(waiting.try_recv().is_ok());
    assert!(
        !questions.looked(&asked.request_id, &asked.session, Vec::new()),
        "nobody waits any more"
    );
}

#[test]
fn the_yes_of_somebody_who_was_removed_is_as_if_it_had_not_been_given() {
    use valetkey_approval::{
        ApproverKey, Approvers, Change, Method, Standing, Unsigned, UnsignedChange, Verdict,
    };
    use valetkey_model::ApprovalId;

    let key = |byte: u8| ApproverKey::from_seed(&[byte; 32]);
    let mut asked = asked("2026-01-17T15:14:00.000Z");
    asked.requirement = serde_json::from_value(json!({
        "quorum": [{"role": "owner", "count": 1}, {"role": "finance", "count": 1}]
    }))
    .expect("a requirement");
    let now = asked.asked_at.plus_seconds(1);
    let owner = key(1).approver("olga", &["owner"]);
    let zoe = key(2).approver("zoe", &["finance"]);
    let first = Approvers::found("r".to_owned(), owner).expect("found");
    let change = |people: &Approvers, change| {
        let unsigned = UnsignedChange::of(people, change, "olga", now).expect("a change");
        people
            .changed(&unsigned.sign(&key(1)).expect("signed"))
            .expect("changed")
    };
    let both = change(&first, Change::Add(zoe.clone()));
    let without = change(&both, Change::Remove(zoe));
    let yes = |name: &str, byte: u8| {
        let unsigned = Unsigned {
            approval_id: ApprovalId::new(now, [byte; 10]),
            request_id: asked.request_id.clone(),
            asked_digest: asked.digest().expect("a digest"),
            prompt_digest: None,
            verdict: Verdict::Approve,
            approver: name.to_owned(),
            method: Method::Terminal,
            lease: None,
            justification: None,
            time: now,
        };
        unsigned.sign(&key(byte)).expect("signed")
    };
    let questions = Questions::default();
    let put = EventId::new(asked.asked_at, [0; 10]);
    let parts = vec![part(&questions, &asked)];
    let question = questions.open(asked.clone(), put, parts).expect("room");
    let first = question.add_answer(yes("zoe", 2), &both, now);
    assert_eq!(first.expect("kept").len(), 1);
    let answers = question.add_answer(yes("olga", 1), &without, now);
    let answers = answers.expect("kept");
    assert_eq!(answers.len(), 1, "what zoe said counts no more");
    assert_eq!(
        standing(&asked, &answers, &without, now),
        Ok(Standing::Open),
        "and it does not keep the others from answering"
    );
}
