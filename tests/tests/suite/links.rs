//! Files with several names that were made on the host: a rule about one name holds for the file.

use std::ffi::OsStr;
use std::fs;

use valetkey_tests::Home;

use super::needs_cells;

#[test]
fn a_secret_of_the_home_is_not_opened_by_another_name_in_the_workspace() {
    needs_cells!();
    let home = Home::new();
    home.write(".ssh/id_ed25519", "decoy key\n");
    home.write("work/plain.txt", "plain\n");
    fs::hard_link(home.path(".ssh/id_ed25519"), home.path("work/notes.txt")).expect("link");
    let script = "cat notes.txt; echo x > notes.txt; truncate -s 0 notes.txt; ln notes.txt more.txt; \
        mv notes.txt moved.txt; cat moved.txt; sed -i s/decoy/x/ moved.txt; cp moved.txt copy.txt; \
        cat plain.txt; cat /run/valetkey/denials.json";
    let ended = home.in_workspace(script).done();
    assert!(!ended.text().contains("decoy key"), "{}", ended.text());
    assert!(ended.text().starts_with("plain\n"), "{}", ended.text());
    assert!(
        ended.text().contains("the file has several names"),
        "{}",
        ended.text()
    );
    let kept = fs::read_to_string(home.path(".ssh/id_ed25519")).expect("read");
    assert_eq!(kept, "decoy key\n");
}

#[test]
fn a_secret_by_its_place_is_not_opened_by_another_name_in_the_workspace() {
    needs_cells!();
    let home = Home::new();
    home.write("work/plain.txt", "plain\n");
    // Secrets because of where they lie: in the workspace their names say nothing.
    let secrets = [
        ".aws/credentials",
        ".config/gh/hosts.yml",
        ".bash_history",
        ".docker/config.json",
        ".config/google-chrome/Default/Cookies",
    ];
    for (number, secret) in secrets.iter().enumerate() {
        let secret = home.write(secret, "decoy secret\n");
        fs::hard_link(secret, home.path(&format!("work/notes{number}.txt"))).expect("link");
    }
    let script = "for f in notes*.txt; do cat $f; echo x >> $f; cp $f copy; done; cat plain.txt; \
        grep -c several /run/valetkey/denials.json > /dev/null && echo told";
    let ended = home.in_workspace(script).done();
    assert_eq!(ended.text(), "plain\ntold\n", "{}", ended.errors());
    for secret in secrets {
        let kept = fs::read_to_string(home.path(secret)).expect("read");
        assert_eq!(kept, "decoy secret\n", "{secret}");
    }
    let considered = home.events("request.decided");
    let considered = considered
        .iter()
        .filter(|event| event["attributes"]["considered"].is_string());
    assert!(considered.count() >= secrets.len());
}

#[test]
fn a_file_that_runs_later_is_not_changed_by_another_name_in_the_workspace() {
    needs_cells!();
    let home = Home::new();
    home.write("work/plain", "plain\n");
    for (number, file) in [
        ".bashrc",
        ".profile",
        ".config/autostart/a.desktop",
        "letter.txt",
    ]
    .iter()
    .enumerate()
    {
        let file = home.write(file, "as it was\n");
        fs::hard_link(file, home.path(&format!("work/{number}.txt"))).expect("link");
    }
    // Nobody is asked by the way: what people are to decide is asked for by its own name.
    let script =
        "for f in *.txt; do echo x >> $f; truncate -s 0 $f; sed -i s/was/is/ $f; done; cat 3.txt";
    let ended = home.in_workspace(script).done();
    assert_eq!(ended.text(), "as it is\n", "{}", ended.errors());
    for file in [
        ".bashrc",
        ".profile",
        ".config/autostart/a.desktop",
        "letter.txt",
    ] {
        let kept = fs::read_to_string(home.path(file)).expect("read");
        assert_eq!(kept, "as it was\n", "{file}");
    }
    assert!(home.questions().is_empty());
}

#[test]
fn files_of_a_store_are_used_by_their_names_in_the_workspace() {
    needs_cells!();
    let home = Home::new();
    // As package managers do it: one file in a store of the home, linked into each project.
    for number in 0..40 {
        let stored = home.write(&format!(".local/share/store/{number}"), "module\n");
        home.write(&format!("work/modules/{number}/README"), "x\n");
        fs::hard_link(stored, home.path(&format!("work/modules/{number}/index"))).expect("link");
    }
    let ended = home
        .in_workspace("cat modules/*/index | wc -l; ls /run/valetkey")
        .done()
        .ok();
    assert!(ended.text().starts_with("40\n"), "{}", ended.text());
}

#[test]
fn a_file_whose_names_cannot_all_be_found_is_opened_only_where_it_was_given_by_name() {
    needs_cells!();
    let home = Home::new();
    let elsewhere = home.outside("elsewhere.txt");
    fs::write(&elsewhere, "far\n").expect("write");
    home.write("work/plain.txt", "plain\n");
    fs::hard_link(&elsewhere, home.path("work/far.txt")).expect("link");
    let ended = home.in_workspace("cat far.txt plain.txt").done();
    assert_eq!(ended.text(), "plain\n", "{}", ended.errors());
    let work = home.path("work");
    let grant = format!("{}=read", home.path("work/far.txt").display());
    let options = [
        OsStr::new("--workspace"),
        work.as_os_str(),
        OsStr::new("--grant"),
        OsStr::new(&grant),
    ];
    let ended = home
        .run(&options, &["sh", "-c", "cat far.txt; echo x > far.txt"])
        .cwd(&work)
        .done();
    assert_eq!(ended.text(), "far\n", "{}", ended.errors());
    assert_eq!(fs::read_to_string(&elsewhere).expect("read"), "far\n");
}
