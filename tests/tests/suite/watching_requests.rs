//! Waiting for questions at the operator door: told at once, told of nothing else, never told less than all.

use std::time::{Duration, Instant};

use serde_json::Value;
use valetkey_tests::{Home, Peer, id};

use super::needs_cells;

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(20);

fn changes(peer: &mut Peer, after: u64, wait: u64) -> Value {
    let path = format!("/v1/requests?wait={wait}&after={after}");
    let answer = peer.get(&path).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn last(changes: &Value) -> u64 {
    changes["last"].as_u64().expect("a number")
}

#[test]
fn whoever_waits_is_told_of_a_question_and_of_its_end() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "the notes\n");
    let _broker = home.start_broker();
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    let first = changes(&mut peer, 0, 15);
    assert_eq!(first["questions"].as_array().map(Vec::len), Some(0));
    assert_eq!(first["alerts"].as_array().map(Vec::len), Some(0));
    // Nothing changes: the wait is as long as it was asked to be, and the number stays.
    let begun = Instant::now();
    let same = changes(&mut peer, last(&first), 1);
    assert!(begun.elapsed() >= Duration::from_millis(900));
    assert_eq!(last(&same), last(&first));
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let asked = changes(&mut peer, last(&first), 15);
    let question = &asked["questions"][0];
    assert!(last(&asked) > last(&first));
    assert_eq!(question["agent"], "cat");
    // Without a wait the answer is what it always was.
    let plain = peer.get("/v1/requests").expect("an answer").body;
    assert_eq!(plain, serde_json::json!({"questions": [question]}));
    let approved = home.valetkey(["approve", id(question)]).done().ok();
    drop(approved);
    let ended = changes(&mut peer, last(&asked), 15);
    assert!(last(&ended) > last(&asked));
    assert_eq!(ended["questions"].as_array().map(Vec::len), Some(0));
    assert_eq!(session.finish(SOON).text(), "the notes\n");
}
