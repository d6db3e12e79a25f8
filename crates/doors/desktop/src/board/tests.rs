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
