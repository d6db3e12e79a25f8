//! Sockets from a service manager: taken as they are, kept open across restarts, and refused when they are not what they should be.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use valetkey_tests::{Call, Home, activate_program, host_program, skipped, until};

const SOON: Duration = Duration::from_secs(15);

/// A home whose `run` directory is there, as a manager would have made it.
fn home() -> Home {
    let home = Home::new();
    home.make_dir(&home.state().join("run"));
    home
}

fn socket(home: &Home, kind: &str, name: &str) -> String {
    format!(
        "{name}={kind}:{}",
        home.state().join("run").join(name).display()
    ) + ".sock"
}

fn manager(home: &Home, times: u32, sockets: &[String]) -> Call {
    Call::new(home.command(activate_program()))
        .args(["serve", &times.to_string()])
        .args(sockets)
        .arg("--")
        .arg(home.program("valetkeyd"))
}

#[test]
fn sockets_that_a_manager_passed_are_served_and_stay_open_across_restarts() {
    let home = home();
    let notified = home.outside("notify.sock");
    let hears = UnixDatagram::bind(&notified).expect("bind");
    hears.set_read_timeout(Some(SOON)).expect("a time-out");
    let sockets = [
        socket(&home, "stream", "guard"),
        socket(&home, "stream", "operator"),
    ];
    let mut manager = manager(&home, 2, &sockets)
        .env("NOTIFY_SOCKET", &notified)
        .start();
    manager.wait_for("listening", SOON);
    // Nothing runs until somebody comes.
    let first = home.broker();
    let heard = |what: &str| {
        let mut bytes = [0; 256];
        let length = hears.recv(&mut bytes).expect("a notification");
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        assert!(text.starts_with(what), "{text}");
    };
    heard("READY=1");
    // An upgrade is the manager's business here.
    let upgrade = home.valetkey(["upgrade"]).done().expect(1);
    assert!(
        upgrade.errors().contains("systemctl"),
        "{}",
        upgrade.errors()
    );
    drop(home.valetkey(["stop"]).done().ok());
    heard("STOPPING=1");
    // The names are still there, and whoever comes starts it again.
    assert!(home.state().join("run/operator.sock").exists());
    let second = until("the next broker", SOON, || home.status());
    assert_ne!(second["pid"], first.as_raw_nonzero().get());
    heard("READY=1");
    drop(home.valetkey(["stop"]).done().ok());
    drop(manager.finish(SOON).ok());
    home.verify();
}

#[test]
fn sockets_that_are_not_what_they_should_be_are_refused() {
    let fitting = |home: &Home| {
        [
            socket(home, "stream", "guard"),
            socket(home, "stream", "operator"),
        ]
    };
    let wrong: [(&str, &dyn Fn(&Home) -> Vec<String>); 4] = [
        ("is not a stream socket", &|home| {
            vec![
                socket(home, "datagram", "guard"),
                socket(home, "stream", "operator"),
            ]
        }),
        ("does not listen", &|home| {
            vec![
                socket(home, "deaf", "guard"),
                socket(home, "stream", "operator"),
            ]
        }),
        ("lies at", &|home| {
            vec![
                socket(home, "stream", "guard").replace("guard.sock", "other.sock"),
                socket(home, "stream", "operator"),
            ]
        }),
        ("has no door of this name", &|home| {
            let mut sockets = fitting(home).to_vec();
            sockets.push(socket(home, "stream", "surprise"));
            sockets
        }),
    ];
    for (words, sockets) in wrong {
        let home = home();
        let refused = manager(&home, 1, &sockets(&home))
            .env("AT_ONCE", "1")
            .done();
        assert_eq!(refused.code(), 1, "{words}");
        assert!(
            refused.errors().contains(words),
            "{words}: {}",
            refused.errors()
        );
        let told =
            fs::read_to_string(home.state().join("state/diagnostics/valetkeyd.log")).expect("read");
        assert!(told.contains(" error ") && told.contains(words), "{told}");
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let home = home();
    let sockets = [
        socket(&home, "stream", "guard"),
        socket(&home, "stream", "operator"),
    ];
    let mut manager = manager(&home, 1, &sockets)
        .env("AT_ONCE", "1")
        .env("FOREIGN_PID", "1")
        .start();
    manager.wait_for("ready", SOON);
    // It bound doors of its own, which it hands on and removes, as without a manager.
    assert!(home.state().join("run/handover.sock").exists());
    drop(home.valetkey(["stop"]).done().ok());
    drop(manager.finish(SOON).ok());
    assert!(!home.state().join("run/operator.sock").exists());
}

fn units(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging/systemd")
        .join(kind);
    let mut units: Vec<PathBuf> = fs::read_dir(&dir)
        .expect("the units")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    units.sort();
    units
}

/// The units as they would be installed, but that the program is one which is there.
fn installed(kind: &str, to: &Path) -> Vec<PathBuf> {
    // The desktop's unit starts another program.
    let of_broker = |unit: &PathBuf| !unit.ends_with("valetkey-desktop.service");
    let copied = units(kind).into_iter().filter(of_broker).map(|unit| {
        let text = fs::read_to_string(&unit).expect("a unit");
        let path = to.join(unit.file_name().expect("a name"));
        fs::write(&path, text.replace("/usr/bin/valetkeyd", "/bin/true")).expect("write");
        path
    });
    copied.collect()
}

#[test]
fn the_units_are_well_formed() {
    if host_program("systemd-analyze").is_none() {
        skipped(
            "the_units_are_well_formed",
            "systemd-analyze is not installed",
        );
        return;
    }
    for kind in ["system", "user"] {
        let home = Home::new();
        let units = installed(kind, &home.dir());
        assert_eq!(units.len(), 4, "a service and three sockets");
        let mut command = Command::new("systemd-analyze");
        command
            .arg("verify")
            .arg("--man=no")
            .arg("--recursive-errors=no");
        if kind == "user" {
            command.arg("--user").env("XDG_RUNTIME_DIR", home.dir());
        }
        let checked = Call::new(command).args(&units).done();
        let errors = checked.errors();
        let ours: Vec<&str> = errors
            .lines()
            .filter(|line| line.contains("valetkey"))
            .collect();
        assert!(ours.is_empty(), "{kind}: {ours:?}");
    }
}

#[test]
fn the_system_unit_exposes_little() {
    if host_program("systemd-analyze").is_none() {
        skipped(
            "the_system_unit_exposes_little",
            "systemd-analyze is not installed",
        );
        return;
    }
    let home = Home::new();
    let units = installed("system", &home.dir());
    let service = units
        .iter()
        .find(|unit| unit.ends_with("valetkey.service"))
        .expect("the service");
    let mut command = Command::new("systemd-analyze");
    // In tenths: 10 is 1.0 of 10.0, which systemd calls safe.
    command
        .args(["security", "--offline=true", "--threshold=15", "--no-pager"])
        .arg(service);
    let rated = Call::new(command).done();
    assert_eq!(rated.code(), 0, "{}{}", rated.text(), rated.errors());
}

/// The system calls of a group as systemd has them, or the call itself.
fn expanded(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["syscall-filter", "--no-pager", name]);
    let listed = Call::new(command).done().ok().text();
    let lines = listed.lines().skip(1).map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(expanded)
        .collect()
}

/// What the `SystemCallFilter=` lines of a unit leave, taken one after the other as systemd does.
fn allowed_by(unit: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(unit).expect("a unit");
    let mut allowed = BTreeSet::new();
    for line in text.lines() {
        let Some(words) = line.strip_prefix("SystemCallFilter=") else {
            continue;
        };
        let (words, keep) = match words.strip_prefix('~') {
            Some(words) => (words, false),
            None => (words, true),
        };
        for name in words.split_whitespace().flat_map(expanded) {
            if keep {
                allowed.insert(name);
            } else {
                allowed.remove(&name);
            }
        }
    }
    allowed
}

#[test]
fn the_units_allow_every_call_that_the_broker_makes() {
    for program in ["systemd-analyze", "strace"] {
        if host_program(program).is_none() {
            let why = format!("{program} is not installed");
            skipped("the_units_allow_every_call_that_the_broker_makes", &why);
            return;
        }
    }
    let home = Home::new();
    let trace = home.outside("trace");
    let mut broker = Call::new(home.command("strace"))
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(home.program("valetkeyd"))
        .start();
    broker.wait_for("ready", SOON);
    assert!(home.status().is_some());
    drop(home.valetkey(["stop"]).done().ok());
    drop(broker.finish(SOON).ok());
    let traced = fs::read_to_string(&trace).expect("the trace");
    let made: BTreeSet<String> = traced
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim().split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    assert!(
        made.contains("landlock_restrict_self") && made.contains("fdatasync"),
        "{made:?}"
    );
    for kind in ["system", "user"] {
        let units = units(kind);
        let service = units
            .iter()
            .find(|unit| unit.ends_with("valetkey.service"))
            .expect("the service");
        let allowed = allowed_by(service);
        let missing: Vec<&String> = made.difference(&allowed).collect();
        assert!(missing.is_empty(), "{kind}: {missing:?}");
        assert!(
            !allowed.contains("mount") && !allowed.contains("bpf"),
            "{kind}"
        );
    }
}
