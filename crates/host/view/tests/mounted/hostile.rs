//! The host changing under the view, and agents that try to gain by it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::fixture::{Fixture, errno, eventually};

#[test]
fn a_name_swapped_with_a_link_never_leads_out() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/secret/key", "SECRET");
    view.put("/work/f", "public");
    view.put("/work/d/key", "public");
    symlink("../secret/key", view.real("/work/f-link")).expect("symlink");
    symlink("../secret", view.real("/work/d-link")).expect("symlink");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let (real, mut swaps) = (view.real("/work"), 0_u64);
    let swapper = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            for name in ["f", "d"] {
                let (one, two) = (real.join(name), real.join(format!("{name}-link")));
                renameat_with(CWD, one, CWD, two, RenameFlags::EXCHANGE).expect("swap");
                swaps = swaps.wrapping_add(1);
            }
        }
        swaps
    });
    let start = Instant::now();
    let (mut reads, mut seen) = (0_u32, 0_u32);
    while start.elapsed() < Duration::from_secs(2) {
        for name in ["/work/f", "/work/f-link", "/work/d/key", "/work/d-link/key"] {
            reads = reads.saturating_add(1);
            if let Ok(content) = fs::read_to_string(view.at(name)) {
                assert_eq!(content, "public");
                seen = seen.saturating_add(1);
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapper.join().expect("swapper");
    assert!(
        swaps > 1000 && reads > 1000,
        "{swaps} swaps, {reads} reads, {seen} seen"
    );
    // At rest the file is read by whichever name it has: the reads above could have found something.
    assert!(eventually(|| {
        ["/work/f", "/work/f-link"]
            .into_iter()
            .any(|name| fs::read_to_string(view.at(name)).is_ok_and(|text| text == "public"))
    }));
}

#[test]
fn an_object_that_the_host_replaced_is_not_taken_for_the_old_one() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/work/f", "old");
    let mut old = File::open(view.at("/work/f")).expect("open");
    view.put("/work/t", "new content");
    fs::rename(view.real("/work/t"), view.real("/work/f")).expect("host");
    // Opened by a name that the kernel still believes in: the old file or the new, never a mixture.
    let content = fs::read_to_string(view.at("/work/f")).expect("read");
    assert_eq!(content, "new content");
    let mut rest = String::new();
    old.read_to_string(&mut rest)
        .expect("the open file is the old one");
    assert_eq!(rest, "old");
}

#[test]
fn a_directory_moved_out_of_the_tree_by_the_host_is_gone() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/work/d/f", "x");
    assert_eq!(fs::read_to_string(view.at("/work/d/f")).expect("read"), "x");
    let directory = File::open(view.at("/work/d")).expect("open");
    fs::rename(view.real("/work/d"), view.real("/moved")).expect("host");
    view.put("/moved/later", "SECRET");
    assert!(eventually(|| {
        rustix::fs::openat(
            &directory,
            "later",
            rustix::fs::OFlags::RDONLY,
            rustix::fs::Mode::empty(),
        )
        .is_err()
    }));
    thread::sleep(Duration::from_millis(1100));
    let made = rustix::fs::mkdirat(&directory, "made", rustix::fs::Mode::from_raw_mode(0o755));
    assert!(matches!(made, Err(Errno::STALE | Errno::NOENT)), "{made:?}");
    assert!(!view.real("/moved/made").exists());
}

#[test]
fn rights_must_hold_by_every_known_name() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/free/f", "x");
    view.put("/work/bound/other", "y");
    fs::hard_link(view.real("/work/free/f"), view.real("/work/bound/f")).expect("host");
    view.grant("/work/free", "read,write,list,metadata");
    view.grant("/work/bound", "read,list,metadata");
    fs::OpenOptions::new()
        .write(true)
        .open(view.at("/work/free/f"))
        .expect("one name is known");
    assert_eq!(
        fs::read_to_string(view.at("/work/bound/f")).expect("read"),
        "x"
    );
    let write = fs::OpenOptions::new()
        .write(true)
        .open(view.at("/work/free/f"));
    assert_eq!(errno(write), Errno::ACCESS);
    assert_eq!(
        fs::read_to_string(view.at("/work/free/f")).expect("read"),
        "x"
    );
    // A name that no longer is binds no longer.
    fs::remove_file(view.real("/work/bound/f")).expect("host");
    assert!(eventually(|| {
        fs::OpenOptions::new()
            .write(true)
            .open(view.at("/work/free/f"))
            .is_ok()
    }));
}

#[test]
fn dots_lead_nowhere() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/secret", "SECRET");
    fs::create_dir(view.at("/work/d")).expect("mkdir");
    for path in [
        "/work/d/../../secret",
        "/work/../secret",
        "/../secret",
        "/work/./../secret",
    ] {
        assert_eq!(errno(fs::read(view.at(path))), Errno::NOENT, "{path}");
    }
}
