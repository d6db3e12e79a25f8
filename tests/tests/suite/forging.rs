//! Forged answers, at the operator door itself, by somebody who knows every byte of the protocol: none counts, and what is recorded is what happened.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use valetkey_tests::{
    Answer, Guard, Home, Peer, Question, Signer, Started, asked_digest, give, id, post, until,
};

const SOON: Duration = Duration::from_secs(20);

/// A home with a broker, an approver, and a session of this process.
struct Place {
    home: Home,
    broker: Started,
    guard: Guard,
    owner: Signer,
}

impl Place {
    fn new() -> Self {
        let home = Home::new();
        let broker = home.start_broker();
        let guard = Guard::open(&home);
        let owner = Signer::owner(&home);
        Self {
            home,
            broker,
            guard,
            owner,
        }
    }

    /// Puts a question about reading a file of the home, with more in it.
    #[track_caller]
    fn ask(&mut self, below: &str, more: &Value) -> Question {
        ask(&self.home, &mut self.guard, below, more)
    }

    /// How the request of a question stands.
    fn state(&mut self, question: &Question) -> Value {
        let path = format!(
            "/v1/sessions/{}/requests/{}",
            self.guard.session,
            id(question)
        );
        self.guard.peer.get(&path).expect("an answer").body
    }

    /// The events of a type about a question's request.
    fn events(&self, kind: &str, question: &Question) -> usize {
        let mut events = self.home.events(kind);
        events.retain(|event| event["request_id"] == id(question));
        events.len()
    }

    #[track_caller]
    fn refused(&self, answer: &Value, why: &str) {
        let said = give(&self.home, answer);
        assert!(said.status >= 400, "{answer} was taken: {said:?}");
        assert!(said.body.to_string().contains(why), "{why}: {said:?}");
    }
}

#[track_caller]
fn ask(home: &Home, guard: &mut Guard, below: &str, more: &Value) -> Question {
    let resource = format!("file:{}", home.path(below).display());
    let mut ask = json!({"session": guard.session, "resource": resource, "actions": ["read"], "may_ask": true});
    for (name, value) in more.as_object().expect("an object") {
        ask[name] = value.clone();
    }
    let put = guard.peer.post("/v1/requests", &ask).expect("an answer");
    assert_eq!(put.body["state"], "pending", "{put:?}");
    let request = put.body["request_id"].clone();
    // What may be put together with others is shown a moment later.
    until("the question", SOON, || {
        let mut door = Peer::connect(&home.door("operator")).expect("connect");
        let listed = door.get("/v1/requests").expect("an answer");
        let questions = listed.body["questions"].as_array().expect("questions");
        let of_it = questions
            .iter()
            .find(|question| question["request_id"] == request);
        of_it.cloned()
    })
}

/// Every value that differs from this one in one place: a leaf that is another, a member that is gone, an element twice.
fn mutations(of: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    match of {
        Value::Object(members) => {
            for (name, member) in members {
                for (at, other) in mutations(member) {
                    let mut whole = members.clone();
                    whole.insert(name.clone(), other);
                    all.push((format!("{name}.{at}"), Value::Object(whole)));
                }
                let mut without = members.clone();
                without.remove(name);
                all.push((format!("{name} gone"), Value::Object(without)));
            }
        }
        Value::Array(elements) => {
            for (number, element) in elements.iter().enumerate() {
                for (at, other) in mutations(element) {
                    let mut whole = elements.clone();
                    whole[number] = other;
                    all.push((format!("{number}.{at}"), Value::Array(whole)));
                }
            }
            let twice = [elements.clone(), elements.clone()].concat();
            let last = elements.last().map_or_else(|| vec![json!("x")], |_| twice);
            all.push(("longer".to_owned(), Value::Array(last)));
        }
        Value::String(text) => {
            // One byte another, at either end.
            let mut first = text.clone().into_bytes();
            let mut last = first.clone();
            for byte in [first.first_mut(), last.last_mut()].into_iter().flatten() {
                *byte ^= 1;
            }
            for bytes in [first, last] {
                let other = String::from_utf8(bytes).expect("ASCII stays ASCII");
                all.push(("byte".to_owned(), other.into()));
            }
        }
        Value::Number(number) => {
            let next = number.as_u64().expect("a whole number") ^ 1;
            all.push(("number".to_owned(), next.into()));
        }
        Value::Bool(flag) => all.push(("flag".to_owned(), (!flag).into())),
        Value::Null => all.push(("null".to_owned(), "x".into())),
    }
    all
}

#[test]
fn a_signature_over_a_question_that_differs_in_one_place_is_refused() {
    let mut place = Place::new();
    let more = json!({
        "justification": "to sum up", "constraints": {"max_bytes": 100, "media_types": ["text/plain"]},
        "file": {"kind": "file", "size": 10, "owner": 1, "mode": 420, "links": 1, "modified": "2026-01-17T15:12:00.000Z",
                 "changed": "2026-01-17T15:12:00.000Z", "identity": "fe01:2a"},
    });
    let question = place.ask("notes.txt", &more);
    let others = mutations(&question);
    // Every member of the question, and of what is in it, is among them.
    assert!(others.len() > 60, "{}", others.len());
    for name in question.as_object().expect("an object").keys() {
        assert!(others.iter().any(|(at, _)| at.starts_with(name)), "{name}");
    }
    for (at, other) in &others {
        let mut answer = place.owner.unsigned(&question);
        answer["asked_digest"] = asked_digest(other).into();
        let said = give(&place.home, &place.owner.sign(&answer));
        assert!(said.status >= 400, "{at}: {said:?}");
        assert!(
            said.body.to_string().contains("shown differently"),
            "{at}: {said:?}"
        );
    }
    assert_eq!(place.events("approval.given", &question), 0);
    // The same by the same hand over the question itself counts.
    let said = give(&place.home, &place.owner.no(&question));
    assert_eq!(said.body["outcome"], "refused", "{said:?}");
}

#[test]
fn an_answer_that_was_changed_after_it_was_signed_is_refused() {
    let mut place = Place::new();
    let question = place.ask("notes.txt", &json!({}));
    let mut unsigned = place.owner.unsigned(&question);
    unsigned["justification"] = "it is due".into();
    unsigned["prompt_digest"] = asked_digest(&json!({})).into();
    let signed = place.owner.sign(&unsigned);
    let others = mutations(&signed);
    assert!(others.len() > 20, "{}", others.len());
    for (at, other) in &others {
        let said = give(&place.home, other);
        assert!(said.status >= 400, "{at}: {said:?}");
    }
    // Members that nobody knows, a method that is none, a verdict as a no.
    for (name, value) in [
        ("also", json!([])),
        ("method", json!("passkey")),
        ("method", json!("telepathy")),
        ("verdict", json!("deny")),
        ("verdict", json!("Approve")),
    ] {
        let mut other = signed.clone();
        other["approval"]["approval"][name] = value;
        let said = give(&place.home, &other);
        assert!(said.status >= 400, "{name}: {said:?}");
    }
    assert_eq!(place.home.questions().len(), 1);
    let said = give(&place.home, &signed);
    assert_eq!(said.body["outcome"], "approved", "{said:?}");
}

#[test]
fn an_answer_is_good_once_and_for_one_request_of_one_session() {
    let mut place = Place::new();
    let first = place.ask("one/notes.txt", &json!({}));
    let second = place.ask("two/notes.txt", &json!({}));
    let mut other_session = Guard::open(&place.home);
    let of_other = ask(
        &place.home,
        &mut other_session,
        "one/notes.txt",
        &json!({"justification": "the same file"}),
    );
    let yes = place.owner.yes(&first);
    assert_eq!(give(&place.home, &yes).body["outcome"], "approved");
    // The same bytes again; for another request; for the same file in another session.
    place.refused(&yes, "no open question");
    for other in [&second, &of_other] {
        let mut renamed = yes.clone();
        renamed["approval"]["approval"]["request_id"] = other["request_id"].clone();
        place.refused(&renamed, "signature");
        let mut resigned = place.owner.unsigned(&first);
        resigned["request_id"] = other["request_id"].clone();
        place.refused(&place.owner.sign(&resigned), "shown differently");
        assert_eq!(place.events("capability.minted", other), 0);
    }
    assert_eq!(place.events("approval.given", &first), 1);
    assert_eq!(place.events("capability.minted", &first), 1);
    place.home.verify();
}

#[test]
fn whoever_has_not_the_key_answers_nothing() {
    let mut place = Place::new();
    let question = place.ask("notes.txt", &json!({}));
    let eve = Signer::new("eve", [7; 32]);
    place.refused(&eve.yes(&question), "not a registered approver");
    let as_owner = eve.named(&place.owner.name);
    place.refused(&as_owner.yes(&question), "signature");
    place.refused(&as_owner.no(&question), "signature");
    // Nor by a registration, first or later, of another name or of the same.
    for approver in [eve.approver("owner"), as_owner.approver("owner")] {
        let said = post(&place.home, "/v1/approvers", &json!({"first": approver}));
        assert!(said.status >= 400, "{said:?}");
        let change = json!({"registry": asked_digest(&json!({})), "sequence": 2, "change": {"add": approver}, "by": "owner",
                            "time": question["asked_at"]});
        let signed = json!({"signed": {"signed": change, "signature": eve.yes(&question)["approval"]["signature"]}});
        let said = post(&place.home, "/v1/approvers", &signed);
        assert!(said.status >= 400, "{said:?}");
    }
    // A second approver in the first's name, and the first in the second's.
    let role = ["--role", "owner", "--key"];
    let key = eve.approver("owner")["public_key"].clone();
    let added = place
        .home
        .valetkey(["approver", "add", "eve"])
        .args(role)
        .arg(key.as_str().expect("text"));
    drop(added.done().ok());
    place.refused(&as_owner.yes(&question), "signature");
    let owner_as_eve = place.owner.named("eve");
    place.refused(&owner_as_eve.yes(&question), "signature");
    assert_eq!(place.events("approval.given", &question), 0);
    assert_eq!(give(&place.home, &eve.yes(&question)).status, 200);
}

#[test]
fn the_approvers_clock_and_method_decide_nothing() {
    let mut place = Place::new();
    // Answers from the past and from the future: the grant begins when the broker says, and is no longer than it said.
    for (number, time) in ["1970-01-01T00:00:00.000Z", "2099-12-31T23:59:59.000Z"]
        .iter()
        .enumerate()
    {
        let question = place.ask(&format!("{number}/notes.txt"), &json!({}));
        let mut answer = place.owner.unsigned(&question);
        answer["time"] = (*time).into();
        let said = give(&place.home, &place.owner.sign(&answer));
        assert_eq!(said.body["outcome"], "approved", "{said:?}");
        let life = question["ttl_seconds"].as_u64().expect("seconds");
        let granted = place.state(&question)["granted"]["capability"].clone();
        let minted = place.home.events("capability.minted");
        let minted = minted.last().expect("an event")["timestamp"].clone();
        let seconds = seconds_between(&minted, &granted["expires_at"]);
        assert!(
            seconds >= life.saturating_sub(2) && seconds <= life,
            "{time}: {granted} was minted at {minted}"
        );
    }
    // A method is words: none of them stands for a second factor that policy wants.
    let policy = base_with(
        "\"justification\": false",
        "\"mfa_max_age_seconds\": 900, \"justification\": false",
    );
    let policy = policy.replace("\"expires_seconds\": 120", "\"expires_seconds\": 15");
    let mut careful = open_with(&place.home, &policy);
    let question = ask(&place.home, &mut careful, "notes.txt", &json!({}));
    for method in ["terminal", "desktop", "console", "hub", "passkey", "file"] {
        let mut answer = place.owner.unsigned(&question);
        answer["method"] = method.into();
        place.refused(&place.owner.sign(&answer), "second factor");
    }
    assert_eq!(place.events("capability.minted", &question), 0);
    // In the end the agent is told why, and that asking again is no use.
    let path = format!(
        "/v1/sessions/{}/requests/{}",
        careful.session,
        id(&question)
    );
    let ended = until("the end of the question", Duration::from_secs(60), || {
        let state = careful.peer.get(&path).expect("an answer").body;
        (state["state"] != "pending").then_some(state)
    });
    let problem = &ended["problem"];
    assert!(
        problem["detail"].to_string().contains("second factor"),
        "{ended}"
    );
    assert_eq!(problem["requestable"], false, "{ended}");
}

/// Seconds from one time of the last hour of a day to another, both as they are written in events.
fn seconds_between(from: &Value, to: &Value) -> u64 {
    let seconds = |value: &Value| {
        let text = value.as_str().expect("a time");
        let part = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("digits");
        part(8..10) * 86_400 + part(11..13) * 3_600 + part(14..16) * 60 + part(17..19)
    };
    // Past the end of a month the day is smaller.
    let (from, to) = (seconds(from), seconds(to));
    if to >= from {
        to - from
    } else {
        to + 86_400 - from % 86_400
    }
}

/// The built-in policy in other words.
fn base_with(from: &str, to: &str) -> String {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/base/base.rego");
    let text = fs::read_to_string(base).expect("the built-in policy");
    let changed = text.replace(from, to);
    assert_ne!(text, changed);
    changed
}

/// A session of this process under a policy of its own.
fn open_with(home: &Home, policy: &str) -> Guard {
    let mut guard = Guard::open(home);
    let open = json!({
        "agent": "careful", "agent_digest": null, "purpose": null, "grants": [], "workspace": null,
        "policy": [{"path": "base.rego", "text": policy}],
    });
    let opened = guard.peer.post("/v1/sessions", &open).expect("an answer");
    assert_eq!(opened.status, 200, "{opened:?}");
    guard.session = opened.body["session"].as_str().expect("an id").to_owned();
    guard
}

#[test]
fn a_question_that_has_closed_is_not_answered_by_an_earlier_date() {
    let mut place = Place::new();
    let policy = base_with("\"expires_seconds\": 120", "\"expires_seconds\": 1");
    let mut hasty = open_with(&place.home, &policy);
    let question = ask(&place.home, &mut hasty, "notes.txt", &json!({}));
    // Signed in time, given too late.
    let yes = place.owner.yes(&question);
    until("the question closes", SOON, || {
        place.home.questions().is_empty().then_some(())
    });
    place.refused(&yes, "no open question");
    assert_eq!(place.events("approval.given", &question), 0);
    assert_eq!(place.events("capability.minted", &question), 0);
    place.guard = hasty;
    assert_eq!(place.state(&question)["state"], "refused");
}

#[test]
fn reasons_that_are_too_long_are_refused() {
    let mut place = Place::new();
    let question = place.ask("notes.txt", &json!({}));
    for (length, taken) in [(900_000, false), (4097, false), (4096, true)] {
        let mut answer = place.owner.unsigned(&question);
        answer["justification"] = "x".repeat(length).into();
        let said = give(&place.home, &place.owner.sign(&answer));
        assert_eq!(said.status == 200, taken, "{length}: {said:?}");
    }
    // Longer than any request may be: the connection is of no use after it, the door is.
    let mut peer = Peer::connect(&place.home.door("operator")).expect("connect");
    let answer = peer.post_bytes("/v1/answers", &vec![b'['; 2 << 20]);
    assert!(answer.is_none_or(|answer| answer.status >= 400));
    assert_eq!(place.events("approval.given", &question), 1);
    place.home.verify();
}

#[test]
fn a_thousand_answers_at_once_end_a_question_once() {
    const AT_ONCE: usize = 50;
    const EACH: usize = 20;
    for yes_of_hundred in [100, 50, 3] {
        let mut place = Place::new();
        let question = place.ask("notes.txt", &json!({}));
        let barrier = Barrier::new(AT_ONCE);
        let outcomes: Vec<Answer> = thread::scope(|scope| {
            let started: Vec<_> = (0..AT_ONCE)
                .map(|who| {
                    let (place, question, barrier) = (&place, &question, &barrier);
                    scope.spawn(move || {
                        let mut peer =
                            Peer::connect(&place.home.door("operator")).expect("connect");
                        let answers: Vec<_> = (0..EACH)
                            .map(|number| {
                                let is_yes = (who * EACH + number) * 37 % 100 < yes_of_hundred;
                                if is_yes {
                                    place.owner.yes(question)
                                } else {
                                    place.owner.no(question)
                                }
                            })
                            .collect();
                        barrier.wait();
                        let give = |answer| peer.post("/v1/answers", answer).expect("an answer");
                        answers.iter().map(give).collect::<Vec<_>>()
                    })
                })
                .collect();
            let ended = started.into_iter().map(|thread| thread.join());
            ended.flat_map(|answers| answers.expect("a peer")).collect()
        });
        assert_eq!(outcomes.len(), AT_ONCE * EACH);
        let won: Vec<_> = outcomes
            .iter()
            .filter(|answer| answer.status == 200)
            .collect();
        assert_eq!(won.len(), 1, "{won:?}");
        // Who asked, who answered and the log say the same.
        let state = place.state(&question)["state"].clone();
        let was_approved = won[0].body["outcome"] == "approved";
        assert_eq!(state, if was_approved { "granted" } else { "refused" });
        let counted = |kind| place.events(kind, &question);
        assert_eq!(counted("approval.given"), usize::from(was_approved));
        assert_eq!(counted("capability.minted"), usize::from(was_approved));
        assert_eq!(counted("approval.refused"), usize::from(!was_approved));
        place.home.verify();
    }
}

#[test]
fn whoever_takes_a_yes_back_before_it_counts_has_said_no() {
    let place = Place::new();
    let one = "{\"role\": \"owner\", \"count\": 1}";
    let policy = base_with(
        one,
        &format!("{one}, {{\"role\": \"auditor\", \"count\": 1}}"),
    );
    let auditor = Signer::new("auditor", [9; 32]);
    let key = auditor.approver("auditor")["public_key"].clone();
    let added = place
        .home
        .valetkey(["approver", "add", "auditor", "--role", "auditor", "--key"])
        .arg(key.as_str().expect("text"));
    drop(added.done().ok());
    let mut two = open_with(&place.home, &policy);
    let question = ask(&place.home, &mut two, "notes.txt", &json!({}));
    let said = give(&place.home, &place.owner.yes(&question));
    assert_eq!(said.body["outcome"], "open", "{said:?}");
    let said = give(&place.home, &place.owner.no(&question));
    assert_eq!(said.body["outcome"], "refused", "{said:?}");
    place.refused(&auditor.yes(&question), "no open question");
    assert_eq!(place.events("capability.minted", &question), 0);
}

#[test]
fn an_approver_who_is_removed_before_the_last_answer_has_not_answered() {
    let place = Place::new();
    let one = "{\"role\": \"owner\", \"count\": 1}";
    let policy = base_with(
        one,
        &format!("{one}, {{\"role\": \"auditor\", \"count\": 1}}"),
    );
    let auditor = Signer::new("auditor", [9; 32]);
    let key = auditor.approver("auditor")["public_key"].clone();
    let key = key.as_str().expect("text");
    let role = ["--role", "auditor", "--key", key];
    let add = || {
        place
            .home
            .valetkey(["approver", "add", "auditor"])
            .args(role)
    };
    drop(add().done().ok());
    let mut two = open_with(&place.home, &policy);
    let question = ask(&place.home, &mut two, "notes.txt", &json!({}));
    let yes = auditor.yes(&question);
    assert_eq!(give(&place.home, &yes).body["outcome"], "open");
    drop(
        place
            .home
            .valetkey(["approver", "remove", "auditor"])
            .done()
            .ok(),
    );
    // The other answer comes: it alone counts.
    let said = give(&place.home, &place.owner.yes(&question));
    assert_ne!(said.body["outcome"], "approved", "{said:?}");
    assert_eq!(place.events("capability.minted", &question), 0);
    place.refused(&yes, "not a registered approver");
    // Registered again, they may answer again.
    drop(add().done().ok());
    let said = give(&place.home, &auditor.yes(&question));
    assert_eq!(said.body["outcome"], "approved", "{said:?}");
}

#[test]
fn a_broker_killed_while_it_is_answered_gives_nothing_without_a_record_and_nothing_twice() {
    let mut place = Place::new();
    let mut approved = 0;
    for life in 0..12_u64 {
        let question = place.ask(&format!("{life}/notes.txt"), &json!({}));
        let yes = place.owner.yes(&question);
        let (home, broker) = (&place.home, &place.broker);
        let answer = thread::scope(|scope| {
            let given = scope.spawn(|| {
                let mut peer = Peer::connect(&home.door("operator")).ok()?;
                peer.post("/v1/answers", &yes)
            });
            // Some die before the record, some after it, some after the answer.
            thread::sleep(Duration::from_micros(life * 700));
            broker.signal(Signal::KILL);
            given.join().expect("a peer")
        });
        let was_told = answer.is_some_and(|answer| answer.body["outcome"] == "approved");
        // Until it is gone it may still seem to listen.
        until("the killed broker ends", SOON, || {
            (!place.broker.is_running()).then_some(())
        });
        until("the next broker starts", SOON, || {
            let started = place.home.try_start_broker();
            started.map(|started| place.broker = started)
        });
        place.guard = Guard::open(&place.home);
        // What the next broker knows: no open question, and the same answer opens none.
        place.refused(&yes, "no open question");
        let given = place.events("approval.given", &question);
        let minted = place.events("capability.minted", &question);
        // A batch that the kill tore may end after the answer; a capability is never there without it.
        assert!(given <= 1 && minted <= given, "{given} and {minted}");
        assert!(!was_told || minted == 1, "told and not recorded");
        approved += minted;
    }
    println!("{approved} of 12 were recorded before the broker was killed");
    // Whatever was minted, nothing of an earlier life is live.
    let live = place.home.valetkey(["caps", "list", "--json"]).done().ok();
    let live = live.json();
    assert!(
        live.as_array().is_some_and(|live| live
            .iter()
            .all(|capability| capability["session"] == place.guard.session)),
        "{live}"
    );
    place.home.verify();
}

#[test]
fn a_yes_that_reaches_further_than_the_question_is_none() {
    let mut place = Place::new();
    let question = place.ask("notes.txt", &json!({}));
    let mut wider = place.owner.unsigned(&question);
    for lease in [
        json!({"scope": "task", "max_seconds": 999_999}),
        json!({"scope": "minutes", "max_seconds": 999_999}),
        json!({"scope": {"operations": ["file:/etc/shadow"]}, "max_seconds": 60}),
    ] {
        wider["lease"] = lease;
        place.refused(&place.owner.sign(&wider), "reaches further");
    }
    wider["lease"] = json!({"scope": "always", "max_seconds": 60});
    assert_eq!(give(&place.home, &place.owner.sign(&wider)).status, 400);
    // What was signed as a yes for once is not made more on its way.
    let mut once = place.owner.unsigned(&question);
    once["lease"] = json!({"scope": "once", "max_seconds": 1});
    let signed = place.owner.sign(&once);
    let mut forged = signed.clone();
    forged["approval"]["approval"]
        .as_object_mut()
        .expect("an object")
        .remove("lease");
    place.refused(&forged, "signature");
    assert_eq!(place.state(&question)["state"], "pending");
    assert_eq!(give(&place.home, &signed).status, 200);
    let granted = place.state(&question);
    let constraints = &granted["granted"]["capability"]["constraints"];
    assert_eq!(constraints["single_use"], true, "{granted}");
    drop(place.broker);
}
