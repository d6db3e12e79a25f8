//! Limits of a capability, each at its edge, through the real programs: what is left is given, the next is refused, and the reason is said.

use std::fs;
use std::time::Duration;

use valetkey_tests::{Finished, Home, agent_program};

use super::needs_cells;

/// The built-in policy, which puts these constraints on what the person grants.
fn limited(home: &Home, constraints: &str) -> String {
    let policy = super::asking::impatient(home, 1);
    let rules = policy.join("base.rego");
    let text = fs::read_to_string(&rules).expect("read");
    let given = "object.get(input.request.granted_by_person, \"constraints\", {})";
    assert!(text.contains(given));
    fs::write(&rules, text.replace(given, constraints)).expect("write");
    policy.to_str().expect("text").to_owned()
}

/// A script in a cell with `HOME/docs` granted for `actions`, within the constraints.
fn within(home: &Home, constraints: &str, actions: &str, script: &str) -> Finished {
    let policy = limited(home, constraints);
    let grant = format!("{}/**={actions}", home.path("docs").display());
    home.run(
        &["--grant", &grant, "--policy", &policy],
        &["sh", "-c", script],
    )
    .cwd(home.path("docs"))
    .within(Duration::from_secs(60))
    .done()
}

const TRY: &str = "try() { if \"$@\" >/dev/null 2>&1; then echo ok; else echo no; fi; }; ";
const TOLD: &str = "; cat /run/valetkey/denials.json";

#[track_caller]
fn says(ended: &Finished, lines: &str, limit: &str) {
    let text = ended.text();
    assert!(text.starts_with(lines), "{text}\n{}", ended.errors());
    assert!(text.contains(&format!("{limit}: ")), "{text}");
}

#[test]
fn operations_are_counted_to_the_last_one() {
    needs_cells!();
    let home = Home::new();
    home.write("docs/a.txt", "a");
    let script = format!(
        "{TRY} ls -l >/dev/null; try cat a.txt; try cp a.txt b.txt; ls >/dev/null; try cat a.txt; cat b.txt; true{TOLD}"
    );
    // One for the first `cat`, two for `cp`, and none for looking.
    let actions = "read,write,create,list,metadata";
    let ended = within(&home, "{\"max_operations\": 3}", actions, &script);
    says(&ended, "ok\nok\nno\n", "max_operations");
    assert!(
        ended.errors().contains("Disk quota exceeded"),
        "{}",
        ended.errors()
    );
    let refused = home.wait_for_event("operation.refused", |event| {
        event.to_string().contains("max_operations")
    });
    assert!(
        refused["resource"]
            .as_str()
            .expect("text")
            .contains("/docs/")
    );
    home.verify();
}

#[test]
fn of_many_programs_at_once_no_one_gets_more_than_the_last() {
    needs_cells!();
    let home = Home::new();
    home.write("docs/a.txt", "a");
    let script =
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat a.txt 2>/dev/null & done; wait";
    let ended = within(
        &home,
        "{\"max_operations\": 7}",
        "read,list,metadata",
        script,
    );
    assert_eq!(ended.text(), "aaaaaaa", "{}", ended.errors());
}

#[test]
fn one_file_counts_once_by_whatever_name() {
    needs_cells!();
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.write(&format!("docs/{name}.txt"), name);
    }
    fs::hard_link(home.path("docs/a.txt"), home.path("docs/twin.txt")).expect("link");
    let script = format!(
        "{TRY} try cat a.txt; try cat a.txt; try cat twin.txt; try mv b.txt d.txt; try cat d.txt; try cat c.txt; try touch new.txt; \
         rm d.txt; try touch d.txt; try cat a.txt{TOLD}"
    );
    let actions = "read,write,create,delete,list,metadata";
    let ended = within(&home, "{\"max_files\": 2}", actions, &script);
    says(&ended, "ok\nok\nok\nok\nok\nno\nno\nno\nok\n", "max_files");
}

#[test]
fn a_name_that_lies_about_its_content_is_refused() {
    needs_cells!();
    let home = Home::new();
    home.write("docs/good.txt", "words\n");
    home.write("docs/table.csv", "a,b\n");
    home.write("docs/lie.txt", b"\x7fELF\x02\x01\0");
    home.write("docs/picture.png", b"\x89PNG\r\n\x1a\n\0");
    let script = format!(
        "{TRY} try cat good.txt; try cat lie.txt; try cat picture.png; try cat table.csv; try touch new.txt; try touch new.png; \
         try mv good.txt good.sh; try rm lie.txt; try rm good.txt; cat lie.txt{TOLD}"
    );
    let actions = "read,write,create,delete,list,metadata";
    let ended = within(
        &home,
        "{\"media_types\": [\"text/plain\"]}",
        actions,
        &script,
    );
    says(
        &ended,
        "ok\nno\nno\nno\nok\nno\nno\nno\nok\n",
        "media_types",
    );
    assert!(
        ended.errors().contains("Permission denied"),
        "{}",
        ended.errors()
    );
    let script = format!("{TRY} try cat table.csv; try cat picture.png; try cat lie.txt{TOLD}");
    let ended = within(
        &home,
        "{\"media_types\": [\"text/*\", \"image/png\"]}",
        actions,
        &script,
    );
    says(&ended, "ok\nok\nno\n", "media_types");
}

#[test]
fn bytes_are_counted_however_they_are_read() {
    needs_cells!();
    let home = Home::new();
    home.write("docs/a.txt", [b'x'; 40_960]);
    home.bring(agent_program(), "docs/agent");
    let actions = "read,list,metadata,execute";
    // Beside what loading the program itself takes.
    let ended = within(
        &home,
        "{\"max_bytes\": 10000}",
        actions,
        "head -c 10000 a.txt | wc -c; cat a.txt; cat /run/valetkey/denials.json",
    );
    says(&ended, "10000\n", "max_bytes");
    let agent = agent_program().to_str().expect("text");
    let policy = limited(&home, "{\"max_bytes\": 8192}");
    let file = home.path("docs/a.txt");
    let grant = format!("{}=read", file.display());
    let options = ["--grant", &grant, "--policy", &policy];
    let mapped = home
        .run(&options, &[agent, "private", file.to_str().expect("text")])
        .done();
    let text = mapped.text();
    assert!(
        text.starts_with("ended SIGBUS ") && text.ends_with(" 2\n"),
        "{text}"
    );
}

#[test]
fn bytes_that_are_written_are_counted_to_the_last_one() {
    needs_cells!();
    let home = Home::new();
    home.write("docs/a.txt", "");
    let script = format!(
        "{TRY} try dd if=/dev/zero of=a.txt bs=600 count=1 conv=notrunc; try dd if=/dev/zero of=a.txt bs=401 count=1 conv=notrunc; \
         try truncate -s 1001 a.txt; try dd if=/dev/zero of=a.txt bs=400 count=1 oflag=append conv=notrunc; try truncate -s 1001 a.txt; stat -c %s a.txt{TOLD}"
    );
    let ended = within(
        &home,
        "{\"max_write_bytes\": 1000}",
        "read,write,list,metadata",
        &script,
    );
    says(&ended, "ok\nno\nno\nok\nno\n1000\n", "max_write_bytes");
}
