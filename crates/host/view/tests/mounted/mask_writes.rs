//! Writing through a mask on a real mount: what is put back, what is refused, and that the file is old or new.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::io::Errno;
use valetkey_model::PathPattern;
use valetkey_view::{Kinds, MaskRefusal, Observation};

use crate::fixture::{Fixture, errno, eventually};

const PLAIN: &str = "A=1\nPASSWORD=hunter2\nTOKEN=hunter34\nB=2\n";
const MASKED: &str = "A=1\nPASSWORD=XXXXXXX\nTOKEN=XXXXXXXX\nB=2\n";

/// A view in which everything below `/work/conf` is masked, with a file in it.
fn masked() -> Option<Fixture> {
    let view = Fixture::whole()?;
    let pattern = PathPattern::parse("/work/conf/**").expect("pattern");
    let mut masks = view.rules.masks.write().expect("lock");
    masks.push((pattern, Kinds::SECRETS));
    drop(masks);
    view.put("/work/conf/env", PLAIN);
    Some(view)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("read")
}

/// Writes as `open(…, "w")` does, and says what the close said.
fn save(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn refusals(view: &Fixture, why: MaskRefusal) -> usize {
    view.rules
        .reports(|seen| matches!(seen, Observation::Masked { why: seen, .. } if *seen == why))
}

/// What is in the directory of the host, by name.
fn names(view: &Fixture) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(view.real("/work/conf"))
        .expect("list")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("name")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_written_in_place_and_keeps_what_is_masked() {
    let Some(view) = masked() else { return };
    let (env, real) = (view.at("/work/conf/env"), view.real("/work/conf/env"));
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("mode");
    save(&env, &MASKED.replace("B=2", "B=3")).expect("saved");
    assert_eq!(text(&real), PLAIN.replace("B=2", "B=3"));
    assert_eq!(text(&env), MASKED.replace("B=2", "B=3"));
    assert_eq!(fs::metadata(&real).expect("stat").mode() & 0o777, 0o640);
    // In another order, and one byte of it.
    save(&env, "TOKEN=XXXXXXXX\nA=1\nPASSWORD=XXXXXXX\n").expect("saved");
    assert_eq!(text(&real), "TOKEN=hunter34\nA=1\nPASSWORD=hunter2\n");
    let file = File::options()
        .read(true)
        .write(true)
        .open(&env)
        .expect("open");
    file.write_all_at(b"9", 17).expect("write");
    let mut seen = [0; 20];
    file.read_exact_at(&mut seen, 0).expect("read");
    assert_eq!(&seen, b"TOKEN=XXXXXXXX\nA=9\nP");
    file.sync_all().expect("saved");
    assert_eq!(text(&real), "TOKEN=hunter34\nA=9\nPASSWORD=hunter2\n");
    // Whoever has it open goes on, also past the file that took its place.
    file.write_all_at(b"8", 17).expect("write");
    file.set_len(20).expect("length");
    assert_eq!(errno(file.sync_all()), Errno::PERM);
    file.set_len(19).expect("length");
    file.write_all_at(b"PASSWORD=XXXXXXX\nC=1\n", 19)
        .expect("write");
    assert_eq!(file.metadata().expect("stat").len(), 40);
    drop(file);
    assert!(eventually(
        || text(&real) == "TOKEN=hunter34\nA=8\nPASSWORD=hunter2\nC=1\n"
    ));
    assert_eq!(names(&view), ["env"]);
}

#[test]
fn what_is_added_at_the_end_stays_and_what_is_cut_off_is_looked_at() {
    let Some(view) = masked() else { return };
    let (env, real) = (view.at("/work/conf/env"), view.real("/work/conf/env"));
    let mut file = File::options().append(true).open(&env).expect("open");
    file.write_all(b"C=3\n").expect("write");
    file.sync_all().expect("saved");
    drop(file);
    assert_eq!(text(&real), format!("{PLAIN}C=3\n"));
    let length = u64::try_from(PLAIN.len()).expect("length");
    let cut = |to| {
        rustix::fs::open(&env, rustix::fs::OFlags::WRONLY, rustix::fs::Mode::empty()).and_then(
            |file| rustix::fs::ftruncate(&file, to).and_then(|()| rustix::fs::fsync(&file)),
        )
    };
    cut(length).expect("cut");
    assert_eq!(text(&real), PLAIN);
    assert_eq!(
        cut(length - 8).map_err(|error| error == Errno::PERM),
        Err(true)
    );
    assert_eq!(text(&real), PLAIN);
    assert_eq!(text(&env), MASKED);
}

#[test]
fn a_file_renamed_over_it_gets_what_is_masked() {
    let Some(view) = masked() else { return };
    let (env, real) = (view.at("/work/conf/env"), view.real("/work/conf/env"));
    // Beside it, where it is masked too, and from where nothing is.
    for new in ["/work/conf/env.new", "/work/plain.new"] {
        save(&view.at(new), &MASKED.replace("A=1", "A=2")).expect("written");
        let old = File::open(&env).expect("open");
        fs::rename(view.at(new), &env).expect("rename");
        assert_eq!(text(&real), PLAIN.replace("A=1", "A=2"), "{new}");
        assert_eq!(text(&env), MASKED.replace("A=1", "A=2"), "{new}");
        assert!(!view.real(new).exists());
        drop(old);
        fs::write(&real, PLAIN).expect("host");
    }
    save(&view.at("/work/conf/env.new"), "A=2\n").expect("written");
    assert_eq!(
        errno(fs::rename(view.at("/work/conf/env.new"), &env)),
        Errno::PERM
    );
    assert_eq!(text(&real), PLAIN);
    assert_eq!(names(&view), ["env", "env.new"]);
}

#[test]
fn a_backup_that_was_moved_away_may_go_once_all_came_over() {
    let Some(view) = masked() else { return };
    let (env, backup) = (view.at("/work/conf/env"), view.at("/work/conf/env~"));
    fs::rename(&env, &backup).expect("rename");
    assert_eq!(errno(fs::remove_file(&backup)), Errno::PERM);
    // It would take the backup's secret for the word that is there.
    assert_eq!(errno(save(&env, "PASSWORD=XXXXXXX\n")), Errno::PERM);
    save(&env, &MASKED.replace("A=1", "A=5")).expect("saved");
    assert_eq!(
        text(&view.real("/work/conf/env")),
        PLAIN.replace("A=1", "A=5")
    );
    // The person changes it: what came over may be gone.
    fs::write(view.real("/work/conf/env"), "A=5\n").expect("host");
    assert_eq!(errno(fs::remove_file(&backup)), Errno::PERM);
    fs::write(view.real("/work/conf/env"), PLAIN.replace("A=1", "A=5")).expect("host");
    fs::remove_file(&backup).expect("removed");
    assert_eq!(names(&view), ["env"]);
    // Something else at the old name is no reason to let the backup go, nor a guess of what it hides.
    fs::rename(&env, &backup).expect("rename");
    save(&env, "A=5\nPASSWORD=hunter2\nTOKEN=hunter34\nB=2\n").expect("another file");
    assert_eq!(errno(fs::remove_file(&backup)), Errno::PERM);
}

#[test]
fn a_guess_is_answered_alike_right_or_wrong() {
    let Some(view) = masked() else { return };
    let (env, real) = (view.at("/work/conf/env"), view.real("/work/conf/env"));
    for guess in ["hunter2", "hunter3", "XXXXXX", "XXXXXXXX", "YXXXXXX"] {
        let written = MASKED.replacen("XXXXXXX\n", &format!("{guess}\n"), 1);
        assert_eq!(errno(save(&env, &written)), Errno::PERM, "{guess}");
        assert_eq!(text(&real), PLAIN);
    }
    assert_eq!(refusals(&view, MaskRefusal::Destroys), 5);
    // The mask's text elsewhere is but text.
    save(&view.at("/work/conf/copy"), MASKED).expect("written");
    save(&view.at("/work/copy"), MASKED).expect("written");
    assert_eq!(text(&view.real("/work/conf/copy")), MASKED);
    assert_eq!(text(&view.real("/work/copy")), MASKED);
    // To where it would be seen, and often enough that it tells nothing any more.
    for _ in 0..70 {
        let uncovered = MASKED.replace("PASSWORD", "COLOR");
        assert_eq!(errno(save(&env, &uncovered)), Errno::PERM);
    }
    assert_eq!(refusals(&view, MaskRefusal::Uncovers), 64);
    assert_eq!(text(&real), PLAIN);
}

#[test]
fn what_the_person_changes_meanwhile_is_left() {
    let Some(view) = masked() else { return };
    let (env, real) = (view.at("/work/conf/env"), view.real("/work/conf/env"));
    let file = File::options().write(true).open(&env).expect("open");
    file.write_all_at(b"A=7", 0).expect("write");
    let theirs = PLAIN.replace("hunter2", "swordfish");
    fs::write(&real, &theirs).expect("host");
    assert_eq!(errno(file.sync_all()), Errno::BUSY);
    drop(file);
    assert_eq!(text(&real), theirs);
    assert_eq!(refusals(&view, MaskRefusal::Changed), 1);
    // Its times and mode are no content.
    let file = File::options().write(true).open(&env).expect("open");
    file.write_all_at(b"A=7", 0).expect("write");
    fs::set_permissions(&env, fs::Permissions::from_mode(0o600)).expect("mode");
    file.sync_all().expect("saved");
    assert_eq!(text(&real), theirs.replace("A=1", "A=7"));
    assert_eq!(fs::metadata(&real).expect("stat").mode() & 0o777, 0o600);
}

#[test]
fn a_file_with_several_names_is_not_parted() {
    let Some(view) = masked() else { return };
    fs::hard_link(view.at("/work/conf/env"), view.at("/work/conf/other")).expect("link");
    let env = view.at("/work/conf/env");
    assert_eq!(
        errno(save(&env, &MASKED.replace("A=1", "A=2"))),
        Errno::PERM
    );
    assert_eq!(refusals(&view, MaskRefusal::Names), 1);
    assert_eq!(text(&view.real("/work/conf/other")), PLAIN);
}

#[test]
fn a_mapping_is_not_written_and_no_view_shows_what_is_being_put_in_place() {
    let Some(view) = masked() else { return };
    let program = "import mmap,sys\n\
        f=open(sys.argv[1],'r+b')\n\
        try: m=mmap.mmap(f.fileno(),0)\n\
        except OSError: sys.stdout.write('refused'); sys.exit()\n\
        m[0:1]=b'C'; m.flush()\n";
    let output = std::process::Command::new("python3")
        .args(["-c", program])
        .arg(view.at("/work/conf/env"))
        .output();
    if let Ok(output) = output {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "refused");
    } else {
        eprintln!("SKIPPED: needs python3");
    }
    // What a guard leaves that is killed at that moment.
    let left = "/work/plain/.valetkey-masked-0123456789abcdef.tmp";
    view.put(left, PLAIN);
    assert_eq!(errno(fs::read(view.at(left))), Errno::NOENT);
    assert_eq!(
        fs::read_dir(view.at("/work/plain")).expect("list").count(),
        0
    );
    let away = view.at("/work/away");
    assert_eq!(errno(fs::rename(view.at(left), &away)), Errno::NOENT);
    assert!(fs::write(view.at("/work/conf/.valetkey-masked-x"), "x").is_err());
}

#[test]
fn a_new_file_is_written_as_any_other() {
    let Some(view) = masked() else { return };
    let new = view.at("/work/conf/new");
    let mut file = File::create(&new).expect("create");
    file.write_all(b"x=1\n").expect("write");
    let before = file.metadata().expect("stat");
    assert_eq!(before.len(), 4);
    file.set_modified(std::time::UNIX_EPOCH).expect("times");
    drop(file);
    assert!(eventually(|| text(&view.real("/work/conf/new")) == "x=1\n"));
    let after = fs::metadata(&new).expect("stat");
    assert_eq!((after.ino(), after.mtime()), (before.ino(), 0));
    // One that is removed while it is open can be used until it is closed.
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(view.at("/work/conf/temporary"))
        .expect("open");
    fs::remove_file(view.at("/work/conf/temporary")).expect("remove");
    file.write_all_at(b"abc", 0).expect("write");
    file.sync_all().expect("nothing to put in place");
    let mut place = [0; 3];
    file.read_exact_at(&mut place, 0).expect("read");
    assert_eq!(&place, b"abc");
    // A file in which nothing is masked may be emptied, and removed.
    drop(File::create(&new).expect("emptied"));
    assert!(eventually(|| text(&view.real("/work/conf/new")).is_empty()));
    fs::remove_file(&new).expect("removed");
}
