//! `valetkey doctor` and `run --require`: what is enforced is found out by trying, and less than was required does not start.

use std::path::Path;

use serde_json::Value;
use valetkey_tests::{Device, Finished, Home, is_root, lacking_program, skipped};

use super::needs_cells;

const NONE: [&str; 0] = [];

fn told(ended: &Finished) -> Value {
    serde_json::from_str(&ended.text())
        .unwrap_or_else(|error| panic!("{error}: {} {}", ended.text(), ended.errors()))
}

fn findings(told: &Value) -> &Vec<Value> {
    told["findings"].as_array().expect("findings")
}

/// The finding of that name.
#[track_caller]
fn finding<'a>(told: &'a Value, id: &str) -> &'a Value {
    let found = findings(told).iter().find(|finding| finding["id"] == id);
    found.unwrap_or_else(|| panic!("no finding `{id}`: {told}"))
}

fn all_holds(home: &Home) {
    let ended = home.valetkey(["doctor", "--json"]).done();
    let told = told(&ended);
    let failed: Vec<_> = findings(&told)
        .iter()
        .filter(|finding| finding["state"] == "fails")
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(told["result"], "holds");
    assert_eq!(ended.code(), 0);
    let of = |state: &str| {
        findings(&told)
            .iter()
            .filter(|finding| finding["wall"].is_string() && finding["state"] == state)
            .count()
    };
    assert!(told["probes"].as_u64().expect("a number") >= 60);
    // Most have a control that comes through, so that not all of it is held by accident.
    assert!(
        of("holds") >= 60,
        "{} hold, {} cannot be told",
        of("holds"),
        of("not_checkable")
    );
    for wall in [
        "view",
        "mounts",
        "namespaces",
        "seccomp",
        "privilege",
        "environment",
    ] {
        let held = findings(&told)
            .iter()
            .any(|finding| finding["wall"] == wall && finding["state"] == "holds");
        assert!(held, "{wall}");
    }
    for id in [
        "file_outside",
        "hardlink",
        "env_file_link",
        "own_doors",
        "ptrace",
        "descriptor",
    ] {
        assert_eq!(finding(&told, id)["state"], "holds", "{id}");
    }
    for id in [
        "broker_filter",
        "broker_privileges",
        "broker_capabilities",
        "verified",
    ] {
        assert_eq!(finding(&told, id)["state"], "holds", "{id}");
    }
    // The same for people, without a colour where nobody sees it.
    let ended = home.valetkey(["doctor"]).done().ok();
    assert!(
        ended.text().contains("attacks go nowhere"),
        "{}",
        ended.text()
    );
    assert!(!ended.text().contains('\x1b'));
    home.verify();
}

#[test]
fn the_doctor_attacks_a_cell_and_everything_holds() {
    needs_cells!();
    all_holds(&Home::new());
}

#[test]
fn the_doctor_of_an_ordinary_user_finds_everything_holding() {
    needs_cells!();
    if !is_root() {
        skipped(
            "the_doctor_of_an_ordinary_user",
            "it is the other test's user",
        );
        return;
    }
    all_holds(&Home::of_ordinary_user(Device::Open));
}

#[test]
fn the_same_attacks_come_through_where_there_is_no_cell() {
    needs_cells!();
    let home = Home::new();
    let place = home.outside("aim");
    for dir in ["outside", "workspace"] {
        home.make_dir(&place.join(dir));
    }
    let decoy = place.join("outside/decoy");
    std::fs::write(&decoy, "valetkey-doctor-decoy").expect("write");
    std::fs::hard_link(&decoy, place.join("workspace/hardlink")).expect("link");
    let namespaces: serde_json::Map<_, _> = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]
        .into_iter()
        .map(|kind| {
            let link = std::fs::read_link(Path::new("/proc/self/ns").join(kind)).expect("link");
            (kind.to_owned(), Value::from(link.to_string_lossy()))
        })
        .collect();
    let aim = serde_json::json!({
        "outside": place.join("outside"), "workspace": place.join("workspace"), "process": std::process::id(),
        "started": "", "port": 1, "abstract_socket": "none", "namespaces": namespaces, "own": [], "sockets": [],
    });
    let ended = home
        .valetkey(["doctor-probe", &aim.to_string(), "--control"])
        .done()
        .ok();
    let text = ended.text();
    let through: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|told| told["verdict"] == "through")
        .collect();
    let has = |id: &str| through.iter().any(|told| told["id"] == id);
    for id in [
        "file_outside",
        "hardlink",
        "folder_outside",
        "namespace_user",
        "ptrace",
        "mount",
        "filter",
    ] {
        assert!(has(id), "`{id}` cannot fail: {text}");
    }
    assert!(through.len() >= 40, "{} come through", through.len());
}

#[test]
fn a_doctor_on_a_machine_that_lacks_something_says_what_and_what_to_do() {
    needs_cells!();
    let lacking = lacking_program().display().to_string();
    let mut machines = vec![(
        Home::new().prefixed([&lacking, "landlock"]),
        "landlock",
        "lsm=",
    )];
    if is_root() {
        let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        let none = Home::new().prefixed(["unshare", "-U", "-r", "sh", "-c", script, "sh"]);
        machines.push((none, "user_namespaces", "max_user_namespaces"));
        machines.push((Home::with_device(Device::Missing), "fuse", "modprobe fuse"));
    }
    for (home, id, step) in machines {
        let ended = home.valetkey(["doctor", "--json"]).done();
        assert_eq!(ended.code(), 5, "{id}: {} {}", ended.text(), ended.errors());
        let told = told(&ended);
        let found = finding(&told, id);
        assert_eq!(found["state"], "fails", "{found}");
        let next = found["next"].as_str().expect("a next step");
        assert!(next.contains(step), "{next}");
        assert_eq!(finding(&told, "level")["state"], "fails");
        assert_eq!(told["level"], Value::Null);
        drop(home.valetkey(["stop"]).done());
    }
}

#[test]
fn a_level_that_is_required_and_not_reached_starts_nothing() {
    needs_cells!();
    let home = Home::new();
    let made = home.path("made");
    let work = home.path("work");
    home.make_dir(&work);
    let options = [
        "--require",
        "strict",
        "--workspace",
        work.to_str().expect("text"),
    ];
    let ended = home
        .run(&options, &["touch", made.to_str().expect("text")])
        .done();
    assert_eq!(ended.code(), 5, "{}", ended.errors());
    assert!(
        ended.errors().contains("level `strict` is required"),
        "{}",
        ended.errors()
    );
    assert!(
        ended.errors().contains("next: install the system broker"),
        "{}",
        ended.errors()
    );
    assert!(!made.exists());
    assert!(home.events("session.opened").is_empty());
    // What is reached starts, and is in the log.
    drop(home.run(&["--require", "basic"], &["true"]).done().ok());
    let opened = home.events("session.opened").pop().expect("an event");
    let level = opened["attributes"]["level"].as_str().expect("a level");
    assert!(["basic", "standard"].contains(&level), "{opened}");
    let posture = opened["attributes"]["posture"].as_str().expect("a posture");
    assert!(
        posture.contains("landlock") && posture.contains("seccomp"),
        "{posture}"
    );
    drop(home.run(&["--require", level], &["true"]).done().ok());
    assert_eq!(home.run(&["--require", "most"], &["true"]).done().code(), 2);
}

#[test]
fn a_cell_without_its_own_keyring_is_weaker_and_says_so() {
    needs_cells!();
    let lacking = lacking_program().display().to_string();
    let home = Home::new().prefixed([&lacking, "keyctl"]);
    let ended = home.run(&["--require", "standard"], &["true"]).done();
    assert_eq!(ended.code(), 5, "{}", ended.errors());
    assert!(
        ended.errors().contains("a keyring of its own"),
        "{}",
        ended.errors()
    );
    assert!(ended.errors().contains("keyctl"), "{}", ended.errors());
    // Without a requirement it starts, and the log has what it is.
    drop(home.run(&NONE, &["true"]).done().ok());
    let opened = home.events("session.opened").pop().expect("an event");
    assert_eq!(opened["attributes"]["level"], "basic", "{opened}");
    let posture = opened["attributes"]["posture"].as_str().expect("a posture");
    assert!(posture.contains("no keyring of its own"), "{posture}");
}

#[test]
fn the_number_of_processes_of_a_cell_is_limited_for_good() {
    needs_cells!();
    if !is_root() {
        skipped(
            "the_number_of_processes",
            "it takes root to make an ordinary user's home",
        );
        return;
    }
    let home = Home::of_ordinary_user(Device::Open);
    let script = "ulimit -Hu; ulimit -Hu 100000 2>/dev/null && echo raised; ulimit -c; ulimit -Hc 1 2>/dev/null && echo dumps; true";
    let ended = home
        .run(
            &NONE,
            &[
                "sh",
                "-c",
                &script.replace("-Hu", "-Hp").replace("-u", "-p"),
            ],
        )
        .done();
    let text = ended.text();
    let mut lines = text.lines();
    let most: u64 = lines
        .next()
        .and_then(|line| line.parse().ok())
        .unwrap_or(u64::MAX);
    assert!(most <= 16_384, "{text} {}", ended.errors());
    assert!(
        !text.contains("raised") && !text.contains("dumps"),
        "{text}"
    );
}

#[test]
fn a_session_is_limited_as_it_was_asked_for() {
    needs_cells!();
    let home = Home::new();
    let options = ["--limit", "memory=64M,pids=40,cpu=150%"];
    let script = "head -c 200000000 /dev/zero 2>/dev/null | tail > /dev/null; echo $?; i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done 2>/dev/null; echo over";
    let ended = home
        .run(
            &options,
            &[
                "sh",
                "-c",
                &format!("sh -c '{script}' 2>/dev/null; echo guarded"),
            ],
        )
        .done();
    if ended.code() == 5 {
        // No control group may be made here: then what was asked for starts nothing.
        assert!(
            ended
                .errors()
                .contains("cannot limit the cell as it was asked for"),
            "{}",
            ended.errors()
        );
        assert!(home.events("session.opened").is_empty());
        return;
    }
    let text = ended.text();
    assert!(
        text.starts_with("137\n") && text.ends_with("guarded\n"),
        "{text} {}",
        ended.errors()
    );
    let opened = home.events("session.opened").pop().expect("an event");
    let posture = opened["attributes"]["posture"].as_str().expect("a posture");
    assert!(
        posture.contains("limits on memory 64 MiB, processes 40, processor 150 %"),
        "{posture}"
    );
    // The broker and the next session go on.
    drop(home.run(&NONE, &["true"]).done().ok());
    for bad in ["memory=1", "pids=none,pids", "disk=4", "cpu=200"] {
        assert_eq!(
            home.run(&["--limit", bad], &["true"]).done().code(),
            2,
            "{bad}"
        );
    }
    home.verify();
}
