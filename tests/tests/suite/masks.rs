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
    let script = "echo x > settings.conf; truncate -s 0 settings.conf; rm -f settings.conf; sed -i /TOKEN/d settings.conf; \
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
fn programs_save_a_masked_file_and_what_is_masked_stays() {
    needs_cells!();
    let home = Home::new();
    let real = home.path("work/settings.conf");
    // Each as real programs save: what they do to the text, and how.
    let saves = [
        ("sed", "sed -i s/PORT=80/PORT=81/ settings.conf"),
        ("perl", "perl -pi -e s/PORT=80/PORT=81/ settings.conf"),
        (
            "shell",
            "text=$(sed s/PORT=80/PORT=81/ settings.conf); echo \"$text\" > settings.conf",
        ),
        (
            "python",
            "python3 -c 'p=\"settings.conf\"; t=open(p).read(); f=open(p,\"w\"); f.write(t.replace(\"PORT=80\",\"PORT=81\")); f.close()'",
        ),
        (
            "python in place",
            "python3 -c 'f=open(\"settings.conf\",\"r+b\"); n=f.read().index(b\"PORT=80\"); f.seek(n+6); f.write(b\"1\"); f.close()'",
        ),
        (
            "a new file",
            "sed s/PORT=80/PORT=81/ settings.conf > new; mv new settings.conf",
        ),
        (
            "a backup",
            "mv settings.conf settings.conf~ && sed s/PORT=80/PORT=81/ settings.conf~ > settings.conf && rm settings.conf~",
        ),
        (
            "ed",
            "printf '%s\\n' ,s/PORT=80/PORT=81/ w q | ed -s settings.conf",
        ),
        (
            "vim",
            "vim -u NONE -i NONE -es -c '%s/PORT=80/PORT=81/' -c wq settings.conf < /dev/null",
        ),
    ];
    for (name, script) in saves {
        let program = script.split(' ').next().unwrap_or_default();
        let is_there = std::process::Command::new("which").arg(program).output();
        if ["vim", "ed", "perl"].contains(&program)
            && !is_there.is_ok_and(|found| found.status.success())
        {
            eprintln!("SKIPPED: {name} is not there");
            continue;
        }
        home.write("work/settings.conf", PLAIN);
        let ended = run(&home, &format!("{script}; echo =$?; cat settings.conf"));
        let expected = MASKED.replace("PORT=80", "PORT=81");
        let text = ended.text();
        assert!(
            text.ends_with(&format!("=0\n{expected}")),
            "{name}: {text}\n{}",
            ended.errors()
        );
        assert_eq!(
            content(&real),
            PLAIN.replace("PORT=80", "PORT=81"),
            "{name}"
        );
        let names: Vec<_> = fs::read_dir(home.path("work"))
            .expect("list")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        assert_eq!(names, ["settings.conf"], "{name}");
    }
}

#[test]
fn what_a_program_saves_without_a_mask_is_refused_with_the_reason() {
    needs_cells!();
    let home = Home::new();
    home.write("work/settings.conf", PLAIN);
    let script = "for guess in correct-horse wrong---horse XXXXXXXXXXXX; do \
        sed -i s/XXXXXXXXXXXXX/$guess/ settings.conf; echo =$?; done; \
        python3 -c 'f=open(\"settings.conf\",\"w\"); f.write(\"A=1\"); f.close()'; echo =$?; \
        cat /run/valetkey/denials.json";
    let ended = run(&home, script);
    let text = ended.text();
    assert!(
        text.starts_with("=4\n=4\n=4\n=1\n"),
        "{text}\n{}",
        ended.errors()
    );
    assert!(text.contains("it would destroy something in the file that is masked"));
    assert_eq!(content(&home.path("work/settings.conf")), PLAIN);
}

#[test]
fn what_was_saved_through_a_mask_is_undone() {
    needs_cells!();
    let home = Home::new();
    home.write("work/settings.conf", PLAIN);
    home.write("work/other.conf", PLAIN);
    let actions = "read,write,create,delete,list";
    let masked = format!(
        "{}/**={actions},redact=secrets",
        home.path("work").display()
    );
    let options = ["--undo", "--grant", &masked].map(OsStr::new);
    let script = "sed -i s/PORT=80/PORT=81/ settings.conf && echo NEW=1 >> other.conf";
    let ended = home
        .run(&options, &["sh", "-c", script])
        .cwd(home.path("work"))
        .done();
    assert_eq!(ended.code(), 0, "{}", ended.errors());
    assert_eq!(
        content(&home.path("work/other.conf")),
        format!("{PLAIN}NEW=1\n")
    );
    let undone = home.valetkey(["undo"]).done();
    assert_eq!(undone.code(), 0, "{}", undone.errors());
    for name in ["work/settings.conf", "work/other.conf"] {
        assert_eq!(content(&home.path(name)), PLAIN);
    }
    assert_eq!(fs::read_dir(home.path("work")).expect("list").count(), 2);
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
