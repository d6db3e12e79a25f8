//! Operations are begun once with each right that they need, before their effect, and count for nothing without one.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;
use valetkey_view::{Limit, Observation, Purpose};

use crate::fixture::{Fixture, TestPermit, errno};

const ALL: &str = "read,write,create,delete,execute,list,metadata";

fn with(permit: TestPermit) -> Option<(Fixture, Arc<TestPermit>)> {
    let view = Fixture::new(|_| {})?;
    let permit = view.rules.allow_by("/work/**", Arc::new(permit));
    view.view.notify_granted(std::path::Path::new("/work"));
    Some((view, permit))
}

fn plain() -> TestPermit {
    TestPermit::plain(ALL, None, None)
}

fn purposes(permit: &TestPermit) -> Vec<Purpose> {
    let begun = permit.begun.lock().expect("lock");
    begun.iter().map(|(purpose, _)| *purpose).collect()
}

#[test]
fn each_operation_is_begun_once_and_looks_are_not() {
    let Some((view, permit)) = with(plain()) else {
        return;
    };
    view.put("/work/d/f", "text");
    let at = |path: &str| view.at(path);
    assert_eq!(fs::read_dir(at("/work")).expect("list").count(), 1);
    assert_eq!(fs::metadata(at("/work/d/f")).expect("stat").len(), 4);
    assert!(fs::metadata(at("/work/none")).is_err());
    assert_eq!(purposes(&permit), []);
    // A right that is there by two names, or for both ends of a move, is asked once.
    fs::hard_link(at("/work/d/f"), at("/work/g")).expect("link");
    let mut opened = File::open(at("/work/g")).expect("open");
    let mut text = String::new();
    opened.read_to_string(&mut text).expect("read");
    fs::rename(at("/work/g"), at("/work/h")).expect("rename");
    fs::set_permissions(at("/work/h"), fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::create_dir(at("/work/e")).expect("mkdir");
    std::os::unix::fs::symlink("h", at("/work/l")).expect("symlink");
    let mut made = File::create(at("/work/n")).expect("create");
    made.write_all(b"one").expect("write");
    made.write_all(b"two").expect("write");
    made.set_len(1).expect("cut");
    fs::remove_file(at("/work/n")).expect("remove");
    fs::remove_dir(at("/work/e")).expect("rmdir");
    let expected = [
        Purpose::Create,
        Purpose::Open,
        Purpose::Rename,
        Purpose::Change,
        Purpose::Create,
        Purpose::Create,
        Purpose::Create,
        Purpose::Change,
        Purpose::Delete,
        Purpose::Delete,
    ];
    assert_eq!(purposes(&permit), expected);
    let ino = view.real("/work/h").metadata().expect("host").ino();
    let begun = permit.begun.lock().expect("lock");
    let objects: Vec<_> = begun
        .iter()
        .take(4)
        .flat_map(|(_, touched)| touched)
        .collect();
    assert!(objects.iter().all(|(_, object, _)| *object == Some(ino)));
    // A directory, a link and a file.
    assert_eq!(permit.made.lock().expect("lock").len(), 3);
}

#[test]
fn what_fails_counts_for_nothing() {
    let Some((view, permit)) = with(plain()) else {
        return;
    };
    view.put("/work/d/f", "text");
    assert_eq!(errno(fs::remove_dir(view.at("/work/d"))), Errno::NOTEMPTY);
    assert_eq!(
        errno(fs::rename(view.at("/work/d"), view.at("/work/d/g"))),
        Errno::INVAL
    );
    assert_eq!(errno(fs::create_dir(view.at("/work/d"))), Errno::EXIST);
    assert_eq!(purposes(&permit), []);
}

#[test]
fn what_no_limit_leaves_is_refused_before_it_has_an_effect() {
    let permit = TestPermit {
        uses_left: Some(0),
        ..plain()
    };
    let Some((view, _)) = with(permit) else {
        return;
    };
    view.put("/work/f", "text");
    let (f, g) = (view.at("/work/f"), view.at("/work/g"));
    assert_eq!(errno(File::open(&f)), Errno::DQUOT);
    assert_eq!(errno(File::create(&f)), Errno::DQUOT);
    assert_eq!(errno(File::create(&g)), Errno::DQUOT);
    assert_eq!(errno(fs::create_dir(&g)), Errno::DQUOT);
    assert_eq!(errno(fs::hard_link(&f, &g)), Errno::DQUOT);
    assert_eq!(errno(std::os::unix::fs::symlink("f", &g)), Errno::DQUOT);
    assert_eq!(errno(fs::rename(&f, &g)), Errno::DQUOT);
    assert_eq!(errno(fs::remove_file(&f)), Errno::DQUOT);
    let mode = fs::Permissions::from_mode(0o600);
    assert_eq!(errno(fs::set_permissions(&f, mode)), Errno::DQUOT);
    assert_eq!(
        errno(OpenOptions::new().append(true).open(&f)),
        Errno::DQUOT
    );
    let host = fs::read_to_string(view.real("/work/f")).expect("host");
    assert_eq!(
        (host.as_str(), view.real("/work/g").exists()),
        ("text", false)
    );
    let told = view.rules.reports(|seen| {
        matches!(
            seen,
            Observation::Limited {
                limit: Limit::Operations,
                ..
            }
        )
    });
    assert_eq!(told, 10);
}

#[test]
fn who_judges_content_is_given_it_by_every_name() {
    let permit = TestPermit {
        judges: true,
        ..plain()
    };
    let Some((view, permit)) = with(permit) else {
        return;
    };
    view.put("/work/f", "text");
    let (f, g) = (view.at("/work/f"), view.at("/work/g"));
    // Opened to be written, and to be cut off: it is read before.
    let opened = OpenOptions::new().write(true).truncate(true).open(&f);
    opened.expect("open").write_all(b"word").expect("write");
    fs::rename(&f, &g).expect("rename");
    fs::remove_file(&g).expect("remove");
    drop(File::create(&f).expect("create"));
    let seen: Vec<(PathBuf, String)> = permit
        .begun
        .lock()
        .expect("lock")
        .iter()
        .flat_map(|(_, touched)| touched.clone())
        .map(|(path, _, content)| (path, content))
        .collect();
    let expected = [
        ("/work/f", "text"),
        ("/work/f", "word"),
        ("/work/g", "word"),
        ("/work/g", "word"),
        ("/work/f", "new"),
    ];
    assert_eq!(
        seen,
        expected.map(|(path, content)| (path.into(), content.into()))
    );
}

#[test]
fn every_way_to_write_is_counted_and_what_was_not_written_is_given_back() {
    let Some((view, permit)) = with(TestPermit::plain(ALL, None, Some(1000))) else {
        return;
    };
    view.put("/work/f", "0123456789");
    let left = || permit.write_left_now();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(view.at("/work/f"));
    let file = file.expect("open");
    file.write_all_at(b"abcdef", 2).expect("write");
    assert_eq!(left(), 994);
    file.set_len(110).expect("grow");
    assert_eq!(left(), 894);
    file.set_len(10).expect("cut");
    assert_eq!(left(), 894);
    let none = rustix::fs::FallocateFlags::empty();
    rustix::fs::fallocate(&file, none, 0, 94).expect("allocate");
    assert_eq!(left(), 800);
    let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, punch, 0, 50).expect("punch");
    assert_eq!(left(), 750);
    assert_eq!(errno(file.write_all_at(&[1; 751], 0)), Errno::DQUOT);
    assert_eq!(errno(file.set_len(2000)), Errno::DQUOT);
    let mut added = OpenOptions::new()
        .append(true)
        .open(view.at("/work/f"))
        .expect("open");
    added.write_all(&[1; 50]).expect("append");
    assert_eq!(left(), 700);
    // A copy within the kernel goes through reads and writes.
    view.put("/work/from", &"x".repeat(100));
    let mut from = File::open(view.at("/work/from")).expect("open");
    let copied = std::io::copy(&mut from, &mut added).expect("copy");
    assert_eq!((copied, left()), (100, 600));
    rustix::fs::setxattr(
        view.at("/work/f"),
        "user.tag",
        &[1; 100],
        rustix::fs::XattrFlags::empty(),
    )
    .expect("attribute");
    assert_eq!(left(), 500);
    // The system refuses this one, and nothing is counted.
    let name = format!("user.{}", "n".repeat(251));
    assert!(
        rustix::fs::setxattr(
            view.at("/work/f"),
            name,
            &[1; 9],
            rustix::fs::XattrFlags::empty()
        )
        .is_err()
    );
    let punched_wrongly = rustix::fs::fallocate(&file, none, u64::MAX / 4, 10);
    assert!(punched_wrongly.is_err());
    assert_eq!(left(), 500);
}

#[test]
fn counted_or_judged_content_leaves_by_no_attribute() {
    for permit in [
        TestPermit::plain(ALL, Some(100), None),
        TestPermit {
            judges: true,
            ..plain()
        },
    ] {
        let Some((view, _)) = with(permit) else {
            return;
        };
        view.put("/work/f", "text");
        let none = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(view.real("/work/f"), "user.tag", b"secret", none).expect("host");
        let mut value = [0; 64];
        let read = rustix::fs::getxattr(view.at("/work/f"), "user.tag", &mut value);
        assert_eq!(read, Err(Errno::NODATA));
        assert_eq!(rustix::fs::listxattr(view.at("/work/f"), &mut value), Ok(0));
    }
}
