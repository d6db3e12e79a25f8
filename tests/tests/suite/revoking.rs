//! Taking back: a revoked or expired capability ends under open files and maps too, within a moment.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use valetkey_tests::{Home, Started, agent_program};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(10);
/// The promise is 100 ms; the bound leaves room for a busy machine.
pub(crate) const BOUND_MS: i128 = 500;

pub(crate) fn now_us() -> i128 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    i128::try_from(since.as_micros()).expect("small")
}

pub(crate) fn start(home: &Home, verb: &str, options: &[&str], file: &Path) -> Started {
    let agent = agent_program().to_str().expect("text");
    let mut session = home
        .run(options, &[agent, verb, file.to_str().expect("text")])
        .start();
    session.wait_for("held", SOON);
    session
}

/// When and how it ended, as the agent tells.
pub(crate) fn ended(session: Started) -> (String, i128) {
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
    for verb in ["hold", "reopen", "map", "private"] {
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
            // And no lease has it given again.
            text.replace("\"ttl_seconds\": 300", "\"ttl_seconds\": 2")
                .replace(
                    "\"scope\": \"task\", \"max_seconds\": 3600",
                    "\"scope\": \"minutes\", \"max_seconds\": 2",
                ),
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

/// A session under a grant of one file for reading and writing; it runs `verb` with `more`.
fn begin(home: &Home, verb: &[&str], content: &[u8]) -> (Started, std::path::PathBuf) {
    let file = home.write("data.txt", content);
    let grant = format!("{}=read,write", file.display());
    let policy = super::asking::impatient(home, 1);
    let policy = policy.to_str().expect("text");
    let agent = agent_program().to_str().expect("text");
    let mut command = vec![agent, verb[0], file.to_str().expect("text")];
    command.extend(&verb[1..]);
    let mut session = home
        .run(&["--grant", &grant, "--policy", policy], &command)
        .open_input()
        .start();
    session.wait_for("held", SOON);
    std::thread::sleep(Duration::from_millis(100));
    (session, file)
}

/// Takes everything back; when the command began.
fn revoke_all(home: &Home) -> i128 {
    let before = now_us();
    drop(home.valetkey(["caps", "revoke", "--all"]).done().ok());
    before
}

#[test]
fn revocation_reaches_every_way_to_an_open_file() {
    needs_cells!();
    let home = Home::new();
    let (session, _) = begin(&home, &["share"], &[b'x'; 4096]);
    let before = revoke_all(&home);
    let returned = now_us();
    let text = session.finish(SOON).ok().text();
    for way in ["child", "duplicate", "handed", "proc"] {
        let mark = format!("ended-{way} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&mark));
        let line = line.unwrap_or_else(|| panic!("{way} did not end: {text}"));
        let (how, at) = line.split_once(' ').expect("how and when");
        let at: i128 = at.parse().expect("microseconds");
        println!(
            "{way}: {how} {} ms after the command began",
            (at - before) / 1000
        );
        assert!(at >= before && at - returned <= BOUND_MS * 1000, "{way}");
    }
    home.verify();
}

#[test]
fn a_write_in_flight_is_in_the_file_as_far_as_its_call_said() {
    needs_cells!();
    for size in ["4096", "1000000", "8388608"] {
        let home = Home::new();
        let (session, file) = begin(&home, &["pour", size], b"");
        let before = revoke_all(&home);
        let returned = now_us();
        let text = session.finish(SOON).ok().text();
        let line = text.lines().find_map(|line| line.strip_prefix("ended "));
        let words: Vec<&str> = line.expect("an end").split(' ').collect();
        let at: i128 = words[1].parse().expect("microseconds");
        let total: usize = words[2].parse().expect("bytes");
        println!(
            "writes of {size}: {} {} ms after the command began",
            words[0],
            (at - before) / 1000
        );
        assert!(at - returned <= BOUND_MS * 1000);
        let content = fs::read(&file).expect("the host's file");
        assert_eq!(
            content.len(),
            total,
            "what the calls said and what is there"
        );
        let size: usize = size.parse().expect("a size");
        for (number, call) in content.chunks(size).enumerate() {
            // The file may have been begun anew, with another letter.
            let letter = call[0];
            assert!(
                call.iter().all(|byte| *byte == letter),
                "call {number} is mixed"
            );
        }
        home.verify();
    }
}

#[test]
fn what_was_not_written_before_a_revocation_never_is() {
    needs_cells!();
    let home = Home::new();
    let (mut session, file) = begin(&home, &["buffer"], b"as it was\n");
    revoke_all(&home);
    session.write(b"\n");
    let text = session.finish(SOON).ok().text();
    assert!(!text.contains("flushed well"), "{text}");
    assert_eq!(fs::read(&file).expect("read"), b"as it was\n");
    let home = Home::new();
    let (session, file) = begin(&home, &["stain"], &[b'.'; 4096]);
    let before = revoke_all(&home);
    let returned = now_us();
    let (how, at) = ended(session);
    println!(
        "shared mapping: {how} {} ms after the command began",
        (at - before) / 1000
    );
    assert!(at - returned <= BOUND_MS * 1000);
    let content = fs::read(&file).expect("read");
    assert_eq!(
        (content.len(), content[0]),
        (4096, b'A'),
        "what was synced stays"
    );
    assert!(content[2..].iter().all(|byte| *byte == b'.'));
    // Nothing comes later.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(fs::read(&file).expect("read"), content);
}
