//! What the program prints: JSON that parses, no escape codes where nobody sees colours, and help.

use std::time::Duration;

use valetkey_tests::{Home, Pty};

use super::needs_cells;

const NONE: [&str; 0] = [];

#[test]
fn every_listing_has_json_that_parses() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "notes\n");
    home.write("work/a.txt", "a\n");
    let work = home.path("work");
    let session = home
        .run(
            &["--workspace", work.to_str().expect("text")],
            &["sh", "-c", "cat work/a.txt; cat notes.txt"],
        )
        .start();
    let question = home.wait_for_question("/notes.txt");
    let requests = home.valetkey(["requests", "--json"]).done().ok().json();
    assert_eq!(requests[0]["request_id"], question["request_id"]);
    let caps = home.valetkey(["caps", "list", "--json"]).done().ok().json();
    let capability = caps[0]["capability_id"].as_str().expect("an id");
    for member in [
        "resource",
        "actions",
        "issued_to",
        "issued_by",
        "expires_at",
        "constraints",
        "session",
        "policy_id",
        "policy_digest",
    ] {
        assert!(!caps[0][member].is_null(), "{member} in {caps}");
    }
    let shown = home
        .valetkey(["caps", "show", capability])
        .done()
        .ok()
        .json();
    // Shown alone, it tells its children and how long it has left too.
    let mut shown = shown;
    let members = shown.as_object_mut().expect("an object");
    assert_eq!(members.remove("children"), Some(serde_json::json!([])));
    assert!(
        members
            .remove("remaining_seconds")
            .is_some_and(|left| left.is_u64())
    );
    assert_eq!(shown, caps[0]);
    drop(
        home.valetkey(["caps", "show", "cap-01K00000000000000000000000"])
            .done()
            .expect(1),
    );
    let status = home.valetkey(["status", "--json"]).done().ok().json();
    assert_eq!(
        (
            &status["sessions"],
            &status["questions"],
            &status["recording"]
        ),
        (&1.into(), &1.into(), &true.into())
    );
    let answer = home
        .valetkey([
            "approve",
            question["request_id"].as_str().expect("id"),
            "--json",
        ])
        .done()
        .ok()
        .json();
    assert_eq!(answer["outcome"], "approved");
    drop(session.finish(Duration::from_secs(10)).ok());
    let verdict = home
        .valetkey(["audit", "verify", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(verdict["verdict"], "intact");
    for (number, event) in home.trail().iter().enumerate() {
        assert_eq!(event["seq"], number);
        assert!(
            event["event_id"].is_string()
                && event["timestamp"].is_string()
                && event["type"].is_string()
        );
    }
    let event = home.trail()[3]["event_id"].as_str().expect("id").to_owned();
    let by_id = home.valetkey(["audit", "show", &event]).done().ok().json();
    let by_number = home.valetkey(["audit", "show", "3"]).done().ok().json();
    assert_eq!(by_id, by_number);
    assert!(by_id["leaf_hash"].is_string());
}

#[test]
fn there_are_no_escape_codes_without_a_terminal_or_with_no_color() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "notes\n");
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    drop(home.wait_for_question("/notes.txt"));
    for words in [
        vec!["requests"],
        vec!["status"],
        vec!["caps", "list"],
        vec!["audit", "tail"],
        vec!["audit", "verify"],
        vec!["--help"],
    ] {
        let plain = home.valetkey(&words).done().ok();
        assert!(
            !plain.out.contains(&0x1b) && !plain.err.contains(&0x1b),
            "{words:?}"
        );
        let on_terminal = |no_color: &str| {
            let mut command = home.command(home.program("valetkey"));
            command.args(&words).env("NO_COLOR", no_color);
            let mut pty = Pty::start(&command);
            let known = if words == ["--help"] { "Usage" } else { "\n" };
            pty.wait_for(known);
            std::thread::sleep(Duration::from_millis(50));
            pty.screen()
        };
        assert!(
            !on_terminal("1").contains('\x1b'),
            "{words:?} with NO_COLOR"
        );
    }
    let mut command = home.command(home.program("valetkey"));
    command.args(["audit", "tail"]);
    let mut pty = Pty::start(&command);
    pty.wait_for("session.opened");
    assert!(pty.screen().contains('\x1b'), "colour on a terminal");
    drop(session);
}

#[test]
fn without_a_broker_what_needs_one_is_status_six() {
    let home = Home::new();
    for words in [
        vec!["requests"],
        vec!["status"],
        vec!["caps", "list"],
        vec!["approve", "x"],
        vec!["deny", "x"],
        vec!["caps", "revoke", "cap-01K00000000000000000000000"],
    ] {
        let ended = home.valetkey(&words).done().expect(6);
        assert!(
            ended.errors().contains("next:"),
            "{words:?}: {}",
            ended.errors()
        );
        assert!(ended.out.is_empty());
    }
    // To stop what does not run is done already, twice too.
    drop(home.valetkey(["stop"]).done().ok());
    drop(home.valetkey(["stop"]).done().ok());
    for words in [
        vec!["audit", "tail"],
        vec!["audit", "verify"],
        vec!["audit", "show", "1"],
    ] {
        drop(
            home.valetkey(&words)
                .done()
                .expect(1)
                .says("there is no log"),
        );
    }
}

#[test]
fn stop_ends_the_broker_and_a_second_stop_is_no_error() {
    needs_cells!();
    let home = Home::new();
    drop(home.run(&NONE, &["true"]).done().ok());
    let broker = home.broker();
    drop(home.valetkey(["stop"]).done().ok());
    assert!(home.status().is_none());
    valetkey_tests::until("the process ends", Duration::from_secs(3), || {
        rustix::process::test_kill_process(broker)
            .is_err()
            .then_some(())
    });
    drop(home.valetkey(["stop"]).done().ok());
    home.verify();
    // The log is read without a broker, and the next one goes on with it.
    let events = home.trail().len();
    drop(home.run(&NONE, &["true"]).done().ok());
    assert!(home.trail().len() > events);
    home.verify();
}

#[test]
fn completions_and_help_are_printed() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = home.valetkey(["completions", shell]).done().ok();
        assert!(ended.text().contains("valetkey"), "{shell}");
    }
    let help = home.valetkey(["--help"]).done().ok();
    for word in [
        "demo",
        "run",
        "requests",
        "approve",
        "deny",
        "caps",
        "audit",
        "status",
        "stop",
        "Exit status",
    ] {
        assert!(help.text().contains(word), "{word}");
    }
    assert!(!help.text().contains("demo-agent"));
    drop(home.valetkey(["--version"]).done().ok());
}

#[test]
fn a_reader_of_a_listing_may_go_away() {
    needs_cells!();
    let home = Home::new();
    for _ in 0..3 {
        drop(home.run(&NONE, &["true"]).done().ok());
    }
    let mut command = home.command("sh");
    command
        .args([
            "-c",
            "for i in 1 2 3 4 5; do \"$0\" audit tail -n 100000 --json; done | head -c 10 | wc -c",
        ])
        .arg(home.program("valetkey"));
    let ended = valetkey_tests::Call::new(command).done().ok();
    assert_eq!(ended.text().trim(), "10");
    assert!(!ended.errors().contains("panicked"), "{}", ended.errors());
}
