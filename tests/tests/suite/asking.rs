//! Asking: an open waits for a person; only their answer, to that question, in time, lets it go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use valetkey_tests::{Home, agent_program, id};

use super::needs_cells;

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(10);

/// A bundle that is the built-in policy, with questions that close after so many seconds.
pub(crate) fn impatient(home: &Home, seconds: u32) -> PathBuf {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/base/base.rego");
    let text = fs::read_to_string(base).expect("the built-in policy");
    let changed = text.replace(
        "\"expires_seconds\": 120",
        &format!("\"expires_seconds\": {seconds}"),
    );
    assert_ne!(text, changed);
    fs::create_dir_all(home.outside("policy")).expect("make");
    fs::write(home.outside("policy/base.rego"), changed).expect("write");
    home.outside("policy")
}

#[test]
fn an_open_waits_for_the_approval() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "the notes\n");
    let mut session = home
        .run(&["--purpose", "sum up"], &["cat", "notes.txt"])
        .start();
    let question = home.wait_for_question("/notes.txt");
    assert_eq!(question["agent"], "cat");
    assert_eq!(question["purpose"], "sum up");
    assert_eq!(question["file"]["size"], 10);
    std::thread::sleep(Duration::from_millis(300));
    assert!(session.is_running() && session.output().is_empty());
    let answer = home.approve(&question);
    assert!(answer.text().ends_with("approved\n"), "{}", answer.text());
    let ended = session.finish(SOON).ok();
    assert_eq!(ended.text(), "the notes\n");
    let request = id(&question);
    for kind in [
        "request.decided",
        "approval.asked",
        "approval.given",
        "capability.minted",
    ] {
        assert!(
            home.events(kind)
                .iter()
                .any(|event| event["request_id"] == request),
            "{kind}"
        );
    }
    home.verify();
}

#[test]
fn a_refusal_ends_the_wait_and_says_why() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    let script = "cat notes.txt; cat notes.txt; cat /run/valetkey/denials.json";
    let session = home.run(&NONE, &["sh", "-c", script]).start();
    let question = home.wait_for_question("/notes.txt");
    let answer = home
        .valetkey(["deny", id(&question), "--because", "it is private"])
        .done()
        .ok();
    assert!(answer.text().ends_with("refused\n"));
    // It is not asked about twice in a row.
    let ended = session.finish(SOON);
    assert!(!ended.text().contains("decoy"));
    assert!(
        ended.text().contains("a person said no"),
        "{}",
        ended.text()
    );
    let denials: serde_json::Value = serde_json::from_str(&ended.text()).expect("JSON");
    assert_eq!(denials[0]["type"], "urn:valetkey:problem:denied");
    assert_eq!(denials[0]["requestable"], false);
    let refused = home.events("approval.refused");
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].to_string().contains("it is private"),
        "{}",
        refused[0]
    );
}

#[test]
fn a_question_that_nobody_answers_closes() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    let policy = impatient(&home, 2);
    let begun = Instant::now();
    let session = home
        .valetkey(["run", "--policy"])
        .arg(policy)
        .args(["--", "cat", "notes.txt"])
        .start();
    let question = home.wait_for_question("/notes.txt");
    let ended = session.finish(SOON);
    let took = begun.elapsed();
    assert_ne!(ended.code(), 0);
    assert!(
        took > Duration::from_millis(1900) && took < Duration::from_secs(6),
        "{took:?}"
    );
    home.wait_for_event("approval.expired", |event| {
        event["request_id"] == id(&question)
    });
    let late = home.valetkey(["approve", id(&question)]).done().expect(1);
    drop(late.says("no open request"));
    assert!(
        home.events("capability.minted")
            .iter()
            .all(|event| event["request_id"] != id(&question))
    );
}

#[test]
fn an_agent_that_stops_waiting_withdraws_the_question() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    let begun = Instant::now();
    session.signal(Signal::INT);
    let ended = session.finish(Duration::from_secs(5));
    assert_eq!(ended.code(), 130);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(home.questions().is_empty());
    drop(home.valetkey(["approve", id(&question)]).done().expect(1));

    let script = "cat notes.txt & p=$!; sleep 0.7; kill -9 $p; wait $p; echo ended $?";
    let mut session = home.run(&NONE, &["sh", "-c", script]).start();
    drop(home.wait_for_question("/notes.txt"));
    session.wait_for("ended 137", Duration::from_secs(4));
    assert_eq!(session.finish(SOON).ok().text(), "ended 137\n");
    home.wait_for_event("approval.expired", |_| true);
}

#[test]
fn an_answer_is_found_by_the_end_of_its_id() {
    needs_cells!();
    let home = Home::new();
    home.write("one/a.txt", "a\n");
    home.write("two/b.txt", "b\n");
    let session = home
        .run(&NONE, &["sh", "-c", "cat one/a.txt & cat two/b.txt; wait"])
        .start();
    let (a, b) = (
        home.wait_for_question("/a.txt"),
        home.wait_for_question("/b.txt"),
    );
    drop(
        home.valetkey(["approve", ""])
            .done()
            .expect(2)
            .says("more than one"),
    );
    drop(
        home.valetkey(["approve", "nothing-like-it"])
            .done()
            .expect(1),
    );
    let end = |question: &serde_json::Value| id(question)[id(question).len() - 8..].to_owned();
    drop(home.valetkey(["approve", &end(&b)]).done().ok());
    let twice = home.valetkey(["approve", &end(&b)]).done().expect(1);
    drop(twice.says("no open request"));
    let outcome = home
        .valetkey(["deny", &end(&a), "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(outcome["outcome"], "refused");
    assert_eq!(session.finish(SOON).text(), "b\n");
}

#[test]
fn an_approval_opens_nothing_else() {
    needs_cells!();
    let home = Home::new();
    home.write("a.txt", "a\n");
    home.write("b.txt", "decoy\n");
    home.write("c.txt", "decoy\n");
    let session = home
        .run(
            &NONE,
            &[
                "sh",
                "-c",
                "cat a.txt; cat b.txt; echo x >> a.txt; cat a.txt",
            ],
        )
        .start();
    drop(home.approve(&home.wait_for_question("/a.txt")));
    drop(home.deny(&home.wait_for_question("/b.txt")));
    // To read was approved; to change it is another question.
    let question = home.wait_for_question("/a.txt");
    assert_ne!(question["grant"]["actions"].to_string(), "[\"read\"]");
    drop(home.deny(&question));
    assert_eq!(session.finish(SOON).text(), "a\na\n");
    assert_eq!(fs::read_to_string(home.path("a.txt")).expect("read"), "a\n");
}

#[test]
fn a_foreign_key_approves_nothing() {
    needs_cells!();
    let home = Home::new();
    home.write("a.txt", "a\n");
    home.write("b.txt", "decoy\n");
    let session = home
        .run(&NONE, &["sh", "-c", "cat a.txt; cat b.txt"])
        .start();
    drop(home.approve(&home.wait_for_question("/a.txt")));
    let question = home.wait_for_question("/b.txt");
    let key = home.state().join("config/approver.key");
    fs::write(&key, [7; 32]).expect("write");
    let refused = home.valetkey(["approve", id(&question)]).done().expect(3);
    drop(refused.says("not registered"));
    // Nor a new one; and without one nobody is asked who is not there.
    fs::remove_file(&key).expect("remove");
    let none = home.unattended(["approve", id(&question)]).done().expect(1);
    drop(none.says("no approver key"));
    drop(
        home.valetkey(["approver", "init", "--no-passphrase"])
            .done()
            .ok(),
    );
    drop(home.valetkey(["approve", id(&question)]).done().expect(3));
    assert_eq!(home.questions().len(), 1);
    session.signal(Signal::INT);
    let ended = session.finish(SOON);
    assert_eq!(ended.text(), "a\n");
    assert!(home.events("approval.given").len() == 1);
}

#[test]
fn the_cell_has_no_door_through_which_an_approval_is_given() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    let agent = home.bring(agent_program(), "work/agent");
    home.make_dir(&home.path("work"));
    let run = home.state().join("run");
    let run = run.display();
    let script = format!(
        "./agent door POST /v1/requests '{{\"resource\":\"file:{0}\",\"actions\":[\"read\"]}}' | tail -n 1; echo
        for s in operator guard agent broker; do ./agent connect {run}/$s.sock; ./agent connect @{run}/$s.sock; ./agent connect @valetkey-$s
          for p in 1 2 self thread-self; do ./agent connect /proc/$p/root{run}/$s.sock; ./agent connect /proc/$p/cwd/../../..{run}/$s.sock; done; done
        find / -xdev -type s 2>/dev/null; grep -c sock /proc/net/unix
        for t in 'POST /v1/answers' 'GET /v1/approvers' 'POST /v1/approvers' 'POST /v1/stop' 'GET /v1/status' 'POST /v1/sessions' \
          'POST /v1/policy' 'GET /v1/log' 'POST /v1/capabilities/cap-1/revoke' 'POST /v1/../v1/answers' 'POST //v1/answers' 'POST /v1/answers?x=/v1/requests' \
          'PUT /v1/requests' 'DELETE /v1/requests' 'CONNECT /v1/answers'; do ./agent door $t '{{}}' | head -n 1; done",
        home.path("notes.txt").display()
    );
    let work = home.path("work");
    let session = home
        .run(
            &["--workspace", work.to_str().expect("text")],
            &["sh", "-c", &script],
        )
        .cwd(&work)
        .start();
    let question = home.wait_for_question("/notes.txt");
    let ended = session.finish(Duration::from_secs(20));
    let text = ended.text();
    assert!(text.contains("\"state\":\"pending\""), "{text}");
    assert!(!text.contains("connected"), "{text}");
    assert_eq!(
        ["400", "404", "405"]
            .iter()
            .map(|status| text.matches(&format!("HTTP/1.1 {status}")).count())
            .sum::<usize>(),
        15,
        "{text}\n{}",
        ended.errors()
    );
    assert!(
        !text.contains("HTTP/1.1 2") || text.matches("HTTP/1.1 200").count() == 1,
        "{text}"
    );
    assert!(home.events("approval.given").is_empty());
    assert!(
        home.events("approval.expired")
            .iter()
            .any(|event| event["request_id"] == id(&question))
    );
    drop(agent);
}

#[test]
fn the_valetkey_program_in_a_cell_is_nobody() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    home.bring(&home.program("valetkey"), "work/valetkey");
    home.bring(&home.program("valetkeyd"), "work/valetkeyd");
    let work = home.path("work");
    let script = "cat ../notes.txt & sleep 0.5
        for c in 'requests' 'requests --json' 'status' 'caps list' 'stop' 'audit tail' 'audit verify' \"approve $1\" 'approve req' 'deny req' 'run -- true'; do
          timeout 8 ./valetkey $c > out 2>&1; echo \"$c: $?\"; cat out >> all; done; kill %1; echo over";
    let session = home
        .valetkey(["run", "--env", "VALETKEY_HOME", "--workspace"])
        .arg(&work)
        .args(["--", "sh", "-c", script])
        .cwd(&work)
        .start();
    let question = home.wait_for_question("/notes.txt");
    let ended = session.finish(Duration::from_secs(60));
    let text = ended.text();
    assert!(text.ends_with("over\n"), "{text}\n{}", ended.errors());
    for line in text.lines().filter(|line| line.contains(": ")) {
        // To stop a broker that is not there is no failure.
        assert!(
            line.ends_with(": 0") == line.starts_with("stop"),
            "{line}\n{}",
            fs::read_to_string(work.join("all")).unwrap_or_default()
        );
    }
    assert!(!text.contains("decoy"));
    assert!(home.events("approval.given").is_empty());
    assert!(home.status().is_some(), "the broker lives");
    home.wait_for_event("approval.expired", |event| {
        event["request_id"] == id(&question)
    });
    // Its own directories are not to be had by asking for them either.
    for place in ["", "/run", "/config", "/state/log"] {
        let grant = format!("{}{place}=read,write", home.state().display());
        let refused = home.run(&["--grant", &grant], &["true"]).done();
        let listed = home
            .run(
                &["--grant", &grant],
                &["sh", "-c", &format!("ls -RA {}", home.state().display())],
            )
            .done();
        assert!(
            refused.code() == 3 || !listed.text().contains("operator.sock"),
            "{grant}: {}",
            listed.text()
        );
    }
}
