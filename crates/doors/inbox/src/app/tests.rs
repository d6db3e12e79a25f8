//! What an inbox answers, and above all what it does not.

use valetkey_api::Outcome;
use valetkey_approval::{Asked, Verdict};
use valetkey_model::{Digest, Justification, Lease, LeaseScope};

use super::testkit::{Desk, held, question, reading};
use super::{Answering, Dialog, Done, Effect, Event, Link, News, PAUSE_MS, State, Unanswered};
use crate::input::{Key, Typed};

/// The one thing that is to be answered.
#[track_caller]
fn answering(effects: Vec<Effect>) -> Answering {
    let mut effects = effects.into_iter();
    match (effects.next(), effects.next()) {
        (Some(Effect::Answer(answering, None)), None) => answering,
        other => panic!("not one answer: {other:?}"),
    }
}

fn selected(desk: &Desk) -> &Asked {
    &desk
        .app
        .current()
        .expect("a question under the cursor")
        .asked
}

#[test]
fn two_deliberate_keys_approve_exactly_what_was_shown() {
    let asked = reading(1);
    let mut desk = Desk::with(vec![asked.clone()]);
    assert!(desk.press("a").is_empty());
    let given = answering(desk.press("y"));
    let shown = desk.app.row(&asked.request_id).unwrap().prompt.digest();
    assert!(shown.is_some());
    assert_eq!(
        given,
        Answering {
            questions: vec![(asked.clone(), shown)],
            verdict: Verdict::Approve,
            because: None,
            lease: None,
        }
    );
    // Once: while it is on its way nothing more can be said.
    assert!(desk.press("ay").is_empty());
    let id = asked.request_id;
    drop(desk.on(Event::Done(Done::Answered(
        id.clone(),
        Ok(Outcome::Approved),
    ))));
    assert!(desk.app.row(&id).unwrap().is_closed());
    assert!(desk.press("aydD\n").is_empty());
}

#[test]
fn no_other_key_is_a_yes() {
    let mut desk = Desk::with(vec![reading(1)]);
    let keys: String = (' '..='~')
        .filter(|c| *c != 'a' && *c != 'y' && *c != 'q')
        .collect();
    assert!(desk.press("y").is_empty());
    let given = desk.press(&format!("{keys}\x1b\x1b\x1b"));
    assert!(
        given
            .iter()
            .all(|effect| matches!(effect, Effect::Answer(one, _) if one.verdict == Verdict::Deny)),
        "{given:?}"
    );
    let mut desk = Desk::with(vec![reading(1)]);
    drop(desk.press("a"));
    for c in (' '..='~').filter(|c| !"ybnq".contains(*c)) {
        assert!(desk.press(&c.to_string()).is_empty(), "{c}");
    }
    for key in [
        Key::Enter,
        Key::Tab,
        Key::Backspace,
        Key::End,
        Key::EraseLine,
    ] {
        desk.wait(PAUSE_MS);
        assert!(desk.key(key).is_empty(), "{key:?}");
    }
    assert!(matches!(desk.app.dialog, Some(Dialog::Confirm(_))));
}

#[test]
fn what_was_typed_for_something_else_answers_nothing() {
    let mut desk = Desk::new(80, 24);
    // Whatever was typed before is forgotten by the terminal, too.
    assert!(matches!(
        desk.news(vec![reading(1)])[..],
        [Effect::ForgetTyped]
    ));
    for _ in 0..PAUSE_MS - 1 {
        desk.ms += 1;
        for key in [Key::Char('a'), Key::Char('y'), Key::Char('d'), Key::Enter] {
            assert!(desk.key(key).is_empty());
        }
    }
    assert!(desk.app.dialog.is_none());
    desk.ms += 1;
    assert!(matches!(
        desk.key(Key::Char('a'))[..],
        [Effect::ForgetTyped]
    ));
    // The page has just opened: the next key was not for it.
    desk.ms += PAUSE_MS - 1;
    assert!(desk.key(Key::Char('y')).is_empty());
    assert!(matches!(desk.app.dialog, Some(Dialog::Confirm(_))));
    desk.ms += 1;
    assert_eq!(desk.key(Key::Char('y')).len(), 1);
}

#[test]
fn what_is_pasted_is_no_command() {
    let mut desk = Desk::with(vec![reading(1)]);
    for c in "ayad\n".chars() {
        desk.wait(PAUSE_MS);
        assert!(desk.on(Event::Typed(Typed::Pasted(c))).is_empty());
        assert!(desk.app.dialog.is_none());
    }
    drop(desk.press("a"));
    desk.wait(PAUSE_MS);
    assert!(desk.on(Event::Typed(Typed::Pasted('y'))).is_empty());
    assert!(matches!(desk.app.dialog, Some(Dialog::Confirm(_))));
}

#[test]
fn the_cursor_stays_whatever_comes_and_goes() {
    let mut desk = Desk::with(vec![reading(2), reading(3)]);
    drop(desk.press("j"));
    assert_eq!(*selected(&desk), reading(3));
    // Others come and go.
    drop(desk.news(vec![reading(1), reading(2), reading(3), reading(4)]));
    assert_eq!(*selected(&desk), reading(3));
    drop(desk.news(vec![reading(3), reading(4)]));
    assert_eq!(*selected(&desk), reading(3));
    // Its own end leaves it there, to be seen.
    drop(desk.news(vec![reading(4)]));
    assert_eq!(*selected(&desk), reading(3));
    let row = desk.app.current().unwrap();
    assert!(matches!(row.state, State::Closed(how) if how.starts_with("closed elsewhere")));
    assert!(desk.press("ay").is_empty());
    drop(desk.press("j"));
    assert_eq!(*selected(&desk), reading(4));
    assert_eq!(desk.app.rows.len(), 1);
}

#[test]
fn a_question_that_closes_or_changes_takes_its_page_along() {
    for page in ["a", "d"] {
        let mut desk = Desk::with(vec![reading(1), reading(2)]);
        drop(desk.press(page));
        // What is typed at this moment was for the page.
        assert!(!desk.news(vec![reading(2)]).is_empty());
        assert!(desk.app.dialog.is_none(), "{page}");
        assert!(desk.key(Key::Char('a')).is_empty());
        assert!(desk.app.dialog.is_none(), "{page}");
        let mut desk = Desk::with(vec![reading(1)]);
        drop(desk.press(page));
        let mut other = reading(1);
        other.policy_digest = Digest::of(b"another");
        assert!(!desk.news(vec![other.clone()]).is_empty());
        assert!(desk.app.dialog.is_none(), "{page}");
        assert!(desk.key(Key::Char('y')).is_empty());
        assert_eq!(*selected(&desk), other);
    }
}

#[test]
fn nothing_is_approved_before_its_end_was_on_the_screen() {
    let mut asked = reading(1);
    asked.reasons = (0..60).map(|n| format!("reason {n}")).collect();
    let mut desk = Desk::with(vec![asked]);
    drop(desk.press("a"));
    assert!(desk.press("y").is_empty());
    for _ in 0..20 {
        assert!(desk.press(" ").is_empty());
    }
    // Keys that come faster than the pictures skip nothing.
    let mut hasty = Desk::with(vec![desk.app.current().unwrap().asked.clone()]);
    drop(hasty.press("a"));
    hasty.wait(PAUSE_MS);
    for _ in 0..20 {
        let space = Event::Typed(Typed::Key(Key::Char(' ')));
        drop(hasty.app.on(space, super::testkit::at(hasty.ms)));
    }
    hasty.app.drawn();
    assert!(hasty.press("y").is_empty());
    // A smaller window is another page.
    drop(desk.on(Event::Resized(60, 20)));
    assert!(desk.press("y").is_empty());
    for _ in 0..20 {
        drop(desk.press(" "));
    }
    assert_eq!(answering(desk.press("y")).verdict, Verdict::Approve);
}

#[test]
fn a_window_that_is_too_small_answers_nothing() {
    let mut desk = Desk::with(vec![reading(1)]);
    drop(desk.on(Event::Resized(30, 5)));
    assert!(desk.press("ayd\n ").is_empty());
    drop(desk.on(Event::Resized(80, 24)));
    assert!(desk.app.dialog.is_none());
    drop(desk.press("a"));
    drop(desk.on(Event::Resized(43, 24)));
    assert!(desk.press("y").is_empty());
    assert!(matches!(desk.press("q")[..], [Effect::Quit]));
}

#[test]
fn a_reason_that_is_wanted_is_held_to_its_form() {
    let mut asked = reading(1);
    let rule = serde_json::json!({"min_length": 10, "ticket": "^[A-Z]{2,10}-[0-9]+$"});
    asked.requirement.justification = serde_json::from_value::<Justification>(rule).unwrap();
    let mut desk = Desk::with(vec![asked]);
    for (typed, lacks) in [
        ("\n", "needs a reason"),
        ("short\n", "at least 10 letters"),
        (" but now long enough\n", "a ticket of the form"),
    ] {
        drop(if desk.app.dialog.is_none() {
            desk.press("a")
        } else {
            Vec::new()
        });
        assert!(desk.press(typed).is_empty());
        let Some(Dialog::Reason(reason)) = &desk.app.dialog else {
            panic!("no line to type in");
        };
        let fault = reason.fault.as_deref().unwrap_or_default();
        assert!(
            fault.contains(lacks) && !fault.contains("--because"),
            "{fault}"
        );
    }
    drop(desk.press(" ABC-12\n"));
    let given = answering(desk.press("y"));
    assert_eq!(
        given.because.as_deref(),
        Some("short but now long enough ABC-12")
    );
}

#[test]
fn a_no_may_have_a_reason_and_needs_none() {
    for (typed, because) in [("\n", None), ("not today\n", Some("not today"))] {
        let mut desk = Desk::with(vec![reading(1)]);
        drop(desk.press("d"));
        let given = answering(desk.press(typed));
        assert_eq!(
            (given.verdict, given.because.as_deref()),
            (Verdict::Deny, because)
        );
    }
}

#[test]
fn several_are_approved_together_only_if_low_and_alike() {
    let mut other_agent = reading(3);
    other_agent.session = valetkey_model::SessionId::new(super::testkit::at(0), [9; 10]);
    for (questions, why) in [
        (
            vec![reading(1), question(2, "file:/home/alice/x", "delete")],
            "low risk",
        ),
        (
            vec![
                reading(1),
                question(2, "file:/home/alice/Reports/x", "write"),
            ],
            "low risk",
        ),
        (vec![reading(1), other_agent], "like questions"),
        (
            vec![
                reading(1),
                question(2, "file:/home/alice/Reports/x", "list"),
            ],
            "like questions",
        ),
    ] {
        let mut desk = Desk::with(questions);
        assert!(desk.press("  Ay").is_empty());
        assert!(desk.app.dialog.is_none());
        drop(desk.press("A"));
        let notice = desk.app.notice.clone().unwrap_or_default();
        assert!(notice.contains(why), "{notice}");
    }
    let all: Vec<_> = (1..=3).map(reading).collect();
    let mut desk = Desk::with(all.clone());
    drop(desk.press("   A"));
    assert!(desk.press("y").is_empty(), "each is shown first");
    drop(desk.press("          "));
    let given = answering(desk.press("y"));
    let asked: Vec<_> = given
        .questions
        .iter()
        .map(|(asked, _)| asked.clone())
        .collect();
    assert_eq!(asked, all);
    assert!(given.questions.iter().all(|(_, shown)| shown.is_some()));
}

#[test]
fn one_that_closes_stops_the_whole_page_of_several() {
    let mut desk = Desk::with((1..=3).map(reading).collect());
    drop(desk.press("   A          "));
    drop(desk.news(vec![reading(1), reading(3)]));
    assert!(desk.app.dialog.is_none());
    assert!(desk.press("y").is_empty());
}

#[test]
fn a_passphrase_is_for_the_questions_that_it_was_asked_for() {
    let mut desk = Desk::with(vec![reading(1)]);
    drop(desk.press("a"));
    let given = answering(desk.press("y"));
    let locked = |wrong| {
        Event::Done(Done::Locked {
            answering: given.clone(),
            wrong,
        })
    };
    drop(desk.on(locked(false)));
    assert!(desk.press("horse").is_empty());
    assert!(!format!("{:?}", desk.app.dialog).contains("horse"));
    let effects = desk.press("\n");
    assert!(matches!(&effects[..], [Effect::Answer(same, Some(_))] if *same == given));
    // Wrong: again, or never mind; then it is open as before.
    drop(desk.on(locked(true)));
    assert!(desk.press("\x1b").is_empty());
    assert!(desk.app.current().unwrap().is_open());
    // Closed while it was typed: nothing is left to sign.
    drop(desk.press("a"));
    drop(desk.press("y"));
    drop(desk.on(locked(false)));
    let id = reading(1).request_id;
    drop(desk.on(Event::Done(Done::Answered(id, Err(Unanswered::Closed)))));
    assert!(desk.app.dialog.is_none());
    assert!(desk.press("horse\n").is_empty());
    drop(desk.on(locked(false)));
    assert!(desk.app.dialog.is_none());
}

#[test]
fn a_broker_that_is_away_is_asked_nothing() {
    let mut desk = Desk::with(vec![reading(1)]);
    drop(desk.press("a"));
    drop(desk.on(Event::Unreachable("gone".to_owned())));
    assert!(desk.press("y").is_empty());
    assert!(desk.press("d").is_empty());
    assert!(matches!(desk.app.link, Link::Down(_)));
    assert!(desk.app.current().unwrap().is_open());
}

#[test]
fn an_answer_that_failed_leaves_the_question_open() {
    let mut desk = Desk::with(vec![reading(1)]);
    drop(desk.press("a"));
    drop(desk.press("y"));
    let id = reading(1).request_id;
    let failed = Unanswered::Failed("no".to_owned());
    drop(desk.on(Event::Done(Done::Answered(id.clone(), Err(failed)))));
    assert!(desk.app.current().unwrap().is_open());
    drop(desk.press("a"));
    assert_eq!(desk.press("y").len(), 1);
    drop(desk.on(Event::Done(Done::Answered(id, Ok(Outcome::Open)))));
    assert!(desk.press("ay").is_empty(), "one person answers once");
}

fn with_grants(numbers: &[u8]) -> Desk {
    let mut desk = Desk::new(80, 24);
    drop(desk.on(grants(numbers)));
    drop(desk.press("2"));
    desk
}

fn grants(numbers: &[u8]) -> Event {
    Event::News(News {
        capabilities: numbers
            .iter()
            .map(|number| held(*number, &format!("file:/home/alice/p{number}/**")))
            .collect(),
        ..News::default()
    })
}

#[test]
fn one_key_takes_back_one_and_several_after_a_page() {
    let mut desk = with_grants(&[1, 2, 3]);
    let first = held(1, "file:/a").capability_id;
    assert!(matches!(&desk.press("r")[..], [Effect::Revoke(ids)] if *ids == [first.clone()]));
    drop(desk.on(Event::Done(Done::Revoked(Ok(vec![first])))));
    assert!(desk.press("r").is_empty(), "it has ended");
    assert!(desk.press("R").is_empty());
    assert!(desk.press("\nx").is_empty());
    assert!(matches!(&desk.press("y")[..], [Effect::Revoke(ids)] if ids.len() == 2));
    // What ends under the cursor keeps it: the next key takes back no other.
    let mut desk = with_grants(&[1, 2]);
    drop(desk.on(grants(&[2])));
    assert!(desk.press("r").is_empty());
    drop(desk.press("j"));
    assert_eq!(desk.press("r").len(), 1);
}

#[test]
fn the_interrupt_key_ends_it_everywhere() {
    for keys in ["", "?", "/", "a", "d", "2", "3"] {
        let mut desk = Desk::with(vec![reading(1)]);
        drop(desk.press(keys));
        assert!(
            matches!(desk.key(Key::Interrupt)[..], [Effect::Quit]),
            "{keys}"
        );
    }
}

#[test]
fn a_filter_hides_and_never_selects() {
    let mut desk = Desk::with(vec![reading(1), reading(2)]);
    drop(desk.press("/q2.xlsx\n"));
    assert_eq!(desk.app.listed().len(), 1);
    assert!(
        desk.press("ay").is_empty(),
        "what is hidden is not answered"
    );
    drop(desk.press("j"));
    assert_eq!(*selected(&desk), reading(2));
    drop(desk.press("\x1b"));
    assert_eq!(desk.app.listed().len(), 2);
    assert_eq!(*selected(&desk), reading(2));
}

#[test]
fn a_yes_reaches_what_was_chosen_on_its_page() {
    let mut asked = reading(1);
    asked.requirement.lease = Some(Lease {
        scope: LeaseScope::Task,
        max_seconds: 1200,
    });
    let choose = |keys: &str| {
        let mut desk = Desk::with(vec![asked.clone()]);
        answering(desk.press(keys)).lease
    };
    let minutes = |seconds| Lease {
        scope: LeaseScope::Minutes,
        max_seconds: seconds,
    };
    assert_eq!(choose("ay"), None);
    let once = choose("aly").expect("a choice");
    assert_eq!(once.scope, LeaseScope::Once);
    assert_eq!(choose("ally"), Some(minutes(300)));
    assert_eq!(choose("allly"), Some(minutes(900)));
    assert_eq!(choose("alllly"), None, "and around");
    // A reason that is added later does not widen it again.
    assert_eq!(choose("albbecause\ny"), Some(once));
    let mut single = reading(2);
    single.requirement.lease = Some(Lease {
        scope: LeaseScope::Once,
        max_seconds: 60,
    });
    let mut desk = Desk::with(vec![single]);
    assert_eq!(answering(desk.press("aly")).lease, None);
}
