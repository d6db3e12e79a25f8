//! The agent door: what a program in a cell can ask, and that whatever else it sends gets a problem with the right type.

use std::time::Duration;

use serde_json::{Value, json};
use valetkey_tests::{Home, Started, agent_program, until};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(10);

/// A conversation at the agent door of one session.
pub(crate) struct Talk {
    session: Started,
    lines: usize,
}

impl Talk {
    pub(crate) fn start(home: &Home, options: &[&str]) -> Self {
        let agent = agent_program().to_str().expect("text");
        let session = home.run(options, &[agent, "talk"]).open_input().start();
        Self { session, lines: 0 }
    }

    /// The guard's process.
    pub(crate) fn guard(&self) -> rustix::process::Pid {
        self.session.pid()
    }

    /// Sends a call without waiting for its answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) {
        assert!(!body.contains('\n'));
        self.session
            .write(format!("{method} {path} {body}\n").as_bytes());
    }

    /// The next answer: status, content type, body.
    pub(crate) fn answer(&mut self) -> (u16, String, Value) {
        let line = until(
            "an answer at the agent door",
            Duration::from_secs(30),
            || {
                let output = self.session.output();
                let whole = output.rfind('\n').map_or("", |end| &output[..end]);
                whole
                    .split('\n')
                    .nth(self.lines)
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned)
            },
        );
        self.lines += 1;
        let mut words = line.splitn(3, ' ');
        let status = words.next().expect("a status").parse().expect("a number");
        let kind = words.next().expect("a type").to_owned();
        let body = words.next().expect("a body");
        (
            status,
            kind,
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")),
        )
    }

    pub(crate) fn call(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, &text);
        let (status, kind, answer) = self.answer();
        let is_problem = status >= 400;
        assert_eq!(
            kind,
            if is_problem {
                "application/problem+json"
            } else {
                "application/json"
            },
            "{answer}"
        );
        if is_problem {
            for member in ["type", "title", "detail"] {
                assert!(
                    answer[member].as_str().is_some_and(|text| !text.is_empty()),
                    "{member} of {answer}"
                );
            }
        }
        (status, answer)
    }

    /// Asserts a refusal of a kind.
    #[track_caller]
    pub(crate) fn refused(&mut self, path: &str, body: &Value, kind: &str) -> Value {
        let (status, problem) = self.call("POST", path, body);
        assert!(status >= 400, "{body} was not refused: {problem}");
        assert_eq!(
            problem["type"],
            format!("urn:valetkey:problem:{kind}"),
            "{body}: {problem}"
        );
        problem
    }

    pub(crate) fn finish(self) -> valetkey_tests::Finished {
        self.session.finish(SOON)
    }
}

fn file(home: &Home, below: &str) -> String {
    format!("file:{}", home.path(below).display())
}

#[test]
fn an_agent_can_ask_wait_and_list() {
    needs_cells!();
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    home.write("notes.txt", "notes\n");
    let work = home.path("work");
    let mut talk = Talk::start(&home, &["--workspace", work.to_str().expect("text")]);
    let (status, held) = talk.call("GET", "/v1/capabilities", &Value::Null);
    assert_eq!(status, 200);
    assert_eq!(
        held["capabilities"][0]["resource"],
        format!("file:{}/**", work.display())
    );
    assert!(
        !held.to_string().contains("eyJ"),
        "no token is shown: {held}"
    );
    // What policy allows is granted at once.
    let (status, granted) = talk.call(
        "POST",
        "/v1/requests",
        &json!({"resource": file(&home, "work/a.txt"), "actions": ["read"]}),
    );
    assert_eq!((status, &granted["state"]), (200, &json!("granted")));
    assert!(!granted.to_string().contains("eyJ"));
    // What a person must say is pending until they do.
    let ask = json!({"resource": file(&home, "notes.txt"), "actions": ["read"], "justification": "to sum up\u{1b}[31m"});
    let (status, pending) = talk.call("POST", "/v1/requests", &ask);
    assert_eq!((status, &pending["state"]), (200, &json!("pending")));
    let id = pending["request_id"].as_str().expect("an id").to_owned();
    let question = home.wait_for_question("/notes.txt");
    assert_eq!(question["justification"], "to sum up\u{1b}[31m");
    let shown = home.valetkey(["requests"]).done().ok();
    assert!(
        shown.text().contains("to sum up") && !shown.out.contains(&0x1b),
        "{}",
        shown.text()
    );
    let (_, still) = talk.call("GET", &format!("/v1/requests/{id}"), &Value::Null);
    assert_eq!(still["state"], "pending");
    talk.send("GET", &format!("/v1/requests/{id}?wait=30"), "");
    std::thread::sleep(Duration::from_millis(200));
    drop(home.approve(&question));
    let (status, _, granted) = talk.answer();
    assert_eq!((status, &granted["state"]), (200, &json!("granted")));
    // A refusal says whether asking again can help.
    let (_, pending) = talk.call(
        "POST",
        "/v1/requests",
        &json!({"resource": file(&home, "other.txt"), "actions": ["write"]}),
    );
    let id = pending["request_id"].as_str().expect("an id").to_owned();
    drop(home.deny(&home.wait_for_question("/other.txt")));
    let (status, problem) = talk.call("GET", &format!("/v1/requests/{id}?wait=5"), &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (403, &json!("urn:valetkey:problem:denied"))
    );
    assert_eq!(problem["requestable"], false);
    assert!(problem["how_to_request"].is_string());
    let problem = talk.refused(
        "/v1/requests",
        &json!({"resource": "file:/srv/elsewhere", "actions": ["read"]}),
        "denied",
    );
    assert_eq!(problem["requestable"], true);
    let jewel = talk.refused(
        "/v1/requests",
        &json!({"resource": file(&home, ".ssh/id_rsa"), "actions": ["read"]}),
        "denied",
    );
    assert_eq!(jewel["requestable"], false);
    let (status, denials) = talk.call("GET", "/v1/denials", &Value::Null);
    assert_eq!(status, 200);
    assert!(
        denials["denials"].as_array().expect("a list").len() >= 2,
        "{denials}"
    );
    drop(talk.finish().ok());
    home.verify();
}

#[test]
fn what_is_not_of_the_form_is_a_problem() {
    needs_cells!();
    let home = Home::new();
    let mut talk = Talk::start(&home, &[]);
    let good = file(&home, "a.txt");
    let bad = [
        json!({}),
        json!([]),
        json!("text"),
        json!({"resource": good}),
        json!({"resource": good, "actions": []}),
        json!({"resource": good, "actions": ["fly"]}),
        json!({"resource": good, "actions": "read"}),
        json!({"resource": good, "actions": ["read"], "unknown": 1}),
        json!({"resource": good, "actions": ["read"], "session": "ses-01K00000000000000000000000"}),
        json!({"resource": good, "actions": ["read"], "constraints": {"no_such": 1}}),
        json!({"resource": good, "actions": ["read"], "constraints": {"max_bytes": -1}}),
        json!({"resource": good, "actions": ["read"], "justification": "x".repeat(2001)}),
        json!({"resource": "file:/a/../b", "actions": ["read"]}),
        json!({"resource": "file:relative", "actions": ["read"]}),
        json!({"resource": "file:/a//b", "actions": ["read"]}),
        json!({"resource": "file:/a%00b", "actions": ["read"]}),
        json!({"resource": "gopher:/a", "actions": ["read"]}),
        json!({"resource": "", "actions": ["read"]}),
    ];
    for body in &bad {
        talk.refused("/v1/requests", body, "invalid");
    }
    for body in [
        json!({}),
        json!({"operation": "rm"}),
        json!({"operation": "sheet.append_rows"}),
        json!({"operation": "sheet.append_rows", "resource": good, "sheet": "S", "rows": [[{"formula": "=1"}]]}),
        json!({"operation": "sheet.append_rows", "resource": good, "sheet": "S", "rows": [], "more": 1}),
    ] {
        talk.refused("/v1/operations", &body, "invalid");
    }
    for text in [
        "{",
        "nonsense",
        "{\"resource\":",
        "\u{0}",
        "[[[[[[[[[[[[[[[[[[[[",
    ] {
        talk.send("POST", "/v1/requests", text);
        let (status, kind, problem) = talk.answer();
        assert_eq!((status, kind.as_str()), (400, "application/problem+json"));
        assert_eq!(problem["type"], "urn:valetkey:problem:invalid");
    }
    for (method, path) in [
        ("GET", "/v1/operations"),
        ("DELETE", "/v1/requests"),
        ("PUT", "/v1/requests"),
        ("GET", "/"),
        ("POST", "/v1"),
        ("GET", "/v1/requests"),
        ("GET", "/v2/capabilities"),
        ("POST", "/v1/capabilities"),
        ("GET", "/v1/requests/"),
        ("GET", "/v1/requests/req-1/x"),
    ] {
        let (status, problem) = talk.call(method, path, &Value::Null);
        assert!(
            [400, 404, 405].contains(&status),
            "{method} {path}: {status} {problem}"
        );
    }
    let (status, problem) = talk.call("GET", "/v1/requests/nonsense", &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (400, &json!("urn:valetkey:problem:invalid"))
    );
    let (status, problem) = talk.call(
        "GET",
        "/v1/requests/req-01K00000000000000000000000",
        &Value::Null,
    );
    assert_eq!(
        (status, &problem["type"]),
        (404, &json!("urn:valetkey:problem:not-found"))
    );
    // After all of that it still answers.
    assert_eq!(talk.call("GET", "/v1/capabilities", &Value::Null).0, 200);
    drop(talk.finish().ok());
}

#[test]
fn a_body_too_long_is_a_problem() {
    needs_cells!();
    let home = Home::new();
    let mut talk = Talk::start(&home, &[]);
    let long =
        json!({"resource": "file:/a", "actions": ["read"], "justification": "x".repeat(2 << 20)});
    talk.refused("/v1/requests", &long, "invalid");
    assert_eq!(talk.call("GET", "/v1/capabilities", &Value::Null).0, 200);
    drop(talk.finish().ok());
}

/// Raw bytes to the agent door, with a pause between them.
fn raw(home: &Home, pause_ms: u32, bytes: impl Into<Vec<u8>>) -> String {
    let agent = agent_program().to_str().expect("text");
    let pause = pause_ms.to_string();
    let call = home
        .run::<&str, &str>(&[], &[agent, "raw", &pause])
        .input(bytes);
    call.within(Duration::from_secs(60)).done().text()
}

#[test]
fn a_peer_that_drips_is_cut_off() {
    needs_cells!();
    let home = Home::new();
    let head = "POST /v1/requests HTTP/1.1\r\nhost: v\r\ncontent-length: 100\r\n\r\n";
    // The body never comes; the door answers all the same.
    let answer = raw(&home, 0, head);
    assert!(
        answer.starts_with("HTTP/1.1 400") || answer.starts_with("ECONNRESET") || answer.is_empty(),
        "{answer}"
    );
    assert!(
        answer.contains("took too long") || answer.contains("not whole"),
        "{answer}"
    );
    // Nor does the head.
    let begun = std::time::Instant::now();
    let answer = raw(&home, 0, "POST /v1/requests HTTP/1.1\r\nhost: ");
    assert!(
        !answer.contains("200 OK") && begun.elapsed() < Duration::from_secs(20),
        "{answer}"
    );
}

#[test]
fn what_is_not_http_is_cut_off() {
    needs_cells!();
    let home = Home::new();
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/requests HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/requests HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", &[b'A'; 40_000]] {
        let answer = raw(&home, 0, bytes);
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}

#[test]
fn the_cell_says_how_to_ask() {
    needs_cells!();
    let home = Home::new();
    let script = "cat /run/valetkey/README.md; ls /run/valetkey; cat /srv/nothing; (echo x > /run/valetkey/x) 2>&1; (echo x > /run/valetkey/denials.json) 2>&1; \
        rm -f /run/valetkey/agent.sock 2>&1; cat /run/valetkey/denials.json";
    let ended = home
        .run::<&str, &str>(&[], &["sh", "-c", script])
        .done()
        .ok();
    let text = ended.text();
    for word in [
        "POST /v1/requests",
        "GET /v1/capabilities",
        "sheet.append_rows",
        "agent.sock",
        "denials.json",
        "README.md",
    ] {
        assert!(text.contains(word), "{word}");
    }
    assert_eq!(text.matches("Read-only file system").count(), 3, "{text}");
    let denials = &text[text.rfind("\n[").expect("a list")..];
    let denials: Value = serde_json::from_str(denials).expect("JSON");
    assert!(denials.is_array());
}
