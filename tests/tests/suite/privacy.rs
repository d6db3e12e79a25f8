//! What the log says of people: secrets never, names as policy says, originals sealed to auditors, and every opening logged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use valetkey_tests::Home;

use super::needs_cells;

const AUDITOR: (&str, &str) = (
    "AGE-SECRET-KEY-1UP3FR6FURJ2YXH0R46XDCY5WXZVVHQWKGTDN4S3D60N8SWYGYFRS68RDN9",
    "age1m00zfpsr0scgv9vq6ca87q9yqc8zpu9zv5g2uttrjlm09g6jty3qgl7j74",
);
const OTHER: &str = "AGE-SECRET-KEY-19DV8CL4A4JR7TEW0FHHG64AMZQG27MRG98EWD9E0PXF0JCR8TR8SGADLY8";

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A file that nobody else may read.
fn private(home: &Home, path: &Path, content: &str) {
    home.make_dir(path.parent().expect("a directory"));
    fs::write(path, content).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode");
}

/// Every byte that lies in a directory.
fn everything(dir: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(dir).expect("list") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            all.push_str(&everything(&path));
        } else {
            all.push_str(&String::from_utf8_lossy(&fs::read(&path).expect("read")));
        }
    }
    all
}

#[test]
fn no_secret_and_no_address_that_is_written_down_gets_into_the_log() {
    needs_cells!();
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    home.write("notes.txt", "notes\n");
    let work = home.path("work");
    let purpose = "as ann@example.com said: password=hunter2plus, then go on";
    let options = ["--workspace", text(&work), "--purpose", purpose];
    let token = "ghp_0123456789abcdefghij0123456789abcdef";
    let script = format!(
        "cat work/a.txt; echo b > work/{token}; \"$VALETKEY/bin/valetkey\" ask ~/notes.txt=read --because 'token {token}' --wait 0; true"
    );
    let session = home.run(&options, &["sh", "-c", &script]).start();
    drop(session.finish(Duration::from_secs(20)).ok());
    drop(home.valetkey(["stop"]).done().ok());
    let opened = &home.events("session.opened")[0];
    assert_eq!(
        opened["justification"],
        "as [masked] said: password=[masked], then go on"
    );
    let log = everything(&home.state().join("state/log"));
    for secret in ["hunter2", "ann@", "ghp_"] {
        assert!(!log.contains(secret), "{secret}");
    }
    // The person's own log keeps the names of their files, and a hash where a name was a token.
    assert!(log.contains("/work/a.txt") && log.contains("/work/hmac-"));
    home.verify();
}

#[test]
fn what_is_sealed_is_opened_by_an_auditor_alone_and_every_opening_is_logged_first() {
    needs_cells!();
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    let work = home.path("work");
    let rules =
        r#"{"fields": {"user": "seal"}, "resources": [{"match": "file:/**", "then": "seal"}]}"#;
    private(&home, &home.state().join("state/audit.json"), rules);
    let broker = home.start_broker();
    let words = ["audit", "auditor", "add", "ann", "--key", AUDITOR.1];
    drop(home.valetkey(words).done().ok());
    assert!(
        home.valetkey(["audit", "auditor", "add", "bob", "--key", "age1qq"])
            .done()
            .code()
            == 1
    );
    let listed = home
        .valetkey(["audit", "auditor", "list", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(listed["auditors"][0]["recipient"], AUDITOR.1);
    let options = ["--workspace", text(&work)];
    drop(home.run(&options, &["cat", "work/a.txt"]).done().ok());
    // Nothing of who and where is in the log, and it is found by whoever has the key.
    let opened = home.events("session.opened").pop().expect("a session");
    assert!(
        opened["user"]["uid"].is_null()
            && opened["user"]["name"]
                .as_str()
                .expect("text")
                .starts_with("hmac-")
    );
    let file = home.path("work/a.txt");
    let log = everything(&home.state().join("state/log"));
    assert!(
        !log.contains("/work/a.txt") && !log.contains(text(&work)),
        "a name is left"
    );
    let pattern = format!("{}/**", text(&work));
    let query = [
        "audit",
        "query",
        "--resource",
        &pattern,
        "--type",
        "operation",
        "--json",
    ];
    let found = home.valetkey(query).done().ok().text();
    let event = found.lines().next().expect("an event");
    let event: serde_json::Value = serde_json::from_str(event).expect("JSON");
    let blind = home.outside("blind.key");
    private(&home, &blind, &"x".repeat(32));
    let without = home
        .valetkey([&query[..], &["--privacy-key", text(&blind)]].concat())
        .done()
        .ok();
    assert_eq!(without.text(), "", "without the key");

    // An auditor opens it; somebody else does not; both are in the reviewers' log.
    let seq = event["seq"].to_string();
    let (own, others) = (home.outside("ann.age"), home.outside("other.age"));
    private(&home, &own, &format!("# ann\n{}\n", AUDITOR.0));
    private(&home, &others, OTHER);
    let unseal = |key: &Path| {
        let words = [
            "audit",
            "unseal",
            &seq,
            "--because",
            "ticket 7, password=hunter2plus",
            "--json",
            "--key",
        ];
        home.valetkey([&words[..], &[text(key)]].concat()).done()
    };
    assert_eq!(unseal(&others).code(), 3);
    let shown = unseal(&own).ok().json();
    assert_eq!(
        shown["originals"]["resource"],
        format!("file:{}", text(&file))
    );
    let reviewed = home.state().join("state/reviewer");
    let (dir, key) = (reviewed.join("log"), reviewed.join("reviewer.vkey"));
    let tail = home
        .valetkey([
            "audit",
            "tail",
            "--log",
            text(&dir),
            "--type",
            "reviewer",
            "--json",
        ])
        .done()
        .ok();
    let tail = tail.text();
    let kinds: Vec<_> = tail
        .lines()
        .map(|line| line.contains("\"reviewer.unsealed\""))
        .collect();
    assert_eq!(kinds, [false, true]);
    assert!(
        tail.contains(event["event_id"].as_str().expect("text"))
            && tail.contains("ticket 7")
            && !tail.contains("hunter2")
    );
    let verify = [
        "audit",
        "verify",
        "--log",
        text(&dir),
        "--key",
        text(&key),
        "--json",
    ];
    assert_eq!(
        home.valetkey(verify).done().ok().json()["verdict"],
        "intact"
    );
    // Where it cannot be recorded, nothing is shown.
    fs::write(reviewed.join("reviewer.key"), "short").expect("write");
    let refused = unseal(&own);
    assert!(
        refused.code() == 1 && !refused.text().contains("a.txt"),
        "{}",
        refused.text()
    );

    // What is thrown away is away; the log is what it was.
    let name = opened["user"]["name"].as_str().expect("text");
    let erase = [
        "audit",
        "erase",
        "--user",
        name,
        "--because",
        "asked for by mail",
        "--json",
    ];
    let erased = home.valetkey(erase).done().ok().json();
    assert!(erased["originals"].as_u64().expect("a number") > 0);
    assert_eq!(home.events("log.erased").len(), 1);
    fs::remove_file(reviewed.join("reviewer.key")).expect("remove");
    assert!(unseal(&own).errors().contains("erased"));
    drop(broker);
    home.verify();
}

#[test]
fn rules_that_cannot_be_read_start_no_broker() {
    let home = Home::new();
    let rules = r#"{"fields": {"usr": "hash"}}"#;
    private(&home, &home.state().join("state/audit.json"), rules);
    assert!(home.try_start_broker().is_none());
}
