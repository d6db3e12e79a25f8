//! One single-use capability, used by 64 clients a hundred thousand times, its broker killed and started again in between: one success.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use valetkey_tests::{Call, Guard, Home, Started, hostile_program, is_root, skipped, until};

const SOON: Duration = Duration::from_secs(20);
const CLIENTS: usize = 64;
const USES: usize = 100_000;
/// Requests that a client sends ahead: they reach the broker back to back.
const AHEAD: usize = 25;
/// Lives of the broker.
const LIVES: usize = 5;

/// What became of all uses.
#[derive(Debug, Default)]
struct Counts {
    done: AtomicUsize,
    refused: AtomicUsize,
    unknown: AtomicUsize,
    lost: AtomicUsize,
}

impl Counts {
    fn answered(&self) -> usize {
        [&self.done, &self.refused, &self.unknown]
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .sum()
    }

    fn count(&self, status: Option<u16>) {
        let own = match status {
            Some(200) => &self.done,
            Some(403) => &self.refused,
            // The session is not of this process, or not of this life.
            Some(404) => &self.unknown,
            None => &self.lost,
            Some(other) => panic!("status {other}"),
        };
        own.fetch_add(1, Ordering::SeqCst);
    }
}

/// Uses the capability over and over in one session, until `until` have been answered to all.
fn replay(guard: &Guard, capability: &str, counts: &Counts, until: usize) {
    let body = json!({"session": guard.session, "operation": "replay"}).to_string();
    let one = format!(
        "POST /v1/capabilities/{capability}/use HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let lost_before = counts.lost.load(Ordering::SeqCst);
    let mut peer = guard.again().peer;
    while counts.answered() < until {
        // What the broker took before it was killed may still be answered.
        let sent = peer.send(one.repeat(AHEAD).as_bytes());
        for _ in 0..AHEAD {
            counts.count(peer.answer().map(|answer| answer.status));
        }
        if sent.is_err() || counts.lost.load(Ordering::SeqCst) > lost_before {
            // This life of the broker is over.
            break;
        }
    }
}

#[test]
fn of_a_hundred_thousand_uses_of_one_capability_one_succeeds() {
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    let counts = Arc::new(Counts::default());
    let begun = Instant::now();
    let mut broker = home.start_broker();
    let mut guard = Guard::open(&home);
    let capability = guard.ask(&json!({"single_use": true}));
    let old_session = guard.session.clone();
    for life in 1..=LIVES {
        let until_sent = USES * life / LIVES;
        let all_ready = Barrier::new(CLIENTS + 1);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                // In later lives some name the session that was, some the one that is.
                let mut own = guard.again();
                if client % 2 == 0 {
                    own.session.clone_from(&old_session);
                }
                let (counts, capability, all_ready) = (&counts, &capability, &all_ready);
                scope.spawn(move || {
                    all_ready.wait();
                    replay(&own, capability, counts, until_sent);
                });
            }
            all_ready.wait();
            // Killed in the middle of it, but not before the one success was told.
            let middle = until_sent - USES / LIVES / 2;
            until("half of this life's uses", SOON * 3, || {
                let enough = counts.answered() >= middle;
                (enough && counts.done.load(Ordering::SeqCst) == 1).then_some(())
            });
            broker = killed_and_started(&home, &broker);
        });
        guard = Guard::open(&home);
        rest(&guard, &capability, &counts, until_sent);
    }
    let sum = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    println!(
        "{CLIENTS} clients, {LIVES} kills, {:?}: {counts:?}",
        begun.elapsed()
    );
    assert_eq!(sum(&counts.done), 1, "{counts:?}");
    assert!(counts.answered() >= USES, "{counts:?}");
    // A new one is as good as ever, once.
    let next = guard.ask(&json!({"single_use": true}));
    assert_eq!(guard.use_up(&next).expect("an answer").status, 200);
    assert_eq!(guard.use_up(&next).expect("an answer").status, 403);
    let used = home.events("capability.used");
    let of_it = |event: &&serde_json::Value| event["capability_id"] == *capability;
    assert_eq!(used.iter().filter(of_it).count(), 1, "{used:?}");
    home.verify();
}

/// What the kill left of this life's uses, in the next one.
fn rest(guard: &Guard, capability: &str, counts: &Counts, until: usize) {
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| replay(guard, capability, counts, until));
        }
    });
}

fn killed_and_started(home: &Home, broker: &Started) -> Started {
    broker.signal(Signal::KILL);
    let mut started = None;
    until("the next broker starts", SOON, || {
        // The lock is free when the killed one is gone.
        started = home.try_start_broker();
        started.is_some().then_some(())
    });
    started.expect("a broker")
}

#[test]
fn what_was_given_back_or_used_up_is_not_told_again() {
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    let _broker = home.start_broker();
    let mut guard = Guard::open(&home);
    home.write("letter.txt", "a letter\n");
    let ask = json!({
        "session": guard.session, "actions": ["read"], "may_ask": true, "constraints": {},
        "resource": format!("file:{}", home.path("letter.txt").display()),
    });
    let asked = guard.peer.post("/v1/requests", &ask).expect("an answer");
    let id = asked.body["request_id"].as_str().expect("an id").to_owned();
    home.wait_for_question("letter.txt");
    let _approved = home.valetkey(["approve", &id]).done().ok();
    let state = format!("/v1/sessions/{}/requests/{id}", guard.session);
    let mut look = |wait| {
        let call = format!("GET {state}?wait={wait} HTTP/1.1\r\nhost: a\r\n\r\n");
        guard.peer.send(call.as_bytes()).expect("sent");
        guard.peer.answer().expect("an answer")
    };
    let told = look(20);
    assert_eq!(told.body["state"], "granted", "{told:?}");
    assert_eq!(look(0).body["state"], "granted", "as long as it is live");
    let capability = &told.body["granted"]["capability"]["capability_id"];
    let capability = capability.as_str().expect("an id").to_owned();
    guard.release(&capability);
    let call = format!("GET {state} HTTP/1.1\r\nhost: a\r\n\r\n");
    guard.peer.send(call.as_bytes()).expect("sent");
    let after = guard.peer.answer().expect("an answer");
    assert_eq!(after.status, 403, "{after:?}");
    assert!(!after.body.to_string().contains("token"), "{after:?}");
}

#[test]
fn a_capability_does_not_outlive_the_broker_that_gave_it() {
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    let broker = home.start_broker();
    let mut guard = Guard::open(&home);
    let unused = guard.ask(&json!({"single_use": true}));
    let plain = guard.ask(&json!({}));
    let old = guard.session.clone();
    let _broker = killed_and_started(&home, &broker);
    // The same process opens a session again: what the old one held is dead in both.
    let mut guard = Guard::open(&home);
    for session in [old, guard.session.clone()] {
        guard.session = session;
        for capability in [&unused, &plain] {
            let answer = guard.use_up(capability).expect("an answer");
            assert!(matches!(answer.status, 403 | 404), "{answer:?}");
        }
    }
    assert_eq!(home.status().expect("a broker")["sessions"], 1);
    assert!(home.events("capability.used").is_empty());
}

#[test]
fn a_session_is_of_no_use_to_another_process() {
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    let _broker = home.start_broker();
    let mut guard = Guard::open(&home);
    let capability = guard.ask(&json!({}));
    // The same requests from another process, that knows every id.
    let usage = json!({"session": guard.session, "operation": "theft"});
    let session = json!({"session": guard.session});
    let close = json!({"exit_status": 0});
    let requests = [
        (format!("/v1/capabilities/{capability}/use"), usage, ""),
        (
            format!("/v1/capabilities/{capability}/release"),
            session,
            "",
        ),
        (
            format!("/v1/sessions/{}/close", guard.session),
            close,
            "connection: close\r\n",
        ),
    ];
    let said: String = requests
        .iter()
        .map(|(path, body, last)| {
            let (body, host) = (body.to_string(), "host: a");
            let length = body.len();
            format!(
                "POST {path} HTTP/1.1\r\n{host}\r\n{last}content-length: {length}\r\n\r\n{body}"
            )
        })
        .collect();
    let answers = Call::new(home.command(hostile_program()))
        .arg(home.door("guard"))
        .args(["say", "1", "1"])
        .input(said)
        .done()
        .ok()
        .text();
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 3, "{answers}");
    assert_eq!(guard.use_up(&capability).expect("an answer").status, 200);
}

#[test]
fn a_dead_guards_number_and_connection_give_nobody_its_session() {
    if !is_root() {
        skipped(
            "a_dead_guards_number",
            "choosing a process number takes root",
        );
        return;
    }
    let home = Home::new();
    let script = "\"$1\" & until [ -S \"$2\" ]; do sleep 0.05; done; sleep 0.2; \"$3\" \"$2\" pid-reuse 1 1 < /dev/null";
    let mut call = home.command("unshare");
    call.args(["-pf", "--mount-proc", "sh", "-c", script, "sh"])
        .arg(home.program("valetkeyd"))
        .arg(home.door("guard"))
        .arg(hostile_program());
    let text = Call::new(call).done().ok().text();
    // Another process with the number: no such session. The dead one's connection: it has ended.
    assert!(text.contains("same 404\n"), "{text}");
    assert!(text.contains("heir 403\n"), "{text}");
}
