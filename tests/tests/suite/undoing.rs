//! What an agent has changed, undone by the person.

use std::fs;

use valetkey_tests::Home;

use crate::needs_cells;

const SCRIPT: &str = "echo changed > f; rm sub/g; mkdir new; echo x > new/n; mv sub new/moved; \
                      printf 'a\\nB\\n' > t.tmp; mv t.tmp t";

#[test]
fn what_a_session_changed_is_shown_and_put_back() {
    needs_cells!();
    let home = Home::new();
    for (name, content) in [
        ("work/f", "one\n"),
        ("work/sub/g", "two\n"),
        ("work/t", "a\nb\n"),
    ] {
        drop(home.write(name, content));
    }
    let work = home.path("work");
    let options = ["--undo", "--workspace", work.to_str().unwrap()];
    let session = home.run(&options, &["sh", "-c", SCRIPT]);
    drop(session.cwd(&work).done().ok());
    assert_eq!(
        fs::read_to_string(home.path("work/f")).unwrap(),
        "changed\n"
    );
    let shown = home.valetkey(["diff"]).done().ok();
    assert!(shown.text().contains("-b\n+B\n"), "{}", shown.text());
    drop(home.valetkey(["undo"]).done().ok());
    assert_eq!(fs::read_to_string(home.path("work/f")).unwrap(), "one\n");
    assert_eq!(
        fs::read_to_string(home.path("work/sub/g")).unwrap(),
        "two\n"
    );
    assert_eq!(fs::read_to_string(home.path("work/t")).unwrap(), "a\nb\n");
    assert!(!home.path("work/new").exists() && !home.path("work/t.tmp").exists());
    let recorded = home.events("operation.undone");
    assert_eq!(recorded.len(), 1);
    assert_eq!(home.valetkey(["undo"]).done().code(), 1);
}

#[test]
fn without_undo_nothing_is_kept() {
    needs_cells!();
    let home = Home::new();
    let work = home.path("work");
    drop(home.write("work/f", "one\n"));
    let options = ["--workspace", work.to_str().unwrap()];
    let command = ["sh", "-c", "echo changed > f"];
    drop(home.run(&options, &command).cwd(&work).done().ok());
    assert_eq!(home.valetkey(["undo"]).done().code(), 1);
    assert!(!home.state().join("state/undo").exists());
}
