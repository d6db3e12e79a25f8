//! The ordinary user: everything works with an open `/dev/fuse`, and without one the program says in one line how to mend it.

use std::fs;
use std::time::Duration;

use valetkey_tests::{Device, Home, NOBODY, cannot_run_cells, is_root, skipped};

const NONE: [&str; 0] = [];

#[test]
fn with_the_device_open_an_ordinary_user_needs_nothing_else() {
    if !is_root() {
        skipped("with_the_device_open", "the other tests run as one");
        return;
    }
    let home = Home::of_ordinary_user(Device::Open);
    let ended = home
        .run(&NONE, &["sh", "-c", "id -u; id -g; id -un; pwd; exit 7"])
        .done()
        .expect(7);
    assert_eq!(
        ended.text(),
        format!("{NOBODY}\n{NOBODY}\nnobody\n{}\n", home.dir().display())
    );
    home.write("work/a.txt", "one\n");
    let script = "cat a.txt; echo two >> a.txt; mkdir d; mv a.txt d/b.txt; cat d/b.txt; chmod 600 d/b.txt; ls -ln d/b.txt | cut -d' ' -f1,3,4; rm -r d; touch made; cat /proc/self/status | grep CapEff";
    let ended = home.in_workspace(script).done().ok();
    let expected =
        format!("one\none\ntwo\n-rw------- {NOBODY} {NOBODY}\nCapEff:\t0000000000000000\n");
    assert_eq!(ended.text(), expected, "{}", ended.errors());
    let made = fs::metadata(home.path("work/made")).expect("made");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), NOBODY);
    home.verify();
}

#[test]
fn an_ordinary_user_answers_their_own_questions() {
    if !is_root() {
        skipped("an_ordinary_user_answers", "the other tests run as one");
        return;
    }
    let home = Home::of_ordinary_user(Device::Open);
    home.write("notes.txt", "the notes\n");
    home.write("other.txt", "decoy\n");
    let session = home
        .run(&NONE, &["sh", "-c", "cat notes.txt other.txt"])
        .start();
    drop(home.approve(&home.wait_for_question("/notes.txt")));
    drop(home.deny(&home.wait_for_question("/other.txt")));
    let ended = session.finish(Duration::from_secs(10));
    assert_eq!(ended.text(), "the notes\n", "{}", ended.errors());
    home.verify();
}

#[test]
fn what_the_user_may_not_read_no_grant_gives() {
    if !is_root() {
        skipped(
            "what_the_user_may_not_read",
            "making a file of another user's takes root",
        );
        return;
    }
    let home = Home::of_ordinary_user(Device::Open);
    let file = home.outside("of-root.txt");
    fs::write(&file, "decoy\n").expect("write");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("mode");
    let grant = format!("{}=read,write", file.display());
    let ended = home
        .run(&["--grant", &grant], &["cat", file.to_str().expect("text")])
        .done();
    assert!(
        !ended.text().contains("decoy") && ended.code() != 0,
        "{}",
        ended.errors()
    );
}

#[test]
fn root_is_not_the_broker_of_an_ordinary_user() {
    if !is_root() {
        skipped("root_is_not_the_broker", "it takes root and another user");
        return;
    }
    let home = Home::of_ordinary_user(Device::Open);
    drop(home.run(&NONE, &["true"]).done().ok());
    // Root can do anything on this machine; through the door, it is still not the person.
    let mut command = std::process::Command::new(home.program("valetkey"));
    command
        .args(["status"])
        .env_clear()
        .env("VALETKEY_HOME", home.state());
    let ended = valetkey_tests::Call::new(command).done();
    assert_ne!(ended.code(), 0);
    assert!(
        ended.errors().contains("another user"),
        "{}",
        ended.errors()
    );
}

fn says_how_to_open_the_device(home: &Home) {
    let ended = home.run(&NONE, &["true"]).done();
    let errors = ended.errors();
    assert!(
        errors.contains("/dev/fuse")
            && errors.contains("udev")
            && errors.contains("chmod 0666 /dev/fuse"),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1, "{errors}");
    drop(ended.expect(5));
    let demo = home.valetkey(["demo"]).done();
    assert!(
        demo.errors().contains("chmod 0666 /dev/fuse"),
        "{}",
        demo.errors()
    );
    drop(demo.expect(5));
}

#[test]
fn with_the_device_closed_it_says_how_to_open_it() {
    if is_root() {
        says_how_to_open_the_device(&Home::of_ordinary_user(Device::Closed));
    } else if cannot_run_cells().is_some() {
        says_how_to_open_the_device(&Home::new());
    } else {
        skipped(
            "with_the_device_closed",
            "the device is open and closing it takes root",
        );
    }
}
