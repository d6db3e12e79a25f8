//! Listing: what is in sight, all of it, and nothing else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use valetkey_view::{SkeletonEntry, SkeletonKind, Verdict};

use crate::fixture::{Fixture, errno, names, tree};

#[test]
fn five_thousand_names_are_listed_once_each() {
    let Some(view) = Fixture::whole() else { return };
    for number in 0..5000 {
        fs::write(view.real(&format!("/work/file-{number:05}")), "x").expect("host");
    }
    let listed = names(&view.at("/work"));
    let expected: Vec<String> = (0..5000)
        .map(|number| format!("file-{number:05}"))
        .collect();
    assert!(listed == expected);
    assert_eq!(tree(&view.at("/work")).len(), 5000);
    for number in 0..5000 {
        fs::remove_file(view.at(&format!("/work/file-{number:05}"))).expect("remove");
    }
    assert!(names(&view.at("/work")).is_empty());
}

#[test]
fn a_name_granted_within_a_tree_hides_nothing_beside_it() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/.git/HEAD", "ref");
    view.put("/work/.git/objects/pack", "x");
    view.put("/work/.git/config", "[core]");
    view.grant("/work/src", "read,list,metadata");
    view.grant("/work", "read,write,create,delete,list,metadata");
    // What the tree leaves out is asked for one by one, and given: but for one name, which stays out of sight.
    let (rules, held) = (&view.rules, std::sync::Arc::clone(&view.rules));
    rules.leave_open("/work/.git/**");
    rules.resolve_by(move |path, _, _| {
        if path.ends_with("objects/pack") {
            return Verdict::Refused { visible: false };
        }
        Verdict::Permitted(held.grant_first(path.to_str().expect("text"), "list,metadata,read"))
    });
    let before = view.real("/work/.git").metadata().expect("host").mtime();
    // The agent is given one file in there, and so the way to it is to be seen.
    rules.grant_first(
        "/work/.git/config",
        "read,write,create,delete,list,metadata",
    );
    view.view.notify_granted(Path::new("/work/.git/config"));
    assert_eq!(names(&view.at("/work")), [".git"]);
    assert_eq!(names(&view.at("/work/.git")), ["HEAD", "config", "objects"]);
    assert!(names(&view.at("/work/.git/objects")).is_empty());
    let shown = view.at("/work/.git").metadata().expect("stat");
    assert_eq!(shown.mtime(), before);
    // Where listing is refused, what was given is still to be found.
    view.put("/work/.hg/hgrc", "x");
    view.put("/work/.hg/store", "x");
    rules.leave_open("/work/.hg/**");
    rules.resolve_by(|_, _, _| Verdict::Refused { visible: false });
    rules.grant_first("/work/.hg/hgrc", "read,metadata");
    view.view.notify_granted(Path::new("/work/.hg/hgrc"));
    assert_eq!(names(&view.at("/work/.hg")), ["hgrc"]);
}

#[test]
fn exceptions_within_a_tree_are_not_there() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.rules.except("/**/.env");
    view.put("/work/.env", "secret");
    view.put("/work/sub/.env", "secret");
    view.put("/work/sub/code", "code");
    view.grant("/work", "read,write,create,delete,list,metadata");
    assert_eq!(names(&view.at("/work")), ["sub"]);
    assert_eq!(names(&view.at("/work/sub")), ["code"]);
    assert_eq!(errno(fs::read(view.at("/work/.env"))), Errno::NOENT);
    assert_eq!(errno(fs::metadata(view.at("/work/sub/.env"))), Errno::NOENT);
    assert_eq!(
        errno(fs::write(view.at("/work/sub/.env"), "x")),
        Errno::ACCESS
    );
    assert_eq!(errno(fs::remove_file(view.at("/work/.env"))), Errno::NOENT);
    // The answer to making it is the same whether or not it is there.
    assert_eq!(errno(fs::create_dir(view.at("/work/.env"))), Errno::ACCESS);
    assert_eq!(
        errno(fs::create_dir(view.at("/work/sub/.env/"))),
        Errno::ACCESS
    );
    let (from, to) = (view.at("/work/sub/code"), view.at("/work/sub/.env"));
    assert_eq!(errno(fs::rename(&from, &to)), Errno::ACCESS);
    assert_eq!(errno(fs::hard_link(&from, &to)), Errno::ACCESS);
    assert_eq!(errno(fs::rename(&to, view.at("/work/sub/x"))), Errno::NOENT);
    // A directory with something out of sight in it stays where it is.
    assert_eq!(
        errno(fs::rename(view.at("/work/sub"), view.at("/work/moved"))),
        Errno::ACCESS
    );
    assert!(fs::remove_dir_all(view.at("/work/sub")).is_err());
    assert_eq!(
        fs::read_to_string(view.real("/work/sub/.env")).expect("host"),
        "secret"
    );
}

#[test]
fn only_the_way_to_what_is_granted_is_there() {
    let Some(view) = Fixture::new(|config| {
        config.skeleton = vec![
            SkeletonEntry {
                path: "/run/valetkey".into(),
                kind: SkeletonKind::Directory,
            },
            SkeletonEntry {
                path: "/etc/name".into(),
                kind: SkeletonKind::File,
            },
            SkeletonEntry {
                path: "/bin".into(),
                kind: SkeletonKind::Symlink("usr/bin".into()),
            },
        ];
    }) else {
        return;
    };
    view.put("/home/alice/Reports/q3", "report");
    view.put("/home/alice/.ssh/id", "key");
    view.put("/home/bob/x", "x");
    assert_eq!(names(&view.mount), ["bin", "etc", "run"]);
    assert_eq!(errno(fs::metadata(view.at("/home"))), Errno::NOENT);
    view.grant("/home/alice/Reports", "read,list");
    assert!(crate::fixture::eventually(|| view
        .at("/home/alice")
        .exists()));
    assert_eq!(names(&view.mount), ["bin", "etc", "home", "run"]);
    assert_eq!(names(&view.at("/home")), ["alice"]);
    assert_eq!(names(&view.at("/home/alice")), ["Reports"]);
    assert_eq!(names(&view.at("/home/alice/Reports")), ["q3"]);
    assert_eq!(names(&view.at("/run")), ["valetkey"]);
    assert!(names(&view.at("/run/valetkey")).is_empty());
    assert_eq!(
        fs::read_link(view.at("/bin")).expect("link"),
        PathBuf::from("usr/bin")
    );
    assert_eq!(errno(fs::read(view.at("/etc/name"))), Errno::ACCESS);
    assert_eq!(
        errno(fs::write(view.at("/run/valetkey/x"), "x")),
        Errno::ACCESS
    );
    assert_eq!(
        errno(fs::write(view.at("/home/alice/x"), "x")),
        Errno::ACCESS
    );
    // What a directory on the way tells of itself tells nothing of what else is in it.
    let shown = fs::metadata(view.at("/home/alice")).expect("stat");
    let real = fs::metadata(view.real("/home/alice")).expect("host");
    assert_eq!((shown.nlink(), shown.size()), (2, 4096));
    assert_ne!(shown.mtime_nsec(), real.mtime_nsec());
}

#[test]
fn hidden_places_are_never_there() {
    let Some(view) = Fixture::new(|config| {
        let state = config.root.join("work/state");
        fs::create_dir_all(&state).expect("state");
        fs::write(state.join("key"), "key").expect("key");
        config.hidden = vec!["/work/state".into()];
    }) else {
        return;
    };
    view.grant("/work", "read,write,create,delete,list,metadata,execute");
    std::os::unix::fs::symlink("state", view.real("/work/link")).expect("symlink");
    assert_eq!(names(&view.at("/work")), ["link"]);
    assert_eq!(errno(fs::read(view.at("/work/state/key"))), Errno::NOENT);
    assert_eq!(errno(fs::read(view.at("/work/link/key"))), Errno::NOENT);
    assert_eq!(errno(fs::create_dir(view.at("/work/state"))), Errno::ACCESS);
    assert_eq!(
        errno(fs::rename(view.at("/work/state"), view.at("/work/x"))),
        Errno::NOENT
    );
    // Moved by the host, it is still the same directory.
    fs::rename(view.real("/work/state"), view.real("/work/elsewhere")).expect("host");
    assert_eq!(
        errno(fs::read(view.at("/work/elsewhere/key"))),
        Errno::NOENT
    );
    assert_eq!(names(&view.at("/work")), ["link"]);
}

#[test]
fn what_is_hidden_is_neither_replaced_nor_led_astray() {
    let Some(view) = Fixture::new(|config| {
        let work = config.root.join("work");
        fs::create_dir_all(work.join("real/state")).expect("state");
        fs::write(work.join("lone"), "lone").expect("file");
        std::os::unix::fs::symlink("real", work.join("by-link")).expect("symlink");
        config.hidden = vec![
            "/work/by-link/state".into(),
            "/work/lone".into(),
            "/work/a/b/later".into(),
        ];
    }) else {
        return;
    };
    view.grant("/work", "read,write,create,delete,list,metadata,execute");
    assert!(names(&view.at("/work/real")).is_empty());
    assert_eq!(
        errno(fs::read_dir(view.at("/work/by-link/state")).map(drop)),
        Errno::NOENT
    );
    assert_eq!(
        errno(fs::rename(view.at("/work/real"), view.at("/work/x"))),
        Errno::BUSY
    );
    // Moved by the host to a name that is not hidden, a hidden file is still not to be replaced.
    fs::rename(view.real("/work/lone"), view.real("/work/moved")).expect("host");
    fs::write(view.at("/work/mine"), "mine").expect("write");
    let (mine, moved) = (view.at("/work/mine"), view.at("/work/moved"));
    assert_eq!(errno(fs::rename(&mine, &moved)), Errno::BUSY);
    let exchange = rustix::fs::RenameFlags::EXCHANGE;
    let cwd = rustix::fs::CWD;
    let exchanged = rustix::fs::renameat_with(cwd, &mine, cwd, &moved, exchange);
    assert_eq!(exchanged, Err(Errno::NOENT));
    assert_eq!(
        fs::read_to_string(view.real("/work/moved")).expect("host"),
        "lone"
    );
    // Nothing but a directory can be put on the way to what is hidden.
    assert_eq!(
        errno(std::os::unix::fs::symlink("/tmp", view.at("/work/a"))),
        Errno::ACCESS
    );
    assert_eq!(errno(fs::write(view.at("/work/a"), "x")), Errno::ACCESS);
    assert_eq!(errno(fs::rename(&mine, view.at("/work/a"))), Errno::BUSY);
    fs::create_dir(view.at("/work/a")).expect("mkdir");
}

#[test]
fn figures_of_the_file_system_are_the_hosts() {
    let Some(view) = Fixture::whole() else { return };
    let shown = rustix::fs::statvfs(view.at("/work")).expect("statvfs");
    let real = rustix::fs::statvfs(view.real("/work")).expect("statvfs");
    assert_eq!(
        (shown.f_blocks, shown.f_files),
        (real.f_blocks, real.f_files)
    );
    assert_eq!(
        (shown.f_namemax, shown.f_frsize),
        (real.f_namemax, real.f_frsize)
    );
}

#[test]
fn a_window_into_the_kernel_is_never_there() {
    let Some(view) = Fixture::whole() else { return };
    fs::create_dir(view.real("/work/proc")).expect("mkdir");
    fs::create_dir(view.real("/work/ram")).expect("mkdir");
    let none = rustix::mount::MountFlags::empty();
    rustix::mount::mount("proc", view.real("/work/proc"), "proc", none, None).expect("proc");
    rustix::mount::mount("ram", view.real("/work/ram"), "tmpfs", none, None).expect("tmpfs");
    let detach = rustix::mount::UnmountFlags::DETACH;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_eq!(names(&view.at("/work")), ["ram"]);
        assert_eq!(errno(fs::read(view.at("/work/proc/version"))), Errno::NOENT);
        fs::write(view.at("/work/ram/x"), "x").expect("an ordinary mount is a directory");
        assert_eq!(names(&view.at("/work/ram")), ["x"]);
        assert_eq!(
            errno(fs::rename(view.at("/work/ram/x"), view.at("/work/x"))),
            Errno::XDEV
        );
    }));
    rustix::mount::unmount(view.real("/work/proc"), detach).expect("unmount");
    rustix::mount::unmount(view.real("/work/ram"), detach).expect("unmount");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn strange_names_are_names() {
    use std::os::unix::ffi::OsStrExt;
    let Some(view) = Fixture::whole() else { return };
    let long = "n".repeat(255);
    for name in [
        &b"\xff\xfe not utf-8"[..],
        b"line\nbreak",
        b"*",
        b"...",
        long.as_bytes(),
    ] {
        let name = std::ffi::OsStr::from_bytes(name);
        fs::write(view.at("/work").join(name), "x").expect("write");
        assert_eq!(fs::read(view.real("/work").join(name)).expect("host"), b"x");
    }
    assert_eq!(tree(&view.at("/work")), tree(&view.real("/work")));
    let longer = view.at("/work").join("n".repeat(256));
    assert_eq!(errno(fs::write(longer, "x")), Errno::NAMETOOLONG);
}
