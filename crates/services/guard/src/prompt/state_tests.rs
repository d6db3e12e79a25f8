//! The prompt's decisions: which keys answer, which never do, and what follows.

use super::*;
use crate::prompt::test_questions::{asked, plain, question};

const OPEN: Duration = Duration::from_secs(10);
const READY: Duration = Duration::from_secs(11);

fn shown(question: Question) -> Dialog {
    let mut dialog = Dialog::new();
    let effects = dialog.opened(question, OPEN);
    assert!(matches!(effects.as_slice(), [Effect::Paint]));
    dialog.painted(10, 20);
    dialog
}

fn typed(dialog: &mut Dialog, text: &str, now: Duration) -> Vec<Effect> {
    let mut effects = Vec::new();
    for c in text.chars() {
        let key = if c == '\r' { Key::Enter } else { Key::Char(c) };
        effects.extend(dialog.key(key, now));
    }
    effects
}

fn given(effects: Vec<Effect>) -> Option<Reply> {
    effects.into_iter().find_map(|effect| match effect {
        Effect::Give(reply) => Some(*reply),
        _ => None,
    })
}

#[test]
fn only_a_deliberate_line_answers() {
    for (line, verdict) in [
        ("a\r", Verdict::Approve),
        ("yes\r", Verdict::Approve),
        ("d\r", Verdict::Deny),
        ("no\r", Verdict::Deny),
    ] {
        let mut dialog = shown(plain(1));
        let reply = given(typed(&mut dialog, line, READY)).expect(line);
        assert_eq!(reply.verdict, verdict);
        assert_eq!(reply.question, dialog.current().unwrap().asked);
        assert!(reply.shown.is_some());
    }
    for line in ["\r", "a", "ya\r", "apply\r", "make all\ry es\r", "A\r"] {
        let mut dialog = shown(plain(1));
        assert!(given(typed(&mut dialog, line, READY)).is_none(), "{line:?}");
    }
}

#[test]
fn keys_typed_before_the_prompt_was_looked_at_do_not_count() {
    let mut dialog = shown(plain(1));
    assert!(typed(&mut dialog, "a\ryes\r", OPEN).is_empty());
    // Whoever goes on typing has not seen it.
    let mut now = OPEN;
    for _ in 0..50 {
        now += Duration::from_millis(100);
        assert!(typed(&mut dialog, "a\r", now).is_empty());
    }
    assert!(dialog.line.is_empty());
    assert!(!dialog.is_settled(now));
    assert!(given(typed(&mut dialog, "a\r", now + QUIET)).is_some());
}

#[test]
fn an_answer_is_never_for_the_next_question() {
    let mut dialog = shown(plain(1));
    drop(dialog.opened(plain(2), OPEN));
    assert_eq!(dialog.waiting(), 2);
    let first = given(typed(&mut dialog, "a\ra\ra\r", READY)).expect("an answer");
    let effects = dialog.given(&first.question.request_id, Given::Counts, READY);
    assert!(matches!(effects.as_slice(), [Effect::Paint]));
    dialog.painted(10, 20);
    assert!(typed(&mut dialog, "a\r", READY).is_empty());
    // Half an answer is gone with its question.
    let later = READY + SETTLE;
    drop(typed(&mut dialog, "ye", later));
    drop(dialog.opened(plain(3), later));
    let id = dialog.current().unwrap().asked.request_id.clone();
    let effects = dialog.closed(&id, Some("was granted"), later);
    assert!(matches!(
        effects.as_slice(),
        [Effect::Tell(_), Effect::Paint]
    ));
    assert!(dialog.line.is_empty());
    assert!(given(typed(&mut dialog, "s\r", later + SETTLE)).is_none());
}

#[test]
fn high_risk_wants_the_whole_word() {
    let mut dialog = shown(question(asked(1, "file:/srv/data/q3.csv", "delete")));
    assert!(dialog.wants_word());
    assert!(given(typed(&mut dialog, "a\r", READY)).is_none());
    assert!(dialog.message.is_some());
    assert!(given(typed(&mut dialog, "yes\r", READY)).is_some());
}

#[test]
fn a_question_is_read_to_its_end_before_it_is_approved() {
    let mut dialog = Dialog::new();
    drop(dialog.opened(plain(1), OPEN));
    dialog.painted(30, 10);
    assert!(given(typed(&mut dialog, "a\r", READY)).is_none());
    for _ in 0..3 {
        drop(typed(&mut dialog, " ", READY));
        dialog.painted(30, 10);
    }
    assert!(dialog.is_read());
    assert!(given(typed(&mut dialog, "a\r", READY)).is_some());
    // A no needs no reading.
    let mut dialog = Dialog::new();
    drop(dialog.opened(plain(1), OPEN));
    dialog.painted(30, 10);
    assert!(given(typed(&mut dialog, "d\r", READY)).is_some());
}

#[test]
fn later_leaves_the_question_open_and_says_so() {
    for keys in [vec![Key::Leave], vec![Key::Char('l'), Key::Enter]] {
        let mut dialog = shown(plain(1));
        let effects: Vec<Effect> = keys
            .into_iter()
            .flat_map(|key| dialog.key(key, READY))
            .collect();
        let [.., Effect::Leave(_), Effect::Tell(notice), Effect::Hide] = effects.as_slice() else {
            panic!("{effects:?}");
        };
        assert!(notice.contains("the agent asks"));
    }
}

#[test]
fn a_locked_key_asks_for_its_passphrase_and_shows_nothing_of_it() {
    let mut dialog = shown(plain(1));
    let first = given(typed(&mut dialog, "a\r", READY)).expect("an answer");
    assert!(first.passphrase.is_none());
    let id = first.question.request_id;
    for wrong in [false, true, true] {
        drop(dialog.given(&id, Given::Locked { wrong }, READY));
        assert!(matches!(dialog.stage, Stage::Passphrase));
        drop(typed(&mut dialog, "hunter", READY));
        assert!(!format!("{dialog:?}").contains("hunter"));
        let reply = given(typed(&mut dialog, " sesame\r", READY)).expect("another try");
        assert!(!format!("{reply:?}").contains("sesame"));
        assert_eq!(reply.verdict, Verdict::Approve);
        assert_eq!(
            reply.passphrase.as_ref().map(|text| text.0.as_str()),
            Some("hunter sesame")
        );
        assert!(dialog.line.is_empty());
    }
    drop(dialog.given(&id, Given::Locked { wrong: true }, READY));
    assert!(matches!(dialog.stage, Stage::Answer), "three tries");
}

#[test]
fn a_reason_is_asked_for_where_one_is_needed() {
    let mut wanted = asked(1, "file:/srv/data/q3.csv", "read");
    let text = serde_json::json!({"quorum": [{"role": "owner", "count": 1}], "expires_seconds": 120, "justification": true});
    wanted.requirement = serde_json::from_value(text).expect("a requirement");
    let mut dialog = shown(question(wanted));
    assert!(given(typed(&mut dialog, "a\r", READY)).is_none());
    assert!(matches!(dialog.stage, Stage::Reason));
    let reply = given(typed(&mut dialog, "it is due\r", READY)).expect("an answer");
    assert_eq!(reply.because.as_deref(), Some("it is due"));
    // What does not count is said, and the question is still there.
    drop(dialog.given(
        &reply.question.request_id,
        Given::Failed("too short".to_owned()),
        READY,
    ));
    assert_eq!(dialog.message.as_deref(), Some("too short"));
    assert_eq!(dialog.waiting(), 1);
}

#[test]
fn an_answer_from_elsewhere_ends_the_prompt() {
    let mut dialog = shown(plain(1));
    let id = dialog.current().unwrap().asked.request_id.clone();
    let effects = dialog.settled(&id, true, READY);
    assert!(
        matches!(effects.as_slice(), [Effect::Tell(line), Effect::Hide] if line.ends_with("was granted")),
        "{effects:?}"
    );
    // One that was given here needs no telling.
    let mut dialog = shown(plain(1));
    drop(typed(&mut dialog, "a\r", READY));
    let effects = dialog.settled(&id, true, READY);
    assert!(matches!(effects.as_slice(), [Effect::Hide]));
    assert!(dialog.given(&id, Given::Counts, READY).is_empty());
}

#[test]
fn a_yes_can_be_made_to_reach_less_and_never_further() {
    use valetkey_model::{Lease, LeaseScope};
    let leased = |lease: Option<Lease>| {
        let mut asked = asked(1, "file:/srv/data/q3.csv", "read");
        asked.requirement.lease = lease;
        shown(question(asked))
    };
    let lease = |scope, max_seconds| Lease { scope, max_seconds };
    let task = || leased(Some(lease(LeaseScope::Task, 600)));
    for (line, chosen) in [
        ("a\r", None),
        ("a once\r", Some(lease(LeaseScope::Once, 600))),
        ("approve 2m\r", Some(lease(LeaseScope::Minutes, 120))),
        ("yes 5\r", Some(lease(LeaseScope::Minutes, 300))),
        ("a task\r", Some(lease(LeaseScope::Task, 600))),
    ] {
        let mut dialog = task();
        let reply = given(typed(&mut dialog, line, READY)).expect(line);
        assert_eq!(reply.lease, chosen, "{line}");
    }
    for line in [
        "a 11m\r",
        "a always\r",
        "yes 0\r",
        "a once more\r",
        "d once\r",
        "l once\r",
    ] {
        let mut dialog = task();
        assert!(given(typed(&mut dialog, line, READY)).is_none(), "{line}");
        assert!(dialog.message.is_some(), "{line}");
        // What was typed wrongly leaves nothing behind.
        let reply = given(typed(&mut dialog, "a\r", READY)).expect("an answer");
        assert_eq!(reply.lease, None, "{line}");
    }
    let mut dialog = leased(Some(lease(LeaseScope::Once, 600)));
    assert!(given(typed(&mut dialog, "a 5m\r", READY)).is_none());
    // It is kept over the question for the reason, and over the one for the passphrase.
    let mut asked = asked(1, "file:/srv/data/q3.csv", "read");
    asked.requirement.justification = valetkey_model::Justification::Needed;
    let mut dialog = shown(question(asked));
    drop(typed(&mut dialog, "a once\r", READY));
    let reply = given(typed(&mut dialog, "it is due\r", READY)).expect("an answer");
    let scope = |reply: &Reply| reply.lease.as_ref().map(|lease| lease.scope.clone());
    assert_eq!(scope(&reply), Some(LeaseScope::Once));
    let id = reply.question.request_id;
    drop(dialog.given(&id, Given::Locked { wrong: false }, READY));
    let reply = given(typed(&mut dialog, "secret\r", READY)).expect("an answer");
    assert_eq!(scope(&reply), Some(LeaseScope::Once));
}
