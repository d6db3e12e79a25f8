//! Quiet trees by the real thing: what is faster there is under the same rules, undone, taken back and recorded.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;
use valetkey_tests::{Call, Home};

use super::needs_cells;
use super::revoking::{BOUND_MS, ended, now_us, start};
use super::view::{WORK, listing, natively};

/// A shell script in a cell whose workspace, `HOME/work`, is quiet.
fn quietly(home: &Home, script: &str) -> Call {
    with(home, &["--quiet"], script)
}

fn with(home: &Home, options: &[&str], script: &str) -> Call {
    let work = home.path("work");
    home.make_dir(&work);
    let workspace = [OsStr::new("--workspace"), work.as_os_str()];
    let options: Vec<&OsStr> = options.iter().map(OsStr::new).chain(workspace).collect();
    home.run(&options, &["sh", "-c", script]).cwd(&work)
}

/// Whether the working directory has a mount of its own.
const IS_MOUNTED: &str = "grep -q \" $(pwd) \" /proc/self/mountinfo && echo quiet || echo watched";

/// Operations in the log on a file of the workspace.
fn operations(home: &Home, name: &str) -> Vec<(String, Value)> {
    let resource = format!("file:{}", home.path(name).display());
    let mut events = home.events("operation.performed");
    events.retain(|event| event["resource"] == resource.as_str());
    let named = |event: Value| {
        let name = event["attributes"]["operation"]
            .as_str()
            .unwrap_or_default();
        (name.to_owned(), event)
    };
    events.into_iter().map(named).collect()
}

#[test]
fn work_in_a_quiet_workspace_is_as_on_the_host() {
    needs_cells!();
    for home in [Home::new(), Home::below(std::path::Path::new("/tmp"))] {
        let native = home.outside("native");
        let expected = natively(&native);
        let ended = quietly(&home, WORK).done();
        assert_eq!(ended.text(), expected, "{}", ended.errors());
        drop(ended.ok());
        assert_eq!(listing(&home.path("work")), listing(&native));
        home.verify();
    }
}

#[test]
fn a_tree_is_quiet_where_policy_and_person_say_so_and_the_log_says_it_first() {
    needs_cells!();
    let home = Home::new();
    let work = home.path("work");
    assert_eq!(quietly(&home, IS_MOUNTED).done().text(), "quiet\n");
    let served = operations(&home, "work/**");
    assert_eq!(served.len(), 1);
    assert_eq!(served[0].0, "serve_quiet");
    // Nobody wants it.
    assert_eq!(with(&home, &[], IS_MOUNTED).done().text(), "watched\n");
    // What may be written is recorded before each use, which a quiet tree cannot keep to.
    let written = format!("{}/**=read,list,metadata,write", work.display());
    let read = format!("{}/**=read,list,metadata", work.display());
    let counted = format!("{read},max_bytes=100000");
    for (grant, expected) in [
        (written, "watched\n"),
        (counted, "watched\n"),
        (read, "quiet\n"),
    ] {
        let options = ["--quiet", "--grant", &grant];
        let ended = home
            .run(&options, &["sh", "-c", IS_MOUNTED])
            .cwd(&work)
            .done();
        assert_eq!(ended.text(), expected, "{grant}: {}", ended.errors());
    }
    // Policy says nothing of it, or that it is so for everybody.
    let policy = super::asking::impatient(&home, 1);
    let rules = policy.join("base.rego");
    let text = fs::read_to_string(&rules).expect("read");
    for (view, wanted, expected) in [("watched", true, "watched\n"), ("quiet", false, "quiet\n")] {
        fs::write(&rules, text.replace("quiet_if_wanted", view)).expect("write");
        let mut options = vec!["--policy", policy.to_str().expect("text")];
        options.extend(wanted.then_some("--quiet"));
        assert_eq!(with(&home, &options, IS_MOUNTED).done().text(), expected);
    }
}

#[test]
fn what_is_taken_out_is_absent_or_has_only_what_policy_gives() {
    needs_cells!();
    let home = Home::new();
    home.write("work/.env", "TOKEN=decoy\n");
    home.write("work/.git/config", "[core]\n");
    home.write("work/plain", "plain\n");
    let script = "ls -A; cat .env; cat .git/config; echo x > .env; echo x > sub.env; mv plain .env; ln plain .env; \
        echo '[alias]' >> .git/config; mkdir -p .git/hooks && echo x > .git/hooks/pre-commit; mv plain .git/config; \
        cat plain; ls -A; cat /run/valetkey/denials.json";
    let ended = quietly(&home, script).done();
    let text = ended.text();
    assert!(!text.contains("decoy"), "{text}");
    let (listed, rest) = text.split_once("[core]\n").expect("what may be read");
    assert_eq!(listed, ".git\nplain\n", "{}", ended.errors());
    assert!(rest.starts_with("plain\n.git\nplain\nsub.env\n"), "{rest}");
    assert!(
        rest.contains("work/.git/config") && rest.contains("valetkey ask"),
        "{rest}"
    );
    assert_eq!(
        fs::read_to_string(home.path("work/.env")).expect("read"),
        "TOKEN=decoy\n"
    );
    assert_eq!(
        fs::read_to_string(home.path("work/.git/config")).expect("read"),
        "[core]\n"
    );
    assert!(!home.path("work/.git/hooks/pre-commit").exists());
    // Nobody was asked, and nothing waited.
    assert!(home.events("approval.requested").is_empty());
}

#[test]
fn a_secret_is_not_opened_by_another_name_or_one_that_comes_later() {
    needs_cells!();
    let home = Home::new();
    home.write(".ssh/id_ed25519", "decoy key\n");
    home.write("work/one", "plain\n");
    fs::hard_link(home.path(".ssh/id_ed25519"), home.path("work/notes")).expect("link");
    fs::hard_link(home.path("work/one"), home.path("work/two")).expect("link");
    home.write("work/sub/cached", "decoy later\n");
    let script = "cat notes; echo x >> notes; cp notes copy; cat two; ls sub; touch ready; \
        until test -e go; do sleep 0.02; done; cat sub/.env; ls -A sub";
    let mut session = quietly(&home, script).start();
    session.wait_for("cached", Duration::from_secs(10));
    fs::rename(home.path("work/sub/cached"), home.path("work/sub/.env")).expect("rename");
    home.write("work/go", "");
    let ended = session.finish(Duration::from_secs(10));
    assert_eq!(ended.text(), "plain\ncached\n", "{}", ended.errors());
    let kept = fs::read_to_string(home.path(".ssh/id_ed25519")).expect("read");
    assert_eq!(kept, "decoy key\n");
}

#[test]
fn taking_back_reaches_what_is_open_and_mapped_in_a_quiet_tree() {
    needs_cells!();
    for verb in ["hold", "reopen", "map"] {
        let home = Home::new();
        let file = home.write("work/data.txt", [b'x'; 16384]);
        let work = home.path("work");
        let grant = format!("{}/**=read,list,metadata", work.display());
        let policy = super::asking::impatient(&home, 1);
        let policy = policy.to_str().expect("text");
        let options = ["--quiet", "--grant", &grant, "--policy", policy];
        let mut session = start(&home, verb, &options, &file);
        std::thread::sleep(Duration::from_millis(100));
        assert!(session.is_running());
        let caps = home.valetkey(["caps", "list", "--json"]).done().ok().json();
        for held in caps.as_array().expect("a list") {
            let id = held["capability_id"].as_str().expect("an id");
            drop(home.valetkey(["caps", "revoke", id]).done().ok());
        }
        let returned = now_us();
        let (how, at) = ended(session);
        assert!(
            at - returned <= BOUND_MS * 1000,
            "{verb}: {how} {}",
            (at - returned) / 1000
        );
    }
}

#[test]
fn the_record_has_first_reads_writes_and_changes() {
    needs_cells!();
    let home = Home::new();
    home.write("work/read", "content\n");
    home.write("work/written", "content\n");
    home.write("work/opened", "content\n");
    let script = "cat read read read > /dev/null; echo more >> written; : < opened; mkdir made; rm opened; mv read moved";
    drop(quietly(&home, script).done().ok());
    let names = |file: &str| -> Vec<String> {
        let all = operations(&home, file);
        all.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names("work/opened"), ["delete"]);
    assert!(names("work/made").contains(&"create".to_owned()));
    assert!(names("work/moved").contains(&"rename_to".to_owned()));
    let opened = |file: &str, action: &str| {
        operations(&home, file)
            .into_iter()
            .any(|(_, event)| event["action"].to_string().contains(action))
    };
    assert!(opened("work/read", "read") && !opened("work/read", "write"));
    assert!(opened("work/written", "write"));
    home.verify();
}

#[test]
fn what_a_session_changed_in_a_quiet_tree_is_put_back() {
    needs_cells!();
    let home = Home::new();
    home.write("work/f", "one\n");
    home.write("work/sub/g", "two\n");
    home.write("work/t", "three\n");
    let script = "echo changed > f; rm sub/g; mkdir new; echo x > new/n; mv sub new/moved; truncate -s 2 t; chmod 600 t; \
        exec 3<> t; rm t; echo more >&3";
    drop(with(&home, &["--undo", "--quiet"], script).done().ok());
    assert_eq!(
        fs::read_to_string(home.path("work/f")).expect("read"),
        "changed\n"
    );
    drop(home.valetkey(["undo"]).done().ok());
    assert_eq!(
        fs::read_to_string(home.path("work/f")).expect("read"),
        "one\n"
    );
    assert_eq!(
        fs::read_to_string(home.path("work/sub/g")).expect("read"),
        "two\n"
    );
    assert_eq!(
        fs::read_to_string(home.path("work/t")).expect("read"),
        "three\n"
    );
    let mode = fs::metadata(home.path("work/t"))
        .expect("stat")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
    assert!(!home.path("work/new").exists());
}

#[test]
fn masks_hold_in_a_quiet_tree() {
    needs_cells!();
    let home = Home::new();
    home.write("work/.env", "PASSWORD=correct-horse\n");
    home.write("work/settings.conf", "PASSWORD=correct-horse\n");
    let work = home.path("work");
    let grant = format!("{}/**=read,list,metadata,redact=secrets", work.display());
    let script = format!("{IS_MOUNTED}; cat settings.conf .env; cat /run/valetkey/denials.json");
    let options = ["--quiet", "--grant", &grant];
    let ended = home.run(&options, &["sh", "-c", &script]).cwd(&work).done();
    let masked = "PASSWORD=XXXXXXXXXXXXX\n";
    assert!(
        ended
            .text()
            .starts_with(&format!("quiet\n{masked}{masked}")),
        "{} {}",
        ended.text(),
        ended.errors()
    );
}
