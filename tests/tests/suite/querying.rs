//! The audit log asked through the program: filters, formats, cause and effect, figures.

use std::time::Duration;

use serde_json::Value;
use valetkey_tests::Home;

use super::needs_cells;

/// A home whose log tells of a session with a file that a person allowed, and one that was denied.
fn lived_in() -> Home {
    let home = Home::new();
    home.write("notes.txt", "notes\n");
    home.write("work/a.txt", "a\n");
    let work = home.path("work");
    let options = ["--workspace", work.to_str().expect("text")];
    let script = "cat work/a.txt; echo b > work/b.txt; cat notes.txt";
    let session = home.run(&options, &["sh", "-c", script]).start();
    let question = home.wait_for_question("/notes.txt");
    drop(home.approve(&question).ok());
    drop(session.finish(Duration::from_secs(20)).ok());
    drop(home.valetkey(["stop"]).done().ok());
    home
}

fn lines(home: &Home, words: &[&str]) -> Vec<String> {
    let text = home.valetkey(words).done().ok().text();
    text.lines().map(str::to_owned).collect()
}

fn events(home: &Home, words: &[&str]) -> Vec<Value> {
    let all = [&["audit", "query", "--format", "ndjson"], words].concat();
    let lines = lines(home, &all);
    lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_query_gives_what_is_asked_for_and_nothing_else() {
    needs_cells!();
    let home = lived_in();
    let trail = home.trail();
    assert_eq!(events(&home, &[]), trail);
    let given = events(&home, &["--type", "approval.given"]);
    assert_eq!(given.len(), 1);
    let session = given[0]["session"].as_str().expect("a session");
    let fits = |name: &'static str, value: &Value| {
        let value = value.clone();
        trail
            .iter()
            .filter(move |event| event[name] == value)
            .count()
    };
    assert_eq!(
        events(&home, &["--session", session]).len(),
        fits("session", &given[0]["session"])
    );
    let allowed = events(&home, &["--decision", "allowed"]);
    assert_eq!(allowed.len(), fits("decision", &"allowed".into()));
    let notes = home.path("notes.txt");
    let about = events(&home, &["--resource", notes.to_str().expect("text")]);
    assert!(about.len() >= 3, "{about:?}");
    assert!(about.iter().all(|event| {
        event["resource"]
            .as_str()
            .expect("one")
            .ends_with("/notes.txt")
    }));
    let family = events(&home, &["--type", "approval", "--type", "log.*"]);
    let of_family = |event: &&Value| {
        let kind = event["type"].as_str().expect("a type");
        kind.starts_with("approval.") || kind.starts_with("log.")
    };
    assert_eq!(family.len(), trail.iter().filter(of_family).count());
    assert_eq!(events(&home, &["--since", "1h"]), trail);
    assert!(events(&home, &["--until", "1h"]).is_empty());
    assert_eq!(
        events(&home, &["--text", "NOTES.txt", "--type", "approval.given"]),
        given
    );
    let last = events(&home, &["-n", "1", "--type", "operation"]);
    assert_eq!(last.last(), events(&home, &["--type", "operation"]).last());
    let tail = lines(
        &home,
        &["audit", "tail", "-n", "2", "--json", "--type", "approval"],
    );
    assert_eq!(tail.len(), 2);
    for wrong in [
        ["--type", "nothing"],
        ["--decision", "perhaps"],
        ["--since", "yesterday"],
        ["--session", "ses-1"],
        ["--resource", "no resource"],
    ] {
        let all = [&["audit", "query"][..], &wrong].concat();
        drop(home.valetkey(all).done().expect(2));
    }
}

#[test]
fn every_format_has_every_event() {
    needs_cells!();
    let home = lived_in();
    let count = home.trail().len();
    for format in ["table", "ndjson", "csv", "ocsf", "ecs", "cef"] {
        let lines = lines(&home, &["audit", "query", "--format", format]);
        let header = usize::from(format == "csv");
        assert_eq!(lines.len(), count + header, "{format}");
        for line in &lines {
            assert!(
                !line.contains(|c: char| c.is_control()),
                "{format}: {line:?}"
            );
        }
    }
    let all = home
        .valetkey(["audit", "query", "--format", "json"])
        .done()
        .ok()
        .json();
    assert_eq!(all.as_array().expect("an array").len(), count);
    let ocsf = lines(
        &home,
        &[
            "audit",
            "query",
            "--format",
            "ocsf",
            "--type",
            "operation.performed",
        ],
    );
    let event: Value = serde_json::from_str(&ocsf[0]).expect("JSON");
    assert_eq!(event["class_uid"], 1001);
}

#[test]
fn a_graph_leads_from_an_operation_back_to_its_session() {
    needs_cells!();
    let home = lived_in();
    let given = events(&home, &["--type", "approval.given"]);
    let id = given[0]["event_id"].as_str().expect("an id");
    let graph = home
        .valetkey(["audit", "graph", id, "--json"])
        .done()
        .ok()
        .json();
    let lines = graph["lines"].as_array().expect("lines");
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| line["event"]["type"].as_str().expect("one"))
        .collect();
    let story = [
        "session.opened",
        "request.decided",
        "approval.asked",
        "approval.given",
        "capability.minted",
    ];
    assert_eq!(kinds.get(..5), Some(&story[..]), "{kinds:?}");
    assert!(kinds.contains(&"operation.performed"), "{kinds:?}");
    let drawn = home.valetkey(["audit", "graph", id]).done().ok().text();
    assert_eq!(drawn.lines().count(), lines.len());
    assert!(drawn.contains("└─ "), "{drawn}");
    drop(home.valetkey(["audit", "graph", "99999"]).done().expect(1));
}

#[test]
fn figures_add_up() {
    needs_cells!();
    let home = lived_in();
    let count = home.trail().len();
    let stats = home
        .valetkey(["audit", "stats", "--json", "--top", "100"])
        .done()
        .ok()
        .json();
    assert_eq!(stats["events"], count);
    let types = stats["types"]["top"].as_array().expect("a group");
    let sum: u64 = types
        .iter()
        .map(|entry| entry["count"].as_u64().expect("a count"))
        .sum();
    assert_eq!(sum, count as u64);
    let words = home.valetkey(["audit", "stats"]).done().ok().text();
    assert!(words.contains("approval.given"), "{words}");
}

#[test]
fn an_index_finds_the_same_and_none_of_it_is_believed() {
    needs_cells!();
    let home = lived_in();
    let queries: [&[&str]; 5] = [
        &["--type", "operation"],
        &["--decision", "allowed", "--type", "approval"],
        &["--resource", "file:/**"],
        &["--user", "nobody-of-this-name"],
        &["--type", "session", "-n", "1"],
    ];
    let before = queries.map(|query| events(&home, query));
    let index = ["audit", "index", "--json"];
    let made = home.valetkey(index).done().ok().json();
    assert_eq!(made["events"], home.trail().len());
    let dir = home.state().join("state/log-index");
    let file = dir.join(format!("{:020}", 0));
    let whole = std::fs::read(&file).expect("an index");
    let same = |what: &str| {
        for (query, before) in queries.iter().zip(&before) {
            assert_eq!(events(&home, query), *before, "{what} {query:?}");
        }
    };
    same("whole");
    // Damaged, cut, empty, of another log, open to others: it counts for nothing.
    for at in (0..whole.len()).step_by(whole.len() / 8) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&file, &changed).expect("write");
        same(&format!("byte {at}"));
    }
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("write");
    same("cut");
    std::fs::write(&file, "").expect("write");
    same("empty");
    // What came after it was made is found, too.
    std::fs::write(&file, &whole).expect("write");
    home.write("work/later.txt", "a\n");
    drop(home.in_workspace("cat later.txt").done().ok());
    drop(home.valetkey(["stop"]).done().ok());
    let later = events(&home, &["--type", "operation", "--no-index"]);
    assert!(later.len() > before[0].len());
    assert_eq!(events(&home, &["--type", "operation"]), later);
    let again = home.valetkey(index).done().ok().json();
    assert_eq!(
        (&again["segments_made"], &again["events"]),
        (&1.into(), &home.trail().len().into())
    );
    // A log that was put in its place is read, not what the index says of the one before.
    let other = lived_in();
    let logs = [&home, &other].map(|home| home.state().join("state/log"));
    let segment = format!("segment-{:020}", 0);
    std::fs::copy(logs[1].join(&segment), logs[0].join(&segment)).expect("copy");
    assert_eq!(
        events(&home, &["--type", "operation"]),
        events(&other, &["--type", "operation"])
    );
}
