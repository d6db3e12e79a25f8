//! What a cell takes of the machine, on real control groups, where this machine lets this user have one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use valetkey_sandbox::Posture;

use crate::support::{As, cell, everybody, script};

/// The posture of a cell with these limits.
fn posture(who: As, options: &[&str]) -> Result<Posture, String> {
    let arguments = [options, &["--posture", "--", "true"]].concat();
    let output = cell(who, &arguments).output().expect("run");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).expect("posture"))
}

/// Whether this user can have limits here at all. Where it cannot, that is said and required limits are refused: other tests show no more.
fn has_limits() -> bool {
    let held = posture(As::Me, &[]).expect("a cell").limits;
    if held.processes.is_none() {
        println!("no control group may be made here: nothing to show");
    }
    held.processes.is_some()
}

/// The groups of the cell that this process guards.
fn groups_of(guard: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            let is_group = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(&format!("valetkey-cell-{guard}-"))
            {
                found.push(entry.path());
            } else if is_group {
                open.push(entry.path());
            }
        }
    }
    found
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_asked_for_is_held_or_there_is_no_cell() {
    for who in everybody() {
        let asked = [
            "--limit",
            "memory=64M",
            "--limit",
            "pids=50",
            "--limit",
            "cpu=150%",
        ];
        let usual = posture(who, &[]).expect("a cell").limits;
        match posture(who, &asked) {
            Ok(posture) => {
                assert_eq!(posture.limits.memory_bytes, Some(64 << 20));
                assert_eq!(posture.limits.processes, Some(50));
                assert_eq!(posture.limits.cpu_percent, Some(150));
                assert!(
                    usual.memory_bytes.is_some()
                        && usual.processes == Some(4096)
                        && usual.cpu_percent.is_none()
                );
                let lifted = posture_without_limits(who);
                assert_eq!((lifted.memory_bytes, lifted.processes), (None, None));
            }
            Err(error) => {
                assert!(
                    error.contains("cannot limit the cell as it was asked for"),
                    "{error}"
                );
                assert!(usual.memory_bytes.is_none() || usual.cpu_percent.is_none());
            }
        }
    }
}

fn posture_without_limits(who: As) -> valetkey_sandbox::HeldLimits {
    posture(who, &["--limit", "memory=none", "--limit", "pids=none"])
        .expect("a cell")
        .limits
}

#[test]
fn a_hog_of_memory_is_ended_and_the_guard_goes_on() {
    if !has_limits() {
        return;
    }
    for hog in [
        "head -c 200000000 /dev/zero | tail",
        "head -c 200000000 /dev/zero > /tmp/hog",
    ] {
        let text = format!("sh -c '{hog}' > /dev/null 2>&1; rm -f /tmp/hog; echo still here");
        let output = script(As::Me, &["--limit", "memory=48M"], &text);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "still here\n",
            "{hog}: {output:?}"
        );
        let control = script(
            As::Me,
            &["--limit", "memory=none"],
            &format!("{hog} | wc -c"),
        );
        assert!(control.status.success(), "{control:?}");
    }
    let killed = script(
        As::Me,
        &["--limit", "memory=48M"],
        "head -c 200000000 /dev/zero | tail > /dev/null; echo $?",
    );
    assert_eq!(
        String::from_utf8_lossy(&killed.stdout).trim(),
        "137",
        "{killed:?}"
    );
}

#[test]
fn a_fork_bomb_stays_within_its_number() {
    if !has_limits() {
        return;
    }
    let bomb = "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done";
    let count = "ls /proc | grep -c '^[0-9]'";
    let output = script(
        As::Me,
        &["--limit", "pids=20"],
        &format!("sh -c '{bomb}' 2>/dev/null; {count}"),
    );
    let number = |output: &std::process::Output| {
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse::<u32>()
    };
    // The count itself takes some, and may not be forked at all.
    assert!(number(&output).unwrap_or(20) <= 20, "{output:?}");
    let control = script(As::Me, &[], &format!("sh -c '{bomb}'; {count}"));
    assert!(number(&control).expect("a count") > 60, "{control:?}");
}

#[test]
fn a_group_goes_with_its_cell_and_what_a_killed_guard_left_with_the_next() {
    if !has_limits() {
        return;
    }
    let start = || {
        let mut command = cell(As::Me, &["--", "sleep", "60"]);
        command.stdout(Stdio::null()).spawn().expect("spawn")
    };
    let mut ended = start();
    until("groups", || !groups_of(ended.id()).is_empty());
    let leave = Command::new("kill")
        .args(["-KILL", &first_below(ended.id())])
        .status();
    assert!(leave.expect("kill").success());
    ended.wait().expect("wait");
    assert_eq!(groups_of(ended.id()), Vec::<PathBuf>::new());

    let mut guard = start();
    until("groups", || !groups_of(guard.id()).is_empty());
    guard.kill().expect("kill");
    guard.wait().expect("wait");
    let left = groups_of(guard.id());
    assert!(!left.is_empty(), "a killed guard removes nothing");
    until("an empty group", || {
        left.iter().all(|group| is_empty(group))
    });
    posture(As::Me, &[]).expect("a cell");
    assert_eq!(groups_of(guard.id()), Vec::<PathBuf>::new());
}

/// Another test's cell may have swept it already.
fn is_empty(group: &Path) -> bool {
    !group.exists()
        || std::fs::read_to_string(group.join("cgroup.procs"))
            .is_ok_and(|members| members.is_empty())
}

/// The first process of the cell that `guard` guards.
fn first_below(guard: u32) -> String {
    let path = format!("/proc/{guard}/task/{guard}/children");
    let children = std::fs::read_to_string(path).expect("children");
    children
        .split_whitespace()
        .next()
        .expect("a child")
        .to_owned()
}
