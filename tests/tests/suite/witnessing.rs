//! Witnesses through the program: what was cosigned, two histories, and a witness that forgets nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use valetkey_tests::{Call, Home, Started};

use super::needs_cells;

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A witness that serves at a Unix socket.
struct Witness {
    dir: PathBuf,
    name: &'static str,
    vkey: String,
    log: PathBuf,
    serving: Option<Started>,
}

impl Witness {
    fn new(home: &Home, name: &'static str, log: &Path) -> Self {
        let dir = home.outside(name);
        home.make_dir(&dir);
        let mut witness = Self {
            dir,
            name,
            vkey: String::new(),
            log: log.to_path_buf(),
            serving: None,
        };
        witness.vkey = witness.init(home, &[]).done().ok().text().trim().to_owned();
        witness.start(home);
        witness
    }

    fn init(&self, home: &Home, more: &[&str]) -> Call {
        let name = format!("witness.test/{}", self.name);
        home.valetkey(["witness", "init", "--name", &name, "--state"])
            .arg(self.dir.join("state"))
            .arg("--key")
            .arg(self.dir.join("key"))
            .args(more)
    }

    fn serve(&self, home: &Home) -> Call {
        home.valetkey(["witness", "serve", "--listen", &self.url(), "--state"])
            .arg(self.dir.join("state"))
            .arg("--key")
            .arg(self.dir.join("key"))
            .arg("--log")
            .arg(&self.log)
    }

    fn start(&mut self, home: &Home) {
        let mut started = self.serve(home).start();
        started.wait_for("ready", Duration::from_secs(20));
        self.serving = Some(started);
    }

    fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.signal(Signal::KILL);
        }
    }

    fn url(&self) -> String {
        format!("unix:{}", text(&self.dir.join("socket")))
    }

    /// Its line in a policy.
    fn line(&self) -> String {
        format!("witness {} {} {}\n", self.name, self.vkey, self.url())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A home whose log has a short story.
fn told() -> Home {
    let home = Home::new();
    more(&home);
    home
}

/// More of the story.
fn more(home: &Home) {
    drop(home.run(&["--no-prompt"], &["true"]).done().ok());
    drop(home.valetkey(["stop"]).done().ok());
}

fn vkey(home: &Home) -> PathBuf {
    home.state().join("state/log.vkey")
}

fn ask(home: &Home, policy: &Path, out: &Path) -> Call {
    home.valetkey([
        "audit",
        "witness",
        "--witness-policy",
        text(policy),
        "--out",
        text(out),
    ])
}

fn verify(home: &Home, policy: &Path, since: &[&Path]) -> Call {
    let mut call = home.valetkey([
        "audit",
        "verify",
        "--json",
        "--witness-policy",
        text(policy),
    ]);
    for file in since {
        call = call.arg("--since").arg(file);
    }
    call
}

#[test]
fn a_log_is_witnessed_and_verified_against_what_the_witnesses_saw() {
    needs_cells!();
    let home = told();
    let (mut one, two) = (
        Witness::new(&home, "w1", &vkey(&home)),
        Witness::new(&home, "w2", &vkey(&home)),
    );
    let both = home.write(
        "both",
        one.line() + &two.line() + "group all all w1 w2\nquorum all\n",
    );
    let any = home.write(
        "any",
        one.line() + &two.line() + "group any any w1 w2\nquorum any\n",
    );
    let (first, second) = (home.path("first"), home.path("second"));
    drop(ask(&home, &both, &first).done().ok());
    assert_eq!(
        verify(&home, &both, &[&first]).done().ok().json()["verdict"],
        "intact"
    );
    more(&home);
    // It is asked what it cosigned last, and is shown that the log continues that; also after it was killed.
    one.kill();
    one.start(&home);
    drop(ask(&home, &both, &second).done().ok());
    let verified = verify(&home, &both, &[&first, &second]).done().ok().json();
    assert!(
        verified["witnessed"].as_u64() > Some(1_700_000_000),
        "{verified}"
    );
    // A witness that is not there makes no quorum of two.
    one.kill();
    more(&home);
    let third = home.path("third");
    let ended = ask(&home, &both, &third).done().expect(4);
    assert!(
        ended.errors().contains("not cosigned as the policy asks"),
        "{}",
        ended.errors()
    );
    drop(ask(&home, &any, &third).done().ok());
    drop(verify(&home, &both, &[&third]).done().expect(4));
    drop(verify(&home, &any, &[&third]).done().ok());
}

#[test]
fn two_histories_to_two_witnesses_are_found() {
    needs_cells!();
    let home = told();
    let other = Home::new();
    // Every file of the broker, keys and all, in the hands of somebody who goes on with them.
    fs::remove_dir_all(other.state()).expect("room");
    let copied = other
        .command("cp")
        .arg("-a")
        .arg(home.state())
        .arg(other.state())
        .status();
    assert!(copied.expect("cp").success());
    more(&home);
    more(&other);
    assert_eq!(
        fs::read(vkey(&home)).expect("a key"),
        fs::read(vkey(&other)).expect("a key")
    );
    for history in [&home, &other] {
        drop(history.valetkey(["audit", "verify"]).done().ok());
    }
    let (one, two) = (
        Witness::new(&home, "w1", &vkey(&home)),
        Witness::new(&home, "w2", &vkey(&home)),
    );
    let mut notes = Vec::new();
    for (history, witness) in [(&home, &one), (&other, &two)] {
        let alone = home.write(
            witness.name,
            format!("{}quorum {}\n", witness.line(), witness.name),
        );
        let note = home.path(&format!("{}.note", witness.name));
        drop(ask(history, &alone, &note).done().ok());
        notes.push(note);
    }
    // Each witness has seen one history; the other is none to it.
    let both = home.write(
        "both",
        one.line() + &two.line() + "group all all w1 w2\nquorum all\n",
    );
    for history in [&home, &other] {
        let out = home.path("out");
        let ended = ask(history, &both, &out).done().expect(4);
        assert!(ended.errors().contains("of this log"), "{}", ended.errors());
    }
    // Whoever has what both cosigned has the proof.
    let any = home.write(
        "any",
        one.line() + &two.line() + "group any any w1 w2\nquorum any\n",
    );
    for history in [&home, &other] {
        let found = verify(history, &any, &[&notes[0], &notes[1]])
            .done()
            .expect(4)
            .json();
        assert!(
            ["history rewritten", "end of the log missing"]
                .contains(&found["kind"].as_str().expect("a kind")),
            "{found}"
        );
    }
}

#[test]
fn a_log_that_was_cut_is_shorter_than_what_its_witness_saw() {
    needs_cells!();
    let home = told();
    let log = home.state().join("state/log");
    let before = home.outside("before");
    let copied = home.command("cp").arg("-a").arg(&log).arg(&before).status();
    assert!(copied.expect("cp").success());
    more(&home);
    let witness = Witness::new(&home, "w1", &vkey(&home));
    let policy = home.write("policy", witness.line() + "quorum w1\n");
    let note = home.path("note");
    drop(ask(&home, &policy, &note).done().ok());
    let ended = ask(&home, &policy, &home.path("out"))
        .arg("--log")
        .arg(&before)
        .done()
        .expect(4);
    assert!(
        ended.errors().contains("events of this log"),
        "{}",
        ended.errors()
    );
    let found = verify(&home, &policy, &[&note])
        .arg("--log")
        .arg(&before)
        .done()
        .expect(4)
        .json();
    assert_eq!(found["kind"], "end of the log missing");
    // A checkpoint that nobody cosigned is none that the policy lets count.
    let kept = home.valetkey(["audit", "checkpoint"]).done().ok().text();
    let kept = home.write("kept", kept);
    drop(verify(&home, &policy, &[&kept]).done().expect(4));
}

#[test]
fn a_witness_is_one_key_with_one_memory() {
    needs_cells!();
    let home = told();
    let mut witness = Witness::new(&home, "w1", &vkey(&home));
    // Made again, it is the same; a second process of it does not start.
    assert_eq!(witness.init(&home, &[]).done().expect(1).text(), "");
    drop(witness.serve(&home).done().expect(1));
    witness.kill();
    assert_eq!(
        witness.init(&home, &[]).done().ok().text().trim(),
        witness.vkey
    );
    // It listens on this machine alone.
    let open = [
        "witness",
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--log",
        text(&witness.log),
    ];
    drop(
        home.valetkey(open)
            .arg("--state")
            .arg(witness.dir.join("state"))
            .arg("--key")
            .arg(witness.dir.join("key"))
            .done()
            .expect(2),
    );
    // What it cannot read it does not forget, and without its memory it is none.
    let state = witness.dir.join("state");
    let policy = home.write("policy", witness.line() + "quorum w1\n");
    witness.start(&home);
    drop(ask(&home, &policy, &home.path("out")).done().ok());
    witness.kill();
    let entries = fs::read_dir(&state).expect("its memory");
    let of_log = entries
        .map(|entry| entry.expect("a file").path())
        .find(|path| text(path).contains("/log-"))
        .expect("a log's");
    let note = fs::read(&of_log).expect("its note");
    fs::write(&of_log, &note[..10]).expect("cut");
    drop(witness.serve(&home).done().expect(1));
    fs::remove_dir_all(&state).expect("forgotten");
    drop(witness.serve(&home).done().expect(1));
    drop(witness.init(&home, &[]).done().expect(1));
}

/// Everything is allowed; `high.txt` only while the log is witnessed.
const POLICY: &str = r#"package valetkey

decision := {
	"effect": "allow",
	"policy_id": "witnessed",
	"obligations": {"witness": {"max_age_seconds": 600}},
} if {
	endswith(input.request.resource, "/high.txt")
} else := {"effect": "allow", "policy_id": "plain", "except": ["file:/**/high.txt"]}
"#;

#[test]
fn what_wants_a_witness_is_given_when_one_has_seen_the_log() {
    needs_cells!();
    let home = told();
    let witness = Witness::new(&home, "w1", &vkey(&home));
    let policy = witness.line() + "quorum w1\n";
    let own = home.state().join("state/witness.policy");
    fs::write(&own, &policy).expect("a policy");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).expect("mode");
    let policy = home.write("policy", policy);
    let bundle = home.write("bundle/policy.rego", POLICY);
    let bundle = bundle.parent().expect("a directory").to_path_buf();
    home.write("work/high.txt", "high\n");
    home.write("work/low.txt", "low\n");
    let work = home.path("work");
    let read = |file: &str| {
        let options = [
            "--no-prompt",
            "--policy",
            text(&bundle),
            "--workspace",
            text(&work),
        ];
        home.run(&options, &["cat", file]).cwd(&work).done()
    };
    assert_eq!(read("low.txt").ok().text(), "low\n");
    assert_ne!(read("high.txt").code(), 0);
    let decided = home.events("request.decided");
    let told_why = decided.iter().any(|event| {
        event["decision"] == "denied" && event.to_string().contains("no checkpoint was handed in")
    });
    assert!(told_why, "{decided:?}");
    let out = home.path("note");
    drop(ask(&home, &policy, &out).arg("--hand-in").done().ok());
    assert_eq!(read("high.txt").ok().text(), "high\n");
    // It outlives the broker.
    drop(home.valetkey(["stop"]).done().ok());
    assert_eq!(read("high.txt").ok().text(), "high\n");
}
