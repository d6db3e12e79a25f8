//! What an agent has changed, undone by the person.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use valetkey_tests::{Home, is_root, skipped};

use crate::failing::SmallDisk;
use crate::needs_cells;

const SOON: Duration = Duration::from_secs(30);

const SCRIPT: &str = "echo changed > f; rm sub/g; mkdir new; echo x > new/n; mv sub new/moved; \
                      printf 'a\\nB\\n' > t.tmp; mv t.tmp t";

#[test]
fn what_a_session_changed_is_shown_and_put_back() {
    needs_cells!();
    let home = Home::new();
    for (name, content) in [
        ("work/f", "one\n"),
        ("work/sub/g", "two\n"),
        ("work/t", "a\nb\n"),
    ] {
        drop(home.write(name, content));
    }
    let work = home.path("work");
    let options = ["--undo", "--workspace", work.to_str().unwrap()];
    let session = home.run(&options, &["sh", "-c", SCRIPT]);
    drop(session.cwd(&work).done().ok());
    assert_eq!(
        fs::read_to_string(home.path("work/f")).unwrap(),
        "changed\n"
    );
    let shown = home.valetkey(["diff"]).done().ok();
    assert!(shown.text().contains("-b\n+B\n"), "{}", shown.text());
    drop(home.valetkey(["undo"]).done().ok());
    assert_eq!(fs::read_to_string(home.path("work/f")).unwrap(), "one\n");
    assert_eq!(
        fs::read_to_string(home.path("work/sub/g")).unwrap(),
        "two\n"
    );
    assert_eq!(fs::read_to_string(home.path("work/t")).unwrap(), "a\nb\n");
    assert!(!home.path("work/new").exists() && !home.path("work/t.tmp").exists());
    let recorded = home.events("operation.undone");
    assert_eq!(recorded.len(), 1);
    assert_eq!(home.valetkey(["undo"]).done().code(), 1);
}

#[test]
fn without_undo_nothing_is_kept() {
    needs_cells!();
    let home = Home::new();
    let work = home.path("work");
    drop(home.write("work/f", "one\n"));
    let options = ["--workspace", work.to_str().unwrap()];
    let command = ["sh", "-c", "echo changed > f"];
    drop(home.run(&options, &command).cwd(&work).done().ok());
    assert_eq!(home.valetkey(["undo"]).done().code(), 1);
    assert!(!home.state().join("state/undo").exists());
}

#[test]
fn where_a_change_cannot_be_kept_it_is_refused_and_the_file_is_as_it_was() {
    needs_cells!();
    if !is_root() {
        skipped(
            "where_a_change_cannot_be_kept",
            "mounting a small disk takes root",
        );
        return;
    }
    let home = Home::new();
    let store = home.state().join("state/undo");
    fs::create_dir_all(&store).unwrap();
    for private in [home.state().join("state"), store.clone()] {
        fs::set_permissions(private, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let disk = SmallDisk::at(&store, "1m");
    let target = disk.keeper.id().to_string();
    let enter = "cd \"$HOME/work\" && exec \"$@\"";
    let large: Vec<u8> = (0..3_u32 << 20).map(|at| (at / 7 % 251) as u8).collect();
    for (name, content) in [
        ("small", &b"one\n"[..]),
        ("other", b"two\n"),
        ("large", &large),
    ] {
        drop(home.write(&format!("work/{name}"), content));
    }
    let home = home.prefixed(["nsenter", "-t", &target, "-m", "sh", "-c", enter, "sh"]);
    let work = home.path("work");
    let options = ["--undo", "--workspace", work.to_str().unwrap()];
    let script = "(echo changed > small) && echo small
        (echo x > large) && echo truncated; (echo x >> large) && echo appended; rm -f large && echo removed
        mv other large && echo replaced; chmod 600 large && echo mode; truncate -s 1 large && echo cut; cat small";
    let session = home.run(&options, &["sh", "-c", script]).done().ok();
    assert_eq!(session.text(), "small\nchanged\n", "{}", session.errors());
    assert!(
        session.errors().contains("No space left"),
        "{}",
        session.errors()
    );
    assert!(fs::read(work.join("large")).unwrap() == large);
    assert_eq!(fs::read_to_string(work.join("other")).unwrap(), "two\n");
    drop(home.valetkey(["undo"]).done().ok());
    assert_eq!(fs::read_to_string(work.join("small")).unwrap(), "one\n");
    assert!(fs::read(work.join("large")).unwrap() == large);
}

#[test]
fn a_store_that_is_not_the_persons_alone_is_not_used() {
    needs_cells!();
    let home = Home::new();
    drop(home.write("work/f", "one\n"));
    let work = home.path("work");
    let store = home.state().join("state/undo");
    fs::create_dir_all(&store).unwrap();
    fs::set_permissions(
        home.state().join("state"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).unwrap();
    let options = ["--undo", "--workspace", work.to_str().unwrap()];
    let refused = home.run(&options, &["true"]).cwd(&work).done();
    assert_eq!(refused.code(), 1, "{}", refused.errors());
    assert!(
        refused.errors().contains("open to others"),
        "{}",
        refused.errors()
    );
    fs::remove_dir(&store).unwrap();
    fs::write(&store, "no directory").unwrap();
    let refused = home
        .run(&options, &["sh", "-c", "echo x > f"])
        .cwd(&work)
        .done();
    assert_eq!(refused.code(), 1, "{}", refused.errors());
    assert_eq!(fs::read_to_string(work.join("f")).unwrap(), "one\n");
}

#[test]
fn two_sessions_on_one_tree_are_undone_each_for_itself() {
    needs_cells!();
    let home = Home::new();
    for name in ["shared", "first", "second", "persons"] {
        drop(home.write(&format!("work/{name}"), "before\n"));
    }
    let work = home.path("work");
    let options = ["--undo", "--workspace", work.to_str().unwrap()];
    let script = "echo one > first; echo one > shared; echo one > persons; echo done; read go; echo more >> first";
    let mut first = home
        .run(&options, &["sh", "-c", script])
        .cwd(&work)
        .open_input()
        .start();
    first.wait_for("done", SOON);
    let script = "echo two > second; echo two > shared; echo new > made";
    drop(
        home.run(&options, &["sh", "-c", script])
            .cwd(&work)
            .done()
            .ok(),
    );
    fs::write(work.join("persons"), "the person's\n").unwrap();
    first.write(b"go\n");
    drop(first.finish(SOON).ok());
    let read = |name: &str| fs::read_to_string(work.join(name)).unwrap();
    let listed = home
        .valetkey(["undo", "--list", "--json"])
        .done()
        .ok()
        .json();
    let sessions: Vec<String> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["session"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sessions.len(), 2, "{listed}");
    // The first to end, and so the last in the list, is the second.
    let (one, two) = (&sessions[0], &sessions[1]);
    let plan = home.valetkey(["undo", one, "--dry-run"]).done().ok();
    for name in ["shared", "persons"] {
        let line = format!(
            "leave     {}: it has been changed since",
            work.join(name).display()
        );
        assert!(plan.text().contains(&line), "{}", plan.text());
    }
    assert_eq!(read("first"), "one\nmore\n", "a plan changes nothing");
    let undone = home.valetkey(["undo", one]).done();
    assert_eq!(undone.code(), 1, "something was left: {}", undone.text());
    assert_eq!(
        ["first", "second", "shared", "persons"].map(read),
        ["before\n", "two\n", "two\n", "the person's\n"]
    );
    drop(home.valetkey(["undo", two]).done().ok());
    assert_eq!(
        ["first", "second", "shared", "persons"].map(read),
        ["before\n", "before\n", "one\n", "the person's\n"]
    );
    assert!(!work.join("made").exists());
    let path = work.join("persons");
    let forced = home
        .valetkey(["undo", one, "--force", path.to_str().unwrap()])
        .done();
    assert_eq!(read("persons"), "before\n", "{}", forced.text());
}

#[test]
fn a_file_an_event_and_an_undo_are_undone_by_their_names() {
    needs_cells!();
    let home = Home::new();
    let names = ["f", "g", "h", "sub/a", "sub/b"];
    for name in names {
        drop(home.write(&format!("work/{name}"), "before\n"));
    }
    let work = home.path("work");
    let options = ["--undo", "--workspace", work.to_str().unwrap()];
    let script = "for f in f g h sub/a sub/b; do echo after > $f; done";
    drop(
        home.run(&options, &["sh", "-c", script])
            .cwd(&work)
            .done()
            .ok(),
    );
    let changed = || names.map(|name| fs::read_to_string(work.join(name)).unwrap() == "after\n");
    assert_eq!(changed(), [true; 5]);
    let of_g = home.wait_for_event("operation.performed", |event| {
        let text = event.to_string();
        text.contains("/work/g\"") && text.contains("write")
    });
    let event = of_g["event_id"].as_str().unwrap();
    drop(home.valetkey(["undo", event]).done().ok());
    assert_eq!(changed(), [true, false, true, true, true]);
    // A path as the person types it, and a directory.
    drop(home.valetkey(["undo", "f"]).cwd(&work).done().ok());
    assert_eq!(changed(), [false, false, true, true, true]);
    drop(
        home.valetkey(["undo", "../work/sub"])
            .cwd(&work)
            .done()
            .ok(),
    );
    assert_eq!(changed(), [false, false, true, false, false]);
    let rest = home.valetkey(["undo", "--json"]).done().ok().json();
    assert_eq!(changed(), [false; 5]);
    // Undone again: what the last of them took away.
    let name = rest["undo"].as_str().unwrap();
    drop(home.valetkey(["undo", name]).done());
    assert_eq!(changed(), [false, false, true, false, false], "{rest}");
    assert_eq!(home.valetkey(["undo", "../nothing"]).done().code(), 1);
    assert_eq!(home.valetkey(["undo", "evt-nothing"]).done().code(), 1);
    assert_eq!(home.valetkey(["undo", "ses-../../.."]).done().code(), 1);
    // What is not expired stays, and what the person wants gone goes.
    let kept = |more: &[&str]| {
        drop(home.valetkey(["undo", "--prune"]).args(more).done().ok());
        let listed = home.valetkey(["undo", "--list", "--json"]).done().ok();
        listed.json().as_array().unwrap().len()
    };
    assert_eq!(kept(&[]), 6);
    assert_eq!(kept(&["--older-than", "0"]), 0);
    home.verify();
}
