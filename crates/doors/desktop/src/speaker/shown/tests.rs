//! A desktop that is somebody else, that lies, or that goes away.

use std::io::Write as _;

use super::super::bus::testkit::{Other, other};
use super::*;

const DESKTOP: &str = ":1.5";
const STRANGER: &str = ":1.9";

fn notice() -> Notice {
    Notice {
        title: "title".to_owned(),
        body: "a <b> & c".to_owned(),
        urgency: Urgency::Normal,
        category: "x-valetkey.question".to_owned(),
        life_ms: Some(1000),
        buttons: vec![Button::Inbox],
    }
}

/// A desktop with one notification on it, which has the number 7.
fn with_one() -> (Desktop, Other) {
    let (bus, mut other) = other();
    let mut desktop = Desktop::begin(bus).expect("begin");
    // Hello, two rules, owner, abilities.
    other.answer(1, BUS.name, &":1.1");
    other.answer(4, BUS.name, &DESKTOP);
    desktop.listen().expect("listen");
    assert_eq!(desktop.heard(), [Heard::Ready]);
    other.answer(5, DESKTOP, &vec!["actions", "body-markup"]);
    desktop.order(Order::Show(Key(1), notice())).expect("show");
    desktop.listen().expect("listen");
    assert!(other.sent().contains("a &lt;b&gt; &amp; c"));
    other.answer(6, DESKTOP, &7_u32);
    desktop.listen().expect("listen");
    assert_eq!(desktop.wanted[&Key(1)].at, Stage::Shown(7));
    (desktop, other)
}

#[test]
fn only_the_owner_of_the_name_is_heard_and_only_of_what_is_there() {
    let (mut desktop, mut other) = with_one();
    let place = (NOTIFICATIONS.path, NOTIFICATIONS.interface);
    other.signal(STRANGER, place, "ActionInvoked", &(7_u32, "inbox"));
    other.signal(STRANGER, place, "NotificationClosed", &(7_u32, 2_u32));
    other.signal(
        DESKTOP,
        ("/other", NOTIFICATIONS.interface),
        "ActionInvoked",
        &(7_u32, "inbox"),
    );
    other.signal(
        DESKTOP,
        (NOTIFICATIONS.path, "org.example.Other"),
        "ActionInvoked",
        &(7_u32, "inbox"),
    );
    // Numbers, buttons and types that are not there.
    other.signal(DESKTOP, place, "ActionInvoked", &(8_u32, "inbox"));
    other.signal(DESKTOP, place, "ActionInvoked", &(7_u32, "approve"));
    other.signal(DESKTOP, place, "ActionInvoked", &(7_u32, "deny"));
    other.signal(DESKTOP, place, "ActionInvoked", &("7", "inbox"));
    other.signal(DESKTOP, place, "NotificationClosed", &7_u32);
    // Somebody who says that the name is theirs now; the bus alone says that.
    let owned = (NOTIFICATIONS.name, DESKTOP, STRANGER);
    other.signal(
        STRANGER,
        (BUS.path, BUS.interface),
        "NameOwnerChanged",
        &owned,
    );
    desktop.listen().expect("listen");
    assert_eq!(desktop.heard(), []);
    other.signal(DESKTOP, place, "ActionInvoked", &(7_u32, "default"));
    desktop.listen().expect("listen");
    assert_eq!(desktop.heard(), [Heard::Pressed(Key(1), Button::Inbox)]);
    other.signal(DESKTOP, place, "NotificationClosed", &(7_u32, 2_u32));
    desktop.listen().expect("listen");
    assert_eq!(desktop.heard(), [Heard::Gone(Key(1))]);
}

#[test]
fn an_answer_of_another_is_none() {
    let (mut desktop, mut other) = with_one();
    desktop.order(Order::Show(Key(2), notice())).expect("show");
    other.answer(7, STRANGER, &9_u32);
    desktop.listen().expect("listen");
    assert_eq!(desktop.wanted[&Key(2)].at, Stage::Told);
    // Closed before its number is known: it goes as soon as it is.
    desktop.order(Order::Close(Key(2))).expect("close");
    other.answer(7, DESKTOP, &9_u32);
    desktop.listen().expect("listen");
    assert!(!desktop.wanted.contains_key(&Key(2)));
    assert!(other.sent().contains("CloseNotification"));
}

#[test]
fn what_the_old_daemon_showed_is_told_to_the_new_one() {
    let (mut desktop, mut other) = with_one();
    let place = (BUS.path, BUS.interface);
    other.signal(
        BUS.name,
        place,
        "NameOwnerChanged",
        &(NOTIFICATIONS.name, DESKTOP, ""),
    );
    desktop.listen().expect("listen");
    assert_eq!(desktop.wanted[&Key(1)].at, Stage::Untold);
    other.signal(
        BUS.name,
        place,
        "NameOwnerChanged",
        &(NOTIFICATIONS.name, "", STRANGER),
    );
    desktop.listen().expect("listen");
    // It is the desktop now; the old one is nobody.
    other.answer(7, STRANGER, &Vec::<&str>::new());
    desktop.listen().expect("listen");
    other.answer(8, DESKTOP, &7_u32);
    desktop.listen().expect("listen");
    assert_eq!(desktop.wanted[&Key(1)].at, Stage::Told);
    // Without markup, text goes as it is.
    assert!(other.sent().contains("a <b> & c"));
    other.answer(8, STRANGER, &3_u32);
    desktop.listen().expect("listen");
    assert_eq!(desktop.wanted[&Key(1)].at, Stage::Shown(3));
}

#[test]
fn a_daemon_that_does_not_answer_holds_nothing_up() {
    let (mut desktop, mut other) = with_one();
    desktop.order(Order::Show(Key(2), notice())).expect("show");
    let late = Instant::now() + PATIENCE + PATIENCE;
    desktop.give_up_on_the_late(late).expect("look");
    assert_eq!(desktop.wanted[&Key(2)].at, Stage::Untold);
    assert!(!desktop.is_waiting());
    // An answer after all, to a question that is none any more.
    other.answer(7, DESKTOP, &9_u32);
    other.stream.write_all(b"").expect("write");
    desktop.listen().expect("listen");
    assert_eq!(desktop.wanted[&Key(2)].at, Stage::Untold);
}
