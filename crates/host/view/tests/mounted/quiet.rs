//! The connection on which opens cost no message.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use valetkey_view::{Connection, Observation};

use crate::fixture::{Fixture, TestPermit, errno, eventually, names, within};

/// A quiet view of `/work`: the mount is that tree.
fn quiet() -> Option<(Fixture, std::sync::Arc<TestPermit>)> {
    let connection = Connection::Quiet {
        root: "/work".into(),
    };
    let view = Fixture::with_connection(
        |config| fs::create_dir_all(config.root.join("work")).expect("tree"),
        connection,
    )?;
    let permit = view.grant("/work", "read,write,create,delete,execute,list,metadata");
    Some((view, permit))
}

#[test]
fn files_are_read_written_made_and_truncated() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.put("/work/old", "old content");
    assert_eq!(
        fs::read_to_string(view.at("/old")).expect("read"),
        "old content"
    );
    fs::write(view.at("/old"), "new").expect("write");
    assert_eq!(
        fs::read_to_string(view.real("/work/old")).expect("host"),
        "new"
    );
    fs::write(view.at("/made"), "made").expect("create");
    assert_eq!(
        fs::read_to_string(view.real("/work/made")).expect("host"),
        "made"
    );
    let mut file = OpenOptions::new()
        .append(true)
        .open(view.at("/made"))
        .expect("open");
    file.write_all(b" and more").expect("append");
    assert_eq!(
        fs::read_to_string(view.real("/work/made")).expect("host"),
        "made and more"
    );
    file.set_len(4).expect("ftruncate");
    assert_eq!(file.metadata().expect("fstat").len(), 4);
    assert_eq!(names(&view.mount), ["made", "old"]);
    fs::create_dir(view.at("/d")).expect("mkdir");
    fs::rename(view.at("/made"), view.at("/d/moved")).expect("rename");
    assert_eq!(names(&view.at("/d")), ["moved"]);
    fs::remove_dir_all(view.at("/d")).expect("remove");
}

#[test]
fn opens_are_silent_and_first_reads_are_reported() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.put("/work/f", "content");
    for _ in 0..50 {
        fs::read(view.at("/f")).expect("read");
    }
    let opened = |seen: &Observation| matches!(seen, Observation::Opened { .. });
    assert_eq!(view.rules.reports(opened), 1);
}

#[test]
fn exceptions_and_revocation_hold() {
    let Some((view, permit)) = quiet() else {
        return;
    };
    view.rules.except("/**/.env");
    view.put("/work/.env", "secret");
    view.put("/work/f", "content");
    assert_eq!(names(&view.mount), ["f"]);
    assert_eq!(errno(fs::read(view.at("/.env"))), Errno::NOENT);
    let mut file = File::open(view.at("/f")).expect("open");
    file.read_to_end(&mut Vec::new()).expect("read");
    permit.kill();
    view.view.notify_revoked(Path::new("/work"));
    assert!(within(Duration::from_millis(100), || {
        let mut file = &file;
        file.seek(SeekFrom::Start(0)).expect("seek");
        file.read(&mut [0; 4]).is_err()
    }));
    assert!(eventually(|| File::open(view.at("/f")).is_err()));
}

#[test]
fn an_unlinked_file_goes_on_while_it_is_open() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.put("/work/f", "content");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(view.at("/f"))
        .expect("open");
    fs::remove_file(view.at("/f")).expect("remove");
    let mut content = String::new();
    file.read_to_string(&mut content).expect("read");
    assert_eq!(content, "content");
    file.write_all(b" and more").expect("write");
    assert_eq!(file.metadata().expect("fstat").len(), 16);
}
