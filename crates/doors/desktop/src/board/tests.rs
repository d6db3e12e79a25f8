//! What is shown of changing lists, and what presses lead to.

use serde_json::json;

use super::*;
use crate::link::{Notice, Urgency};

const NOW: u64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

fn request(number: u8) -> RequestId {
    RequestId::new(now(), [number; 10])
}

fn question(number: u8, name: &str, actions: &[&str]) -> Asked {
    let digest = format!("sha256:{}", "0".repeat(64));
    let path = std::path::PathBuf::from(format!("/home/alice/Documents/{name}"));
    let resource = valetkey_model::Resource::file(&path).expect("a resource");
    serde_json::from_value(json!({
        "request_id": request(number),
        "session": valetkey_model::SessionId::new(now(), [1; 10]),
        "agent": "agent", "agent_digest": null, "user": "alice", "purpose": null,
        "grant": {"resource": resource, "actions": actions, "constraints": {}, "except": []},
        "justification": null, "file": null, "reasons": ["r"], "policy_id": "p", "policy_digest": digest,
        "ttl_seconds": 60,
        "requirement": {"quorum": [{"role": "owner", "count": 1}], "expires_seconds": 120},
        "asked_at": now(), "expires_at": now().plus_seconds(120),
    }))
    .expect("a question")
}

fn lease(number: u8, single_use: bool, approved: bool) -> Capability {
    let approvals: Vec<_> = approved
        .then(|| valetkey_model::ApprovalId::new(now(), [number; 10]))
        .into_iter()
        .collect();
    serde_json::from_value(json!({
        "capability_id": CapabilityId::new(now(), [number; 10]),
        "resource": "file:/home/alice/Documents/**", "actions": ["read"], "issued_to": "agent", "issued_by": "b",
        "expires_at": now().plus_seconds(300), "constraints": {"single_use": single_use},
        "session": valetkey_model::SessionId::new(now(), [1; 10]), "parent": null, "approvals": approvals,
        "policy_id": "p", "policy_digest": format!("sha256:{}", "0".repeat(64)),
    }))
    .expect("a capability")
}

fn shown(orders: &[Order]) -> Vec<(Key, Notice)> {
    orders
        .iter()
        .filter_map(|order| match order {
            Order::Show(key, notice) => Some((*key, notice.clone())),
            Order::Close(_) => None,
        })
        .collect()
}

#[test]
fn a_question_is_shown_once_and_goes_when_it_is_gone_or_another() {
    let mut board = Board::new(None);
    let first = question(1, "a.txt", &["read"]);
    let orders = board.update(std::slice::from_ref(&first), &[], now());
    let [(key, notice)] = <[_; 1]>::try_from(shown(&orders)).expect("one");
    assert!(notice.body.contains("a.txt"));
    assert!(board.update(&[first], &[], now()).is_empty());
    // The same id with another file is another question.
    let changed = question(1, "b.txt", &["read"]);
    let orders = board.update(std::slice::from_ref(&changed), &[], now());
    assert!(orders.contains(&Order::Close(key)));
    let [(second, _)] = <[_; 1]>::try_from(shown(&orders)).expect("one");
    // An old notification's press means nothing.
    assert_eq!(board.heard(Heard::Pressed(key, Button::Inbox)), None);
    let late = now().plus_seconds(120);
    assert_eq!(board.update(&[changed], &[], late), [Order::Close(second)]);
}

#[test]
fn what_was_taken_away_is_not_shown_again() {
    let mut board = Board::new(None);
    let asked = [question(1, "a.txt", &["read"])];
    let [(key, _)] = <[_; 1]>::try_from(shown(&board.update(&asked, &[], now()))).expect("one");
    assert_eq!(board.heard(Heard::Gone(key)), None);
    assert!(board.update(&asked, &[], now()).is_empty());
    // The process that speaks is another: what was taken away stays away.
    board.forget_shown();
    assert!(board.update(&asked, &[], now()).is_empty());
}

#[test]
fn buttons_follow_the_risk_and_none_approves() {
    let low = text::question(&question(1, "a.txt", &["read"]), None, now());
    assert_eq!(low.buttons, [Button::Inbox, Button::Deny]);
    assert_eq!(low.urgency, Urgency::Normal);
    let elevated = text::question(&question(1, "a.txt", &["write"]), None, now());
    assert_eq!(elevated.buttons, [Button::Inbox]);
    let high = text::question(&question(1, "a.txt", &["delete"]), None, now());
    assert_eq!(high.buttons, [Button::Inbox]);
    assert_eq!(high.urgency, Urgency::Critical);
}

#[test]
fn presses_open_refuse_once_and_end_and_do_nothing_else() {
    let mut board = Board::new(None);
    assert!(board.update(&[], &[], now()).is_empty());
    let asked = [question(1, "a.txt", &["read"])];
    let held = [lease(1, false, true)];
    let orders = shown(&board.update(&asked, &held, now()));
    let [question, lease] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    let digest = asked[0].digest().expect("digest").to_string();
    let mut press = |key, button| board.heard(Heard::Pressed(key, button));
    assert_eq!(
        press(question.0, Button::Inbox),
        Some(Effect::Inbox(Some(request(1))))
    );
    assert_eq!(
        press(question.0, Button::Deny),
        Some(Effect::Deny(request(1), digest))
    );
    assert_eq!(press(question.0, Button::Deny), None);
    assert_eq!(press(question.0, Button::End), None);
    assert_eq!(press(lease.0, Button::Inbox), None);
    assert_eq!(
        press(lease.0, Button::End),
        Some(Effect::End(held[0].capability_id.clone()))
    );
    assert_eq!(press(Key(99), Button::Inbox), None);
}

#[test]
fn an_agent_cannot_fill_the_desktop() {
    let mut board = Board::new(None);
    let asked: Vec<Asked> = (0..30)
        .map(|number| question(number, "a.txt", &["read"]))
        .collect();
    let orders = shown(&board.update(&asked, &[], now()));
    assert_eq!(orders.len(), QUESTIONS_MAX + 1);
    let rest = orders
        .iter()
        .find(|(_, notice)| notice.title == "25 more questions wait");
    let key = rest.expect("one for the rest").0;
    assert_eq!(
        board.heard(Heard::Pressed(key, Button::Inbox)),
        Some(Effect::Inbox(None))
    );
}

#[test]
fn leases_that_begin_are_told_of_and_single_uses_and_old_ones_are_not() {
    let mut board = Board::new(None);
    let old = lease(1, false, true);
    assert!(
        board
            .update(&[], std::slice::from_ref(&old), now())
            .is_empty()
    );
    let held = [
        old,
        lease(2, true, true),
        lease(3, false, false),
        lease(4, false, true),
    ];
    let orders = shown(&board.update(&[], &held, now()));
    let [(key, notice)] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    assert_eq!(notice.buttons, [Button::End]);
    assert!(notice.body.contains("Ends in 5 min"), "{}", notice.body);
    assert_eq!(board.update(&[], &held[..3], now()), [Order::Close(*key)]);
}

#[test]
fn a_long_name_is_left_to_the_inbox_and_never_cut() {
    let name = vec!["\u{430}a".repeat(80); 5].join("/");
    let notice = text::question(&question(1, &name, &["read"]), None, now());
    assert!(notice.body.contains("open the inbox"), "{}", notice.body);
    assert!(!notice.body.contains("<U+0430>"));
    let short = text::question(&question(1, "x\u{202e}y", &["read"]), None, now());
    assert!(short.body.contains("x<U+202E>y") && short.body.contains("WARNING"));
}

fn alert(number: u64, kind: &str) -> Alert {
    serde_json::from_value(json!({
        "number": number, "time": now(), "kind": kind, "agent": "agent",
        "text": "agent \u{1b}[2J was denied <b>three</b> times",
    }))
    .expect("an alert")
}

fn review(number: u8, is_open: bool) -> Review {
    let session = valetkey_model::SessionId::new(now(), [1; 10]);
    serde_json::from_value(json!({
        "emergency": format!("sha256:{}", format!("{number:02x}").repeat(32)), "is_open": is_open, "session": session,
        "item": {
            "opened_by": "ann", "opened_at": now(), "policy_id": "p", "review_role": "owner",
            "asked": {"scope": [], "because": "the close run is stuck", "minutes": 5},
        },
    }))
    .expect("a review")
}

#[test]
fn alerts_are_critical_and_stay_until_they_are_taken_away() {
    let mut board = Board::new(None);
    board.told(&[alert(1, "lockout")], &[]);
    assert!(board.update(&[], &[], now()).is_empty(), "from before");
    board.told(&[alert(2, "lockout"), alert(3, "break_glass")], &[]);
    let orders = shown(&board.update(&[], &[], now()));
    let [(lockout, notice), (_, glass)] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    assert_eq!(notice.title, "An agent was locked out");
    assert!(notice.body.contains("agent <U+001B>[2J was denied"));
    assert_eq!(glass.title, "Emergency access was taken");
    for notice in [notice, glass] {
        assert_eq!(notice.urgency, Urgency::Critical);
        assert_eq!(notice.buttons, [Button::Inbox]);
        assert_eq!(notice.life_ms, Some(0));
    }
    // They outlive the broker, and are shown again to another process that speaks.
    assert!(board.clear().is_empty());
    board.forget_shown();
    let again = shown(&board.update(&[], &[], now()));
    assert_eq!(again.len(), 2);
    let key = again[0].0;
    assert_eq!(
        board.heard(Heard::Pressed(key, Button::Inbox)),
        Some(Effect::Inbox(None))
    );
    assert_eq!(board.heard(Heard::Pressed(key, Button::Deny)), None);
    assert_eq!(board.heard(Heard::Pressed(key, Button::End)), None);
    assert_eq!(board.heard(Heard::Pressed(*lockout, Button::Inbox)), None);
    assert_eq!(board.heard(Heard::Gone(key)), None);
    assert!(board.update(&[], &[], now()).is_empty());
    board.forget_shown();
    assert_eq!(shown(&board.update(&[], &[], now())).len(), 1);
}

#[test]
fn no_number_of_alerts_fills_the_desktop() {
    let mut board = Board::new(None);
    board.told(&[], &[]);
    let many: Vec<Alert> = (1..60).map(|number| alert(number, "lockout")).collect();
    board.told(&many, &[]);
    assert_eq!(shown(&board.update(&[], &[], now())).len(), ALERTS_MAX);
}

#[test]
fn open_reviews_are_shown_until_they_are_closed() {
    let mut board = Board::new(None);
    // One that was open before this began is open all the same.
    board.told(&[], &[review(1, true), review(2, false)]);
    let orders = shown(&board.update(&[], &[], now()));
    let [(first, notice)] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    assert_eq!(notice.title, "An emergency waits for its review");
    assert!(notice.body.contains("ann, ") && notice.body.contains("the close run is stuck"));
    assert_eq!(notice.urgency, Urgency::Critical);
    for button in Button::ALL {
        assert_eq!(board.heard(Heard::Pressed(*first, button)), None);
    }
    // What was taken away comes back with one more.
    assert_eq!(board.heard(Heard::Gone(*first)), None);
    assert!(board.update(&[], &[], now()).is_empty());
    board.told(&[], &[review(1, true), review(3, true)]);
    let orders = shown(&board.update(&[], &[], now()));
    let [(both, notice)] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    assert_eq!(notice.title, "2 emergencies wait for their review");
    board.told(&[], &[review(1, false), review(3, false)]);
    assert_eq!(board.update(&[], &[], now()), [Order::Close(*both)]);
}

#[test]
fn a_lease_that_has_ended_is_no_longer_shown() {
    let mut board = Board::new(None);
    assert!(board.update(&[], &[], now()).is_empty());
    let held = [lease(1, false, true)];
    let [(key, _)] = <[_; 1]>::try_from(shown(&board.update(&[], &held, now()))).expect("one");
    let late = now().plus_seconds(300);
    assert_eq!(board.update(&[], &held, late), [Order::Close(key)]);
}
