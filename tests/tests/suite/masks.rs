//! `redact`: what programs in a cell see of a file whose secrets are masked, and what they cannot do to it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use valetkey_tests::{Finished, Home};

use super::needs_cells;

const PLAIN: &str = "# settings\nDB_HOST=db.internal\nDB_PASSWORD=correct-horse\nAPI_TOKEN='battery staple'\nPORT=80\n";
const MASKED: &str = "# settings\nDB_HOST=db.internal\nDB_PASSWORD=XXXXXXXXXXXXX\nAPI_TOKEN='XXXXXXXXXXXXXX'\nPORT=80\n";

/// Runs `script` in `work` of the home, which is granted as a tree with secrets masked.
fn run(home: &Home, script: &str) -> Finished {
    let work = home.path("work");
    home.write("open/readme", "x\n");
    let actions = "read,write,create,delete,list";
    let masked = format!("{}/**={actions},redact=secrets", work.display());
    let plain = format!("{}/**={actions}", home.path("open").display());
    let options = ["--grant", &masked, "--grant", &plain].map(OsStr::new);
    home.run(&options, &["sh", "-c", script]).cwd(&work).done()
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).expect("read")
}

#[test]
fn programs_see_masks_by_whatever_way_they_read() {
    needs_cells!();
    let home = Home::new();
    home.write("work/settings.conf", PLAIN);
    let script = "cat settings.conf; echo ==; head -c 41 settings.conf | tail -c 9; echo; echo ==; \
        dd if=settings.conf bs=1 skip=45 count=13 2>/dev/null; echo; echo ==; \
        grep -c correct settings.conf; cp settings.conf ../open/copy; cat ../open/copy; echo ==; wc -c < settings.conf";
    let ended = run(&home, script);
    let text = ended.text();
    assert!(
        !text.contains("horse") && !text.contains("staple"),
        "{text}"
    );
    let parts: Vec<&str> = text.split("==\n").collect();
    assert_eq!(parts[0], MASKED, "{}", ended.errors());
    assert_eq!(parts[2].trim_end(), &MASKED[45..58]);
    assert_eq!(parts[3], format!("0\n{MASKED}"));
    assert_eq!(parts[4].trim(), PLAIN.len().to_string());
    assert_eq!(content(&home.path("work/settings.conf")), PLAIN);
    assert_eq!(content(&home.path("open/copy")), MASKED);
}

#[test]
fn a_dotenv_file_is_given_masked_to_whoever_asks_for_it_so() {
    needs_cells!();
    let home = Home::new();
    home.write("work/.env", PLAIN);
    home.write("work/sub/.env.local", PLAIN);
    home.write(
        "work/server.pem",
        "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
    );
    let ended = run(&home, "cat .env sub/.env.local; cat server.pem");
    assert_eq!(
        ended.text(),
        format!("{MASKED}{MASKED}"),
        "{}",
        ended.errors()
    );
    // Not so where the tree is granted without.
    let ended = home.in_workspace("cat .env").done();
    assert_eq!(ended.text(), "");
}

#[test]
fn what_is_masked_is_neither_destroyed_nor_moved_to_where_it_is_seen() {
    needs_cells!();
    let home = Home::new();
    home.write("work/settings.conf", PLAIN);
    let script = "echo x > settings.conf; truncate -s 0 settings.conf; rm -f settings.conf; sed -i s/80/81/ settings.conf; \
        mv settings.conf ../open/seen; ln settings.conf ../open/linked; cat ../open/*; cat settings.conf; \
        cat /run/valetkey/denials.json";
    let ended = run(&home, script);
    let text = ended.text();
    assert!(!text.contains("horse"), "{text}");
    assert!(
        text.starts_with(&format!("x\n{MASKED}")),
        "{text}\n{}",
        ended.errors()
    );
    assert!(
        text.contains("it would destroy something in the file that is masked"),
        "{text}"
    );
    assert_eq!(content(&home.path("work/settings.conf")), PLAIN);
}

#[test]
fn one_file_by_a_masked_and_a_plain_name_is_masked_by_both() {
    needs_cells!();
    let home = Home::new();
    home.write("work/settings.conf", PLAIN);
    home.write("open/readme", "x\n");
    fs::hard_link(home.path("work/settings.conf"), home.path("open/other")).expect("link");
    let work = home.path("work");
    let masked = format!("{}/**=read,list,redact=secrets", work.display());
    let plain = format!("{}/**=read,list", home.path("open").display());
    let options = ["--grant", &masked, "--grant", &plain].map(OsStr::new);
    let ended = home
        .run(
            &options,
            &["sh", "-c", "cat ../open/other settings.conf ../open/other"],
        )
        .cwd(&work)
        .done();
    assert_eq!(ended.text(), MASKED.repeat(3), "{}", ended.errors());
}
