//! Files with several names, of which the view may not know all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use valetkey_view::Observation;

use crate::fixture::{Fixture, errno, eventually};

#[test]
fn a_rule_holds_by_a_name_that_was_never_looked_at() {
    let Some(view) = Fixture::whole() else { return };
    view.rules.except("/work/**/.env");
    view.rules.doubts.store(true, Ordering::SeqCst);
    view.put("/work/sub/.env", "SECRET");
    fs::hard_link(view.real("/work/sub/.env"), view.real("/work/notes")).expect("host");
    *view.rules.names.write().expect("lock") = (Vec::new(), vec!["/work/sub/.env".into()]);
    let notes = view.at("/work/notes");
    assert_eq!(errno(fs::read(&notes)), Errno::ACCESS);
    assert_eq!(errno(fs::write(&notes, "x")), Errno::ACCESS);
    assert_eq!(
        errno(fs::File::options().write(true).truncate(true).open(&notes)),
        Errno::ACCESS
    );
    assert_eq!(
        errno(fs::hard_link(&notes, view.at("/work/more"))),
        Errno::ACCESS
    );
    let told = view
        .rules
        .reports(|seen| matches!(seen, Observation::ManyNames { path, .. } if path == Path::new("/work/notes")));
    assert!(told >= 4, "{told}");
    assert_eq!(
        fs::read_to_string(view.real("/work/notes")).expect("host"),
        "SECRET"
    );
    // The file has one name now, which no rule forbids.
    fs::remove_file(view.real("/work/sub/.env")).expect("host");
    assert!(eventually(|| fs::read(&notes).is_ok()));
}

#[test]
fn what_the_rules_say_of_a_name_may_take_a_wait() {
    let Some(view) = Fixture::whole() else { return };
    view.rules.except("/work/**/.env");
    view.rules.must_wait.store(true, Ordering::SeqCst);
    view.put("/work/sub/.env", "SECRET");
    view.put("/work/sub/plain", "plain");
    for (name, other) in [("sub/.env", "notes"), ("sub/plain", "more")] {
        let name = view.real(&format!("/work/{name}"));
        fs::hard_link(name, view.real(&format!("/work/{other}"))).expect("host");
    }
    let found = ["/work/sub/.env".into(), "/work/sub/plain".into()];
    view.rules.names.write().expect("lock").0 = found.to_vec();
    assert_eq!(errno(fs::read(view.at("/work/notes"))), Errno::ACCESS);
    assert_eq!(
        fs::read_to_string(view.at("/work/more")).expect("read"),
        "plain"
    );
}

#[test]
fn names_that_cannot_all_be_found_are_a_refusal_unless_the_file_is_trusted() {
    let Some(view) = Fixture::whole() else { return };
    view.rules.doubts.store(true, Ordering::SeqCst);
    view.put("/elsewhere/f", "x");
    fs::hard_link(view.real("/elsewhere/f"), view.real("/work/f")).expect("host");
    let f = view.at("/work/f");
    // A name that is told and is not one, or is the same one again, counts for nothing.
    view.put("/work/other", "y");
    let lies = ["/work/f", "/work/./f", "/work/other", "/work/gone", "/"].map(PathBuf::from);
    *view.rules.names.write().expect("lock") = (lies.to_vec(), lies.to_vec());
    assert_eq!(errno(fs::read(&f)), Errno::ACCESS);
    view.rules.names.write().expect("lock").1 = vec!["/elsewhere/f".into()];
    assert_eq!(fs::read_to_string(&f).expect("all names are known"), "x");
    view.rules.names.write().expect("lock").1 = Vec::new();
    assert_eq!(errno(fs::read(&f)), Errno::ACCESS);
    view.rules.doubts.store(false, Ordering::SeqCst);
    assert_eq!(fs::read_to_string(&f).expect("trusted"), "x");
}

#[test]
fn names_within_the_view_need_no_search() {
    let Some(view) = Fixture::whole() else { return };
    view.rules.doubts.store(true, Ordering::SeqCst);
    fs::write(view.at("/work/a"), "x").expect("write");
    fs::hard_link(view.at("/work/a"), view.at("/work/b")).expect("link");
    assert_eq!(fs::read_to_string(view.at("/work/b")).expect("read"), "x");
    fs::rename(view.at("/work/b"), view.at("/work/c")).expect("move");
    assert_eq!(fs::read_to_string(view.at("/work/a")).expect("read"), "x");
}

#[test]
fn a_name_that_is_moved_to_and_fro_does_not_count_twice() {
    let Some(view) = Fixture::whole() else { return };
    view.rules.doubts.store(true, Ordering::SeqCst);
    // Not found by anybody: the view knows one name of two, which the agent keeps moving.
    view.put("/secret/.env", "SECRET");
    fs::hard_link(view.real("/secret/.env"), view.real("/work/a")).expect("host");
    // Names that are none between the two keep the count at it for long enough to be moved under.
    let none = (0..1000).map(|number| PathBuf::from(format!("/work/none{number}")));
    let both: Vec<PathBuf> = std::iter::once(PathBuf::from("/work/a"))
        .chain(none)
        .chain([PathBuf::from("/work/b")])
        .collect();
    *view.rules.names.write().expect("lock") = (both.clone(), both);
    let over = Arc::new(AtomicBool::new(false));
    let (a, b) = (view.at("/work/a"), view.at("/work/b"));
    let mover = std::thread::spawn({
        let (over, a, b) = (Arc::clone(&over), a.clone(), b.clone());
        move || {
            while !over.load(Ordering::SeqCst) {
                fs::rename(&a, &b)
                    .and_then(|()| fs::rename(&b, &a))
                    .expect("move");
            }
        }
    });
    let end = std::time::Instant::now() + Duration::from_secs(2);
    let mut tries = 0;
    while std::time::Instant::now() < end {
        for path in [&a, &b] {
            assert!(fs::read(path).is_err(), "read after {tries} tries");
            tries += 1;
        }
    }
    over.store(true, Ordering::SeqCst);
    mover.join().expect("mover");
}
