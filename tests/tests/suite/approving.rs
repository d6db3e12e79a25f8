//! What a yes is good for: what was shown, for as long and as often as it was shown, and no more often than people bear.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use valetkey_tests::{Device, Home, Peer, Started, id, until};

use super::agent_door::Talk;
use super::needs_cells;

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(20);

/// The built-in policy with other words about approvals.
fn policy(home: &Home, changes: &[(&str, &str)]) -> PathBuf {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/base/base.rego");
    let mut text = fs::read_to_string(base).expect("the built-in policy");
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    fs::create_dir_all(home.outside("policy")).expect("make");
    fs::write(home.outside("policy/base.rego"), text).expect("write");
    home.outside("policy")
}

fn under(home: &Home, policy: &Path, script: &str) -> Started {
    let options = [OsStr::new("--policy"), policy.as_os_str()];
    home.run(&options, &["sh", "-c", script].map(OsStr::new))
        .start()
}

fn resource(path: &Path) -> String {
    format!("file:{}", path.display())
}

#[test]
fn a_file_that_was_edited_after_it_was_shown_is_not_given() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("notes.txt", "the notes\n");
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    fs::write(&notes, "other words, and more of them\n").expect("edit");
    let refused = home.valetkey(["approve", id(&question)]).done().expect(3);
    drop(refused.says("is no longer what was shown"));
    assert!(session.finish(SOON).text().is_empty());
    let of_it = |event: &Value| event["request_id"] == id(&question);
    assert!(!home.events("capability.minted").iter().any(of_it));
    assert!(home.events("approval.expired").iter().any(of_it));
    assert!(home.questions().is_empty(), "a void question is closed");
}

#[test]
fn another_file_in_its_place_is_not_given() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("notes.txt", "the notes\n");
    let other = home.write("other.txt", "different\n");
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    // The same size and the same time of content: only the object is another.
    let times = fs::File::open(&notes).expect("open");
    let modified = times.metadata().expect("stat").modified().expect("a time");
    let swapped = fs::File::options().write(true).open(&other).expect("open");
    swapped.set_modified(modified).expect("set the time");
    fs::rename(&other, &notes).expect("swap");
    let refused = home.valetkey(["approve", id(&question)]).done().expect(3);
    drop(refused.says("its identity changed"));
    assert!(session.finish(SOON).text().is_empty());
}

#[test]
fn a_file_that_is_swapped_between_yes_and_first_use_is_not_opened() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("notes.txt", "the notes\n");
    let script = format!(
        "valetkey ask {0}=read && touch asked; until [ -e go ]; do sleep 0.1; done; cat {0}; cat /run/valetkey/denials.json",
        notes.display()
    );
    let session = home.in_workspace(&script).start();
    let question = home.wait_for_question("/notes.txt");
    drop(home.approve(&question));
    let work = home.path("work");
    until("the grant", SOON, || {
        work.join("asked").exists().then_some(())
    });
    fs::write(home.path("new.txt"), "swapped words\n").expect("write");
    fs::rename(home.path("new.txt"), &notes).expect("swap");
    fs::write(work.join("go"), "").expect("write");
    // The yes is no good any more; the open is a question of its own, about what is there now.
    let second = home.wait_for_question("/notes.txt");
    assert_ne!(id(&second), id(&question));
    assert_ne!(second["file"]["identity"], question["file"]["identity"]);
    drop(home.deny(&second));
    let ended = session.finish(SOON);
    assert!(!ended.text().contains("swapped words"), "{}", ended.text());
    assert!(
        ended.text().contains("no longer what people were shown"),
        "{}",
        ended.text()
    );
    let refused = home.events("operation.refused");
    assert!(
        refused.iter().any(|event| event
            .to_string()
            .contains("no longer what people were shown")),
        "{refused:?}"
    );
}

#[test]
fn after_its_own_writes_an_agent_goes_on() {
    needs_cells!();
    // What belongs to root is of high risk, and never leased.
    let home = if rustix::process::getuid().is_root() {
        Home::of_ordinary_user(Device::Open)
    } else {
        Home::new()
    };
    let notes = home.write("dir/notes.txt", "one\n");
    let lease = "\"lease\": {\"scope\": \"once\", \"max_seconds\": 300}";
    let minutes = "\"lease\": {\"scope\": \"minutes\", \"max_seconds\": 300}";
    let policy = policy(&home, &[(lease, minutes)]);
    let script = "echo two >> dir/notes.txt && echo three >> dir/notes.txt";
    let session = under(&home, &policy, script);
    let person = home.person();
    let ended = session.finish(SOON);
    assert_eq!(ended.code(), 0, "{}", ended.errors());
    assert_eq!(person.finish(), 1);
    assert_eq!(
        fs::read_to_string(notes).expect("read"),
        "one\ntwo\nthree\n"
    );
}

#[test]
fn forty_files_of_a_folder_are_one_question_and_exactly_they_are_given() {
    needs_cells!();
    let home = Home::new();
    let files: Vec<PathBuf> = (0..40)
        .map(|number| home.write(&format!("photos/{number}.txt"), format!("{number}\n")))
        .collect();
    let secret = home.write("photos/other.txt", "not asked for\n");
    let mut talk = Talk::start(&home, &[]);
    let requests: Vec<Value> = files
        .iter()
        .map(|file| json!({"resource": resource(file), "actions": ["read"]}))
        .collect();
    let (status, asked) = talk.call("POST", "/v1/requests", &json!({"requests": requests}));
    assert_eq!(status, 200, "{asked}");
    let asked = asked["requests"].as_array().expect("a list").clone();
    assert_eq!(asked.len(), 40);
    assert!(
        asked.iter().all(|one| one["state"] == "pending"),
        "{asked:?}"
    );
    let question = home.wait_for_question("/0.txt");
    assert_eq!(home.questions().len(), 1);
    assert_eq!(question["also"].as_array().map(Vec::len), Some(39));
    drop(home.approve(&question));
    let mut given: Vec<String> = Vec::new();
    for one in &asked {
        let path = format!(
            "/v1/requests/{}?wait=10",
            one["request_id"].as_str().expect("id")
        );
        let (_, granted) = talk.call("GET", &path, &Value::Null);
        assert_eq!(granted["state"], "granted", "{granted}");
        let of = granted["capability"]["resource"].as_str().expect("text");
        given.push(of.to_owned());
    }
    let expected: Vec<String> = files.iter().map(|file| resource(file)).collect();
    assert_eq!(given, expected);
    let listed = home.valetkey(["caps", "list", "--json"]).done().ok().json();
    assert!(!listed.to_string().contains("other.txt"));
    assert!(secret.exists());
    let asked_events = home.events("approval.asked");
    assert_eq!(asked_events.len(), 40, "each request has its event");
    drop(talk.finish());
}

#[test]
fn a_question_never_changes_once_it_is_shown() {
    needs_cells!();
    let home = Home::new();
    for number in 0..3 {
        home.write(&format!("photos/{number}.txt"), "x\n");
    }
    let script = "cat photos/0.txt & sleep 2; cat photos/1.txt & cat photos/2.txt; wait";
    let session = home.run(&NONE, &["sh", "-c", script]).start();
    let first = home.wait_for_question("/0.txt");
    until("the later ones", SOON, || {
        (home.questions().len() >= 2).then_some(())
    });
    let again = home.wait_for_question("/0.txt");
    assert_eq!(first, again, "what was shown stays as it was");
    let person = home.person();
    assert_eq!(session.finish(SOON).text(), "x\nx\nx\n");
    drop(person);
}

#[test]
fn repeated_denials_lock_out_and_raise_an_alert() {
    needs_cells!();
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.write(&format!("{name}/x.txt"), "decoy\n");
    }
    let ask = "\"justification\": false,";
    let strict = "\"justification\": false, \"lockout\": {\"denials\": 2, \"first_seconds\": 600, \"max_seconds\": 600},";
    let policy = policy(&home, &[(ask, strict)]);
    let script = "cat a/x.txt; cat b/x.txt; cat c/x.txt; cat /run/valetkey/denials.json";
    let session = under(&home, &policy, script);
    for name in ["/a/x.txt", "/b/x.txt"] {
        let question = home.wait_for_question(name);
        drop(home.deny(&question));
    }
    let ended = session.finish(SOON);
    assert!(!ended.text().contains("decoy"));
    assert!(
        ended.text().contains("do not ask again for"),
        "{}",
        ended.text()
    );
    assert_eq!(
        home.events("approval.asked").len(),
        2,
        "the third is no question"
    );
    let raised = home.events("alert.raised");
    assert_eq!(raised.len(), 1, "{raised:?}");
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    let alerts = peer.get("/v1/alerts").expect("an answer").body;
    assert_eq!(alerts["alerts"][0]["kind"], "lockout", "{alerts}");
}

#[test]
fn a_question_that_nobody_answers_counts_as_a_denial() {
    needs_cells!();
    let home = Home::new();
    home.write("a/x.txt", "decoy\n");
    home.write("b/x.txt", "decoy\n");
    let policy = policy(
        &home,
        &[
            (
                "\"justification\": false,",
                "\"justification\": false, \"lockout\": {\"denials\": 1, \"first_seconds\": 600, \"max_seconds\": 600},",
            ),
            ("\"expires_seconds\": 120", "\"expires_seconds\": 1"),
        ],
    );
    let script = "cat a/x.txt; sleep 0.5; cat b/x.txt; cat /run/valetkey/denials.json";
    let ended = under(&home, &policy, script).finish(SOON);
    assert!(
        ended.text().contains("nobody answered in time"),
        "{}",
        ended.text()
    );
    assert!(
        ended.text().contains("do not ask again for"),
        "{}",
        ended.text()
    );
    assert_eq!(home.events("approval.asked").len(), 1);
}

#[test]
fn over_its_budget_an_agent_is_denied_without_a_question() {
    needs_cells!();
    let home = Home::new();
    home.write("a/x.txt", "first\n");
    home.write("b/x.txt", "decoy\n");
    let policy = policy(
        &home,
        &[(
            "\"justification\": false,",
            "\"justification\": false, \"budget\": {\"per_session\": 1, \"per_hour\": 5},",
        )],
    );
    let person = home.person();
    let script = "cat a/x.txt; cat b/x.txt; cat /run/valetkey/denials.json";
    let ended = under(&home, &policy, script).finish(SOON);
    assert_eq!(person.finish(), 1);
    assert!(ended.text().contains("first\n") && !ended.text().contains("decoy"));
    assert!(
        ended.text().contains("as often as policy lets it"),
        "{}",
        ended.text()
    );
}

#[test]
fn a_task_lease_is_renewed_shown_and_ended_by_revocation() {
    needs_cells!();
    let home = Home::new();
    home.write("a/x.txt", "words\n");
    let policy = policy(&home, &[("\"ttl_seconds\": 300", "\"ttl_seconds\": 2")]);
    let script = "cat a/x.txt; sleep 5; cat a/x.txt; echo again; sleep 2; until [ -e work/over ]; do sleep 0.1; done; cat a/x.txt";
    let work = home.path("work");
    home.make_dir(&work);
    let options = [
        OsStr::new("--policy"),
        policy.as_os_str(),
        OsStr::new("--workspace"),
        work.as_os_str(),
    ];
    let session = home
        .run(&options, &["sh", "-c", script].map(OsStr::new))
        .start();
    let question = home.wait_for_question("/a/x.txt");
    drop(home.approve(&question));
    until("the second look", SOON, || {
        session.output().contains("again").then_some(())
    });
    assert_eq!(session.output(), "words\nwords\nagain\n");
    assert_eq!(home.events("approval.asked").len(), 1, "one yes for both");
    let listed = home.valetkey(["caps", "list"]).done().ok().text();
    assert!(listed.contains("for the task, at most until"), "{listed}");
    let json = home.valetkey(["caps", "list", "--json"]).done().ok().json();
    let leased = json
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["lease"]["kind"] == "task");
    let held = leased.expect("a lease")["capability_id"]
        .as_str()
        .expect("id")
        .to_owned();
    // It is renewed all the time: what is live now is found by its resource.
    drop(held);
    drop(
        home.valetkey([
            "caps",
            "revoke",
            "--resource",
            &resource(&home.path("a/x.txt")),
        ])
        .done()
        .ok(),
    );
    fs::write(work.join("over"), "").expect("write");
    let ended = session.finish(SOON);
    assert_eq!(ended.text(), "words\nwords\nagain\n", "{}", ended.errors());
    let listed = home.valetkey(["caps", "list"]).done();
    assert!(!listed.text().contains("lease"), "{}", listed.text());
}

#[test]
fn listed_operations_are_good_for_one_use_each() {
    needs_cells!();
    let home = Home::new();
    for name in ["x", "y", "z"] {
        home.write(&format!("a/{name}.txt"), format!("{name}\n"));
    }
    let list = format!(
        "\"lease\": {{\"scope\": {{\"operations\": [\"{}\", \"{}\"]}}, \"max_seconds\": 300}}",
        resource(&home.path("a/x.txt")),
        resource(&home.path("a/y.txt"))
    );
    let policy = policy(
        &home,
        &[(
            "\"lease\": {\"scope\": \"task\", \"max_seconds\": 3600}",
            &list,
        )],
    );
    let script = "cat a/x.txt; cat a/y.txt; cat a/z.txt; cat a/y.txt";
    let session = under(&home, &policy, script);
    drop(home.approve(&home.wait_for_question("/a/x.txt")));
    for name in ["/a/z.txt", "/a/y.txt"] {
        let question = home.wait_for_question(name);
        drop(home.deny(&question));
    }
    assert_eq!(session.finish(SOON).text(), "x\ny\n");
    assert_eq!(home.events("approval.asked").len(), 3);
}

#[test]
fn deleting_is_never_leased() {
    needs_cells!();
    let home = Home::new();
    home.write("a/x.txt", "x\n");
    let once = "\"lease\": {\"scope\": \"once\", \"max_seconds\": 300}";
    let task = "\"lease\": {\"scope\": \"task\", \"max_seconds\": 3600}";
    let policy = policy(&home, &[(once, task)]);
    let session = under(&home, &policy, "rm a/x.txt; : ");
    let question = home.wait_for_question("/a/x.txt");
    assert_eq!(
        question["requirement"]["lease"]["scope"], "once",
        "{question}"
    );
    assert_eq!(question["grant"]["constraints"]["single_use"], true);
    drop(home.deny(&question));
    drop(session.finish(SOON));
    assert!(home.path("a/x.txt").exists());
}
