//! Names: links, moves, and what the kernel is told about them.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt, symlink};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, mknodat, renameat_with};
use rustix::io::Errno;
use valetkey_view::Observation;

use crate::fixture::{Fixture, errno, names};

#[test]
fn link_counts_and_times_are_true_at_once() {
    let Some(view) = Fixture::whole() else { return };
    fs::write(view.at("/work/a"), "x").expect("write");
    let before = fs::metadata(view.at("/work/a")).expect("stat");
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::hard_link(view.at("/work/a"), view.at("/work/b")).expect("link");
    let after = fs::metadata(view.at("/work/a")).expect("stat");
    assert_eq!(after.nlink(), 2);
    assert_eq!(
        after.ino(),
        fs::metadata(view.at("/work/b")).expect("stat").ino()
    );
    assert!((after.ctime(), after.ctime_nsec()) > (before.ctime(), before.ctime_nsec()));
    let host = fs::metadata(view.real("/work/a")).expect("host");
    assert_eq!(
        (after.ctime_nsec(), after.ino()),
        (host.ctime_nsec(), host.ino())
    );
    fs::remove_file(view.at("/work/b")).expect("unlink");
    assert_eq!(fs::metadata(view.at("/work/a")).expect("stat").nlink(), 1);
    fs::hard_link(view.at("/work/a"), view.at("/work/c")).expect("link");
    fs::write(view.at("/work/d"), "y").expect("write");
    fs::rename(view.at("/work/d"), view.at("/work/c")).expect("replace");
    assert_eq!(fs::metadata(view.at("/work/a")).expect("stat").nlink(), 1);
    assert_eq!(fs::read_to_string(view.at("/work/c")).expect("read"), "y");
}

#[test]
fn writes_through_one_name_are_read_through_the_other() {
    let Some(view) = Fixture::whole() else { return };
    fs::write(view.at("/work/a"), "one").expect("write");
    fs::hard_link(view.at("/work/a"), view.at("/work/b")).expect("link");
    assert_eq!(fs::read_to_string(view.at("/work/b")).expect("read"), "one");
    fs::write(view.at("/work/a"), "two").expect("write");
    assert_eq!(fs::read_to_string(view.at("/work/b")).expect("read"), "two");
}

#[test]
fn a_link_or_a_move_never_widens() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/box/sealed", "secret");
    view.put("/work/box/dir/sealed", "secret");
    view.grant("/work/box", "write,create,delete,list");
    view.grant("/work/open", "read,write,create,delete,list,execute");
    fs::create_dir(view.at("/work/open")).expect("mkdir");
    let (from, to) = (view.at("/work/box/sealed"), view.at("/work/open/x"));
    assert_eq!(errno(fs::hard_link(&from, &to)), Errno::ACCESS);
    assert_eq!(errno(fs::rename(&from, &to)), Errno::ACCESS);
    assert_eq!(
        errno(fs::rename(view.at("/work/box/dir"), &to)),
        Errno::ACCESS
    );
    fs::write(&to, "mine").expect("write");
    let exchange = renameat_with(CWD, &to, CWD, &from, RenameFlags::EXCHANGE);
    assert_eq!(exchange, Err(Errno::ACCESS));
    fs::rename(&to, view.at("/work/box/mine")).expect("to where less is allowed");
}

#[test]
fn renames_keep_their_flags() {
    let Some(view) = Fixture::whole() else { return };
    fs::write(view.at("/work/a"), "a").expect("write");
    fs::write(view.at("/work/b"), "b").expect("write");
    let (a, b) = (view.at("/work/a"), view.at("/work/b"));
    assert_eq!(
        renameat_with(CWD, &a, CWD, &b, RenameFlags::NOREPLACE),
        Err(Errno::EXIST)
    );
    renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).expect("exchange");
    assert_eq!(fs::read_to_string(&a).expect("read"), "b");
    assert_eq!(fs::read_to_string(&b).expect("read"), "a");
    assert_eq!(
        view.rules.reports(|seen| matches!(
            seen,
            Observation::Renamed {
                exchanged: true,
                ..
            }
        )),
        1
    );
}

#[test]
fn a_directory_moves_with_what_is_in_it() {
    let Some(view) = Fixture::whole() else { return };
    fs::create_dir_all(view.at("/work/a/b/c")).expect("mkdir");
    fs::write(view.at("/work/a/b/c/f"), "f").expect("write");
    let open = fs::File::open(view.at("/work/a/b/c/f")).expect("open");
    fs::rename(view.at("/work/a"), view.at("/work/z")).expect("rename");
    assert_eq!(
        fs::read_to_string(view.at("/work/z/b/c/f")).expect("read"),
        "f"
    );
    fs::write(view.at("/work/z/b/new"), "n").expect("write");
    assert!(view.real("/work/z/b/new").exists());
    assert_eq!(open.metadata().expect("fstat").len(), 1);
    assert_eq!(errno(fs::metadata(view.at("/work/a"))), Errno::NOENT);
}

#[test]
fn devices_are_refused_and_pipes_stay_in_the_cell() {
    let Some(view) = Fixture::whole() else { return };
    let mode = Mode::from_raw_mode(0o644);
    let device = rustix::fs::makedev(1, 3);
    let made = mknodat(
        CWD,
        view.at("/work/null"),
        FileType::CharacterDevice,
        mode,
        device,
    );
    assert_eq!(made, Err(Errno::PERM));
    mknodat(
        CWD,
        view.real("/work/dev"),
        FileType::CharacterDevice,
        mode,
        device,
    )
    .expect("host");
    fs::metadata(view.at("/work/dev")).expect("it is there");
    assert_eq!(errno(fs::File::open(view.at("/work/dev"))), Errno::ACCESS);
    mknodat(CWD, view.at("/work/pipe"), FileType::Fifo, mode, 0).expect("pipe");
    assert!(fs::metadata(view.real("/work/pipe")).expect("host").mode() & 0o170_000 == 0o010_000);
}

#[test]
fn owners_stay_and_modes_follow_the_umask_of_the_caller() {
    let Some(view) = Fixture::whole() else { return };
    fs::write(view.at("/work/a"), "x").expect("write");
    let same = std::os::unix::fs::chown(view.at("/work/a"), Some(0), Some(0));
    same.expect("no change is no error");
    let other = std::os::unix::fs::chown(view.at("/work/a"), Some(1), None);
    assert_eq!(errno(other), Errno::PERM);
    std::os::unix::fs::chown(view.real("/work/a"), Some(1234), Some(1234)).expect("host");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let shown = fs::metadata(view.at("/work/a")).expect("stat");
    assert_eq!((shown.uid(), shown.gid()), (65534, 65534));
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    rustix::fs::open(view.at("/work/m"), flags, Mode::from_raw_mode(0o640)).expect("create");
    assert_eq!(
        fs::metadata(view.real("/work/m")).expect("host").mode() & 0o7777,
        0o640
    );
}

#[test]
fn symbolic_links_are_followed_within_the_view_only() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/secret/key", "secret");
    view.put("/work/in", "in");
    symlink("/secret/key", view.at("/work/absolute")).expect("symlink");
    symlink("../secret/key", view.at("/work/relative")).expect("symlink");
    symlink("in", view.at("/work/good")).expect("symlink");
    symlink("/secret", view.real("/work/planted")).expect("symlink");
    assert_eq!(
        fs::read_to_string(view.at("/work/good")).expect("read"),
        "in"
    );
    assert_eq!(
        fs::read_link(view.at("/work/relative"))
            .expect("link")
            .to_str(),
        Some("../secret/key")
    );
    for name in [
        "/work/absolute",
        "/work/relative",
        "/work/planted/key",
        "/work/../secret/key",
    ] {
        assert_eq!(errno(fs::read(view.at(name))), Errno::NOENT, "{name}");
    }
    assert_eq!(names(&view.mount), ["work"]);
    assert_eq!(
        errno(fs::read_dir(view.at("/secret")).map(drop)),
        Errno::NOENT
    );
}

#[test]
fn extended_attributes_are_the_users_only() {
    let Some(view) = Fixture::whole() else { return };
    fs::write(view.at("/work/a"), "x").expect("write");
    let path = view.at("/work/a");
    let empty = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&path, "user.note", b"hi", empty).expect("set");
    let mut value = [0; 16];
    assert_eq!(
        rustix::fs::getxattr(&path, "user.note", &mut value[..]),
        Ok(2)
    );
    let mut list = [0; 64];
    let count = rustix::fs::listxattr(&path, &mut list[..]).expect("list");
    assert_eq!(&list[..count], b"user.note\0");
    for name in ["security.capability", "trusted.x", "security.selinux"] {
        assert!(
            rustix::fs::setxattr(&path, name, b"x", empty).is_err(),
            "{name}"
        );
        let got = rustix::fs::getxattr(&path, name, &mut value[..]);
        assert!(
            matches!(got, Err(Errno::NODATA | Errno::OPNOTSUPP)),
            "{name}: {got:?}"
        );
    }
    rustix::fs::removexattr(&path, "user.note").expect("remove");
    assert_eq!(
        rustix::fs::getxattr(&path, "user.note", &mut value[..]),
        Err(Errno::NODATA)
    );
}

#[test]
fn times_can_be_set_and_left_alone() {
    let Some(view) = Fixture::whole() else { return };
    fs::write(view.at("/work/a"), "x").expect("write");
    let before = fs::metadata(view.real("/work/a")).expect("host");
    let time = |seconds, nanoseconds| rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = rustix::fs::Timestamps {
        last_access: time(0, rustix::fs::UTIME_OMIT),
        last_modification: time(1_000_000_000, 123_456_789),
    };
    rustix::fs::utimensat(CWD, view.at("/work/a"), &times, AtFlags::empty()).expect("utimens");
    let after = fs::metadata(view.at("/work/a")).expect("stat");
    assert_eq!(
        (after.mtime(), after.mtime_nsec()),
        (1_000_000_000, 123_456_789)
    );
    assert_eq!(
        (after.atime(), after.atime_nsec()),
        (before.atime(), before.atime_nsec())
    );
}

#[test]
fn a_file_without_a_name_gets_one_by_the_rights_to_that_name_alone() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.rules.except("/**/.env");
    view.grant("/work", "read,write,create,delete,list,metadata");
    view.put("/work/x", "x");
    let make = || -> std::fs::File {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let opened = rustix::fs::open(view.at("/work"), flags, Mode::from_raw_mode(0o644));
        opened.expect("a file without a name").into()
    };
    let name = |file: &std::fs::File, to: &str| {
        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::SYMLINK_FOLLOW;
        rustix::fs::linkat(CWD, from, CWD, view.at(to), follow)
    };
    let mut file = make();
    file.write_all(b"content").expect("write");
    assert_eq!(names(&view.real("/work")), ["x"]);
    assert_eq!(file.metadata().expect("stat").nlink(), 0);
    assert_eq!(name(&file, "/work/.env"), Err(Errno::ACCESS));
    assert_eq!(name(&file, "/work/x"), Err(Errno::EXIST));
    name(&file, "/work/y").expect("a name");
    file.write_all(b" and more").expect("write on");
    assert_eq!(
        fs::read_to_string(view.real("/work/y")).expect("host"),
        "content and more"
    );
    assert_eq!(file.metadata().expect("stat").nlink(), 1);
    // What is open goes on no longer than the right to the name that it was given.
    view.put("/work/lasting/keep", "");
    view.rules.leave_open("/work/lasting/z");
    let permit = view
        .rules
        .grant_first("/work/lasting/z", "create,write,metadata");
    let mut file = make();
    name(&file, "/work/lasting/z").expect("a name");
    file.write_all(b"once").expect("write");
    permit.kill();
    assert_eq!(errno(file.write_all(b"again")), Errno::ACCESS);
    assert_eq!(
        fs::read_to_string(view.real("/work/lasting/z")).expect("host"),
        "once"
    );
}

#[test]
fn what_is_open_goes_on_no_longer_than_the_rights_to_its_new_name() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.grant("/work", "read,write,create,delete,list,metadata");
    for name in ["renamed", "linked", "d/inside", "plain"] {
        view.put(&format!("/work/{name}"), "");
    }
    let open = |name: &str| {
        let options = fs::File::options()
            .read(true)
            .append(true)
            .open(view.at(name));
        options.expect("open")
    };
    let (mut renamed, mut linked) = (open("/work/renamed"), open("/work/linked"));
    let (mut inside, mut plain) = (open("/work/d/inside"), open("/work/plain"));
    // A person lets names be made there, and nothing be written.
    for name in ["a", "b", "c/**"] {
        view.rules.leave_open(&format!("/work/hooks/{name}"));
        let given = format!("/work/hooks/{name}");
        view.rules
            .grant_first(&given, "create,delete,list,metadata");
    }
    view.put("/work/hooks/keep", "");
    fs::rename(view.at("/work/renamed"), view.at("/work/hooks/a")).expect("rename");
    fs::hard_link(view.at("/work/linked"), view.at("/work/hooks/b")).expect("link");
    fs::rename(view.at("/work/d"), view.at("/work/hooks/c")).expect("rename");
    fs::rename(view.at("/work/plain"), view.at("/work/hooks/plain")).expect("rename");
    for file in [&mut renamed, &mut linked, &mut inside] {
        assert_eq!(errno(file.write_all(b"payload")), Errno::ACCESS);
    }
    plain.write_all(b"goes on").expect("write");
    for name in ["a", "b", "c/inside"] {
        let content = fs::read_to_string(view.real(&format!("/work/hooks/{name}")));
        assert_eq!(content.expect("host"), "", "{name}");
    }
    // Given the right to write there, what is open goes on.
    view.rules.grant_first("/work/hooks/a", "read,write,append");
    renamed.write_all(b"given").expect("write");
}
