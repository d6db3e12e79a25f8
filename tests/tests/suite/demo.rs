//! `valetkey demo`: the whole story, to its end, with every line as it must be.

use std::time::Duration;

use valetkey_tests::{Device, Home, binaries, is_root, skipped};

use super::needs_cells;

fn demo(home: &Home) {
    let limit = Duration::from_secs(if binaries().are_release() { 15 } else { 60 });
    let ended = home.valetkey(["demo"]).within(limit).done().ok();
    let text = ended.text();
    println!("{text}\nthe demo took {:?}", ended.took);
    assert!(ended.took < limit, "{:?}", ended.took);
    assert!(
        !text.contains("FAIL") && !ended.out.contains(&0x1b),
        "{text}"
    );
    let checks: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  ok  "))
        .collect();
    let summary = text
        .lines()
        .find(|line| line.starts_with("all "))
        .expect("a summary");
    assert_eq!(
        summary.split(' ').nth(1),
        Some(checks.len().to_string().as_str()),
        "{summary}"
    );
    for promised in [
        "one row is appended after the approval",
        "refused: the same single-use capability again",
        "refused: a capability after its end",
        "refused: the 51st row",
        "refused: the workbook with macros",
        "refused: the ssh key",
        "refused: the .env file",
        "refused: a symbolic link that leads out of the folder",
        "refused: a server on this machine",
        "refused: an address outside",
        "every step is in the log",
        "the log verifies",
        "one byte of a copy is flipped, and the verifier names the event",
    ] {
        let lines = checks
            .iter()
            .filter(|line| line.starts_with(promised))
            .count();
        assert_eq!(lines, 1, "{promised}: {text}");
    }
    for refusal in checks.iter().filter(|line| line.starts_with("refused: ")) {
        assert!(
            refusal.matches(": ").count() >= 2,
            "a refusal has a reason: {refusal}"
        );
    }
}

#[test]
fn the_demo_ends_well() {
    needs_cells!();
    demo(&Home::new());
}

#[test]
fn the_demo_ends_well_for_an_ordinary_user() {
    if !is_root() {
        skipped(
            "the_demo_ends_well_for_an_ordinary_user",
            "the other test runs as one",
        );
        return;
    }
    demo(&Home::of_ordinary_user(Device::Open));
}

#[test]
fn the_demo_leaves_nothing_behind() {
    needs_cells!();
    let home = Home::new();
    home.make_dir(&home.path("tmp"));
    let ended = home
        .valetkey(["demo"])
        .env("TMPDIR", home.path("tmp"))
        .within(Duration::from_secs(60))
        .done();
    drop(ended.ok());
    assert_eq!(
        std::fs::read_dir(home.path("tmp")).expect("list").count(),
        0
    );
    // What was there before: the person's key, and nothing else.
    let names = |dir: &std::path::Path| -> Vec<_> {
        let entries = std::fs::read_dir(dir).expect("list");
        entries
            .map(|entry| entry.expect("list").file_name())
            .collect()
    };
    assert_eq!(
        (names(home.state()), names(&home.state().join("config"))),
        (vec!["config".into()], vec!["approver.key".into()]),
        "the demo has a home of its own"
    );
}
