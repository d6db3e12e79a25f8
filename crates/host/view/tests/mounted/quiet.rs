//! The connection on which opens cost no message.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use valetkey_model::{ActionSet, PathPattern};
use valetkey_view::{Connection, Kinds, Observation, Verdict};

use crate::fixture::{Fixture, TestPermit, errno, eventually, names, open_device, within};

/// A quiet view of `/work`: the mount is that tree.
fn quiet() -> Option<(Fixture, std::sync::Arc<TestPermit>)> {
    let connection = Connection::Quiet {
        root: "/work".into(),
    };
    let view = Fixture::with_connection(
        |config| fs::create_dir_all(config.root.join("work")).expect("tree"),
        connection,
    )?;
    let permit = view.grant_freely("/work", "read,write,create,delete,execute,list,metadata");
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
fn what_was_read_once_is_not_asked_for_again() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    for number in 0..30 {
        view.put(&format!("/work/sub/f{number}"), "content");
    }
    let read_all = || {
        for name in names(&view.at("/sub")) {
            let path = view.at("/sub").join(name);
            assert!(fs::metadata(&path).expect("stat").is_file());
            assert_eq!(fs::read(&path).expect("read"), b"content");
        }
    };
    // The root, which nobody listed, is looked at once a second; what the fixture wrote is heard of first.
    assert!(eventually(|| {
        let before = view.rules.checked.load(Ordering::SeqCst);
        read_all();
        view.rules.checked.load(Ordering::SeqCst) - before < 10
    }));
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

#[test]
fn reads_and_writes_are_told_of_at_the_first_and_closed_in_the_end() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.put("/work/f", "content");
    let told = |wanted: &str| {
        let wanted: ActionSet = wanted.parse().expect("actions");
        view.rules.reports(
            |seen| matches!(seen, Observation::Opened { actions, .. } if *actions == wanted),
        )
    };
    fs::read(view.at("/f")).expect("read");
    fs::write(view.at("/f"), "longer content").expect("write");
    fs::write(view.at("/f"), "longer content").expect("write");
    assert_eq!((told("read"), told("read,write")), (1, 1));
    view.view.settle();
    let written = |seen: &Observation| matches!(seen, Observation::Closed { written_bytes, .. } if *written_bytes >= 14);
    assert_eq!(view.rules.reports(written), 1);
    let closed = |seen: &Observation| matches!(seen, Observation::Closed { .. });
    assert_eq!(view.rules.reports(closed), 2);
}

#[test]
fn an_open_and_a_removal_tell_of_no_read_or_write() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.put("/work/f", "content");
    drop(
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(view.at("/f"))
            .expect("open"),
    );
    fs::remove_file(view.at("/f")).expect("remove");
    view.view.settle();
    let used = |seen: &Observation| {
        matches!(
            seen,
            Observation::Opened { .. } | Observation::Closed { .. }
        )
    };
    assert_eq!(view.rules.reports(used), 0);
}

#[test]
fn what_was_written_can_be_run_by_the_host_soon_after() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    fs::copy("/bin/true", view.at("/program")).expect("copy");
    assert!(eventually(|| Command::new(view.real("/work/program"))
        .status()
        .is_ok()));
}

#[test]
fn a_name_that_comes_later_is_under_its_rule() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.rules.except("/**/.env");
    view.put("/work/f", "content");
    assert_eq!(names(&view.mount), ["f"]);
    // Made, moved there, linked there, or by the host: it is there for nobody.
    assert_eq!(errno(fs::write(view.at("/.env"), "x")), Errno::ACCESS);
    assert_eq!(
        errno(fs::rename(view.at("/f"), view.at("/.env"))),
        Errno::ACCESS
    );
    assert_eq!(
        errno(fs::hard_link(view.at("/f"), view.at("/.env"))),
        Errno::ACCESS
    );
    assert_eq!(errno(fs::create_dir(view.at("/.env"))), Errno::ACCESS);
    view.put("/work/.env", "secret");
    assert_eq!(errno(fs::read(view.at("/.env"))), Errno::NOENT);
    assert_eq!(names(&view.mount), ["f"]);
    // Neither is it removed or replaced by who cannot see it.
    assert_eq!(errno(fs::remove_file(view.at("/.env"))), Errno::NOENT);
    assert!(fs::rename(view.at("/f"), view.at("/.env")).is_err());
    assert_eq!(
        fs::read_to_string(view.real("/work/.env")).expect("host"),
        "secret"
    );
}

#[test]
fn what_is_taken_out_has_the_bits_that_policy_gives_without_asking() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.put("/work/.git/config", "settings");
    view.rules.leave_open("/work/.git/config");
    let rules = Arc::downgrade(&view.rules);
    view.rules.resolve_by(move |path, wanted, _| {
        let Some(rules) = rules.upgrade() else {
            return Verdict::Unknown;
        };
        let given: ActionSet = "read,metadata".parse().expect("actions");
        if !given.allows_all(wanted) {
            return Verdict::Refused { visible: true };
        }
        let permit = TestPermit {
            is_free: true,
            ..TestPermit::plain("read,metadata", None, None)
        };
        Verdict::Permitted(rules.grant_first_by(&path.to_string_lossy(), permit))
    });
    let config = view.at("/.git/config");
    // Listed first: what a listing does not know, a look finds out.
    assert_eq!(names(&view.at("/.git")), ["config"]);
    assert_eq!(fs::read_to_string(&config).expect("read"), "settings");
    let asked = view.rules.resolved.load(Ordering::SeqCst);
    assert_eq!(
        unprivileged_open(&config, OFlags::WRONLY),
        Err(Errno::ACCESS)
    );
    assert_eq!(view.rules.resolved.load(Ordering::SeqCst), asked);
    assert_eq!(errno(fs::write(&config, "other")), Errno::ACCESS);
    assert_eq!(
        fs::read_to_string(view.real("/work/.git/config")).expect("host"),
        "settings"
    );
}

#[test]
fn a_right_that_counts_or_judges_gives_no_content() {
    let Some((view, permit)) = quiet() else {
        return;
    };
    view.put("/work/f", "content");
    permit.kill();
    for counted in [
        TestPermit {
            is_free: true,
            ..TestPermit::plain("read,write,list,metadata", Some(3), None)
        },
        TestPermit {
            judges: true,
            ..TestPermit::plain("read,write,list,metadata", None, None)
        },
        TestPermit::plain("read,write,list,metadata", None, None),
    ] {
        let counted = view.rules.allow_by("/work/**", Arc::new(counted));
        view.view.notify_granted(Path::new("/work"));
        assert!(eventually(
            || fs::metadata(view.at("/f")).is_ok_and(|meta| meta.permissions().mode() & 0o777 == 0)
        ));
        // The superuser passes by bits, and no further.
        assert_eq!(errno(fs::read(view.at("/f"))), Errno::ACCESS);
        assert_eq!(
            errno(
                OpenOptions::new()
                    .append(true)
                    .open(view.at("/f"))
                    .and_then(|mut file| file.write_all(b"x"))
            ),
            Errno::ACCESS
        );
        counted.kill();
        view.view.notify_revoked(Path::new("/work"));
    }
}

#[test]
fn a_rule_holds_by_every_name_of_a_file() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.rules.except("/**/.env");
    view.rules.doubts.store(true, Ordering::SeqCst);
    view.rules.must_wait.store(true, Ordering::SeqCst);
    view.put("/work/sub/.env", "secret");
    view.put("/work/one", "plain");
    fs::hard_link(view.real("/work/sub/.env"), view.real("/work/notes")).expect("host");
    fs::hard_link(view.real("/work/one"), view.real("/work/two")).expect("host");
    let all = ["/work/sub/.env", "/work/notes", "/work/one", "/work/two"];
    view.rules.names.write().expect("lock").1 = all.map(Into::into).to_vec();
    assert_eq!(names(&view.mount), ["notes", "one", "sub", "two"]);
    assert_eq!(
        unprivileged_open(&view.at("/notes"), OFlags::RDONLY),
        Err(Errno::ACCESS)
    );
    assert_eq!(errno(fs::read(view.at("/notes"))), Errno::ACCESS);
    // Its names were counted when it was looked up, so that the read need not wait for that.
    assert_eq!(fs::read_to_string(view.at("/two")).expect("read"), "plain");
    assert_eq!(unprivileged_open(&view.at("/one"), OFlags::RDONLY), Ok(()));
}

#[test]
fn masks_hold_and_grow_over_what_is_open() {
    const PLAIN: &str = "A=1\nPASSWORD=hunter2\n";
    const MASKED: &str = "A=1\nPASSWORD=XXXXXXX\n";
    let Some((view, _permit)) = quiet() else {
        return;
    };
    let mask = |pattern: &str| {
        let pattern = PathPattern::parse(pattern).expect("pattern");
        view.rules
            .masks
            .write()
            .expect("lock")
            .push((pattern, Kinds::SECRETS));
    };
    mask("/work/.env");
    view.put("/work/.env", PLAIN);
    view.put("/work/later", PLAIN);
    let long = format!("{}{PLAIN}", "X=1\n".repeat(40_000));
    view.put("/work/.env.long", &long);
    let read = |name: &str| fs::read_to_string(view.at(name));
    assert_eq!(read("/.env").expect("read"), MASKED);
    assert_eq!(errno(fs::write(view.at("/.env"), "x")), Errno::PERM);
    assert_eq!(
        fs::read_to_string(view.real("/work/.env")).expect("host"),
        PLAIN
    );
    // A mask that comes while a file is open and cached is over it at once.
    let open = File::open(view.at("/later")).expect("open");
    assert_eq!(read("/later").expect("read"), PLAIN);
    mask("/work/later");
    mask("/work/.env.long");
    view.view.notify_granted(Path::new("/work"));
    let text = || {
        let mut place = [0; 64];
        let count = std::os::unix::fs::FileExt::read_at(&open, &mut place, 0).unwrap_or(0);
        String::from_utf8_lossy(&place[..count]).into_owned()
    };
    assert!(
        within(Duration::from_millis(500), || text() == MASKED),
        "{}",
        text()
    );
    assert_eq!(read("/later").expect("read"), MASKED);
    assert!(read("/.env.long").expect("read").ends_with(MASKED));
}

#[test]
fn a_root_that_was_moved_leads_nowhere() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.put("/work/f", "content");
    fs::read(view.at("/f")).expect("read");
    fs::rename(view.real("/work"), view.real("/elsewhere")).expect("host");
    fs::create_dir(view.real("/work")).expect("host");
    assert!(eventually(|| fs::metadata(view.at("/g")).is_err_and(
        |error| error.raw_os_error() == Some(Errno::STALE.raw_os_error())
    )));
    assert!(fs::write(view.at("/new"), "x").is_err());
    assert!(!view.real("/elsewhere/new").exists() && !view.real("/work/new").exists());
}

#[test]
fn what_leads_to_a_quiet_tree_stays_where_it_is() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/work/sub/tree/f", "content");
    view.put("/work/other/f", "content");
    let device = open_device().expect("a device");
    let connection = Connection::Quiet {
        root: "/work/sub/tree".into(),
    };
    let _ends_at_once = view.view.serve(device, Vec::new(), connection, 1);
    let moved = |from: &str, to: &str| fs::rename(view.at(from), view.at(to));
    for name in ["/work/sub", "/work/sub/tree"] {
        assert_eq!(errno(moved(name, "/work/away")), Errno::BUSY);
    }
    assert_eq!(errno(moved("/work/other", "/work/sub/tree")), Errno::BUSY);
    assert!(moved("/work/other", "/work/sub/other").is_ok());
    assert!(view.real("/work/sub/tree/f").exists());
}

#[test]
fn what_is_open_for_writing_goes_on_by_the_name_that_it_gets() {
    let Some((view, _permit)) = quiet() else {
        return;
    };
    view.put("/work/f", "content");
    let mut file = OpenOptions::new()
        .write(true)
        .open(view.at("/f"))
        .expect("open");
    file.write_all(b"one").expect("write");
    // A name that may be made and removed, and not written.
    view.rules.leave_open("/work/hook");
    view.rules
        .grant_first("/work/hook", "create,delete,metadata");
    fs::rename(view.at("/f"), view.at("/hook")).expect("rename");
    assert_eq!(errno(file.write_all(b"two")), Errno::ACCESS);
    assert_eq!(
        fs::read_to_string(view.real("/work/hook")).expect("host"),
        "onetent"
    );
}

/// Opens as a user without privileges, for whom the kernel looks at permission bits.
fn unprivileged_open(path: &Path, flags: OFlags) -> Result<(), Errno> {
    let (read, write) = (flags == OFlags::RDONLY, flags == OFlags::WRONLY);
    let test = if read {
        "-r"
    } else if write {
        "-w"
    } else {
        "-x"
    };
    let status = Command::new("setpriv")
        .args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "test",
            test,
        ])
        .arg(path)
        .status()
        .expect("setpriv");
    if status.success() {
        Ok(())
    } else {
        Err(Errno::ACCESS)
    }
}
