//! Witnesses and verifiers of another maker: PyPI `aics-witness` and `aics-tlog`, as `tests/witness/requirements.txt` pins them.
//!
//! `VALETKEY_TEST_AICS` names the directory of their programs, such as the `bin` of a virtual environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use valetkey_tests::{Call, Home, Started, skipped};

use super::needs_cells;

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Where the programs are.
fn aics(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("VALETKEY_TEST_AICS").map(PathBuf::from);
    if named.is_none() {
        skipped(test, "there is no aics-witness (VALETKEY_TEST_AICS)");
    }
    named
}

fn told() -> Home {
    let home = Home::new();
    more(&home);
    home
}

fn more(home: &Home) {
    drop(home.run(&["--no-prompt"], &["true"]).done().ok());
    drop(home.valetkey(["stop"]).done().ok());
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Their witness, for the log of this home.
struct Theirs {
    vkey: String,
    url: String,
    _serving: Started,
}

impl Theirs {
    fn start(home: &Home, programs: &Path) -> Self {
        let config = home.outside("theirs.json");
        let run = |words: &[&str]| {
            let program = programs.join("aics-witness");
            let output = home
                .command(program)
                .args(words)
                .output()
                .expect("aics-witness");
            assert!(output.status.success(), "{words:?}: {}", said(&output));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let config = text(&config);
        let init = run(&["init", "--config", config, "--name", "theirs.test/w1"]);
        let vkey = init.lines().last().expect("a key").to_owned();
        let log = std::fs::read_to_string(home.state().join("state/log.vkey")).expect("the key");
        let log = log.trim();
        let origin = log.split('+').next().expect("a name");
        run(&[
            "add-log", "--config", config, "--origin", origin, "--vkey", log,
        ]);
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = port.local_addr().expect("an address").to_string();
        drop(port);
        let serve = Call::new(home.command(programs.join("aics-witness")));
        let serve = serve.args(["serve", "--config", config, "--listen", &address]);
        let serving = serve.start();
        valetkey_tests::until("their witness", Duration::from_secs(20), || {
            std::net::TcpStream::connect(&address).ok()
        });
        Self {
            vkey,
            url: format!("http://{address}"),
            _serving: serving,
        }
    }
}

#[test]
fn a_witness_of_another_maker_cosigns_our_log_and_a_verifier_agrees() {
    needs_cells!();
    let Some(programs) = aics("a_witness_of_another_maker_cosigns_our_log_and_a_verifier_agrees")
    else {
        return;
    };
    let home = told();
    let other = Home::new();
    std::fs::remove_dir_all(other.state()).expect("room");
    let copied = other
        .command("cp")
        .arg("-a")
        .arg(home.state())
        .arg(other.state())
        .status();
    assert!(copied.expect("cp").success());
    let theirs = Theirs::start(&home, &programs);
    let policy = home.write(
        "policy",
        format!("witness w {} {}\nquorum w\n", theirs.vkey, theirs.url),
    );
    let note = home.path("note");
    let ask = |history: &Home| {
        history.valetkey([
            "audit",
            "witness",
            "--witness-policy",
            text(&policy),
            "--out",
            text(&note),
        ])
    };
    drop(ask(&home).done().ok());
    more(&home);
    drop(ask(&home).done().ok());
    let since = [
        "audit",
        "verify",
        "--since",
        text(&note),
        "--witness-policy",
        text(&policy),
    ];
    drop(home.valetkey(since).done().ok());
    // Their verifier: the note with both our signatures and theirs, and an event in our tiles.
    let key = std::fs::read_to_string(home.state().join("state/log.vkey")).expect("the key");
    let (key, tiles) = (key.trim(), home.path("tiles"));
    drop(
        home.valetkey(["audit", "tiles", "--to", text(&tiles)])
            .done()
            .ok(),
    );
    let verify = |words: &[&str]| {
        let program = home
            .command(programs.join("aics-tlog"))
            .args(words)
            .output();
        program.expect("aics-tlog")
    };
    let cosigned = [
        "verify-checkpoint",
        "--note",
        text(&note),
        "--log-key",
        key,
        "--witness-key",
        &theirs.vkey,
        "--quorum",
        "1",
    ];
    let agreed = verify(&cosigned);
    assert!(agreed.status.success(), "{}", said(&agreed));
    let entry = home.path("entry");
    let included = [
        "verify-inclusion",
        "--tiles",
        text(&tiles),
        "--log-key",
        key,
        "--index",
        "3",
        "--entry-out",
        text(&entry),
    ];
    let agreed = verify(&included);
    assert!(agreed.status.success(), "{}", said(&agreed));
    let event: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&entry).expect("an entry")).expect("JSON");
    assert_eq!(event, home.trail()[3]);
    // The same history gone on with by somebody else is none to their witness.
    more(&other);
    more(&other);
    let ended = ask(&other).done().expect(4);
    assert!(ended.errors().contains("of this log"), "{}", ended.errors());
}

#[test]
fn our_witness_cosigns_a_log_of_another_maker() {
    let Some(programs) = aics("our_witness_cosigns_a_log_of_another_maker") else {
        return;
    };
    let home = Home::new();
    let feed = |url: &str, vkey: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("witness/feed.py");
        let output = Command::new(programs.join("python"))
            .arg(script)
            .args([url, vkey, "seed"])
            .output();
        let output = output.expect("python");
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let log = feed("key", "");
    let (state, key) = (home.outside("state"), home.outside("key"));
    let of = ["--state", text(&state), "--key", text(&key)];
    let init = home
        .valetkey(["witness", "init", "--name", "ours.test/w1"])
        .args(of);
    let vkey = init.done().ok().text();
    let serve = home.valetkey([
        "witness",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log",
        log.trim(),
    ]);
    let mut serving = serve.args(of).start();
    serving.wait_for("ready", Duration::from_secs(20));
    let said = serving.output();
    let url = said.trim().strip_prefix("ready ").expect("an address");
    assert_eq!(feed(url, vkey.trim()), "first\ncontinued\nrefused 422\n");
}
