//! What the kernel keeps of a directory that is watched, and how it hears of what the host changes there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::fixture::{Fixture, errno, eventually, names};

/// A view that is asked again at once for what is not watched, with a listed tree.
fn listed() -> Option<Fixture> {
    let view = Fixture::new(|config| config.valid = Duration::from_millis(1))?;
    for number in 0..50 {
        view.put(&format!("/work/d/file-{number:02}"), "x");
    }
    view.put("/work/d/sub/below", "x");
    view.grant("/work", "read,write,create,delete,list,metadata");
    look(&view);
    Some(view)
}

/// Lists and looks at everything, as `find` does.
fn look(view: &Fixture) {
    for name in names(&view.at("/work/d")) {
        let _looked = fs::metadata(view.at(&format!("/work/d/{name}"))).expect("stat");
    }
}

#[test]
fn what_is_watched_is_not_asked_for_again() {
    let Some(view) = listed() else { return };
    look(&view);
    let checked = || view.rules.checked.load(Ordering::SeqCst);
    // Nothing is heard from a while ago, and what is not watched would have to be asked for.
    let settled = eventually(|| {
        let before = checked();
        thread::sleep(Duration::from_millis(20));
        look(&view);
        checked() - before < 20
    });
    assert!(settled, "names of a watched directory are asked for again");
}

#[test]
fn whatever_the_host_changes_is_seen_although_it_is_kept() {
    let Some(view) = listed() else { return };
    let (real, seen) = (
        |name: &str| view.real(&format!("/work/d/{name}")),
        |name: &str| view.at(&format!("/work/d/{name}")),
    );
    let listing = || names(&view.at("/work/d"));
    // Twice each, since the second time something is kept.
    for _ in 0..2 {
        look(&view);
        fs::write(real("new"), "content").expect("host");
        assert!(eventually(|| listing().contains(&"new".to_owned())));
        assert_eq!(fs::metadata(seen("new")).expect("stat").len(), 7);
        fs::write(real("new"), "longer content").expect("host");
        assert!(eventually(
            || fs::metadata(seen("new")).is_ok_and(|stat| stat.len() == 14)
        ));
        assert_eq!(
            fs::read_to_string(seen("new")).expect("read"),
            "longer content"
        );
        fs::set_permissions(real("new"), Permissions::from_mode(0o640)).expect("host");
        let mode = || fs::metadata(seen("new")).map_or(0, |stat| stat.mode() & 0o777);
        assert!(eventually(|| mode() == 0o640));
        fs::rename(real("new"), real("moved")).expect("host");
        assert!(eventually(
            || fs::metadata(seen("new")).is_err() && seen("moved").exists()
        ));
        assert!(eventually(|| !listing().contains(&"new".to_owned())));
        fs::remove_file(real("moved")).expect("host");
        assert!(eventually(|| fs::metadata(seen("moved")).is_err()));
        assert!(eventually(|| !listing().contains(&"moved".to_owned())));
    }
    // Another file by the same name, another directory in the place of one.
    let before = fs::metadata(seen("file-00")).expect("stat").ino();
    fs::write(real("other"), "other").expect("host");
    fs::rename(real("other"), real("file-00")).expect("host");
    assert!(eventually(
        || fs::metadata(seen("file-00")).is_ok_and(|stat| stat.ino() != before)
    ));
    assert_eq!(names(&seen("sub")), ["below"]);
    assert_eq!(fs::metadata(seen("sub/below")).expect("stat").len(), 1);
    fs::rename(real("sub"), real("gone")).expect("host");
    assert!(eventually(|| fs::metadata(seen("sub/below")).is_err()));
    assert!(eventually(|| fs::metadata(seen("gone/below")).is_ok()));
    // What was changed through the view is seen at once.
    fs::write(seen("made"), "made").expect("make");
    assert!(listing().contains(&"made".to_owned()));
    fs::remove_file(seen("made")).expect("remove");
    assert!(!listing().contains(&"made".to_owned()));
}

#[test]
fn a_grant_that_ends_takes_along_what_was_kept_of_it() {
    let Some(view) = listed() else { return };
    let permit = view.rules.allow("/work/d/**", "list,metadata");
    look(&view);
    let inside = rustix::fs::open(
        view.at("/work/d/sub"),
        rustix::fs::OFlags::PATH,
        rustix::fs::Mode::empty(),
    )
    .expect("a way in");
    let below = || rustix::fs::statat(&inside, "below", rustix::fs::AtFlags::empty());
    assert!(below().is_ok());
    let first = view.rules.rules_of("/work/**");
    for permit in first {
        permit.kill();
    }
    permit.kill();
    view.view.notify_revoked(std::path::Path::new("/work"));
    assert!(eventually(
        || fs::metadata(view.at("/work/d/file-01")).is_err()
    ));
    // By a directory that is still held as well: what was kept for long is asked for again.
    assert!(eventually(|| below().is_err()));
    assert!(eventually(|| fs::read_dir(view.at("/work/d")).is_err()));
    assert_eq!(errno(fs::metadata(view.at("/work/d"))), Errno::NOENT);
    // And a name that is given within what was listed is in the listing.
    let Some(view) = listed() else { return };
    view.put("/work/d/secret", "s");
    view.rules.except("/work/d/secret");
    assert!(eventually(
        || !names(&view.at("/work/d")).contains(&"secret".to_owned())
    ));
    look(&view);
    view.rules.lift_exceptions();
    view.view
        .notify_granted(std::path::Path::new("/work/d/secret"));
    assert!(eventually(
        || names(&view.at("/work/d")).contains(&"secret".to_owned())
    ));
}

#[test]
fn watchers_in_the_view_hear_of_what_is_done_through_it() {
    use rustix::fs::inotify;
    let Some(view) = listed() else { return };
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let watcher = inotify::init(flags).expect("inotify");
    let wanted = inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::DELETE;
    inotify::add_watch(&watcher, view.at("/work/d"), wanted).expect("a watch");
    fs::write(view.at("/work/d/new"), "content").expect("write");
    fs::rename(view.at("/work/d/new"), view.at("/work/d/moved")).expect("rename");
    fs::remove_file(view.at("/work/d/moved")).expect("remove");
    let mut bytes = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watcher, &mut bytes);
    let mut heard = Vec::new();
    while let Ok(event) = events.next() {
        let name = event
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        heard.push((event.events(), name.unwrap_or_default()));
    }
    for (kind, name) in [
        (inotify::ReadFlags::CREATE, "new"),
        (inotify::ReadFlags::MODIFY, "new"),
        (inotify::ReadFlags::MOVED_TO, "moved"),
        (inotify::ReadFlags::DELETE, "moved"),
    ] {
        assert!(
            heard.contains(&(kind, name.to_owned())),
            "{kind:?} {name} in {heard:?}"
        );
    }
}
