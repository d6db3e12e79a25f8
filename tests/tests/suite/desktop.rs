//! Desktop notifications: a real daemon under a real X server, on a session bus with others on it.

use std::fs;
use std::time::Duration;

use valetkey_tests::{Desktop, Home, id, no_bus, said, until};

use super::needs_cells;

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(60);

/// Ends a test that needs a desktop, loudly, where none can be had.
macro_rules! needs_desktop {
    () => {
        needs_cells!();
        if let Some(why) = valetkey_tests::cannot_have_desktop() {
            let test = std::thread::current();
            valetkey_tests::skipped(test.name().unwrap_or(module_path!()), &why);
            return;
        }
    };
}

#[test]
fn a_question_is_shown_and_goes_when_it_is_answered_elsewhere() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::start());
    home.write("notes.txt", "the notes\n");
    let notifier = desktop.notifier(&home);
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    desktop.wait_for(1);
    drop(home.approve(&question));
    assert_eq!(session.finish(SOON).text(), "the notes\n");
    let record = desktop.wait_for_history("wants to read a file");
    let body = said(&record, "body");
    assert!(body.contains("Allows it to read the file"), "{record}");
    assert!(body.contains("notes.txt"), "{record}");
    assert!(body.contains("Risk: low"), "{record}");
    assert_eq!(said(&record, "category"), "x-valetkey.question");
    assert_eq!(said(&record, "appname"), "Valetkey");
    drop(notifier);
    home.verify();
}

#[test]
fn a_press_opens_the_inbox_on_the_question_and_answers_nothing() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::start());
    home.write("notes.txt", "the notes\n");
    let _notifier = desktop.notifier(&home);
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    desktop.wait_for(1);
    desktop.press();
    let opened = until("an inbox", SOON, || desktop.opened(&home).first().cloned());
    assert!(
        opened.ends_with(&format!("valetkey requests --watch {}", id(&question))),
        "{opened}"
    );
    assert!(home.events("approval.given").is_empty());
    assert_eq!(home.questions().len(), 1);
    drop(home.deny(&question));
    assert!(session.finish(SOON).text().is_empty());
}

#[test]
fn deny_refuses_with_the_persons_key_and_opens_the_inbox_without() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::start());
    home.write("notes.txt", "the notes\n");
    let _notifier = desktop.notifier(&home);
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    drop(home.wait_for_question("/notes.txt"));
    desktop.wait_for(1);
    desktop.pick("Deny");
    assert!(session.finish(SOON).text().is_empty());
    desktop.wait_for(0);
    assert!(home.questions().is_empty());
    assert_eq!(desktop.opened(&home), NONE);
    let refused = home.wait_for_event("approval.refused", |_| true);
    assert_eq!(refused["attributes"]["method"], "desktop", "{refused}");
    // With a key that cannot be used, the press answers nothing.
    fs::rename(home.key_file(), home.outside("key")).expect("take the key away");
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    desktop.wait_for(1);
    desktop.pick("Deny");
    let opened = until("an inbox", SOON, || desktop.opened(&home).first().cloned());
    assert!(
        opened.ends_with(&format!("--watch {}", id(&question))),
        "{opened}"
    );
    assert_eq!(home.questions().len(), 1);
    fs::rename(home.outside("key"), home.key_file()).expect("give the key back");
    drop(home.deny(&question));
    assert!(session.finish(SOON).text().is_empty());
}

#[test]
fn emergencies_and_lockouts_are_critical_and_a_review_stays() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::start());
    let figures = home.write("accounts/q3.txt", "the figures\n");
    for number in 0..3 {
        home.write(&format!("notes-{number}.txt"), "the notes\n");
    }
    let notifier = desktop.notifier(&home);
    let session = home
        .run(
            &NONE,
            &[
                "sh",
                "-c",
                "for n in 0 1 2; do cat notes-$n.txt; done; sleep 600",
            ],
        )
        .start();
    for number in 0..3 {
        drop(home.deny(&home.wait_for_question(&format!("/notes-{number}.txt"))));
    }
    desktop.wait_for(1);
    desktop.close();
    let record = desktop.wait_for_history("An agent was locked out");
    assert_eq!(said(&record, "category"), "x-valetkey.alert");
    let event = home.wait_for_event("session.opened", |_| true);
    let id = event["session"].as_str().expect("an id").to_owned();
    let scope = format!("{}=read", figures.display());
    let args = [
        "break-glass",
        "--session",
        &id,
        "--because",
        "the close run is stuck on a lock",
        "--ticket",
        "INC-7",
        &scope,
    ];
    drop(home.valetkey(args).done().ok());
    // The emergency, its review, and what was given.
    desktop.wait_for(3);
    for _ in 0..3 {
        desktop.close();
    }
    let record = desktop.wait_for_history("Emergency access was taken");
    assert!(
        said(&record, "body").contains("the close run is stuck on a lock"),
        "{record}"
    );
    // One that begins now shows what is still open, and no alert of before.
    drop(notifier);
    let _notifier = desktop.notifier(&home);
    desktop.wait_for(1);
    desktop.close();
    let record = desktop.wait_for_history("An emergency waits for its review");
    assert_eq!(said(&record, "category"), "x-valetkey.review");
    drop(session);
}

#[test]
fn a_lease_is_told_of_and_ended_by_a_press() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::start());
    home.write("notes.txt", "the notes\n");
    let _notifier = desktop.notifier(&home);
    let mut session = home
        .run(&NONE, &["sh", "-c", "cat notes.txt; sleep 600"])
        .start();
    let question = home.wait_for_question("/notes.txt");
    desktop.wait_for(1);
    drop(home.approve(&question));
    session.wait_for("the notes", SOON);
    drop(desktop.wait_for_history("wants to read a file"));
    desktop.wait_for(1);
    desktop.pick("End it now");
    let revoked = home.wait_for_event("capability.revoked", |_| true);
    assert!(revoked.to_string().contains("cap-"), "{revoked}");
    desktop.wait_for(0);
    let record = desktop.wait_for_history("has access");
    assert!(said(&record, "body").contains("notes.txt"), "{record}");
    assert!(said(&record, "body").contains("Ends in "), "{record}");
}

#[test]
fn what_others_on_the_bus_say_of_a_notification_is_not_heard() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::start());
    home.write("notes.txt", "the notes\n");
    let _notifier = desktop.notifier(&home);
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    desktop.wait_for(1);
    let everyone = desktop.connections();
    for number in 0..4 {
        let number = format!("uint32:{number}");
        for action in ["approve", "deny", "inbox", "default", "end"] {
            let args = [number.as_str(), &format!("string:{action}")];
            desktop.signal(None, "ActionInvoked", &args);
        }
        // To each connection by its own name too, past what it asked the bus for.
        for to in &everyone {
            desktop.signal(Some(to), "ActionInvoked", &[number.as_str(), "string:deny"]);
            desktop.signal(
                Some(to),
                "NotificationClosed",
                &[number.as_str(), "uint32:2"],
            );
        }
    }
    // One press through the daemon comes after all of them, and is the first that is heard.
    desktop.press();
    until("an inbox", SOON, || desktop.opened(&home).first().cloned());
    assert_eq!(desktop.opened(&home).len(), 1);
    assert_eq!(home.questions().len(), 1);
    assert!(home.events("approval.given").is_empty());
    assert!(home.events("approval.refused").is_empty());
    drop(home.approve(&question));
    assert_eq!(session.finish(SOON).text(), "the notes\n");
}

#[test]
fn a_hostile_name_is_neither_markup_nor_a_line() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::start());
    let name = "x<b>bold<\u{2044}b>\nRisk: low & <a href='y'>z.txt";
    home.write(name, "x\n");
    let _notifier = desktop.notifier(&home);
    let session = home.run(&NONE, &["cat", name]).start();
    let question = home.wait_for_question("z.txt");
    desktop.wait_for(1);
    drop(home.deny(&question));
    assert!(session.finish(SOON).text().is_empty());
    let record = desktop.wait_for_history("wants to read a file");
    let body = said(&record, "body");
    assert!(
        body.contains("&lt;U+000A&gt;Risk: low &amp; &lt;a href="),
        "{record}"
    );
    assert!(!body.contains("<b>") && !body.contains("<a "), "{record}");
    assert!(body.contains("WARNING: "), "{record}");
    assert_eq!(
        body.lines()
            .filter(|line| line.starts_with("Risk: "))
            .count(),
        1,
        "{record}"
    );
}

#[test]
fn a_new_daemon_is_shown_what_still_waits() {
    needs_desktop!();
    let (home, mut desktop) = (Home::new(), Desktop::without_daemon());
    home.write("notes.txt", "the notes\n");
    let notifier = desktop.notifier(&home);
    until("a note", SOON, || {
        notifier
            .errors()
            .contains("shows notifications")
            .then_some(())
    });
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    for _ in 0..2 {
        desktop.start_daemon();
        desktop.wait_for(1);
        desktop.stop_daemon();
    }
    desktop.start_daemon();
    desktop.wait_for(1);
    drop(home.deny(&question));
    desktop.wait_for(0);
    assert!(session.finish(SOON).text().is_empty());
}

#[test]
fn notifications_go_with_the_broker_and_with_the_notifier() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::start());
    home.write("notes.txt", "the notes\n");
    let first = desktop.notifier(&home);
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    drop(home.wait_for_question("/notes.txt"));
    desktop.wait_for(1);
    // One for each home.
    let second = desktop.notifier_call(&home).done().expect(1);
    drop(second.says("shown already"));
    drop(first);
    desktop.wait_for(0);
    let _notifier = desktop.notifier(&home);
    desktop.wait_for(1);
    drop(home.valetkey(["stop"]).done().ok());
    desktop.wait_for(0);
    assert!(session.finish(SOON).text().is_empty());
    let again = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    desktop.wait_for(1);
    drop(home.deny(&question));
    assert!(again.finish(SOON).text().is_empty());
}

#[test]
fn without_a_session_bus_it_says_what_to_do() {
    let home = Home::new();
    let dir = home.dir();
    let call = |address: Option<String>| {
        let mut command = home.command(home.program("valetkey"));
        command.args(["requests", "--notify"]);
        command.envs(address.map(|address| ("DBUS_SESSION_BUS_ADDRESS", address)));
        valetkey_tests::Call::new(command).done().expect(1)
    };
    drop(
        call(None)
            .says("there is no session bus")
            .says("next: start it in a desktop session"),
    );
    drop(call(Some(no_bus(&dir))).says("cannot reach the session bus"));
    drop(call(Some("unixexec:path=/bin/sh".to_owned())).says("names no Unix socket"));
}

#[test]
fn a_cell_knows_no_session_bus_and_reaches_none() {
    needs_desktop!();
    let (home, desktop) = (Home::new(), Desktop::without_daemon());
    let script = format!(
        "echo \"[$DBUS_SESSION_BUS_ADDRESS$DISPLAY$XDG_RUNTIME_DIR]\"; python3 -c 'import socket, sys\ns = socket.socket(socket.AF_UNIX)\ntry:\n    s.connect(sys.argv[1])\n    print(\"reached\")\nexcept OSError:\n    print(\"not reached\")' {}",
        desktop.bus().display()
    );
    let told = |call: valetkey_tests::Call| {
        call.env("DBUS_SESSION_BUS_ADDRESS", desktop.address())
            .env("DISPLAY", ":99")
            .env("XDG_RUNTIME_DIR", "/run/user/0")
            .done()
            .ok()
            .text()
    };
    let person = home.person();
    let inside = told(home.in_workspace(&script));
    assert_eq!(inside, "[]\nnot reached\n");
    drop(person);
    // The check can fail: outside of a cell it does.
    let mut command = home.command("sh");
    command.args(["-c", &script]);
    let outside = told(valetkey_tests::Call::new(command));
    assert!(
        outside.ends_with("reached\n") && !outside.contains("not reached"),
        "{outside}"
    );
}
