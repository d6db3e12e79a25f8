//! Agents that speak the Model Context Protocol: their files are those of the session, refusals say what to do, and nothing of the protocol widens anything.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use valetkey_tests::{Call, Home, Mcp, text};

use super::needs_cells;

const LATEST: &str = "2025-11-25";
/// Longer than the server waits before it hands a call back.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server of its own cell, as a desktop agent outside of any starts it.
fn serve(home: &Home, options: &[&str]) -> Call {
    let work = home.path("work");
    let work = work.to_str().expect("text");
    let words = ["mcp", "serve"].into_iter().chain(options.iter().copied());
    home.valetkey(words.chain([work]))
}

fn house() -> Home {
    let home = Home::new();
    home.write("work/a.txt", "one\ntwo\nthree\n");
    home.write("work/sub/b.md", "# b\n");
    home.write("secret.txt", "secret\n");
    home.write(".ssh/id_ed25519", "PRIVATE\n");
    home.make_dir(&home.outside("elsewhere"));
    fs::write(home.outside("elsewhere/other.txt"), "other\n").expect("write");
    home
}

/// A file that policy gives nobody who was not granted it at the start.
fn elsewhere(home: &Home) -> String {
    let path = home.outside("elsewhere/other.txt");
    path.to_str().expect("text").to_owned()
}

fn path(home: &Home, below: &str) -> String {
    home.path(below).to_str().expect("text").to_owned()
}

#[test]
fn every_call_is_one_of_the_session_and_in_the_log() {
    needs_cells!();
    let home = house();
    let mut mcp = Mcp::start(serve(&home, &[]), LATEST);
    let file = path(&home, "work/a.txt");
    assert_eq!(
        mcp.did("read_text_file", &json!({"path": file})),
        "one\ntwo\nthree\n"
    );
    assert_eq!(
        mcp.did("read_text_file", &json!({"path": file, "tail": 2})),
        "three\n"
    );
    let new = path(&home, "work/new/deep/n.txt");
    mcp.did(
        "create_directory",
        &json!({"path": path(&home, "work/new/deep")}),
    );
    mcp.did("write_file", &json!({"path": new, "content": "x\n"}));
    mcp.did("write_file", &json!({"path": new, "content": "y\n"}));
    assert_eq!(fs::read_to_string(&new).expect("read"), "y\n");
    let left: Vec<_> = fs::read_dir(path(&home, "work/new/deep"))
        .expect("list")
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let shown = mcp.did(
        "edit_file",
        &json!({"path": file, "edits": [{"oldText": "two", "newText": "2"}]}),
    );
    assert!(shown.contains("-two\n+2\n"), "{shown}");
    assert_eq!(fs::read_to_string(&file).expect("read"), "one\n2\nthree\n");
    mcp.did(
        "move_file",
        &json!({"source": new, "destination": path(&home, "work/moved.txt")}),
    );
    // What is relative lies in what was granted.
    assert_eq!(mcp.did("read_file", &json!({"path": "moved.txt"})), "y\n");
    let found = mcp.did(
        "search_files",
        &json!({"path": path(&home, "work"), "pattern": "**/*.md"}),
    );
    assert_eq!(found, path(&home, "work/sub/b.md"));
    let allowed = mcp.did("list_allowed_directories", &json!({}));
    assert_eq!(
        allowed,
        format!("Allowed directories:\n{}", path(&home, "work"))
    );
    drop(mcp.finish().ok());
    let written = home.events("operation.performed");
    let names = |event: &Value| {
        event["resource"]
            .as_str()
            .is_some_and(|text| text.ends_with("moved.txt"))
    };
    assert!(written.iter().any(names), "{written:?}");
    home.verify();
}

#[test]
fn what_was_not_given_is_refused_with_words_that_end_the_search() {
    needs_cells!();
    let home = house();
    let mut mcp = Mcp::start(serve(&home, &[]), LATEST);
    let absent = elsewhere(&home).replace("other.txt", "absent.txt");
    for path in [elsewhere(&home), absent, path(&home, ".ssh/id_ed25519")] {
        let said = mcp.refused("read_text_file", &json!({"path": path}));
        // A file that is there and one that is not are answered alike.
        assert!(
            said.starts_with("ENOENT: no such file or directory"),
            "{said}"
        );
        assert!(said.contains("request_access"), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
    mcp.refused(
        "write_file",
        &json!({"path": elsewhere(&home), "content": "evil"}),
    );
    let left = fs::read_to_string(home.outside("elsewhere/other.txt")).expect("read");
    assert_eq!(left, "other\n");
    // Asking is answered at once, with the rule and what can be done, and so is asking why.
    let said = mcp.refused(
        "request_access",
        &json!({"path": elsewhere(&home), "actions": ["read"], "reason": "to see"}),
    );
    assert!(
        said.starts_with("Refused: ") && said.contains("Asking"),
        "{said}"
    );
    let told = mcp.did("explain_denial", &json!({"path": elsewhere(&home)}));
    assert!(
        told.contains("other.txt") && told.contains("Asking"),
        "{told}"
    );
    // Links lead nowhere either.
    std::os::unix::fs::symlink(elsewhere(&home), home.path("work/link")).expect("link");
    mcp.refused("read_text_file", &json!({"path": path(&home, "work/link")}));
    let several = mcp.did(
        "read_multiple_files",
        &json!({"paths": [path(&home, "work/a.txt"), elsewhere(&home)]}),
    );
    assert!(
        several.contains("one\n") && !several.contains("other\n"),
        "{several}"
    );
    drop(mcp.finish().ok());
}

#[test]
fn a_persons_yes_is_waited_for_and_ends_with_being_given_back() {
    needs_cells!();
    let home = house();
    let mut mcp = Mcp::start(serve(&home, &[]), LATEST);
    let file = path(&home, "secret.txt");
    let asked = mcp.ask(
        "tools/call",
        &json!({"name": "request_access", "arguments": {"path": file, "actions": ["read"], "reason": "to sum it up"}}),
    );
    let question = home.wait_for_question(&format!("file:{file}"));
    assert!(question.to_string().contains("to sum it up"), "{question}");
    drop(home.approve(&question).ok());
    let result = mcp.answer(asked, PATIENCE)["result"].clone();
    assert!(text(&result).starts_with("Granted: "), "{result}");
    let id = result["structuredContent"]["capability"]["capability_id"].clone();
    assert_eq!(
        mcp.did("read_text_file", &json!({"path": file})),
        "secret\n"
    );
    assert!(
        mcp.did("list_access", &json!({}))
            .contains(id.as_str().expect("an id"))
    );
    mcp.did("release_access", &json!({"capability_id": id}));
    let left = mcp.did("list_access", &json!({}));
    assert!(!left.contains(id.as_str().expect("an id")), "{left}");
    drop(mcp.finish().ok());
}

#[test]
fn a_long_wait_tells_of_progress_and_is_handed_back_with_a_handle() {
    needs_cells!();
    let home = house();
    let mut mcp = Mcp::start(serve(&home, &[]), LATEST);
    let file = path(&home, "secret.txt");
    let asked = mcp.ask(
        "tools/call",
        &json!({"name": "request_access", "_meta": {"progressToken": "p1"},
            "arguments": {"path": file, "actions": ["read"], "reason": "to sum it up"}}),
    );
    let question = home.wait_for_question(&format!("file:{file}"));
    let result = mcp.answer(asked, PATIENCE)["result"].clone();
    assert_eq!(result["structuredContent"]["pending"], true, "{result}");
    let progress = |message: &&Value| {
        message["method"] == "notifications/progress" && message["params"]["progressToken"] == "p1"
    };
    let told = mcp.others.iter().filter(progress).count();
    assert!(told >= 3, "{:?}", mcp.others);
    let handle = result["structuredContent"]["handle"].clone();
    let waited = mcp.ask(
        "tools/call",
        &json!({"name": "await_result", "arguments": {"handle": handle}}),
    );
    drop(home.approve(&question).ok());
    let result = mcp.answer(waited, PATIENCE)["result"].clone();
    assert!(text(&result).starts_with("Granted: "), "{result}");
    // A handle is good once.
    mcp.refused("await_result", &json!({"handle": handle}));
    // Nobody was asked through the agent.
    let elicited = mcp
        .others
        .iter()
        .any(|message| message["method"] == "elicitation/create");
    assert!(!elicited, "{:?}", mcp.others);
    drop(mcp.finish().ok());
}

#[test]
fn a_clients_roots_move_nothing() {
    needs_cells!();
    let home = house();
    let mut mcp = Mcp::start(serve(&home, &[]), LATEST);
    mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}));
    let allowed = mcp.did("list_allowed_directories", &json!({}));
    assert_eq!(
        allowed,
        format!("Allowed directories:\n{}", path(&home, "work"))
    );
    mcp.refused("read_text_file", &json!({"path": elsewhere(&home)}));
    let asked = mcp
        .others
        .iter()
        .any(|message| message["method"] == "roots/list");
    assert!(!asked, "roots are not even asked for: {:?}", mcp.others);
    drop(mcp.finish().ok());
}

#[test]
fn an_agent_in_a_cell_starts_the_server_there() {
    needs_cells!();
    let home = house();
    let work = path(&home, "work");
    let call = home.run(
        &["--workspace", work.as_str()],
        &["sh", "-c", "exec valetkey mcp serve"],
    );
    let mut mcp = Mcp::start(call, LATEST);
    assert_eq!(
        mcp.did(
            "read_text_file",
            &json!({"path": path(&home, "work/a.txt")})
        ),
        "one\ntwo\nthree\n"
    );
    mcp.refused("read_text_file", &json!({"path": elsewhere(&home)}));
    drop(mcp.finish().ok());
    // There it gives itself nothing.
    let wider = home.run(
        &["--workspace", work.as_str()],
        &["sh", "-c", "exec valetkey mcp serve --grant /=read"],
    );
    drop(wider.done().expect(2));
}

#[test]
fn outside_of_any_cell_the_server_does_not_serve() {
    let home = Home::new();
    let server = Call::new(home.command(home.program("valetkey-mcp")));
    drop(server.arg("serve").done().expect(5).says("no cell"));
}

#[test]
fn three_revisions_are_spoken() {
    needs_cells!();
    let home = house();
    let file = json!({"path": path(&home, "work/a.txt")});
    for revision in ["2025-06-18", "2025-11-25"] {
        let mut mcp = Mcp::start(serve(&home, &[]), revision);
        assert_eq!(mcp.did("read_text_file", &file), "one\ntwo\nthree\n");
        drop(mcp.finish().ok());
    }
    // Without a handshake: every request says what it speaks.
    let mut mcp = Mcp::connect(serve(&home, &[]));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let found = mcp.request("server/discover", &json!({"_meta": meta}));
    let versions = found["result"]["supportedVersions"].to_string();
    assert!(versions.contains("2026-07-28"), "{found}");
    let result = mcp.request(
        "tools/call",
        &json!({"_meta": meta, "name": "read_text_file", "arguments": file}),
    );
    assert_eq!(text(&result["result"]), "one\ntwo\nthree\n", "{result}");
    drop(mcp.finish().ok());
}

#[test]
fn a_hostile_client_gets_errors_and_the_server_goes_on() {
    needs_cells!();
    let home = house();
    let mut mcp = Mcp::start(serve(&home, &[]), LATEST);
    let error = mcp.request(
        "tools/call",
        &json!({"name": "no_such_tool", "arguments": {}}),
    );
    assert_eq!(error["error"]["code"], -32602, "{error}");
    mcp.refused("read_text_file", &json!({"path": 7}));
    mcp.refused("read_text_file", &json!({"path": "/a\u{0}b"}));
    mcp.refused("read_text_file", &json!({"path": path(&home, "work")}));
    mcp.refused("await_result", &json!({"handle": "call-99"}));
    mcp.refused(
        "request_access",
        &json!({"actions": ["read"], "reason": "x"}),
    );
    mcp.refused(
        "request_access",
        &json!({"path": "/a", "actions": ["everything"], "reason": "x"}),
    );
    mcp.refused("release_access", &json!({"capability_id": "cap-1"}));
    mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/nonsense"}));
    assert_eq!(
        mcp.did(
            "read_text_file",
            &json!({"path": path(&home, "work/a.txt")})
        ),
        "one\ntwo\nthree\n"
    );
    drop(mcp.finish().ok());
}
