//! The agent door outside of cells: who speaks there is attested by its executable, and what it holds ends with it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use valetkey_tests::{Device, Home, Started, id, is_root, outside_program, until};

const SOON: Duration = Duration::from_secs(30);

/// A home with a broker that was started by itself, and an agent program in it.
pub(crate) struct House {
    pub(crate) home: Home,
    pub(crate) agent: PathBuf,
    broker: Started,
}

impl House {
    pub(crate) fn new(home: Home) -> Self {
        let agent = home.bring(outside_program(), "bin/Some-Agent");
        let daemon = home.command(home.program("valetkeyd"));
        let mut broker = valetkey_tests::Call::new(daemon).start();
        broker.wait_for("ready", SOON);
        Self {
            home,
            agent,
            broker,
        }
    }

    fn socket(&self) -> PathBuf {
        self.home.state().join("run/agent.sock")
    }

    /// A process of a program, ready to speak.
    pub(crate) fn start(&self, program: &Path) -> Outsider {
        let command = self.home.command(program);
        let mut process = valetkey_tests::Call::new(command)
            .arg(self.socket())
            .open_input()
            .start();
        process.wait_for("ready", SOON);
        Outsider {
            process,
            answered: 0,
        }
    }

    /// A copy of the agent with bytes at its end that no loader looks at.
    fn other_program(&self, name: &str) -> PathBuf {
        let mut bytes = fs::read(&self.agent).expect("read");
        bytes.extend(b"another build");
        let path = self.home.write(&format!("bin/{name}"), bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }
}

/// A process outside of any cell that speaks at the door.
pub(crate) struct Outsider {
    process: Started,
    answered: usize,
}

impl Outsider {
    pub(crate) fn call(&mut self, line: &str) -> (u16, Value) {
        self.process.write(format!("{line}\n").as_bytes());
        self.answer()
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.call(&format!("POST {path} {body}"))
    }

    fn answer(&mut self) -> (u16, Value) {
        let line = until(
            "an answer at the agent door",
            Duration::from_secs(60),
            || {
                let output = self.process.output();
                let whole = output.rfind('\n').map_or("", |end| &output[..end]);
                let mut answers = whole.split('\n').filter(|line| *line != "ready");
                answers.nth(self.answered).map(str::to_owned)
            },
        );
        self.answered += 1;
        let mut words = line.splitn(3, ' ');
        let status = words.next().expect("a status").parse().expect("a number");
        let body = words.nth(1).expect("a body");
        (status, serde_json::from_str(body).expect("JSON"))
    }

    /// Whether it is answered as one who was attested.
    fn is_let_in(&mut self) -> bool {
        self.call("GET /v1/denials").0 == 200
    }
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("run");
    let text = String::from_utf8(output.stdout).expect("text");
    format!("sha256:{}", text.split(' ').next().expect("a digest"))
}

/// The homes of everybody who can be had here.
fn houses() -> Vec<House> {
    let mut homes = vec![Home::new()];
    if is_root() {
        homes.push(Home::of_ordinary_user(Device::Host));
    }
    homes.into_iter().map(House::new).collect()
}

/// The processes whose parent is one of these, by the kernel's own word.
fn children_of(parent: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((head, fields)) = stat.rsplit_once(')') else {
            continue;
        };
        let mut fields = fields.split_whitespace();
        let is_dead = fields.next() == Some("Z");
        let is_child = fields.next() == Some(parent.as_raw_nonzero().to_string().as_str());
        let number = head.split(' ').next().and_then(|text| text.parse().ok());
        if let (false, true, Some(pid)) = (is_dead, is_child, number.and_then(Pid::from_raw)) {
            found.push(pid);
        }
    }
    found
}

/// The broker's keeper of attestors, and its attestors.
fn attestors(house: &House) -> (Pid, Vec<Pid>) {
    until("a keeper with its attestors", SOON, || {
        let keeper = *children_of(house.home.broker()).first()?;
        let attestors = children_of(keeper);
        (attestors.len() == 4).then_some((keeper, attestors))
    })
}

#[test]
fn a_process_outside_is_who_its_executable_is() {
    for house in houses() {
        let copy = house.home.bring(&house.agent, "bin/renamed");
        let other = house.other_program("some-agent-2");
        for (program, name) in [
            (&house.agent, "some-agent"),
            (&copy, "renamed"),
            (&other, "some-agent-2"),
        ] {
            let mut outsider = house.start(program);
            assert!(outsider.is_let_in());
            let opened = house
                .home
                .wait_for_event("session.opened", |event| event["agent_id"] == name);
            assert_eq!(opened["evidence"]["process_hash"], sha256(program).as_str());
            assert_eq!(opened["attributes"]["attested"], true);
            assert_eq!(opened["actor"], "agent");
            let path = program.to_str().expect("text");
            assert_eq!(opened["attributes"]["executable"], path);
        }
        assert_eq!(sha256(&house.agent), sha256(&copy));
        assert_ne!(sha256(&house.agent), sha256(&other));
        house.home.verify();
    }
}

#[test]
fn executing_another_program_after_connecting_makes_another_agent() {
    for house in houses() {
        let other = house.other_program("trusted-agent");
        let mut outsider = house.start(&house.agent);
        let wanted = format!("file:{}", house.home.path("notes").display());
        let ask = json!({"resource": wanted, "actions": ["metadata"]});
        let (status, first) = outsider.post("/v1/requests", &ask);
        assert_eq!(
            (status, &first["state"]),
            (200, &json!("granted")),
            "{first}"
        );
        let session = first["capability"]["session"].clone();
        // The connection is made before, the call on it after.
        outsider
            .process
            .write(format!("exec {}\n", other.display()).as_bytes());
        let (status, held) = outsider.call("GET /v1/capabilities");
        assert_eq!((status, held), (200, json!({"capabilities": []})));
        let home = &house.home;
        let closed = home.wait_for_event("session.closed", |event| event["session"] == session);
        assert_eq!(
            closed["attributes"]["how"],
            "its process runs another program"
        );
        let opened = home.wait_for_event("session.opened", |event| {
            event["agent_id"] == "trusted-agent"
        });
        assert_eq!(opened["evidence"]["process_hash"], sha256(&other).as_str());
        let listed = home.valetkey(["caps", "list", "--json"]).done().ok().json();
        assert_eq!(listed.as_array().map(Vec::len), Some(0), "{listed}");
    }
}

#[test]
fn a_connection_that_outlives_its_process_speaks_for_nobody() {
    for house in houses() {
        let mut outsider = house.start(&house.agent);
        let (status, problem) = outsider.call("orphan GET /v1/denials");
        assert_eq!(status, 403, "{problem}");
        assert!(house.home.events("session.opened").is_empty());
    }
}

#[test]
fn what_cannot_be_looked_at_is_refused() {
    for (house, is_ordinary) in houses().into_iter().zip([false, true]) {
        let mut memory = house.start(&house.agent);
        memory.process.write(b"memory\n");
        let (status, problem) = memory.call("GET /v1/denials");
        assert_eq!(status, 403, "{problem}");
        let gone = house.home.bring(&house.agent, "bin/gone");
        let mut deleted = house.start(&gone);
        fs::remove_file(&gone).expect("remove");
        let (status, problem) = deleted.call("GET /v1/denials");
        assert_eq!(status, 403, "{problem}");
        assert!(
            problem["detail"]
                .as_str()
                .expect("text")
                .contains("deleted")
        );
        if is_ordinary {
            let mut hidden = house.start(&house.agent);
            hidden.process.write(b"hide\n");
            let (status, problem) = hidden.call("GET /v1/denials");
            assert_eq!(status, 403, "{problem}");
        }
        assert!(house.home.events("session.opened").is_empty());
        // The control: the same program, to be seen.
        assert!(house.start(&house.agent).is_let_in());
    }
}

#[test]
fn without_attestors_nobody_is_let_in_and_dead_ones_are_replaced() {
    let house = House::new(Home::new());
    let (keeper, first) = attestors(&house);
    for attestor in &first {
        kill_process(*attestor, Signal::KILL).expect("kill");
    }
    let (same, second) = until("other attestors", SOON, || {
        let found = attestors(&house);
        found
            .1
            .iter()
            .all(|pid| !first.contains(pid))
            .then_some(found)
    });
    assert_eq!(same, keeper);
    assert!(house.start(&house.agent).is_let_in());
    // Its keeper is held up, so nobody replaces them: refused, and not for ever waited for.
    kill_process(keeper, Signal::STOP).expect("stop");
    for attestor in &second {
        kill_process(*attestor, Signal::KILL).expect("kill");
    }
    let mut outsider = house.start(&house.agent);
    let (status, problem) = outsider.call("GET /v1/denials");
    assert_eq!(status, 503, "{problem}");
    kill_process(keeper, Signal::CONT).expect("continue");
    until("it is let in again", Duration::from_secs(60), || {
        outsider.is_let_in().then_some(())
    });
    // Without the keeper it stays so, and somebody is told.
    kill_process(keeper, Signal::KILL).expect("kill");
    let reason = |event: &Value| {
        let reason = event["attributes"]["reason"].as_str().unwrap_or_default();
        reason.contains("keeper")
    };
    drop(house.home.wait_for_event("alert.raised", reason));
    until("it is refused", SOON, || {
        (outsider.call("GET /v1/denials").0 == 503).then_some(())
    });
    assert!(house.home.status().is_some(), "the broker goes on");
}

#[test]
fn attestors_end_with_their_broker_and_have_no_rights_to_spare() {
    for mut house in houses() {
        let (keeper, attestors) = attestors(&house);
        for pid in attestors.iter().chain([&keeper]) {
            let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))
                .expect("its status");
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.expect(name).trim_start_matches(':').trim().to_owned()
            };
            assert_eq!(
                (field("Seccomp"), field("NoNewPrivs")),
                ("2".into(), "1".into())
            );
            let is_root = field("Uid").starts_with("0\t");
            // An ordinary user cannot lower the bounding set, and gains nothing from it without new privileges.
            let sets = ["CapInh", "CapAmb", "CapBnd"];
            for set in &sets[..if is_root { 3 } else { 2 }] {
                assert_eq!(field(set), "0000000000000000", "{set}");
            }
            // Root's may look at processes with more capabilities than their own, and nothing else.
            let looking = if is_root {
                "0000000000080000"
            } else {
                "0000000000000000"
            };
            assert_eq!(
                (field("CapEff"), field("CapPrm")),
                (looking.into(), looking.into())
            );
        }
        kill_process(house.home.broker(), Signal::KILL).expect("kill");
        until("the broker's end", SOON, || {
            (!house.broker.is_running()).then_some(())
        });
        until("their end", SOON, || {
            let is_gone = |pid: &Pid| {
                let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
                stat.map_or(true, |stat| stat.contains(") Z "))
            };
            attestors.iter().chain([&keeper]).all(is_gone).then_some(())
        });
    }
}

/// The claims of a token, by a library that shares no code with the broker, and the keys that the door gives.
fn claims(keys: &Value, token: &str) -> Value {
    let set: JwkSet = serde_json::from_value(keys.clone()).expect("a key set");
    let header = jsonwebtoken::decode_header(token).expect("a header");
    assert_eq!(header.alg, Algorithm::EdDSA);
    let key = set.find(&header.kid.expect("a key id")).expect("the key");
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&["valetkey-guard"]);
    let key = DecodingKey::from_jwk(key).expect("a key");
    let decoded = jsonwebtoken::decode::<Value>(token, &key, &rules);
    decoded.expect("a token that verifies").claims
}

#[test]
fn a_person_is_asked_and_the_token_verifies() {
    for house in houses() {
        let notes = house.home.write("notes.txt", "the notes\n");
        let mut outsider = house.start(&house.agent);
        let ask = json!({"resource": format!("file:{}", notes.display()), "actions": ["read"]});
        let (status, pending) = outsider.post("/v1/requests", &ask);
        assert_eq!(
            (status, &pending["state"]),
            (200, &json!("pending")),
            "{pending}"
        );
        let question = house.home.wait_for_question("notes.txt");
        assert_eq!(question["agent"], "some-agent");
        assert_eq!(question["agent_digest"], sha256(&house.agent).as_str());
        drop(house.home.approve(&question));
        let look = format!("GET /v1/requests/{}?wait=30", id(&question));
        let (status, granted) = outsider.call(&look);
        assert_eq!(
            (status, &granted["state"]),
            (200, &json!("granted")),
            "{granted}"
        );
        let (_, keys) = outsider.call("GET /.well-known/jwks.json");
        let token = granted["token"].as_str().expect("a token");
        let claims = claims(&keys, token);
        let capability = &granted["capability"];
        assert_eq!(claims["cnf"]["valetkey_session"], capability["session"]);
        assert_eq!(claims["jti"], capability["capability_id"]);
        assert_eq!(claims["sub"], "some-agent");
        let minted = house.home.wait_for_event("capability.minted", |_| true);
        assert_eq!(
            minted["evidence"]["process_hash"],
            sha256(&house.agent).as_str()
        );
        // Less of it is made, and no more.
        let held = capability["capability_id"].as_str().expect("an id");
        let narrow = format!("/v1/capabilities/{held}/narrow");
        let (status, less) = outsider.post(&narrow, &json!({"constraints": {"max_bytes": 3}}));
        assert_eq!(status, 200, "{less}");
        let token = less["token"].as_str().expect("a token");
        assert_eq!(self::claims(&keys, token)["parent"], held);
        assert_eq!(
            outsider.post(&narrow, &json!({"actions": ["write"]})).0,
            403
        );
        // It is given back, once, and with it what was made of it.
        let release = format!("POST /v1/capabilities/{held}/release");
        assert_eq!(outsider.call(&release).0, 200);
        assert_eq!(outsider.call(&release).0, 404);
        let (_, left) = outsider.call("GET /v1/capabilities");
        assert_eq!(left, json!({"capabilities": []}));
    }
}

#[test]
fn a_refusal_says_how_to_ask_and_is_kept_for_its_process_alone() {
    let house = House::new(Home::new());
    let secret = house.home.write("secret.txt", "x");
    let mut outsider = house.start(&house.agent);
    let ask = json!({"resource": format!("file:{}", secret.display()), "actions": ["read"]});
    let (_, pending) = outsider.post("/v1/requests", &ask);
    drop(house.home.deny(&house.home.wait_for_question("secret.txt")));
    let asked = pending["request_id"].as_str().expect("an id");
    let (status, problem) = outsider.call(&format!("GET /v1/requests/{asked}?wait=30"));
    assert_eq!(
        (status, &problem["type"]),
        (403, &json!("urn:valetkey:problem:denied"))
    );
    let ask = json!({"resource": "file:/srv/elsewhere", "actions": ["read"]});
    let (status, problem) = outsider.post("/v1/requests", &ask);
    assert_eq!(
        (status, &problem["requestable"]),
        (403, &json!(true)),
        "{problem}"
    );
    let how = problem["how_to_request"].as_str().expect("a hint");
    assert!(how.contains("POST /v1/requests at this socket"), "{how}");
    let (_, kept) = outsider.call("GET /v1/denials");
    assert_eq!(kept["denials"].as_array().map(Vec::len), Some(2), "{kept}");
    let mut other = house.start(&house.agent);
    let (_, none) = other.call("GET /v1/denials");
    assert_eq!(none, json!({"denials": []}));
    assert_eq!(other.call(&format!("GET /v1/requests/{asked}")).0, 404);
    assert_eq!(other.call("GET /v1/operations").0, 404);
    assert_eq!(
        other
            .post(
                "/v1/requests",
                &json!({"resource": "file:/a", "actions": []})
            )
            .0,
        400
    );
}

#[test]
fn many_processes_ask_a_person_no_more_than_one() {
    let house = House::new(Home::new());
    let ask = |outsider: &mut Outsider, name: &str, action: &str| {
        let resource = format!("file:{}", house.home.path(name).display());
        let ask = json!({"resource": resource, "actions": [action]});
        outsider.post("/v1/requests", &ask)
    };
    let mut askers = [house.start(&house.agent), house.start(&house.agent)];
    for number in 0..32 {
        let asker = &mut askers[number % 2];
        let (_, answer) = ask(asker, &format!("notes-{number}"), "read");
        assert_eq!(answer["state"], "pending", "{answer}");
    }
    let mut third = house.start(&house.agent);
    let (status, problem) = ask(&mut third, "more", "read");
    assert_eq!(
        (status, &problem["requestable"]),
        (403, &json!(true)),
        "{problem}"
    );
    // Those that are like each other may be in one question; no more than so many are asked for in all.
    let asked = |question: &Value| 1 + question["also"].as_array().map_or(0, Vec::len);
    let open = until("all questions", SOON, || {
        let open = house.home.questions();
        (open.iter().map(asked).sum::<usize>() >= 32).then_some(open)
    });
    assert_eq!(open.iter().map(asked).sum::<usize>(), 32);
    // What policy gives without asking is given all the same.
    assert_eq!(ask(&mut third, "more", "metadata").1["state"], "granted");
    drop(house.home.deny(&open[0]));
    assert_eq!(ask(&mut third, "more", "read").1["state"], "pending");
}

#[test]
fn what_a_process_holds_ends_with_it() {
    for house in houses() {
        let wanted = format!("file:{}", house.home.path("notes").display());
        let ask = json!({"resource": wanted, "actions": ["metadata"]});
        let mut outsider = house.start(&house.agent);
        let (_, granted) = outsider.post("/v1/requests", &ask);
        let session = granted["capability"]["session"].clone();
        let live = || {
            let listed = house.home.valetkey(["caps", "list", "--json"]).done();
            listed.ok().json().as_array().map(Vec::len)
        };
        assert_eq!(live(), Some(1));
        let question = house.home.write("open.txt", "x");
        let ask = json!({"resource": format!("file:{}", question.display()), "actions": ["read"]});
        drop(outsider.post("/v1/requests", &ask));
        drop(house.home.wait_for_question("open.txt"));
        outsider.process.signal(Signal::KILL);
        until("its capability's end", SOON, || {
            (live() == Some(0)).then_some(())
        });
        until("its question's end", SOON, || {
            house.home.questions().is_empty().then_some(())
        });
        let home = &house.home;
        let closed = home.wait_for_event("session.closed", |event| event["session"] == session);
        assert_eq!(closed["attributes"]["how"], "its process ended");
    }
}

/// One call of this very process, with the whole answer as text.
fn raw(socket: &Path, text: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("connect");
    stream.write_all(text.as_bytes()).expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn a_process_that_speaks_for_itself_is_no_guard() {
    let house = House::new(Home::new());
    let call = |socket: &Path, line: &str, body: &str| {
        let length = body.len();
        raw(
            socket,
            &format!(
                "{line} HTTP/1.1\r\nhost: localhost\r\nx-request-id: mine-1\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        )
    };
    let answer = call(&house.socket(), "GET /v1/capabilities", "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("x-request-id: mine-1\r\n"), "{answer}");
    let opened = house.home.wait_for_event("session.opened", |_| true);
    let session = opened["session"].as_str().expect("a session");
    let guard = house.home.state().join("run/guard.sock");
    let answer = call(
        &guard,
        &format!("POST /v1/sessions/{session}/close"),
        r#"{"exit_status":0}"#,
    );
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(house.home.events("session.closed").is_empty());
}
