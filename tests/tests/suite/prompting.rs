//! What a person is shown before they answer, and what their answer must have.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use valetkey_tests::{Home, id};

use super::needs_cells;

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(20);

/// The built-in policy with other words about approvals.
fn policy(home: &Home, from: &str, to: &str) -> PathBuf {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/base/base.rego");
    let text = fs::read_to_string(base).expect("the built-in policy");
    let changed = text.replace(from, to);
    assert_ne!(text, changed);
    fs::create_dir_all(home.outside("policy")).expect("make");
    fs::write(home.outside("policy/base.rego"), changed).expect("write");
    home.outside("policy")
}

#[test]
fn a_hostile_name_is_shown_for_what_it_is() {
    needs_cells!();
    let home = Home::new();
    // A Cyrillic letter for a Latin one, an escape sequence that clears the screen, and a character that turns the end around.
    let name = "p\u{430}y\x1b[2J\u{202e}txt.exe";
    home.write(name, "x\n");
    let session = home.run(&NONE, &["cat", name]).start();
    let question = home.wait_for_question("txt.exe");
    let listed = home.valetkey(["requests"]).done().ok().text();
    let answered = home.deny(&question).text();
    for text in [&listed, &answered] {
        assert!(
            text.contains("read the file \"p<U+0430>y<U+001B>[2J<U+202E>txt.exe\""),
            "{text}"
        );
        assert!(text.contains("WARNING"), "{text}");
        assert!(text.contains("risk         elevated"), "{text}");
        assert!(
            !text.contains(['\x1b', '\u{202e}', '\u{430}']),
            "{}",
            text.escape_unicode()
        );
    }
    assert!(session.finish(SOON).text().is_empty());
}

#[test]
fn an_approval_without_its_ticket_does_not_count() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "the notes\n");
    let policy = policy(
        &home,
        "\"justification\": false",
        "\"justification\": {\"min_length\": 10, \"ticket\": \"^[A-Z]{2,10}-[0-9]+$\"}",
    );
    let session = home
        .run(
            &[OsStr::new("--policy"), policy.as_os_str()],
            &["cat", "notes.txt"],
        )
        .start();
    let question = home.wait_for_question("/notes.txt");
    let approve = |because: Option<&str>| {
        let mut args = vec!["approve", id(&question)];
        args.extend(because.iter().flat_map(|text| ["--because", text]));
        home.valetkey(args).done()
    };
    drop(approve(None).expect(1).says("needs a reason"));
    drop(approve(Some("ABC-1")).expect(1).says("at least 10 letters"));
    drop(
        approve(Some("because it is due today"))
            .expect(1)
            .says("a ticket of the form"),
    );
    assert!(home.events("approval.given").is_empty());
    drop(approve(Some("ABC-12: it is due today")).ok());
    assert_eq!(session.finish(SOON).text(), "the notes\n");
}

#[test]
fn where_two_people_are_wanted_the_requester_is_neither() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "the notes\n");
    let policy = policy(&home, "\"count\": 1", "\"count\": 2");
    let session = home
        .run(
            &[OsStr::new("--policy"), policy.as_os_str()],
            &["cat", "notes.txt"],
        )
        .start();
    let question = home.wait_for_question("/notes.txt");
    let refused = home.valetkey(["approve", id(&question)]).done().expect(1);
    drop(refused.says("policy wants another to approve"));
    assert!(home.events("approval.given").is_empty());
    drop(home.deny(&question));
    assert!(session.finish(SOON).text().is_empty());
    assert!(
        home.events("capability.minted")
            .iter()
            .all(|event| event["request_id"] != id(&question))
    );
}
