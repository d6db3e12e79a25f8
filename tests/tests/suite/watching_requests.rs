//! Waiting for questions at the operator door: told at once, told of nothing else, never told less than all.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

fn percentile(times: &mut [u64], of_hundred: usize) -> u64 {
    times.sort_unstable();
    times[(times.len() * of_hundred / 100).min(times.len() - 1)]
}

/// Milliseconds of the day of a time in an event.
fn millis(time: &Value) -> u64 {
    let text = time.as_str().expect("a time");
    let part = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("a number");
    ((part(11..13) * 60 + part(14..16)) * 60 + part(17..19)) * 1000 + part(20..23)
}

#[test]
fn a_question_is_seen_and_its_answer_felt_without_delay() {
    needs_cells!();
    const ROUNDS: usize = 20;
    let home = Home::new();
    for number in 0..ROUNDS {
        home.write(&format!("d{number}/x.txt"), "x\n");
    }
    let _broker = home.start_broker();
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    let mut after = last(&changes(&mut peer, 0, 1));
    let script = format!("for n in $(seq 0 {}); do cat d$n/x.txt; done", ROUNDS - 1);
    let session = home.run(&NONE, &["sh", "-c", &script]).start();
    let mut seen = Vec::new();
    while seen.len() < ROUNDS {
        let news = changes(&mut peer, after, 15);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time");
        after = last(&news);
        if let Some(question) = news["questions"].as_array().and_then(|all| all.first()) {
            let day = u64::try_from(now.as_millis() % 86_400_000).expect("a number");
            seen.push((id(question).to_owned(), day));
            drop(home.approve(question));
        }
    }
    assert_eq!(session.finish(SOON).text(), "x\n".repeat(ROUNDS));
    let events = home.trail();
    let at = |kind: &str, fits: &dyn Fn(&Value) -> bool| {
        let event = events
            .iter()
            .find(|event| event["type"] == kind && fits(event));
        millis(&event.expect(kind)["timestamp"])
    };
    let (mut prompt, mut felt) = (Vec::new(), Vec::new());
    for (request, day) in &seen {
        let of_it = |event: &Value| event["request_id"] == request.as_str();
        prompt.push(day.saturating_sub(at("request.decided", &of_it)));
        let minted = events
            .iter()
            .find(|event| event["type"] == "capability.minted" && of_it(event));
        let held = minted.expect("a mint")["capability_id"].clone();
        let used = at("operation.performed", &|event| {
            event["capability_id"] == held
        });
        felt.push(used.saturating_sub(at("approval.given", &of_it)));
    }
    println!(
        "request to prompt: p50 {} ms, p95 {} ms; approval to first use: p50 {} ms, p95 {} ms",
        percentile(&mut prompt, 50),
        percentile(&mut prompt, 95),
        percentile(&mut felt, 50),
        percentile(&mut felt, 95)
    );
    // A bound that only something broken misses, on a machine as busy as it may be.
    assert!(percentile(&mut prompt, 50) < 5000 && percentile(&mut felt, 50) < 5000);
}
