//! Taking back: a revoked or expired capability ends under open files and maps too, within a moment.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use valetkey_tests::{Home, Started, agent_program};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(10);
/// The promise is 100 ms; the bound leaves room for a busy machine.
const BOUND_MS: i128 = 500;

fn now_us() -> i128 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    i128::try_from(since.as_micros()).expect("small")
}

fn start(home: &Home, verb: &str, options: &[&str], file: &Path) -> Started {
    let agent = agent_program().to_str().expect("text");
    let mut session = home
        .run(options, &[agent, verb, file.to_str().expect("text")])
        .start();
    session.wait_for("held", SOON);
    session
}

/// When and how it ended, as the agent tells.
fn ended(session: Started) -> (String, i128) {
    let text = session.finish(SOON).ok().text();
    let line = text
        .lines()
        .find(|line| line.starts_with("ended "))
        .unwrap_or_else(|| panic!("it did not end: {text}"));
    let mut words = line.split(' ').skip(1);
    let how = words.next().expect("how").to_owned();
    (
        how,
        words.next().expect("when").parse().expect("microseconds"),
    )
}

#[test]
fn revocation_reaches_what_is_open() {
    needs_cells!();
    for verb in ["hold", "reopen", "map"] {
        let home = Home::new();
        let file = home.write("data.txt", [b'x'; 16384]);
        let grant = format!("{}=read", file.display());
        let policy = super::asking::impatient(&home, 1);
        let policy = policy.to_str().expect("text");
        let mut session = start(&home, verb, &["--grant", &grant, "--policy", policy], &file);
        std::thread::sleep(Duration::from_millis(200));
        assert!(
            session.is_running(),
            "it goes on while the capability lives"
        );
        let caps = home.valetkey(["caps", "list", "--json"]).done().ok().json();
        let of_file = caps
            .as_array()
            .expect("a list")
            .iter()
            .find(|held| held["actions"].to_string().contains("read"));
        let id = of_file.expect("the capability")["capability_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let before = now_us();
        drop(home.valetkey(["caps", "revoke", &id]).done().ok());
        let returned = now_us();
        let (how, at) = ended(session);
        println!(
            "{verb}: {how} {} ms after the command began, {} ms after it returned",
            (at - before) / 1000,
            (at - returned) / 1000
        );
        assert!(at >= before, "{verb} ended before: {how}");
        assert!(
            at - returned <= BOUND_MS * 1000,
            "{verb} ended {} ms after",
            (at - returned) / 1000
        );
        assert!(
            [
                "EACCES", "EBADF", "ENOENT", "EIO", "ESTALE", "EPERM", "SIGBUS"
            ]
            .contains(&how.as_str()),
            "{verb}: {how}"
        );
        assert_eq!(home.events("capability.revoked").len(), 1);
        let left = home.valetkey(["caps", "list", "--json"]).done().ok().json();
        assert!(
            left.as_array()
                .expect("a list")
                .iter()
                .all(|held| held["capability_id"] != id.as_str())
        );
        drop(home.valetkey(["caps", "revoke", &id]).done().expect(1));
        home.verify();
    }
}

#[test]
fn expiry_reaches_what_is_open() {
    needs_cells!();
    for verb in ["hold", "map"] {
        let home = Home::new();
        let file = home.write("data.txt", [b'x'; 16384]);
        // What a person approved is good for so long and is not renewed.
        let policy = super::asking::impatient(&home, 30);
        let rules = policy.join("base.rego");
        let text = fs::read_to_string(&rules).expect("read");
        fs::write(
            &rules,
            text.replace("\"ttl_seconds\": 300", "\"ttl_seconds\": 2"),
        )
        .expect("write");
        let agent = agent_program().to_str().expect("text");
        let options = ["--policy", policy.to_str().expect("text")];
        let mut session = home
            .run(&options, &[agent, verb, file.to_str().expect("text")])
            .start();
        drop(home.approve(&home.wait_for_question("/data.txt")));
        session.wait_for("held", SOON);
        let begun = now_us();
        let (how, at) = ended(session);
        println!("{verb}: {how} {} ms after the start", (at - begun) / 1000);
        assert!(
            at - begun < (2000 + BOUND_MS) * 1000,
            "{verb} ended {} ms after the start",
            (at - begun) / 1000
        );
        home.verify();
    }
}

#[test]
fn what_was_granted_at_the_start_is_renewed_while_the_session_lasts() {
    needs_cells!();
    let home = Home::new();
    let file = home.write("data.txt", [b'x'; 16384]);
    let grant = format!("{}=read", file.display());
    let policy = super::asking::impatient(&home, 1);
    let rules = policy.join("base.rego");
    let text = fs::read_to_string(&rules).expect("read");
    fs::write(
        &rules,
        text.replace("\"ttl_seconds\": 3600", "\"ttl_seconds\": 2"),
    )
    .expect("write");
    let mut session = start(
        &home,
        "hold",
        &[
            "--grant",
            &grant,
            "--policy",
            policy.to_str().expect("text"),
        ],
        &file,
    );
    std::thread::sleep(Duration::from_secs(5));
    assert!(session.is_running(), "{}", session.output());
    // Taking it back ends the renewing too.
    let caps = home.valetkey(["caps", "list", "--json"]).done().ok().json();
    for held in caps.as_array().expect("a list") {
        drop(
            home.valetkey([
                "caps",
                "revoke",
                held["capability_id"].as_str().expect("an id"),
            ])
            .done(),
        );
    }
    let (how, _) = ended(session);
    println!("ended with {how}");
    home.verify();
}

#[test]
fn revocation_of_one_leaves_the_others() {
    needs_cells!();
    let home = Home::new();
    let (one, two) = (
        home.write("one.txt", [b'1'; 4096]),
        home.write("two.txt", [b'2'; 4096]),
    );
    let grants = [
        format!("{}=read", one.display()),
        format!("{}=read", two.display()),
    ];
    let options = ["--grant", &grants[0], "--grant", &grants[1]];
    let mut session = start(&home, "hold", &options, &two);
    let caps = home.valetkey(["caps", "list", "--json"]).done().ok().json();
    let of_one = caps
        .as_array()
        .expect("a list")
        .iter()
        .find(|held| {
            held["resource"]
                .as_str()
                .is_some_and(|resource| resource.ends_with("/one.txt"))
        })
        .expect("the capability");
    drop(
        home.valetkey([
            "caps",
            "revoke",
            of_one["capability_id"].as_str().expect("an id"),
        ])
        .done()
        .ok(),
    );
    std::thread::sleep(Duration::from_millis(500));
    assert!(session.is_running(), "{}", session.output());
}
