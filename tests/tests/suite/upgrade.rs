//! A new broker in the place of a running one: no door is closed meanwhile, what was under way is kept, and sessions end with a reason.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use valetkey_tests::{Home, until};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(15);
const NONE: [&str; 0] = [];

#[test]
fn no_peer_finds_a_door_closed_while_the_broker_is_replaced() {
    needs_cells!();
    let home = Home::new();
    drop(home.run(&NONE, &["true"]).done().ok());
    let over = Arc::new(AtomicBool::new(false));
    let tries = Arc::new(AtomicU64::new(0));
    let (ended, counted) = (Arc::clone(&over), Arc::clone(&tries));
    let sockets = ["guard.sock", "operator.sock"].map(|name| home.state().join("run").join(name));
    let knocking = std::thread::spawn(move || {
        while !ended.load(Ordering::Acquire) {
            for socket in &sockets {
                UnixStream::connect(socket).expect("a door is closed");
            }
            counted.fetch_add(1, Ordering::Release);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let mut before = home.broker();
    for _ in 0..3 {
        let said = home.valetkey(["upgrade"]).done().ok();
        assert!(
            said.text().contains("has taken the place of"),
            "{}",
            said.text()
        );
        let now = home.broker();
        assert_ne!(now, before);
        before = now;
        let so_far = tries.load(Ordering::Acquire);
        until("the doors are knocked at", SOON, || {
            (tries.load(Ordering::Acquire) > so_far).then_some(())
        });
    }
    over.store(true, Ordering::Release);
    knocking.join().expect("no door was closed");
    drop(home.run(&NONE, &["true"]).done().ok());
    home.verify();
}

#[test]
fn sessions_end_with_a_reason_when_the_broker_is_replaced() {
    needs_cells!();
    let home = Home::new();
    home.write("work/a.txt", "decoy\n");
    let work = home.path("work");
    let script = "cat a.txt; echo up; read go; cat a.txt && echo again; true";
    let mut session = home
        .run(
            &["--workspace", work.to_str().expect("text")],
            &["sh", "-c", script],
        )
        .cwd(&work)
        .open_input()
        .start();
    session.wait_for("up", SOON);
    drop(home.wait_for_event("operation.performed", |_| true));
    let said = home.valetkey(["upgrade"]).done().ok();
    assert!(
        said.text().contains("1 session(s) ended"),
        "{}",
        said.text()
    );
    session.write(b"go\n");
    let ended = session.finish(SOON);
    assert!(
        !ended.text().contains("again"),
        "what the old broker granted is over"
    );
    let closed = home.events("session.closed");
    let told = closed.iter().any(|event| {
        event
            .to_string()
            .contains("the broker was replaced by another")
    });
    assert!(told, "{closed:?}");
    // The log goes on in good order.
    assert!(home.events("log.gap").is_empty());
    home.verify();
}

#[test]
fn without_a_running_broker_an_upgrade_starts_one() {
    let home = Home::new();
    let said = home.valetkey(["upgrade"]).done().ok();
    assert!(said.text().contains("none ran before"), "{}", said.text());
    assert_eq!(home.status().expect("a broker")["mode"], "user");
}

#[test]
fn the_broker_keeps_diagnostics_of_its_own() {
    let home = Home::new();
    drop(home.valetkey(["upgrade"]).done().ok());
    let status = home.status().expect("a broker");
    let path = status["diagnostics"].as_str().expect("a path");
    drop(home.valetkey(["stop"]).done().ok());
    let told = std::fs::read_to_string(path).expect("read");
    for words in [
        " info started: version ",
        " info the broker was stopped",
        " info ended",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let human = home.valetkey(["status"]).done().expect(6);
    assert_eq!(human.text(), "");
}
