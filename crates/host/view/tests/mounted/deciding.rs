//! Requests that must ask: they wait, are answered, are remembered, and can be given up.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use valetkey_view::{Observation, Permit, Verdict};

use crate::fixture::{Fixture, TestPermit, errno, eventually};

fn yes(actions: &str) -> Verdict {
    Verdict::Permitted(TestPermit::new(actions) as Arc<dyn Permit>)
}

#[test]
fn an_open_waits_for_the_answer_and_others_go_on() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/asked/f", "content");
    view.put("/work/g", "other");
    let go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go);
    view.rules.resolve_by(move |path, wanted, interrupt| {
        if path != Path::new("/asked/f") || wanted.to_string() != "read" {
            return yes("metadata,list");
        }
        while !gate.load(Ordering::SeqCst) && !interrupt.wait(Duration::from_millis(2)) {}
        yes("read")
    });
    let path = view.at("/asked/f");
    let reader = thread::spawn(move || fs::read_to_string(path));
    // More of them than there are serving threads.
    let more: Vec<_> = (0..8)
        .map(|_| {
            let path = view.at("/asked/f");
            thread::spawn(move || fs::read_to_string(path))
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    assert!(!reader.is_finished());
    assert_eq!(
        fs::read_to_string(view.at("/work/g")).expect("read"),
        "other"
    );
    go.store(true, Ordering::SeqCst);
    assert_eq!(reader.join().expect("thread").expect("read"), "content");
    for reader in more {
        assert_eq!(reader.join().expect("thread").expect("read"), "content");
    }
}

#[test]
fn a_waiting_program_can_be_killed() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/asked/f", "content");
    let given_up = Arc::new(AtomicBool::new(false));
    let noticed = Arc::clone(&given_up);
    view.rules.resolve_by(move |_, wanted, interrupt| {
        if wanted.to_string() == "metadata" {
            return yes("metadata");
        }
        let raised = interrupt.wait(Duration::from_secs(30));
        noticed.store(raised, Ordering::SeqCst);
        yes("read")
    });
    for signal in ["-KILL", "-TERM"] {
        given_up.store(false, Ordering::SeqCst);
        let mut child = Command::new("cat")
            .arg(view.at("/asked/f"))
            .stdout(Stdio::null())
            .spawn()
            .expect("cat");
        assert!(eventually(
            || view.rules.resolved.load(Ordering::SeqCst) >= 2
        ));
        thread::sleep(Duration::from_millis(100));
        let sent = Instant::now();
        let kill = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(kill.expect("kill").success());
        let status = child.wait().expect("wait");
        assert!(!status.success());
        assert!(
            sent.elapsed() < Duration::from_secs(2),
            "{:?}",
            sent.elapsed()
        );
        assert!(eventually(|| given_up.load(Ordering::SeqCst)));
        view.rules.resolved.store(1, Ordering::SeqCst);
    }
    assert_eq!(
        view.rules
            .reports(|seen| matches!(seen, Observation::Opened { .. })),
        0
    );
}

#[test]
fn a_refusal_is_remembered_and_says_what_the_name_allows() {
    let Some(view) = Fixture::new(|config| config.refusal_memory = Duration::from_secs(30)) else {
        return;
    };
    view.put("/other/f", "content");
    view.put("/work/shown", "content");
    view.rules.resolve_by(|path, _, _| Verdict::Refused {
        visible: path.ends_with("shown"),
    });
    for _ in 0..20 {
        assert_eq!(errno(fs::metadata(view.at("/other"))), Errno::NOENT);
    }
    assert_eq!(view.rules.resolved.load(Ordering::SeqCst), 1);
    view.grant("/work/x", "read");
    for _ in 0..3 {
        assert_eq!(errno(File::open(view.at("/work/shown"))), Errno::ACCESS);
    }
    assert_eq!(fs::metadata(view.at("/work/shown")).expect("stat").len(), 7);
    // Asked once to see it and once to read it.
    assert_eq!(view.rules.resolved.load(Ordering::SeqCst), 3);
    // A grant is a new situation.
    view.grant("/other", "read,list");
    assert!(eventually(|| view.at("/other/f").exists()));
    assert_eq!(
        fs::read_to_string(view.at("/other/f")).expect("read"),
        "content"
    );
}

#[test]
fn creation_asks_too_and_happens_once() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.grant("/work", "metadata,list");
    view.rules.resolve_by(|_, wanted, _| {
        thread::sleep(Duration::from_millis(50));
        if wanted.to_string() == "write,create" {
            yes("write,create")
        } else {
            yes("metadata")
        }
    });
    fs::write(view.at("/work/new"), "made").expect("write");
    assert_eq!(
        fs::read_to_string(view.real("/work/new")).expect("host"),
        "made"
    );
    let created = |seen: &Observation| matches!(seen, Observation::Created { .. });
    assert_eq!(view.rules.reports(created), 1);
}

#[test]
fn more_waiting_than_the_limit_are_refused() {
    let Some(view) = Fixture::new(|config| config.waiting_max = 2) else {
        return;
    };
    let go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go);
    view.rules.resolve_by(move |_, _, interrupt| {
        while !gate.load(Ordering::SeqCst) && !interrupt.wait(Duration::from_millis(2)) {}
        Verdict::Refused { visible: false }
    });
    let waiting: Vec<_> = (0..2)
        .map(|number| {
            let path = view.at(&format!("/w{number}"));
            thread::spawn(move || fs::metadata(path))
        })
        .collect();
    assert!(eventually(
        || view.rules.resolved.load(Ordering::SeqCst) == 2
    ));
    assert_eq!(errno(fs::metadata(view.at("/third"))), Errno::AGAIN);
    go.store(true, Ordering::SeqCst);
    for thread in waiting {
        assert_eq!(errno(thread.join().expect("thread")), Errno::NOENT);
    }
}

#[test]
fn a_grant_beside_a_waiting_name_blocks_nobody() {
    let Some(view) = Fixture::new(|config| config.refusal_memory = Duration::from_secs(30)) else {
        return;
    };
    view.put("/home/work/f", "content");
    view.put("/home/asked", "content");
    let go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go);
    view.rules.resolve_by(move |path, _, interrupt| {
        if path == Path::new("/home/asked") {
            while !gate.load(Ordering::SeqCst) && !interrupt.wait(Duration::from_millis(2)) {}
        }
        Verdict::Refused { visible: false }
    });
    view.grant("/home/first", "read");
    assert_eq!(errno(fs::metadata(view.at("/home/work"))), Errno::NOENT);
    let path = view.at("/home/asked");
    let waiting = thread::spawn(move || fs::metadata(path));
    assert!(eventually(
        || view.rules.resolved.load(Ordering::SeqCst) == 2
    ));
    view.grant("/home/work", "read,list");
    thread::sleep(Duration::from_millis(100));
    // The directory is held by the name that waits; other names in it can still be looked up.
    let path = view.at("/home/other");
    let other = thread::spawn(move || fs::metadata(path));
    assert!(eventually(|| other.is_finished()));
    go.store(true, Ordering::SeqCst);
    assert_eq!(errno(waiting.join().expect("thread")), Errno::NOENT);
    assert!(eventually(|| view.at("/home/work/f").exists()));
    drop(other.join());
}
