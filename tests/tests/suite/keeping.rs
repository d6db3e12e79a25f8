//! What keeps over time: the broker's own walls, what was taken back, the chain of causes, and a checkpoint kept elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;
use valetkey_tests::Home;

use super::needs_cells;

const NONE: [&str; 0] = [];

#[test]
fn the_running_broker_has_given_up_its_rights() {
    needs_cells!();
    let home = Home::new();
    drop(home.run(&NONE, &["true"]).done().ok());
    let pid = home.broker().as_raw_nonzero().get();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect(name).trim_start_matches(':').trim().to_owned()
    };
    assert_eq!(field("Seccomp"), "2");
    assert_eq!(field("NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    // What it holds open is its own: no socket but those of its doors.
    let tcp = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| fs::read_link(entry.path()).ok())
                .filter_map(|link| {
                    let text = link.to_string_lossy().into_owned();
                    Some(
                        text.strip_prefix("socket:[")?
                            .trim_end_matches(']')
                            .to_owned(),
                    )
                })
                .collect()
        })
        .unwrap_or_default();
    for inode in inodes {
        assert!(
            !tcp.lines()
                .any(|line| line.split_whitespace().nth(9) == Some(inode.as_str())),
            "the broker has a TCP socket"
        );
    }
}

#[test]
fn what_was_taken_back_is_not_given_again() {
    needs_cells!();
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    let work = home.path("work");
    let script = "cat work/a.txt; echo ready; read line; cat work/a.txt && echo again; true";
    let mut session = home
        .run(
            &["--workspace", work.to_str().expect("text")],
            &["sh", "-c", script],
        )
        .open_input()
        .start();
    session.wait_for("ready", Duration::from_secs(10));
    drop(home.valetkey(["caps", "revoke", "--all"]).done().ok());
    session.write(b"go\n");
    let finished = session.finish(Duration::from_secs(10)).ok();
    assert!(!finished.text().contains("again"), "{}", finished.text());
    let denied = home.events("request.decided");
    assert!(
        denied
            .iter()
            .any(|event| event["policy_id"] == "valetkey/revoked"),
        "{denied:?}"
    );
}

#[test]
fn every_operation_leads_back_to_the_session_that_it_served() {
    needs_cells!();
    let home = Home::new();
    home.write("work/a.txt", "a\n");
    drop(home.in_workspace("cat a.txt").done().ok());
    let trail = home.trail();
    let by_id: BTreeMap<&str, &Value> = trail
        .iter()
        .map(|event| (event["event_id"].as_str().expect("id"), event))
        .collect();
    let performed: Vec<&Value> = trail
        .iter()
        .filter(|event| event["type"] == "operation.performed")
        .collect();
    assert!(!performed.is_empty());
    for event in performed {
        let mut at = event;
        let mut kinds = Vec::new();
        while let Some(cause) = at["cause"].as_str() {
            at = by_id[cause];
            kinds.push(at["type"].as_str().expect("type"));
        }
        assert_eq!(
            kinds,
            ["capability.minted", "request.decided", "session.opened"],
            "{event}"
        );
    }
}

#[test]
fn a_log_that_was_cut_does_not_continue_the_checkpoint_that_was_kept() {
    needs_cells!();
    let home = Home::new();
    drop(home.run(&NONE, &["true"]).done().ok());
    drop(home.valetkey(["stop"]).done().ok());
    let kept = home.valetkey(["audit", "checkpoint"]).done().ok().text();
    let kept = home.write("kept.txt", kept);
    let kept = kept.to_str().expect("text");
    drop(
        home.valetkey(["audit", "verify", "--since", kept])
            .done()
            .ok(),
    );
    let log = home.state().join("state/log");
    let segment = fs::read_dir(&log)
        .expect("the log")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("segment-"))
        .expect("a segment");
    let bytes = fs::read(&segment).expect("its bytes");
    fs::write(&segment, &bytes[..bytes.len() / 2]).expect("cut");
    let found = home
        .valetkey(["audit", "verify", "--since", kept])
        .done()
        .expect(4);
    assert!(
        found.errors().contains("end of the log missing"),
        "{}",
        found.errors()
    );
    drop(
        home.valetkey(["audit", "verify", "--since", "/dev/null"])
            .done()
            .expect(2),
    );
}
