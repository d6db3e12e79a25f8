//! What people approved before: a question says what is new in it, over restarts of the broker, and what is told is signed with it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use valetkey_tests::{Home, id};

use super::needs_cells;

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(20);

/// What is shown of the open question, which has these words.
#[track_caller]
fn shown(home: &Home, words: &str) -> String {
    let shown = home.valetkey(["requests"]).done().ok().text();
    assert!(shown.contains(words), "`{words}` is not in {shown}");
    shown
}

#[test]
fn a_question_says_what_is_new_against_earlier_approvals() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("notes/one.txt", "the notes\n");
    drop(home.write("notes/two.txt", "more notes\n"));
    drop(home.write("letters/one.txt", "a letter\n"));

    let first = home.run(&NONE, &["cat", "notes/one.txt"]).start();
    let question = home.wait_for_question("/notes/one.txt");
    assert_eq!(question["before"]["approvals"], 0);
    drop(shown(&home, "nothing was approved for this agent before"));
    drop(home.approve(&question));
    drop(first.finish(SOON).ok());

    // What is known outlives the broker.
    drop(home.valetkey(["stop"]).done().ok());
    fs::write(&notes, "other notes, and more of them\n").expect("edit");
    let second = home.run(&NONE, &["cat", "notes/one.txt"]).start();
    let question = home.wait_for_question("/notes/one.txt");
    assert_eq!(question["before"]["approvals"], 1);
    assert_eq!(question["before"]["actions"], json!(["read"]));
    assert_eq!(question["before"]["is_near"], true);
    assert_eq!(question["before"]["file"]["size"], 10);
    let text = shown(&home, "what is in it changed since it was last approved");
    assert!(!text.contains("WARNING"), "{text}");
    drop(home.approve(&question));
    drop(second.finish(SOON).ok());

    let beside = home.run(&NONE, &["cat", "letters/one.txt"]).start();
    let question = home.wait_for_question("/letters/one.txt");
    assert_eq!(question["before"]["is_near"], false);
    drop(shown(
        &home,
        "the first time outside of the folders approved before",
    ));
    // A no is no approval.
    drop(home.deny(&question));
    drop(beside.finish(SOON));
    let again = home.run(&NONE, &["cat", "letters/one.txt"]).start();
    let question = home.wait_for_question("/letters/one.txt");
    assert_eq!(question["before"]["approvals"], 2);
    assert_eq!(question["before"]["is_near"], false);
    drop(home.deny(&question));
    drop(again.finish(SOON));
}

#[test]
fn another_program_of_the_same_name_is_told() {
    needs_cells!();
    let home = Home::new();
    drop(home.write("notes.txt", "the notes\n"));
    let first = home.run(&NONE, &["cat", "notes.txt"]).start();
    drop(home.approve(&home.wait_for_question("/notes.txt")));
    drop(first.finish(SOON).ok());

    let other = home.bring(Path::new("/usr/bin/tac"), "work/cat");
    let work = home.path("work");
    let options = ["--workspace".as_ref(), work.as_os_str()];
    let command = [other.as_os_str(), "notes.txt".as_ref()];
    let second = home.run(&options, &command).start();
    let question = home.wait_for_question("/notes.txt");
    let before = &question["before"];
    assert_eq!(before["approvals"], 1, "{question}");
    assert!(before["other_program"].is_string(), "{question}");
    assert_ne!(before["other_program"], question["agent_digest"]);
    drop(shown(
        &home,
        "the agent's program is not the one of the last approval",
    ));
    drop(home.deny(&question));
    drop(second.finish(SOON));
    assert!(home.questions().is_empty(), "{}", id(&question));
}
