//! Which messages pass, of a client that tries everything.

use super::*;
use crate::message::Order;

/// Gives `Notify` of one service, and nothing else.
#[derive(Debug)]
struct One;

impl Gate for One {
    fn call(
        &self,
        method: &BusResource,
        _bytes: u64,
        _still_wanted: &dyn Fn() -> bool,
    ) -> Result<(), String> {
        let given: Resource = "bus:org.x.Notes/Notify".parse().expect("a resource");
        let is_given = given.covers(&Resource::Bus(method.clone()));
        is_given
            .then_some(())
            .ok_or_else(|| "not granted".to_owned())
    }

    fn knows(&self, service: &str) -> bool {
        service == "org.x.Notes"
    }
}

fn call(destination: &str, interface: &str, member: &str) -> Message {
    Message {
        order: Order::Little,
        kind: Kind::Call,
        flags: 0,
        serial: 1,
        path: Some("/".to_owned()),
        interface: Some(interface.to_owned()).filter(|text| !text.is_empty()),
        member: Some(member.to_owned()),
        error: None,
        reply_to: None,
        destination: Some(destination.to_owned()),
        sender: None,
        signature: String::new(),
        body: Vec::new(),
    }
}

fn passes(client: &Client, message: Message) -> Option<Message> {
    match client.judge(message, &One, &|| true) {
        Fate::Passes(message) => Some(message),
        Fate::Answered(_) | Fate::Dropped => None,
    }
}

fn greeted() -> Client {
    let client = Client::default();
    assert!(passes(&client, call(BUS, BUS, "Hello")).is_some());
    let answer = Message {
        kind: Kind::Return,
        reply_to: Some(1),
        ..call("", "", "x")
    };
    assert!(client.awaits(&answer));
    client
}

#[test]
fn what_was_given_passes_and_nothing_beside_it() {
    let client = greeted();
    assert!(passes(&client, call("org.x.Notes", "org.x.Any", "Notify")).is_some());
    let client = greeted();
    assert!(passes(&client, call("org.x.Notes", "", "Notify")).is_some());
    for (destination, interface, member) in [
        ("org.x.Notes", "org.x.Any", "Other"),
        ("org.x.Notes", "org.freedesktop.DBus.Properties", "Get"),
        ("org.x.Notes.Other", "", "Notify"),
        (
            "org.freedesktop.systemd1",
            "org.freedesktop.systemd1.Manager",
            "StartTransientUnit",
        ),
        ("org.freedesktop.secrets", "", "Notify"),
        (":1.5", "", "Notify"),
        ("org.x.Notes/x", "", "Notify"),
        ("", "", "Notify"),
    ] {
        assert!(
            passes(&greeted(), call(destination, interface, member)).is_none(),
            "{destination} {interface} {member}"
        );
    }
    let nowhere = Message {
        destination: None,
        ..call("", "", "Notify")
    };
    assert!(passes(&greeted(), nowhere).is_none());
}

#[test]
fn the_bus_itself_tells_of_nobody_and_gives_no_name() {
    for member in [
        "RequestName",
        "ReleaseName",
        "ListNames",
        "ListActivatableNames",
        "ListQueuedOwners",
        "GetConnectionCredentials",
        "GetConnectionUnixUser",
        "GetConnectionUnixProcessID",
        "GetConnectionSELinuxSecurityContext",
        "GetAdtAuditSessionData",
        "UpdateActivationEnvironment",
        "ReloadConfig",
        "GetId",
        "Hello",
    ] {
        assert!(
            passes(&greeted(), call(BUS, BUS, member)).is_none(),
            "{member}"
        );
    }
    for (interface, member) in [
        ("org.freedesktop.DBus.Monitoring", "BecomeMonitor"),
        ("org.freedesktop.DBus.Debug.Stats", "GetAllMatchRules"),
        ("org.freedesktop.DBus.Properties", "GetAll"),
        ("org.freedesktop.DBus.Introspectable", "Introspect"),
    ] {
        assert!(
            passes(&greeted(), call(BUS, interface, member)).is_none(),
            "{member}"
        );
    }
    for (name, asked) in [
        ("org.x.Notes", true),
        ("org.freedesktop.secrets", false),
        (":1.0", false),
    ] {
        for member in ["GetNameOwner", "NameHasOwner", "StartServiceByName"] {
            let mut message = call(BUS, BUS, member);
            (message.signature, message.body) = ("s".to_owned(), text_body(Order::Little, name));
            assert_eq!(
                passes(&greeted(), message).is_some(),
                asked,
                "{member} {name}"
            );
        }
    }
}

#[test]
fn signals_and_answers_go_nowhere_from_a_cell() {
    for kind in [Kind::Signal, Kind::Return, Kind::Error] {
        let message = Message {
            kind,
            reply_to: Some(9),
            ..call("org.x.Notes", "org.x.Any", "Notify")
        };
        assert!(matches!(
            greeted().judge(message, &One, &|| true),
            Fate::Dropped
        ));
    }
}

#[test]
fn a_service_that_was_named_by_its_owner_is_called_by_its_name() {
    let client = greeted();
    let mut asks = call(BUS, BUS, "GetNameOwner");
    (asks.serial, asks.signature, asks.body) =
        (2, "s".to_owned(), text_body(Order::Little, "org.x.Notes"));
    assert!(passes(&client, asks).is_some());
    let mut told = Message {
        kind: Kind::Return,
        reply_to: Some(2),
        ..call("", "", "x")
    };
    (told.signature, told.body) = ("s".to_owned(), text_body(Order::Little, ":1.7"));
    assert!(client.awaits(&told));
    let passed = passes(
        &client,
        Message {
            serial: 3,
            ..call(":1.7", "org.x.Any", "Notify")
        },
    )
    .expect("it is given");
    assert_eq!(passed.destination.as_deref(), Some("org.x.Notes"));
    assert!(
        passes(
            &client,
            Message {
                serial: 4,
                ..call(":1.7", "org.x.Any", "Other")
            }
        )
        .is_none()
    );
}

#[test]
fn only_answers_that_are_waited_for_come_in_and_each_once() {
    let client = greeted();
    assert!(
        passes(
            &client,
            Message {
                serial: 5,
                ..call("org.x.Notes", "", "Notify")
            }
        )
        .is_some()
    );
    let answer = |kind, serial| Message {
        kind,
        reply_to: Some(serial),
        ..call("", "", "x")
    };
    for (kind, serial) in [(Kind::Return, 4), (Kind::Signal, 5), (Kind::Call, 5)] {
        assert!(!client.awaits(&answer(kind, serial)));
    }
    assert!(client.awaits(&answer(Kind::Return, 5)));
    assert!(!client.awaits(&answer(Kind::Return, 5)));
}

#[test]
fn what_the_client_says_of_itself_is_not_passed_on() {
    let client = greeted();
    let message = Message {
        serial: 8,
        flags: !NO_REPLY,
        sender: Some("org.freedesktop.DBus".to_owned()),
        reply_to: Some(3),
        error: Some("org.x.E".to_owned()),
        ..call("org.x.Notes", "", "Notify")
    };
    let passed = passes(&client, message).expect("it is given");
    assert_eq!(
        (passed.sender, passed.reply_to, passed.error, passed.flags),
        (None, None, None, NO_START)
    );
    let again = Message {
        serial: 8,
        ..call("org.x.Notes", "", "Notify")
    };
    assert!(
        passes(&client, again).is_none(),
        "a number that waits already"
    );
}
