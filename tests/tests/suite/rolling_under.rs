//! A policy that comes into force under questions that are open: they were asked by one that decides no more.

use std::time::Duration;

use valetkey_tests::{Home, id};

use super::needs_cells;
use super::rolling_out::{call, install, policy};

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_yes_to_what_an_earlier_policy_asked_gives_nothing() {
    needs_cells!();
    let home = Home::new();
    drop(home.write("notes.txt", "the notes\n"));
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    drop(install(&home, "1", &policy("one")).ok());
    drop(call(&home, &["activate", "1"]).ok());
    let answered = home.valetkey(["approve", id(&question)]).done();
    assert_ne!(answered.code(), 0, "{}", answered.text());
    let ended = session.finish(SOON);
    assert!(!ended.text().contains("the notes"), "{}", ended.text());
    let of_it = |event: &serde_json::Value| {
        event["resource"]
            .as_str()
            .is_some_and(|text| text.ends_with("/notes.txt"))
            && event["action"].to_string().contains("read")
    };
    assert!(!home.events("capability.minted").iter().any(of_it));
    home.verify();
}
