//! What happens when a part dies: nothing new is granted, nothing acknowledged is lost, nothing of the agent stays behind.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use valetkey_tests::{Finished, Home, agent_program, is_root, scratch, skipped, until};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(10);
const NONE: [&str; 0] = [];

/// Processes of the host whose command line holds `marker`.
fn processes_with(marker: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(marker) {
            found.push(pid);
        }
    }
    found
}

fn kill_broker(home: &Home) {
    let broker = home.broker();
    kill_process(broker, Signal::KILL).expect("kill the broker");
    until("the broker is gone", SOON, || {
        home.status().is_none().then_some(())
    });
}

#[test]
fn without_its_broker_a_session_opens_nothing_new() {
    needs_cells!();
    let home = Home::new();
    home.write("work/held.txt", "held from before\n");
    home.write("work/other.txt", "decoy\n");
    home.write("asked.txt", "decoy\n");
    let script = "exec 3<held.txt; head -c 5 <&3; echo; echo up; read go
        head -c 5 <&3; echo; cat other.txt; (echo x > made.txt) && echo made; cat ../asked.txt; mkdir dir && echo made; rm other.txt && echo removed
        mv other.txt moved && echo moved; echo second; read go; head -c 1 <&3 && echo; echo third";
    let work = home.path("work");
    let mut session = home
        .run(
            &["--workspace", work.to_str().expect("text")],
            &["sh", "-c", script],
        )
        .cwd(&work)
        .open_input()
        .start();
    session.wait_for("up", SOON);
    let before = home.trail();
    kill_broker(&home);
    std::thread::sleep(Duration::from_millis(400));
    let begun = Instant::now();
    session.write(b"go\n");
    session.wait_for("second", SOON);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "refusals are prompt: {:?}",
        begun.elapsed()
    );
    // What was open goes on; nothing else does.
    assert_eq!(
        session.output(),
        "held \nup\nfrom \nsecond\n",
        "{}",
        session.errors()
    );
    // A new broker does not know the session: what it held is over too.
    drop(home.run(&NONE, &["true"]).done().ok());
    std::thread::sleep(Duration::from_millis(700));
    session.write(b"go\n");
    let ended = session.finish(SOON);
    assert_eq!(
        ended.text(),
        "held \nup\nfrom \nsecond\nthird\n",
        "{}",
        ended.errors()
    );
    assert_eq!(
        fs::read_to_string(home.path("work/other.txt")).expect("read"),
        "decoy\n"
    );
    assert!(!home.path("work/made.txt").exists() && !home.path("work/dir").exists());
    home.verify();
    let after = home.trail();
    assert_eq!(
        &after[..before.len()],
        &before[..],
        "what was in the log is in the log"
    );
}

#[test]
fn every_answer_that_the_agent_saw_is_in_the_log_of_a_killed_broker() {
    needs_cells!();
    let home = Home::new();
    let mut session = home
        .run(
            &NONE,
            &[agent_program().to_str().expect("text"), "flood", "100000"],
        )
        .start();
    until("some answers", SOON, || {
        (session.output().lines().count() > 50).then_some(())
    });
    let broker = home.broker();
    until("more answers", SOON, || {
        (session.output().lines().count() > 100).then_some(())
    });
    kill_process(broker, Signal::KILL).expect("kill the broker");
    session.wait_for("unanswered", SOON);
    let ended = session.finish(SOON);
    home.verify();
    let decided = home.events("request.decided");
    let known: std::collections::HashSet<&str> = decided
        .iter()
        .filter_map(|event| event["request_id"].as_str())
        .collect();
    let seen: Vec<String> = ended
        .text()
        .lines()
        .filter(|line| line.starts_with("req-"))
        .map(str::to_owned)
        .collect();
    assert!(seen.len() > 100);
    let lost: Vec<&String> = seen
        .iter()
        .filter(|id| !known.contains(id.as_str()))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} were told and are not in the log",
        lost.len(),
        seen.len()
    );
    // The next broker goes on with the same log.
    drop(home.run(&NONE, &["true"]).done().ok());
    home.verify();
}

#[test]
fn a_killed_guard_takes_the_agent_and_its_files_with_it() {
    needs_cells!();
    let home = Home::new();
    let marker = format!("vk-marker-{}", home.dir().display());
    let script = "echo up; (sleep 300 & setsid sleep 301 & wait) & while :; do cat held.txt > /dev/null; sleep 0.02; done";
    home.write("work/held.txt", "held\n");
    let work = home.path("work");
    let mut session = home
        .run(
            &["--workspace", work.to_str().expect("text")],
            &["sh", "-c", script, &marker],
        )
        .cwd(&work)
        .start();
    session.wait_for("up", SOON);
    home.wait_for_event("operation.performed", |_| true);
    let inside: Vec<i32> = processes_with(&marker)
        .into_iter()
        .filter(|pid| *pid != session.pid().as_raw_nonzero().get())
        .collect();
    assert!(
        inside.len() >= 2,
        "pid 1 of the cell or the agent: {inside:?}"
    );
    let mounts = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/mounts"))
            .is_ok_and(|text| text.contains("valetkey"))
    };
    assert!(inside.iter().any(mounts));
    let begun = Instant::now();
    session.signal(Signal::KILL);
    until("the agent ends", Duration::from_secs(1), || {
        processes_with(&marker).is_empty().then_some(())
    });
    let took = begun.elapsed();
    println!("the agent ended {took:?} after its guard was killed");
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    assert!(!mounts.lines().any(|line| line.starts_with("valetkey ")));
    let closed = home.wait_for_event("session.closed", |_| true);
    assert!(closed.to_string().contains("its guard died"), "{closed}");
    assert_eq!(home.status().expect("a broker")["capabilities"], 0);
    assert_eq!(session.finish(SOON).code(), 137);
    home.verify();
}

#[test]
fn a_question_of_a_killed_guard_closes() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    session.signal(Signal::KILL);
    until("the question closes", SOON, || {
        home.questions().is_empty().then_some(())
    });
    drop(
        home.valetkey(["approve", question["request_id"].as_str().expect("id")])
            .done()
            .expect(1),
    );
    home.verify();
}

#[test]
fn a_broker_that_stops_in_good_order_ends_what_was_granted() {
    needs_cells!();
    let home = Home::new();
    home.write("work/held.txt", "held\n");
    let work = home.path("work");
    let mut session = home
        .run(
            &["--workspace", work.to_str().expect("text")],
            &[
                "sh",
                "-c",
                "echo up; read go; cat held.txt && echo read; echo over",
            ],
        )
        .cwd(&work)
        .open_input()
        .start();
    session.wait_for("up", SOON);
    drop(home.valetkey(["stop"]).done().ok());
    std::thread::sleep(Duration::from_millis(400));
    session.write(b"go\n");
    assert_eq!(session.finish(SOON).text(), "up\nover\n");
    home.verify();
    assert_eq!(home.trail().last().expect("an event")["type"], "log.closed");
}

/// A mount namespace that lives as long as this does, with a small file system where Valetkey's state lies.
pub(crate) struct SmallDisk {
    pub(crate) keeper: std::process::Child,
}

impl SmallDisk {
    pub(crate) fn at(place: &std::path::Path, size: &str) -> Self {
        let script = format!(
            "mount -t tmpfs -o size={size},mode=0700 none {} && echo ready && exec sleep 600",
            place.display()
        );
        let mut keeper = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        let out = keeper.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("read");
        assert_eq!(line, "ready\n");
        Self { keeper }
    }

    /// The same path as seen from outside.
    fn path(&self, inside: &std::path::Path) -> std::path::PathBuf {
        format!("/proc/{}/root{}", self.keeper.id(), inside.display()).into()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}

#[test]
fn on_a_full_disk_nothing_is_granted_until_there_is_room_again() {
    needs_cells!();
    if !is_root() {
        skipped("on_a_full_disk", "mounting a small disk takes root");
        return;
    }
    let home = Home::new();
    let disk = SmallDisk::at(home.state(), "8m");
    let target = disk.keeper.id().to_string();
    let enter = "cd \"$HOME\" && exec \"$@\"";
    let home = home.prefixed(["nsenter", "-t", &target, "-m", "sh", "-c", enter, "sh"]);
    home.write("work/a.txt", "a\n");
    let work = home.path("work");
    let options = ["--workspace", work.to_str().expect("text")];
    drop(home.run(&options, &["cat", "work/a.txt"]).done());
    let filler = disk.path(&home.state().join("filler"));
    let fill = || {
        let mut size = 1 << 20;
        let mut bytes = Vec::new();
        while size > 0 {
            bytes.resize(bytes.len() + size, 7);
            if fs::write(&filler, &bytes).is_err() {
                bytes.truncate(bytes.len() - size);
                size /= 2;
            }
        }
    };
    fill();
    // Events before the write fails may still fit into what was set aside.
    let refused: Finished = until("a refusal", Duration::from_secs(30), || {
        let ended = home.run(&options, &["cat", "work/a.txt"]).done();
        (ended.code() != 0 || !ended.text().contains('a')).then_some(ended)
    });
    assert!(!refused.text().contains('a'), "{}", refused.text());
    assert!(
        refused.errors().to_lowercase().contains("space") || refused.errors().contains("record"),
        "{}",
        refused.errors()
    );
    let status = home.status();
    println!(
        "on a full disk: {} | {:?}",
        refused.errors().trim(),
        status.map(|status| status["recording"].clone())
    );
    fs::remove_file(&filler).expect("make room");
    let again: Finished = until("it works again", Duration::from_secs(20), || {
        let ended = home.run(&options, &["cat", "work/a.txt"]).cwd(&work).done();
        (ended.code() == 0).then_some(ended)
    });
    assert_eq!(again.text(), "a\n");
    home.verify();
    let events: Vec<Value> = home.trail();
    assert!(!events.is_empty());
    drop(home.valetkey(["stop"]).done().ok());
}

#[test]
fn a_review_whose_end_cannot_be_recorded_stays_open() {
    needs_cells!();
    if !is_root() {
        skipped(
            "a_review_on_a_full_disk",
            "mounting a small disk takes root",
        );
        return;
    }
    let home = Home::new();
    let disk = SmallDisk::at(home.state(), "8m");
    let target = disk.keeper.id().to_string();
    let enter = "cd \"$HOME\" && exec \"$@\"";
    let home = home.prefixed(["nsenter", "-t", &target, "-m", "sh", "-c", enter, "sh"]);
    let notes = home.write("accounts/q3.txt", "the figures\n");
    let init = ["approver", "init", "--no-passphrase", "--name"];
    let key_at = disk.path(&home.key_file());
    // Two people: one takes the emergency, the other reviews it.
    let made = home
        .valetkey([init[0], init[1], init[2], init[3], "zoe"])
        .done()
        .ok();
    let zoe = fs::read(&key_at).expect("a key");
    let public = made.text().trim().to_owned();
    fs::remove_file(&key_at).expect("remove");
    drop(
        home.valetkey([init[0], init[1], init[2], init[3], "ann"])
            .done()
            .ok(),
    );
    let add = [
        "approver", "add", "zoe", "--key", &public, "--role", "owner",
    ];
    let session = home.run(&NONE, &["sleep", "600"]).start();
    let id = until("a session", SOON, || {
        let trail = home.trail();
        let opened = trail
            .iter()
            .find(|event| event["type"] == "session.opened")?;
        Some(opened["session"].as_str()?.to_owned())
    });
    drop(home.valetkey(add).done().ok());
    let scope = format!("{}=read", notes.display());
    let because = "the close run is stuck on a lock";
    let take = [
        "break-glass",
        "--session",
        &id,
        "--because",
        because,
        "--ticket",
        "INC-7",
        &scope,
    ];
    drop(home.valetkey(take).done().ok());
    fs::write(&key_at, zoe).expect("the other's key");
    let listed = || {
        let list = ["report", "review", "--json"];
        home.valetkey(list).done().ok().json()
    };
    let open = listed();
    let digest = open[0]["emergency"].as_str().expect("a digest").to_owned();
    let findings = "only the one file was read, as it was meant";
    let close = || {
        let close = [
            "report",
            "review",
            "--close",
            &digest,
            "--findings",
            findings,
        ];
        home.valetkey(close).done()
    };
    let filler = disk.path(&home.state().join("filler"));
    let mut size = 1 << 20;
    let mut bytes = Vec::new();
    while size > 0 {
        bytes.resize(bytes.len() + size, 7);
        if fs::write(&filler, &bytes).is_err() {
            bytes.truncate(bytes.len() - size);
            size /= 2;
        }
    }
    // Events may still fit into what was set aside; the review's own file does not.
    for _ in 0..2 {
        let refused = close();
        assert_ne!(refused.code(), 0, "{}", refused.text());
        assert_eq!(listed()[0]["is_open"], true);
    }
    until(
        "nothing is recorded any more",
        Duration::from_secs(30),
        || {
            let ended = home.run(&NONE, &["true"]).done();
            (ended.code() != 0).then_some(())
        },
    );
    let before = home.events("breakglass.reviewed").len();
    let refused = close();
    assert_ne!(refused.code(), 0, "{}", refused.text());
    assert_eq!(listed()[0]["is_open"], true);
    assert_eq!(home.events("breakglass.reviewed").len(), before);
    fs::remove_file(&filler).expect("make room");
    until("it closes", Duration::from_secs(20), || {
        (close().code() == 0).then_some(())
    });
    assert_eq!(listed(), serde_json::json!([]));
    drop(session);
    home.verify();
    drop(home.valetkey(["stop"]).done().ok());
}

#[test]
fn a_home_that_cannot_be_written_is_a_clear_error() {
    needs_cells!();
    // `/proc` takes no new directory from anybody, root included.
    let home = Home::new().with_state("/proc/valetkey".into());
    let ended = home.run(&NONE, &["true"]).done();
    assert!(
        ended.errors().contains("/proc/valetkey") && ended.errors().contains("VALETKEY_HOME"),
        "{}",
        ended.errors()
    );
    assert!(matches!(ended.code(), 1 | 6), "{}", ended.code());
    let shared = scratch();
    fs::set_permissions(
        shared.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .expect("mode");
    let open = shared.path().join("state");
    fs::create_dir(&open).expect("make");
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("mode");
    let home = Home::new().with_state(shared.path().to_path_buf());
    let ended = home.run(&NONE, &["true"]).done();
    assert!(
        ended.errors().contains("other users may write"),
        "{}",
        ended.errors()
    );
    assert_ne!(ended.code(), 0);
}
