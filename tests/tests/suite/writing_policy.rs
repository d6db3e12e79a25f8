//! `valetkey policy`: check, test, eval, diff and replay, as a person at a terminal or a CI job runs them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use valetkey_tests::Home;

use super::needs_cells;

const POLICY: &str = "package valetkey\n\ndefault decision := {\"effect\": \"deny\", \"policy_id\": \"team\"}\n\ndecision := {\n\t\"effect\": \"allow\",\n\t\"policy_id\": \"team\",\n\t\"ttl_seconds\": 300,\n} if {\n\tinput.request.actions == [\"read\"]\n\tglob.match(\"file:/srv/drafts/*.md\", [\"/\"], input.request.resource)\n}\n";
const TEST: &str = "package valetkey_test\n\nimport data.valetkey.decision\n\nasks(actions, resource) := {\"request\": {\"resource\": resource, \"actions\": actions}}\n\ntest_drafts_are_read if {\n\tgot := decision with input as asks([\"read\"], \"file:/srv/drafts/a.md\")\n\tgot == {\"effect\": \"allow\", \"policy_id\": \"team\", \"ttl_seconds\": 300}\n}\n\ntest_nothing_else_is if {\n\tevery asked in [asks([\"read\"], \"file:/srv/drafts/a/b.md\"), asks([\"write\"], \"file:/srv/drafts/a.md\")] {\n\t\tgot := decision with input as asked\n\t\tgot == {\"effect\": \"deny\", \"policy_id\": \"team\"}\n\t}\n}\n";

/// A bundle in the home, with these changes to its policy.
fn bundle(home: &Home, name: &str, change: impl Fn(&str) -> String) -> PathBuf {
    let dir = home.path(name);
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("team.rego"), change(POLICY)).expect("a policy");
    fs::write(dir.join("team_test.rego"), TEST).expect("a test");
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let home = Home::new();
    let good = bundle(&home, "good", str::to_owned);
    drop(home.valetkey(["policy", "check", text(&good)]).done().ok());
    let bad = bundle(&home, "bad", |policy| {
        policy.replace("input.request.actions", "input.request.actoins")
    });
    let told = home
        .valetkey(["policy", "check", text(&bad)])
        .done()
        .expect(1);
    let place = format!("{}/team.rego:10:16: error:", text(&bad));
    assert!(told.text().contains(&place), "{}", told.text());
    assert!(
        told.text()
            .contains("did you mean `input.request.actions`?"),
        "{}",
        told.text()
    );
    let found = home
        .valetkey(["policy", "check", "--json", text(&bad)])
        .done()
        .expect(1)
        .json();
    assert_eq!(found["errors"], 1);
    assert_eq!(found["findings"][0]["code"], "unknown-input");
    assert_eq!(found["findings"][0]["line"], 10);
    drop(
        home.valetkey(["policy", "check", "/nowhere"])
            .done()
            .expect(2),
    );
}

#[test]
fn tests_that_fail_and_changes_that_nobody_notices_are_told() {
    let home = Home::new();
    let good = bundle(&home, "good", str::to_owned);
    let report = home.path("junit.xml");
    let _ok = home
        .valetkey([
            "policy",
            "test",
            text(&good),
            "--coverage",
            "--min-coverage",
            "100",
            "--mutate",
            "--min-score",
            "95",
            "--junit",
            text(&report),
        ])
        .done()
        .ok();
    let junit = fs::read_to_string(&report).expect("a report");
    assert!(junit.contains("tests=\"2\" failures=\"0\""), "{junit}");
    // A rule that is undefined makes its test fail; it does not vanish.
    let bad = bundle(&home, "bad", |policy| policy.replace("drafts", "final"));
    let told = home
        .valetkey(["policy", "test", text(&bad), "--json"])
        .done()
        .expect(1)
        .json();
    let tests = told[0]["tests"].as_array().expect("tests");
    let failed: Vec<&Value> = tests
        .iter()
        .filter(|test| test["outcome"] == "failed")
        .collect();
    assert_eq!((tests.len(), failed.len()), (2, 1), "{told}");
    let loose = bundle(&home, "loose", str::to_owned);
    fs::write(
        loose.join("team_test.rego"),
        TEST.split("test_nothing_else_is").next().expect("a part"),
    )
    .expect("a test");
    let told = home
        .valetkey([
            "policy",
            "test",
            text(&loose),
            "--mutate",
            "--min-score",
            "95",
        ])
        .done()
        .expect(1);
    assert!(
        told.text().contains("not noticed: team.rego:10:2"),
        "{}",
        told.text()
    );
}

#[test]
fn a_decision_is_explained_and_its_effect_is_the_status() {
    let home = Home::new();
    let work = home.path("work");
    let eval = |path: &str| {
        ["policy", "eval", "--workspace", text(&work), "--read", path].map(str::to_owned)
    };
    let inside = work.join("a.txt");
    let told = home.valetkey(eval(text(&inside))).done().ok();
    assert!(
        told.text().starts_with("allow by valetkey-base"),
        "{}",
        told.text()
    );
    let told = home.valetkey(eval("/srv/x")).done().expect(3);
    for part in [
        "deny by valetkey-base",
        "`granted`",
        "input.resource.in_workspace = false",
    ] {
        assert!(told.text().contains(part), "{part}: {}", told.text());
    }
    let json = home
        .valetkey([
            "policy",
            "eval",
            "--json",
            "--resource",
            "https://example.com/",
            "--actions",
            "connect",
        ])
        .done()
        .expect(3)
        .json();
    let input = home.path("input.json");
    fs::write(&input, json["input"].to_string()).expect("an input");
    let again = home
        .valetkey(["policy", "eval", "--json", "--input", text(&input)])
        .done()
        .expect(3)
        .json();
    assert_eq!(
        again["explained"]["decision"],
        json["explained"]["decision"]
    );
}

#[test]
fn a_widening_fails_and_is_said_in_one_line() {
    let home = Home::new();
    let before = bundle(&home, "before", str::to_owned);
    let after = bundle(&home, "after", |policy| policy.replace("*.md", "**.md"));
    let told = home
        .valetkey(["policy", "diff", text(&before), text(&after)])
        .done()
        .expect(1);
    let said = told.text();
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with('+')).collect();
    assert_eq!(lines.len(), 1, "{}", told.text());
    assert!(
        lines[0].starts_with("+ agents can now read `file:/srv/drafts/"),
        "{lines:?}"
    );
    let _ok = home
        .valetkey(["policy", "diff", text(&after), text(&before)])
        .done()
        .ok();
    drop(
        home.valetkey([
            "policy",
            "diff",
            "--fail-on",
            "any",
            text(&after),
            text(&before),
        ])
        .done()
        .expect(1),
    );
    let _ok = home
        .valetkey([
            "policy",
            "diff",
            text(&after),
            text(&after),
            "--fail-on",
            "any",
        ])
        .done()
        .ok();
}

#[test]
fn logged_decisions_are_taken_again_byte_for_byte() {
    needs_cells!();
    let home = Home::new();
    let _ok = home.write("work/a.txt", "a\n");
    let _ok = home.write("elsewhere.txt", "b\n");
    let work = home.path("work");
    let grant = format!(
        "{}=read,ttl=1h,max_bytes=1000",
        text(&home.path("elsewhere.txt"))
    );
    let _ok = home.run(
        &["--workspace", text(&work), "--grant", &grant, "--purpose", "to look"],
        &["sh", "-c", "cat work/a.txt elsewhere.txt; cat .ssh/id_rsa; echo x > work/b.txt; rm work/b.txt; true"],
    )
    .done()
    .ok();
    let same = home
        .valetkey(["policy", "replay", "--json"])
        .done()
        .ok()
        .json();
    let count = |name: &str| same[name].as_u64().expect("a number");
    assert!(count("same") >= 2, "{same}");
    assert_eq!(count("changed"), 0, "{same}");
    assert_eq!(count("same"), count("decisions"), "{same}");
    // Another policy decides some otherwise, and each is kept.
    let report = home.path("report.jsonl");
    let other = home
        .valetkey([
            "policy",
            "replay",
            "--against",
            "starter:lockdown",
            "--json",
            "--report",
            text(&report),
        ])
        .done()
        .expect(1)
        .json();
    let changed = other["changed"].as_u64().expect("a number");
    assert!(changed > 0, "{other}");
    let lines = fs::read_to_string(&report).expect("a report");
    assert_eq!(lines.lines().count() as u64, changed);
}

#[test]
fn a_built_in_policy_is_copied_and_is_sound() {
    let home = Home::new();
    let listed = home.valetkey(["policy", "starters"]).done().ok();
    for name in [
        "base",
        "coding-agent",
        "documents",
        "finance",
        "guardrails",
        "lockdown",
    ] {
        assert!(listed.text().contains(name), "{}", listed.text());
        let dir = home.path(&format!("copy-{name}"));
        let _ok = home
            .valetkey(["policy", "starters", name, "--out", text(&dir)])
            .done()
            .ok();
        let _ok = home
            .valetkey(["policy", "check", "--strict", text(&dir)])
            .done()
            .ok();
    }
    // What is there is somebody's work.
    let dir = home.path("copy-base");
    drop(
        home.valetkey(["policy", "starters", "base", "--out", text(&dir)])
            .done()
            .expect(1),
    );
}

#[test]
fn the_chosen_policy_decides_and_a_broken_one_starts_nothing() {
    needs_cells!();
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    let work = home.path("work");
    let reads = |status: i32| {
        let run = home.run(&["--workspace", text(&work)], &["cat", "work/a.txt"]);
        run.done().expect(status)
    };
    drop(reads(0));
    let told = home.valetkey(["init", "lockdown"]).done().ok().text();
    let dir = told
        .split(" is in ")
        .nth(1)
        .and_then(|rest| rest.split(": ").next())
        .map(PathBuf::from)
        .expect("a directory");
    // In lockdown the workspace is not given.
    drop(reads(1));
    // What is there is not replaced unasked, and kept where it is.
    drop(home.valetkey(["init", "base"]).done().expect(1));
    fs::write(
        dir.join("lockdown.rego"),
        "package valetkey\n\ndecision := }\n",
    )
    .expect("a file");
    let refused = reads(2);
    assert!(
        refused.errors().contains("lockdown.rego:3:13"),
        "{}",
        refused.errors()
    );
    let told = home
        .valetkey(["init", "base", "--replace"])
        .done()
        .ok()
        .text();
    assert!(told.contains("what was there is in"), "{told}");
    drop(reads(0));
}
