//! Bad input and a machine that cannot do it: one clear line with what to do next, and the documented exit status.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use valetkey_tests::{Device, Finished, Home, is_root, skipped};

use super::needs_cells;

const NONE: [&str; 0] = [];

/// One line of error, at most two of what to do next, and nothing that only a programmer would want.
#[track_caller]
fn clear(ended: &Finished) {
    let errors = ended.errors();
    assert!(errors.starts_with("error: "), "{errors}");
    assert_eq!(
        errors
            .lines()
            .filter(|line| line.starts_with("error:"))
            .count(),
        1,
        "{errors}"
    );
    assert!(
        !errors.contains("panicked") && !errors.contains("unwrap") && !errors.contains("Os {"),
        "{errors}"
    );
    assert!(ended.out.is_empty(), "{}", ended.text());
}

#[test]
fn usage_errors_are_status_two() {
    let home = Home::new();
    for words in [
        vec![],
        vec!["fly"],
        vec!["run"],
        vec!["run", "--"],
        vec!["run", "--no-such-option", "--", "true"],
        vec!["run", "--workspace"],
        vec!["approve"],
        vec!["caps"],
        vec!["audit", "tail", "-n", "many"],
        vec!["audit", "show", "--log"],
        vec!["completions", "no-such-shell"],
    ] {
        let ended = home.valetkey(&words).done();
        assert_eq!(ended.code(), 2, "{words:?}: {}", ended.errors());
        assert!(!ended.err.is_empty());
    }
}

#[test]
fn bad_grants_are_status_two_and_say_what_is_wrong() {
    let home = Home::new();
    for (grant, words) in [
        ("nothing", "RESOURCE=ACTIONS"),
        ("/etc=fly", "fly"),
        ("/etc=", "action"),
        ("=read", ""),
        ("/a/*.txt=read", "file:"),
        ("relative/path=read", ""),
        ("file:relative=read", ""),
        ("file:/a/../b=read", ""),
        ("file:/a//b=read", ""),
        ("gopher:/a=read", ""),
    ] {
        let ended = home.run(&["--grant", grant], &["true"]).done();
        assert_eq!(ended.code(), 2, "{grant}: {}", ended.errors());
        assert!(
            ended.errors().contains(words),
            "{grant}: {}",
            ended.errors()
        );
    }
}

#[test]
fn what_policy_never_gives_is_refused_at_the_start() {
    needs_cells!();
    let home = Home::new();
    home.write(".ssh/id_ed25519", "decoy\n");
    for resource in [".ssh/id_ed25519", ".ssh"] {
        let grant = format!("{}=read", home.path(resource).display());
        let ended = home
            .run(&["--grant", &grant], &["cat", ".ssh/id_ed25519"])
            .done();
        clear(&ended);
        drop(ended.expect(3).says("was not granted"));
    }
    let ended = home
        .run(&["--grant", "/etc/shadow=read"], &["cat", "/etc/shadow"])
        .done();
    clear(&ended);
    drop(ended.expect(3));
    home.verify();
}

#[test]
fn a_workspace_that_is_not_there_is_an_error() {
    needs_cells!();
    let home = Home::new();
    let ended = home.run(&["--workspace", "no/such/dir"], &["true"]).done();
    clear(&ended);
    assert!(ended.errors().contains("workspace"), "{}", ended.errors());
    assert_eq!(ended.code(), 1);
}

#[test]
fn an_unreadable_policy_is_status_two() {
    let home = Home::new();
    let missing = home.run(&["--policy", "no/such/policy"], &["true"]).done();
    clear(&missing);
    drop(missing.expect(2).says("no/such/policy"));
    home.make_dir(&home.path("empty"));
    let empty = home.run(&["--policy", "empty"], &["true"]).done();
    clear(&empty);
    drop(empty.expect(2).says("no .rego file"));
    home.write("binary/a.rego", [0xff, 0xfe, 0]);
    let binary = home.run(&["--policy", "binary"], &["true"]).done();
    clear(&binary);
    drop(binary.expect(2).says("a.rego"));
    if !is_root() {
        let closed = home.write("closed/a.rego", "package valetkey\n");
        fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).expect("mode");
        drop(
            home.run(&["--policy", "closed"], &["true"])
                .done()
                .expect(2)
                .says("a.rego"),
        );
    }
}

#[test]
fn a_syntax_error_in_a_policy_names_file_line_and_column() {
    needs_cells!();
    let home = Home::new();
    home.write(
        "policy/rules.rego",
        "package valetkey\n\ndecision := {\n\t\"effect\": \"allow\",\n\t\"policy_id\" \"x\",\n}\n",
    );
    let ended = home.run(&["--policy", "policy"], &["true"]).done();
    clear(&ended);
    let errors = ended.errors();
    assert!(
        errors.contains("rules.rego:5:"),
        "file, line and column: {errors}"
    );
    assert_eq!(ended.code(), 2, "{errors}");
    assert_eq!(home.events("policy.rejected").len(), 1);
}

#[test]
fn a_policy_that_decides_nothing_denies_everything() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    for rules in [
        "unrelated := true",
        "decision := no_such_thing(1)",
        "decision := {\"effect\": \"allow\"}",
        "decision := true",
        "decision := {\"effect\": \"perhaps\", \"policy_id\": \"x\"}",
    ] {
        home.write(
            "policy/rules.rego",
            format!("package valetkey\n\n{rules}\n"),
        );
        let ended = home
            .run(&["--policy", "policy"], &["cat", "notes.txt"])
            .done();
        assert!(
            !ended.text().contains("decoy") && ended.code() != 0,
            "{rules}: {}",
            ended.errors()
        );
    }
}

#[test]
fn a_home_too_long_for_a_socket_is_a_clear_error() {
    let home = Home::new();
    let long = home.outside(&"n".repeat(100));
    let home = home.with_state(long);
    let ended = home.run(&NONE, &["true"]).done();
    clear(&ended);
    assert!(
        ended.errors().contains("107") && ended.errors().contains("VALETKEY_HOME"),
        "{}",
        ended.errors()
    );
    assert!(matches!(ended.code(), 1 | 6));
}

#[test]
fn no_home_at_all_is_a_clear_error() {
    let home = Home::new();
    let ended = home
        .run(&NONE, &["true"])
        .env("VALETKEY_HOME", "relative")
        .env("HOME", "")
        .done();
    clear(&ended);
    drop(ended.expect(1).says("HOME"));
}

#[test]
fn without_the_fuse_device_it_says_so_in_one_line() {
    if !is_root() {
        skipped("without_the_fuse_device", "a private /dev takes root");
        return;
    }
    let home = Home::with_device(Device::Missing);
    let ended = home.run(&NONE, &["true"]).done();
    clear(&ended);
    assert!(
        ended.errors().contains("/dev/fuse") && ended.errors().contains("modprobe fuse"),
        "{}",
        ended.errors()
    );
    assert_eq!(ended.errors().lines().count(), 1, "{}", ended.errors());
    drop(ended.expect(5));
    let demo = home.valetkey(["demo"]).done();
    assert_eq!(demo.code(), 5, "{}", demo.errors());
    assert!(demo.errors().contains("modprobe fuse"), "{}", demo.errors());
}

#[test]
fn without_user_namespaces_it_says_how_to_allow_them() {
    needs_cells!();
    if !is_root() {
        skipped(
            "without_user_namespaces",
            "a user namespace with the limit set takes root",
        );
        return;
    }
    // The limit is set in a user namespace of the test's own: the host's stays as it is.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let home = Home::new().prefixed(["unshare", "-U", "-r", "sh", "-c", script, "sh"]);
    let ended = home.run(&NONE, &["true"]).done();
    clear(&ended);
    assert!(
        ended.errors().contains("max_user_namespaces"),
        "{}",
        ended.errors()
    );
    assert_eq!(ended.errors().lines().count(), 1, "{}", ended.errors());
    drop(ended.expect(5));
    // The broker of that namespace is nobody's outside: it is ended from within.
    drop(home.valetkey(["stop"]).done());
}

#[test]
fn a_changed_copy_of_the_log_is_status_four() {
    needs_cells!();
    let home = Home::new();
    for _ in 0..3 {
        drop(home.run(&NONE, &["true"]).done().ok());
    }
    drop(home.valetkey(["stop"]).done().ok());
    let log = home.state().join("state/log");
    let files: Vec<_> = fs::read_dir(&log)
        .expect("the log")
        .flatten()
        .filter(|entry| entry.path().is_file())
        .collect();
    let largest = files
        .iter()
        .max_by_key(|entry| entry.metadata().map_or(0, |meta| meta.len()))
        .expect("a file")
        .file_name();
    let copy = home.outside("copy");
    let verify = |change: &dyn Fn(&mut Vec<u8>)| {
        drop(fs::remove_dir_all(&copy));
        let status = std::process::Command::new("cp")
            .arg("-r")
            .arg(&log)
            .arg(&copy)
            .status()
            .expect("cp");
        assert!(status.success());
        let mut bytes = fs::read(copy.join(&largest)).expect("read");
        change(&mut bytes);
        fs::write(copy.join(&largest), bytes).expect("write");
        home.valetkey(["audit", "verify", "--json", "--log"])
            .arg(&copy)
            .done()
    };
    assert_eq!(verify(&|_| ()).ok().json()["verdict"], "intact");
    for place in [10, 40, 60, 75, 90, 97] {
        let ended = verify(&|bytes| {
            let at = bytes.len() * place / 100;
            bytes[at] ^= 1;
        });
        assert_eq!(
            ended.code(),
            4,
            "a bit at {place} of 100: {} {}",
            ended.text(),
            ended.errors()
        );
        assert_eq!(ended.json()["verdict"], "tampered");
    }
    // A cut is found, or told as the bytes that were being written when the broker ended: never passed over.
    for place in [20, 50, 80, 95] {
        let cut = verify(&|bytes| bytes.truncate(bytes.len() * place / 100));
        let told = cut.code() == 4
            || cut.json()["torn_tail_bytes"]
                .as_u64()
                .is_some_and(|bytes| bytes > 0);
        assert!(
            told,
            "cut at {place} of 100: {} {}",
            cut.text(),
            cut.errors()
        );
    }
    home.verify();
}

#[test]
fn a_broker_that_is_not_installed_is_named() {
    needs_cells!();
    let home = Home::new();
    let alone = home.bring(&home.program("valetkey"), "alone/valetkey");
    let mut command = home.command(alone);
    command.args(["run", "--", "true"]);
    let ended = valetkey_tests::Call::new(command).done();
    clear(&ended);
    drop(ended.expect(6).says("valetkeyd"));
}
