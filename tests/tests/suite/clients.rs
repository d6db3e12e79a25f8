//! The clients of the agent door: the program itself, brought into the cell, and Python's, each asking as scripts and agents do.

use std::time::Duration;

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
