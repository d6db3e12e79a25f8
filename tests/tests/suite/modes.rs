//! System mode: one broker under a user id of its own, people of its group who see their own and nothing else, and root.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use valetkey_tests::{
    Binaries, Call, Device, Started, activate_program, binaries, id, is_root, scratch, skipped,
    until,
};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(15);
const BROKER: u32 = 61_000;
const GROUP: u32 = 61_100;
pub(super) const ALICE: u32 = 61_001;
pub(super) const BOB: u32 = 61_002;
const STRANGER: u32 = 61_003;
pub(super) const CAROL: u32 = 61_004;

/// A machine with a system broker and its people.
pub(super) struct System {
    root: tempfile::TempDir,
    programs: Binaries,
    broker: Option<Started>,
}

impl System {
    fn new() -> Self {
        let root = scratch();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("open");
        let programs = binaries().copied_to(&root.path().join("bin"));
        let system = Self {
            root,
            programs,
            broker: None,
        };
        for (below, mode) in [
            ("var/lib/valetkey", 0o700),
            ("run/valetkey", 0o750),
            ("etc/valetkey", 0o755),
        ] {
            let dir = system.root.path().join(below);
            fs::create_dir_all(&dir).expect("make");
            chown(&dir, Some(BROKER), Some(GROUP)).expect("give");
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("mode");
        }
        for uid in [ALICE, BOB, CAROL, STRANGER] {
            let home = system.home(uid);
            fs::create_dir_all(&home).expect("make");
            fs::write(home.join("notes.txt"), format!("notes of {uid}\n")).expect("write");
            chown(&home, Some(uid), Some(uid)).expect("give");
            chown(home.join("notes.txt"), Some(uid), Some(uid)).expect("give");
            fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("mode");
        }
        // The built-in policy, in which everything is as the home is: the host does not know these users' homes.
        let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/base/base.rego");
        let text = fs::read_to_string(base).expect("the built-in policy");
        let changed = text.replace("input.resource.in_home", "true");
        assert_ne!(text, changed);
        fs::create_dir_all(system.policy()).expect("make");
        fs::write(system.policy().join("base.rego"), changed).expect("write");
        system
    }

    pub(super) fn started() -> Self {
        let mut system = Self::new();
        system.start();
        system
    }

    fn start(&mut self) {
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={BROKER}"), format!("--regid={GROUP}")])
            .arg("--clear-groups")
            .arg(self.programs.get("valetkeyd"))
            .arg("--system")
            .env_clear()
            .env("VALETKEY_SYSTEM_ROOT", self.root.path())
            .current_dir("/");
        let mut broker = Call::new(command).start();
        broker.wait_for("ready", SOON);
        self.broker = Some(broker);
    }

    pub(super) fn policy(&self) -> PathBuf {
        self.root.path().join("policy")
    }

    pub(super) fn home(&self, uid: u32) -> PathBuf {
        self.root.path().join(format!("home-{uid}"))
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// A program as a user, who is in the broker's group if they are one of its people.
    fn program(&self, uid: u32, program: &std::path::Path) -> Call {
        let mut words: Vec<OsString> = Device::Open.prefix(0);
        if uid != 0 {
            words.push("setpriv".into());
            words.extend([format!("--reuid={uid}"), format!("--regid={uid}")].map(OsString::from));
            words.push(if uid == STRANGER {
                "--clear-groups".into()
            } else {
                format!("--groups={GROUP}").into()
            });
        }
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg(program)
            .env_clear()
            .env(
                "HOME",
                if uid == 0 {
                    PathBuf::from("/root")
                } else {
                    self.home(uid)
                },
            )
            .env("PATH", "/usr/bin:/bin")
            .env("VALETKEY_SYSTEM_ROOT", self.root.path());
        let call = Call::new(command);
        if uid == 0 {
            call
        } else {
            call.cwd(self.home(uid))
        }
    }

    pub(super) fn valetkey<const N: usize>(&self, uid: u32, args: [&str; N]) -> Call {
        self.program(uid, &self.programs.get("valetkey")).args(args)
    }

    pub(super) fn session(&self, uid: u32, script: &str) -> Started {
        let policy = self.policy();
        self.valetkey(
            uid,
            ["run", "--policy", policy.to_str().expect("text"), "--"],
        )
        .args(["sh", "-c", script])
        .open_input()
        .start()
    }

    /// Gives a person an approver key.
    pub(super) fn give_key(&self, uid: u32) {
        let key = ["approver", "init", "--no-passphrase"];
        drop(self.valetkey(uid, key).done().ok());
    }

    pub(super) fn questions(&self, uid: u32) -> Vec<Value> {
        let listed = self
            .valetkey(uid, ["requests", "--json"])
            .done()
            .ok()
            .json();
        listed.as_array().expect("a list").clone()
    }

    pub(super) fn question(&self, uid: u32) -> Value {
        until("a question", SOON, || {
            self.questions(uid).into_iter().next()
        })
    }

    /// One message at the operator door, and the whole answer.
    pub(super) fn at_door(
        &self,
        uid: u32,
        door: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> String {
        let socket = self.path("run/valetkey").join(door);
        let message = format!(
            "{method} {path} HTTP/1.1\r\nhost: valetkey\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let program = self.path("bin/activate");
        if !program.exists() {
            fs::copy(activate_program(), &program).expect("copy");
        }
        let call = self.program(uid, &program);
        call.arg("call").arg(&socket).input(message).done().text()
    }
}

/// Whether the tests of this file can run: they become other users.
pub(super) fn can_become_others(test: &str) -> bool {
    if !is_root() {
        skipped(test, "becoming other users takes root");
    }
    is_root()
}

#[test]
fn a_person_of_the_group_asks_answers_and_takes_back_through_a_system_broker() {
    if !can_become_others("a_person_of_the_group_asks") {
        return;
    }
    needs_cells!();
    let system = System::started();
    let script = "cat notes.txt; echo read; read go; cat notes.txt || echo gone; true";
    let mut session = system.session(ALICE, script);
    let question = system.question(ALICE);
    assert_eq!(question["user"], format!("uid{ALICE}"));
    system.give_key(ALICE);
    let approved = system
        .valetkey(ALICE, ["approve", id(&question)])
        .done()
        .ok();
    assert!(
        approved.errors().contains("is registered as"),
        "{}",
        approved.errors()
    );
    session.wait_for("read", SOON);
    let status = system
        .valetkey(ALICE, ["status", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(
        (&status["mode"], &status["sessions"]),
        (&"system".into(), &1.into())
    );
    let held = system
        .valetkey(ALICE, ["caps", "list", "--json"])
        .done()
        .ok()
        .json();
    assert!(!held.as_array().expect("a list").is_empty());
    drop(
        system
            .valetkey(ALICE, ["caps", "revoke", "--all"])
            .done()
            .ok(),
    );
    session.write(b"go\n");
    let ended = session.finish(SOON).ok();
    let wanted = format!("notes of {ALICE}\nread\ngone\n");
    assert_eq!(ended.text(), wanted, "{}", ended.errors());
    // What the log says is whose it was, and root alone reads and verifies it.
    let verdict = system
        .valetkey(0, ["audit", "verify", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(verdict["verdict"], "intact");
    let tail = system
        .valetkey(0, ["audit", "tail", "-n", "100", "--json"])
        .done()
        .ok();
    let opened = tail.text();
    let opened = opened
        .lines()
        .find(|line| line.contains("session.opened"))
        .expect("an event");
    // Their name is a keyed hash in it, by which root finds them.
    let event: Value = serde_json::from_str(opened).expect("JSON");
    assert!(event["user"]["uid"].is_null(), "{opened}");
    assert!(!opened.contains(&format!("uid{ALICE}")), "{opened}");
    let name = format!("uid{ALICE}");
    let query = ["audit", "query", "--user", &name, "--json"];
    let found = system.valetkey(0, query).done().ok().text();
    assert!(found.contains("session.opened"), "{found}");
}

#[test]
fn people_of_a_system_broker_touch_nothing_of_each_others() {
    if !can_become_others("people_of_a_system_broker") {
        return;
    }
    needs_cells!();
    let system = System::started();
    let mut session = system.session(ALICE, "echo up; cat notes.txt; echo on; read go");
    session.wait_for("up", SOON);
    let question = system.question(ALICE);
    let asked = id(&question);
    let whose = question["session"].as_str().expect("a session");
    // Another of the group sees nothing of it: no question, no session, no capability.
    assert!(system.questions(BOB).is_empty());
    let status = system
        .valetkey(BOB, ["status", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(
        (&status["sessions"], &status["questions"]),
        (&0.into(), &0.into())
    );
    assert!(status["last_error"].is_null());
    // An answer of theirs is one to a question that is not there, at the door itself.
    let answer = format!(
        r#"{{"approval":{{"approval":{{"approval_id":"apr-01JJJJJJJJJJJJJJJJJJJJJJJJ","request_id":"{asked}","asked_digest":"sha256:{}","verdict":"approve","approver":"uid{ALICE}","method":"terminal","justification":null,"time":"2026-01-17T15:12:00.000Z"}},"signature":"AAAA"}}}}"#,
        "0".repeat(64)
    );
    let refused = system.at_door(BOB, "operator.sock", "POST", "/v1/answers", &answer);
    assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
    assert!(refused.contains("no open question"), "{refused}");
    // Root sees it, and cannot answer in the person's place.
    let refused = system.at_door(0, "operator.sock", "POST", "/v1/answers", &answer);
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    assert!(
        refused.contains("only the person whose session it is"),
        "{refused}"
    );
    // Nobody registers for somebody else, or in another role.
    for approver in [
        format!(
            r#"{{"name":"uid{ALICE}","roles":["owner"],"public_key":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
        ),
        format!(
            r#"{{"name":"uid{BOB}","roles":["owner","auditor"],"public_key":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
        ),
    ] {
        let first = format!(r#"{{"first":{approver}}}"#);
        let refused = system.at_door(BOB, "operator.sock", "POST", "/v1/approvers", &first);
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    }
    // At the guard door a session belongs to its guard.
    let targets = [
        (
            "POST",
            format!("/v1/sessions/{whose}/close"),
            r#"{"exit_status":0}"#.to_owned(),
        ),
        (
            "GET",
            format!("/v1/sessions/{whose}/requests/{asked}"),
            String::new(),
        ),
        (
            "POST",
            format!("/v1/sessions/{whose}/requests/{asked}/withdraw"),
            "null".to_owned(),
        ),
        ("GET", format!("/v1/sessions/{whose}/news"), String::new()),
    ];
    for (method, path, body) in &targets {
        for uid in [BOB, 0, ALICE] {
            let refused = system.at_door(uid, "guard.sock", method, path, body);
            assert!(
                refused.starts_with("HTTP/1.1 404"),
                "{path} as {uid}: {refused}"
            );
        }
    }
    system.give_key(ALICE);
    drop(system.valetkey(ALICE, ["approve", asked]).done().ok());
    session.wait_for("on", SOON);
    // What is granted now is neither seen nor taken back by another; their own key is no key of hers.
    assert_eq!(
        system
            .valetkey(BOB, ["caps", "list", "--json"])
            .done()
            .ok()
            .json(),
        Value::Array(Vec::new())
    );
    for what in [["--all", "--all"], ["--session", whose]] {
        let what = if what[0] == what[1] {
            &what[..1]
        } else {
            &what[..]
        };
        let none = system
            .valetkey(BOB, ["caps", "revoke"])
            .args(what)
            .done()
            .expect(1);
        assert!(
            none.errors().contains("no live capability"),
            "{}",
            none.errors()
        );
    }
    drop(system.valetkey(BOB, ["stop"]).done().expect(3));
    let live = system
        .valetkey(0, ["caps", "list", "--json"])
        .done()
        .ok()
        .json();
    assert!(
        !live.as_array().expect("a list").is_empty(),
        "root sees everyone's"
    );
    drop(
        system
            .valetkey(0, ["caps", "revoke", "--session", whose])
            .done()
            .ok(),
    );
    session.write(b"go\n");
    drop(session.finish(SOON));
    drop(system.valetkey(0, ["stop"]).done().ok());
}

#[test]
fn what_is_the_system_brokers_own_is_closed_to_its_people() {
    if !can_become_others("what_is_the_system_brokers_own") {
        return;
    }
    let system = System::started();
    let shell = std::path::Path::new("/bin/sh");
    for own in [
        "var/lib/valetkey/log",
        "var/lib/valetkey/keys/issuer.key",
        "var/lib/valetkey/keys",
        "run/valetkey/handover.sock",
        "run/valetkey/broker.lock",
    ] {
        let path = system.path(own);
        assert!(path.exists(), "{own}");
        let script = format!(
            "cat {0} || ls {0}/ && echo read; echo x >> {0} && echo changed; rm -f {0} && echo removed",
            path.display()
        );
        let tried = system.program(ALICE, shell).args(["-c", &script]).done();
        assert_eq!(tried.text(), "", "{own}: {}", tried.errors());
        assert!(path.exists(), "{own}");
    }
    let audit = system.valetkey(ALICE, ["audit", "verify"]).done().expect(3);
    assert!(
        audit.errors().contains("sudo valetkey audit"),
        "{}",
        audit.errors()
    );
    // A peer of another user is not handed the sockets.
    let replaced = Command::new("setpriv")
        .args([
            format!("--reuid={ALICE}"),
            format!("--regid={GROUP}"),
            "--clear-groups".to_owned(),
        ])
        .arg(system.programs.get("valetkeyd"))
        .args(["--system", "--replace"])
        .env_clear()
        .env("VALETKEY_SYSTEM_ROOT", system.root.path())
        .output()
        .expect("run");
    assert!(!replaced.status.success());
    drop(system.valetkey(ALICE, ["status"]).done().ok());
}

#[test]
fn who_is_not_in_the_group_is_turned_away() {
    if !can_become_others("who_is_not_in_the_group") {
        return;
    }
    let system = System::started();
    for args in [["status", "--json"], ["requests", "--json"]] {
        let refused = system.valetkey(STRANGER, args).done().expect(6);
        assert!(
            refused.errors().contains("is your user in its group"),
            "{}",
            refused.errors()
        );
    }
    let run = system
        .valetkey(STRANGER, ["run", "--", "true"])
        .done()
        .expect(6);
    assert!(run.errors().contains("system's broker"), "{}", run.errors());
    // The directory and the sockets left open by mistake: the broker itself looks who comes.
    fs::set_permissions(
        system.path("run/valetkey"),
        fs::Permissions::from_mode(0o755),
    )
    .expect("mode");
    for door in ["guard.sock", "operator.sock"] {
        let socket = system.path("run/valetkey").join(door);
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("mode");
        let refused = system.at_door(STRANGER, door, "GET", "/v1/status", "");
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        assert!(refused.contains("not in the broker's group"), "{refused}");
    }
    let told = fs::read_to_string(system.path("var/lib/valetkey/diagnostics/valetkeyd.log"))
        .expect("read");
    assert!(
        told.contains("peers turned away since the start: 1"),
        "{told}"
    );
}

#[test]
fn a_cell_is_turned_away_by_a_system_broker_too() {
    if !can_become_others("a_cell_is_turned_away") {
        return;
    }
    needs_cells!();
    let system = System::started();
    // Not even in view; and were it, another user namespace is not served.
    let socket = system.path("run/valetkey/operator.sock");
    let session = system.session(
        ALICE,
        &format!("ls -a {} 2>&1; true", system.path("run/valetkey").display()),
    );
    let ended = session.finish(SOON);
    assert!(!ended.text().contains("operator.sock"), "{}", ended.text());
    assert!(socket.exists());
    let program = system.path("bin/activate");
    fs::copy(activate_program(), &program).expect("copy");
    let inside = system
        .program(ALICE, std::path::Path::new("/usr/bin/unshare"))
        .arg("--user")
        .arg(&program)
        .arg("call")
        .arg(&socket)
        .input("GET /v1/status HTTP/1.1\r\nhost: v\r\nconnection: close\r\n\r\n")
        .done();
    let text = inside.text();
    assert!(
        text.contains("in a namespace of its own"),
        "{text}{}",
        inside.errors()
    );
}
