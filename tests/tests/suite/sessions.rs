//! Several sessions at once: none sees another, and they share one broker however they start.

use std::fs;
use std::time::Duration;

use valetkey_tests::{Home, agent_program};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(15);
const NONE: [&str; 0] = [];

#[test]
fn two_sessions_cannot_see_each_other() {
    needs_cells!();
    let home = Home::new();
    home.write("two/own.txt", "two\n");
    let agent = home.bring(agent_program(), "two/agent");
    // Names in the home can be seen by every session, as the built-in policy has it; this is elsewhere.
    let (one, two) = (home.outside("one"), home.path("two"));
    fs::create_dir(&one).expect("make");
    fs::write(one.join("secret.txt"), "decoy one\n").expect("write");
    fs::copy(&agent, one.join("agent")).expect("copy");
    let start = "cp secret.txt /tmp/planted; cp secret.txt /dev/shm/planted; mkdir -p /run/user/$(id -u) 2>/dev/null; \
        ipcmk -M 64 >/dev/null; sleep 400 & ./agent listen vk-hidden";
    let mut first = home
        .run(
            &["--workspace", one.to_str().expect("text")],
            &["sh", "-c", start, "vk-first-marker"],
        )
        .cwd(&one)
        .open_input()
        .start();
    first.wait_for("listening ", SOON);
    let port = first
        .output()
        .trim()
        .rsplit(' ')
        .next()
        .expect("a port")
        .to_owned();
    let script = format!(
        "ls /tmp /dev/shm; cat ../../one/secret.txt {0}/secret.txt; ls {0}; ps ax -o args 2>/dev/null; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; \
         ./agent connect @vk-hidden; ./agent tcp {port}; cat /proc/net/unix /proc/net/tcp; ipcs -m; \
         for p in $(seq 2 60); do kill -0 $p 2>/dev/null && echo \"pid $p\"; done | wc -l; ./agent door GET /v1/capabilities; \
         for p in 1 2 3 self; do ls /proc/$p/root{0}; done; hostname",
        one.display()
    );
    let policy = super::asking::impatient(&home, 1);
    let second = home
        .run(
            &[
                "--policy",
                policy.to_str().expect("text"),
                "--workspace",
                two.to_str().expect("text"),
            ],
            &["sh", "-c", &script],
        )
        .cwd(&two)
        .done();
    let text = second.text();
    for word in [
        "planted",
        "decoy",
        "vk-first-marker",
        "vk-hidden",
        "sleep 400",
        "connected",
        "secret.txt",
    ] {
        let listed = text
            .lines()
            .filter(|line| line.contains(word) && !line.contains("ps ax"));
        assert_eq!(listed.count(), 0, "{word} in:\n{text}");
    }
    assert!(!text.contains("/one/**"), "{text}");
    assert!(text.contains("/two/**"), "its own capability: {text}");
    let reached = |agent: &std::path::Path| {
        let mut command = home.command(agent);
        command.args(["tcp", &port]);
        valetkey_tests::Call::new(command).done().text()
    };
    assert!(
        reached(&agent).contains("ECONNREFUSED"),
        "the listener is not on the host either"
    );
    first.end_input();
    drop(first.finish(SOON));
    home.verify();
}

#[test]
fn many_sessions_that_start_at_once_share_one_broker() {
    needs_cells!();
    let home = Home::new();
    let started: Vec<_> = (0..6)
        .map(|number| {
            home.run(
                &NONE,
                &["sh", "-c", &format!("echo {number}; exit {number}")],
            )
            .start()
        })
        .collect();
    for (number, session) in started.into_iter().enumerate() {
        let ended = session.finish(SOON);
        assert_eq!(
            ended.code(),
            i32::try_from(number).expect("small"),
            "{}",
            ended.errors()
        );
        assert_eq!(ended.text(), format!("{number}\n"));
    }
    assert_eq!(home.events("log.opened").len(), 1);
    assert_eq!(home.events("policy.loaded").len(), 1);
    let (opened, closed) = (home.events("session.opened"), home.events("session.closed"));
    assert_eq!((opened.len(), closed.len()), (6, 6));
    home.verify();
}

#[test]
fn capabilities_belong_to_their_session() {
    needs_cells!();
    let home = Home::new();
    home.write("shared/notes.txt", "notes\n");
    let grant = format!("{}=read", home.path("shared").display());
    let mut first = home
        .run(
            &["--grant", &grant],
            &["sh", "-c", "cat shared/notes.txt; read x"],
        )
        .open_input()
        .start();
    first.wait_for("notes", SOON);
    // The same file is asked about in a session that has no grant.
    let second = home.run(&NONE, &["cat", "shared/notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    drop(home.deny(&question));
    assert_eq!(second.finish(SOON).text(), "");
    first.end_input();
    drop(first.finish(SOON));
}

#[test]
fn a_grant_for_a_time_ends_in_its_time() {
    needs_cells!();
    let home = Home::new();
    // Elsewhere than in the home, where a person would be asked afterwards.
    let given = home.outside("given");
    fs::create_dir(&given).expect("make");
    fs::write(given.join("a"), "the notes\n").expect("write");
    let grant = format!("{}=read,ttl=3s", given.display());
    let script = format!(
        "cat {0}/a; while cat {0}/a >/dev/null 2>&1; do sleep 0.1; done; echo over",
        given.display()
    );
    let mut session = home
        .run(&["--grant", &grant], &["sh", "-c", script.as_str()])
        .start();
    session.wait_for("the notes", SOON);
    let listed = home.valetkey(["caps", "list", "--json"]).done().ok().json();
    assert!(
        listed[0]["resource"]
            .as_str()
            .is_some_and(|text| text.contains("/given")),
        "{listed}"
    );
    let ended = session.finish(SOON).ok();
    assert_eq!(ended.text(), "the notes\nover\n");
    // What policy gave because of it lived no longer.
    let minted = home.events("capability.minted");
    let of_given = minted.iter().filter(|event| {
        event["resource"]
            .as_str()
            .is_some_and(|text| text.contains("/given"))
    });
    let lives: Vec<u64> = of_given
        .filter_map(|event| event["attributes"]["ttl_seconds"].as_u64())
        .collect();
    assert!(!lives.is_empty(), "{minted:?}");
    assert!(lives.iter().all(|life| *life <= 3), "{lives:?}");
}

#[test]
fn a_grant_that_counts_is_given_once() {
    needs_cells!();
    let home = Home::new();
    let given = home.outside("given");
    fs::create_dir(&given).expect("make");
    fs::write(given.join("a"), "12345678").expect("write");
    let file = given.join("a");
    let file = file.display();
    for (limit, read) in [("max_bytes=8", "12345678"), ("single_use=true", "12345678")] {
        let grant = format!("{file}=read,{limit}");
        let script = format!(
            "cat {file}; cat {file} 2>/dev/null; valetkey ask {file}=read >/dev/null 2>&1; echo; \
             valetkey ask {file}=read --json 2>/dev/null | grep -c granted; cat {file} 2>/dev/null; true"
        );
        let ended = home
            .run(&["--grant", &grant], &["sh", "-c", script.as_str()])
            .done()
            .ok();
        assert_eq!(ended.text(), format!("{read}\n0\n"), "{limit}");
    }
}
