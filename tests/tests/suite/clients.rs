//! The clients of the agent door: the program itself, brought into the cell, and Python's, each asking as scripts and agents do.

use std::time::Duration;

use valetkey_client::{Agent, Ask, ClientError, Narrowing, State};
use valetkey_tests::Home;

use super::needs_cells;

const PYTHON: &str = include_str!("../../../clients/python/valetkey.py");
const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(20);

/// A home with notes outside of the workspace `w`, where scripts are.
fn home_with(script: &str) -> Home {
    let home = Home::new();
    home.write("notes.txt", "the notes\n");
    home.write("w/valetkey.py", PYTHON);
    home.write("w/script", script);
    home
}

fn workspace(home: &Home) -> String {
    home.path("w").to_str().expect("text").to_owned()
}

#[test]
fn a_script_asks_waits_and_reads() {
    needs_cells!();
    let home = home_with(
        "valetkey ask ../notes.txt=read --because 'to sum up' --limit max_bytes=100 && cat ../notes.txt\n",
    );
    let session = home
        .run(&["--workspace", &workspace(&home)], &["sh", "script"])
        .cwd(home.path("w"))
        .start();
    let question = home.wait_for_question("/notes.txt");
    assert_eq!(question["justification"], "to sum up");
    assert_eq!(question["grant"]["constraints"]["max_bytes"], 100);
    home.approve(&question);
    let ended = session.finish(SOON).ok();
    let text = ended.text();
    assert!(text.starts_with("granted: read"), "{text}");
    assert!(text.ends_with("the notes\n"), "{text}");
}

#[test]
fn a_script_learns_of_a_refusal_and_of_nobody_answering_by_the_exit_status() {
    needs_cells!();
    let home = home_with(
        "valetkey ask ~/.ssh/id_ed25519=read --json; echo status $?\n\
         valetkey ask ../notes.txt=read --wait 0; echo status $?\n\
         valetkey ask ../notes.txt=fly; echo status $?\n\
         valetkey approve req-01ARZ3NDEKTSV4RRFFQ69G5FAV; echo status $?\n",
    );
    let ended = home
        .run(&["--workspace", &workspace(&home)], &["sh", "script"])
        .cwd(home.path("w"))
        .done()
        .ok();
    let text = ended.text();
    let statuses: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("status "))
        .collect();
    // The program is the same inside, but it reaches nobody there who would take an answer.
    assert_eq!(statuses, ["3", "1", "2", "6"], "{text}");
}

#[test]
fn python_asks_waits_narrows_its_wish_and_reads() {
    needs_cells!();
    let home = home_with(
        r#"import os, valetkey
door = valetkey.Valetkey()
notes = valetkey.file_resource("../notes.txt")
try:
    door.ask(valetkey.file_resource(os.path.expanduser("~/.ssh/id_ed25519")), ["read"])
    print("granted a key")
except valetkey.Denied as refusal:
    print(refusal.status, refusal.type, refusal.requestable)
try:
    door.ask(notes, ["read"], because="to sum up")
except valetkey.Pending as pending:
    print("pending")
    held = door.look(pending.request_id, wait=30)
print(held["actions"], held["resource"] == notes)
print(open("../notes.txt").read().strip())
print(held.id in [one.id for one in door.capabilities()])
print([denial["requestable"] for denial in door.denials()][:1])
"#,
    );
    let session = home
        .run(&["--workspace", &workspace(&home)], &["python3", "script"])
        .cwd(home.path("w"))
        .start();
    let question = home.wait_for_question("/notes.txt");
    home.approve(&question);
    let ended = session.finish(SOON).ok();
    assert_eq!(
        ended.text(),
        "403 urn:valetkey:problem:denied False\npending\n['read'] True\nthe notes\nTrue\n[False]\n"
    );
}

#[test]
fn python_spells_every_path_as_the_broker_does() {
    needs_cells!();
    let home = home_with(
        r#"import os, valetkey
door = valetkey.Valetkey()
for name in ["a b", "ü", "\u202e", "\u00a0", "50%", "q?", "*", "<x>", "\\", b"\xff\xfe", "日本", "\u200b", "\ue000"]:
    path = os.path.join(os.fsencode(os.getcwd()), os.fsencode(name))
    held = door.ask(valetkey.file_resource(path), ["read"])
    print("same", held["resource"] == valetkey.file_resource(path))
"#,
    );
    let ended = home
        .run(&["--workspace", &workspace(&home)], &["python3", "script"])
        .cwd(home.path("w"))
        .done()
        .ok();
    assert_eq!(ended.text(), "same True\n".repeat(13));
}

#[test]
fn the_program_in_the_cell_is_the_hosts_and_cannot_be_changed() {
    needs_cells!();
    let home = Home::new();
    let ended = home
        .run(&NONE, &["sh", "-c", "command -v valetkey; valetkey --version; echo x >> /run/valetkey/bin/valetkey; echo status $?; rm -f /run/valetkey/bin/valetkey; echo status $?"])
        .done()
        .ok();
    let text = ended.text();
    assert!(
        text.starts_with("/run/valetkey/bin/valetkey\nvaletkey "),
        "{text}"
    );
    assert!(!text.contains("status 0"), "{text}");
    let hosts = home.valetkey(["--version"]).done().ok();
    assert!(hosts.text().starts_with("valetkey "), "{}", hosts.text());
}

/// A client in Rust, in this very process: it is attested as any program outside of cells.
#[test]
fn a_rust_program_outside_asks_narrows_and_gives_back() {
    let home = Home::new();
    home.write("notes/a.txt", "the notes\n");
    let _broker = home.start_broker();
    let mut door = Agent::at(&home.door("agent")).expect("the door");
    let tree = format!("file:{}/**", home.path("notes").display());
    let ask = Ask::new(
        tree.parse().expect("a resource"),
        "read".parse().expect("actions"),
    );
    let State::Pending { request_id, .. } = door.ask(ask.because("to sum up")).expect("asked")
    else {
        panic!("a person has to be asked");
    };
    home.approve(&home.wait_for_question("/notes/**"));
    let State::Granted { capability, .. } = door.wait(&request_id, SOON).expect("answered") else {
        panic!("nobody answered");
    };

    let file = format!("file:{}", home.path("notes/a.txt").display());
    let less = Narrowing::new()
        .to(file.parse().expect("a resource"))
        .for_seconds(30);
    let narrowed = door
        .narrow(&capability.capability_id, &less)
        .expect("narrower");
    assert_eq!(narrowed.capability.resource.to_string(), file);
    assert_eq!(
        narrowed.capability.parent.as_ref(),
        Some(&capability.capability_id)
    );
    assert!(narrowed.capability.expires_at <= capability.expires_at);
    // Whoever enforces verifies the token with the keys of the same door.
    let token = narrowed
        .token
        .expect("outside of cells the program carries it");
    let keys = door.keys().expect("keys");
    let header = jsonwebtoken::decode_header(&token).expect("a token");
    assert!(
        keys.keys
            .iter()
            .any(|key| Some(&key.kid) == header.kid.as_ref())
    );

    let wider = Narrowing::new().only("read,write".parse().expect("actions"));
    let refused = door.narrow(&capability.capability_id, &wider);
    assert!(
        matches!(refused, Err(ClientError::Problem(_))),
        "{refused:?}"
    );

    let ended = door.release(&capability.capability_id).expect("given back");
    let both = [
        &capability.capability_id,
        &narrowed.capability.capability_id,
    ];
    assert!(
        both.iter().all(|id| ended.contains(id)) && ended.len() == 2,
        "{ended:?}"
    );
    assert!(door.capabilities().expect("held").is_empty());
    let again = door.release(&capability.capability_id);
    assert!(matches!(again, Err(ClientError::Problem(_))), "{again:?}");
}

#[test]
fn python_narrows_and_gives_back_in_a_cell() {
    needs_cells!();
    let home = home_with(
        r#"import valetkey
door = valetkey.Valetkey()
whole = next(one for one in door.capabilities() if one["resource"].endswith("/w/**"))
less = door.narrow(whole.id, resource=valetkey.file_resource("script"), actions=["read"], ttl_seconds=30, max_bytes=10)
print(less["parent"] == whole.id, less["actions"], less["constraints"], "token" in less)
try:
    door.narrow(less.id, actions=["write"])
except valetkey.Denied as refusal:
    print(refusal.status, refusal.type)
door.release(less.id)
print(less.id in [one.id for one in door.capabilities()])
try:
    door.release(less.id)
except valetkey.Denied as refusal:
    print(refusal.status)
"#,
    );
    let ended = home
        .run(&["--workspace", &workspace(&home)], &["python3", "script"])
        .cwd(home.path("w"))
        .done()
        .ok();
    assert_eq!(
        ended.text(),
        "True ['read'] {'max_bytes': 10} False\n403 urn:valetkey:problem:capability\nFalse\n404\n"
    );
}

#[test]
fn the_program_and_python_ask_outside_of_a_cell() {
    let home = Home::new();
    home.write("notes.txt", "the notes\n");
    let module = home.write("valetkey.py", PYTHON);
    let _broker = home.start_broker();
    let notes = format!("{}=read", home.path("notes.txt").display());
    let asking = home
        .valetkey(["ask", &notes, "--because", "to sum up", "--json"])
        .start();
    home.approve(&home.wait_for_question("/notes.txt"));
    let granted = asking.finish(SOON).ok().json();
    assert_eq!(granted["state"], "granted", "{granted}");
    let refused = home.valetkey(["ask", "file:/etc/shadow=read"]).done();
    assert_eq!(refused.status.code(), Some(3), "{}", refused.text());

    // The session of a program outside is its process's: this one holds nothing of the first.
    let script = format!(
        "import sys; sys.path.insert(0, {:?}); import valetkey; door = valetkey.Valetkey(); print(len(door.capabilities()))\n\
         held = door.ask(valetkey.file_resource({:?}), ['read'], because='to sum up', wait=60)\n\
         less = door.narrow(held.id, ttl_seconds=20, max_bytes=10)\n\
         print(less['parent'] == held.id, less['constraints']); door.release(held.id); print(door.capabilities())",
        module.parent().expect("a directory"),
        home.path("notes.txt"),
    );
    let mut command = home.command("python3");
    command.args(["-c", &script]);
    let asking = valetkey_tests::Call::new(command).start();
    home.approve(&home.wait_for_question("/notes.txt"));
    let text = asking.finish(SOON).ok().text();
    assert_eq!(text, "0\nTrue {'max_bytes': 10}\n[]\n");
}
