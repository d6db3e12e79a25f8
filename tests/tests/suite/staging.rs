//! `run --commit=ask`: what an agent changes waits, and comes to the host when the person takes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use valetkey_tests::{Device, Finished, Home};

use super::needs_cells;

/// Runs `script` in a workspace whose changes are held back. Gives the session's name.
fn stage(home: &Home, script: &str) -> (String, Finished) {
    let work = home.path("work");
    let options = ["--commit=ask", "--workspace", work.to_str().unwrap()];
    let ended = home.run(&options, &["sh", "-ec", script]).cwd(&work).done();
    assert_eq!(ended.code(), 0, "{}", ended.errors());
    let name = ended
        .errors()
        .split("valetkey commit ")
        .nth(1)
        .unwrap_or_default()
        .trim_end_matches(['`', '\n'])
        .to_owned();
    (name, ended)
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(path).expect("read")
}

/// Every name in the workspace, with its content.
fn tree(home: &Home) -> Vec<(String, String)> {
    fn walk(top: &Path, at: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(at).expect("list") {
            let path = entry.expect("entry").path();
            let name = path.strip_prefix(top).unwrap().display().to_string();
            let metadata = fs::symlink_metadata(&path).expect("stat");
            let mode = metadata.permissions().mode() & 0o777;
            if metadata.is_dir() {
                found.push((name, format!("directory {mode:o}")));
                walk(top, &path, found);
            } else if metadata.is_symlink() {
                let to = fs::read_link(&path).expect("link");
                found.push((name, format!("to {}", to.display())));
            } else {
                found.push((name, format!("{mode:o} {}", text(path))));
            }
        }
    }
    let mut found = Vec::new();
    let top = home.path("work");
    walk(&top, &top, &mut found);
    found.sort();
    found
}

fn some_work(home: &Home) {
    for (name, content) in [
        ("plan.md", "one\ntwo\n"),
        ("old.txt", "old\n"),
        ("sub/a", "a\n"),
        ("sub/deep/b", "b\n"),
        ("gone/x", "x\n"),
        ("gone/y", "y\n"),
        ("anew/z", "z\n"),
        ("untouched", "u\n"),
    ] {
        home.write(&format!("work/{name}"), content);
    }
    let link = home.path("work/link");
    let linked = home
        .command("ln")
        .args(["-s", "plan.md"])
        .arg(link)
        .status();
    assert!(linked.expect("it runs").success());
}

const SCRIPT: &str = "echo three >> plan.md; mv old.txt new.txt; rm -r gone; echo A > sub/a; chmod 700 sub; \
    cd sub; echo n > n; cat n; cd ..; mkdir -p made/below; echo m > made/below/m; ln -s m made/l; rm link; \
    rm -r anew; mkdir anew; echo other > anew/other; printf x > replaced; mv replaced sub/deep/b; cat untouched; \
    python3 -c 'f=open(\"plan.md\",\"r+\"); f.write(\"ONE\"); f.close()'; cat plan.md";

#[test]
fn what_is_held_back_is_not_on_the_host_until_it_is_taken_and_can_be_undone() {
    needs_cells!();
    held_back_taken_and_undone(&Home::new());
}

#[test]
fn an_ordinary_user_can_hold_back_too() {
    needs_cells!();
    if !rustix::process::geteuid().is_root() {
        // The other test is that of an ordinary user then.
        return;
    }
    held_back_taken_and_undone(&Home::of_ordinary_user(Device::Open));
}

fn held_back_taken_and_undone(home: &Home) {
    some_work(home);
    let before = tree(home);
    let (name, ended) = stage(home, SCRIPT);
    assert_eq!(ended.text(), "n\nu\nONE\ntwo\nthree\n");
    assert_eq!(tree(home), before, "nothing is on the host");
    let listed = home.valetkey(["changes"]).done().text();
    for line in [
        "changed",
        "plan.md",
        "removed",
        "old.txt",
        "made",
        "new.txt",
        "gone",
        "made/below/m",
        "anew/other",
        "anew/z",
    ] {
        assert!(listed.contains(line), "{line}: {listed}");
    }
    assert!(!listed.contains("untouched"), "{listed}");
    let shown = home.valetkey(["diff"]).done().text();
    assert!(shown.contains("+three"), "{shown}");
    let dry = home.valetkey(["commit", &name, "--dry-run"]).done().text();
    assert!(!dry.contains("left"), "{dry}");
    assert_eq!(tree(home), before);
    let taken = home.valetkey(["commit", &name]).done();
    assert_eq!(taken.code(), 0, "{}{}", taken.text(), taken.errors());
    let after = tree(home);
    let expected = [
        ("anew", "directory 755"),
        ("anew/other", "644 other\n"),
        ("made", "directory 755"),
        ("made/below", "directory 755"),
        ("made/below/m", "644 m\n"),
        ("made/l", "to m"),
        ("new.txt", "644 old\n"),
        ("plan.md", "644 ONE\ntwo\nthree\n"),
        ("sub", "directory 700"),
        ("sub/a", "644 A\n"),
        ("sub/deep", "directory 755"),
        ("sub/deep/b", "644 x"),
        ("sub/n", "644 n\n"),
        ("untouched", "644 u\n"),
    ];
    let expected = expected.map(|(name, content)| (name.to_owned(), content.to_owned()));
    assert_eq!(after, expected);
    assert_eq!(home.events("operation.committed").len(), 1);
    // Nothing waits any more.
    assert_eq!(home.valetkey(["changes", &name]).done().code(), 1);
    assert!(!home.state().join("state/staged").join(&name).exists());
    let undone = home.valetkey(["undo"]).done();
    assert_eq!(undone.code(), 0, "{}{}", undone.text(), undone.errors());
    assert_eq!(tree(home), before);
}

#[test]
fn a_part_is_taken_by_name_and_the_rest_thrown_away() {
    needs_cells!();
    let home = Home::new();
    some_work(&home);
    let before = tree(&home);
    let (name, _) = stage(&home, SCRIPT);
    let at = |path: &str| home.path(path).to_str().unwrap().to_owned();
    let taken = home
        .valetkey([
            "commit",
            &name,
            &at("work/plan.md"),
            &at("work/made/below/m"),
        ])
        .done();
    assert_eq!(taken.code(), 0, "{}{}", taken.text(), taken.errors());
    assert_eq!(text(home.path("work/plan.md")), "ONE\ntwo\nthree\n");
    assert_eq!(text(home.path("work/made/below/m")), "m\n");
    assert_eq!(text(home.path("work/sub/a")), "a\n");
    let waits = home.valetkey(["changes", "--json"]).done().text();
    assert!(
        !waits.contains("plan.md") && waits.contains("sub/a"),
        "{waits}"
    );
    drop(
        home.valetkey(["discard", &name, &at("work/sub")])
            .done()
            .ok(),
    );
    let waits = home.valetkey(["changes", "--json"]).done().text();
    assert!(
        !waits.contains("sub/a") && waits.contains("new.txt"),
        "{waits}"
    );
    drop(home.valetkey(["discard", &name]).done().ok());
    assert_eq!(home.valetkey(["changes", &name]).done().code(), 1);
    assert_eq!(home.events("operation.discarded").len(), 2);
    drop(home.valetkey(["undo"]).done().ok());
    assert_eq!(tree(&home), before);
}

#[test]
fn what_the_person_changed_meanwhile_is_left_waiting() {
    needs_cells!();
    let home = Home::new();
    some_work(&home);
    let (name, _) = stage(&home, SCRIPT);
    // In place, by a new file, a new file where the agent made one, and one in what it removed.
    fs::write(home.path("work/sub/a"), "mine\n").expect("host");
    fs::write(home.path("work/plan.new"), "mine\n").expect("host");
    fs::rename(home.path("work/plan.new"), home.path("work/plan.md")).expect("host");
    fs::write(home.path("work/new.txt"), "mine\n").expect("host");
    fs::write(home.path("work/gone/mine"), "mine\n").expect("host");
    fs::remove_file(home.path("work/sub/deep/b")).expect("host");
    let taken = home.valetkey(["commit", &name]).done();
    assert_eq!(taken.code(), 1, "{}", taken.errors());
    let told = taken.text();
    for (path, why) in [
        ("sub/a", "somebody else has changed it"),
        ("plan.md", "somebody else has changed it"),
        ("new.txt", "somebody else has made it"),
        ("gone", "`mine` in it"),
        ("sub/deep/b", "somebody else has removed it"),
    ] {
        let line = told.lines().find(|line| line.contains(path));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{path}: {told}"
        );
    }
    for path in ["sub/a", "plan.md", "new.txt", "gone/mine"] {
        assert_eq!(text(home.path(&format!("work/{path}"))), "mine\n");
    }
    assert_eq!(text(home.path("work/made/below/m")), "m\n");
    // It still waits, and is taken when the person says so.
    let plan = home.path("work/plan.md");
    let forced = home
        .valetkey([
            "commit",
            &name,
            plan.to_str().unwrap(),
            "--force",
            plan.to_str().unwrap(),
        ])
        .done();
    assert_eq!(forced.code(), 0, "{}{}", forced.text(), forced.errors());
    assert_eq!(text(plan), "ONE\ntwo\nthree\n");
}

#[test]
fn outside_of_what_is_held_back_nothing_is_changed() {
    needs_cells!();
    let home = Home::new();
    some_work(&home);
    home.write("other/file", "as it was\n");
    let work = home.path("work");
    let file = format!("{}=read,write", home.path("other/file").display());
    let options = [
        "--commit=ask",
        "--workspace",
        work.to_str().unwrap(),
        "--grant",
        &file,
    ];
    let script = "echo x > new; echo changed > ../other/file || echo refused; cat ../other/file; cat /run/valetkey/denials.json";
    let ended = home.run(&options, &["sh", "-c", script]).cwd(&work).done();
    let told = ended.text();
    assert!(
        told.starts_with("refused\nas it was\n"),
        "{told}{}",
        ended.errors()
    );
    assert!(told.contains("changes are held back"), "{told}");
    assert_eq!(text(home.path("other/file")), "as it was\n");
    assert!(!home.path("work/new").exists());
}
